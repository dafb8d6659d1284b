"""Files of strangers: what they hold as numbers, and numbers as files. Nothing is believed."""

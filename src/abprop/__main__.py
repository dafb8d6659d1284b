"""`python -m abprop` is `abprop`."""

from abprop.app.cli import main

main()

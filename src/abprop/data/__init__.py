"""What SOURCE means: pictures, arrays and tables become examples with stable ids."""

from abprop.data.copies import mirror_ratio, mirrored, shifted
from abprop.data.crops import crops
from abprop.data.signals import Scale, Signals, fingerprint
from abprop.data.sources import read
from abprop.data.write import grid, save_images

__all__ = [
    "Scale",
    "Signals",
    "crops",
    "fingerprint",
    "grid",
    "mirror_ratio",
    "mirrored",
    "read",
    "save_images",
    "shifted",
]

"""What SOURCE means: pictures, arrays and tables become examples with stable ids."""

from abprop.data.copies import mirror_ratio, mirrored, shifted
from abprop.data.crops import crops
from abprop.data.hiding import check_rule, hidden_by, set_aside
from abprop.data.signals import ASIDE, MISSING, OBSERVED, SECRET, Scale, Signals, fingerprint
from abprop.data.sources import read
from abprop.files.write import grid, save_images

__all__ = [
    "ASIDE",
    "MISSING",
    "OBSERVED",
    "SECRET",
    "Scale",
    "Signals",
    "check_rule",
    "crops",
    "fingerprint",
    "grid",
    "hidden_by",
    "mirror_ratio",
    "mirrored",
    "read",
    "save_images",
    "set_aside",
    "shifted",
]

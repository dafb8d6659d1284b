"""Arrays of anything else: channels over zero to three axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abprop.files.write import save_images
from abprop.kinds.base import Kind


class Array(Kind):
    """What no other kind recognises."""

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """Two axes are written as pictures, others as rows."""
        return ".tif" if len(shape) == 3 else ".csv"

    def write(
        self, x: np.ndarray, path: Path, names: Sequence[str] | None, about: Mapping[str, Any]
    ) -> str:
        """See `Kind.write`."""
        if x.ndim != 4:
            return super().write(x, path, names, about)
        files = save_images(x, path, names=names)
        return (
            f"{len(x)} arrays of {x.shape[3]}x{x.shape[2]}: {files[0] if len(files) == 1 else path}"
        )

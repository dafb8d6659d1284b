"""A sound: one clip of noise such as rain, of whose short-time spectra many crops are examples.

What is learned is the variance of each band over time; see `spectra`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abprop.data import Examples, Signals, Views, crops
from abprop.data.choice import chosen
from abprop.errors import AbpropError, UserError
from abprop.files import sounds
from abprop.files.entries import SOUNDS, file_at
from abprop.files.limits import quoted
from abprop.files.write import inside
from abprop.grammar import parse_latent
from abprop.kinds.base import Asked, Kind, Raw, Request
from abprop.kinds.pictures.texture import neighbours
from abprop.say import counted
from abprop.spectra import Colour, colour

FASTEST = 24_000  # samples a second that are learned
WINDOW = 0.0128  # seconds
CROP, FEWEST_FRAMES = 64, 32  # frames of a crop; of the shortest
CROPS = 300
STAGES = 4  # doublings from a cell to frames
LEVELS, FACTORS = 1, 12  # scales of the map, and factors in each cell of each
CHANNELS = 48
QUIET = 1e-6  # of full scale: what is below is silence


class Sound(Kind):
    """One clip of a stationary noise."""

    name, one, many = "sound", "crop", "crops"
    preset, cuts, reads_as = "sound", True, "sound"
    several = "array"
    figures = ("clip", "explained", "sounded", "heard")

    # Reading ----------------------------------------------------------------------------------

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Never: an array does not tell its rate."""
        return False

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """(1, C, T) of (T,), (T, C), (C, T) or itself; channels are fewer than samples."""
        if values.ndim == 1:
            return values[None, None]
        if values.ndim == 2:
            return (values.T if values.shape[0] > values.shape[1] else values)[None]
        return values if values.ndim == 3 and len(values) == 1 else None

    def reads(self, path: Path) -> bool:
        """Sound files."""
        return path.suffix.lower() in SOUNDS

    def read(self, path: Path, request: Request) -> Raw:
        """See `Kind.read`."""
        where = quoted(path)
        if request.kind not in ("auto", self.name):
            raise UserError(f"{where} is a sound, no {request.kind}; set data.kind={self.name}")
        if request.masks is not None:
            raise UserError(f"{where} is a sound, which must be complete; leave out the masks")
        chosen(request.select, request.limit, 1, where)
        entry = file_at(path)
        heard = sounds.decode(entry.read(), entry.where)
        rate = request.rate or _slower(heard.rate)
        values = sounds.resampled(heard.values, heard.rate, rate)
        if np.abs(values).max() < QUIET:
            raise UserError(f"{where} is silent; give a sound that can be heard")
        about = {"rate": rate, "file_rate": heard.rate, "subtype": heard.subtype}
        return Raw(self.name, values[None], None, [path.stem], note=heard.note, about=about)

    def check_veil(self, veil: np.ndarray | None, where: str) -> None:
        """See `Kind.check_veil`: a spectrum needs all samples of its window."""
        if veil is not None:
            raise UserError(f"{where} is a sound, which must be complete; hide nothing of it")

    def told(self, request: Request) -> dict[str, Any]:
        """See `Kind.told`."""
        if request.rate is None:
            raise UserError("an array of a sound does not tell its rate; set data.rate=44100")
        return {"rate": request.rate, "file_rate": request.rate, "subtype": "FLOAT"}

    # Choosing ---------------------------------------------------------------------------------

    def colour(self, signals: Signals, asked: Asked) -> Colour | None:
        """See `Kind.colour`."""
        if "rate" not in signals.about:  # crops of spectra
            return None
        window = asked["data.window"] or 2 * round(signals.about["rate"] * WINDOW / 2)
        try:
            found = colour(torch.from_numpy(signals.values[0]), window)
        except AbpropError:
            raise UserError(
                f"{signals.source}: a window of {window} of {signals.shape[-1]} samples; "
                "data.window must be an even number and much less than the clip has"
            ) from None
        return found

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Crops of less than a second, and the map that covers one."""
        bands, frames = seen.signal_shape
        if frames < 2 * FEWEST_FRAMES:
            raise UserError(
                f"this clip has {counted(frames, 'frame', 'frames')}, too few to learn from; "
                f"give a longer one, or a smaller data.window than {2 * (bands - 1)}"
            )
        crop = asked["data.crop"] or min(CROP, frames // 2)
        chosen: dict[str, Any] = {
            "data.window": 2 * (bands - 1),
            "data.crop": crop,
            "data.crops": asked["data.crops"] or min(CROPS, max(1, frames - crop + 1)),
            "data.mirror": "no",
            "data.shift": 0,
            "data.holdout": 0.0,
        }
        if asked["infer.start"] == "auto":
            chosen["infer.start"] = "pca"
        if asked["model.channels"] is None:
            chosen["model.channels"] = CHANNELS
        if asked["model.latent"] == "auto":
            levels, cell = asked["model.levels"] or LEVELS, 2**STAGES
            factors = FACTORS * sum(2**level for level in range(levels))
            chosen |= {"model.latent": f"{factors}x{-(-(crop - 2) // cell) + 2}"}
            chosen |= {"model.levels": levels}
        latent = parse_latent(chosen.get("model.latent", asked["model.latent"]))
        return {"train.draws": 0.0} | chosen | neighbours(asked, latent, draws=False)

    def views(self, signals: Signals, asked: Asked) -> Views:
        """Crops that cover the clip."""
        size, count = asked["data.crop"], asked["data.crops"]
        return crops(signals, size=size, count=count, seed=asked["seed"])

    # Showing and writing ----------------------------------------------------------------------

    def tiles(self, x: np.ndarray) -> np.ndarray | None:
        """Spectra as grey pictures, low bands below."""
        grey = np.clip(np.rint((np.nan_to_num(x) + 1) * 127.5), 0, 255).astype(np.uint8)
        return grey[:, None, ::-1]

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """WAV."""
        return ".wav"

    def write(
        self,
        x: np.ndarray,
        path: Path,
        names: Sequence[str] | None,
        columns: Sequence[str],
        about: Mapping[str, Any],
    ) -> str:
        """See `Kind.write`; several sounds go into a folder."""
        rate, wanted, subtype = about["rate"], about["file_rate"], about["subtype"]
        if path.suffix and len(x) > 1:
            raise UserError(f"{quoted(path)}: {len(x)} sounds do not fit one file; give a folder")
        names = names or [f"{i:06d}" for i in range(len(x))]
        files = [path] if path.suffix else [path / f"{inside(name)}.wav" for name in names]
        for one, file in zip(x, files, strict=True):
            sounds.save_sound([sounds.resampled(one, rate, wanted)], file, wanted, subtype)
        seconds = x.shape[2] / rate
        return f"{counted(len(x), 'sound', 'sounds')} of {seconds:.2f} s: {path}"


def _slower(rate: int) -> int:
    """The rate divided by a whole number, at most FASTEST."""
    return rate // -(-rate // FASTEST) if rate > FASTEST else rate

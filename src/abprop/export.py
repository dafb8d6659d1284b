"""The decoder alone, for programs that know nothing of abprop: ONNX, or torch.export's own file.

    z (batch, *latent)  ->  x = unit f(z) + middle, float32 data units, (batch, C, *size)

A vector of latents is N(0, I), or scatters as far under a prior of another shape (`model.prior` is
mixture or learned, in the file's metadata): then draws of it are `run.model.prior`'s. A map may
have any number of cells along each axis from what was learned on, and the signal grows with it.
What draws a map's latents (its prior) stays behind.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abprop.errors import UserError
from abprop.files.limits import quoted
from abprop.files.write import replacing
from abprop.run import Run
from abprop.version import version

LATENT, SIGNAL = "z", "x"  # names of input and output


class Decoder(nn.Module):
    """f with its output in data units.

    Args:
        run: a fitted run; its network is copied to the processor, in float32.

    Raises:
        UserError: a signal of this run is more than f(z).
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        if run.voice is not None:
            raise UserError(
                f"{run.folder}: f(z) of this run is a sound's spectra, no sound; it cannot be "
                "exported, use sample"
            )
        network: Any = copy.deepcopy(run.model.network).cpu().requires_grad_(False)
        network.dtype = torch.float32  # of its convolutions; a linear one has no other
        self.network = network
        width = (1, -1, *(1 for _ in run.shape[1:]))
        for name, value in (("unit", run.scale.unit), ("middle", run.scale.middle)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32).reshape(width))

    def forward(self, z: Tensor) -> Tensor:
        """Signals in data units of latents."""
        return self.network(z) * self.unit + self.middle


def program(run: Run) -> torch.export.ExportedProgram:
    """The decoder as torch.export traces it, for any batch; maps of any size.

    Raises:
        UserError: see `Decoder`.
    """
    latent = run.model.network.latent_shape
    z = torch.randn(2, *latent, generator=torch.Generator().manual_seed(0))
    free: dict[int, Any] = dict.fromkeys((0, *range(2, 1 + len(latent))), torch.export.Dim.AUTO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(Decoder(run).eval(), (z,), dynamic_shapes=(free,))


def export(run: Run, path: str | Path) -> Path:
    """Write the decoder.

    Args:
        run: a fitted run.
        path: .onnx (needs `pip install abprop[export]`) or .pt2 (`torch.export.load`).

    Raises:
        UserError: another ending, a package that is missing, a run that cannot be exported, or a
            disk that refuses.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"{quoted(path)}: must end in {' or '.join(WRITERS)}")
    write = WRITERS[path.suffix.lower()]
    with replacing(path) as temporary:
        write(run, temporary)
    return path


def _onnx(run: Run, path: Path) -> None:
    try:
        import onnxscript  # noqa: F401  # torch's exporter writes by it
    except ImportError as error:
        raise UserError("export to ONNX needs onnxscript; pip install abprop[export]") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program(run), input_names=[LATENT], output_names=[SIGNAL], dynamo=True, verbose=False
        )
    assert made is not None
    made.model.metadata_props.update(_about(run))
    made.save(str(path))


def _pt2(run: Run, path: Path) -> None:
    with path.open("wb") as file:
        torch.export.save(program(run), file, extra_files={"about.json": json.dumps(_about(run))})


def _about(run: Run) -> dict[str, str]:
    """What whoever opens the file should know."""
    return {
        "abprop": version(),
        "kind": run.kind.name,
        "prior": run.recipe.model.prior,
        "latent": "x".join(map(str, run.model.network.latent_shape)),
        "signal": "x".join(map(str, run.shape)),
        "dtype": str(run.scale.dtype),
    }


WRITERS: dict[str, Callable[[Run, Path], None]] = {".onnx": _onnx, ".pt2": _pt2}

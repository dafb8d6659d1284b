"""The Python face: fit a run, load a run.

run = abprop.fit(array_or_path, latent=100, budget="10m")
run = abprop.load("runs/faces")
run.sample(16);  run.reconstruct(x);  run.embed(x)
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from abprop import hub
from abprop.app.progress import on_screen
from abprop.errors import UserError, unknown
from abprop.learning import Clock
from abprop.run import Layers, Progress
from abprop.run import Run as _Run
from abprop.run import fit as _fit
from abprop.run import load as _load
from abprop.run.recipe import KEYS
from abprop.run.split import GIVEN
from abprop.say import Say

__all__ = ["Run", "fit", "load"]

_HERE = Clock()  # lives as long as the program: temporary runs go when it does
_SHORT = {key.rpartition(".")[2]: key for key in reversed(list(KEYS))}


@dataclass(repr=False)
class Run(_Run):
    """A fitted run. Arrays come back channels first, (N, C, *size), whatever order went in.

    One that was learned without `run=` lies in a temporary folder, which goes when the program
    ends; `save` keeps it.
    """

    def __repr__(self) -> str:
        count, size = len(self.names), "x".join(map(str, self.shape))
        latent = "x".join(map(str, self.model.network.latent_shape))
        return (
            f"<abprop.Run of {self.kind.counted(count)}, each {size}\n"
            f" latent {latent}, iteration {self.step} of {self.recipe.train.iterations}\n"
            f" in {self.folder}>"
        )

    def save(self, path: str | Path) -> Path:
        """Copy the run directory, to be loaded from there later; returns where it is.

        Raises:
            UserError: there is something of that name, or it cannot be written.
        """
        target = Path(path)
        if target.exists():
            raise UserError(f"{target} exists; save the run under another name")
        try:
            shutil.copytree(self.folder, target, ignore=shutil.ignore_patterns(".lock"))
        except (OSError, shutil.Error) as error:
            raise UserError(f"cannot save the run as {target}: {error}") from error
        return target

    def export(self, path: str | Path) -> Path:
        """Write the decoder alone, as .onnx or .pt2; see `abprop.export`."""
        from abprop.export import export

        return export(self, path)

    def push(self, name: str, *, private: bool = False) -> str:
        """Upload to the Hugging Face Hub; see `abprop.hub.push`."""
        return hub.push(self, name, private=private)

    def report(self) -> Path:
        """Write report.html into the run directory again; returns its path."""
        from abprop.report.pages import write_report

        return write_report(self.folder, self.source, self.operator)


def load(
    folder: str | Path,
    *,
    data: object = None,
    operator: object = None,
    device: str | None = None,
    last: bool = False,
    say: Say = warnings.warn,
) -> Run:
    """A run from its directory, at its best checkpoint.

    Args:
        folder: the run directory, or one on the Hugging Face Hub, "hf://NAMESPACE/NAME".
        data: where its data are now, a path or an array, if not where the recipe says.
        operator: through which it was learned, if that was given in Python.
        device: auto, cuda, mps or cpu; if not given, what it was learned on, if that is here.
        last: take the newest checkpoint instead of the best.
        say: told one line about each checkpoint that is bad.

    Raises:
        UserError: it is not a run, or none of its checkpoints is whole.
    """
    found = _load(
        hub.local(folder), data=data, operator=operator, device=device, last=last, say=say
    )
    return Run(**{field.name: getattr(found, field.name) for field in fields(found)})


def fit(
    source: object,
    *,
    run: str | Path | None = None,
    preset: str | Path | None = None,
    measure: object = None,
    operator: object = None,
    sets: Mapping[str, Any] | None = None,
    verbose: bool = True,
    **short: Any,
) -> Run:
    """Learn a generator and its examples' latents.

    Args:
        source: a path as on the command line, or an array: (N, H, W[, C]) or (N, C, H, W) pictures,
            (H, W[, C]) one texture, (N, D) a table; NaN = missing.
        run: the run directory; fitting again into it resumes. A temporary one if None, gone when
            the program ends unless `Run.save` copied it.
        preset: a preset's name or TOML file.
        measure: learn from simulated measurements of the source only: a rule, "down:4", or an
            operator.
        operator: the source holds measurements y = A(x), `shape` is that of a signal x: a matrix
            (a .npy, or an array), a rule, one of `abprop.operators`, a linear physics as deepinv
            has them, or a function of a tensor (b, C, *size) that autograd can differentiate.
            Those act on signals in data units, which `range` tells ("-1:1" if nothing does); no
            recipe can hold them, so `load` must be given them again.
        sets: dotted recipe keys, as {"model.latent": 100}.
        verbose: show progress on stderr.
        **short: recipe keys without their section: latent=100, iterations=500, budget="10m".

    Returns:
        The fitted run, at its best checkpoint. Arrays come back channels first: (N, C, H, W) also
        where (N, H, W) or (N, H, W, C) was given.

    Raises:
        KeyboardInterrupt: Ctrl-C, after saving; its message says where, and how to go on.
        UserError: bad data, an unknown key or a bad value; one line saying what to do.
    """
    clock = Clock()
    overrides = dict(sets or {})
    for name, value in short.items():
        if name not in _SHORT:
            raise unknown("argument", name, _SHORT)
        overrides[_SHORT[name]] = value
    named = isinstance(source, str | Path)
    overrides["data.source"] = str(source) if named else "<array>"
    handed = _operators(overrides, measure, operator)
    asked, given = Layers(preset, (), overrides, handed), None if named else source
    progress = on_screen() if verbose else Progress()
    folder, remove = _folder(run)
    try:
        session = _fit(folder, asked, source=given, progress=progress, clock=clock)
        if session.interrupted:
            remove.detach()  # what was learned can be gone on with
            raise KeyboardInterrupt(
                f"saved in {folder} at iteration {session.learning.t} of "
                f"{session.learning.total}; fit again with run={str(folder)!r} to go on"
            )
    finally:
        progress.end()
    return load(folder, data=given, operator=handed, device=session.recipe.run.device)


def _operators(overrides: dict[str, Any], measure: object, operator: object) -> object:
    """Write both into recipe keys; returns the one that no key can hold."""
    handed = None
    for key, given in (("data.measure", measure), ("data.operator", operator)):
        if isinstance(given, str | Path):
            overrides[key] = str(given)
        elif given is not None:
            overrides[key], handed = GIVEN, given
    if operator is not None and overrides["data.source"] == "<array>":
        overrides.setdefault("data.kind", "array")  # y as it is, whatever it looks like
    return handed


def _folder(run: str | Path | None) -> tuple[Path, weakref.finalize[..., Any]]:
    """The run directory, and what removes it when the program ends; a user's own stays."""
    folder = Path(run) if run is not None else Path(tempfile.mkdtemp(prefix="abprop-"))
    remove = weakref.finalize(_HERE, shutil.rmtree, folder, ignore_errors=True)
    if run is not None:
        remove.detach()
    return folder, remove

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from abprop import hub
from abprop.app.progress import on_screen
from abprop.errors import UserError, unknown
from abprop.learning import Clock
from abprop.run import Growth, Layers, Progress, Session
from abprop.run import Run as _Run
from abprop.run import fit as _fit
from abprop.run import load as _load
from abprop.run.recipe import KEYS
from abprop.run.split import GIVEN
from abprop.say import Say

__all__ = ["Run", "fit", "load"]

_HERE = Clock()  # lives as long as the program: temporary runs go when it does
_SHORT: dict[str, list[str]] = {}
for _key in KEYS:
    if not _key.startswith("growth."):  # what `Run.add` and `Run.forget` say
        _SHORT.setdefault(_key.rpartition(".")[2], []).append(_key)


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

    def add(
        self, source: object, *, masks: str | Path | None = None, verbose: bool = True, **short: Any
    ) -> Run:
        """Learn from further examples as well; their ids follow those there are.

        Only their chains are new and burn in. Learning goes on if there are iterations left, or
        with more: `budget="5m"`, `iterations=2000`.

        Args:
            source: a path or array of examples like those learned from.
            masks: what is hidden of them, a path.
            verbose: show progress on stderr.
            **short: recipe keys without their section, of those that may change.

        Returns:
            The run as it is then; this one is out of date.

        Raises:
            UserError: they are not like the others, or this run's data are not at hand.
        """
        growth = Growth(source, None if masks is None else str(masks))
        given = None if isinstance(source, str | Path) else source
        return self._regrown(growth, [given], verbose, short)

    def forget(self, ids: str | Sequence[int], *, verbose: bool = True, **short: Any) -> Run:
        """Take examples out: their latents, their copies and older checkpoints go.

        The weights have learned from them, and only a new fit without them undoes that.

        Args:
            ids: of training or held-out examples, "3,17,42" or numbers.
            verbose, short: see `add`.

        Returns:
            The run as it is then; this one is out of date.

        Raises:
            UserError: there is no such example, or none would be left.
        """
        text = ids if isinstance(ids, str) else ",".join(map(str, ids))
        return self._regrown(Growth(forget=text), [], verbose, short)

    def _regrown(
        self, growth: Growth, more: list[object], verbose: bool, short: Mapping[str, Any]
    ) -> Run:
        places = list(self.source) if isinstance(self.source, tuple) else [self.source]
        places += [None] * (1 + len(self.recipe.growth.added) - len(places))
        asked = Layers(None, (), _dotted(short), self.operator, growth)
        _learned(self.folder, asked, tuple(places), verbose)
        return load(self.folder, data=tuple(places + more), operator=self.operator)

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
        data: where its data are now, a path or an array, if not where the recipe says; a tuple:
            the first source, and what was added to it.
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
        **short: recipe keys without their section: latent=100, iterations=500, budget="10m"; those
            of two sections (channels) are said in full, in `sets`.

    Returns:
        The fitted run, at its best checkpoint. Arrays come back channels first: (N, C, H, W) also
        where (N, H, W) or (N, H, W, C) was given.

    Raises:
        KeyboardInterrupt: Ctrl-C, after saving; its message says where, and how to go on.
        UserError: bad data, an unknown key or a bad value; one line saying what to do.
    """
    clock = Clock()
    overrides = {**(sets or {}), **_dotted(short)}
    named = isinstance(source, str | Path)
    overrides["data.source"] = str(source) if named else "<array>"
    handed = _operators(overrides, measure, operator)
    asked, given = Layers(preset, (), overrides, handed), None if named else source
    folder, remove = _folder(run)
    try:
        session = _learned(folder, asked, given, verbose, clock)
    except KeyboardInterrupt:
        remove.detach()  # what was learned can be gone on with
        raise
    return load(folder, data=given, operator=handed, device=session.recipe.run.device)


def _dotted(short: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe keys without their section, with it."""
    for name in short:
        if name not in _SHORT:
            raise unknown("argument", name, _SHORT)
        if len(keys := _SHORT[name]) > 1:
            raise UserError(
                f"{name}: is that {' or '.join(keys)}? Say sets={{'{keys[-1]}': ...}} or the other"
            )
    return {_SHORT[name][0]: value for name, value in short.items()}


def _learned(
    folder: Path, asked: Layers, source: object, verbose: bool, clock: Clock | None = None
) -> Session:
    progress = on_screen() if verbose else Progress()
    try:
        session = _fit(folder, asked, source=source, progress=progress, clock=clock)
    finally:
        progress.end()
    if session.interrupted:
        raise KeyboardInterrupt(
            f"saved in {folder} at iteration {session.learning.t} of "
            f"{session.learning.total}; fit again with run={str(folder)!r} to go on"
        )
    return session


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

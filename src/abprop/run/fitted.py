"""A fitted run: its directory, its model, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abprop import checkpoint, tasks
from abprop.data import ASIDE, Scale, Sensor, Signals
from abprop.errors import UserError
from abprop.evaluate import Answer, Explained, Posterior, explained, judged, recovery
from abprop.grammar import names, whole, whole_numbers
from abprop.kinds import KINDS, Kind
from abprop.model import Model
from abprop.noise import Noise
from abprop.run import metrics
from abprop.run.recipe import Recipe, compose
from abprop.run.split import Split, listed_back, load_data, read_alike, sensor, split
from abprop.say import Say, quiet
from abprop.sources import recognised


@dataclass
class Run:
    """A fitted model with the data's scale. Pictures in and out are arrays in data units.

    Attributes:
        folder: the run directory.
        recipe: complete.
        model: folded, so that vector latents are N(0, I); sigma is the held-out residual.
        learned: the same before folding, in the coordinates in which chains move best.
        step: the checkpoint's iteration.
        meta: what the checkpoint says of the data.
        ids, z: the training examples' ids and latents (of `model`), rows in id order; the first
            `len(meta["data"]["names"])` are the originals, copies follow.
        states: the same latents of `learned`.
    """

    folder: Path
    recipe: Recipe
    model: Model
    learned: Model
    device: torch.device
    step: int
    meta: dict[str, Any]
    ids: Tensor
    z: Tensor
    states: Tensor
    source: object = None
    _signals: Signals | None = field(default=None, repr=False)
    _split: Split | None = field(default=None, repr=False)
    _cut: Signals | None = field(default=None, repr=False)
    _posteriors: dict[str, list[Posterior]] = field(default_factory=dict, repr=False)

    @property
    def scale(self) -> Scale:
        """The map between data units and model units."""
        return listed_back(self.meta["data"]["scale"])

    @property
    def kind(self) -> Kind:
        """What kind of signals these are; behind a matrix, what they look like."""
        if self.recipe.data.operator:
            return recognised((2, *self.shape), np.dtype(np.float32))
        return KINDS[self.meta["data"]["kind"]]

    @property
    def measured(self) -> bool:
        """Whether learning saw measurements only."""
        return bool(self.recipe.data.measure or self.recipe.data.operator)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of one signal."""
        return tuple(self.meta["data"]["shape"])

    @property
    def names(self) -> list[str]:
        """The training examples' names, copies left out."""
        return list(self.meta["data"]["names"])

    @property
    def signals(self) -> Signals:
        """The data this run was learned from.

        Raises:
            UserError: they are not where the recipe says, or not the same.
        """
        if self._signals is not None:
            return self._signals
        mend = "say where the data are now with --data SOURCE (or data=...)"
        if self.source is None and self.recipe.data.source in ("", "<array>"):
            raise UserError(f"{self.folder} was learned from an array given in Python; {mend}")
        try:
            signals = load_data(self.recipe, self.source)
        except UserError as error:
            raise UserError(f"{error}; or {mend}") from error
        if signals.fingerprint != self.recipe.data.fingerprint:
            raise UserError(f"{signals.source} is not what {self.folder} was learned from; {mend}")
        self._signals = signals
        return signals

    @property
    def split(self) -> Split:
        """Training and held-out examples as they were while learning."""
        if self._split is None:
            self._split = split(self.recipe, self.signals)
        return self._split

    def sensor(self, signals: Signals) -> Sensor:
        """How such signals are observed by this run."""
        return sensor(self.recipe, signals)

    def sample(
        self, n: int | None = None, *, size: tuple[int, ...] | None = None, seed: int = 0,
        tile: bool = False,
    ) -> np.ndarray:  # fmt: skip
        """New signals, (n, C, *size) in data units and dtype.

        Args:
            n: how many; 64 for vector latents, 1 for maps.
            size, seed: lengths of a map's signal (height, width); another seed, other signals.
            tile: signals of a map whose opposite edges fit.
        """
        model, noise = self.model, Noise(seed, "draws")
        n = whole("n (-n)", (1 if model.network.stationary else 64) if n is None else n, 1)
        if not (model.network.stationary or tile):
            return self._data(tasks.sample(model, n, noise, size=size, chunk=self._chunk))
        size = size or self.shape[1:]
        windows = (tasks.seamless if tile else tasks.endless)(model, n, noise, size)
        return tasks.canvas(model, windows, size, self._data)

    def reconstruct(self, source: object = None, sets: Sequence[str] = ()) -> np.ndarray:
        """f(z) at the most probable z of each signal; of training examples at their kept z.

        Args:
            source: path or array; the training data if None.
            sets: data.* keys for `source`.
        """
        blocks = self.explained(self.given(source, sets))
        return np.concatenate([self._data(block.x) for block in blocks])

    def embed(self, source: object = None, sets: Sequence[str] = ()) -> np.ndarray:
        """Latents, (N, *latent_shape); those kept while learning if no data are given."""
        if source is None:
            return self.z[: len(self.names)].cpu().numpy()
        return torch.cat([block.z for block in self.explained(self.given(source, sets))]).numpy()

    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """Signals f(z) of latents (N, *latent_shape), in data units."""
        z = torch.as_tensor(z).to(self.z)
        return self._data(tasks.generate(self.model, z, chunk=self._chunk))

    def interpolate(self, ids: str | Sequence[int] | None = None, side: int = 8) -> np.ndarray:
        """A side x side sheet between four examples, (side^2, C, *size).

        Args:
            ids: four numbers of training examples; else the first four.
            side: signals along an edge.
        """
        if self.model.network.stationary:
            raise UserError("interpolate: a map latent has no corners; use sample --size")
        side = whole("side (--side)", side, 2)
        ids = None if ids is None else whole_numbers("ids (--ids)", ids)
        corners = self.z[tasks.corners(ids, self.ids[: len(self.names)].tolist())]
        return self._data(tasks.interpolate(self.model, corners, side, chunk=self._chunk))

    def latent_grid(self, side: int = 9, extent: float = 2.0) -> np.ndarray:
        """Signals over [-extent, extent]^2 when d = 2, row by row from the top."""
        return self._data(tasks.latent_grid(self.model, side, extent, chunk=self._chunk))

    def recover(
        self,
        y: object = None,
        mask: object = None,
        *,
        draws: int = 16,
        hide: str | None = None,
        sets: Sequence[str] = (),
    ) -> Answer:
        """What is hidden of signals, filled in, with its uncertainty; see `recovery.Answer`.

        Args:
            y: path or array, NaN = missing; the training data if None.
            mask: True = hidden, a path or an array like y.
            draws: posterior draws of each signal.
            hide: a rule that hides more, "P.5".
            sets: data.* keys for `y`.
        """
        draws = whole("draws (--draws)", draws, 2)
        return self.recovered(self.incomplete(y, sets, mask, hide), draws=draws)

    def recovered(self, signals: Signals, *, draws: int = 16, progress: Say = quiet) -> Answer:
        """The same for signals that were read."""
        posterior, signals = self.posterior(signals, draws, progress), signals.unveiled(ASIDE)
        return recovery.answer(posterior, signals, draws, self.device, progress)

    def posterior(
        self, signals: Signals, draws: int, progress: Say = quiet, residual: str | None = None
    ) -> Posterior:
        """How this run answers for what is hidden of such signals, its width calibrated on them.

        Args:
            signals, draws, progress: see `evaluate`.
            residual: "correlated" or "white"; the run's own if None.
        """
        if self.measured:
            raise UserError("this run learned from measurements, not from parts: use reconstruct")
        residual = residual or self.residual
        if residual not in self._posteriors:
            progress("fitting the law of the residuals")
            train = self.split.train.take(range(min(recovery.FITTED, len(self.names)))).stored()
            how = (residual == "correlated", self._chunk, self.recipe.seed)
            self._posteriors[residual] = recovery.answering(self.learned, self.states, train, *how)
        progress("calibrating the uncertainty on entries set aside")
        share = self.recipe.data.aside or recovery.SHARE
        return recovery.calibrated(self._posteriors[residual], signals, draws, self.device, share)

    @property
    def residual(self) -> str:
        """ "correlated" or "white": the law of what f leaves over."""
        asked, neighbours = self.recipe.model.residual, len(self.shape) > 1
        return asked if asked != "auto" else "correlated" if neighbours else "white"

    def evaluate(
        self,
        source: object = None,
        *,
        sets: Sequence[str] = (),
        against: str | Sequence[str] = (),
        draws: int = 16,
        progress: Say = quiet,
    ) -> dict[str, Any]:
        """Errors (see `abprop.evaluate`), and those of baselines.

        Of what was hidden on purpose, if something was, under posterior draws; else of the whole
        signals, reconstructed.

        Args:
            source: signals to reconstruct; the training data if None.
            sets: data.* keys for `source`.
            against: baselines ("mean,pca" or a list), fitted to this run's own data.
            draws: posterior draws of each signal that has hidden parts.
            progress: told what is being done.
        """
        draws, against = whole("draws (--draws)", draws, 2), names("against (--against)", against)
        result = judged(self, self.given(source, sets), against, draws, progress)
        told = metrics.sampler(metrics.load(self.folder / "metrics.jsonl"))
        return result if told is None else {**result, "chains": told.row()}

    def info(self) -> dict[str, Any]:
        """What this run is, with hashes of weights and latents."""
        total = self.recipe.train.iterations
        return checkpoint.facts(self.folder, self.step, total, self.model, self.meta["data"])

    @property
    def plane(self) -> bool:
        """Whether there are two latent factors, to be laid out on a grid."""
        return self.model.network.latent_shape == (2,)

    @property
    def suffix(self) -> str:
        """The extension of a file that can hold signals of this run."""
        return self.kind.suffix(self.shape, self.scale.dtype)

    def write(self, x: np.ndarray, path: Path, names: Sequence[str] | None = None) -> str:
        """Write signals in data units to a file or folder, and say where; see `Kind.write`."""
        return self.kind.write(x, path, names, self.meta["data"]["columns"])

    @property
    def _chunk(self) -> int:
        return int(self.meta["chunk"])

    def given(
        self,
        source: object = None,
        sets: Sequence[str] = (),
        masks: object = None,
        hide: str | None = None,
    ) -> Signals:
        """The signals `source` means, brought to this run's size, channels and scale.

        Args:
            source: path or array; this run's own data if None; signals already read stay as they
                are.
            sets: data.* keys such as "data.select=0:300".
            masks: what is hidden of them, a path or an array, True = hidden.
            hide: or a rule that hides, "P.5".

        Raises:
            UserError: they cannot be brought there.
        """
        if isinstance(source, Signals):
            return source
        if source is None and masks is None and hide is None:
            return self._own_signals()
        return self._alike(source, self.shape, sets, masks, hide)

    def incomplete(self, source: object = None, sets: Sequence[str] = (), *hidden: Any) -> Signals:
        """As `given`, for `recover`; what crops are cut from comes whole, and of any size."""
        if not self.kind.cuts or isinstance(source, Signals):
            return self.given(source, sets, *hidden)
        if source is None and not any(rule is not None for rule in hidden):
            return self.signals
        return self._alike(source, (self.shape[0], *(None for _ in self.shape[1:])), sets, *hidden)

    def _alike(
        self, source: object, shape: tuple[int | None, ...], sets: Sequence[str], *hidden: Any
    ) -> Signals:
        if source is None:
            raise UserError("masks and hide need a SOURCE: what this run hid of its own is known")
        wish = compose(None, sets).data
        return read_alike(source, self.recipe, self.kind, shape, self.scale, wish, *hidden)

    def _own_signals(self) -> Signals:
        """The training data without copies; what was cut from one source as it was cut."""
        if not self.kind.cuts:
            return self.signals
        if self._cut is None:
            self._cut = self.split.train.stored()
        return self._cut

    def explained(self, signals: Signals) -> Iterator[Explained]:
        """f(z) of signals that were read, block by block, in model units; z kept or inferred."""
        return explained(
            self.model,
            signals,
            self.sensor(signals),
            own=self._rows_of(signals),
            table=self.z,
            known=len(self.names),
            device=self.device,
            chunk=self._chunk,
        )

    def _rows_of(self, signals: Signals) -> dict[int, int]:
        """Rows of `signals` that were learned from -> their rows in the table of latents."""
        if not self.kind.cuts and signals.fingerprint == self.recipe.data.fingerprint:
            return {int(id_): row for row, id_ in enumerate(self.ids[: len(self.names)])}
        return {row: row for row in range(len(signals))} if signals is self._cut else {}

    def _data(self, x: Tensor) -> np.ndarray:
        return self.scale.to_data(np.ascontiguousarray(x.cpu().float().numpy()))

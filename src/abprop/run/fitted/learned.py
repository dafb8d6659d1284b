"""A fitted run: its directory, its model, and the data it was learned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abprop.data import Scale, Sensor, Signals
from abprop.data import sensor as sensor_of
from abprop.distributed import ALONE, Group
from abprop.errors import UserError
from abprop.evaluate import Explained, Posterior, explained
from abprop.kinds import KINDS, Kind
from abprop.model import Model
from abprop.residuals import Known
from abprop.run.reading import OtherShape, forgotten, load_data, read_alike, read_measured
from abprop.run.recipe import Recipe, compose
from abprop.run.split import Split, listed_back, scale_read, sensor, split
from abprop.sources import recognised
from abprop.spectra import Colour, of_mean

NUMBERS = 2**14  # of signals in one pass of chains: with fewer a step costs what its calls cost


@dataclass
class Learned:
    """What a run is and what it was learned from; `Run` adds what can be done with it.

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
        source: where the data are now, if not where the recipe says, see `load_data`; or what was
            read of them.
        colour: of a sound that was learned by the variance of its bands.
        known: what measurements said of the signals, if they were learned from as completed.
        operator: through which it was learned, if that was given in Python.
        group: processes that answer together, each with the same call.
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
    colour: Colour | None = None
    known: Known | None = None
    operator: object = None
    group: Group = ALONE
    _signals: Signals | None = field(default=None, repr=False)
    _split: Split | None = field(default=None, repr=False)
    _own: Signals | None = field(default=None, repr=False)
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
    def rate(self) -> int:
        """Samples a second of a sound; 0 of all else."""
        return int(self.meta["data"].get("about", {}).get("rate", 0))

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
            known = self.source if isinstance(self.source, Signals) else None
            scale = scale_read(self.meta["data"])
            signals = known or load_data(self.recipe, self.source, scale=scale)
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
            self._split = split(self.recipe, self.signals, self.sensor(self.signals))
        return self._split

    def sensor(self, signals: Signals) -> Sensor:
        """How such signals are observed by this run."""
        # Crops of a sound are spectra already.
        colour = self.colour if signals.rate else None
        found = sensor(self.recipe, signals, colour, self.known, self.operator)
        found.check_same(self.meta["data"].get("sensed", []), str(self.folder))
        return found

    @property
    def _chunk(self) -> int:
        return int(self.meta["chunk"])

    @property
    def _chains(self) -> int:
        """Chains in one pass: more than while learning, where signals are small."""
        return max(self._chunk, NUMBERS // prod(self.shape))

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

    def asked(
        self,
        source: object = None,
        sets: Sequence[str] = (),
        masks: object = None,
        hide: str | None = None,
        measure: object = None,
        operator: object = None,
    ) -> tuple[Signals, Sensor | None]:
        """Signals as `incomplete` gives them; and how they are observed, where that was asked.

        Args:
            source, sets, masks, hide: see `given`.
            measure: what measures complete signals: a rule, or an operator as `fit` takes it.
            operator: the source holds measurements by it: a matrix in a .npy, a rule, or an
                operator.

        Raises:
            UserError: measurements of measurements, or of signals with masks.
        """
        if measure is None and operator is None:
            return self.incomplete(source, sets, masks, hide), None
        if self.recipe.data.operator or self.rate:
            raise UserError(
                "--measure, --operator: not for a run of measurements through a matrix or of a "
                "sound; leave them out"
            )
        if np.ndim(self.scale.low):
            raise UserError("--measure, --operator: not for a table; leave them out")
        if masks is not None or hide is not None:
            raise UserError("--measure, --operator: not with masks; leave one of them out")
        if operator is None:
            signals = self._to_measure(source, sets, measure)
        elif source is None:
            raise UserError("--operator needs a SOURCE: the measurements")
        else:
            signals = source if isinstance(source, Signals) else read_measured(source, sets)
        return signals, sensor_of(
            signals,
            measure=measure,
            operator=operator,
            shape="x".join(map(str, self.shape)),
            range=f"{float(self.scale.low)}:{float(self.scale.high)}"
            if operator is not None
            else None,
            seed=self.recipe.seed,
        )

    def _to_measure(self, source: object, sets: Sequence[str], measure: object) -> Signals:
        try:
            return self.given(source, sets)
        except OtherShape as error:
            told = measure if isinstance(measure, str) else "..."
            raise UserError(
                f"{error}; if these are measurements already, say so: --operator {told}"
            ) from error

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
        if self.rate and self.kind.cuts and source is not None:
            raise UserError("a run of a sound answers for its own clip only; fit another run")
        if source is None:
            raise UserError("masks and hide need a SOURCE: what this run hid of its own is known")
        wish, heard = compose(None, sets).data, self._heard
        length = {"rate": self.rate, "seconds": heard[1] / self.rate} if heard else {}
        asked = (self.recipe, self.kind, heard or shape, self.scale, wish, *hidden)
        return read_alike(source, *asked, **length)

    @cached_property
    def voice(self) -> Colour | None:
        """The colour of sounds made of f(z)."""
        if self.colour is None or not self.model.likelihood.central:
            return self.colour
        return of_mean(self.colour)

    @property
    def _heard(self) -> tuple[int, ...]:
        """Channels and samples of a sound whose variances these signals are; () of all else."""
        if self.colour is None:
            return ()
        return self.colour.channels, (self.shape[1] + 1) * self.colour.hop

    def _own_signals(self) -> Signals:
        """The training data without copies; what was cut from one source as it was cut."""
        if self._own is None:
            if self.kind.cuts:
                self._own = self.split.train.stored()
            elif gone := forgotten(self.recipe):
                self._own = self.signals.take(np.setdiff1d(np.arange(len(self.signals)), gone))
            else:
                self._own = self.signals
        return self._own

    def explained(self, signals: Signals) -> Iterator[Explained]:
        """f(z) of signals that were read, block by block, in model units; z kept or inferred."""
        return self._explained(signals, self._rows_of(signals))

    def inferred(self, signals: Signals) -> Iterator[Explained]:
        """The same with the most probable z, also of what was learned from."""
        return self._explained(signals, {})

    def _explained(self, signals: Signals, own: dict[int, int]) -> Iterator[Explained]:
        return explained(
            self.model,
            signals,
            self.sensor(signals),
            own=own,
            table=self.z,
            known=len(self.names),
            device=self.device,
            chunk=self._chunk,
            group=self.group,
        )

    def owns(self, signals: Signals) -> bool:
        """Whether these are what was learned from; of what cuts, the crops."""
        if self.kind.cuts:
            return list(signals.names) == self.names
        if signals is self._own:  # of which what was forgotten is left out
            return True
        same = signals.fingerprint == self.recipe.data.fingerprint
        return same and not forgotten(self.recipe)

    def _held_out(self, ids: set[int]) -> list[int]:
        """Those that were held out, ascending; the data are read only if there may be any."""
        held = self.split.heldout if ids else None
        return [] if held is None else sorted(ids & set(held.rows.tolist()))

    def _rows_of(self, signals: Signals) -> dict[int, int]:
        """Rows of `signals` that were learned from -> their rows in the table of latents."""
        if self.kind.cuts:
            return {row: row for row in range(len(signals))} if signals is self._own else {}
        if not self.owns(signals):
            return {}
        ids = self.ids[: len(self.names)].cpu().numpy()
        places = ids - np.searchsorted(forgotten(self.recipe), ids)
        return {int(place): row for row, place in enumerate(places)}

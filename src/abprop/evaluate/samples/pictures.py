"""How much a run's new pictures are like unseen ones, beside what f makes of known ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from abprop import tasks
from abprop.data import Scale, Signals
from abprop.data.views import Views
from abprop.errors import UserError
from abprop.evaluate.samples.likeness import SEEDS, Likeness
from abprop.evenly import evenly
from abprop.measures import Pictures, Ratios
from abprop.model import Model
from abprop.operators import Identity
from abprop.say import Say

MOST = 500  # pictures that are compared


class Split(Protocol):
    """What was learned from and what was held out."""

    @property
    def train(self) -> Views: ...
    @property
    def heldout(self) -> Views | None: ...


class Run(Protocol):
    """What judging pictures asks of a fitted run."""

    z: Tensor
    model: Model

    @property
    def measured(self) -> bool: ...
    @property
    def signals(self) -> Signals: ...
    @property
    def scale(self) -> Scale: ...
    @property
    def split(self) -> Split: ...
    @property
    def names(self) -> list[str]: ...
    def sample(self, n: int | None = None, *, seed: int = 0) -> np.ndarray: ...
    def decode(self, z: np.ndarray | Tensor) -> np.ndarray: ...


def judged(run: Run, rivals: Sequence[str], progress: Say) -> tuple[Likeness, dict[str, Ratios]]:
    """Ratios of samples, and of the known pictures' reconstructions, to known pictures.

    All three are of one number and held against the unseen pictures, of which none is among them.
    Reconstructions are f at the latents kept while learning: what samples would be if the prior
    were the law of the latents. Of those f knows more detail than of any others, so samples are
    held against reconstructions of the unseen pictures, too: by patches, which do not know whose
    they are.

    Args:
        run: learned from pictures, some of them held out.
        rivals: there are none.
        progress: told why nothing is said, if nothing can be.

    Returns:
        `sample_ratio`, `copy_ratio` and all `ratios` (see `measures.pictures.sets`);
        `reconstruction_ratio`, the same of reconstructions; `over_reconstructions`, the largest
        ratio of a distance of samples to that of reconstructions; and `over_unseen`, the ratio of
        their patches' distance to that of the unseen pictures' own reconstructions.
    """
    if run.measured or run.signals.hidden is not None:
        progress("samples are not judged: the pictures are not known in full")
        return {}, {}
    unseen = run.split.heldout
    if unseen is None:
        progress("samples are not judged: nothing was held out")
        return {}, {}
    rows = range(len(run.names))[evenly(len(run.names), MOST)]
    known, _ = run.split.train.batch(rows)
    try:
        others, _ = unseen.batch(range(min(MOST, len(unseen))))
        real = Pictures(known, others)
    except UserError as error:
        progress(f"samples are not judged: {error}")
        return {}, {}
    progress("comparing samples with unseen pictures")
    made = (run.sample(len(rows), seed=SEEDS[0]), run.decode(run.z[torch.tensor(rows)]))
    samples, again = (real.ratios(torch.from_numpy(run.scale.to_model(x))) for x in made)
    told: Likeness = {name: samples.pop(name) for name in ("sample_ratio", "copy_ratio")}
    told["reconstruction_ratio"] = again["sample_ratio"]
    told["over_reconstructions"] = max(samples[name] / again[name] for name in samples)
    told["over_unseen"] = samples["wasserstein"] / real.patches(_told(run, others))
    return {**told, "ratios": samples}, {}


def _told(run: Run, unseen: Tensor) -> Tensor:
    """What f makes of pictures that it has not seen, model units."""
    y = unseen.to(run.z)
    A, known = Identity(len(y), tuple(y.shape[1:])), run.z[: len(run.names)]
    return tasks.reconstruct(run.model, y, A, known=known)[0].to(unseen)

"""From a recipe and a source to examples: read, chosen for, set aside, cut, held out, copied."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abprop.data import Examples, Scale, Sensor, Signals, Views, mirrored, set_aside, shifted, whole
from abprop.data import sensor as sensor_of
from abprop.data.sensors import MOST
from abprop.errors import UserError
from abprop.kinds import KINDS
from abprop.likelihoods import spread
from abprop.measures import windows
from abprop.noise import Noise
from abprop.residuals import Known
from abprop.run.reading import forgotten
from abprop.run.recipe import Recipe, compose, flat
from abprop.say import Say, quiet
from abprop.sources import recognised
from abprop.spectra import Colour

GIVEN = "<operator>"  # in a recipe: it was given in Python, and no recipe can hold it
COPY = 2**28  # from the id of an example to that of its first copy: ids are below 2^32
OVERLAP = 0.5  # frames overlap by half, so each tells half as much


def sensor(
    recipe: Recipe,
    signals: Signals,
    colour: Colour | None = None,
    known: Known | None = None,
    operator: object = None,
) -> Sensor:
    """How a recipe observes such signals.

    Args:
        recipe: what is asked.
        signals: what was read.
        colour: of sounds, if it is known.
        known: what measurements of others said of such signals, if it is known.
        operator: what the recipe means by GIVEN.

    Raises:
        UserError: see `data.sensor`; or no operator where there must be one.
    """
    data = recipe.data
    if operator is None and GIVEN in (data.measure, data.operator):
        raise UserError(
            "this run was learned through an operator given in Python; give it again there: "
            "abprop.load(RUN, operator=...), or fit(...) to go on"
        )
    found = sensor_of(
        signals,
        colour=colour or KINDS[signals.kind].colour(signals, flat(recipe)),
        measure=operator if data.measure == GIVEN else data.measure,
        operator=operator if data.operator == GIVEN else data.operator,
        shape=data.shape,
        range=data.range,
        seed=recipe.seed,
        known=known,
        complete=data.complete != "no" and not KINDS[signals.kind].cuts,
    )
    if found.completion is None or found.units is None:
        return found
    return replace(found, kind=recognised((2, *found.shape), np.dtype(np.float32)).name)


def resolve(
    recipe: Recipe,
    signals: Signals,
    say: Say = quiet,
    colour: Colour | None = None,
    known: Known | None = None,
    operator: object = None,
) -> tuple[Recipe, Sensor]:
    """The recipe with every `auto` decided by looking at the data, and how it observes them.

    Args:
        recipe, signals, colour, known, operator: see `sensor`.
        say: told what was tried.
    """
    choices: dict[str, Any] = {"data.kind": signals.kind}
    if not recipe.data.fingerprint:
        choices["data.fingerprint"] = signals.fingerprint
    recipe = _windowed(recipe, signals, say)
    observed = sensor(recipe, signals, colour, known, operator)
    choices["data.complete"] = _completes(recipe, observed)
    seen = observed.learned_from(signals)
    examples = observed.examples(seen, torch.arange(len(seen)))
    if recipe.train.weight_decay is None:
        choices["train.weight_decay"] = 0.0  # where a kind has nothing to say
    choices |= KINDS[seen.kind].choices(flat(recipe), examples)
    spectral = recipe.model.likelihood == "spectral" and recipe.model.sigma is None
    if observed.colour is not None and spectral:
        choices["model.sigma"] = round(spread(OVERLAP * max(1, observed.colour.rank)), 6)
    if recipe.model.channels is None and "model.channels" not in choices:
        # The coarsest layer has 256 channels whatever the size: 32 at the finest for 64 pixels.
        halvings = round(math.log2(max(8, min(observed.shape[1:], default=8)) / 8))
        choices["model.channels"] = max(32, 256 >> max(0, halvings))
    return compose(recipe, **choices), observed


def _completes(recipe: Recipe, observed: Sensor) -> str:
    if recipe.data.complete == "yes" and observed.completion is None:
        raise UserError(
            "data.complete=yes: only signals with axes are completed, from linear measurements of "
            f"at most {MOST} numbers (--measure, --operator); use data.complete=auto"
        )
    return "no" if observed.completion is None else "yes"


def _windowed(recipe: Recipe, signals: Signals, say: Say) -> Recipe:
    """With the window that leaves most of a sound, where several may suit it."""
    tried = KINDS[signals.kind].windows(signals, flat(recipe))
    if not tried:
        return recipe
    try:
        told = windows.told(torch.from_numpy(np.array(signals.values[0])), signals.rate, tried)
    except UserError:  # too short to be judged: the kind has one for these
        return recipe
    best = min(told, key=lambda window: told[window])
    others = ", ".join(f"{w}: {ratio:.2f}" for w, ratio in told.items() if w != best)
    say(f"windows of {best} samples: resynthesis {told[best]:.2f} from the clip ({others})")
    chosen: dict[str, Any] = {"data.window": best}
    return compose(recipe, **chosen)


@dataclass(frozen=True, eq=False)
class Split:
    """Training examples with their ids, copies included, and held-out ones.

    Attributes:
        train: what to learn from; the first `originals` are no copies.
        ids: their ids, ascending int64: id + k COPY for the k-th copy of an example.
        originals: how many are no copies.
        heldout: only scored, or None.
        sensor: how they were observed.
    """

    train: Views
    ids: Tensor
    originals: int
    heldout: Views | None
    sensor: Sensor

    @property
    def names(self) -> list[str]:
        """Of the training examples, copies left out."""
        return list(self.train.take(range(self.originals)).names)

    @property
    def places(self) -> Tensor | None:
        """Where examples that were cut from one signal begin in it, (N, axes); else None."""
        places = self.train.places
        return None if places is None else torch.from_numpy(places)

    @property
    def examples(self) -> Examples:
        """The training examples as learning sees them."""
        return replace(self.sensor.examples(self.train, self.ids), places=self.places)

    @property
    def unseen(self) -> Examples | None:
        """The held-out examples likewise, numbered from 0."""
        if self.heldout is None:
            return None
        return self.sensor.examples(self.heldout, torch.arange(len(self.heldout)))


def split(recipe: Recipe, signals: Signals, observed: Sensor | None = None) -> Split:
    """Set aside, hold out by id, cut one source into many examples, append copies.

    Args:
        recipe: complete, see `resolve`.
        signals: what was read.
        observed: how the recipe observes them, if that is known.
    """
    data, observed = recipe.data, observed or sensor(recipe, signals)
    seen = observed.learned_from(signals)
    if data.aside:
        seen = set_aside(seen, data.aside, recipe.seed, recipe.growth.sizes)
    kind = KINDS[seen.kind]
    if kind.cuts:
        train = kind.views(seen, flat(recipe))
        cut = replace(observed, shape=train.shape)
        return Split(train, torch.arange(len(train)), len(train), None, cut)
    kept, held = _held_out(recipe, len(seen))
    train = whole(seen, kept)
    if data.mirror == "yes":
        train = mirrored(train)
    if data.shift:
        train = shifted(train, data.shift)
    copies = len(train) // len(kept)
    ids = (kept[None] + COPY * torch.arange(copies)[:, None]).flatten()
    return Split(train, ids, len(kept), whole(seen, held) if len(held) else None, observed)


def _held_out(recipe: Recipe, n: int) -> tuple[Tensor, Tensor]:
    """Ids to learn from and to hold out, ascending; of each source a share of its own."""
    gone, kept, held, begin = forgotten(recipe), list[Tensor](), list[Tensor](), 0
    for part, size in enumerate(recipe.growth.sizes or [n]):
        order = begin + Noise(recipe.seed, "holdout").permutation(size, which=part)
        away, begin = round(size * recipe.data.holdout), begin + size
        kept.append(order[away:])
        held.append(order[:away])
    ids = (torch.cat(part).sort().values for part in (kept, held))
    left, out = (v[~torch.isin(v, torch.tensor(gone, dtype=v.dtype))] for v in ids)
    if not len(left):
        raise UserError("nothing is left to learn from; keep some of the examples")
    return left, out


# What a run remembers of its data --------------------------------------------------------------


def summary(split: Split, signals: Signals) -> dict[str, Any]:
    """What a fitted model must remember of its data."""
    return {
        "kind": signals.kind,
        "shape": list(split.sensor.shape),
        "examples": len(signals),
        "scale": _listed(split.sensor.scale),
        "columns": list(signals.columns),
        "places": None if split.places is None else split.places.tolist(),
        "about": dict(signals.about),
        "sensed": split.sensor.told,
        # What was read has one of its own where learning sees something else.
        "read": _listed(signals.scale),
    }


def _listed(scale: Scale) -> dict[str, Any]:
    return {
        "low": np.asarray(scale.low, dtype=float).tolist(),
        "high": np.asarray(scale.high, dtype=float).tolist(),
        "dtype": str(scale.dtype),
    }


def scale_read(data: dict[str, Any]) -> Scale:
    """The scale of what was read, of a `summary`; earlier versions told that of learning alone."""
    return listed_back(data.get("read", data["scale"]))


def listed_back(told: dict[str, Any]) -> Scale:
    """The scale that a summary tells of."""
    low, high = (
        float(v) if isinstance(v, int | float) else np.asarray(v, dtype=float)
        for v in (told["low"], told["high"])
    )
    return Scale(low, high, told["dtype"])

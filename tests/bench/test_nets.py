"""The nets are the library's own, and learn as `fit` does in the middle of a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from abprop.bench import NETS, Net
from abprop.bench.nets import Fitting
from abprop.data import Examples
from abprop.grammar import parse_latent
from abprop.kinds import KINDS
from abprop.kinds.sounds.audible import even, slower
from abprop.kinds.sounds.sound import WINDOW
from abprop.operators import Identity
from abprop.rehearsal import Choice
from abprop.run.recipe import compose, flat

CPU = torch.device("cpu")
SMALL = Net("images", "4", (1, 8, 8), 4, batch=16)


def seen(y: torch.Tensor) -> Examples:
    return Examples(
        y, Identity(len(y), tuple(y.shape[1:])), torch.arange(len(y)), tuple(y.shape[1:])
    )


def pebbles() -> torch.Tensor:
    """One picture of large pieces, (1, 3, 256, 256)."""
    noise = np.random.default_rng(0).normal(size=(256, 256))
    grey = torch.from_numpy(np.sign(gaussian_filter(noise, 8))).float()
    return grey.expand(1, 3, -1, -1).contiguous()


def clip() -> torch.Tensor:
    """Spectra of 44.1 kHz at the usual window, of some seconds."""
    bands = even(slower(44_100) * WINDOW) // 2 + 1
    return torch.zeros(1, bands, 600)


SOURCES = {
    "texture": pebbles,
    "sound": clip,
    "video": lambda: torch.zeros(100, 3, 64, 64),
    "spacetime": lambda: torch.zeros(1, 3, 70, 64, 64),
}


@pytest.mark.parametrize("name", SOURCES)
def test_they_are_what_the_library_chooses(name: str):
    net = NETS[name]
    asked = flat(compose(net.preset))
    chosen = {**asked, **KINDS[name].choices(asked, seen(SOURCES[name]()))}
    assert chosen["model.latent"] == net.latent
    assert chosen["model.prior"] == net.prior or name == "video"  # the preset says it
    assert (chosen["model.levels"] or 1) == net.levels
    assert chosen["model.channels"] in (net.channels, None)  # a video's go by the frame's size
    settings = net.settings(CPU)
    assert settings.train.batch == asked["train.batch"]
    assert settings.infer.steps == asked["infer.steps"]
    assert settings.infer.kernel == asked["infer.kernel"]
    assert settings.model.likelihood == asked["model.likelihood"]
    crop = chosen["data.crop"]
    if name == "texture":
        assert net.shape == (3, crop, crop)
    elif name == "sound":
        assert net.shape == (clip().shape[1], crop)
    elif name == "spacetime":
        assert net.shape[1] == crop


def test_a_gpu_gets_more_faces_at_once_and_all_in_one_pass():
    face = NETS["face64"]
    for device, rows, chunk in (("cpu", 64, 64), ("cuda", 1000, 1008)):
        found = face.settings(torch.device(device))
        assert (found.train.batch, found.infer.chunk) == (rows, chunk)
    assert NETS["texture"].settings(torch.device("cuda")) == NETS["texture"].settings(CPU)


def test_a_visit_moves_the_chains_that_an_iteration_keeps_and_looks_at_nothing():
    fitting = Fitting(SMALL, CPU, Choice(torch.float32))
    assert len(fitting.batch.ids) == 16 and fitting.learning.chunk == 16
    before = fitting.learning.latents.z.clone()
    state, info = fitting.visit()
    assert (state.age - fitting.learning.latents.state.age == fitting.steps).all()
    assert (state.z != before).all() and torch.equal(fitting.learning.latents.z, before)
    assert info.bent.isnan().all() and not info.diverged.any()


def test_an_iteration_is_the_same_one_of_the_run_each_time():
    fitting = Fitting(SMALL, CPU, Choice(torch.float32))
    weights = [p.detach().clone() for p in fitting.learning.model.network.parameters()]
    age = fitting.learning.latents.state.age.clone()
    for k in (1, 2):
        fitting.iterate()
        assert fitting.learning.t == fitting.t + 1
        assert (fitting.learning.latents.state.age == age + k * fitting.steps).all()
    after = fitting.learning.model.network.parameters()
    assert all((p != w).any() for p, w in zip(after, weights, strict=True))


def test_latents_are_as_recipes_say_them():
    for net in NETS.values():
        assert net.settings(CPU).model.latent == parse_latent(net.latent)

"""Runs whose prior is no Gaussian, from learning to every use; and the same bytes after a stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import FACES, TEXTURE, blobs, learned, waves

from abprop.errors import UserError
from abprop.priors import PRIORS, Shaped
from abprop.run import Layers, Run, fit, load

NAMES = [name for name in PRIORS if issubclass(PRIORS[name], Shaped)]
SETS = (*FACES, "model.latent=4", "data.mirror=yes", "infer.start=pca")


@pytest.fixture(scope="module", params=NAMES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp(request.param)
    np.save(folder / "faces.npy", blobs(40))
    return load(learned(folder / "run", folder / "faces.npy", prior(request.param)))


def prior(name: str) -> tuple[str, ...]:
    return (*SETS, f"model.prior={name}")


def test_every_use_of_a_run(run: Run) -> None:
    assert run.sample(5).shape == (5, 1, 8, 8)
    assert np.array_equal(run.sample(3, seed=1), run.sample(5, seed=1)[:3])
    assert run.interpolate(side=3).shape == (9, 1, 8, 8)
    assert run.embed().shape == (40, 4) and run.embed(blobs(3)).shape == (3, 4)
    assert run.recover(blobs(3), np.eye(8, dtype=bool), draws=2).draws.shape == (3, 2, 1, 8, 8)
    assert run.evaluate()["mse"] > 0


def test_latents_of_a_folded_model_scatter_like_standard_ones(run: Run) -> None:
    assert np.abs(run.embed().mean(0)).max() < 0.5
    assert np.abs(np.cov(run.z.numpy().T) - np.eye(4)).max() < 0.7
    assert np.array_equal(run.decode(run.z[:3]), run.reconstruct()[list(run.ids[:3])])


def test_a_run_in_another_process_draws_the_same(run: Run) -> None:
    assert np.array_equal(load(run.folder).sample(4), run.sample(4))


@pytest.mark.parametrize("name", NAMES)
def test_stopped_and_resumed_it_ends_in_the_same_bytes(name: str, tmp_path: Path) -> None:
    source = tmp_path / "faces.npy"
    np.save(source, blobs(40))

    def saved(folder: Path) -> list[bytes]:
        newest = max((folder / "checkpoints").iterdir())
        return [file.read_bytes() for file in sorted(newest.iterdir())]

    whole = learned(tmp_path / "whole", source, prior(name))
    stopped = tmp_path / "stopped"
    for stop in (2, 5, None):
        fit(stopped, Layers(None, prior(name), {"data.source": str(source)}), stop_at=stop)
    assert saved(stopped) == saved(whole)


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    source = tmp_path / "texture.npy"
    np.save(source, waves())
    with pytest.raises(UserError, match=rf"^model\.prior={name}: needs a vector of latents"):
        learned(tmp_path / "run", source, (*TEXTURE, f"model.prior={name}"))

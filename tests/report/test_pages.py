"""The report of a run: what it shows of each kind of data, the same bytes every time."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import FACES, TEXTURE, TINY, blobs, learned, waves

from abprop.report import pages
from abprop.run import Layers, fit, load
from abprop.tasks import Modes


def titles(html: str) -> list[str]:
    return [re.sub(r"<.*?>", "", title) for title in re.findall(r"<h[23]\b.*?</h[23]>", html)]


def written(run: Path, tmp_path: Path) -> str:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    return pages.write_report(copy).read_text("utf-8")


def shows(html: str, *wanted: str) -> bool:
    found = " | ".join(titles(html))
    return all(title in found for title in wanted)


CURVES = ("Reconstruction", "Loss", "Noise sigma", "Sampler: step size s")
OBJECTS = ("Held-out reconstructions", "Samples", "Interpolation", "Is it memory?")


def test_pictures(faces: Path, tmp_path: Path):
    html = written(faces, tmp_path)
    assert shows(html, *CURVES, *OBJECTS) and not shows(html, "The latent plane")
    assert "A generator of pictures, learned from 57 pictures of 1x8x8" in html
    assert "held-out PSNR" in html and html.count("data:image/png") >= 4
    assert "width of the prior" not in html  # it is 1: eight iterations tell f next to nothing


def test_the_width_that_unseen_pictures_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Modes, "width", lambda *_, **__: 1.25)
    np.save(tmp_path / "faces.npy", blobs(60))
    run = learned(tmp_path / "learned", tmp_path / "faces.npy", FACES)
    assert load(run).learned.prior.width == load(run).info()["prior_width"] == 1.25
    assert re.search(r"width of the prior\W.*?1\.25", written(run, tmp_path), re.DOTALL)


def test_two_factors(plane: Path, tmp_path: Path):
    assert shows(written(plane, tmp_path), *CURVES, *OBJECTS, "The latent plane")


def test_a_texture(texture: Path, tmp_path: Path):
    html = written(texture, tmp_path)
    assert shows(html, *CURVES, "The picture", "Crops", "Synthesis")
    assert not any(shows(html, title) for title in OBJECTS)


def test_a_table(table: Path, tmp_path: Path):
    html = written(table, tmp_path)
    assert shows(html, *CURVES) and "data:image" not in html


@pytest.mark.parametrize("run", ["faces", "texture", "table"])
def test_the_same_run_gives_the_same_bytes(run: str, request: pytest.FixtureRequest, tmp_path):
    folder = request.getfixturevalue(run)
    one, two = written(folder, tmp_path / "a"), written(folder, tmp_path / "b")
    assert one == two and len(one) < 10_000_000


def test_without_its_data(faces: Path, tmp_path: Path):
    copy = Path(shutil.copytree(faces, tmp_path / "run"))
    text = (copy / "recipe.toml").read_text("utf-8")
    (copy / "recipe.toml").write_text(text.replace("faces.npy", "gone.npy"), "utf-8")
    html = pages.write_report(copy).read_text("utf-8")
    assert shows(html, "Samples") and not shows(html, "Is it memory?")


def test_before_the_first_score(tmp_path: Path):
    folder = tmp_path / "run"
    asked = Layers(None, (*FACES, "train.iterations=200"), {"data.source": "<array>"})
    fit(folder, asked, source=blobs(60), stop_at=1)
    run = load(folder, data=blobs(60))
    assert run.meta["scores"] == [] and run.step == 1
    assert pages.page(run).figures[0].title == "Held-out reconstructions"
    assert ("iteration", "1 of 200") in pages.page(run).facts


LEARNED = ("model.sigma=learned",)


@pytest.mark.parametrize(
    ("sets", "values"),
    [
        (("model.latent=8x3x3", *FACES), blobs(60)),
        (("model.latent=3", *TEXTURE), waves()),
        ((*(key for key in TEXTURE if "crops" not in key), "data.crops=3"), waves()),
        ((*TINY, *LEARNED, "train.iterations=2", "data.crop=32", "data.crops=1"), waves()),
        ((*TINY, "train.iterations=2", "model.latent=2"), blobs(2)),
    ],
    ids=["pictures with maps", "crops with vectors", "3 crops", "1 crop", "2 pictures"],
)
def test_odd_runs(sets: tuple[str, ...], values: np.ndarray, tmp_path: Path):
    fit(tmp_path / "run", Layers(None, sets, {"data.source": "<array>"}), source=values)
    html = pages.write_report(tmp_path / "run", data=values).read_text("utf-8")
    assert shows(html, *CURVES)


def test_time_to_learn_goes_on_after_a_stop(tmp_path: Path):
    from abprop.run import metrics

    asked = Layers(None, FACES, {"data.source": "<array>"})
    for stop in (4, 8):
        fit(tmp_path, asked, source=blobs(60), stop_at=stop)
    seconds = [row["seconds"] for row in metrics.load(tmp_path / "metrics.jsonl")]
    assert seconds == sorted(seconds) and len(seconds) == 8


def test_the_report_says_which_iteration_tells_held_out_examples_best(faces: Path, tmp_path: Path):
    copy = Path(shutil.copytree(faces, tmp_path / "run"))
    rows = [json.loads(line) for line in (copy / "metrics.jsonl").read_text("utf-8").splitlines()]
    # The best score comes early, and the best checkpoint knows of nothing after it.
    for row in rows:
        row["heldout_mse"] = 0.1 + 0.05 * abs(row["iteration"] - 3)
    (copy / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    notes = pages.page(load(copy, data=faces.parent / "faces.npy")).notes
    assert any("best by iteration 3" in note for note in notes)

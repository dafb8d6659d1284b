"""The page of a comparison: what it shows of each kind, nothing from elsewhere, names as words."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from made_up import one
from outline import Outline, outline
from tiny import FACES, TABLE, blobs, learned

from abprop.report.comparing import Comparison, compare, page
from abprop.report.comparing.columns import filled, ranked
from abprop.report.comparing.groups import grouped
from abprop.report.figures import beside
from abprop.report.page import render
from abprop.run import load

HOSTILE = "<img src=x onerror=alert(1)>\u202e\"'&${body}"
OLD = Path(__file__).parents[2] / "run" / "old"


@pytest.fixture(scope="module")
def runs(shelf: Path, faces: Path, plane: Path) -> list[Path]:
    sets = (*FACES, "model.latent=4", "seed=1")
    return [faces, learned(shelf / "run-other-seed", shelf / "faces.npy", sets), plane]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textures of a few pixels take moments."""
    monkeypatch.setattr(beside, "CANVAS", 32)


def written(found: Comparison, path: Path) -> Outline:
    """Its outline, once it is seen to fetch nothing."""
    html = found.page(path).read_text("utf-8")
    seen = outline(html)
    assert {"script", "link", "iframe"} & {tag for tag, _ in seen.elements} == set()
    assert [a["src"] for tag in ("img", "audio", "video") for a in seen.all(tag)
            if not str(a["src"]).startswith("data:")] == []  # fmt: skip
    return seen


def test_pictures(runs: list[Path], tmp_path: Path):
    seen = written(compare(runs), tmp_path / "a.html")
    for words in ("3 runs compared", "Side by side", "Held-out error by iteration", "by minutes",
                  "New signals", "Held-out reconstructions", "What differs in the recipes",
                  "Run by run", "model.latent", "latent factors: a number"):  # fmt: skip
        assert words in seen.words
    assert len(seen.all("img")) == 3  # samples of two rows, and the reconstructions


def test_the_same_runs_give_the_same_bytes(runs: list[Path], tmp_path: Path):
    pages = [compare(runs).page(tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_seeds_are_lines_of_one_colour(runs: list[Path]):
    curves = list(page._curves(compare(runs).groups))
    assert [curve.x_label for curve in curves] == ["iteration", "minutes"]
    assert [len(curve.series) for curve in curves] == [2, 2]
    four = next(points for name, points in curves[0].series.items() if name != "run-plane")
    gaps = [x for x, _ in four if x != x]
    assert len(gaps) == 1 and max(x for x, _ in four if x == x) == 8
    assert all("±" in said or name == "run-plane" for name, said in curves[0].said.items())


def test_where_nothing_was_held_out_batches_are_shown(twice: Path, tmp_path: Path):
    copy = Path(shutil.copytree(twice, tmp_path / "copy"))
    seen = written(compare([twice, copy]), tmp_path / "a.html")
    assert "Error of training batches" in seen.words and "training mse" in seen.words
    assert "No reconstructions are shown: no example is held out of all of them." in seen.words


def test_held_out_by_all(runs: list[Path]):
    opened = [load(run) for run in runs[:2]]
    held = [run.split.heldout for run in opened]
    common = set.intersection(*(set(views.rows.tolist()) for views in held if views is not None))
    parts = beside._unseen(opened)
    assert len(held) == 2 and all(set(part.rows.tolist()) == common for part in parts)


def test_data_that_moved(runs: list[Path], tmp_path: Path):
    copies = [Path(shutil.copytree(run, tmp_path / run.name)) for run in (runs[0], runs[2])]
    for copy in copies:
        text = (copy / "recipe.toml").read_text("utf-8")
        (copy / "recipe.toml").write_text(text.replace("faces.npy", "gone.npy"), "utf-8")
    seen = written(compare(copies), tmp_path / "a.html")
    assert "No reconstructions are shown:" in seen.words and "gone.npy" in seen.words
    back = written(compare(copies, data=blobs(60)), tmp_path / "a.html")
    assert "Held-out reconstructions" in back.words


def test_tables_and_textures(table: Path, texture: Path, shelf: Path, tmp_path: Path):
    other = learned(shelf / "run-table-2", shelf / "table.csv", (*TABLE, "seed=1"))
    seen = written(compare([table, other]), tmp_path / "a.html")
    assert "New signals" not in seen.words and seen.all("img") == []
    seen = written(compare([texture, table]), tmp_path / "b.html")
    assert "New signals" in seen.words and len(seen.all("img")) == 1


@pytest.mark.parametrize("names", [("sound", "many-sounds"), ("frames", "stretches"),
                                   ("pictures", "rows"), ("chains", "finer")])  # fmt: skip
def test_old_runs_of_every_kind(names: tuple[str, str], tmp_path: Path):
    seen = written(compare([OLD / name for name in names]), tmp_path / "a.html")
    assert all(name in seen.words for name in names)
    played = {"sound": ("audio", 3), "frames": ("video", 2)}.get(names[0])
    assert played is None or len(seen.all(played[0])) == played[1]


def test_hostile_names_are_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(beside, "samples", lambda runs: None)
    monkeypatch.setattr(page, "_reconstructions", lambda shown: ([], []))

    def seen(name: str) -> Outline:
        ones = [one(f"r/{name}{i}", {"heldout_mse": 0.1 + i}, model__latent=str(i + 2))
                for i in range(3)]  # fmt: skip
        groups = ranked(grouped(ones))
        return outline(render(page.page(groups, filled(groups), [name])))

    plain, nasty = seen("plain"), seen(HOSTILE)
    assert [tag for tag, _ in plain.elements] == [tag for tag, _ in nasty.elements]
    assert [set(a) for _, a in plain.elements] == [set(a) for _, a in nasty.elements]
    assert "onerror=alert(1)" in nasty.words and "\u202e" not in nasty.words

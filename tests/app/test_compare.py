"""`abprop compare`: a table or JSON on stdout, a page, and one line for whatever can be mended."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny import Command, keys


def test_a_table_and_a_page(faces: Path, plane: Path, run_dir: Path, abprop: Command):
    done = abprop("compare", faces, plane)
    assert done.code == 0, done.err
    assert "model.latent" in done.out and "held-out mse" in done.out and "run-plane" in done.out
    assert "* best" in done.out and "Best by held-out mse" in done.out
    assert done.err.strip().splitlines()[-1] == "page: compare.html"
    assert (run_dir.parent / "compare.html").is_file()


def test_json(faces: Path, plane: Path, shelf: Path, tmp_path: Path, abprop: Command):
    page = tmp_path / "sub.htm"
    done = abprop("compare", faces, plane, "--json", "-o", page, "--on", shelf / "other.npy",
                  *keys("data.select=0:6"))  # fmt: skip
    told = json.loads(done.out)
    assert told["page"] == str(page) and page.is_file()
    assert {"table", "runs", "notes"} < told.keys() and len(told["table"]) == 2
    assert all(row["scores"]["n"] == 6 and row["on_mse"] > 0 for row in told["runs"])


def test_many_differing_keys_are_counted(
    faces: Path, texture: Path, tmp_path: Path, abprop: Command
):
    done = abprop("compare", faces, texture, "-o", tmp_path / "a.html")
    assert done.code == 0 and "more keys differ; the page has them all" in done.out


def test_a_folders_name_commands_no_terminal(
    faces: Path, plane: Path, tmp_path: Path, abprop: Command
):
    nasty = Path(shutil.copytree(faces, tmp_path / "[red]<b>\x1b[2J\u202e"))
    done = abprop("compare", nasty, plane, "-o", tmp_path / "a.html")
    assert done.code == 0 and "[red]<b>?[2J?" in done.out
    assert (done.out + done.err).replace("\n", "").isprintable()


CASES = {
    "one": (("faces",), "needs two runs or more, not 1"),
    "twice": (("faces", "faces"), "named twice"),
    "no run": (("faces", "."), "is . a run of abprop?"),
    "not there": (("faces", "gone"), "no such run directory"),
    "no checkpoint": (("faces", "empty"), "no checkpoint yet"),
    "damaged": (("faces", "damaged"), "no good checkpoint is left"),
    "a picture": (("faces", "plane", "-o", "a.png"), "let its name end in .html"),
    "no folder": (("faces", "plane", "-o", "no/a.html"), "there is no folder no"),
    "masks of nothing": (("faces", "plane", "--masks", "m/"), "name them with --on SOURCE"),
    "no source": (("faces", "plane", "--on", "gone.npy"), "gone.npy"),
    "no baseline": (("faces", "plane", "--on", "other", "--against", "pcs"), "did you mean 'pca'"),
    "none": ((), "Missing argument"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line(
    case: str, faces: Path, plane: Path, shelf: Path, run_dir: Path, abprop: Command
):
    for name in ("empty", "damaged"):
        shutil.copytree(faces, name)
    shutil.rmtree("empty/checkpoints")
    for manifest in Path("damaged").rglob("manifest.json"):
        manifest.write_text("{}")
    places = {"faces": faces, "plane": plane, "other": shelf / "other.npy"}
    words, complaint = CASES[case]
    told = abprop("compare", *(places.get(word, word) for word in words)).complaint
    assert complaint in told
    assert not Path("compare.html").exists()


def test_a_checkpoint_that_is_skipped_is_told_once(
    faces: Path, plane: Path, run_dir: Path, abprop: Command
):
    shutil.copytree(faces, "spoilt")
    (max(Path("spoilt/checkpoints").iterdir()) / "manifest.json").write_text("{}")
    done = abprop("compare", "spoilt", plane)
    assert done.code == 0
    assert done.err.count("skipped the checkpoint") == 1

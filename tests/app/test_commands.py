"""The commands report and keys, what Ctrl-C says, and the bar's text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny import Command

from abprop.app import cli, progress
from abprop.run.recipe import KEYS


def test_report_is_written_again(faces: Path, shelf: Path, tmp_path: Path, abprop: Command):
    run = Path(shutil.copytree(faces, tmp_path / "run"))
    for words in ((), ("--data", shelf / "faces.npy")):
        (run / "report.html").unlink(missing_ok=True)
        done = abprop("report", run, *words)
        assert done.code == 0 and done.err.strip().endswith(f"report: {run / 'report.html'}")
        assert (run / "report.html").is_file()
    assert "no such run" in abprop("report", "gone").complaint


def test_keys_are_listed_with_meaning_and_default(abprop: Command):
    out = abprop("keys").out
    assert all(key in out for key in KEYS) and "Adam's learning rate" in out
    some = abprop("keys", "train.").out
    assert "train.batch" in some and "128" in some and "model.latent" not in some
    assert "did you mean" in abprop("keys", "train.btch").complaint


def test_ctrl_c_before_anything_was_saved_claims_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def stop(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["abprop", "fit", "x"])
    assert cli._guarded(stop) == 3
    assert "what was saved is in" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 128 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_a_full_memory_is_one_line(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: object, **more: object) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["abprop", "fit", "x"])
    assert cli._guarded(fail) == 2
    assert capsys.readouterr().err.startswith("abprop: out of memory; use fewer examples")


def test_another_error_of_torch_is_a_bug(monkeypatch: pytest.MonkeyPatch):
    def fail(*args: object, **more: object) -> None:
        raise RuntimeError("shapes do not agree")

    monkeypatch.setattr("sys.argv", ["abprop", "fit", "x"])
    with pytest.raises(RuntimeError, match="shapes"):
        cli._guarded(fail)


def test_a_bad_checkpoint_is_told_as_all_else(faces: Path, tmp_path: Path, abprop: Command):
    """By every command, `report` too: no warning of Python's with a line of source."""
    run = Path(shutil.copytree(faces, tmp_path / "run"))
    newest = max((run / "checkpoints").iterdir())
    (newest / "manifest.json").write_text("{}")
    lines = abprop("report", run).err.splitlines()
    assert [line for line in lines if line.startswith("skipped the checkpoint")]
    assert not [line for line in lines if "Warning" in line or line.startswith(" ")]


def test_the_bars_text_fits_and_says_step():
    row = {"loss": 123456.0, "psnr": 21.3, "heldout_psnr": 20.1, "s": 0.0171}
    text = progress.told({**row, "accepted": 0.83, "stable": 0.5, "diverged": 3}, 20.1)
    assert "step 0.017" in text and "  s 0." not in text
    plain = progress.told({**row, "accepted": 1.0, "stable": 1.0}, 20.1)
    assert len(plain) <= 48


def test_every_command_shows_an_example_of_itself(abprop: Command):
    from abprop.app.cli import COMMANDS

    for name in ("fit", *(command.__name__ for command in COMMANDS)):
        text = " ".join(abprop(name, "--help").out.split())
        assert f"Example: abprop {name}" in text


def test_one_is_not_many(shelf: Path, faces: Path, tmp_path: Path, abprop: Command):
    words = ("--set", "data.select=0:1", "-o", tmp_path / "z.csv")
    assert "1 latent:" in abprop("embed", faces, shelf / "other.npy", *words).err
    words = ("-n", 1, "-o", tmp_path / "one.png")
    assert "1 picture of 8x8" in abprop("sample", faces, *words).err

"""What the terminal gets: bar and tables by its width and colours, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from tiny import FACES, keys

from abprop.app.cli import main
from abprop.app.progress import Lines, on_screen
from abprop.app.screen import show_errors, show_verified

pty = pytest.importorskip("pty")  # not on Windows

ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")
COLOUR = re.compile(r"(3|4|9|10)[0-7]|[34]8")
ROW = {"loss": 123456.0, "psnr": 21.3, "s": 0.0171, "accepted": 0.83, "stable": 0.5}
ERRORS = {"mse": 0.0123456, "error": 12.3456, "rmse_data": 123.456, "psnr": 18.0123}
EVALUATED = {"n": 12, "latent_dim": 4, "scored": "all", **ERRORS, "baselines": {"pca": ERRORS}}


def failed(case: str) -> dict[str, Any]:
    """A check that one of five seeds failed."""
    row = {"kernel": "leimkuhler-matthews", "case": case, "value": 1.5, "bound": 0.5}
    return {"seeds": 5, "passed": False, "mix": {"rows": [{**row, "passed": 0, "seeds_passed": 4}]}}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`with terminal(TERM="dumb") as got:` stdout and stderr are a terminal; got: what it got."""

    @contextmanager
    def opened(columns: int = 80, **environment: str) -> Iterator[list[str]]:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm", "COLUMNS": str(columns), **environment}.items():
            monkeypatch.setenv(name, value)
        master, slave = pty.openpty()
        got, seen = [], bytearray()

        def read() -> None:  # while it is written: a terminal holds few bytes
            with open(master, "rb", buffering=0) as file:
                try:
                    while part := file.read(4096):
                        seen.extend(part)
                except OSError:  # how Linux says that nobody writes any more
                    pass

        reader = threading.Thread(target=read)
        reader.start()
        try:
            with open(slave, "w", encoding="utf-8") as file:
                monkeypatch.setattr(sys, "stderr", file)
                monkeypatch.setattr(sys, "stdout", file)
                yield got
        finally:
            monkeypatch.undo()
            reader.join()
        got.append(seen.decode().replace("\r\n", "\n"))

    return opened


def colours(text: str) -> list[str]:
    """The escapes that choose a colour."""
    codes = [found[1].split(";") for found in ESCAPE.finditer(text) if found[2] == "m"]
    return [code for some in codes for code in some if COLOUR.fullmatch(code)]


def widths(text: str) -> list[int]:
    """Columns of all that was written from a line's beginning."""
    return [cell_len(line) for line in re.split("[\r\n]", ESCAPE.sub("", text))]


def learn() -> None:
    """Ten iterations as the screen sees them."""
    with on_screen() as screen:
        screen.say("planning")
        screen.begin(0, 1000)
        for done in range(100, 1001, 100):
            screen.update(done, {**ROW, "heldout_psnr": 20.1})


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_bar_stays_in_its_line(columns: int, terminal):
    with terminal(columns) as got:
        learn()
    text = got[0]
    assert max(widths(text)) <= columns and colours(text) != []
    assert text.count("\n") == 2  # what was said, and the bar: nothing wrapped
    if columns >= 40:
        assert "1000/1000" in text and "0:00:00" in text
    if columns >= 80:
        assert "loss 123456 21.3 dB (20.1 unseen)" in text
    assert ("50 % too long" in text) == (columns > 80)


@pytest.mark.parametrize("strange", [{"COLUMNS": "0"}, {"COLUMNS": "x"}, {"TERM": ""}])
def test_a_strange_terminal_is_told_everything(strange: dict[str, str], terminal):
    with terminal(**strange) as got:
        learn()
        show_errors(EVALUATED)
    for word in ("planning", "1000/1000", "0.01235"):
        assert word in got[0]


def test_no_color_means_none(terminal):
    with terminal(NO_COLOR="1") as got:
        learn()
        show_verified(failed("x"))
    assert "\x1b" in got[0] and colours(got[0]) == []
    assert "1000/1000" in got[0] and "leimkuhler-matthews" in got[0]


def test_colours_are_seen_by_this_test(terminal):
    with terminal() as got:
        show_verified(failed("x"))
    assert colours(got[0]) == ["31"] * len(colours(got[0])) != []


def plain(text: str) -> None:
    """Neither escapes nor returns, and no bar."""
    assert "\x1b" not in text and "\r" not in text and "1000/1000" not in text


def test_a_dumb_terminal_gets_plain_lines(terminal):
    with terminal(TERM="dumb") as got:
        learn()
        show_errors(EVALUATED)
    plain(got[0])
    said = "planning\n1000 of 1000: loss 123456 21.3 dB (20.1 unseen) step 0.017 accepted 83 %"
    assert got[0].startswith(said) and "0.01235" in got[0]


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_plain_lines(
    forced: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    for name, value in forced.items():
        monkeypatch.setenv(name, value)
    learn()
    plain(capsys.readouterr().err)


def test_a_fit_in_a_narrow_terminal(
    shelf: Path, tmp_path: Path, terminal, monkeypatch: pytest.MonkeyPatch
):
    """The command itself, for two iterations."""
    words = ("fit", shelf / "faces.npy", "--run", tmp_path / "run", "--stop-at", 2, *keys(*FACES))
    with terminal(40, NO_COLOR="1") as got, pytest.raises(SystemExit):
        monkeypatch.setattr(sys, "argv", ["abprop", *map(str, words)])
        main()
    assert colours(got[0]) == [] and re.search(r"2/8 .*loss", got[0])
    assert max(cell_len(line) for line in re.findall(r"[━╸ ]+\d/8[^\r\n]*", got[0])) <= 40


# Lines ----------------------------------------------------------------------------------------


def told(seconds: float, count: int = 1000) -> list[str]:
    """The lines of a fit that takes so long."""
    now = 0.0
    stream = StringIO()
    lines = Lines(Console(file=stream, soft_wrap=True), clock=lambda: now)
    lines.begin(0, count)
    for done in range(1, count + 1):
        now = seconds * done / count
        lines.update(done, ROW)
    lines.end()
    return stream.getvalue().splitlines()


def test_lines_are_few_and_soon():
    assert [line.split(":")[0] for line in told(3)] == ["1000 of 1000"]
    hours = told(36_000, 100_000)
    assert hours[0].startswith("28 of 100000: loss 123456") and hours[0].endswith(" left")
    assert 15 < len(hours) < 30
    assert hours[-1].startswith("100000 of 100000: ") and "left" not in hours[-1]
    assert "4:00:00 left" in " ".join(hours)  # six tenths


def test_what_goes_on_counts_its_own_time():
    now = 0.0
    stream = StringIO()
    lines = Lines(Console(file=stream, soft_wrap=True), clock=lambda: now)
    lines.begin(900, 1000)
    now = 30.0
    lines.update(950, ROW)
    assert stream.getvalue().endswith("0:00:30 left\n")


# Notebooks ------------------------------------------------------------------------------------


def test_a_notebook_gets_the_lines_of_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Not rich's displays, which are an output of their own for each line."""

    class ZMQInteractiveShell:  # by whose name rich knows a kernel
        pass

    monkeypatch.setattr("builtins.get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython.display", None)  # displays would fail
    assert Console().is_jupyter and isinstance(on_screen(), Lines)
    learn()
    err = capsys.readouterr().err
    plain(err)
    assert err.startswith("planning\n1000 of 1000: loss")


# Tables ---------------------------------------------------------------------------------------


def test_a_narrow_terminal_gets_lines_and_no_cut_numbers(terminal):
    with terminal(40) as got:
        show_errors(EVALUATED)
        show_verified(failed("a long name of a case"))
    assert max(widths(got[0])) <= 40 and "…" not in got[0]
    assert re.search(r"^  mse +0\.01235\n  error +12\.35$", got[0], re.MULTILINE)
    assert "4 of 5" in got[0]


def test_a_file_gets_the_whole_table_however_wide(capsys: pytest.CaptureFixture[str]):
    show_verified(failed("a case of which there is " + "very " * 20 + "much to say"))
    out = capsys.readouterr().out
    assert "very " * 20 + "much to say" in out and "\x1b" not in out


def test_of_a_sound_only_what_its_samples_are_like_is_told(capsys: pytest.CaptureFixture[str]):
    ratios = {"sample_ratio": 1.25, "ratios": {"spectrum": 1.25}}
    show_errors({"n": 1, "latent_dim": 4, "scored": "all", **ratios})
    out = capsys.readouterr().out
    assert "1.25" in out and "samples beside the real" in out and "mse" not in out

"""What the user sees while a run learns; everything goes to stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from textwrap import shorten
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from abprop.app.screen import console_of
from abprop.diagnostics import STABLE
from abprop.errors import UserError
from abprop.run import Progress
from abprop.say import shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

BAR = 6  # columns
APART = 10.0  # seconds from one plain line to the next, at least


def told(row: Mapping[str, Any], heldout: float | None) -> str:
    """What stands beside the bar: short, so that a line of 80 columns holds all but warnings.

    Args:
        row: the line of metrics.
        heldout: the last held-out PSNR.
    """
    unseen = "" if heldout is None else f" ({heldout:.1f} unseen)"
    text = f"loss {row['loss']:.0f} {row['psnr']:.1f} dB{unseen} step {row['s']:.3f}"
    if row["accepted"] < 1:
        text += f" accepted {100 * row['accepted']:.0f} %"
    if row["stable"] < STABLE:
        text += f" {100 - 100 * row['stable']:.0f} % too long"
    if row.get("diverged"):
        text += f" {row['diverged']} put back"
    return text


def on_screen() -> Shown:
    """A bar on a terminal that can redraw a line; plain lines in a pipe, a log or a notebook."""
    # Not as a notebook's rich display, an output for each line: its stderr keeps lines in one.
    console = console_of(stderr=True, soft_wrap=True, force_jupyter=False)
    # FORCE_COLOR makes rich call anything a terminal; a bar in a log is no colour.
    drawable = console.is_interactive and console.file.isatty()
    return Bar(console) if drawable else Lines(console)


class Shown(Progress):
    """What is told, on stderr; a context that ends with the learning."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.heldout: float | None = None

    def say(self, line: str) -> None:
        """One line; above the bar, if there is one."""
        self.console.print(shown(line), markup=False)

    def told(self, row: Mapping[str, Any]) -> str:
        """A row of metrics in words, with the last held-out PSNR."""
        self.heldout = row.get("heldout_psnr", self.heldout)
        return told(row, self.heldout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


class Bar(Shown):
    """A bar with iterations, time left, and as much of the row in words as the line can hold."""

    bar: RichProgress | None = None

    def begin(self, done: int, total: int) -> None:
        """Show the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.total = total
        # What may be cut stands last, and `_cut` does it by words: rich would cut every column.
        self.bar = RichProgress(
            BarColumn(bar_width=BAR),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=self.console,
            refresh_per_second=4,
        )
        self.bar.start()
        self.task = self.bar.add_task("learning", total=total, completed=done, text="")

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        """Move the bar; every field is one of `row`."""
        if self.bar is not None:
            self.bar.update(self.task, completed=done, text=self._cut(self.told(row)))

    def _cut(self, text: str) -> str:
        beside = BAR + len(f" {self.total}/{self.total} 00:00:00 ")
        return shorten(text, max(1, self.console.width - beside), placeholder="")

    def end(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


class Lines(Shown):
    """A line now and then, for what keeps all it is told.

    The first after ten seconds; then one whenever the time has doubled or a tenth more is done,
    never two within ten seconds; and the last row. Ten hours are at most twenty-odd lines.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console)
        self.clock = clock
        self.waiting = ""  # the last row, while it is not told

    def begin(self, done: int, total: int) -> None:
        """Note when, and from where on."""
        self.first, self.total, self.began = done, total, self.clock()
        self.last, self.tenth = 0.0, 10 * done // total

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        """Tell the row if a line is due."""
        seconds, tenth = self.clock() - self.began, 10 * done // self.total
        left = seconds / max(1, done - self.first) * (self.total - done)
        self.waiting = f"{done} of {self.total}: {self.told(row)}"
        if left:
            self.waiting += f", {timedelta(seconds=round(left))} left"
        news = seconds >= 2 * self.last or tenth > self.tenth
        if news and seconds - self.last >= APART:
            self.last, self.tenth = seconds, tenth
            self.end()

    def end(self) -> None:
        """Tell the last row, if it was not."""
        if self.waiting:
            self.say(self.waiting)
            self.waiting = ""


class TensorBoard(Progress):
    """Writes every row of metrics to RUN/tensorboard as well, and passes all on.

    Args:
        shown: what the user sees.
        folder: where the event file goes.

    Raises:
        UserError: TensorBoard is not installed.
    """

    def __init__(self, shown: Progress, folder: Path) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise UserError(
                "--tensorboard: it is not installed; pip install 'abprop[tensorboard]'"
            ) from None
        self.shown, self.writer = shown, SummaryWriter(str(folder))

    def say(self, line: str) -> None:
        """Pass it on."""
        self.shown.say(line)

    def begin(self, done: int, total: int) -> None:
        """Pass it on."""
        self.shown.begin(done, total)

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        """One scalar for each field of the row."""
        for key, value in row.items():
            if key != "iteration":
                self.writer.add_scalar(key, value, done)
        self.shown.update(done, row)

    def end(self) -> None:
        """Close the event file."""
        self.writer.close()
        self.shown.end()

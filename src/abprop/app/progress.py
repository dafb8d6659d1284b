"""What the user sees while a run learns; everything goes to stderr."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from abprop.diagnostics import STABLE
from abprop.errors import UserError
from abprop.run import Progress


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


class Bar(Progress):
    """A rich progress bar with loss, PSNR, held-out PSNR, step size and time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.bar: Any = None
        self.heldout: float | None = None

    def say(self, line: str) -> None:
        """One line above the bar."""
        self.console.print(line, markup=False)

    def begin(self, done: int, total: int) -> None:
        """Show the bar, where there is a terminal to draw it on."""
        if not self.console.is_terminal:
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            BarColumn(bar_width=6),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=self.console,
            refresh_per_second=4,
        )
        self.bar.start()
        self.task = self.bar.add_task("learning", total=total, completed=done, text="")

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        """Move the bar; every field is one of `row`."""
        if self.bar is None:
            return
        self.heldout = row.get("heldout_psnr", self.heldout)
        text = told(row, self.heldout)
        self.bar.update(self.task, completed=done, text=text)

    def end(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


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

"""Several runs side by side. Heavy imports wait inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abprop.app.commands.options import (
    Data,
    Device,
    Hide,
    Json,
    Masks,
    Sets,
    placed,
    print_json,
    say,
)
from abprop.errors import UserError

PAGE = Path("compare.html")


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="two or more directories, or hf://NAMESPACE/NAME"),
    ],
    on: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="evaluate every run on these: folder, zip or file"),
    ] = None,
    masks: Masks = None,
    hide: Hide = None,
    draws: Annotated[int, typer.Option(min=2, max=1024, help="posterior draws of each")] = 16,
    against: Annotated[
        str | None, typer.Option(help="baselines beside it, as of evaluate: mean,pca, ...")
    ] = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="the page, an .html file")] = PAGE,
    as_json: Json = False,
) -> None:
    """Runs side by side: a table, and a page with curves and pictures.

    Runs that differ in nothing but the seed are one row, with the spread over its runs.
    """
    from abprop.app.screen import show_compared
    from abprop.report.comparing import compare as compared

    _check(out)
    found = compared(
        runs, on=on, sets=set_ or (), masks=masks, hide=hide, against=against or (), draws=draws,
        data=placed(data), device=device, say=say, progress=say,
    )  # fmt: skip
    if as_json:
        told = {"table": found.table, "runs": found.runs, "notes": list(found.notes)}
        print_json({**told, "page": str(out)})
    else:
        show_compared(found)
    say("writing the page")
    say(f"page: {found.page(out)}")


def _check(out: Path) -> None:
    """Refuse a page that could not be written before anything takes minutes.

    Raises:
        UserError: it has another extension, or there is no such folder.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"-o {out}: the page is HTML; let its name end in .html")
    if not out.absolute().parent.is_dir():
        raise UserError(f"-o {out}: there is no folder {out.parent}")

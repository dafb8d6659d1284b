"""Results on the screen: errors, speed, checks and comparisons as tables on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abprop.say import counted, shown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from abprop.report.comparing import Comparison

WIDEST = 1000  # columns


def show_errors(result: Mapping[str, Any]) -> None:
    """Errors of the model and its baselines as a table on stdout."""
    from rich.table import Table

    table = Table(
        title=f"{counted(result['n'], 'signal', 'signals')}, d = {result['latent_dim']}, "
        f"{result['scored']} entries"
    )
    keys = ("mse", "error", "rmse_data", "psnr")
    for column in ("", *keys):
        table.add_column(column, justify="right" if column else "left")
    rows = {"abprop": result, **result.get("baselines", {})}
    for name, errors in rows.items():
        if "mse" in errors:
            table.add_row(name, *(f"{errors[key]:.4g}" for key in keys))
    if table.row_count:  # of a sound no errors are told, only how it compares
        _show(table)
    if "ratios" in result:
        _show_ratios({"abprop": {**result, **result["ratios"]}, **result.get("baselines", {})})


def _show_ratios(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """How samples compare with what was learned from; 1: as its own parts do with each other."""
    from rich.table import Table

    ours = rows["abprop"]
    more = (
        "copy_ratio", "repeat_ratio", "reconstruction_ratio", "over_reconstructions", "over_unseen",
    )  # fmt: skip
    keys = ["sample_ratio", *ours["ratios"], *(key for key in more if key in ours)]
    table = Table(title="samples beside the real: 1 is more of it, copies have 0")
    for column in ("", *keys):
        table.add_column(column.replace("_", " "), justify="right" if column else "left")
    for name, ratios in rows.items():
        if "sample_ratio" in ratios:
            table.add_row(name, *(f"{ratios[key]:.2f}" for key in keys))
    _show(table)


def show_likelihood(told: Mapping[str, Any]) -> None:
    """log p(y) with its error as a table on stdout, and what it was estimated with."""
    from rich.table import Table

    what = told["scored"] + " example"
    some = f"{told['n']} of {counted(told['of'], what, what + 's')}"
    table = Table(title=f"log p(y) of {some}, nats in model units")
    for column in ("", "nats", "se", "per number", "ess"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row(
        "abprop", f"{told['nats']:.2f}", f"{told['se']:.2f}", f"{told['nats_per_number']:.5f}",
        f"{told['ess']:.1f} of {told['chains']}",
    )  # fmt: skip
    _show(table)
    print(
        f"{told['chains']} chains each, {told['temperatures']} temperatures from {told['from']}; "
        f"too low by about {told['low_by']:.2g}"
    )
    if "gap" in told:
        what = counted(told["simulated"], "simulated signal", "simulated signals")
        print(f"{what}: {told['gap']:.2f} (se {told['gap_se']:.2f}) from below to above")


def show_verified(result: Mapping[str, Any]) -> None:
    """The checks of `verify`, a row for each kernel and case."""
    from rich.table import Table

    table = Table("check", "kernel", "case", "value", "bound", "seeds", box=None)
    for name, check in result.items():
        for row in check["rows"] if isinstance(check, Mapping) else ():
            seeds = f"{row['seeds_passed']} of {result['seeds']}"
            value, bound = f"{row['value']:.4f}", f"{row['bound']:g}"
            style = "" if row["passed"] else "bold red"
            table.add_row(name, row["kernel"], row["case"], value, bound, seeds, style=style)
    _show(table)
    print("passed" if result["passed"] else "FAILED")


def show_compared(found: Comparison) -> None:
    """Groups of runs, a row each, and what to know of them."""
    from rich.table import Table
    from rich.text import Text

    from abprop.report.comparing.columns import foremost

    keys, signs = foremost(found.groups), {"best": "* ", "tie": "≈ ", "": ""}
    left_out = len(found.keys) - len(keys)
    table = Table(box=None)
    titles = ["", "runs", *(key for key, _ in keys), *(c.column.title for c in found.columns)]
    for i, title in enumerate(titles):
        table.add_column(Text(title), justify="right" if i else "left")
    for i, group in enumerate(found.groups):
        cells = [group.name, str(len(group.runs)), *(words[i] for _, words in keys)]
        for one in found.columns:
            number = one.found[i]
            cells.append("–" if number is None else signs[one.marks[i]] + number.said)
        table.add_row(*(Text(shown(cell)) for cell in cells))
    _show(table)
    if any("best" in one.marks for one in found.columns):
        print("* best; ≈ not to be told from it: mean ± standard deviation of the two meet")
    for note in found.notes:
        print(shown(note))
    if left_out:
        print(f"{counted(left_out, 'more key differs', 'more keys differ')}; the page has them all")


def show_bench(result: Mapping[str, Any]) -> None:
    """What `bench` measured, a row for each net; and what the machine can do."""
    from rich.table import Table

    step = ("step\nms", "\nGFLOP/s", "of\npeak", "over\ntextbook")
    table = Table("\nnet", "\nbatch", *step, "iteration\nms", "\npasses", "memory\nMB", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, net in result["nets"].items():
        one, whole = net["step"], net["iteration"]
        table.add_row(
            name, str(net["batch"]), f"{one['ms']:.1f}", f"{one['gflops']:.1f}",
            f"{one['share_of_peak']:.0%}", f"{one['over_textbook']:.2f}",
            f"{whole['ms']:.1f}", f"{whole['passes']:.1f}", f"{net['memory_bytes'] / 1e6:.0f}",
        )  # fmt: skip
    _show(table)
    amx = "AMX" if result["has_amx"] else "no AMX"
    print(
        f"{result['device']}, {counted(result['threads'], 'thread', 'threads')}, {amx}: "
        f"{result['peak_float32']:.0f} GFLOP/s in float32, {result['peak_bf16']:.0f} in bfloat16, "
        f"copies {result['copy']:.1f} GB/s"
    )
    chosen = {net["precision"]: [] for net in result["nets"].values()}
    for name, net in result["nets"].items():
        chosen[net["precision"]].append(name)
    words = "; ".join(f"{name} for {', '.join(nets)}" for name, nets in chosen.items())
    print(f"fastest: {words}; medians of {counted(result['runs'], 'run', 'runs')}")


def console_of(**kind: Any) -> Console:
    """Rich's console, whose width is never nothing: on none (COLUMNS=0) it would print nothing."""
    from rich.console import Console

    console = Console(highlight=False, **kind)
    if not console.width:
        console.width = 80
    return console


def _show(table: Table) -> None:
    """A table no cell of which is cut: where a terminal is too narrow, its rows as lines."""
    from rich.measure import Measurement

    console = console_of()
    anywhere = console.options.update(max_width=WIDEST)
    wide = Measurement.get(console, anywhere, table).maximum
    if wide > console.width and console.is_terminal:
        _show_lines(console, table)
    else:
        console.width = max(console.width, wide)  # a file has no width
        console.print(table)


def _show_lines(console: Console, table: Table) -> None:
    """Title; then for each row its name, and below it the other columns, a line each."""
    _, *keys = (" ".join(str(column.header).split()) for column in table.columns)
    width = max(map(len, keys))
    console.soft_wrap = True
    if table.title:
        console.print(table.title, markup=False)
    for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
        console.print(name, style="bold", markup=False)
        for key, cell in zip(keys, cells, strict=True):
            console.print(f"  {key:{width}}  {cell}", markup=False)

"""What would go stale if it were written by hand, as directives without arguments.

commands       every command of the command line, with its options
recipe-keys    every key that --set takes
presets        every preset that comes along
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import typer
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from abprop.app import cli
from abprop.run.recipe import KEYS, presets


def setup(app: Any) -> dict[str, bool]:
    """The directives."""
    for name, told in (("commands", commands), ("recipe-keys", keys), ("presets", ready)):
        app.add_directive(name, _directive(told))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _directive(told: Callable[[], str]) -> type[SphinxDirective]:
    class Told(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            return self.parse_text_to_nodes(told(), allow_section_headings=True)

    return Told


def commands() -> str:
    """Markdown of all commands in the order of --help."""
    group: Any = typer.main.get_command(cli.app)
    return "\n".join(line for c in group.commands.values() for line in _command(c))


def _command(command: Any) -> Iterable[str]:
    context = command.make_context(command.name, [], resilient_parsing=True)
    words = " ".join(command.collect_usage_pieces(context))
    yield f"## abprop {command.name}\n"
    yield f"```text\nabprop {command.name} {words}\n```\n"
    yield f"{command.help}\n"
    rows = [_row(p, context) for p in command.params]
    if rows:
        yield "| | |\n|---|---|"
        yield from (f"| {names} | {_cell(told)} |" for names, told in rows)
    yield f"\n{_example(command.epilog)}\n"


def _row(param: Any, context: Any) -> tuple[str, str]:
    told = param.get_help_record(context)
    names, text = told if told else (param.human_readable_name, param.help or "")
    return f"`{names.strip()}`", text


def _example(epilog: str) -> str:
    return f"```bash\n{epilog.removeprefix('Example: ')}\n```"


def keys() -> str:
    """Markdown of all recipe keys, a table for each section."""
    lines = []
    for section, group in groupby(KEYS.items(), key=lambda item: item[0].rpartition(".")[0]):
        lines += [f"## {section or 'the whole run'}\n", "| key | default | |", "|---|---|---|"]
        for key, field in group:
            default = "" if field.default in (None, "") else f"`{field.default}`"
            lines.append(f"| `{key}` | {default} | {_cell(field.description or '')} |")
        lines.append("")
    return "\n".join(lines)


def ready() -> str:
    """Markdown of the presets."""
    rows = (f"| `{name}` | {_cell(told)} |" for name, told in presets().items())
    return "\n".join(("| preset | |", "|---|---|", *rows))


def _cell(text: str) -> str:
    for one in "|*_<[":
        text = text.replace(one, f"\\{one}")
    return " ".join(text.split())

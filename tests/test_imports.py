"""The import ladder: a module imports only from rungs below its own.

Every import counts, whether at the top of a module, inside a function or under TYPE_CHECKING.
`python tests/test_imports.py` checks src/abprop without pytest.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "abprop"

# Rooms on one rung do not see each other. `app` is the top and sees everything.
LADDER = (
    ("evenly", "noise", "say", "version", "whole"),
    ("errors",),
    ("grammar", "priors", "likelihoods", "operators", "networks", "principal", "dynamics"),
    ("model", "residuals", "spectra", "replay"),
    ("inference",),
    ("latents", "weights", "annealing", "averaging"),
    ("alternate",),
    ("distributed",),
    ("checkpoint", "machine", "rehearsal"),
    ("files",),
    ("data",),
    ("starts",),
    ("kinds",),
    ("sources",),
    ("tasks", "diagnostics"),
    ("baselines", "measures", "verify"),
    ("evaluate",),
    ("learning",),
    ("run",),
    ("estimators", "export", "hub", "bench"),
    ("report",),
    ("explore",),
    ("app",),
    ("__main__",),
)
RUNG = {room: height for height, rooms in enumerate(LADDER) for room in rooms}
MATHEMATICS = {room for room in RUNG if RUNG[room] <= RUNG["alternate"]}

# The mathematics never sees a config, a path, a logger or a command line.
NOT_MATHEMATICS = {"pydantic", "typer", "rich", "pathlib", "logging", "argparse", "os"}
UNPICKLERS = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "torch.save"}
NUMPY_LOADS = {"np.load", "numpy.load"}


def modules(source: Path = SOURCE) -> dict[str, ast.Module]:
    """Every module of the package by its dotted name; a package goes by its folder's name."""
    found = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = _parsed(path)
    return found


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.Module, name: str, is_package: bool) -> Iterator[tuple[str, str]]:
    """(module, name taken from it or "") for each import anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, name, is_package)
            yield from ((base, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and _dotted(node.func).endswith("import_module"):
            yield from ((str(arg.value), "") for arg in node.args if isinstance(arg, ast.Constant))


def _absolute(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    parents = parts[: len(parts) - node.level + is_package]
    return ".".join([*parents, node.module] if node.module else parents)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def room(module: str) -> str:
    """The room a module of the package is in: `abprop.data.images` is in `data`."""
    return module.split(".")[1] if "." in module else ""


def own_imports(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """The modules of the package that each module imports."""
    packages = {name.rpartition(".")[0] for name in trees}
    graph: dict[str, set[str]] = {}
    for name, tree in trees.items():
        taken = imports(tree, name, name in packages)
        targets = {f"{base}.{item}" if f"{base}.{item}" in trees else base for base, item in taken}
        graph[name] = {target for target in targets if target.split(".")[0] == "abprop"}
    return graph


def ladder_faults(trees: dict[str, ast.Module]) -> list[str]:
    """Imports that go sideways or up, and rooms that stand on no rung."""
    faults = []
    for name, targets in own_imports(trees).items():
        if not (here := room(name)):
            continue  # abprop/__init__ only hands names out
        if here not in RUNG:
            faults.append(f"{name} is on no rung: add it to LADDER in tests/test_imports.py")
            continue
        for target in sorted(targets):
            there = room(target)
            if there != here and not RUNG.get(there, len(LADDER)) < RUNG[here]:
                faults.append(f"{name} imports {target}, which is not below it")
    return faults


def cycle_faults(trees: dict[str, ast.Module]) -> list[str]:
    """Cycles among modules; only those within one room can pass the ladder."""
    graph = {name: targets for name, targets in own_imports(trees).items() if room(name)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["an import cycle: " + " -> ".join(error.args[1])]
    return []


def stranger_faults(trees: dict[str, ast.Module]) -> list[str]:
    """Mathematics that sees the world, and anything that can unpickle."""
    faults = []
    for name, tree in trees.items():
        banned = UNPICKLERS | (NOT_MATHEMATICS if room(name) in MATHEMATICS else set())
        tops = {base.split(".")[0] for base, _ in imports(tree, name, False)}
        faults += [f"{name} imports {top}" for top in sorted(tops & banned)]
    return faults


def call_faults(trees: dict[str, ast.Module]) -> list[str]:
    """Calls that run code found in data: eval, exec, and loaders that may unpickle."""
    faults = []
    for name, tree in trees.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = _dotted(call.func)
            if called in UNSAFE_CALLS or (called in NUMPY_LOADS and not _refuses_pickle(call)):
                faults.append(f"{name}:{call.lineno} calls {called}")
    return faults


def _refuses_pickle(call: ast.Call) -> bool:
    values = [keyword.value for keyword in call.keywords if keyword.arg == "allow_pickle"]
    return any(isinstance(value, ast.Constant) and value.value is False for value in values)


RULES = (ladder_faults, cycle_faults, stranger_faults, call_faults)


def test_imports_only_go_down():
    assert ladder_faults(modules()) == []


def test_no_cycles():
    assert cycle_faults(modules()) == []


def test_mathematics_sees_no_config_path_or_logger_and_nothing_unpickles():
    assert stranger_faults(modules()) == []


def test_no_call_runs_code_found_in_data():
    assert call_faults(modules()) == []


BROKEN = {
    "abprop.noise": "import abprop.errors",  # sideways
    "abprop.model": "def f():\n    from abprop import tasks",  # up, and hidden in a function
    "abprop.tasks": "from .data import images",  # fine: down, relative
    "abprop.checkpoint": "from abprop.machine import cores",  # up
    "abprop.data.images": "from abprop.data.arrays import read",  # a cycle with the next
    "abprop.data.arrays": "from . import images\nimport pickle",
    "abprop.data": "",
    "abprop.latents": "import os.path",
    "abprop.extra": "",
    "abprop.evaluate": "import numpy as np\nnp.load('a')\nnp.load('b', allow_pickle=False)",
}


def test_the_rules_catch_what_they_should():
    trees = {name: ast.parse(text) for name, text in BROKEN.items()}
    faulty = [fault.split()[0] for fault in ladder_faults(trees)]
    assert faulty == ["abprop.noise", "abprop.model", "abprop.checkpoint", "abprop.extra"]
    assert len(cycle_faults(trees)) == 1
    assert stranger_faults(trees) == [
        "abprop.data.arrays imports pickle",
        "abprop.latents imports os",
    ]
    assert call_faults(trees) == ["abprop.evaluate:2 calls np.load"]


if __name__ == "__main__":
    faults = [fault for rule in RULES for fault in rule(modules())]
    print("\n".join(faults) or f"import ladder: {len(modules())} modules OK")
    sys.exit(bool(faults))

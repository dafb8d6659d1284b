"""Nothing in the source runs what it reads, starts a program, or goes where a file tells it to.

Every file is read as a syntax tree. What is called is known by where it was imported from, not by
what it is called there; the few things that are not as bad as they look are allowed one by one,
each with its reason. (`test_imports` has the rules of its own on unpicklers.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from test_imports import UNPICKLERS, _dotted, modules

Trees = dict[str, ast.Module]

BUILTINS = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
MODULES = UNPICKLERS | {
    "code", "codeop", "ctypes", "cffi", "ftplib", "http", "imp", "multiprocessing.managers", "pty",
    "requests", "runpy", "socketserver", "subprocess", "tarfile", "urllib", "xml", "xmlrpc", "yaml",
}  # fmt: skip
CALLS = {
    "importlib.import_module", "os.popen", "os.startfile", "os.system", "pandas.read_pickle",
    "shutil.unpack_archive", "tempfile.mktemp", "torch.jit.load", "torch.load", "torch.save",
    "torch.hub.load", "torch.package.PackageImporter", "numpy.fromfile", "numpy.fromregex",
    "logging.config.listen", "builtins.eval", "builtins.exec",
}  # fmt: skip
STARTS = ("os.exec", "os.spawn", "os.posix_spawn", "subprocess.", "pty.", "runpy.")
METHODS = {"extract", "extractall"}  # of archives: they write where their members say
UNPICKLED = {"numpy.load", "numpy.lib.format.read_array", "numpy.lib.npyio.NpzFile"}
PACKERS = {"numpy.save"}  # of objects, unless told not to

ALLOWED = {
    f"abprop {verb} importlib.import_module": "the package's own modules, by names in its own table"
    for verb in ("imports", "calls")
} | {
    "abprop.bench.timing imports ctypes": "the C library's own malloc_trim, by name",
}

# A path made of a folder and of something that does not stand in the source.
FOLDERS = {"folder", "path", "target", "run_folder", "step", "here", "top", "root", "_shipped"}
HOME = "Path(hub.constants.HF_HOME) / 'abprop' / repository.replace('/', '--')"
SAFE = {"step_name", "inside"}  # what they give stays in the folder
JOINS = {
    "abprop.app.cli: Path('runs') / name": "the last part of a path that was typed",
    "abprop.app.commands.runs: fitted.folder / 'samples' / f'sample-{seed}{suffix}'": "a number",
    "abprop.app.commands.runs: fitted.folder / 'samples' / f'{stem}{fitted.suffix}'": "our own",
    "abprop.app.commands.runs: path / f'sample-{seed}{suffix}'": "a number",
    "abprop.checkpoint.files: path.with_name(f'{TEMPORARY}{path.name}-{os.getpid()}')": "the last",
    "abprop.checkpoint.keeping: folder / name": "names that the disk listed",
    "abprop.checkpoint.keeping: path.with_name(f'{TEMPORARY}{path.name}-deleted')": "a last part",
    "abprop.checkpoint.reading: path / file": "`well_formed`: a plain name, never a path",
    "abprop.checkpoint.validation: folder / f'{name}.safetensors'": "for a message",
    "abprop.checkpoint.writing: folder / f'{TEMPORARY}{target.name}-{process}'": "a last part",
    "abprop.checkpoint.writing: folder / file": "groups that abprop names",
    "abprop.checkpoint.writing: target.with_name(ASIDE + target.name)": "a last part",
    "abprop.files.entries: Path(top, name)": "names that the disk listed",
    "abprop.files.write: path.with_name(f'{TEMPORARY}{path.name}-{os.getpid()}')": "a last part",
    f"abprop.hub: {HOME}": "a name without a slash: ADDRESS",
    f"abprop.hub: {HOME} / commit": "a name without a slash, and letters and digits: COMMIT",
    "abprop.hub: folder / name": "our own, or such that match FILE",
    "abprop.hub: folder / step": "`step_name`",
    "abprop.hub: run.folder / name": "our own, or such that match FILE",
    "abprop.hub: step / path.name": "such that match FILE",
    "abprop.machine: top.joinpath(*inner[:depth])": "the kernel's own, and no '..' among them",
    "abprop.report.page: files('abprop.report').joinpath('assets', name)": "our own",
    "abprop.report.recovered: folder / f'draw-{k + 1}'": "a number",
    "abprop.report.recovered: folder / name": "our own",
    "abprop.run.recipe: _shipped() / f'{name}.toml'": "one of `presets`",
}


def origins(tree: ast.Module) -> dict[str, str]:
    """What each imported name is, dotted from its package on."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def whole(name: str, known: dict[str, str]) -> str:
    """A dotted name from its package on."""
    first, dot, rest = name.partition(".")
    return known.get(first, first) + dot + rest


def call_faults(trees: Trees) -> list[str]:
    """What runs code, starts programs, unpickles or unpacks into a folder."""
    faults = []
    for module, tree in trees.items():
        known = origins(tree)
        faults += [f"{module} imports {name}" for name in known.values() if _banned(name)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in BUILTINS and node.id not in known:
                faults.append(f"{module} names {node.id}")  # called, or handed on
            elif isinstance(node, ast.Attribute):
                name = whole(_dotted(node), known)
                if name in CALLS or name.startswith(STARTS):
                    faults.append(f"{module} calls {name}")
            elif isinstance(node, ast.Call):
                faults += [f"{module} {fault}" for fault in _called(node, known)]
    return sorted({fault for fault in faults if fault not in ALLOWED})


def _banned(name: str) -> bool:
    parts = name.split(".")
    return name in CALLS or any(".".join(parts[:n]) in MODULES for n in range(1, len(parts) + 1))


def _called(node: ast.Call, known: dict[str, str]) -> Iterator[str]:
    name = whole(_dotted(node.func), known)
    told = {k.arg: ast.unparse(k.value) for k in node.keywords}
    if name in CALLS:
        yield f"calls {name}"
    if name in UNPICKLED | PACKERS and told.get("allow_pickle") != "False":
        yield f"calls {name} without allow_pickle=False"
    if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield f"calls .{node.func.attr}"
    if told.get("shell", "False") != "False" or told.get("trust_remote_code", "False") != "False":
        yield f"calls {name} with a shell, or with code from elsewhere"


def join_faults(trees: Trees) -> list[str]:
    """Paths made of a folder and something that was read, each of which must have its reason."""
    found = {f"{m}: {ast.unparse(n)}" for m, tree in trees.items() for n in _joins(tree)}
    return sorted(found - JOINS.keys())


def _joins(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if _first(node) in FOLDERS | {"Path"} and not _stands(node.right):
                yield node
        elif isinstance(node, ast.Call):
            name = _dotted(node.func)
            some = name in ("Path", "os.path.join") or name.endswith((".joinpath", ".with_name"))
            rest = node.args[name in ("Path", "os.path.join") :]
            if some and not all(map(_stands, rest)):
                yield node


def _first(node: ast.expr) -> str:
    """The name of the folder that a path begins with."""
    while isinstance(node, ast.BinOp):
        node = node.left
    node = node.func if isinstance(node, ast.Call) else node
    return _dotted(node).rpartition(".")[2]


def _stands(node: ast.expr) -> bool:
    """Whether a part of a path stands in the source, or cannot lead out of the folder."""
    if isinstance(node, ast.Call):
        return _dotted(node.func).rpartition(".")[2] in SAFE
    if isinstance(node, ast.JoinedStr):
        parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return bool(parts) and _stands(parts[0]) and all(map(_harmless, parts[1:]))
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())


def _harmless(node: ast.expr) -> bool:
    """After the first part of a name: an extension, a number."""
    return _dotted(node).rpartition(".")[2] == "suffix" or _stands(node)


def test_nothing_runs_what_it_reads():
    assert call_faults(modules()) == []


def test_no_path_is_made_of_what_a_file_says():
    assert join_faults(modules()) == []


def test_every_exception_is_still_there():
    found = {f"{m}: {ast.unparse(n)}" for m, tree in modules().items() for n in _joins(tree)}
    assert JOINS.keys() - found == set()
    code = {module: ast.unparse(tree) for module, tree in modules().items()}
    told = [allowed.split() for allowed in ALLOWED]
    assert [name for m, _, name in told if name.rpartition(".")[2] not in code[m]] == []


BAD = {
    "import subprocess": "imports subprocess",
    "from os import system as s": "imports os.system",
    "import os\nos.system('x')": "calls os.system",
    "import os as o\no.execv('x', [])": "calls os.execv",
    "eval('1')": "names eval",
    "run = map(exec, things)": "names exec",
    "import builtins\nbuiltins.eval('1')": "calls builtins.eval",
    "import torch\ntorch.load('x')": "calls torch.load",
    "from torch import load as l\nl('x')": "calls torch.load",
    "import numpy as n\nn.load('x')": "calls numpy.load without",
    "import numpy as n\nn.load('x', allow_pickle=True)": "calls numpy.load without",
    "import numpy as n\nn.lib.format.read_array(f)": "calls numpy.lib.format.read_array without",
    "import joblib": "imports joblib",
    "from yaml import load": "imports yaml.load",
    "import xml.etree.ElementTree as E": "imports xml.etree.ElementTree",
    "archive.extractall(folder)": "calls .extractall",
    "zipfile.ZipFile(x).extract(m)": "calls .extract",
    "start('ls', shell=True)": "with a shell",
    "import importlib\nimportlib.import_module(x)": "calls importlib.import_module",
}


@pytest.mark.parametrize("code", BAD)
def test_what_is_refused(code: str):
    assert any(BAD[code] in fault for fault in call_faults({"abprop.x": ast.parse(code)})), code


@pytest.mark.parametrize(
    "code", ["folder / info.filename", "Path(top, name)", "path / f'{name}.png'", "Path('a') / x",
             "folder.joinpath(name)", "path.with_name(name)", "os.path.join(folder, member)"]
)  # fmt: skip
def test_which_paths_need_a_reason(code: str):
    assert join_faults({"abprop.x": ast.parse(code)}) == [f"abprop.x: {code}"]


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()",
        "re.compile('a')",
        "np.load('x', allow_pickle=False)",
        "folder / 'a.txt'",
        "folder / f'{inside(name)}{suffix}'",
        "path / checkpoint.step_name(3)",
        "folder / MANIFEST",
        "mean / count",
    ],
)
def test_what_is_no_danger(code: str):
    trees = {"abprop.x": ast.parse(f"import numpy as np\n{code}")}
    assert call_faults(trees) + join_faults(trees) == []

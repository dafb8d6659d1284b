"""What a shell asks of a command: completion, its name as a module, one line for a wrong word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import Command

import abprop as package

SCRIPTS = {  # what each shell calls to have a command completed
    "bash": "complete -o default -F _abprop_completion abprop",
    "zsh": "compdef _abprop_completion abprop",
    "fish": "complete --command abprop",
}


def module(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m abprop` of this source tree."""
    there = str(Path(package.__file__).parents[1])
    command = [sys.executable, "-m", "abprop", *words]
    environment = {**os.environ, "PYTHONPATH": there, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch):
    """In which shell the command believes to be."""
    return lambda name: monkeypatch.setattr("shellingham.detect_shell", lambda: (name, name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_completion_is_a_script_of_the_shell(name: str, shell, abprop: Command):
    shell(name)
    done = abprop("--show-completion")
    assert (done.code, done.err) == (0, "") and SCRIPTS[name] in done.out
    if found := shutil.which(name):
        checked = subprocess.run([found, "-n"], input=done.out, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", SCRIPTS)
def test_completion_is_installed_at_home(
    name: str, shell, tmp_path: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    shell(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    done = abprop("--install-completion")
    assert done.code == 0 and str(tmp_path) in done.out
    written = [path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert any(SCRIPTS[name] in text or "_ABPROP_COMPLETE" in text for text in written)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("abprop re", ["reconstruct", "recover", "report"]),
        ("abprop fit --bu", ["--budget"]),
        ("abprop nothing --bu", []),
    ],
)
def test_words_are_completed(
    words: str, found: list[str], abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("_ABPROP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert abprop().out.split() == found


def test_the_module_is_the_command():
    """Also where completion is asked of it: for `python -m abprop` there could be none."""
    told = module(_ABPROP_COMPLETE="source_bash")
    assert told.returncode == 0 and SCRIPTS["bash"] in told.stdout
    wrong = module("--versoin")
    assert (wrong.returncode, wrong.stdout) == (2, "") and wrong.stderr.count("\n") == 1
    assert wrong.stderr.startswith("abprop: ") and "--version" in wrong.stderr


@pytest.mark.parametrize("word", ["fitt", "--versoin", "--show-completions", "-x", ""])
def test_a_wrong_first_word_is_one_line(word: str, abprop: Command):
    assert "(see abprop --help)" in abprop(word).complaint


def test_a_shell_that_is_not_known_is_one_line(shell, abprop: Command):
    shell("tcsh")
    for option in ("--show-completion", "--install-completion"):
        done = abprop(option)
        assert done.code != 0 and (done.out + done.err).count("\n") == 1

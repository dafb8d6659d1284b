"""A run: stopped anywhere and resumed it ends in the same bytes; nothing learned is ever lost."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import FACES, TEXTURE, TINY, Command, blobs, keys

import abprop.learning.learning as learning_module
import abprop.run.fitting as fitting
import abprop.run.fitting.loop as loop_module
from abprop import checkpoint, tasks
from abprop.errors import UserError
from abprop.inference import State
from abprop.latents import Rehearsed
from abprop.learning import Clock, Learning
from abprop.learning.plan import Plan, planned, rehearse
from abprop.run import Layers, Progress, fit, load, metrics
from abprop.run.reading import load_data
from abprop.run.recipe import loads, settings
from abprop.run.split import resolve, split

SOURCE = Path(fitting.__file__).resolve().parents[3]


class Told(Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def learn(
    folder: Path, source: Path, sets: Sequence[str] = FACES, *, stop_at: int | None = None, **more
) -> list[str]:
    """Fit, and what was said."""
    told = Told()
    overrides = {"data.source": str(source), **more}
    fit(folder, Layers(None, sets, overrides), stop_at=stop_at, progress=told)
    return told.lines


def saved(folder: Path) -> dict[str, dict[str, bytes]]:
    """Every byte of every checkpoint."""
    return {
        step.name: {file.name: file.read_bytes() for file in sorted(step.iterdir())}
        for step in sorted((folder / "checkpoints").iterdir())
    }


def last(folder: Path) -> dict[str, bytes]:
    """Every byte of the newest checkpoint."""
    everything = saved(folder)
    return everything[max(everything)]


def iterations(folder: Path) -> list[int]:
    return [row["iteration"] for row in metrics.load(folder / "metrics.jsonl")]


def recipe_of(folder: Path):
    return loads((folder / "recipe.toml").read_text("utf-8"), "recipe.toml")


# Bits -----------------------------------------------------------------------------------------

CASES = {
    "faces": ("faces.npy", (*FACES, "model.latent=4", "data.mirror=yes")),
    "texture": ("texture.npy", TEXTURE),
    "table": ("table.csv", (*TINY, "train.iterations=6", "model.sigma=learned")),
    "waiting": ("faces.npy", (*FACES, "infer.wait=3", "infer.start=pca", "infer.chains=2")),
    "restarted": ("faces.npy", (*FACES, "infer.visits=restarted", "infer.kernel=hmc")),
    "hot": ("faces.npy", (*FACES, "model.prior=standard", "infer.start=prior", "data.holdout=0")),
}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", CASES)
def test_stopped_at_any_iteration_and_resumed_ends_in_the_same_bytes(
    case: str, precision: str, shelf: Path, tmp_path: Path
):
    name, sets = CASES[case]
    sets = (*sets, "train.iterations=6", f"run.precision={precision}")
    sets = (*sets, "checkpoint.keep=99", "checkpoint.every=1")
    learn(tmp_path / "whole", shelf / name, sets)
    whole = saved(tmp_path / "whole")
    total = 6
    assert list(whole) == [checkpoint.step_name(t) for t in range(1, total + 1)]
    for t in range(1, total):
        folder = tmp_path / f"stopped-{t}"
        learn(folder, shelf / name, sets, stop_at=t)
        assert max(saved(folder)) == f"step-{t:08d}"
        learn(folder, shelf / name, sets)
        assert saved(folder) == whole
        assert iterations(folder) == list(range(1, total + 1))


def test_stopped_at_every_iteration_ends_in_the_same_bytes(shelf: Path, tmp_path: Path):
    learn(tmp_path / "whole", shelf / "faces.npy")
    for t in range(1, 9):
        learn(tmp_path / "slow", shelf / "faces.npy", stop_at=t)
    assert last(tmp_path / "slow") == last(tmp_path / "whole")


def test_how_often_it_is_saved_does_not_change_what_is_learned(shelf: Path, tmp_path: Path):
    for every in ("1", "5", "60s"):
        learn(tmp_path / every, shelf / "faces.npy", (*FACES, f"checkpoint.every={every}"))
    assert last(tmp_path / "1") == last(tmp_path / "5") == last(tmp_path / "60s")


def about_to_learn(source: Path, sets: Sequence[str]) -> Learning:
    recipe = Layers(None, sets, {"data.source": str(source)}).over(None)
    signals = load_data(recipe)
    recipe, observed = resolve(recipe, signals)
    parts = split(recipe, signals, observed)
    return Learning(settings(recipe), parts.examples, parts.unseen, parts.originals)


@pytest.mark.parametrize(
    ("name", "sets", "wait"),
    [
        ("texture.npy", ("train.iterations=600",), 24),
        ("texture.npy", ("train.iterations=6",), 2),
        ("faces.npy", ("train.iterations=600", "infer.start=pca"), 200),
        ("faces.npy", ("train.iterations=600", "infer.start=prior"), 0),
        ("faces.npy", ("train.iterations=600", "infer.start=pca", "infer.wait=7"), 7),
    ],
)
def test_how_long_chains_wait_is_planned(name: str, sets: tuple[str, ...], wait: int, shelf: Path):
    base = TEXTURE if name == "texture.npy" else FACES
    learning = about_to_learn(shelf / name, (*base, *sets))
    assert planned(learning, 1.0, Clock(), str, try_threads=False).wait == wait


def test_a_rehearsal_times_chains_that_move_even_while_they_wait(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    ages: list[int] = []

    def watched(table: Rehearsed, ids: torch.Tensor, state: State) -> None:
        ages.append(int(state.age.min()))

    monkeypatch.setattr(Rehearsed, "__setitem__", watched)
    learning = about_to_learn(shelf / "faces.npy", (*FACES, "infer.wait=1000"))
    rehearse(learning, at_least=3)
    assert len(ages) > 3 and min(ages) > 0 and learning.settings.infer.wait == 1000


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("t", [0, 3])
def test_a_rehearsal_leaves_no_trace(case: str, t: int, shelf: Path):
    name, sets = CASES[case]
    learning = about_to_learn(shelf / name, sets)
    for _ in learning.steps(t):
        pass
    before = {
        f"{group}/{name}": v.clone()
        for group, values in learning.tensors().items()
        for name, v in values.items()
    }
    kept = (learning.t, list(learning.scores), learning.heldout)
    rehearse(learning, at_least=3)
    after = {
        f"{group}/{name}": v
        for group, values in learning.tensors().items()
        for name, v in values.items()
    }
    assert before.keys() == after.keys()
    assert [name for name, v in before.items() if not torch.equal(v, after[name])] == []
    assert (learning.t, learning.scores, learning.heldout) == kept


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "abprop.app.cli", *map(str, words)]


def started(*words: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*words), env=environment, text=True, **pipes)


def wait_for(folder: Path, step: int) -> None:
    """Until a checkpoint of this step or a later one is there."""
    deadline = time.monotonic() + 60
    while not any(s >= step for s in checkpoint.steps(folder / "checkpoints")):
        assert time.monotonic() < deadline, "nothing was saved"
        time.sleep(0.01)


LONG = (*TINY, "train.iterations=60", "checkpoint.every=1", "model.latent=4")


@pytest.fixture(scope="module")
def whole(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The last checkpoint of an uninterrupted LONG run."""
    folder = tmp_path_factory.mktemp("whole")
    learn(folder, shelf / "faces.npy", LONG)
    return last(folder)


def test_a_killed_run_resumes_to_the_same_bytes(shelf: Path, run_dir: Path, whole):
    words = ("fit", shelf / "faces.npy", "--run", run_dir, *keys(*LONG))
    process = started(*words)
    wait_for(run_dir, 5)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL and last(run_dir) != whole
    learn(run_dir, shelf / "faces.npy", LONG)
    assert last(run_dir) == whole
    assert iterations(run_dir) == list(range(1, 61))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(number, shelf: Path, run_dir: Path, whole):
    words = ("fit", shelf / "faces.npy", "--run", run_dir, *keys(*LONG), "--stop-at", "55")
    process = started(*words)
    wait_for(run_dir, 4)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3 and out == "" and "Traceback" not in err
    reached = max(checkpoint.steps(run_dir / "checkpoints"))
    assert 4 <= reached < 55
    line = err.strip().splitlines()[-1]
    assert line.startswith(f"saved at iteration {reached} of 60; resume with: abprop fit ")
    assert "--stop-at" not in line and str(run_dir) in line
    learn(run_dir, shelf / "faces.npy", LONG)
    assert last(run_dir) == whole


def test_a_signal_before_learning_began_is_no_crash(shelf: Path, run_dir: Path):
    process = started("fit", shelf / "faces.npy", "--run", run_dir, "--budget", "1h")
    deadline = time.monotonic() + 60
    while not run_dir.exists():  # imports are over, data are being read
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3 and out == "" and "Traceback" not in err


# Resuming -------------------------------------------------------------------------------------


@pytest.fixture
def half(shelf: Path, tmp_path: Path) -> Path:
    """A run stopped half way; each test has its own."""
    sets = (*FACES, "model.latent=4", "data.mirror=no")
    learn(tmp_path / "half", shelf / "faces.npy", sets, stop_at=4)
    return tmp_path / "half"


@pytest.mark.parametrize(
    "change",
    [
        "model.latent=5",
        "model.channels=16",
        "model.prior=standard",
        "model.sigma=0.3",
        "seed=1",
        "data.holdout=0.1",
        "infer.steps=3",
        "infer.kernel=gradient",
        "infer.chunk=32",
        "train.learning_rate=0.01",
        "train.batch=10",
        "data.mirror=yes",
        "data.select=0:50",
        "data.range=0:128",
        "data.size=16",
    ],
)
def test_a_change_that_makes_it_another_run_is_refused(
    change: str, half: Path, shelf: Path, abprop: Command
):
    before = saved(half)
    done = abprop("fit", shelf / "faces.npy", "--run", half, *keys(change))
    assert change.partition("=")[0] in done.complaint and "another --run" in done.complaint
    assert saved(half) == before


def test_more_iterations_go_on_with_a_warning(half: Path, shelf: Path):
    said = learn(half, shelf / "faces.npy", ("train.iterations=12",))
    assert any("train.iterations was 8, now 12" in line for line in said)
    assert iterations(half) == list(range(1, 13))


def test_fewer_iterations_than_done_are_no_crash(half: Path, shelf: Path):
    before = saved(half)
    learn(half, shelf / "faces.npy", ("train.iterations=2",))
    assert saved(half) == before


def test_the_same_command_again_has_nothing_to_do(shelf: Path, run_dir: Path, abprop: Command):
    words = ("fit", shelf / "faces.npy", "--run", run_dir, *keys(*FACES))
    assert abprop(*words).code == 0
    before, recipe = saved(run_dir), (run_dir / "recipe.toml").read_bytes()
    done = abprop(*words)
    assert done.code == 0 and "nothing is left to learn" in done.err
    assert saved(run_dir) == before and (run_dir / "recipe.toml").read_bytes() == recipe
    assert iterations(run_dir) == list(range(1, 9))


@pytest.mark.parametrize(
    "words",
    [
        ("--preset", "images", *keys(*FACES)),
        ("--preset", "quick", "--budget", "2s"),
        ("--preset", "images", "--budget", "2s", *keys("model.channels=8")),
        ("--set", "model.latent=auto", *keys(*FACES)),
        ("--set", "data.kind=auto", *keys(*FACES)),
    ],
)
def test_the_same_words_again_are_no_change(
    words: tuple[str, ...], shelf: Path, run_dir: Path, abprop: Command
):
    words = ("fit", str(shelf / "faces.npy"), "--run", str(run_dir), *words)
    assert abprop(*words, "--stop-at", "2").code == 0
    recipe = (run_dir / "recipe.toml").read_bytes()
    done = abprop(*words, "--stop-at", "3")
    assert done.code == 0 and "note: " not in done.err
    assert (run_dir / "recipe.toml").read_bytes() == recipe


def test_other_data_are_refused(half: Path, shelf: Path, abprop: Command):
    before = saved(half)
    done = abprop("fit", shelf / "other.npy", "--run", half)
    assert "other data" in done.complaint and "--run" in done.complaint
    assert saved(half) == before


def test_data_may_move(half: Path, shelf: Path, tmp_path: Path):
    np.save(tmp_path / "moved.npy", np.load(shelf / "faces.npy"))
    learn(half, tmp_path / "moved.npy", ())
    assert recipe_of(half).data.source == str(tmp_path / "moved.npy")
    whole = tmp_path / "whole"
    learn(whole, shelf / "faces.npy", (*FACES, "model.latent=4", "data.mirror=no"))
    tensors = {name: data for name, data in last(half).items() if name != "manifest.json"}
    assert tensors == {n: data for n, data in last(whole).items() if n != "manifest.json"}


# Damage ---------------------------------------------------------------------------------------


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_damaged_checkpoint_costs_only_itself(shelf: Path, tmp_path: Path, abprop: Command):
    folder, sets = tmp_path / "run", (*FACES, "checkpoint.every=2")
    learn(folder, shelf / "faces.npy", sets, stop_at=6)
    learn(tmp_path / "whole", shelf / "faces.npy", sets)
    newest = max(checkpoint.steps(folder / "checkpoints"))
    damage(folder / "checkpoints" / checkpoint.step_name(newest) / "network.safetensors")
    done = abprop("fit", shelf / "faces.npy", "--run", folder, *keys(*sets))
    assert done.code == 0 and f"skipped the checkpoint at step {newest}" in done.err
    assert last(folder) == last(tmp_path / "whole")
    assert iterations(folder) == list(range(1, 9))


@pytest.mark.parametrize("which", ["newest", "best"])
def test_tasks_fall_back_and_say_so(which: str, shelf: Path, run_dir: Path, abprop: Command):
    learn(run_dir, shelf / "faces.npy", (*FACES, "checkpoint.keep=9"))
    found = checkpoint.latest(run_dir / "checkpoints", lambda line: None)
    assert found is not None
    best = min(found.meta["scores"], key=lambda score: score[1])[0]
    step = found.step if which == "newest" else best
    damage(run_dir / "checkpoints" / checkpoint.step_name(step) / "network.safetensors")
    done = abprop("sample", run_dir, "-n", "2", "-o", run_dir / "x.png")
    assert done.code == 0 and f"skipped the checkpoint at step {step}" in done.err


def test_a_bad_future_does_not_push_out_the_good_past(shelf: Path, run_dir: Path):
    sets = (*FACES, "data.holdout=0", "checkpoint.keep=1")
    learn(run_dir, shelf / "faces.npy", (*sets, "checkpoint.every=1", "checkpoint.keep=9"))
    for step in (6, 7, 8):
        damage(run_dir / "checkpoints" / checkpoint.step_name(step) / "network.safetensors")
    learn(run_dir, shelf / "faces.npy", (*sets, "checkpoint.every=1"), stop_at=6)
    assert checkpoint.steps(run_dir / "checkpoints") == [6]
    assert load(run_dir).step == 6


def test_a_run_killed_before_its_first_checkpoint_starts_afresh(shelf: Path, run_dir: Path):
    run_dir.mkdir()
    (run_dir / "metrics.jsonl").write_text('{"iteration": 1}\n{"iteration": 2}\n{"iter', "utf-8")
    learn(run_dir, shelf / "faces.npy")
    assert iterations(run_dir) == list(range(1, 9))


def test_the_recipe_is_written_whole_or_not_at_all(half: Path, monkeypatch: pytest.MonkeyPatch):
    before = (half / "recipe.toml").read_bytes()

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((OSError, UserError)):
        learn(half, Path(recipe_of(half).data.source), ())
    assert (half / "recipe.toml").read_bytes() == before


def test_a_full_disk_is_one_line_and_loses_nothing(
    half: Path, shelf: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    before = saved(half)

    write = checkpoint.files.write

    def full(path: Path, data: Iterable[bytes | memoryview]) -> tuple[int, str]:
        if path.suffix != ".safetensors":
            return write(path, data)
        write(path, [b"".join(data)[:10]])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("abprop.checkpoint.files.write", full)
    done = abprop("fit", shelf / "faces.npy", "--run", half)
    assert "No space left" in done.complaint and "step 4 is intact" in done.complaint
    assert saved(half) == before


# Divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["faces.npy", "texture.npy", "table.csv"])
def test_a_huge_learning_rate_is_one_line(name: str, shelf: Path, run_dir: Path, abprop: Command):
    sets = (*TINY, "train.iterations=30", "checkpoint.every=1", "train.learning_rate=1e6")
    if name == "texture.npy":
        sets = (*sets, "data.crop=16", "data.crops=12")
    done = abprop("fit", shelf / name, "--run", run_dir, *keys(*sets))
    assert "diverged" in done.complaint and "train.learning_rate=250000" in done.complaint
    for step in checkpoint.steps(run_dir / "checkpoints"):
        checkpoint.load(run_dir / "checkpoints" / checkpoint.step_name(step))
    for row in (run_dir / "metrics.jsonl").read_text("utf-8").splitlines():
        json.loads(row, parse_constant=pytest.fail)  # NaN is no JSON


def test_a_huge_step_size_is_survived_or_said(shelf: Path, run_dir: Path, abprop: Command):
    for size in ("10", "1e6", "1e18"):
        sets = (*FACES, f"infer.step_size={size}", "infer.start=prior")
        done = abprop("fit", shelf / "faces.npy", "--run", run_dir / size, *keys(*sets))
        assert done.code == 0 or "infer.step_size" in done.complaint


# Budget ---------------------------------------------------------------------------------------


def test_a_budget_is_planned_once_and_kept(shelf: Path, run_dir: Path, abprop: Command):
    sets = keys(*TINY, "data.holdout=0")  # nothing tells of a turn, which would end it
    words = ("fit", shelf / "faces.npy", "--run", run_dir, *sets, "--budget", "6s")
    began = time.monotonic()
    done = abprop(*words, "--stop-at", "5")
    recipe = recipe_of(run_dir)
    assert done.code == 0 and recipe.train.budget == "6s"
    planned = recipe.train.iterations
    assert planned > 5
    done = abprop(*words)
    assert done.code == 0
    assert recipe_of(run_dir).train.iterations == planned
    assert time.monotonic() - began < 2 * 1.25 * 6 + 4


def test_a_budget_stops_at_a_quarter_more(shelf: Path, run_dir: Path):
    told, now = Told(), [0.0]

    class Slow(Clock):
        def elapsed(self) -> float:
            now[0] += 1.0  # over before the fewest iterations that a budget must hold are done
            return now[0]

    asked = Layers(None, TINY, {"data.source": str(shelf / "faces.npy"), "train.budget": "15s"})
    outcome = fit(run_dir, asked, progress=told, clock=Slow())
    assert outcome.learning.t < outcome.learning.total and not outcome.interrupted
    assert any("1.25 times the budget" in line for line in told.lines)
    assert load(run_dir, last=True).step == outcome.learning.t


@pytest.fixture
def turning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget is 200 iterations, however fast the machine; as if what comes after the third of ten
    scores told unseen examples worse."""

    def plan(learning: Learning, *given: Any, **more: Any) -> Plan:
        if learning.settings.train.iterations is None:
            return Plan(200, 10, 10, 1, 0.01)
        return planned(learning, *given, **more)

    monkeypatch.setattr(loop_module, "planned", plan)
    monkeypatch.setattr(learning_module, "turned", lambda scores, since: len(scores) >= 3)


@pytest.mark.usefixtures("turning")
def test_a_budget_ends_where_unseen_examples_are_told_worse_and_worse(tmp_path: Path):
    np.save(tmp_path / "many.npy", blobs(60))
    run, sets = tmp_path / "run", (*TINY, "data.holdout=0.2", "train.budget=8s")
    told, asked = Told(), Layers(None, sets, {"data.source": str(tmp_path / "many.npy")})
    learning = fit(run, asked, progress=told).learning
    t = learning.t
    assert t == learning.total == load(run, last=True).step == 18  # 200 (3 / 10)^2
    assert (recipe_of(run).train.iterations, recipe_of(run).train.budget) == (t, "8s")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    (event,) = [row for row in rows if row.get("event") == "turned"]
    assert event["iteration"] == t and event["best"] == learning.best
    assert "rhat" in rows[-1], "as at the end of every run"
    assert any("learning ends here" in line for line in told.lines)
    told.lines.clear()
    assert fit(run, asked, progress=told).learning.t == t
    assert any("nothing is left to learn" in line for line in told.lines)


@pytest.mark.usefixtures("turning")
def test_killed_before_its_end_was_written_it_ends_at_the_next_score(tmp_path: Path):
    np.save(tmp_path / "many.npy", blobs(60))
    run, sets = tmp_path / "run", (*TINY, "data.holdout=0.2", "train.budget=8s")
    asked = Layers(None, sets, {"data.source": str(tmp_path / "many.npy")})
    fit(run, asked, stop_at=1)
    planned_recipe = (run / "recipe.toml").read_text("utf-8")
    t = fit(run, asked).learning.t
    (run / "recipe.toml").write_text(planned_recipe, "utf-8")
    again = fit(run, asked).learning
    assert (t, again.t, again.total) == (18, 32, 32)


@pytest.mark.usefixtures("turning")
def test_iterations_that_are_given_are_learned_to_the_end(tmp_path: Path):
    np.save(tmp_path / "many.npy", blobs(60))
    sets = (*TINY, "data.holdout=0.2", "train.iterations=8")
    learn(tmp_path / "run", tmp_path / "many.npy", sets)
    assert load(tmp_path / "run", last=True).step == 8


def test_iterations_that_are_given_know_no_clock(shelf: Path, run_dir: Path):
    learn(run_dir, shelf / "faces.npy")
    recipe = recipe_of(run_dir)
    assert (recipe.train.iterations, recipe.train.budget) == (8, None)


# Memory ---------------------------------------------------------------------------------------


def learning_of(shelf: Path, count: int) -> Learning:
    sets = (*TINY, f"train.iterations={count}", "model.latent=4", "data.holdout=0")
    return about_to_learn(shelf / "faces.npy", sets)


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_memory_is_flat(shelf: Path):
    learning = learning_of(shelf, 300)
    counts, sizes = [], []
    try:
        for step in learning.steps(300):
            if step.t % 100 == 99:
                tracemalloc.start()  # from the first hundred on
                gc.collect()  # what waits to be collected is not kept
                counts.append(tensors())
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(counts) == 3 and len(set(counts)) == 1
    # Caches fill in the first hundreds; one batch kept each time would be 500 kB.
    assert sizes[-1] - sizes[1] < 50_000


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_iterations(shelf: Path):
    learning = learning_of(shelf, 10_000)
    page, early = os.sysconf("SC_PAGE_SIZE"), 0

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    for step in learning.steps(10_000):
        if step.t == 1_000:
            early = resident()
    assert resident() - early < 5 << 20


def test_a_fit_from_an_array_needs_no_file(run_dir: Path):
    asked = Layers(None, FACES, {"data.source": "<array>"})
    outcome = fit(run_dir, asked, source=blobs(60))
    assert outcome.learning.t == 8


def planned_with(seconds: float, budget: float, shelf: Path, monkeypatch: pytest.MonkeyPatch):
    """The plan on a machine where an iteration takes so long, and what was told."""
    told: list[str] = []
    monkeypatch.setattr("abprop.learning.plan.rehearse", lambda *a, **k: seconds)
    learning = about_to_learn(shelf / "faces.npy", (*TINY, "model.latent=4"))
    found = planned(learning, budget, Clock(), told.append, try_threads=False)
    return found, told


def test_a_budget_that_holds_hardly_anything_is_never_silent(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    plenty, told = planned_with(0.01, 60, shelf, monkeypatch)
    assert plenty.iterations > 1000 and plenty.scores == 10 and len(told) == 1
    few, told = planned_with(0.5, 90, shelf, monkeypatch)
    assert 20 <= few.iterations < 100 and any("iterations are few" in line for line in told)
    fewest, told = planned_with(1.0, 25, shelf, monkeypatch)
    assert fewest.iterations == 20 and any("too short" in line for line in told)
    with pytest.raises(UserError, match=r"fewer than 20 iterations.*--budget \d+s.*data.limit"):
        planned_with(2.0, 25, shelf, monkeypatch)


def test_a_budget_that_reading_used_up_is_said(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    monkeypatch.setattr("abprop.learning.plan.rehearse", lambda *a, **k: 0.1)
    sets = (*TINY, "model.latent=4", "data.holdout=0")
    learning, late = about_to_learn(shelf / "faces.npy", sets), Clock(time.monotonic() - 100)
    plan = planned(learning, 25, late, told.append, try_threads=False)
    assert plan.iterations == 20 and any("too short" in line for line in told)


def test_scores_give_way_to_iterations(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    monkeypatch.setattr("abprop.learning.plan.rehearse", lambda *a, **k: 0.5)
    sets = (*TINY, "model.latent=4", "data.holdout=0.3", "infer.steps=1")
    learning = about_to_learn(shelf / "faces.npy", sets)
    plan = planned(learning, 120, Clock(), told.append, try_threads=False)
    assert plan.scores < 10 and any("scored" in line for line in told) and plan.iterations > 20


def test_what_held_out_examples_cost_is_planned(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    """Two batches of them cost twice as much in one pass; the width takes more than sigma alone."""

    def iterations(holdout: float, *more: str) -> int:
        sets = (*TINY, "train.batch=8", "infer.chunk=64", f"data.holdout={holdout}", *more)
        learning = about_to_learn(shelf / "faces.npy", (*sets, "model.latent=4", "train.scores=2"))
        return planned(learning, 300, Clock(), str, try_threads=False).iterations

    monkeypatch.setattr("abprop.learning.plan.rehearse", lambda *a, **k: 0.1)
    few, many, fixed = iterations(0.1), iterations(0.2), iterations(0.1, "model.prior=standard")
    assert many < few < fixed
    passes = 2 * (60 + 2 * 12) + 60  # two scores, and to the modes at the end, of 6 in batches of 8
    assert few - many == pytest.approx(passes * (12 / 8 - 1) / 3.5, rel=0.2)


def test_of_many_held_out_examples_some_are_scored(shelf: Path, monkeypatch: pytest.MonkeyPatch):
    sets = (*TINY, "model.latent=4", "data.holdout=0.5", "train.iterations=4")
    learning = about_to_learn(shelf / "faces.npy", sets)
    seen: list[int] = []
    reconstruct = tasks.reconstruct

    def watched(model: Any, y: torch.Tensor, *rest: Any, **named: Any):
        seen.append(len(y))
        return reconstruct(model, y, *rest, **named)

    monkeypatch.setattr(tasks, "reconstruct", watched)
    monkeypatch.setattr(learning_module, "SCORED", 8)
    learning.score_heldout()
    assert seen == [8]

"""Learning on several processes, started by torch's own launcher."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import many
import numpy as np
import psutil
import pytest
from tiny import FACES, blobs, keys

from abprop import checkpoint
from abprop.run import Layers, Progress, load, metrics
from abprop.run import fit as learn

TESTS = Path(many.__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `many` learned."""
    folder = tmp_path_factory.mktemp("many")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    subprocess.run(
        [*launch, str(many.MOST), str(TESTS / "many.py"), str(folder)],
        check=True, env=ENVIRONMENT, timeout=400,
    )  # fmt: skip
    return folder


def told(run: Path) -> tuple[int, str, str]:
    """Iteration and SHA-256 of weights and latents."""
    info = load(run, data=many.signals(), last=True).info()
    return info["iteration"], info["weights_sha256"], info["latents_sha256"]


def files(run: Path, step: int = many.ITERATIONS) -> dict[str, str]:
    """SHA-256 of every file of the last checkpoint."""
    found = run / "checkpoints" / checkpoint.step_name(step)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(found.iterdir())}


def test_exact_sums_give_the_same_bits_on_any_number_of_processes(runs: Path) -> None:
    names = {name for name, _, _ in many.plans()}
    assert len(names) == 4 + 16
    hashes = {name: told(runs / name) for name in names}
    assert set(hashes.values()) == {hashes["whole-1"]} and hashes["whole-1"][0] == many.ITERATIONS


def test_and_the_same_files_byte_by_byte(runs: Path) -> None:
    one = files(runs / "whole-1")
    assert sum(name.startswith("latents-") for name in one) == 16
    for name, _, _ in many.plans():
        assert files(runs / name) == one, name


def test_what_comes_and_goes_is_the_same_on_any_number_of_processes(runs: Path) -> None:
    one, three = (files(runs / f"grown-{w}", many.MORE) for w in many.GROWN)
    assert one == three
    grown = load(runs / "grown-3", data=(many.signals(), many.others()), last=True)
    assert len(grown.signals) == 63 + 41 and grown.evaluate()["n"] == 63 + 41 - 2


def test_rows_of_metrics_tell_of_all_processes(runs: Path) -> None:
    def rows(name: str) -> list[dict]:
        found = metrics.load(runs / name / "metrics.jsonl")
        return [{k: v for k, v in row.items() if k != "seconds"} for row in found]

    assert len(rows("whole-1")) == many.ITERATIONS
    for name, _, _ in many.plans():
        assert rows(name) == rows("whole-1"), name


def test_fast_sums_learn_the_same_up_to_rounding(runs: Path) -> None:
    errors = [metrics.load(runs / f"fast-{w}" / "metrics.jsonl")[-1]["heldout_mse"]
              for w in many.FAST]  # fmt: skip
    assert len(set(errors)) > 1  # or sums were no others
    np.testing.assert_allclose(errors, errors[0], rtol=0.01)


def test_a_run_of_many_answers_like_any_other(runs: Path) -> None:
    run = load(runs / "2-then-4", data=many.signals())
    assert run.embed().shape == (50, 3)
    assert run.evaluate()["n"] == 63


def test_processes_answer_together_as_one_does(runs: Path) -> None:
    asked = ((1, 0), (3, 0), (3, 1), (3, 2))
    told = []
    for w, r in asked:
        with np.load(runs / f"answers-{w}-{r}.npz") as saved:
            told.append(dict(saved))
    assert len(told[0]["embedded"]) == len(told[0]["mean"]) == 41
    for other in told[1:]:
        assert other.keys() == told[0].keys()
        for name, value in told[0].items():
            assert np.array_equal(value, other[name]), name


# The command line -----------------------------------------------------------------------------


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "abprop", *words]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    np.save(tmp_path / "faces.npy", blobs(40))
    return tmp_path / "faces.npy"


def fit(source: Path, *sets: str) -> list[str]:
    run = source.with_name("run")
    asked = keys(*FACES, "model.latent=2", "train.batch=12", *sets)
    return command("fit", str(source), "--run", str(run), "--processes", "2", *asked)


def test_the_command_starts_processes_and_one_of_them_speaks(pictures: Path) -> None:
    done = subprocess.run([*fit(pictures), "--json"], capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=200)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["iteration"] == 8
    assert done.stderr.count("writing the report") == 1 == done.stderr.count("planning")
    assert (pictures.with_name("run") / "report.html").exists()


def test_what_the_user_can_mend_is_said_once_and_not_tried_again(pictures: Path) -> None:
    done = subprocess.run(fit(pictures, "distributed.shards=1"), capture_output=True, text=True,
                          env=ENVIRONMENT, timeout=200)  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("abprop: ")]
    assert len(lines) == 1 and "use --processes 1" in lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_killed_process_is_started_again_and_sigterm_saves(pictures: Path) -> None:
    words = fit(pictures, "train.iterations=100000", "checkpoint.every=50")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as running:
        saved = pictures.with_name("run") / "checkpoints"
        until(lambda: len(checkpoint.steps(saved)) >= 2)
        victim = psutil.Process(running.pid).children()[-1]
        before = checkpoint.steps(saved)[-1]
        victim.send_signal(signal.SIGKILL)
        until(lambda: victim.pid not in {p.pid for p in psutil.Process(running.pid).children()})
        until(lambda: checkpoint.steps(saved)[-1] > before + 100)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=100)
    assert running.returncode == 3
    assert said.count("abprop: a process was killed (signal 9)") == 1
    assert said.count("resuming") == 1 and "saved at iteration" in said
    run = load(saved.parent, last=True)
    assert f"saved at iteration {run.step} " in said


def until(true, seconds: float = 150.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_another_number_of_processes_is_said_where_it_rounds_otherwise(tmp_path: Path) -> None:
    class Told(Progress):
        def say(self, line: str) -> None:
            lines.append(line)

    lines: list[str] = []
    asked = Layers(None, (*FACES, "model.latent=2"), {"data.source": "<array>"})
    learn(tmp_path, asked, source=blobs(40), stop_at=4)
    saved = tmp_path / "checkpoints"
    found = checkpoint.latest(saved, print)
    assert found is not None and found.meta["processes"] == 1
    checkpoint.save(saved, found.step, found.tensors, {**found.meta, "processes": 4})
    learn(tmp_path, asked, source=blobs(40), progress=Told())
    assert [line for line in lines if "processes" in line] == [
        "note: 4 processes were used, now 1: "
        "the result will not be bit for bit that of an unchanged run"
    ]

"""Checkpoints of runs whose hashes are right but whose contents no abprop writes: all refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from abprop.checkpoint import CheckpointError, latest, load, save

Tensors = dict[str, dict[str, Tensor]]
LATENTS = "latents-00000"


def a_run(chains: int = 3) -> tuple[Tensors, dict[str, Any]]:
    """What a run of five examples saves, three chains of each."""
    rows = 5 * chains
    z = torch.randn(rows, 4)
    tensors = {
        "network": {"network.dense": torch.randn(3, 4), "likelihood.sigma": torch.tensor(0.3)},
        "optimizer": {"0.step": torch.tensor(7.0), "0.exp_avg": torch.randn(3, 4)},
        LATENTS: {
            "ids": torch.tensor([0, 1, 4, 7, 2**40]),
            "z": z,
            "s": torch.tensor([0.0] + [0.1] * (rows - 1)),
            "axis": torch.zeros_like(z),
            "age": torch.arange(rows),
            "metric.root": torch.eye(4),
            "metric.looks": torch.tensor(12.0),
        },
    }
    scale = {"low": [[[0.0]], [[-1.0]]], "high": 255.0, "dtype": "uint8"}
    data = {"kind": "images", "shape": [2, 8, 8], "examples": 5, "scale": scale,
            "names": ["a", "b", "c"], "columns": []}  # fmt: skip
    scores = [[5, 0.5], [10, 0.25, 0.3], [20, 1, 2.5, 1.1]]
    return tensors, {"data": data, "chunk": 64, "scores": scores, "recipe": {"seed": 0}}


def put(group: str, name: str, value: Any) -> Callable[[Tensors, dict], object]:
    return lambda tensors, meta: tensors[group].update({name: value})


def tainted(group: str, name: str, value: float) -> Callable[[Tensors, dict], object]:
    def change(tensors: Tensors, meta: dict) -> None:
        tensors[group][name].view(-1)[-1] = value

    return change


def told(path: str, value: Any) -> Callable[[Tensors, dict], object]:
    *outer, last = path.split(".")

    def change(tensors: Tensors, meta: dict) -> None:
        table = meta
        for key in outer:
            table = table[key]
        table[last] = value

    return change


def without(path: str) -> Callable[[Tensors, dict], object]:
    *outer, last = path.split("/")

    def change(tensors: Tensors, meta: dict) -> None:
        table: Any = {**tensors, "meta": meta} if outer else tensors
        for key in outer:
            table = table[key]
        del table[last]

    return change


NAN, INF = math.nan, math.inf
NETWORK, OPTIMIZER, MANIFEST = "network.safe", "optimizer.safe", "manifest.json"
ROWS = f"{LATENTS}.safe"
MALFORMED: dict[str, tuple[Callable[[Tensors, dict], object], str, str]] = {
    "a weight NaN": (tainted("network", "network.dense", NAN), NETWORK, "network.dense holds NaN"),
    "sigma infinite": (put("network", "s", torch.tensor(-INF)), NETWORK, "s holds NaN or inf"),
    "a half NaN": (put("network", "h", torch.tensor([NAN]).half()), NETWORK, "h holds"),
    "a moment infinite": (tainted("optimizer", "0.exp_avg", INF), OPTIMIZER, "0.exp_avg holds"),
    "a moment of no weight": (put("optimizer", "step", torch.ones(1)), OPTIMIZER, "no optimizer's"),
    "a moment deeper": (put("optimizer", "0.a.b", torch.ones(1)), OPTIMIZER, "no optimizer's"),
    "a name of two lines": (put("network", "a\nb", torch.tensor(NAN)), NETWORK, "a b holds"),
    "another group NaN": (
        lambda tensors, meta: tensors.update(extra={"x": torch.tensor([NAN])}),
        "extra.safe",
        "x holds",
    ),
    "z NaN": (tainted(LATENTS, "z", NAN), ROWS, "z holds NaN"),
    "s infinite": (tainted(LATENTS, "s", INF), ROWS, "s holds"),
    "an axis NaN": (tainted(LATENTS, "axis", NAN), ROWS, "axis holds"),
    "a metric NaN": (tainted(LATENTS, "metric.root", NAN), ROWS, "metric.root holds"),
    "no network": (without("network"), NETWORK, "it is missing"),
    "no optimizer": (without("optimizer"), OPTIMIZER, "it is missing"),
    "no latents": (without(LATENTS), ROWS, "it is missing"),
    "no ids": (without(f"{LATENTS}/ids"), ROWS, "ids is missing"),
    "no z": (without(f"{LATENTS}/z"), ROWS, "z is missing"),
    "no s": (without(f"{LATENTS}/s"), ROWS, "s is missing"),
    "ids twice": (put(LATENTS, "ids", torch.tensor([0, 1, 1, 7, 8])), ROWS, "not ascending"),
    "ids unsorted": (put(LATENTS, "ids", torch.tensor([0, 4, 1, 7, 8])), ROWS, "not ascending"),
    "no id at all": (put(LATENTS, "ids", torch.zeros(0).long()), ROWS, "not a list of integers"),
    "ids of halves": (put(LATENTS, "ids", torch.arange(5.0)), ROWS, "not a list of integers"),
    "ids in a square": (put(LATENTS, "ids", torch.zeros(5, 1).long()), ROWS, "not a list"),
    "one id": (put(LATENTS, "ids", torch.tensor(3)), ROWS, "not a list of integers"),
    "ids too many": (put(LATENTS, "ids", torch.arange(6)), ROWS, "z is float32"),
    "no latent": (put(LATENTS, "z", torch.zeros(0, 4)), ROWS, "z is float32"),
    "latents of no axis": (put(LATENTS, "z", torch.zeros(15)), ROWS, "z is float32"),
    "latents of integers": (put(LATENTS, "z", torch.zeros(15, 4).long()), ROWS, "z is int64"),
    "more z than s": (put(LATENTS, "z", torch.zeros(20, 4)), ROWS, "s is float32 "),
    "s too few": (put(LATENTS, "s", torch.zeros(5)), ROWS, "s is float32 "),
    "s in a square": (put(LATENTS, "s", torch.zeros(15, 1)), ROWS, "s is float32 "),
    "an axis too short": (put(LATENTS, "axis", torch.zeros(15, 3)), ROWS, "axis is float32"),
    "axes too few": (put(LATENTS, "axis", torch.zeros(5, 4)), ROWS, "axis is float32"),
    "ages too few": (put(LATENTS, "age", torch.arange(5)), ROWS, "age is int64"),
    "ages of halves": (put(LATENTS, "age", torch.arange(15.0)), ROWS, "age is float32"),
    "ages before the start": (put(LATENTS, "age", -torch.arange(15)), ROWS, "age is negative"),
    "a metric too large": (put(LATENTS, "metric.root", torch.eye(5)), ROWS, "metric.root is"),
    "a metric alone": (without(f"{LATENTS}/metric.looks"), ROWS, "go together"),
    "looks in a list": (put(LATENTS, "metric.looks", torch.ones(2)), ROWS, "metric.looks is"),
    "looks below 0": (put(LATENTS, "metric.looks", torch.tensor(-1.0)), ROWS, "metric.looks is"),
    "data a list": (told("data", []), MANIFEST, "data is no table"),
    "no chunk": (without("meta/chunk"), MANIFEST, "chunk is not"),
    "chunk 0": (told("chunk", 0), MANIFEST, "chunk is not"),
    "chunk true": (told("chunk", True), MANIFEST, "chunk is not"),
    "chunk a text": (told("chunk", "64"), MANIFEST, "chunk is not"),
    "chunk a half": (told("chunk", 0.5), MANIFEST, "chunk is not"),
    "no scores": (without("meta/scores"), MANIFEST, "scores are not"),
    "scores a table": (told("scores", {"1": 2}), MANIFEST, "scores are not"),
    "scores flat": (told("scores", [1, 2]), MANIFEST, "scores are not"),
    "a score alone": (told("scores", [[1]]), MANIFEST, "scores are not"),
    "a score too long": (told("scores", [[1, 2, 3, 4, 5]]), MANIFEST, "scores are not"),
    "a width of nothing": (told("scores", [[1, 2, 3, 0]]), MANIFEST, "scores are not"),
    "a score at half": (told("scores", [[1.5, 2.0]]), MANIFEST, "scores are not"),
    "a score at true": (told("scores", [[True, 2.0]]), MANIFEST, "scores are not"),
    "a score before the start": (told("scores", [[-1, 2.0]]), MANIFEST, "scores are not"),
    "a score NaN": (told("scores", [[1, NAN]]), MANIFEST, "scores are not"),
    "a score infinite": (told("scores", [[1, 2.0, INF]]), MANIFEST, "scores are not"),
    "a score of no float": (told("scores", [[1, 10**400]]), MANIFEST, "scores are not"),
    "a score a text": (told("scores", [[1, "2"]]), MANIFEST, "scores are not"),
    "no shape": (without("meta/data/shape"), MANIFEST, "data.shape is not"),
    "a shape empty": (told("data.shape", []), MANIFEST, "data.shape is not"),
    "a shape of 0": (told("data.shape", [3, 0]), MANIFEST, "data.shape is not"),
    "a shape below 0": (told("data.shape", [3, -4]), MANIFEST, "data.shape is not"),
    "a shape of halves": (told("data.shape", [3.0, 4.0]), MANIFEST, "data.shape is not"),
    "a shape a number": (told("data.shape", 3), MANIFEST, "data.shape is not"),
    "no names": (without("meta/data/names"), MANIFEST, "data.names is not"),
    "names of numbers": (told("data.names", [1, 2]), MANIFEST, "data.names is not"),
    "names too many": (told("data.names", ["a"] * 6), MANIFEST, "data.names are 6, but .* 5 ids"),
    "no scale": (without("meta/data/scale"), MANIFEST, "data.scale is not"),
    "a scale of two": (told("data.scale", [0, 1]), MANIFEST, "data.scale is not"),
    "no low": (without("meta/data/scale/low"), MANIFEST, "data.scale is not"),
    "no high": (without("meta/data/scale/high"), MANIFEST, "data.scale is not"),
    "no dtype": (without("meta/data/scale/dtype"), MANIFEST, "data.scale is not"),
    "a low NaN": (told("data.scale.low", [0.0, NAN]), MANIFEST, "low or high"),
    "a high a text": (told("data.scale.high", "255"), MANIFEST, "low or high"),
    "a high deep": (told("data.scale.high", [[[[[[[[1]]]]]]]]), MANIFEST, "low or high"),
    "a dtype unheard of": (told("data.scale.dtype", "byte17"), MANIFEST, "dtype that there is not"),
    "a dtype a number": (told("data.scale.dtype", 8), MANIFEST, "dtype that there is not"),
    "a low above": (told("data.scale.low", 300.0), MANIFEST, "not a low below a high"),
    "a low of more": (told("data.scale.low", [0.0] * 3), MANIFEST, "not a low below a high"),
    "a low ragged": (told("data.scale.low", [[0.0], [1.0, 2.0]]), MANIFEST, "not a low below"),
    "a kind a number": (told("data.kind", 3), MANIFEST, "data.kind is not"),
    "columns a number": (told("data.columns", 3), MANIFEST, "data.columns is not"),
    "columns nothing": (told("data.columns", None), MANIFEST, "data.columns is not"),
    "columns too many": (told("data.columns", ["a"] * 9), MANIFEST, "data.columns is not"),
    "columns of numbers": (told("data.columns", [1, 2]), MANIFEST, "data.columns is not"),
    "about a list": (told("data.about", []), MANIFEST, "data.about is not"),
    "about of lists": (told("data.about", {"rate": [1]}), MANIFEST, "data.about is not"),
    "about NaN": (told("data.about", {"fps": NAN}), MANIFEST, "data.about is not"),
    "a rate of 0": (told("data.about", {"rate": 0}), MANIFEST, "data.about has a rate"),
    "a rate of most": (told("data.about", {"fps": 10**9}), MANIFEST, "data.about has a rate"),
    "a rate a text": (told("data.about", {"file_rate": "9"}), MANIFEST, "data.about has a rate"),
    "sensed a number": (told("data.sensed", 3), MANIFEST, "data.sensed is not"),
    "sensed of texts": (told("data.sensed", ["3"]), MANIFEST, "data.sensed is not"),
    "places a number": (told("data.places", 3), MANIFEST, "data.places is not"),
    "places of nothing": (told("data.places", [[]]), MANIFEST, "data.places is not"),
    "places of halves": (told("data.places", [[0.5]]), MANIFEST, "data.places is not"),
    "places outside": (told("data.places", [[-1]]), MANIFEST, "data.places is not"),
    "places far away": (told("data.places", [[2**40]]), MANIFEST, "data.places is not"),
    "places of two sorts": (told("data.places", [[1], [1, 2]]), MANIFEST, "data.places is not"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_no_abprop_writes_is_named_and_passed_over(tmp_path: Path, case: str) -> None:
    save(tmp_path, 10, *a_run())
    change, file, wrong = MALFORMED[case]
    tensors, meta = copy.deepcopy(a_run())
    change(tensors, meta)
    bad = save(tmp_path, 20, tensors, meta)
    with pytest.raises(CheckpointError, match=rf"{file}.*: .*{wrong}") as caught:
        load(bad)
    assert "\n" not in str(caught.value) and str(bad) in str(caught.value)
    skipped: list[str] = []
    found = latest(tmp_path, skipped.append)
    assert found is not None and found.step == 10 and len(skipped) == 1


@pytest.mark.parametrize("chains", [1, 3])
def test_what_abprop_writes_is_read(tmp_path: Path, chains: int) -> None:
    tensors, meta = a_run(chains)
    assert load(save(tmp_path, 1, tensors, meta)).meta == meta
    # As earlier versions wrote it, and before there was anything to tell.
    tensors[LATENTS] = {name: tensors[LATENTS][name] for name in ("ids", "z", "s")}
    meta["scores"], tensors["optimizer"] = [[10, 0.25], [20, 0.2]], {}
    load(save(tmp_path, 2, tensors, meta))
    meta["scores"], meta["data"]["names"] = [], []
    load(save(tmp_path, 3, tensors, meta))


def test_a_map_of_latents_and_what_is_no_runs_are_read(tmp_path: Path) -> None:
    tensors, meta = a_run(1)
    tensors[LATENTS].update(z=torch.randn(5, 4, 6, 7), axis=torch.zeros(5, 4, 6, 7))
    load(save(tmp_path, 1, tensors, meta))
    load(save(tmp_path, 2, {"network": {"w": torch.tensor(NAN)}}, {"scores": 3}))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
PATHS = ("data", "data.shape", "data.names", "data.scale", "data.scale.low", "data.scale.high",
         "data.scale.dtype", "data.kind", "data.columns", "data.about", "data.places",
         "data.sensed", "scores", "chunk")  # fmt: skip


@given(st.sampled_from(PATHS), JUNK)
def test_whatever_a_manifest_tells_only_one_error_comes(tmp_path_factory, path, junk) -> None:
    folder = tmp_path_factory.mktemp("any")
    tensors, meta = a_run()
    told(path, junk)(tensors, meta)
    try:
        load(save(folder, 1, tensors, meta))
    except CheckpointError as error:
        assert "\n" not in str(error)


DTYPES = [torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.bool, torch.uint8]


@given(
    st.sampled_from([*a_run()[0][LATENTS], "other"]),
    st.lists(st.integers(0, 6), max_size=3),
    st.sampled_from(DTYPES),
)
def test_whatever_a_table_holds_only_one_error_comes(tmp_path_factory, name, shape, dtype) -> None:
    folder = tmp_path_factory.mktemp("any")
    tensors, meta = a_run()
    tensors[LATENTS][name] = torch.zeros(shape).to(dtype)
    try:
        load(save(folder, 1, tensors, meta))
    except CheckpointError as error:
        assert "\n" not in str(error)

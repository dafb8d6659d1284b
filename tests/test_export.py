"""Decoders outside abprop: the same signals, any batch, maps of any size; and every refusal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import FACES, TABLE, TEXTURE, Command, blobs

from abprop.errors import UserError
from abprop.export import Decoder, export
from abprop.run import Layers, Run, fit, load

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

ROWS = np.random.default_rng(0).normal(size=(40, 6)) * [1, 10, 100, 1, 1, 1]
SOURCES = {
    "faces": (blobs(24), (*FACES, "model.latent=4")),
    "learned": (blobs(24), (*FACES, "model.latent=4", "model.prior=learned")),
    "bfloat16": (blobs(24), (*FACES[1:], "model.latent=4", "run.precision=bfloat16")),
    "table": (ROWS, TABLE),
    "texture": (np.tile(blobs(1, 16), (1, 3, 3))[0], TEXTURE),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of each kind after one iteration; only to be read."""
    found = {}
    for name, (array, sets) in SOURCES.items():
        folder = tmp_path_factory.mktemp(name)
        fit(folder, Layers(None, sets, {"data.source": "<array>"}), source=array, stop_at=1)
        found[name] = load(folder, data=array)
    return found


def latents(run: Run, count: int, more: int = 0) -> np.ndarray:
    channels, *cells = run.model.network.latent_shape
    shape = (count, channels, *(n + more for n in cells))
    return np.random.default_rng(count).normal(size=shape).astype(np.float32)


def expected(run: Run, z: np.ndarray) -> np.ndarray:
    scale = run.scale
    with torch.no_grad():
        x = run.model.network(torch.from_numpy(z)).numpy()
    width = (1, -1, *(1,) * (x.ndim - 2))
    unit, low = (np.reshape(v, (-1,)).reshape(width) for v in (scale.unit, scale.low))
    return x * unit + low + unit


@pytest.mark.parametrize("name", SOURCES)
def test_onnx_makes_the_same_signals(name: str, runs: dict[str, Run], tmp_path: Path):
    run = runs[name]
    path = export(run, tmp_path / "deep" / "model.onnx")
    onnx.checker.check_model(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["z"]
    unit = float(np.max(run.scale.unit))
    loose = 3e-2 if name == "bfloat16" else 1e-4  # float32 there, 8 bits here
    for count, more in ((1, 0), (5, 0), (3, 3)):
        z = latents(run, count, more)
        (x,) = session.run(["x"], {"z": z})
        assert x.shape[0] == count and x.dtype == np.float32
        assert np.abs(x - expected(run, z)).max() < loose * unit
    told = session.get_modelmeta().custom_metadata_map
    assert told["signal"] == "x".join(map(str, run.shape)) and told["kind"] == run.kind.name
    assert told["prior"] == run.recipe.model.prior != "auto"


@pytest.mark.parametrize("name", ["faces", "texture"])
def test_torch_opens_its_own(name: str, runs: dict[str, Run], tmp_path: Path):
    run, about = runs[name], {"about.json": ""}
    path = export(run, tmp_path / "model.pt2")
    module = torch.export.load(str(path), extra_files=about).module()
    z = latents(run, 3, 2)
    x = module(torch.from_numpy(z)).numpy()
    assert np.abs(x - expected(run, z)).max() < 1e-4 * float(np.max(run.scale.unit))
    assert json.loads(about["about.json"])["kind"] == run.kind.name


def test_on_the_command_line(runs: dict[str, Run], tmp_path: Path, abprop: Command):
    done = abprop("export", runs["faces"].folder, "-o", tmp_path / "m.onnx")
    assert done.code == 0 and "m.onnx" in done.err
    assert (tmp_path / "m.onnx").stat().st_size > 1000
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    done = abprop("export", runs["faces"].folder, "-o", tmp_path / "m.tflite")
    assert "must end in .onnx or .pt2" in done.complaint
    assert "no such run" in abprop("export", tmp_path / "none", "-o", "m.onnx").complaint
    (tmp_path / "taken").write_text("a file")
    done = abprop("export", runs["faces"].folder, "-o", tmp_path / "taken" / "m.pt2")
    assert "cannot be written" in done.complaint


def test_a_missing_package_is_named(
    runs: dict[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"pip install abprop\[export\]"):
        export(runs["faces"], tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_spectra_are_no_sound():
    with pytest.raises(UserError, match="cannot be exported, use sample"):
        Decoder(SimpleNamespace(voice=1, folder="runs/rain"))  # type: ignore[arg-type]

"""Experiment 3b: samples and a four-corner interpolation of faces with d = 100.

Uses the run of `reconstruction` d100; only generated pictures are written.
"""

from __future__ import annotations

from typing import Any

from row import PICTURES, RUNS, Row, Runner


def rows() -> list[Row]:
    """Two pictures."""
    show = lambda found: f"![{found['what']}](pictures/{found['picture']})"  # noqa: E731
    return [
        Row("faces", "samples", "a sheet of samples beside DCGAN's, no number [M]",
            "faces_lfw64", _samples, show),
        Row("faces", "interpolation", "spherical, four corners, no number [M]",
            "faces_lfw64", _interpolation, show),
    ]  # fmt: skip


def _samples(run: Runner) -> dict[str, Any]:
    name = "faces-samples.webp"
    run("sample", RUNS / "faces-d100", "-n", 64, "--seed", 0, "-o", PICTURES / name)
    return {"picture": name, "what": "samples from the learned prior"}


def _interpolation(run: Runner) -> dict[str, Any]:
    name = "faces-interpolation.webp"
    run("interpolate", RUNS / "faces-d100", "-o", PICTURES / name)
    return {"picture": name, "what": "between the latents of four faces"}

"""What can be done with a fitted run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abprop import checkpoint, tasks
from abprop.baselines.videos import FACTORS
from abprop.data import ASIDE, Sensor, Signals
from abprop.errors import UserError
from abprop.evaluate import Answer, judged, recovery, scored_likelihood
from abprop.files import sounds
from abprop.grammar import names, whole, whole_numbers
from abprop.kinds.videos import save_clip
from abprop.noise import Noise
from abprop.run import metrics
from abprop.run.fitted.answers import LIKELIHOOD, Answers
from abprop.say import Say, quiet

SECONDS = 10.0  # of a new sound
FRAMES = 120  # of a new video
FAR = 2**40  # samples


@dataclass
class Run(Answers):
    """A fitted model with the data's scale. Pictures in and out are arrays in data units."""

    def sample(
        self, n: int | None = None, *, size: tuple[int, ...] | None = None, seed: int = 0,
        tile: bool = False, seconds: float | None = None, frames: int | None = None,
    ) -> np.ndarray:  # fmt: skip
        """New signals, (n, C, *size) in data units and dtype; of a sound (n, C, T) at `rate`.

        Of a video (n, C, frames, H, W).

        Args:
            n: how many; 64 for vector latents, 1 for maps and videos.
            size: lengths of a map's signal (height, width).
            seed: another one, other signals.
            tile: signals of a map whose opposite edges fit.
            seconds: length of a sound; 10 if None.
            frames: length of a video; 120 if None.
        """
        model, noise = self.model, Noise(seed, "draws")
        one = model.network.stationary or self.kind.moves
        n = whole("n (-n)", (1 if one else 64) if n is None else n, 1)
        if self.rate and (size is not None or tile):
            raise UserError("--size and --tile are for pictures; of a sound say --seconds")
        if self.endless:
            draws = (self.played(seconds, seed=seed, draw=i) for i in range(n))
            return np.stack([np.concatenate(list(blocks), 1) for blocks in draws])
        if seconds is not None:
            raise UserError("--seconds: this run learned no sound that goes on and on")
        if self.kind.moves:
            if size is not None or tile:
                raise UserError("--size and --tile are for pictures; of a video say --frames")
            videos = (self.filmed(frames, seed=seed, draw=i) for i in range(n))
            return np.stack([np.concatenate(list(blocks), 1) for blocks in videos])
        if frames is not None:
            raise UserError("--frames: this run learned no video; set data.kind=video")
        if not (model.network.stationary or tile):
            x = tasks.sample(model, n, noise, size=size, chunk=self._chunk)
            return self._data(x, Noise(seed, "phases"))
        size = size or self.shape[1:]
        windows = (tasks.seamless if tile else tasks.endless)(model, n, noise, size)
        return tasks.canvas(model, windows, size, self._data)

    def played(
        self, seconds: float | None = None, *, seed: int = 0, draw: int = 0
    ) -> Iterator[np.ndarray]:
        """A new sound as it is made, block by block, float32 (C, t) at `rate`.

        Args:
            seconds: its length; 10 if None.
            seed, draw: another one, another sound; a longer one begins like a shorter one.
        """
        seconds = SECONDS if seconds is None else seconds
        samples = round(seconds * self.rate)
        if not self.endless or not 0 < samples < FAR:
            raise UserError(f"--seconds {seconds:g}: a sound's length must be above 0")
        map_ = tasks.endless(self.model, draw + 1, Noise(seed, "draws"), self.shape[1:])[draw]
        if self.voice is None:  # of tones f tells the waveform itself
            for _, x in tasks.tiles(self.model, map_, (samples,)):
                yield self._data(x[None])[0]
            return
        phases = Noise(seed, "phases")
        for block in tasks.played(self.model, map_, self.voice, samples, phases, draw):
            yield block.float().numpy()

    def filmed(
        self, frames: int | None = None, *, seed: int = 0, draw: int = 0
    ) -> Iterator[np.ndarray]:
        """A new video as it is made, block by block, (C, t, H, W) in data units and dtype.

        Args:
            frames: its length; 120 if None.
            seed, draw: another one, another video; a longer one begins like a shorter one.
        """
        frames = whole("frames (--frames)", FRAMES if frames is None else frames, 1)
        if self.model.network.stationary:
            noise = Noise(seed, "draws")
            map_ = tasks.endless(self.model, draw + 1, noise, self.shape[1:])[draw]
            blocks = (x for _, x in tasks.tiles(self.model, map_, (frames,)))
        else:
            z = self.z[: len(self.names)]
            path = tasks.MOTIONS[self.recipe.model.motion](z, Noise(seed, "path"), draw)
            blocks = tasks.moved(self.model, path, frames)
        for x in blocks:
            yield self._data(x[None])[0]

    @property
    def endless(self) -> bool:
        """Whether samples are sounds of any length."""
        return bool(self.rate and self.model.network.stationary)

    def streamed(self, seconds: float | None = None, frames: int | None = None) -> str:
        """The extension of a file that a sample is written to as it is made; "" if it is not.

        Args:
            seconds, frames: what was asked for.
        """
        if self.endless and frames is None:
            return ".wav"
        if self.kind.moves and seconds is None:
            return ".mp4" if self.scale.dtype == "uint8" else ".npy"
        return ""

    def record(
        self, path: Path, seconds: float | None = None, *, frames: int | None = None,
        seed: int = 0, draw: int = 0,
    ) -> Path:  # fmt: skip
        """A new sound or video into a file, at the rate of the clip that was learned from; memory
        stays flat.

        Raises:
            UserError: a format that is not written or cannot hold it.
        """
        about = self.meta["data"]["about"]
        if self.kind.moves:
            return save_clip(self.filmed(frames, seed=seed, draw=draw), path, about["fps"])
        blocks = sounds.in_blocks(self.played(seconds, seed=seed, draw=draw), self.rate,
                                  about["file_rate"])  # fmt: skip
        return sounds.save_sound(blocks, path, about["file_rate"], about["subtype"])

    def reconstruct(self, source: object = None, sets: Sequence[str] = ()) -> np.ndarray:
        """f(z) at the most probable z of each signal; of training examples at their kept z.

        Args:
            source: path or array; the training data if None.
            sets: data.* keys for `source`.
        """
        blocks = self.explained(self.given(source, sets))
        return np.concatenate([self._data(block.x) for block in blocks])

    def embed(self, source: object = None, sets: Sequence[str] = ()) -> np.ndarray:
        """Latents, (N, *latent_shape); those kept while learning if no data are given."""
        if source is None:
            return self.z[: len(self.names)].cpu().numpy()
        return torch.cat([block.z for block in self.explained(self.given(source, sets))]).numpy()

    def decode(self, z: np.ndarray | Tensor) -> np.ndarray:
        """Signals f(z) of latents (N, *latent_shape), in data units."""
        z = torch.as_tensor(z).to(self.z)
        return self._data(tasks.generate(self.model, z, chunk=self._chunk))

    def interpolate(self, ids: str | Sequence[int] | None = None, side: int = 8) -> np.ndarray:
        """A side x side sheet between four examples, (side^2, C, *size).

        Args:
            ids: numbers of four examples; else the first four that were learned from. Held-out
                ones stand at their most probable latents.
            side: signals along an edge.

        Raises:
            UserError: there are not four, one is not an example, or a map was learned.
        """
        if self.model.network.stationary:
            raise UserError("interpolate: a map latent has no corners; use sample --size")
        side = whole("side (--side)", side, 2)
        ids = None if ids is None else whole_numbers("ids (--ids)", ids)
        known, z = self.ids[: len(self.names)].tolist(), self.z[: len(self.names)]
        if unseen := self._held_out(set(ids or ()) - set(known)):
            told = [block.z.to(z) for block in self.inferred(self.signals.take(unseen))]
            known, z = [*known, *unseen], torch.cat([z, *told])
        corners = z[tasks.corners(ids, known)]
        return self._data(tasks.interpolate(self.model, corners, side, chunk=self._chunk))

    def latent_grid(self, side: int = 9, extent: float = 2.0) -> np.ndarray:
        """Signals over [-extent, extent]^2 when d = 2, row by row from the top."""
        return self._data(tasks.latent_grid(self.model, side, extent, chunk=self._chunk))

    def recover(
        self,
        y: object = None,
        mask: object = None,
        *,
        draws: int = 16,
        hide: str | None = None,
        measure: object = None,
        operator: object = None,
        sets: Sequence[str] = (),
    ) -> Answer:
        """What is hidden of signals, filled in, with its uncertainty; see `recovery.Answer`.

        Or whole signals, of which measurements are known alone.

        Args:
            y: path or array, NaN = missing; the training data if None.
            mask: True = hidden, a path or an array like y.
            draws: posterior draws of each signal.
            hide: a rule that hides more, "P.5".
            measure: what measures them: a rule, "down:4", or an operator as `fit` takes it.
            operator: y holds measurements by it: a matrix in a .npy, a rule, or an operator.
            sets: data.* keys for `y`.
        """
        draws = whole("draws (--draws)", draws, 2)
        signals, sensor = self.asked(y, sets, mask, hide, measure, operator)
        return self.recovered(signals, draws=draws, sensor=sensor)

    def recovered(
        self,
        signals: Signals,
        *,
        draws: int = 16,
        sensor: Sensor | None = None,
        progress: Say = quiet,
    ) -> Answer:
        """The same for signals that were read; `sensor` says how they are observed."""
        posterior = self.posterior(signals, draws, progress, sensor=sensor)
        return recovery.answer(posterior, signals.unveiled(ASIDE), draws, self.device, progress)

    def evaluate(
        self,
        source: object = None,
        *,
        sets: Sequence[str] = (),
        against: str | Sequence[str] = (),
        draws: int = 16,
        measure: object = None,
        likelihood: bool | Mapping[str, Any] = False,
        progress: Say = quiet,
    ) -> dict[str, Any]:
        """Errors (see `abprop.evaluate`), and those of baselines.

        Of what was hidden on purpose, if something was, under posterior draws; else of the whole
        signals, reconstructed.

        Args:
            source: signals to reconstruct; the training data if None.
            sets: data.* keys for `source`.
            against: baselines ("mean,pca" or a list), fitted to this run's own data.
            draws: posterior draws of each signal that has hidden parts or was measured.
            measure: a rule, "down:4", or an operator as `fit` takes it: score signals behind
                such measurements.
            likelihood: whether to tell log p(y) as well, or how: arguments of `log_likelihood`.
            progress: told what is being done.
        """
        draws, against = whole("draws (--draws)", draws, 2), names("against (--against)", against)
        signals, sensor = self.given(source, sets), None
        if likelihood is not False and measure is not None:
            raise UserError(f"{LIKELIHOOD} not of signals behind --measure; leave one of them out")
        how = likelihood if isinstance(likelihood, Mapping) else {}
        scored = None if likelihood is False else self._to_score(signals, **how)
        if measure is not None:
            signals, sensor = self.asked(signals, measure=measure)
        result = judged(self, signals, against, draws, progress, sensor)
        if scored is not None:
            result["likelihood"] = scored_likelihood(*scored, progress).result()
        told = metrics.sampler(metrics.load(self.folder / "metrics.jsonl"))
        return result if told is None else {**result, "chains": told.row()}

    def info(self) -> dict[str, Any]:
        """What this run is, with hashes of weights and latents.

        `sigma` and `prior_width` are those it answers with; see `priors.normal` for the latter.
        """
        total = self.recipe.train.iterations
        return checkpoint.facts(self.folder, self.step, total, self.learned, self.meta["data"])

    @property
    def factors(self) -> int:
        """Latent factors of a frame of a video, for what is held beside it at the same d."""
        shape = self.model.network.latent_shape
        return shape[0] if len(shape) == 1 else FACTORS

    @property
    def plane(self) -> bool:
        """Whether there are two latent factors, to be laid out on a grid."""
        return self.model.network.latent_shape == (2,)

    @property
    def suffix(self) -> str:
        """The extension of a file that can hold signals of this run."""
        return self.kind.suffix(self.shape, self.scale.dtype)

    def write(self, x: np.ndarray, path: Path, names: Sequence[str] | None = None) -> str:
        """Write signals in data units to a file or folder, and say where; see `Kind.write`."""
        told = self.meta["data"]
        return self.kind.write(
            x, path, names, {"columns": told["columns"], **told.get("about", {})}
        )

    def _data(self, x: Tensor, phases: Noise | None = None) -> np.ndarray:
        if self.voice is not None:
            phases = phases or Noise(self.recipe.seed, "phases")
            return tasks.voiced(x.cpu(), self.voice, phases).float().numpy()
        return self.scale.to_data(np.ascontiguousarray(x.cpu().float().numpy()))

"""What a report shows of a sound: players, waveforms and spectra at one and the same scale."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import torch

from abprop import tasks
from abprop.evaluate.samples import sounds
from abprop.noise import Noise
from abprop.report.figures.pictures import Shown, laid, own, scored
from abprop.report.page import Figure
from abprop.run import Run
from abprop.say import quiet
from abprop.spectra import Colour, colour, spectra

FEW = 2  # clips of a set, and samples
SECONDS = 5.0  # that are shown and played
WIDTH, WAVE, GAP = 900, 80, 4  # pixels of a figure, of a waveform's height, between the two
BAND = 2  # pixels of a band
WINDOW = 256  # of the spectra of a waveform
SHOWN = 60.0  # decibels from the darkest to the brightest


def clip(run: Run) -> Shown:
    """What was learned from."""
    signals = own(run)
    if signals is None:
        return []
    words = "The beginning of all there was to learn from."
    return _figure(run, "The clip", words, signals.values[0])


def explained(run: Run) -> Shown:
    """Noise with the variance that f tells at the latents of the crops."""
    if not run.meta["data"].get("places"):
        return []
    x = _laid(run)
    if run.voice is None:
        words = "f(z) at the z of the crops, the mean of those at each moment."
        return _figure(run, "Reconstruction", words, run.scale.to_data(x.numpy(), False))
    made = tasks.voiced(x[None], run.voice, Noise(run.recipe.seed, "phases"))[0]
    words = (
        "Noise with the variance f(z), at the z of the crops; a frame is the mean of those there."
    )
    return _figure(run, "Reconstruction", words, made.float().numpy())


def _laid(run: Run) -> torch.Tensor:
    """f(z) of the crops laid where they were cut, (bands, frames), the first frames."""
    hop = 1 if run.colour is None else run.colour.hop
    places = [place for (place,) in run.meta["data"]["places"]]
    most = round(SECONDS * run.rate / hop) + 1
    return laid(tasks.generate(run.model, run.z).cpu(), places, most)


def sounded(run: Run) -> Shown:
    """A new sound."""
    words = "A new sound, from maps drawn from the learned prior; not chosen."
    return _figure(run, "A sample", words, run.sample(1, seconds=SECONDS)[0])


def heard(run: Run) -> Shown:
    """Scores of a sample beside the clip."""
    signals = own(run)
    real = None if signals is None else sounds.clip(signals.values[0], run.rate, quiet)
    if signals is None or real is None:
        return []
    seconds = min(sounds.LONGEST, signals.shape[-1] / run.rate)
    found = real.ratios(sounds.heard(run.sample(1, seconds=seconds)[0]))
    return [scored(found, sounds.words, "the clip")]


def voices(run: Run) -> Shown:
    """Some clips, and noise with the variance that f tells of them."""
    signals = own(run)
    if signals is None:
        return []
    some = signals.take(np.arange(min(FEW, len(signals))))
    figures = []
    for name, real, made in zip(some.names, some.values, run.reconstruct(some), strict=True):
        figures += _figure(run, name, "A clip that was learned from.", real)
        words = "Noise with the variance f(z), at the most probable z of this clip."
        figures += _figure(run, f"{name}, reconstructed", words, made, real)
    return figures


def voiced(run: Run) -> Shown:
    """New sounds."""
    words = "A new sound f(z), z drawn from the learned prior; not chosen."
    figures = []
    for i, x in enumerate(run.sample(FEW)):
        figures += _figure(run, f"Sample {i + 1}", words, x)
    return figures


def _figure(
    run: Run, title: str, words: str, sound: np.ndarray, real: np.ndarray | None = None
) -> list[Figure]:
    """A player over the waveform over the spectra of a sound (C, T), as loud as the real one."""
    image, half = seen(run, sound, real), run.rate / 2000
    words += f" Below: from 0 to {half:g} kHz, {SHOWN:g} dB from dark to bright."
    return [Figure(title, words, image, scale=1, sound=_encoded(_begun(run, sound), run.rate))]


def seen(run: Run, sound: np.ndarray, real: np.ndarray | None = None) -> np.ndarray:
    """The waveform over the spectra of the first SECONDS of a sound (C, T), uint8 (H, W, 3).

    Args:
        run: whose clip it is held against.
        sound: (C, T).
        real: of a set, the clip that tells how loud it is held to be; the sound itself, if None.
    """
    colour, sound = _colour(run, sound if real is None else real), _begun(run, sound)
    white = np.full((GAP, WIDTH, 3), 255, np.uint8)
    wave = _waveform(sound.mean(0), _loudest(colour))
    return np.concatenate([wave, white, _spectrogram(sound, colour)])


def _begun(run: Run, sound: np.ndarray) -> np.ndarray:
    return sound[:, : round(SECONDS * run.rate)]


def _colour(run: Run, sound: np.ndarray) -> Colour:
    """The clip's; of a set, or if it is not known any more, that of the sound."""
    if run.colour is not None:  # some of a set are much louder than others
        window = 2 * run.colour.hop
        return run.colour if run.kind.cuts else colour(torch.from_numpy(sound), window)
    signals = own(run)
    values = sound if signals is None else signals.values[0]
    return colour(torch.from_numpy(values), min(WINDOW, values.shape[1] // 4 * 2))


def _loudest(colour: Colour) -> float:
    """The amplitude that fills the height of a waveform: four deviations of the clip."""
    power = colour.loudness.sum() / (colour.channels * colour.hop**2)
    return 4 * float(power.sqrt())


def _waveform(sound: np.ndarray, loudest: float) -> np.ndarray:
    """The least and the greatest value in each column."""
    edges = np.linspace(0, len(sound), WIDTH + 1).astype(int)
    parts = [sound[a : max(b, a + 1)] for a, b in pairwise(edges)]
    low, high = (np.array([f(p) for p in parts]) / loudest for f in (np.min, np.max))
    height = np.linspace(1, -1, WAVE)[:, None]
    step = 2 / WAVE
    inside = (height <= high + step) & (height >= low - step)
    return np.where(inside[..., None], np.uint8(60), np.uint8(255)).repeat(3, 2)


def _spectrogram(sound: np.ndarray, colour: Colour) -> np.ndarray:
    """Power of all channels in each band, low ones below."""
    from matplotlib import colormaps

    power = spectra(torch.from_numpy(sound), 2 * colour.hop).abs().square().sum(0)
    top = 10 * float(colour.loudness.max().log10()) + 10
    grey = ((10 * power.clamp_min(1e-30).log10() - top) / SHOWN + 1).clamp(0, 1).flip(0).numpy()
    columns = np.linspace(0, grey.shape[1] - 1, WIDTH).round().astype(int)
    return (255 * colormaps["magma"](grey[:, columns])[..., :3]).astype(np.uint8).repeat(BAND, 0)


def _encoded(sound: np.ndarray, rate: int) -> bytes:
    """FLAC, the same bytes for the same sound."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(sound, -1, 1).T, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()

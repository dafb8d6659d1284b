"""What learning depends on, as plain values: no file, no command line.

Every field has the default of the recipe key of the same name (see `run.schema`), which says what
it means; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class ModelSettings:
    """The generator.

    Attributes:
        latent: shape of z, (d,) or (k, *grid).
        network: a name of `networks.NETWORKS`.
        channels: width of the finest hidden layer.
        levels: scales at which the factors of a map enter.
        sigma: noise in model units, or "learned".
        prior: a name of `priors.PRIORS`.
        likelihood: a name of `likelihoods.LIKELIHOODS`.
        floor: a learned sigma never falls below.
    """

    latent: tuple[int, ...]
    network: str = "conv"
    channels: int = 32
    levels: int = 1
    sigma: float | str = "learned"
    prior: str = "gaussian"
    likelihood: str = "gaussian"
    floor: float = 0.05


@dataclass(frozen=True)
class InferSettings:
    """The chains.

    Attributes:
        kernel: a name of `inference.KERNELS`.
        chains: of each example.
        visits: "persistent" or "restarted".
        steps: on each latent in each iteration.
        step_size: s, or "adapt".
        chunk: examples in one pass.
        wait: iterations before chains first move; None: as many as `plan` says.
        start: "pca" or "prior".
    """

    kernel: str = "leimkuhler"
    chains: int = 1
    visits: str = "persistent"
    steps: int = 5
    step_size: float | str = "adapt"
    chunk: int = 64
    wait: int | None = None
    start: str = "prior"


@dataclass(frozen=True)
class TrainSettings:
    """The weights.

    Attributes:
        iterations: learning steps; None: not planned yet.
        batch: examples in one iteration; 0: all of them.
        learning_rate, beta1, beta2, weight_decay: AdamW's.
        schedule: "cosine" or "constant".
        scores: how often held-out examples are scored, more closely early on.
        draws: weight of the term from draws; 0: none.
        average: share of the iterations over which weights are averaged; 0: they are not.
    """

    iterations: int | None = None
    batch: int = 128
    learning_rate: float = 0.002
    schedule: str = "cosine"
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.99
    scores: int = 10
    draws: float = 0.0
    average: float = 0.0


@dataclass(frozen=True)
class Settings:
    """All of it.

    Attributes:
        seed: of every random number.
    """

    model: ModelSettings
    infer: InferSettings = field(default_factory=InferSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    seed: int = 0

    def lasting(self, iterations: int) -> Settings:
        """The same for so many iterations."""
        return replace(self, train=replace(self.train, iterations=iterations))

"""The recipe's keys: what each means, what it may be, and what it is when nobody says.

A section of the file is a class here; the comment above a key in a saved file is the description
of its field. `recipe` builds, reads, writes and compares recipes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from abprop.grammar import parse_latent
from abprop.inference import KERNELS
from abprop.kinds import KINDS
from abprop.learning import InferSettings, ModelSettings, Settings, TrainSettings
from abprop.likelihoods import LIKELIHOODS
from abprop.networks import NETWORKS
from abprop.priors import PRIORS
from abprop.run.values import (
    Count,
    Decay,
    Duration,
    EverySo,
    Latent,
    Positive,
    Range,
    Select,
    Sigma,
    Size,
    StepSize,
    Text,
    one_of,
)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _key(default: Any, meaning: str) -> Any:
    return Field(default=default, description=meaning)


class DataKeys(_Section):
    """What is learned from."""

    source: Text = _key("", "where the data are: a folder, a zip or a file")
    kind: Annotated[str, one_of(KINDS, "auto")] = _key(
        "auto", f"kind of data: auto (found out and printed), {', '.join(KINDS)}"
    )
    size: Size | None = _key(
        None, "pictures, frames are cropped and resized to this, WxH; else as is"
    )
    select: Select | None = _key(None, "use only these examples, e.g. 0:300 or 3,17,42")
    limit: Positive | None = _key(None, "use at most so many examples, the first ones")
    columns: Text | None = _key(None, "table: use only these columns, e.g. age,income")
    range: Range | None = _key(None, "data values that become -1 and 1, low:high; else from type")
    channels: Literal["keep", "grey", "rgb"] = _key(
        "keep", "colours of pictures: keep, grey or rgb"
    )
    masks: Text | None = _key(
        None, "what is hidden (white, True): a folder, file or file.npz:key; not:FILE inverts"
    )
    hide: Text | None = _key(
        None, "hide by a rule: P.5 patches, S.05 entries, M20 block, C.3 clouds"
    )
    rate: Positive | None = _key(
        None,
        "sound: samples a second to learn at; else the file's, divided to at most 24000; video: "
        "frames a second of a folder or an array; else 25",
    )
    seconds: Annotated[float, Field(gt=0)] | None = _key(
        None, "sounds: how long each is, cut at the end or followed by silence; else as all are"
    )
    window: Positive | None = _key(
        None, "sound: samples in the window of a spectrum, an even number; else chosen"
    )
    aside: Decay = _key(
        0.02, "where something is hidden: observed entries set aside to calibrate uncertainty"
    )
    measure: Text | None = _key(
        None, "learn from simulated measurements only: projection:1000, blur:2, down:4, grey"
    )
    operator: Text | None = _key(
        None, "the source holds y = A x, one for each example: A a matrix in a .npy, or a rule"
    )
    complete: Literal["auto", "yes", "no"] = _key(
        "auto",
        "measured: learn from the signals that stationary ones with such measurements would be: "
        "auto (if it can be had), yes or no",
    )
    shape: Latent | None = _key(None, "shape CxHxW of a signal x where the source holds y = A x")
    holdout: Decay = _key(0.05, "fraction of the examples only scored; none if under 50 examples")
    fingerprint: Text = _key("", "SHA-256 of the data that were read; written by fit")
    mirror: Literal["auto", "yes", "no"] = _key(
        "auto", "add left-right mirrored copies as further examples: auto (if it fits), yes or no"
    )
    shift: Count | None = _key(
        None, "add copies shifted by so many pixels four ways; 0: none; else chosen"
    )
    crop: Positive | None = _key(
        None, "texture, sound, spacetime: pixels on a side of a crop, or frames; else chosen"
    )
    crops: Positive | None = _key(None, "texture, sound, spacetime: how many crops; else chosen")


class ModelKeys(_Section):
    """The generator x = f(z; W), its noise and its prior."""

    network: Annotated[str, one_of(NETWORKS)] = _key(
        "conv", "form of f: conv, or linear (factor analysis)"
    )
    latent: Latent = _key("auto", "latent factors: a number, or CxHxW for a map; auto: by kind")
    channels: Positive | None = _key(None, "channels at the finest scale; else chosen")
    levels: Positive | None = _key(
        None, "scales at which the factors of a map enter, each twice as fine; else 1 or chosen"
    )
    sigma: Sigma | None = _key(
        None, "noise in model units [-1, 1]: a number, or learned; else chosen"
    )
    prior: Annotated[str, one_of(PRIORS, "auto")] = _key(
        "auto",
        "prior of z: standard (N(0, I)), gaussian (fitted), mixture (fitted at the end), learned "
        "(a flow), markov (maps whose cells fit together); auto: gaussian, markov for textures",
    )
    likelihood: Annotated[str, one_of(LIKELIHOODS)] = _key(
        "gaussian",
        "how data scatter about f(z): gaussian, or spectral (sounds: powers about their variance)",
    )
    motion: Literal["blocks", "linear"] = _key(
        "blocks",
        "video: how factors move in new ones: blocks of the clip's own path that fit each other, "
        "or linear (the paper's auto-regression)",
    )
    residual: Literal["auto", "correlated", "white"] = _key(
        "auto",
        "what f leaves over, when hidden parts are recovered: correlated, or white (the "
        "paper's); auto: correlated, but in tables of one column or more than 128",
    )


class InferKeys(_Section):
    """How latents are inferred in each iteration."""

    kernel: Annotated[str, one_of(KERNELS)] = _key(
        "leimkuhler",
        "moves: leimkuhler (averaged noise), langevin (the paper's), mala or hmc (exact), "
        "or gradient (no noise)",
    )
    chains: Positive = _key(1, "chains of each example; learning averages over them")
    visits: Literal["persistent", "restarted"] = _key(
        "persistent", "a visit goes on from the last one (persistent), or from the prior: restarted"
    )
    steps: Positive = _key(5, "steps on each latent in each iteration")
    step_size: StepSize = _key("adapt", "step size s: a number, or adapt (for each example)")
    chunk: Positive = _key(64, "examples in one pass; also fixes how results are rounded")
    wait: Count | None = _key(
        None, "iterations before chains first move, in which the weights learn alone; else chosen"
    )
    start: Literal["auto", "prior", "pca"] = _key("auto", "where chains start: prior, pca or auto")


class TrainKeys(_Section):
    """How the weights are learned."""

    iterations: Positive | None = _key(None, "learning steps, one batch each; else from budget")
    budget: Duration | None = _key(None, "planned time, e.g. 15m; turned into iterations once")
    batch: Count = _key(128, "examples in one iteration; 0: all of them")
    learning_rate: Annotated[float, Field(gt=0)] = _key(0.002, "Adam's learning rate")
    schedule: Literal["cosine", "constant"] = _key(
        "cosine", "how the learning rate goes on: cosine decay, or constant"
    )
    weight_decay: Annotated[float, Field(ge=0)] | None = _key(
        None, "AdamW's decoupled weight decay; 0: none; else chosen"
    )
    beta1: Decay = _key(0.9, "Adam's memory of gradients")
    beta2: Decay = _key(0.99, "Adam's memory of squared gradients")
    average: Annotated[float, Field(ge=0, le=0.25)] = _key(
        0.0, "weights that answer are averaged over about this share of the iterations; 0: none"
    )
    scores: Positive = _key(10, "held-out scores in a run, closer to each other early on")
    draws: Annotated[float, Field(ge=0)] | None = _key(
        None,
        "texture: weight of a term that makes draws' patches like the picture's; 0: none; else "
        "chosen",
    )


class CheckpointKeys(_Section):
    """When the run is saved."""

    every: EverySo = _key("60s", "how often to save: a time, or a number of iterations")
    keep: Positive = _key(2, "newest ones kept, besides the best")


class DistributedKeys(_Section):
    """How learning is shared out among processes."""

    shards: Positive | Literal["auto"] = _key(
        "auto",
        "parts of the examples, each kept by one process: as many processes can learn together; "
        "auto: up to 16",
    )
    reduce: Literal["fast", "exact"] = _key(
        "fast", "sums over processes: fast, or exact (the same bits for any number of them)"
    )


class GrowthKeys(_Section):
    """What became of the data after the first fit."""

    added: list[Text] = _key([], "sources that were added, in their order; written by fit --add")
    masks: list[Text] = _key([], "what is hidden of each of these; empty: nothing")
    sizes: list[Positive] = _key([], "examples of the first source and of each of these")
    forgotten: Select | None = _key(
        None, "ids of examples that were taken out again; written by fit --forget"
    )


class RunKeys(_Section):
    """What it runs on."""

    device: Text = _key(
        "auto", "where to compute: auto (cuda, mps, cpu), or one of them; written by fit"
    )
    precision: Literal["auto", "float32", "bfloat16"] = _key(
        "auto", "arithmetic: float32, bfloat16, or auto (the faster, measured); written by fit"
    )
    forms: Text = _key(
        "auto",
        "how each layer is computed: auto (the fastest, measured where there is a budget), or two "
        "letters a layer, up and down: d direct, f channels first, s subpixel, t taps; "
        "written by fit",
    )
    threads: Count = _key(0, "processor threads; 0: all, or one if it is faster; written by fit")


class Recipe(_Section):
    """A complete recipe; immutable. Compare two with `changes`."""

    seed: Count = _key(0, "seed of every random number")
    data: DataKeys = DataKeys()
    model: ModelKeys = ModelKeys()
    infer: InferKeys = InferKeys()
    train: TrainKeys = TrainKeys()
    checkpoint: CheckpointKeys = CheckpointKeys()
    distributed: DistributedKeys = DistributedKeys()
    growth: GrowthKeys = GrowthKeys()
    run: RunKeys = RunKeys()


def _all_keys(section: type[BaseModel] = Recipe, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            yield from _all_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def takes_text_only(key: str) -> bool:
    """Whether what is typed for a key is a text even where it looks like a number."""
    kind = KEYS[key].annotation
    if get_origin(kind) is list:
        return False
    kinds = [get_args(k)[0] if get_origin(k) is Annotated else k for k in get_args(kind) or [kind]]
    return str in kinds and int not in kinds


KEYS = dict(_all_keys())  # dotted key -> pydantic's field, in the order of the file


# For learning ---------------------------------------------------------------------------------


def settings(recipe: Recipe) -> Settings:
    """What learning needs of a complete recipe."""
    model, infer, train = recipe.model, recipe.infer, recipe.train
    learned = model.sigma in (None, "learned")
    unless_chosen: dict[str, Any] = {
        name: getattr(train, name) or 0.0 for name in ("draws", "weight_decay")
    }
    return Settings(
        ModelSettings(
            latent=parse_latent(model.latent),
            network=model.network,
            channels=model.channels or 32,
            levels=model.levels or 1,
            sigma="learned" if learned else float(model.sigma or 0),
            prior="gaussian" if model.prior == "auto" else model.prior,
            likelihood=model.likelihood,
            # Without held-out data sigma chases memorising.
            floor=0.05 if recipe.data.holdout else 0.1,
        ),
        InferSettings(**infer.model_dump()),
        TrainSettings(**train.model_dump(exclude={"budget"}) | unless_chosen),
        recipe.seed,
    )

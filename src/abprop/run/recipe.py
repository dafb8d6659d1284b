"""Recipes: everything a run depends on, in one TOML file, with nothing left to be guessed.

A recipe is built from layers, later ones winning: defaults, preset, --set key=value, CLI flags.
Keys are dotted (`model.latent`); `schema` says what they are.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from abprop.errors import UserError, unknown
from abprop.files.entries import placed, text_in
from abprop.run.schema import KEYS, Recipe, settings, takes_text_only
from abprop.say import shown

__all__ = ["Recipe", "KEYS", "compose", "apply", "presets", "load_preset", "loads", "dumps"]
__all__ += ["changes", "check_resume", "flat", "flattened", "in_place", "only_moved", "said"]
__all__ += ["settings", "with_plan", "on_machine"]

Nested = dict[str, Any]

# A budget is turned into iterations; whichever of the two is changed, the other is out of date.
_EITHER = {"train.iterations": "train.budget", "train.budget": "train.iterations"}

# Layers ---------------------------------------------------------------------------------------


def compose(
    preset: str | Path | Mapping[str, Any] | Recipe | None = None,
    sets: Iterable[str] = (),
    **overrides: Any,
) -> Recipe:
    """A recipe from its layers: defaults < preset < sets < overrides.

    Args:
        preset: name, TOML file, nested dict or recipe (of a run that is resumed).
        sets: "key=value" as typed after --set.
        overrides: dotted keys of explicit flags, as in **{"run.device": "cpu"}; None = not given.

    Raises:
        UserError: an unknown preset or key, or a bad value.
    """
    if isinstance(preset, str | Path):
        layer = load_preset(preset)
    elif isinstance(preset, Recipe):
        layer = preset.model_dump()
    else:
        layer = preset or {}
    layer = apply(layer, sets)
    for key, value in overrides.items():
        if value is not None:
            _put(layer, key, value)
    return _validated(layer)


def apply(recipe: Mapping[str, Any], sets: Iterable[str]) -> Nested:
    """A nested dict with "key=value" texts put in; `none` takes an optional key back.

    Of train.iterations and train.budget the one changed last holds: the other is dropped.

    Raises:
        UserError: an unknown key (with the nearest one) or a bad value.
    """
    layer = copy.deepcopy(dict(recipe))
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {_shown(text)}: must be key=value, e.g. model.latent=100")
        _put(layer, key.strip(), _scalar(key.strip(), value.strip()))
    _validated(layer)
    return layer


def _put(layer: Nested, key: str, value: Any) -> None:
    if key not in KEYS:
        raise unknown("key", key, KEYS)
    section, _, name = key.rpartition(".")
    keys = layer.setdefault(section, {}) if section else layer
    if key in _EITHER and value not in (None, keys.get(name)):
        keys[_EITHER[key].rpartition(".")[2]] = None
    keys[name] = str(value) if isinstance(value, Path) else value


def _scalar(key: str, text: str) -> Any:
    """A typed value: TOML's scalar where it is one and the key takes one, else a bare text."""
    field = KEYS.get(key)
    if field is None or (text.lower() == "none" and field.default is None):
        return None
    if takes_text_only(key) and text[:1] not in ("'", '"'):
        return text  # a folder may be called 2024 or true
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    scalar = parsed.keys() == {"value"} and isinstance(parsed["value"], str | int | float | list)
    return parsed["value"] if scalar else text


def _validated(nested: Mapping[str, Any], where: str = "") -> Recipe:
    for key in _flat(nested):
        if key not in KEYS:
            raise _located(where, unknown("key", key, KEYS))
    for key, value in flattened(nested).items():
        if isinstance(value, int) and abs(value) >= 2**63:  # what TOML promises to hold
            raise _located(where, UserError(f"{key}={_shown(value)}: must be below 2^63"))
    try:
        return Recipe.model_validate(dict(nested))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    key = next((k for k in KEYS if k.split(".") == list(first["loc"])[: k.count(".") + 1]), "")
    key = key or ".".join(map(str, first["loc"]))
    must = re.sub(r"^(Value error, |Input should be )", "", first["msg"])
    must = must if must.startswith("must be") else f"must be {must}"
    raise _located(where, UserError(f"{key}={_shown(first['input'])}: {must}"))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in nested.items():
        inner = isinstance(value, Mapping) and prefix + str(name) not in KEYS
        if inner and not prefix:  # no key has two dots, whatever a file has
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _located(where: str, error: UserError) -> UserError:
    return UserError(f"{where}: {error}") if where else error


def _shown(value: object) -> str:
    """A value as one short line that any terminal can print."""
    if isinstance(value, int) and abs(value) >= 10**60:  # Python does not write very long ones
        return f"a number of {value.bit_length()} bits"
    text = " ".join(value.split()) if isinstance(value, str) else repr(value)
    return shown(text if len(text) <= 60 else text[:57] + "...")


# Presets and files ----------------------------------------------------------------------------


def presets() -> dict[str, str]:
    """Name -> what it is for (the first line of its file), of the presets that come along."""
    found = (file for file in _shipped().iterdir() if file.name.endswith(".toml"))
    return {
        file.name.removesuffix(".toml"): file.read_text("utf-8").splitlines()[0].lstrip("# ")
        for file in sorted(found, key=lambda file: file.name)
    }


def _shipped() -> Traversable:
    return resources.files("abprop.run") / "presets"


def load_preset(name_or_path: str | Path) -> Nested:
    """The keys that a preset sets, nested.

    Args:
        name_or_path: one of `presets()`, or a TOML file (anything with a `/` or ending in .toml).
    """
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith(".toml") or "/" in name:
        where, text = name, text_in(Path(name))
    elif name in presets():
        where, text = f"preset {name}", (_shipped() / f"{name}.toml").read_text("utf-8")
    else:
        raise unknown("preset", name, presets())
    nested = _parsed(text, where)
    _validated(nested, where)
    return nested


def _parsed(text: str, where: str) -> Nested:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not TOML: {error}") from None


def loads(text: str, where: str | Path) -> Recipe:
    """The recipe in a TOML text; keys that are not there have their defaults.

    Args:
        text: the file's contents.
        where: the file's name, for messages.
    """
    return _validated(_parsed(text, str(where)), str(where))


def dumps(recipe: Recipe) -> str:
    """The recipe as TOML, every key with its meaning; `loads` gives an equal recipe."""
    lines = ["# abprop: the recipe of this run, complete. Change it with --set key=value."]
    section = None
    for key, field in KEYS.items():
        here, _, name = key.rpartition(".")
        if here != section and here:
            lines += ["", f"[{here}]"]
        section = here
        value = _get(recipe, key)
        lines.append(f"# {field.description}")
        lines.append(f"# {name} is not set" if value is None else f"{name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, str):  # JSON's text is TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value).lower() if isinstance(value, bool) else repr(value)


# Resuming -------------------------------------------------------------------------------------

OTHERWISE = "the result will not be bit for bit that of an unchanged run"
_PLACES = ("data.source", "data.masks", "data.operator")
MAY_CHANGE = {"train.iterations", "train.budget"} | {
    f"run.{key}" for key in ("device", "precision", "forms", "threads")
}


def flattened(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The keys of a nested dict, dotted."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        inner = flattened(value, f"{prefix}{name}.") if isinstance(value, Mapping) else None
        found |= inner if inner is not None else {prefix + name: value}
    return found


def flat(recipe: Recipe) -> dict[str, Any]:
    """Every key with its value, dotted."""
    return {key: _get(recipe, key) for key in KEYS}


def _get(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for name in key.split("."):
        value = getattr(value, name)
    return value


def changes(old: Recipe, new: Recipe) -> list[tuple[str, Any, Any]]:
    """(key, old value, new value) of every key that differs, in the order of the file."""
    pairs = ((key, _get(old, key), _get(new, key)) for key in KEYS)
    return [(key, before, after) for key, before, after in pairs if before != after]


def check_resume(old: Recipe, new: Recipe) -> list[str]:
    """What the user is told when a run goes on under a changed recipe.

    The same data (by fingerprint) may have moved. `checkpoint.*` may change without a word.

    Returns:
        One line for each change that gives up bit equality with a run that was never stopped.

    Raises:
        UserError: a key changed that would make it another run.
    """
    warnings = []
    for key, before, after in changes(old, new):
        if key in MAY_CHANGE:
            warnings.append(f"{key} was {said(before)}, now {said(after)}: " + OTHERWISE)
        elif not (key.startswith("checkpoint.") or only_moved(key, old, new)):
            raise UserError(
                f"{key} was {said(before)} in this run and cannot change on resume "
                f"(got {said(after)}); use another --run"
            )
    return warnings


def only_moved(key: str, old: Recipe, new: Recipe) -> bool:
    """Whether a key says only that the same data are somewhere else."""
    same = old.data.fingerprint == new.data.fingerprint != ""
    if key in _PLACES and placed(_get(old, key) or "") == placed(_get(new, key) or ""):
        return True
    return key == "data.source" and same


def in_place(recipe: Recipe) -> Recipe:
    """The recipe with its places from the root on."""
    named = {key: _get(recipe, key) for key in _PLACES}
    if Path(named["data.operator"] or "").suffix != ".npy":  # a rule
        named["data.operator"] = None
    texts = {key: placed(value) for key, value in named.items() if value}
    data = {key.removeprefix("data."): text for key, text in texts.items()}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=data)})


def said(value: object) -> str:
    """A value for a message."""
    return "not set" if value is None else _shown(value)


def with_plan(
    recipe: Recipe,
    iterations: int | None,
    budget: str | None,
    wait: int | None = None,
    scores: int | None = None,
) -> Recipe:
    """The recipe with both set, which `compose` would not allow: the plan, and what it is for."""
    train: dict[str, Any] = {"iterations": iterations, "budget": budget}
    train |= {} if scores is None else {"scores": scores}
    infer = {} if wait is None else {"wait": wait}
    return recipe.model_copy(
        update={
            "train": recipe.train.model_copy(update=train),
            "infer": recipe.infer.model_copy(update=infer),
        }
    )


def on_machine(recipe: Recipe, **run: Any) -> Recipe:
    """The recipe with some of its `run.*` keys set: what was chosen on this machine."""
    return recipe.model_copy(update={"run": recipe.run.model_copy(update=run)})

"""Recipes: layers, messages that help, exact round trips, and what may change on resume."""

from __future__ import annotations

import math
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abprop.errors import UserError
from abprop.grammar import parse_duration, parse_every, parse_latent
from abprop.run import Layers
from abprop.run.recipe import (
    KEYS,
    Recipe,
    apply,
    changes,
    check_resume,
    compose,
    dumps,
    flattened,
    load_preset,
    loads,
    presets,
)

# Values other than the default for every key: (typed after --set, value in the recipe).
OTHER: dict[str, tuple[str, object]] = {
    "seed": ("7", 7),
    "data.source": ("a folder/é", "a folder/é"),
    "data.kind": ("texture", "texture"),
    "data.size": ("64x48", "64x48"),
    "data.select": ("0:300", "0:300"),
    "data.limit": ("11", 11),
    "data.columns": ("age,income", "age,income"),
    "data.range": ("-1:1.5", "-1:1.5"),
    "data.channels": ("grey", "grey"),
    "data.masks": ("not:holes.npz:m", "not:holes.npz:m"),
    "data.hide": ("P.5", "P.5"),
    "data.rate": ("11025", 11025),
    "data.seconds": ("1.5", 1.5),
    "data.window": ("256", 256),
    "data.aside": ("0", 0.0),
    "data.measure": ("down:4", "down:4"),
    "data.operator": ("A.npy", "A.npy"),
    "data.complete": ("no", "no"),
    "data.shape": ("3x64x64", "3x64x64"),
    "data.holdout": ("0", 0.0),
    "data.fingerprint": ("12e5", "12e5"),
    "data.mirror": ("no", "no"),
    "data.shift": ("2", 2),
    "data.crop": ("96", 96),
    "data.crops": ("256", 256),
    "model.network": ("linear", "linear"),
    "model.latent": ("100", "100"),
    "model.channels": ("32", 32),
    "model.levels": ("3", 3),
    "model.sigma": ("0.25", 0.25),
    "model.prior": ('"standard"', "standard"),
    "model.likelihood": ("spectral", "spectral"),
    "model.motion": ("linear", "linear"),
    "model.residual": ("white", "white"),
    "infer.kernel": ("gradient", "gradient"),
    "infer.chains": ("2", 2),
    "infer.visits": ("restarted", "restarted"),
    "infer.steps": ("30", 30),
    "infer.step_size": ("0.3", 0.3),
    "infer.chunk": ("128", 128),
    "infer.wait": ("50", 50),
    "infer.start": ("pca", "pca"),
    "train.iterations": ("600", 600),
    "train.budget": ("15m", "15m"),
    "train.batch": ("0", 0),
    "train.learning_rate": ("1e-4", 0.0001),
    "train.schedule": ("constant", "constant"),
    "train.weight_decay": ("0.3", 0.3),
    "train.beta1": ("0.5", 0.5),
    "train.beta2": ("0.999", 0.999),
    "train.average": ("0.1", 0.1),
    "train.scores": ("4", 4),
    "train.draws": ("0.3", 0.3),
    "checkpoint.every": ("200", 200),
    "checkpoint.keep": ("3", 3),
    "distributed.shards": ("4", 4),
    "distributed.reduce": ("exact", "exact"),
    "growth.added": ('["more", "and more/é"]', ["more", "and more/é"]),
    "growth.masks": ('["", "holes"]', ["", "holes"]),
    "growth.sizes": ("[60, 20]", [60, 20]),
    "growth.forgotten": ("3,17", "3,17"),
    "run.device": ("cpu", "cpu"),
    "run.precision": ("float32", "float32"),
    "run.forms": ("dd sd", "dd sd"),
    "run.threads": ("2", 2),
}


def get(recipe: Recipe, key: str) -> object:
    value: object = recipe
    for name in key.split("."):
        value = getattr(value, name)
    return value


def with_one(key: str) -> Recipe:
    return compose(None, [f"{key}={OTHER[key][0]}"])


def message(*sets: str) -> str:
    with pytest.raises(UserError) as caught:
        apply({}, sets)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Values ------------------------------------------------------------------------------------


def test_every_key_is_tried_and_has_a_meaning():
    assert list(KEYS) == list(OTHER)
    assert all(field.description and "\n" not in field.description for field in KEYS.values())


@pytest.mark.parametrize("key", OTHER)
def test_each_key_can_be_set_saved_and_read_back(key: str):
    recipe = with_one(key)
    assert get(recipe, key) == OTHER[key][1] != get(Recipe(), key)
    assert type(get(recipe, key)) is type(OTHER[key][1])
    assert [name for name, _, _ in changes(Recipe(), recipe)] == [key]
    assert loads(dumps(recipe), "recipe.toml") == recipe


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().data.size = "3x3"  # type: ignore[misc]


BAD = {
    "seed=-1": "greater than or equal to 0",
    "seed=true": "a valid integer",
    "data.kind=musik": "'auto', 'sound', ",
    "data.size=64by64": "WxH, e.g. 64x48",
    "data.size=0x4": "WxH, e.g. 64x48",
    "data.size=1.5": "WxH, e.g. 64x48",
    "data.select=a:b": "a range or a list of numbers",
    "data.limit=0": "greater than 0",
    "data.range=1:0": "low:high",
    "data.range=0:inf": "low:high",
    "data.range=0:nan": "low:high",
    "data.range=0:1:2": "low:high",
    "data.channels=cmyk": "'keep', 'grey' or 'rgb'",
    "data.holdout=1": "less than 1",
    "data.holdout=-0.1": "greater than or equal to 0",
    "data.mirror=maybe": "'auto', 'yes' or 'no'",
    "data.mirror=true": "'auto', 'yes' or 'no'",
    "data.shift=-1": "greater than or equal to 0",
    "data.crop=0": "greater than 0",
    "data.crops=1.5": "a valid integer",
    "model.network=unet": "'conv' or 'linear'",
    "model.latent=-3": "a positive number or CxHxW, e.g. 100 or 16x4x4",
    "model.latent=0": "a positive number or CxHxW",
    "model.latent=16x4x": "a positive number or CxHxW",
    "model.latent=1.5": "a positive number or CxHxW",
    "model.latent=[3]": "a positive number or CxHxW",
    "model.channels=0": "greater than 0",
    "model.sigma=0": "a positive number or 'learned'",
    "model.sigma=nan": "a positive number or 'learned'",
    "model.sigma=adapt": "a positive number or 'learned'",
    "model.sigma=true": "a positive number or 'learned'",
    "model.prior=normal": "'standard', 'gaussian', 'markov', 'mixture' or 'learned'",
    "infer.kernel=nuts": "'langevin', 'leimkuhler', 'gradient', 'mala' or 'hmc'",
    "infer.steps=0": "greater than 0",
    "infer.step_size=-1": "a positive number or 'adapt'",
    "infer.chunk=0": "greater than 0",
    "infer.start=random": "'auto', 'prior' or 'pca'",
    "train.iterations=0": "greater than 0",
    "train.iterations=many": "a valid integer",
    "train.budget=soon": "a length of time, e.g. 90s, 10m or 1h",
    "train.budget=0s": "a length of time",
    "train.batch=-1": "greater than or equal to 0",
    "train.learning_rate=0": "greater than 0",
    "train.learning_rate=inf": "a finite number",
    "train.schedule=step": "'cosine' or 'constant'",
    "train.weight_decay=-1": "greater than or equal to 0",
    "train.beta1=1": "less than 1",
    "train.beta2=one": "a valid number",
    "checkpoint.every=0": "a time or a number of iterations",
    "checkpoint.every=often": "a time or a number of iterations",
    "checkpoint.every=0s": "a length of time",
    "checkpoint.every=true": "a time or a number of iterations",
    "checkpoint.keep=0": "greater than 0",
    "run.precision=float8": "'auto', 'float32' or 'bfloat16'",
    "run.threads=-1": "greater than or equal to 0",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_value_is_named_and_told_what_it_must_be(text: str):
    key, _, value = text.partition("=")
    said = message(text)
    assert said.lower().startswith(f"{key}={value}".lower()) and ": must be " in said
    assert BAD[text] in said


def test_the_promised_words():
    wanted = "model.latent=-3: must be a positive number or CxHxW, e.g. 100 or 16x4x4"
    assert message("model.latent=-3") == wanted
    wanted = "unknown key 'model.latnt'; did you mean 'model.latent'?"
    assert message("model.latnt=3") == wanted


@pytest.mark.parametrize(
    "text, near",
    [
        ("latent=3", "model.latent"),
        ("train.batchsize=3", "train.batch"),
        ("infer.stepsize=1", "infer.step_size"),
        ("sed=1", "seed"),
    ],
)
def test_a_misspelt_key_gets_a_suggestion(text: str, near: str):
    assert f"did you mean '{near}'?" in message(text)


@pytest.mark.parametrize("text", ["", "=", "=3", "model", "model=3", "seed.x=1", "a\nb", "x=\n"])
def test_what_is_no_setting_at_all(text: str):
    message(text)


def test_a_value_that_is_long_or_has_lines_stays_one_line():
    assert len(message("model.latent=" + "9\n" * 10_000)) < 200
    message("train.iterations=" + "9" * 5000, "seed=" + "[" * 5000)


@pytest.mark.parametrize("text", ["2024", "1e5", "true", "none", "a b", "0:3", "", "C:\\x", "#1"])
def test_a_text_key_keeps_what_was_typed(text: str):
    assert apply({}, [f"data.source={text}"]) == {"data": {"source": text}}


def test_none_takes_an_optional_key_back():
    layer = apply({"data": {"limit": 3}}, ["data.limit=none"])
    assert compose(layer) == Recipe()
    assert "must be a valid integer" in message("infer.steps=none")


@given(st.text(max_size=30))
def test_any_text_survives_the_file_or_is_refused(text: str):
    try:
        recipe = compose(None, **{"data.source": text})
    except UserError:  # half of a surrogate pair cannot be written
        assert any(0xD800 <= ord(letter) < 0xE000 for letter in text)
        return
    assert loads(dumps(recipe), "recipe.toml") == recipe


@pytest.mark.parametrize("text", ["\x7f\x00\x1f\t\r\n\\\"'", "\U0001f600\u2028", "a" * 5000])
def test_awkward_text_survives_the_file(text: str):
    recipe = compose(None, **{"data.source": text})
    assert loads(dumps(recipe), "recipe.toml") == recipe


def test_half_a_surrogate_is_refused():
    with pytest.raises(UserError, match=r"data\.source="):
        compose(None, **{"data.source": "\udc80"})


@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False))
def test_any_number_survives_the_file(number: float):
    recipe = compose(None, **{"train.learning_rate": number, "model.sigma": number})
    assert loads(dumps(recipe), "recipe.toml") == recipe


# Small languages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, seconds",
    [("10m", 600), ("90s", 90), ("1h", 3600), ("45", 45), ("1.5h", 5400), (" 2m ", 120)],
)
def test_durations(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1m", "1d", "1m30s", "0", "nan", "1e3s", "٣s"])
def test_bad_durations(text: str):
    with pytest.raises(UserError, match="must be a length of time"):
        parse_duration(text)


def test_latents_and_intervals():
    assert parse_latent("100") == (100,)
    assert parse_latent("16x4x4") == (16, 4, 4)
    assert parse_every("2m") == (120.0, None)
    assert parse_every(200) == parse_every("200") == (None, 200)
    for text in ("auto", "", "x", "1x", "16x4x4x4x4", "1 0", "٣"):
        with pytest.raises(UserError, match="must be a positive number or CxHxW"):
            parse_latent(text)


# Layers ------------------------------------------------------------------------------------


def test_precedence(tmp_path: Path):
    preset = tmp_path / "mine.toml"
    preset.write_text("seed = 1\n[infer]\nsteps = 10\nchunk = 8\n[train]\nbatch = 7\n")
    recipe = compose(
        preset,
        ["infer.steps=20", "infer.chunk=16"],
        **{"infer.chunk": 32, "train.batch": None, "data.source": Path("faces")},
    )
    assert (recipe.seed, recipe.train.batch) == (1, 7)
    assert (recipe.infer.steps, recipe.infer.chunk) == (20, 32)
    assert recipe.infer.kernel == Recipe().infer.kernel
    assert recipe.data.source == "faces"
    assert compose(str(preset)) == compose(load_preset(preset))
    assert compose() == compose({}) == compose(Recipe()) == Recipe()


def test_a_later_set_wins_and_layers_are_not_written_to():
    base = {"infer": {"steps": 1}}
    assert apply(base, ["infer.steps=2", "infer.steps=3"]) == {"infer": {"steps": 3}}
    compose(base, ["infer.steps=2"], **{"infer.steps": 4})
    assert base == {"infer": {"steps": 1}}


def test_an_unknown_flag_is_refused():
    with pytest.raises(UserError, match=r"did you mean 'run\.device'"):
        compose(None, **{"run.devise": "cpu"})


def test_a_new_budget_drops_the_number_of_iterations_and_the_other_way_round():
    planned = compose({"train": {"iterations": 600, "budget": "15m"}})
    assert (planned.train.iterations, planned.train.budget) == (600, "15m")
    again = compose(planned, **{"train.budget": "15m"})
    assert again == planned  # the same command, to resume
    longer = compose(planned, **{"train.budget": "30m"})
    assert (longer.train.iterations, longer.train.budget) == (None, "30m")
    counted = compose(planned, ["train.iterations=700"])
    assert (counted.train.iterations, counted.train.budget) == (700, None)


# Presets and files -------------------------------------------------------------------------


def test_the_presets_that_come_along():
    found = presets()
    shipped = {
        "images",
        "texture",
        "table",
        "quick",
        "paper-objects",
        "paper-faces",
        "paper-texture",
        "paper-sound",
        "sound",
        "sounds",
        "waveform",
        "video",
        "spacetime",
        "paper-video",
    }
    assert found.keys() >= shipped
    assert all(len(description) > 20 for description in found.values())


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_recipe_with_an_end(name: str):
    recipe = compose(name)
    assert (recipe.train.iterations is None) != (recipe.train.budget is None)
    assert loads(dumps(recipe), name) == recipe


def test_the_papers_objects():
    recipe = compose("paper-objects")
    assert recipe.model.latent == "2" and recipe.model.sigma == recipe.infer.step_size == 0.3
    assert (recipe.infer.steps, recipe.train.iterations, recipe.train.batch) == (30, 600, 0)
    assert recipe.train.beta1 == 0.5 and math.isclose(recipe.train.learning_rate, 1e-4)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("paper-objects", "images"),
        ("paper-faces", "images"),
        ("paper-texture", "texture"),
        ("paper-sound", "waveform"),
        ("paper-video", "video"),
    ],
)
def test_nothing_of_ours_lies_below_the_papers_presets(name: str, kind: str):
    paper = flattened(load_preset(name))
    assert flattened(load_preset(kind)).keys() - paper.keys() <= {"train.budget"}
    recipe = Layers(name).over(kind)
    assert (recipe.data.mirror, recipe.model.prior) == ("no", "standard")
    assert recipe.train.average == recipe.train.weight_decay == 0
    assert kind != "images" or recipe.data.shift == 0, "copies would be chosen"


def test_an_unknown_preset():
    with pytest.raises(UserError, match="unknown preset 'image'; did you mean 'images'"):
        compose("image")


FILES = {
    "seed = \n": r"mine\.toml: not TOML: .*line 1",
    "seed = 1\nseed = 2\n": r"mine\.toml: not TOML: .*line 2",
    "[model]\nlatnt = 3\n": r"mine\.toml: unknown key 'model\.latnt'; did you mean",
    "[modle]\nlatent = 3\n": r"mine\.toml: unknown key 'modle\.latent'; did you mean",
    "model = 3\n": r"mine\.toml: unknown key 'model'",
    "[seed]\n": r"mine\.toml: seed=\{\}: must be a valid integer",
    "[model.latent]\nx = 3\n": r"mine\.toml: model\.latent=.*must be a positive number",
    "[infer]\nsteps = 'x'\n": r"mine\.toml: infer\.steps=x: must be a valid integer",
    "[infer]\nsteps = 1979-05-27\n": r"mine\.toml: infer\.steps=.*: must be a valid integer",
    "[data]\nsource = ['a']\n": r"mine\.toml: data\.source=.*: must be a valid string",
    "[[model]]\nlatent = 3\n": r"mine\.toml: unknown key 'model'",
    "seed = " + "9" * 5000: r"mine\.toml: not TOML",
    "seed = " + "[" * 50_000: r"mine\.toml: not TOML",
}


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_a_bad_file_is_named(tmp_path: Path, text: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=FILES[text]) as caught:
        compose(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=FILES[text]):
        loads(text, "mine.toml")


def test_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*none\.toml: No such file"):
        load_preset(tmp_path / "none.toml")
    with pytest.raises(UserError, match="Is a directory"):
        load_preset(tmp_path)
    (tmp_path / "image.toml").write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match="not a text file"):
        load_preset(tmp_path / "image.toml")


def test_a_file_that_is_no_recipe_is_not_read_to_its_end(tmp_path: Path):
    pipe, endless = tmp_path / "pipe.toml", tmp_path / "endless.toml"
    os.mkfifo(pipe)  # opening it would wait for a writer
    with open(endless, "wb") as file:
        file.truncate(1 << 40)  # sparse: takes no room
    for path in (pipe, endless, Path("/dev/zero")):
        with pytest.raises(UserError, match="no recipe, which is a file of at most"):
            load_preset(path)
    with pytest.raises(UserError, match="cannot read"):
        load_preset(tmp_path / "nul\0.toml")


def test_what_is_refused_is_repeated_in_short(tmp_path: Path):
    path = tmp_path / "mine.toml"
    for text, told in {
        ".".join("a" * 5000) + " = 1": "unknown key 'a.a'",
        '[data]\nsource = "\\u001b[2J"\nkind = "\\u001b[2J"': r"data.kind=\?\[2J: must be",
        "seed = 0x" + "f" * 9999: "seed=a number of 39996 bits: must be below",
        "[train]\nbatch = 1" + "0" * 999: "train.batch=a number of 3319 bits: must be below",
        "[train]\nbatch = [" + "1," * 9999 + "]": "must be",
    }.items():
        path.write_text(text)
        with pytest.raises(UserError, match=told) as caught:
            load_preset(path)
        assert len(str(caught.value)) < 1200


def test_a_saved_recipe_is_complete_and_explains_itself():
    lines = dumps(compose("images")).splitlines()
    for key, field in KEYS.items():
        name = key.rpartition(".")[2]
        after = [lines[i + 1] for i, line in enumerate(lines) if line == f"# {field.description}"]
        assert any(line.startswith((f"{name} = ", f"# {name} is not set")) for line in after)
    assert tomllib.loads("\n".join(lines))["train"]["budget"] == "15m"


# Resuming ----------------------------------------------------------------------------------

FREE = {"checkpoint.every", "checkpoint.keep"}
WARNED = {"train.iterations", "train.budget", "run.device", "run.precision", "run.threads"}
WARNED |= {"run.forms"}


@pytest.mark.parametrize("key", OTHER)
def test_what_may_change_on_resume(key: str):
    old, new = Recipe(), with_one(key)
    if key in FREE:
        assert check_resume(old, new) == []
    elif key in WARNED:
        (line,) = check_resume(old, new)
        assert line.startswith(f"{key} was ") and "bit for bit" in line
    else:
        with pytest.raises(
            UserError, match=rf"^{key} was .* cannot change on resume \(got .*--run"
        ):
            check_resume(old, new)


def test_the_promised_refusal():
    old, new = compose({"model": {"latent": 100}}), compose({"model": {"latent": "60"}})
    with pytest.raises(UserError) as caught:
        check_resume(old, new)
    assert str(caught.value) == (
        "model.latent was 100 in this run and cannot change on resume (got 60); use another --run"
    )
    assert check_resume(old, old) == []


def test_the_same_data_may_have_moved():
    old = compose({"data": {"source": "a", "fingerprint": "12"}})
    assert check_resume(old, compose(old, **{"data.source": "b"})) == []
    with pytest.raises(UserError, match=r"data\.(source|fingerprint) was"):
        check_resume(old, compose(old, **{"data.source": "b", "data.fingerprint": "34"}))


def test_changes_are_listed_in_the_files_order():
    new = compose({"seed": 1, "run": {"threads": 2}, "data": {"limit": 3}})
    assert changes(Recipe(), new) == [
        ("seed", 0, 1),
        ("data.limit", None, 3),
        ("run.threads", 0, 2),
    ]

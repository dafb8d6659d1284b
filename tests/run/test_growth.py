"""A run whose data change: examples that come, and examples that go."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import FACES, TABLE, TEXTURE, Command, blobs, keys, learned, rows, waves, write_table

from abprop import checkpoint
from abprop.checkpoint.manifest import sealed
from abprop.errors import UserError
from abprop.run import Growth, Layers, Run, fit, load, metrics
from abprop.run.split import COPY

SETS = (*FACES, "model.latent=2", "data.holdout=0.2", "data.mirror=yes", "data.kind=images")


def pictures(folder: Path, begin: int, end: int) -> Path:
    """Files of their own, the same ones for the same numbers."""
    folder.mkdir(exist_ok=True)
    for i in range(begin, end):
        Image.fromarray(blobs(80)[i]).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 pictures, 20 more beside it."""
    here = tmp_path_factory.mktemp("growth")
    pictures(here / "first", 0, 60)
    pictures(here / "more", 60, 80)
    return learned(here / "run", here / "first", SETS)


@pytest.fixture
def run(fitted: Path, tmp_path: Path) -> Path:
    """Another copy of it and of its data."""
    shutil.copytree(fitted.parent, tmp_path, dirs_exist_ok=True)
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text("utf-8").replace(str(fitted.parent), str(tmp_path)), "utf-8")
    return tmp_path / "run"


def grow(run: Path, add: object = None, forget: str | None = None, *sets: str) -> Run:
    fit(run, Layers(None, sets, growth=Growth(add, None, forget)))
    return load(run, last=True)


def table(run: Path) -> dict[str, torch.Tensor]:
    """The only checkpoint's latents."""
    (step,) = checkpoint.steps(run / "checkpoints")
    return checkpoint.load(checkpoint.path_of(run / "checkpoints", step)).latents


def rows_of(latents: dict[str, torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    return latents["z"][torch.searchsorted(latents["ids"], ids)]


# Examples that come ---------------------------------------------------------------------------


def test_what_is_added_has_new_ids_and_all_else_stays(run: Path) -> None:
    before = load(run, last=True)
    after = grow(run, run.with_name("more"))
    ids = before.ids
    assert torch.equal(ids % COPY < 60, torch.ones_like(ids, dtype=torch.bool))
    came = after.ids[~torch.isin(after.ids, ids)]
    assert torch.isin(ids, after.ids).all() and len(came) == 2 * 16
    assert (came % COPY >= 60).all() and set((came // COPY).tolist()) == {0, 1}
    assert torch.equal(after.states[torch.isin(after.ids, ids)], before.states), "they stay"
    for name, weight in before.learned.network.state_dict().items():
        assert torch.equal(weight, after.learned.network.state_dict()[name]), "W is held still"
    assert after.step == before.step and after.meta["data"]["examples"] == 80
    assert after.names[: len(before.names)] == before.names
    assert all(re.fullmatch(r"0[67]\d\+1", name) for name in after.names[len(before.names) :])


def test_their_chains_are_burnt_in(run: Path) -> None:
    """They explain their pictures as well as those of held-out ones that were solved for."""
    after = grow(run, run.with_name("more"))
    new = after.ids[: len(after.names)] >= 60
    y = after.split.train.batch(np.arange(len(after.names)))[0]
    x = after.scale.to_model(after.decode(after.z[: len(after.names)]))
    error = (torch.from_numpy(x) - y).square().flatten(1).mean(1)
    blank = y.square().flatten(1).mean(1)
    assert error[new].mean() < 0.7 * blank[new].mean()
    assert error[new].mean() < 1.5 * error[~new].mean()


def test_held_out_examples_stay_held_out_and_new_ones_join_them(run: Path) -> None:
    before, after = load(run).split.heldout, grow(run, run.with_name("more")).split.heldout
    assert before is not None and after is not None
    assert set(before.names) <= set(after.names) and len(after) == len(before) + 4
    assert all(name.endswith("+1") for name in set(after.names) - set(before.names))


def test_a_grown_run_learns_on_and_resumes_bit_for_bit(run: Path) -> None:
    grow(run, run.with_name("more"))
    before = table(run)["z"]
    other = Path(shutil.copytree(run, run.with_name("other")))
    more = ["train.iterations=12"]
    fit(run, Layers(None, more))
    fit(other, Layers(None, more), stop_at=10)
    fit(other, Layers(None, []))
    names = ("network", "latents-00000")
    one, two = (checkpoint.latest(r / "checkpoints", print) for r in (run, other))
    assert one is not None and two is not None and one.step == two.step == 12
    for name in names:
        for key, values in one.tensors[name].items():
            assert torch.equal(values, two.tensors[name][key]), (name, key)
    assert not torch.equal(one.latents["z"], before), "chains have moved"


def test_with_a_budget_learning_goes_on(run: Path) -> None:
    after = grow(run, run.with_name("more"), None, "train.budget=3s")
    assert after.step > 8 and after.recipe.train.budget == "3s"


def test_several_sources_follow_each_other(run: Path) -> None:
    grow(run, run.with_name("more"))
    np.save(run.with_name("third.npy"), blobs(10, seed=5))
    after = grow(run, run.with_name("third.npy"))
    assert after.recipe.growth.sizes == [60, 20, 10]
    assert after.recipe.growth.added == [
        str(run.with_name("more")),
        str(run.with_name("third.npy")),
    ]
    assert [name for name in after.names if "+" in name or len(name) > 3]
    assert len(after.evaluate()) and after.evaluate()["n"] == 90


def test_what_is_there_is_not_added_again(run: Path) -> None:
    once = grow(run, run.with_name("more"))
    again = grow(run, run.with_name("more"), "3")
    assert again.recipe.growth.sizes == once.recipe.growth.sizes == [60, 20]
    assert grow(run, run.with_name("first"), "3").recipe == again.recipe


def test_a_copy_between_checkpoint_and_recipe_goes_on_as_grown(run: Path) -> None:
    """Killed there, the run is as it will be."""
    recipe = (run / "recipe.toml").read_text("utf-8")
    whole = grow(run, run.with_name("more"), "5")
    (run / "recipe.toml").write_text(recipe, "utf-8")
    found = load(run, last=True)
    assert found.recipe == whole.recipe and found.names == whole.names
    fit(run, Layers(None, ["train.iterations=9"]))
    assert load(run, last=True).recipe.growth == whole.recipe.growth


def test_masks_hide_parts_of_what_is_added(run: Path) -> None:
    hidden = np.zeros((20, 8, 8), bool)
    hidden[:, :4] = True
    np.save(run.with_name("holes.npy"), hidden)
    fit(run, Layers(growth=Growth(run.with_name("more"), str(run.with_name("holes.npy")))))
    after = load(run, last=True)
    veil = after.split.train.codes(range(len(after.names)))
    new = (after.ids[: len(after.names)] >= 60).numpy()
    assert veil is not None and (veil[new][:, :, :4] > 0).all() and not (veil[~new] > 0).any()
    answer = after.recover()
    assert len(answer.mean) == 80


def test_a_table_keeps_its_units(tmp_path: Path) -> None:
    whole = rows(80)
    first, more = (
        write_table(tmp_path / name, part)
        for name, part in (("a.csv", whole[:60]), ("b.csv", 1.5 * whole[60:]))
    )
    run = learned(tmp_path / "run", first, (*TABLE, "data.holdout=0"))
    before, after = load(run, last=True), grow(run, more)
    assert after.scale == before.scale and len(after.signals) == 80
    smaller = write_table(first, np.delete(whole[:60], 7, axis=0))
    with pytest.raises(UserError, match="holds 59 examples, but a run learned from 60"):
        _ = load(run, last=True).signals
    write_table(first, whole[:60])
    least = int(np.nanargmax(whole[:60, 2]))
    gone = grow(run, None, str(least))
    write_table(smaller, np.delete(whole[:60], least, axis=0))
    again = load(run, last=True)
    assert again.signals.scale == gone.signals.scale == before.scale
    assert np.array_equal(again.signals.values, gone.signals.values, equal_nan=True)


def test_measured_runs_and_sets_of_sounds_grow(tmp_path: Path) -> None:
    import soundfile

    np.save(tmp_path / "a.npy", blobs(60))
    np.save(tmp_path / "b.npy", blobs(8, seed=3))
    sets = (*FACES, "model.latent=2", "data.measure=down:2")
    run = learned(tmp_path / "measured", tmp_path / "a.npy", sets)
    known, after = load(run, last=True).known, grow(run, tmp_path / "b.npy")
    assert known is not None and after.known is not None
    assert torch.equal(known.power.log_power, after.known.power.log_power), "of the first ones"
    assert len(after.reconstruct()) == 68
    for name, begin, end in (("tones", 0, 8), ("others", 8, 10)):
        (tmp_path / name).mkdir()
        for i in range(begin, end):
            tone = 0.3 * np.sin(np.arange(2000) * (0.1 + 0.02 * i))
            soundfile.write(tmp_path / name / f"{i}.wav", tone, 8000, subtype="PCM_16")
    sets = ("train.iterations=2", "run.precision=float32", "model.latent=2", "model.channels=8")
    run = learned(tmp_path / "sounds", tmp_path / "tones", sets)
    colour, after = load(run, last=True).colour, grow(run, tmp_path / "others")
    assert colour is not None and after.colour is not None and len(after.names) == 10
    assert torch.equal(colour.matrices, after.colour.matrices)


def test_a_run_of_an_earlier_version_grows(tmp_path: Path) -> None:
    """Its copies had other ids."""
    old = Path(shutil.copytree(Path(__file__).parent / "old" / "last-pictures", tmp_path / "run"))
    np.save(tmp_path / "faces.npy", blobs(60))
    np.save(tmp_path / "more.npy", blobs(20, seed=1))
    before = load(old, last=True)
    assert (before.ids[len(before.names) :] >= COPY).all()
    asked = Layers(None, [], {"data.source": str(tmp_path / "faces.npy")},
                   growth=Growth(tmp_path / "more.npy"))  # fmt: skip
    fit(old, asked)
    after = load(old, last=True)
    kept = after.states[torch.isin(after.ids, before.ids)]
    assert len(after.names) > len(before.names)
    if after.step == before.step:
        assert torch.equal(kept, before.states)


# Examples that go -----------------------------------------------------------------------------


def test_nothing_is_left_of_what_is_forgotten(run: Path) -> None:
    before = load(run, last=True)
    gone = [int(before.ids[2]), int(before.ids[7])]
    names = [f"{i:03d}" for i in gone]
    after = grow(run, None, ",".join(map(str, gone)))
    left = table(run)["ids"] % COPY
    assert not torch.isin(left, torch.tensor(gone)).any()
    kept = torch.isin(before.ids, after.ids)
    assert kept.sum() == len(before.ids) - 4 and torch.equal(before.states[kept], after.states)
    assert not set(names) & set(after.names) and len(after.signals) == 60
    for path in (run / "checkpoints").rglob("*"):
        assert path.is_dir() or f'"{names[0]}"'.encode() not in path.read_bytes(), path
    (event,) = [row for row in metrics.events(run / "metrics.jsonl") if row["event"] == "forgotten"]
    assert event["ids"] == sorted(gone) and event["count"] == 2
    assert after.evaluate()["n"] == 58 and len(after.reconstruct()) == 58


def test_kept_latents_answer_for_the_examples_that_are_left(run: Path) -> None:
    before = load(run, last=True)
    gone = int(before.ids[3])
    whole, after = before.reconstruct(), grow(run, None, str(gone))
    left = np.delete(np.arange(60), gone)
    trained = np.isin(left, after.ids.numpy())
    assert np.array_equal(after.reconstruct()[trained], whole[left][trained])


def test_a_file_may_go_once_it_is_forgotten(run: Path) -> None:
    told = grow(run, run.with_name("more"), "5,65")
    for name in ("first/005.png", "more/065.png"):
        (run.parent / name).unlink()
    after = load(run, last=True)
    assert after.signals.fingerprint == told.signals.fingerprint and after.evaluate()["n"] == 78
    fit(run, Layers(None, ["train.iterations=9"]))
    (run.parent / "first/006.png").unlink()
    with pytest.raises(UserError, match="holds 58 examples, but a run learned from 60"):
        _ = load(run).signals


def test_held_out_examples_can_be_forgotten(run: Path) -> None:
    held = load(run).split.heldout
    assert held is not None
    name = held.names[0]
    after = grow(run, None, str(int(name))).split.heldout
    assert after is not None and set(held.names) - set(after.names) == {name}
    with pytest.raises(UserError, match=f"{int(name)}: there is no example of this id"):
        load(run).interpolate([int(name)] * 4)
    assert len(load(run).interpolate([int(name) for name in after.names[:2]] * 2, 2)) == 4


# In Python ------------------------------------------------------------------------------------


def test_arrays_are_added_and_forgotten_from_python() -> None:
    import abprop

    sets = {"train.iterations": 4, "run.precision": "float32", "model.channels": 8}
    first = abprop.fit(blobs(60), latent=2, sets=sets, verbose=False)
    second = first.add(blobs(10, seed=1), verbose=False)
    third = second.forget([0, 1, 62], iterations=6, verbose=False)
    assert third.evaluate()["n"] == 67 and third.recipe.train.iterations == 6
    assert len(third.add(blobs(5, seed=2), verbose=False).reconstruct()) == 72


# What a user can get wrong --------------------------------------------------------------------


def test_the_command(run: Path, abprop: Command) -> None:
    done = abprop("fit", run, "--add", run.with_name("more"), "--forget", "0,1", "--stop-at", "8")
    assert done.code == 0, done.err
    assert "burning in 32 new chains" in done.err
    assert "note: iteration 8: 20 examples added" in done.err and "cannot unlearn" in done.err
    done = abprop("fit", run, *keys("train.iterations=10"))
    assert done.code == 0 and load(run, last=True).step == 10


def test_every_source_may_have_moved(run: Path, abprop: Command) -> None:
    first, more = run.with_name("first"), run.with_name("more")
    grow(run, more)
    away = [source.rename(source.with_name(f"moved-{source.name}")) for source in (first, more)]
    said = [word for source in away for word in ("--data", source)]
    assert abprop("evaluate", run, *said, "--json").code == 0
    assert "more" in abprop("evaluate", run, *said[:2], "--json").complaint
    complaint = abprop("evaluate", run, *said, *said, "--json").complaint
    assert "4 are given, and the run has 2 sources" in complaint


def test_how_to_go_on_says_nothing_twice(run: Path, abprop: Command) -> None:
    more = run.with_name("more")
    done = abprop("fit", run, "--add", more, "--stop-at=9", *keys("train.iterations=12"))
    line = next(line for line in done.err.splitlines() if "resume with" in line)
    assert line.endswith(f"abprop fit {run} --set train.iterations=12"), line


WRONG = {
    "nowhere": (["--add", "nowhere"], "no such|does not exist|No such"),
    "other shape": (["--add", "wide.npy"], "this run learned 1x8x8"),
    "other units": (["--add", "units.npy"], "values from"),
    "no such id": (["--forget", "60"], "--forget 60: .*0 to 59"),
    "no ids": (["--forget", "two"], "must be a range or a list"),
    "all of them": (["--forget", "0:60"], "nothing is left"),
    "twice": (["--forget", "3,3"], "chooses an example twice"),
    "no masks": (["--add", "more", "--masks", "nowhere"], "nowhere"),
    "another latent": (["--add", "more", "--set", "model.latent=3"], "model.latent was 2"),
    "by hand": (["--set", "growth.sizes=[50,10]"], "--add NEW_DATA"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    name: str, run: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    np.save("wide.npy", blobs(20, side=12))
    np.save("units.npy", 1e4 * blobs(20).astype(np.float32))
    before = {
        p: p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file() and p.name != ".lock"
    }
    words, told = WRONG[name]
    complaint = abprop("fit", "run", *words).complaint
    assert re.search(told, complaint), complaint
    assert all(path.read_bytes() == content for path, content in before.items())


def test_only_a_run_of_many_examples_can_grow(tmp_path: Path, abprop: Command) -> None:
    np.save(tmp_path / "waves.npy", waves())
    run = learned(tmp_path / "run", tmp_path / "waves.npy", (*TEXTURE, "data.kind=texture"))
    assert "parts of it" in abprop("fit", run, "--add", tmp_path / "waves.npy").complaint
    assert "no run directory" in abprop("fit", tmp_path, "--forget", "3").complaint
    assert (
        "growth.*"
        in abprop(
            "fit", tmp_path / "waves.npy", "--run", tmp_path / "new", *keys("growth.forgotten=3")
        ).complaint
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(run / "recipe.toml", empty / "recipe.toml")
    assert "no checkpoint yet" in abprop("fit", empty, "--forget", "3").complaint


@pytest.mark.parametrize("key", ['masks = [""]', "sizes = [60, 20]"])
def test_a_recipe_that_was_edited_there_is_refused(key: str, run: Path, abprop: Command) -> None:
    """Also where the checkpoint says the same."""
    grow(run, run.with_name("more"))
    manifest = next((run / "checkpoints").glob("*/manifest.json"))
    told = json.loads(manifest.read_bytes())
    name = key.partition(" ")[0]
    told["meta"]["recipe"]["growth"][name] = []
    manifest.write_bytes(sealed(told))
    assert "growth.*" in abprop("evaluate", run).complaint
    assert "growth.*" in abprop("fit", run).complaint

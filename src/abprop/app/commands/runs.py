"""The commands on a run or on data. Heavy imports wait inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from abprop.app.commands.options import (
    Against,
    Chains,
    Course,
    Data,
    Device,
    Examples,
    Hide,
    Json,
    Likelihood,
    Masks,
    Measure,
    Out,
    Processes,
    RunDir,
    Sets,
    Simulated,
    Source,
    Temperatures,
    opened,
    placed,
    print_json,
    say,
    share_out,
    speaks,
)
from abprop.errors import UserError
from abprop.say import counted, shown


def sample(
    run: RunDir,
    n: Annotated[int | None, typer.Option("-n", help="how many; 64, or 1 for a map")] = None,
    size: Annotated[str | None, typer.Option(help="WxH, for a model of a texture")] = None,
    seed: Annotated[int, typer.Option(help="another seed, other samples")] = 0,
    tile: Annotated[bool, typer.Option("--tile", help="a texture whose edges fit")] = False,
    seconds: Annotated[float | None, typer.Option(help="length of a sound; 10")] = None,
    frames: Annotated[int | None, typer.Option(help="length of a video; 120")] = None,
    out: Out = None,
    device: Device = None,
) -> None:
    """New signals from the learned prior."""
    from abprop.app.api import load

    fitted = load(run, device=device, say=say)
    suffix = fitted.streamed(seconds, frames)
    if suffix and n in (None, 1) and size is None and not tile:  # as it is made
        path = out or fitted.folder / "samples" / f"sample-{seed}{suffix}"
        path = path if path.suffix else path / f"sample-{seed}{suffix}"
        what = "sound" if fitted.rate else "video"
        say(f"1 {what}: {fitted.record(path, seconds, frames=frames, seed=seed)}")
        return
    x = fitted.sample(n, size=_size(size), seed=seed, tile=tile, seconds=seconds, frames=frames)
    _write(fitted, x, out or _sheet(fitted, f"sample-{seed}"), None)


def _size(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    from abprop.grammar import parse_size

    try:
        width, height = parse_size(text)
    except UserError as error:
        raise UserError(f"--size {error}") from None
    return height, width


def reconstruct(
    run: RunDir,
    source: Source = None,
    out: Out = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
    processes: Processes = 1,
) -> None:
    """The nearest signals the generator can make."""
    share_out(processes)
    fitted = opened(run, data, device)
    with fitted.group.agreed():
        signals = fitted.given(source, set_ or ())
    x = fitted.reconstruct(signals)
    _write(fitted, x, out or fitted.folder / "samples" / "reconstructed", list(signals.names))


def interpolate(
    run: RunDir,
    ids: Annotated[str | None, typer.Option(help="four examples, e.g. 3,17,42,99")] = None,
    side: Annotated[int, typer.Option(min=2, max=64, help="signals along an edge")] = 8,
    out: Out = None,
    device: Device = None,
) -> None:
    """A sheet between four examples; over the plane of latents when there are two."""
    from abprop.app.api import load

    fitted = load(run, device=device, say=say)
    if fitted.plane and ids is None:
        x = fitted.latent_grid(max(side, 9))
    else:
        x = fitted.interpolate(ids, side)
    _write(fitted, x, out or _sheet(fitted, "interpolation"), None)


def embed(
    run: RunDir,
    source: Source = None,
    out: Out = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
    processes: Processes = 1,
) -> None:
    """Latents as .csv or .npz, one row for each example, with its name."""
    share_out(processes)
    from abprop.files.tables import save_latents

    fitted = opened(run, data, device)
    with fitted.group.agreed():
        given = None if source is None else fitted.given(source, set_ or ())
    z = fitted.embed(given)
    if not speaks():
        return
    names = fitted.names if given is None else given.names
    path = out or fitted.folder / "samples" / "z.csv"
    save_latents(path, names, z)
    say(f"{counted(len(z), 'latent', 'latents')}: {path}")


def recover(
    run: RunDir,
    source: Source = None,
    masks: Masks = None,
    hide: Hide = None,
    measure: Measure = None,
    operator: Annotated[
        str | None, typer.Option(help="SOURCE holds y = A x: of a matrix (.npy), or of a rule")
    ] = None,
    draws: Annotated[int, typer.Option(min=2, max=1024, help="posterior draws of each")] = 16,
    out: Out = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
    processes: Processes = 1,
) -> None:
    """Fill in what is hidden of SOURCE, or of the training data, and say how sure that is.

    Or whole signals of which measurements are known alone: --measure, --operator.
    """
    share_out(processes)
    fitted = opened(run, data, device)
    with fitted.group.agreed():
        signals, sensor = fitted.asked(source, set_ or (), masks, hide, measure, operator)
    answer = fitted.recovered(signals, draws=draws, sensor=sensor, progress=say)
    if not speaks():
        return
    from abprop.report.recovered import write_answer

    say(
        write_answer(
            fitted, signals, answer, out or fitted.folder / "samples" / "recovered", sensor
        )
    )


def evaluate(
    run: RunDir,
    source: Source = None,
    masks: Masks = None,
    hide: Hide = None,
    measure: Measure = None,
    draws: Annotated[int, typer.Option(min=2, max=1024, help="posterior draws of each")] = 16,
    against: Against = None,
    likelihood: Likelihood = False,
    temperatures: Temperatures = None,
    chains: Chains = None,
    examples: Examples = None,
    course: Course = None,
    simulated: Simulated = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
    processes: Processes = 1,
    as_json: Json = False,
) -> None:
    """Errors on SOURCE or the training data, of what is hidden if something is; and baselines'.

    With --likelihood also log p(y): of held-out examples where the run's own data are meant.
    """
    how = _annealing(
        likelihood, temperatures=temperatures, chains=chains, examples=examples, course=course,
        simulated=simulated,
    )  # fmt: skip
    share_out(processes)
    fitted = opened(run, data, device)
    with fitted.group.agreed():
        signals = fitted.given(source, set_ or (), masks=masks, hide=hide)
    asked = {"against": against or (), "draws": draws, "measure": measure, "likelihood": how}
    result = fitted.evaluate(signals, **asked, progress=say)
    if as_json:
        print_json(result)
    elif speaks():
        from abprop.app.screen import show_errors, show_likelihood

        show_errors(result)
        if how is not False:
            show_likelihood(result["likelihood"])


def _annealing(likelihood: bool, **given: Any) -> dict[str, Any] | bool:
    """What --likelihood is to do, or False."""
    asked = {name: value for name, value in given.items() if value is not None}
    if asked and not likelihood:
        raise UserError(f"--{next(iter(asked))} is of --likelihood; give that too, or leave it out")
    return asked if likelihood else False


def info(
    what: Annotated[str, typer.Argument(metavar="RUN|SOURCE", help="a run directory, or data")],
    as_json: Json = False,
) -> None:
    """What a run directory or a source of data holds."""
    from abprop.hub import local

    folder = local(what)
    if (folder / "recipe.toml").exists():
        from abprop.app.api import load

        facts = load(folder, last=True, say=say).info()
    else:
        from abprop.sources import read

        signals = read(what)
        facts = {
            "kind": signals.kind,
            "examples": len(signals),
            "shape": list(signals.shape),
            "dtype": str(signals.scale.dtype),
            "hidden": 0.0 if signals.hidden is None else float(signals.hidden.mean()),
            "fingerprint": signals.fingerprint,
        }
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            print(shown(f"{key:16} {value}"))


def report(run: RunDir, data: Data = None) -> None:
    """Write RUN/report.html again, as fit does at its end."""
    from abprop.hub import local
    from abprop.report.pages import write_report

    say("writing the report")
    say(f"report: {write_report(local(run), placed(data), say=say)}")


def _write(fitted: Any, x: Any, path: Path, names: list[str] | None) -> None:
    if speaks():
        say(fitted.write(x, path, names))


def _sheet(fitted: Any, stem: str) -> Path:
    return fitted.folder / "samples" / f"{stem}{fitted.suffix}"

"""The command line. Imports nothing heavy until a command runs, so that --help is instant."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from abprop.errors import UserError

EXIT_BUG, EXIT_USER, EXIT_STOPPED = 1, 2, 3
CTRL_C = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(
    name="abprop",
    help="Learn a generator of images, textures and tables by inferring its latent factors.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Source = Annotated[str | None, typer.Argument(help="folder, zip or file; default: the run's data")]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="a run directory")]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="one file, or a folder")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="recipe key")]
Data = Annotated[str | None, typer.Option(help="where the run's data are now")]
Device = Annotated[
    str | None, typer.Option(help="auto, cuda, mps or cpu; if not given, what it was learned on")
]
Masks = Annotated[
    str | None, typer.Option(help="what is hidden (white, True): a folder, file or file.npz:key")
]
Hide = Annotated[str | None, typer.Option(metavar="RULE", help="hide by a rule: P.5, M20, ...")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]


def say(line: str) -> None:
    """Tell the user something; stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def _version(asked: bool) -> None:
    if asked:
        from abprop.version import version

        print(f"abprop {version()}")
        raise typer.Exit


@app.callback()
def _(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None: ...


@app.command()
def fit(
    source: Annotated[str, typer.Argument(help="a folder, zip or file to learn from")],
    run: Annotated[Path | None, typer.Option(help="run directory; resumes one that exists")] = None,
    preset: Annotated[str | None, typer.Option(help="a preset's name or TOML file")] = None,
    set_: Sets = None,
    masks: Masks = None,
    hide: Hide = None,
    measure: Annotated[
        str | None, typer.Option(metavar="RULE", help="learn from measurements: projection:1000")
    ] = None,
    operator: Annotated[
        str | None, typer.Option(help="SOURCE holds y = A x of this matrix (.npy); see data.shape")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="planned time: 10m, 1h")] = None,
    stop_at: Annotated[
        int | None, typer.Option(min=1, help="save, leave at this iteration")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="curves in RUN/tensorboard too")
    ] = False,
    as_json: Json = False,
) -> None:
    """Learn from SOURCE. Fitting again into the same --run resumes it."""
    from abprop.app.progress import Bar, TensorBoard
    from abprop.learning import Clock
    from abprop.run import Layers
    from abprop.run import fit as learn

    clock = Clock()
    folder = run or _default_run(source)
    flags = {
        "data.source": source,
        "data.masks": masks,
        "data.hide": hide,
        "data.measure": measure,
        "data.operator": operator,
        "train.budget": budget,
        "run.device": device,
        "run.precision": precision,
    }
    asked = Layers(preset, set_ or (), {k: v for k, v in flags.items() if v is not None})
    with Bar() as bar:
        shown = TensorBoard(bar, folder / "tensorboard") if tensorboard else bar
        session = learn(folder, asked, stop_at=stop_at, progress=shown, clock=clock)
    learning = session.learning
    early = learning.t < learning.total
    if early:
        say(f"saved at iteration {learning.t} of {learning.total}; resume with: {_again(folder)}")
    if early and session.interrupted:
        raise typer.Exit(EXIT_STOPPED)
    _report(folder)
    if as_json:
        from abprop.run import load

        _print(load(folder, last=True).info())


def _default_run(source: str) -> Path:
    name = Path(source.partition(":")[0] if ".npz:" in source else source).stem or "run"
    return Path("runs") / name


def _again(folder: Path) -> str:
    import shlex

    words = sys.argv[1:]
    if "--run" not in words and not any(w.startswith("--run=") for w in words):
        words = [*words, "--run", str(folder)]
    kept = [w for i, w in enumerate(words) if not _stops(words, i)]
    return shlex.join(["abprop", *kept])


def _stops(words: list[str], i: int) -> bool:
    return words[i].startswith("--stop-at") or (i > 0 and words[i - 1] == "--stop-at")


def _report(folder: Path) -> None:
    from abprop.report.pages import write_report

    say(f"report: {write_report(folder)}")


@app.command()
def sample(
    run: RunDir,
    n: Annotated[int | None, typer.Option("-n", help="how many; 64, or 1 for a map")] = None,
    size: Annotated[str | None, typer.Option(help="WxH, for a model of a texture")] = None,
    seed: Annotated[int, typer.Option(help="another seed, other samples")] = 0,
    out: Out = None,
    device: Device = None,
) -> None:
    """New signals from the learned prior."""
    from abprop.run import load

    fitted = load(run, device=device, say=say)
    x = fitted.sample(n, size=_size(size), seed=seed)
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


@app.command()
def reconstruct(
    run: RunDir,
    source: Source = None,
    out: Out = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
) -> None:
    """The nearest signals the generator can make."""
    from abprop.run import load

    fitted = load(run, data=data, device=device, say=say)
    signals = fitted.given(source, set_ or ())
    x = fitted.reconstruct(signals)
    _write(fitted, x, out or run / "samples" / "reconstructed", list(signals.names))


@app.command()
def interpolate(
    run: RunDir,
    ids: Annotated[str | None, typer.Option(help="four training ids, e.g. 3,17,42,99")] = None,
    side: Annotated[int, typer.Option(min=2, max=64, help="signals along an edge")] = 8,
    out: Out = None,
    device: Device = None,
) -> None:
    """A sheet between four examples; over the plane of latents when there are two."""
    from abprop.run import load

    fitted = load(run, device=device, say=say)
    if fitted.plane and ids is None:
        x = fitted.latent_grid(max(side, 9))
    else:
        x = fitted.interpolate(_ids(ids), side)
    _write(fitted, x, out or _sheet(fitted, "interpolation"), None)


def _ids(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--ids {text}: must be numbers between commas, e.g. 3,17,42,99") from None


@app.command()
def embed(
    run: RunDir,
    source: Source = None,
    out: Out = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
) -> None:
    """Latents as .csv or .npz, one row for each example, with its name."""
    from abprop.files.tables import save_latents
    from abprop.run import load

    fitted = load(run, data=data, device=device, say=say)
    given = None if source is None else fitted.given(source, set_ or ())
    z = fitted.embed(given)
    names = fitted.names if given is None else given.names
    path = out or run / "samples" / "z.csv"
    save_latents(path, names, z)
    say(f"{len(z)} latents: {path}")


@app.command()
def recover(
    run: RunDir,
    source: Source = None,
    masks: Masks = None,
    hide: Hide = None,
    draws: Annotated[int, typer.Option(min=2, max=1024, help="posterior draws of each")] = 16,
    out: Out = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
) -> None:
    """Fill in what is hidden of SOURCE, or of the training data, and say how sure that is."""
    from abprop.run import load

    fitted = load(run, data=data, device=device, say=say)
    signals = fitted.given(source, set_ or (), masks=masks, hide=hide)
    answer = fitted.recovered(signals, draws=draws, progress=say)
    from abprop.report.recovered import write_answer

    say(write_answer(fitted, signals, answer, out or run / "samples" / "recovered"))


@app.command()
def evaluate(
    run: RunDir,
    source: Source = None,
    masks: Masks = None,
    hide: Hide = None,
    draws: Annotated[int, typer.Option(min=2, max=1024, help="posterior draws of each")] = 16,
    against: Annotated[str | None, typer.Option(help="baselines: mean,pca,biharmonic")] = None,
    set_: Sets = None,
    data: Data = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Errors on SOURCE or the training data, of what is hidden if something is; and baselines'."""
    from abprop.run import load

    names = [name for name in (against or "").split(",") if name]
    fitted = load(run, data=data, device=device, say=say)
    signals = fitted.given(source, set_ or (), masks=masks, hide=hide)
    result = fitted.evaluate(signals, against=names, draws=draws, progress=say)
    if as_json:
        _print(result)
    else:
        from abprop.app.screen import show_errors

        show_errors(result)


@app.command()
def info(
    what: Annotated[str, typer.Argument(metavar="RUN|SOURCE", help="a run directory, or data")],
    as_json: Json = False,
) -> None:
    """What a run directory or a source of data holds."""
    if (Path(what) / "recipe.toml").exists():
        from abprop.run import load

        facts = load(what, last=True, say=say).info()
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
        _print(facts)
    else:
        for key, value in facts.items():
            print(f"{key:16} {value}")


@app.command()
def demo(
    run: Annotated[Path, typer.Option(help="where the runs go")] = Path("runs/demo"),
) -> None:
    """Learn digits and a texture in a few minutes; ends with a report to look at."""
    from abprop.app.demo import demo as show

    show(run, say)


@app.command()
def bench(
    as_json: Json = False,
    runs: Annotated[int, typer.Option(min=1, help="interleaved runs; medians are told")] = 5,
) -> None:
    """How fast this machine learns, against the textbook way on the same network."""
    from abprop.app.bench import bench as measure
    from abprop.app.screen import show_facts

    result = measure(runs, say)
    if as_json:
        _print(result)
    else:
        show_facts(result)


@app.command()
def verify(
    as_json: Json = False,
    seeds: Annotated[int, typer.Option(min=1, help="how many, from 0")] = 5,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="a picture of the calibration")
    ] = None,
) -> None:
    """Whether chains sample what they say, on this machine, against known answers; minutes."""
    from abprop.app.screen import show_verified
    from abprop.machine import cores
    from abprop.report.calibration import check_picture, draw_ranks
    from abprop.verify import summary
    from abprop.verify import verify as check

    if out is not None:
        check_picture(out)
    result = summary(check(range(seeds), processes=cores(), say=say))
    if as_json:
        _print(result)
    else:
        show_verified(result)
    if out is not None:
        draw_ranks(out, seeds)
        say(f"calibration: {out}")
    if not result["passed"]:
        raise typer.Exit(1)


def _write(fitted: Any, x: Any, path: Path, names: list[str] | None) -> None:
    say(fitted.write(x, path, names))


def _sheet(fitted: Any, stem: str) -> Path:
    return fitted.folder / "samples" / f"{stem}{fitted.suffix}"


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value))


def main() -> None:
    """Run the command line; every error a user can mend is one line and exit code 2."""
    # SIGTERM ends a command as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(_guarded(app))
    finally:
        signal.signal(signal.SIGTERM, before)


# Of typer's own or click's exceptions, whichever it is built on.
_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
_CLICK_ERROR: Any = _USAGE_ERROR.__bases__[0]


def _guarded(run: Callable[..., Any]) -> int:
    try:
        code = run(sys.argv[1:] or ["--help"], standalone_mode=False)
        if code == CTRL_C:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except UserError as error:
        say(f"abprop: {' '.join(str(error).split())}")
    except _USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "abprop"
        say(f"abprop: {error.format_message()} (see {command} --help)")
    except _CLICK_ERROR as error:
        say(f"abprop: {error.format_message()}")
    except (KeyboardInterrupt, typer.Abort):
        say("abprop: stopped; what was saved is in the run directory")
        return EXIT_STOPPED
    except MemoryError:
        say("abprop: out of memory; use fewer examples (data.limit), a smaller data.size or chunk")
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        say(f"abprop: {where}{error.strerror}")
    return EXIT_USER


if __name__ == "__main__":
    main()

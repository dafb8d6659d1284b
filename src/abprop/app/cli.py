"""The command line. Imports nothing heavy until a command runs, so that --help is instant."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from abprop.app import commands
from abprop.app.commands.options import (
    Hide,
    Json,
    Masks,
    Processes,
    Sets,
    print_json,
    say,
    share_out,
    tell,
)
from abprop.errors import UserError

EXIT_BUG, EXIT_USER, EXIT_STOPPED = 1, 2, 3
CTRL_C = 130  # what typer makes of a KeyboardInterrupt

app = typer.Typer(
    name="abprop",
    help="Learn a generator of images, sounds, videos and tables by inferring its latent factors.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Measure = Annotated[
    str | None, typer.Option(metavar="RULE", help="learn from measurements: projection:1000")
]
Through = Annotated[
    str | None, typer.Option(help="SOURCE holds y = A x of this matrix (.npy); see data.shape")
]
Data = Annotated[
    str, typer.Argument(help="a folder, zip or file to learn from; or a run, to go on")
]
Add = Annotated[
    str | None, typer.Option(metavar="NEW_DATA", help="SOURCE is a run: learn from these as well")
]
Forget = Annotated[
    str | None, typer.Option(metavar="IDS", help="SOURCE is a run: take these examples out, 3,17")
]
StopAt = Annotated[int | None, typer.Option(min=1, help="save, leave at this iteration")]
Curves = Annotated[bool, typer.Option("--tensorboard", help="curves in RUN/tensorboard too")]


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


@app.command(
    epilog="Example: abprop fit photographs/ --run runs/mine --budget 15m --set model.latent=50"
)
def fit(
    source: Data,
    run: Annotated[Path | None, typer.Option(help="run directory; resumes one that exists")] = None,
    preset: Annotated[str | None, typer.Option(help="a preset's name or TOML file")] = None,
    set_: Sets = None,
    masks: Masks = None,
    hide: Hide = None,
    measure: Measure = None,
    operator: Through = None,
    add: Add = None,
    forget: Forget = None,
    budget: Annotated[str | None, typer.Option(help="planned time: 10m, 1h")] = None,
    stop_at: StopAt = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32 or bfloat16")] = None,
    processes: Processes = 1,
    tensorboard: Curves = False,
    as_json: Json = False,
) -> None:
    """Learn from SOURCE. Fitting again into the same --run resumes it."""
    share_out(processes)
    from abprop.app.progress import TensorBoard, on_screen
    from abprop.run import fit as learn

    grows = add is not None or forget is not None
    folder, data = (run, source) if run else _meant(source, grows)
    flags = {
        "data.source": data,
        "data.masks": None if add else masks,
        "data.hide": hide,
        "data.measure": measure,
        "data.operator": operator,
        "train.budget": budget,
        "run.device": device,
        "run.precision": precision,
    }
    asked = _layers(preset, set_, flags, (add, masks if add else None, forget) if grows else None)
    with on_screen() as screen:
        shown = TensorBoard(screen, folder / "tensorboard") if tensorboard else screen
        session = learn(folder, asked, stop_at=stop_at, progress=shown)
    _ended(folder, session, as_json)


def _layers(
    preset: str | None,
    sets: list[str] | None,
    flags: dict[str, str | None],
    growth: tuple[str | None, ...] | None,
) -> Any:
    from abprop.run import Growth, Layers

    given = {key: value for key, value in flags.items() if value is not None}
    return Layers(preset, sets or (), given, growth=None if growth is None else Growth(*growth))


def _ended(folder: Path, session: Any, as_json: bool) -> None:
    """How to go on, or the report; the first of several processes speaks for all."""
    learning = session.learning
    early, first = learning.t < learning.total, learning.shards.group.first
    if early and first:
        say(f"saved at iteration {learning.t} of {learning.total}; resume with: {_again(folder)}")
    if early and session.interrupted:
        raise typer.Exit(EXIT_STOPPED)
    if not first:
        return
    _report(folder, session.signals)
    if as_json:
        from abprop.run import load

        print_json(load(folder, last=True).info())


def _meant(source: str, grows: bool) -> tuple[Path, str | None]:
    """The run directory, and the data if a run does not say where they are.

    Raises:
        UserError: only a run can grow, and this is none.
    """
    if (Path(source) / "recipe.toml").is_file():
        return Path(source), None
    if grows:
        raise UserError(f"{source} is no run directory; --add and --forget change the data of one")
    return _default_run(source), source


def _default_run(source: str) -> Path:
    name = Path(source.partition(":")[0] if ".npz:" in source else source).stem or "run"
    return Path("runs") / name


def _again(folder: Path) -> str:
    import shlex

    words = sys.argv[1:]
    once = ["--stop-at", "--add", "--forget"]
    if any(_is(once[1:], word) for word in words):
        once.append("--masks")  # of what was added
    kept = [w for i, w in enumerate(words) if not (_is(once, w) or words[max(0, i - 1)] in once)]
    if not any(_is(["--run"], w) for w in words) and str(folder) not in words:
        kept += ["--run", str(folder)]
    return shlex.join(["abprop", *kept])


def _is(options: list[str], word: str) -> bool:
    """Whether a word is one of some options, or one with its value."""
    return word.partition("=")[0] in options


def _report(folder: Path, data: object) -> None:
    from abprop.report.pages import write_report

    say("writing the report")
    say(f"report: {write_report(folder, data, say=say)}")


# An example of each; under its help.
COMMANDS: dict[Callable[..., None], str] = {
    commands.sample: "sample runs/mine -n 64 -o samples.png",
    commands.reconstruct: "reconstruct runs/mine others/ -o rebuilt/",
    commands.interpolate: "interpolate runs/mine --ids 3,17,42,99 -o between.png",
    commands.embed: "embed runs/mine others/ -o z.csv",
    commands.recover: "recover runs/mine holes/ --masks holes-masks/ -o filled/",
    commands.evaluate: "evaluate runs/mine others/ --against mean,pca --json",
    commands.compare: "compare runs/d20 runs/d60 runs/d100 --on others/ -o compare.html",
    commands.info: "info runs/mine",
    commands.report: "report runs/mine",
    commands.export: "export runs/mine -o model.onnx",
    commands.explore: "explore runs/mine",
    commands.push: "push runs/mine hf://me/mine",
    commands.keys: "keys train.",
    commands.demo: "demo --run runs/demo",
    commands.bench: "bench --json",
    commands.verify: "verify --seeds 2 -o ranks.png",
}
for _command, _example in COMMANDS.items():
    app.command(epilog=f"Example: abprop {_example}")(_command)


def main() -> None:
    """Run the command line; every error a user can mend is one line and exit code 2."""
    before = signal.signal(signal.SIGTERM, _stop)  # it ends a command as Ctrl-C does
    ctrl_c = signal.getsignal(signal.SIGINT)
    stops = ctrl_c is signal.default_int_handler  # not where it is ignored
    if stops:
        signal.signal(signal.SIGINT, _stop)
    try:
        code = _guarded(app)
        if "WORLD_SIZE" in os.environ:  # others that still end are told to: it is ending
            signal.signal(signal.SIGTERM, before := signal.SIG_IGN)
            from abprop.distributed import leave

            leave()
            _gone(code)
        sys.exit(code)
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)  # None, where C set it
        if stops:
            signal.signal(signal.SIGINT, ctrl_c)


class _Stopped(KeyboardInterrupt):
    """A KeyboardInterrupt by another name: where that very class leaves code that was given as text
    (dataclasses are made by it), CPython ends `python -m` as killed, whatever was caught later."""


def _stop(number: int, frame: object) -> None:
    raise _Stopped


def _gone(code: int) -> None:
    """End at once: torch's threads that still wait for others now and then abort a process that
    takes itself apart, and then those that still write are told to stop."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


# Of typer's own or click's exceptions, whichever it is built on.
_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
_CLICK_ERROR: Any = _USAGE_ERROR.__bases__[0]


def _guarded(run: Callable[..., Any]) -> int:
    try:
        # Named: the completion script of "python -m abprop" would be one that no shell can run.
        code = run(sys.argv[1:] or ["--help"], standalone_mode=False, prog_name="abprop")
        if code == CTRL_C:
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except UserError as error:
        if not error.told:
            tell(f"abprop: {error}")
        return error.code
    except _USAGE_ERROR as error:
        command = error.ctx.command_path if error.ctx else "abprop"
        say(f"abprop: {error.format_message()} (see {command} --help)")
    except _CLICK_ERROR as error:
        say(f"abprop: {error.format_message()}")
    except (KeyboardInterrupt, typer.Abort):
        say("abprop: stopped; a run goes on from its last checkpoint, if there is one")
        return EXIT_STOPPED
    except (MemoryError, RuntimeError) as error:
        from abprop.machine import out_of_memory

        if not out_of_memory(error):
            raise
        say("abprop: out of memory; use fewer examples (data.limit), a smaller data.size or chunk")
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        say(f"abprop: {where}{error.strerror}")
    return EXIT_USER


if __name__ == "__main__":
    main()

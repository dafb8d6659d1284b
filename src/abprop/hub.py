"""Runs on the Hugging Face Hub: pushed with a card that says what they are, loaded by name.

    hf://NAMESPACE/NAME[@REVISION]

What is pushed is what `load` needs and a card: the recipe, the metrics and the best checkpoint
(safetensors, each file's SHA-256 in its manifest). Neither the data go with it nor the report,
which shows them; the latents, names and recipe of what was learned from do.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from abprop.checkpoint import path_of, step_name, write_text
from abprop.checkpoint.manifest import FILE, MANIFEST
from abprop.errors import UserError
from abprop.evaluate import psnr
from abprop.files.limits import reason
from abprop.run import Run
from abprop.run.recipe import dumps
from abprop.say import shown

ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
COMMIT = re.compile(r"[0-9a-f]{7,64}")  # it names a folder here
PARTS = ["recipe.toml", "metrics.jsonl", "checkpoints/*.safetensors", "checkpoints/*.json"]
SAMPLES = "samples"  # the card's picture, where there is one


def local(run: str | Path) -> Path:
    """The folder of a run; of one on the Hub, that of its copy here.

    Raises:
        UserError: see `fetched`.
    """
    return fetched(run) if _is_address(run) else Path(run)


def fetched(name: object) -> Path:
    """The folder of a run on the Hub, a copy beside the cache of huggingface_hub.

    Not in it: what lies there are links, and a checkpoint whose files are links is refused.

    Raises:
        UserError: no such address, or it cannot be had.
    """
    repository, revision = _address(name)
    hub = _hub()
    with _one_line(f"hf://{repository}"):
        commit = hub.HfApi().model_info(repository, revision=revision).sha
        if not COMMIT.fullmatch(str(commit)):
            raise UserError(f"hf://{repository}: the Hub names no commit of it; try again later")
        here = Path(hub.constants.HF_HOME) / "abprop" / repository.replace("/", "--") / commit
        wanted = {"revision": commit, "local_dir": here, "allow_patterns": PARTS}
        return Path(hub.snapshot_download(repository, **wanted))


def push(run: Run, name: str, *, private: bool = False) -> str:
    """Upload a run, its repository made where there is none.

    Args:
        run: what to upload, its best checkpoint.
        name: hf://NAMESPACE/NAME, or without hf://.
        private: make a new repository a private one.

    Returns:
        Where it is.

    Raises:
        UserError: a bad name, no right to write there, or no connection.
    """
    repository, revision = _address(name if _is_address(name) else f"hf://{name}")
    hub = _hub()
    with tempfile.TemporaryDirectory() as folder, _one_line(f"hf://{repository}"):
        _gathered(run, Path(folder), repository)
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, revision=revision,
            commit_message=f"abprop run at iteration {run.step}",
        )  # fmt: skip
    return f"hf://{repository}" + (f"@{revision}" if revision else "")


def _is_address(name: object) -> bool:
    return str(name).startswith("hf:/")  # a path made of it has lost a slash


def _address(name: object) -> tuple[str, str | None]:
    found = ADDRESS.fullmatch(str(name))
    if found is None:
        raise UserError(f"{name}: a run on the Hub is hf://NAMESPACE/NAME, or .../NAME@REVISION")
    return found[1], found[2]


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError("the Hub needs huggingface_hub; pip install abprop[hub]") from error
    return huggingface_hub


@contextmanager
def _one_line(where: str) -> Iterator[None]:
    """What the Hub refuses, in its own words; what the connection does, too."""
    from huggingface_hub import errors

    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of whichever HTTP library it is built on
        known = isinstance(error, errors.HTTPError | errors.HFValidationError | OSError)
        if not (known or type(error).__module__.startswith("httpx")):
            raise
        raise UserError(f"{where}: {reason(error)}") from error


def _gathered(run: Run, folder: Path, repository: str) -> None:
    """What is uploaded, in a folder."""
    step = Path("checkpoints") / step_name(run.step)
    (folder / step).mkdir(parents=True)
    saved = path_of(run.folder / "checkpoints", run.step)
    copied = {Path(name): run.folder / name for name in ("recipe.toml", "metrics.jsonl")}
    copied |= {step / path.name: path for path in saved.iterdir() if _is_part(path.name)}
    for name, path in copied.items():
        if path.is_symlink():  # to anything that its maker wants to be public
            raise UserError(f"{path} is a symbolic link; put the file in its place")
        shutil.copyfile(path, folder / name)
    pictured = run.suffix == ".png" and not run.kind.moves
    if pictured:
        run.write(run.sample(), folder / f"{SAMPLES}.png")
    write_text(folder / "README.md", card(run, repository, pictured))


def _is_part(name: str) -> bool:
    return name == MANIFEST or FILE.fullmatch(name) is not None


def _quoted(value: object) -> str:
    """Text of a recipe as code in a table."""
    return "`" + shown(str(value)).replace("`", "'").replace("|", r"\|") + "`"


def card(run: Run, repository: str, pictured: bool = False) -> str:
    """The model card: YAML that the Hub reads, then words.

    Args:
        run: what it tells of.
        repository: NAMESPACE/NAME.
        pictured: whether samples.png lies beside it.
    """
    facts, scores, data = run.info(), run.meta["scores"], run.recipe.data
    size, latent = ("x".join(map(str, n)) for n in (run.shape, facts["latent"]))
    told = [
        ("learned from", f"{run.kind.counted(len(run.names))} of {size}"),
        ("fingerprint of the data", _quoted(data.fingerprint)),
        ("latent", latent),
        ("parameters", f"{facts['parameters']:,}"),
        ("iteration", f"{run.step} of {run.recipe.train.iterations}"),
        ("sigma", f"{facts['sigma']:.3f} (signals span [-1, 1])"),
    ]
    if scores:
        told.append(("PSNR of held-out examples", f"{psnr(min(s[1] for s in scores)):.1f} dB"))
    seen = (("hidden", data.hide), ("measured by", data.measure), ("masks", data.masks))
    told += [(key, _quoted(value)) for key, value in seen if value]
    picture = [f"![Samples from the learned prior, not chosen.]({SAMPLES}.png)", ""]
    return "\n".join([
        "---", "library_name: abprop", "tags:", "- abprop", "- alternating-back-propagation",
        f"- {run.kind.name}", "---", "", f"# {repository.rpartition('/')[2]}", "",
        f"A generator x = f(z; W) + noise of {run.kind.many} with Gaussian latent factors, learned "
        "by alternating back-propagation (arXiv 1606.08571).", "",
        *(picture if pictured else []),
        "| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in told), "",
        "## Use", "", "```python", "import abprop", "", f'run = abprop.load("hf://{repository}")',
        "x = run.sample(16)", "```", "",
        "## Limits", "",
        "The data are not here: what needs them (`recover`, `evaluate` without a source) asks for "
        "`data=`. Latents, names and the recipe of the examples learned from are. Samples are as "
        "good as the data and the time that learning had; scores are of this run alone.", "",
        "## Recipe", "", "```toml", dumps(run.recipe).strip(), "```", "",
    ])  # fmt: skip

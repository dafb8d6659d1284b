"""Saving: one folder for each step, the manifest last."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abprop.checkpoint import files
from abprop.checkpoint.files import TEMPORARY
from abprop.checkpoint.keeping import ASIDE, steps
from abprop.checkpoint.manifest import FILE, FORMAT, MANIFEST, sealed, step_name
from abprop.distributed import ALONE, Group
from abprop.errors import UserError

# What safetensors calls a dtype, in the order in which its files hold them.
DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ORDER = {dtype: place for place, dtype in enumerate(DTYPES)}


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    meta: Mapping[str, Any],
    group: Group = ALONE,
) -> Path:
    """Write one checkpoint, whole or not at all; an older one of the same step is replaced.

    Args:
        folder: RUN/checkpoints; made if it is missing.
        step: iterations done, >= 0.
        tensors: groups of named tensors; each group becomes NAME.safetensors.
        meta: anything JSON can hold; keys come back as strings, tuples as lists.
        group: the processes that save together, each its own groups of tensors; the first writes
            the manifest.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: the disk refused (full, read-only, ...). Older checkpoints are untouched.
    """
    target = folder / step_name(step)
    process = int(group.same(os.getpid()))  # the first one's: all write there
    temporary = folder / f"{TEMPORARY}{target.name}-{process}"
    try:
        with group.agreed(), _telling(folder, target.name):
            if group.first:
                folder.mkdir(parents=True, exist_ok=True)
                files.discard(temporary)
                temporary.mkdir()
        with group.agreed(), _telling(folder, target.name):
            written = _write_groups(temporary, tensors)
        told = [json.loads(text) for text in group.texts(json.dumps(written))]
        with group.agreed(), _telling(folder, target.name):
            if group.first:
                files_of_all = {name: entry for one in told for name, entry in one.items()}
                _seal(temporary, step, files_of_all, meta)
                _put(temporary, target)
    finally:
        if group.first:
            files.discard(temporary)
    return target


@contextmanager
def _telling(folder: Path, name: str) -> Iterator[None]:
    """What the disk refuses, said in one line."""
    try:
        yield
    except OSError as error:
        raise _cannot_save(folder, name, error) from error


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors: their names and bytes, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def encoded(group: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, as the library writes it, in pieces.

    The library wants two copies of all tensors in memory, and refuses those that share it.

    Raises:
        KeyError: a tensor of another dtype than `DTYPES` holds.
    """
    names, header, end = sorted(group, key=lambda n: (ORDER[group[n].dtype], n)), {}, 0
    for name in names:
        tensor = group[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        kind, shape = DTYPES[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        tensor = group[name].detach().cpu().contiguous()
        flat = tensor.as_strided((tensor.numel(),), (1,))  # an axis of one may have any stride
        yield flat.view(torch.uint8).numpy().data


def _write_groups(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, dict[str, Any]]:
    """Each group's file, and what the manifest says of it."""
    written = {}
    for name, group in tensors.items():
        file = f"{name}.safetensors"
        if not FILE.fullmatch(file):
            raise ValueError(f"a checkpoint file cannot be called {file!r}")
        size, sha256 = files.write(folder / file, encoded(group))
        written[file] = {"bytes": size, "sha256": sha256}
    return written


def _seal(
    folder: Path, step: int, written: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]
) -> None:
    """The manifest, last."""
    content = {"format": FORMAT, "iteration": step, "meta": dict(meta), "files": dict(written)}
    files.write(folder / MANIFEST, [sealed(content)])
    files.sync_folder(folder)


def _put(temporary: Path, target: Path) -> None:
    """Rename into place. Wherever this stops, `folders` finds the old one or the new one."""
    aside = target.with_name(ASIDE + target.name)
    if os.path.lexists(target):
        files.discard(aside)
        os.replace(target, aside)
    os.replace(temporary, target)
    files.sync_folder(target.parent)
    files.discard(aside)


def _cannot_save(folder: Path, name: str, error: OSError) -> UserError:
    older = steps(folder)
    kept = f"the checkpoint at step {older[-1]} is intact" if older else "there is no older one"
    return UserError(
        f"could not save checkpoint {name} in {folder}: {files.refusal(error)} "
        f"and run the same command again; {kept}"
    )

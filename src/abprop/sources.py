"""What SOURCE means: a folder or zip of pictures or sounds, one of them, an array -> `Signals`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from abprop.data import MISSING, OBSERVED, SECRET, Signals, hidden_by
from abprop.data.choice import chosen
from abprop.data.masks import open_masks
from abprop.data.signals import choose_scale
from abprop.errors import UserError, unknown
from abprop.files import arrays, tables
from abprop.files.entries import by_row
from abprop.files.limits import BATCH, check_memory, check_pixels, quoted
from abprop.files.pictures import check_channels
from abprop.grammar import parse_range, parse_size
from abprop.kinds import KINDS, Kind, Raw, Request
from abprop.say import Say, quiet, shown

_BLOCK = 1024  # examples looked at together


def read(
    source: object,
    *,
    kind: str = "auto",
    size: str | int | None = None,
    channels: str = "keep",
    select: str | int | None = None,
    limit: int | None = None,
    range: str | tuple[float, float] | None = None,
    masks: object = None,
    hide: str | None = None,
    seed: int = 0,
    columns: str | None = None,
    rate: int | None = None,
    seconds: float | None = None,
    say: Say = quiet,
) -> Signals:
    """Examples with stable ids from whatever the user has.

    Args:
        source: a folder or zip of pictures or sounds, a picture, a sound, a video, .npy, .npz or
            "file.npz:key", .csv; or a numpy array or torch tensor.
        kind: images, texture (one picture), sound (one clip), sounds, video, frames, table, array;
            "auto" looks.
        size: "64" or "64x48" (width x height): centre-crop to the aspect, then Lanczos.
        channels: keep, grey or rgb.
        select: which examples: "0:300", "3,17,42", or ranges between commas.
        limit: at most so many of those.
        range: "low:high", the data range that becomes [-1, 1]. Else that of an 8- or 16-bit dtype;
            [0, 1] or [-1, 1] for floats within; else what the values span (a table: each column).
        masks: what is hidden, see `masks.open_masks`; nothing behind it has any influence.
        hide: a rule that hides more, see `hiding`.
        seed: of that rule.
        columns: of a table, only these, "age,income"; c1, c2, ... where there is no header.
        rate: of a sound, samples a second to bring it to; that of an array. Of frames in a folder
            or an array, how many a second.
        seconds: of a set of sounds, how long each shall be.
        say: told every few seconds how far reading is.

    Raises:
        UserError: in one line, what is wrong, in which file, and what to do.
    """
    if kind not in ("auto", *KINDS):
        raise unknown("data.kind", str(kind), ("auto", *KINDS))
    check_channels(channels)
    masks = (masks or None) if isinstance(masks, str) else masks
    sized = (_size(size), channels)
    request = Request(kind, *sized, select, limit, masks, columns, rate, seconds, say)
    given = _range(range)
    if isinstance(source, str | Path):
        label, where = str(source), quoted(source)
        raw = _read_path(label, request)
    else:
        label = where = "the array"
        raw = _arranged(arrays.from_python(source), where, request)
    if columns is not None and not KINDS[raw.kind].by_column:
        raise UserError(f"{where} is {raw.kind}, no table; leave out data.columns")
    raw = _checked(raw, where)
    if hide is not None:
        raw = _hidden(raw, hide, seed)
    KINDS[raw.kind].check_veil(raw.veil, where)
    return _signals(raw, label, given)


def _signals(raw: Raw, label: str, given: tuple[float, float] | None) -> Signals:
    """What was read, checked and veiled, with its scale."""
    veil, by_column = raw.veil, KINDS[raw.kind].by_column
    hidden = None if veil is None else veil > OBSERVED
    given = given or KINDS[raw.kind].span(raw.values)
    scale = choose_scale(raw.values, hidden, each_column=by_column, given=given)
    named = (raw.kind, raw.values, veil, raw.names, scale, label)
    told = KINDS[raw.kind].remarks(raw.values, hidden, _columns(raw))
    note = "; ".join(filter(None, (raw.note, _prior_only(raw), told)))
    return Signals.of(*named, columns=raw.columns, note=note, about=raw.about)


def _size(text: str | int | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        width, height = parse_size(text)
    except UserError as error:
        raise UserError(f"data.size={error}") from None
    check_pixels(width, height, f"data.size={width}x{height}")
    return width, height


def _range(text: str | tuple[float, float] | None) -> tuple[float, float] | None:
    try:
        return None if text is None else parse_range(text)
    except UserError as error:
        raise UserError(f"data.range={error}") from None


def _hidden(raw: Raw, rule: str, seed: int) -> Raw:
    """With what a rule hides made SECRET, where it was observed."""
    shape = raw.values.shape[1:]
    hidden = hidden_by(rule, shape, np.arange(len(raw.values)), seed)
    veil = np.uint8(OBSERVED) if raw.veil is None else raw.veil
    return replace(raw, veil=np.where(hidden & (veil == OBSERVED), np.uint8(SECRET), veil))


def _prior_only(raw: Raw) -> str:
    """A note on examples of which nothing is left to see."""
    if raw.veil is None:
        return ""
    gone = np.nonzero(np.all((raw.veil > OBSERVED).reshape(len(raw.veil), -1), axis=1))[0]
    names = ", ".join(shown(raw.names[row]) for row in gone[:3]) + (
        ", ..." if len(gone) > 3 else ""
    )
    return f"hidden entirely, so given the prior: {names}" if len(gone) else ""


def _read_path(text: str, request: Request) -> Raw:
    path, key = arrays.located(text)
    if request.kind != "auto" and KINDS[request.kind].takes(path):
        return KINDS[request.kind].read(path, request)
    for kind in KINDS.values():
        if kind.reads(path):
            return kind.read(path, request)
    load = LOADERS.get(path.suffix.lower())
    if load is None:
        raise UserError(
            f"{quoted(path)} is of a kind not read here; give a folder or zip of pictures or "
            f"sounds, a picture, a sound, a video, .npy, .npz or .csv"
        )
    return load(path, key, request)


def _load_array(path: Path, key: str | None, request: Request) -> Raw:
    values, note = arrays.load(path, key, mapped=True)
    where = quoted(path) if key is None else quoted(f"{path}:{key}")
    return _arranged(values, where, request, note)


def _load_table(path: Path, key: str | None, request: Request) -> Raw:
    table, where = tables.load(path, request.columns), quoted(path)
    kind = recognised(table.values.shape, table.values.dtype).name
    kind = kind if request.kind == "auto" else request.kind
    done = replace(request, kind=kind, columns=None)
    raw = _arranged(table.values, where, done, columns=table.columns)
    if table.names is None or len(arrange(table.values, KINDS[kind], where)) != len(table.names):
        return raw
    return replace(raw, names=[table.names[int(row)] for row in raw.names])


# What holds numbers of any kind, by suffix; `key` is what followed "file.npz:".
LOADERS: dict[str, Callable[[Path, str | None, Request], Raw]] = {
    ".npy": _load_array,
    ".npz": _load_array,
    ".csv": _load_table,
}


def recognised(shape: tuple[int, ...], dtype: np.dtype) -> Kind:
    """The kind of signal that an array of this shape most likely holds."""
    return next(kind for kind in KINDS.values() if kind.likely(shape, dtype))


def arrange(values: np.ndarray, kind: Kind, where: str) -> np.ndarray:
    """The array with its axes in order: (N, C, *size), or (N, C) for a table. A view.

    Raises:
        UserError: it has too few or too many axes for this kind, or an empty one.
    """
    shape = "x".join(map(str, values.shape)) or "a single number"
    if 0 in values.shape or values.ndim == 0:
        raise UserError(f"{where} is empty (shape {shape}); give examples along axis 0")
    arranged = kind.arrange(values)
    if arranged is None:
        raise UserError(
            f"{where} of shape {shape} cannot be {kind.name}; set data.kind to another of "
            f"{', '.join(KINDS)}"
        )
    return arranged


def _columns(raw: Raw) -> tuple[str, ...]:
    return raw.columns or tables.numbered(raw.values.shape[1])


def _arranged(
    values: np.ndarray,
    where: str,
    request: Request,
    note: str = "",
    columns: tuple[str, ...] = (),
) -> Raw:
    kind = recognised(values.shape, values.dtype) if request.kind == "auto" else KINDS[request.kind]
    arranged = arrange(values, kind, where)
    if request.columns is not None and kind.by_column:
        columns = tables.numbered(arranged.shape[1])
        kept = tables.places(request.columns, columns, where)
        arranged, columns = arranged[:, kept], tuple(columns[k] for k in kept)
    rows = chosen(request.select, request.limit, len(arranged), where)
    held = len(rows) if arrays.in_place(arranged, rows) is None else 0
    check_memory(held, arranged.shape[1:], arrays.width(values.dtype), where, batch=BATCH)
    if request.kind == "auto":
        note = "; ".join(filter(None, (note, _taken(values, arranged, kind.name))))
    mask, said = open_masks(request.masks, len(arranged), len(rows), arranged.ndim - 2)
    note = "; ".join(filter(None, (note, said)))
    found, veil = kind.stacked(arranged, rows, where, request, mask)
    names = by_row(rows[: len(found)].tolist())  # frames are one clip
    raw = Raw(kind.name, found, veil, names, columns, note, kind.told(request))
    lost = ""
    if kind.by_column:  # what is behind a mask has no say
        whole = arranged[rows] if veil is None else np.where(veil == SECRET, 0, arranged[rows])
        lost = kind.loss(whole, _columns(raw))
    return replace(raw, note="; ".join(filter(None, (note, lost))))


def _taken(values: np.ndarray, arranged: np.ndarray, kind: str) -> str:
    """Which of the possible readings of an array's axes was taken."""
    whole, each = ("x".join(map(str, a)) or "1" for a in (values.shape, arranged.shape[1:]))
    return f"{whole} taken as {kind}: {len(arranged)} of {each} (data.kind chooses another)"


def _checked(raw: Raw, where: str) -> Raw:
    """Examples that can be learned from, their veil complete: what is not finite is MISSING."""
    values, veil = raw.values, raw.veil
    if KINDS[raw.kind].cuts and len(values) > 1:
        raise UserError(
            f"{where} holds {len(values)} pictures, a {raw.kind} is one; choose it with "
            f"--set data.select=0, or set data.kind={KINDS[raw.kind].several}"
        )
    if values.dtype.kind == "f" and not _finite(values):
        _refuse_infinite(raw, where)
        if (infinite := np.isinf(values)).any():  # behind a mask
            values = np.where(infinite, np.float32(np.nan), values)
        missing = np.isnan(values)
        if missing.any():
            veil = np.zeros_like(missing[:, :1], np.uint8) if veil is None else veil
            # What is behind a mask does not decide whether the channels share it.
            seen = missing & (veil == OBSERVED)
            if values.ndim > 2 and veil.shape[1] == 1 and (seen == seen[:, :1]).all():
                missing = missing.any(1, keepdims=True)
            veil = np.where(missing, np.uint8(MISSING), veil)
    if veil is not None and (veil > OBSERVED).all():
        raise UserError(
            f"{where} is hidden or missing everywhere; give data where something is not"
        )
    return replace(raw, values=values, veil=veil)


def _finite(values: np.ndarray) -> bool:
    """Whether all numbers are, looked at in blocks: there may be more than memory holds."""
    blocks = range(0, len(values), _BLOCK)
    return all(bool(np.isfinite(values[i : i + _BLOCK]).all()) for i in blocks)


def _refuse_infinite(raw: Raw, where: str) -> None:
    infinite = np.isinf(raw.values)
    if raw.veil is not None:
        infinite = infinite & (raw.veil == OBSERVED)
    infinite = infinite.reshape(len(raw.values), -1).any(axis=1)
    if infinite.any():
        name = quoted(raw.names[int(infinite.argmax())])
        raise UserError(
            f"{where}, example {name}: an infinite value (or one beyond float32); "
            f"write NaN where a value is missing"
        )

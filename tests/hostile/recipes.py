"""Recipes of the wrong types, depths, lengths and names."""

from __future__ import annotations

from collections.abc import Iterator

VALUES = ("-1", "0", "9" * 30, "9" * 5000, "1e400", "nan", "inf", "-inf", "true", '""', '"x"',
    "[]", "[1, 2]", "{}", "{a = 1}", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00",
    "0x7fffffffffffffff", "0x" + "f" * 5000, "'''\nlong\n'''", '"\\u0000"',
    '"' + "x" * 100_000 + '"', "[" * 2000, "[" * 100 + "]" * 100, '"\\u202e"',
    '"../../etc/passwd"', "1.5", '"999999999x999999999"')  # fmt: skip
KEYS = ("seed", "data.source", "data.size", "data.holdout", "data.range", "model.latent",
    "model.channels", "model.sigma", "infer.steps", "train.iterations", "train.budget",
    "checkpoint.every", "run.threads")  # fmt: skip
TEXTS = ("", "\0", "\ufeff", "[", "]", "a", "a =", "= 1", "[data", "[data]\n[data]", "[[data]]",
    "seed = 1\nseed = 2", "data = 3", "model = []", "seed.a = 1", "unknown = 1",
    "[unknown]\na = 1", '[data]\n"\\u001b[2J" = 1', '"" = 1', '[""]\n"" = 1',
    ".".join(["a"] * 3000) + " = 1", "[" + ".".join(["a"] * 3000) + "]",
    "data." + ".".join(["a"] * 900) + " = 1", "\n".join(f"a{i} = 1" for i in range(20_000)),
    "# " + "x" * 1_000_000, "a = " + "{a = " * 900 + "1" + "}" * 900, "\r\r\r", "seed = 1\x1b[2J",
    "[data.kind]\na = 1", "data.kind.a = 1", "seed = [[[[1]]]]", "'a\nb' = 1",
    "\u202eseed = 1")  # fmt: skip


def recipes() -> Iterator[tuple[str, bytes]]:
    """All of them."""
    for key in KEYS:
        for i, value in enumerate(VALUES):
            section, _, name = key.rpartition(".")
            head = f"[{section}]\n" if section else ""
            yield f"{key.replace('.', '-')}-{i}.toml", f"{head}{name} = {value}\n".encode()
    for i, text in enumerate(TEXTS):
        yield f"text-{i}.toml", text.encode()
    yield "binary.toml", bytes(range(256))
    yield "latin.toml", b"# caf\xe9\n"
    yield "surrogate.toml", b'a = "\xed\xa0\x80"\n'

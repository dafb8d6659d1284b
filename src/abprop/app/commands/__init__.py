"""The commands beside `fit`; `cli` registers them."""

from abprop.app.commands.comparing import compare
from abprop.app.commands.machine import bench, demo, keys, verify
from abprop.app.commands.runs import (
    embed,
    evaluate,
    info,
    interpolate,
    reconstruct,
    recover,
    report,
    sample,
)
from abprop.app.commands.sharing import explore, export, push

__all__ = [
    "bench",
    "compare",
    "demo",
    "embed",
    "evaluate",
    "explore",
    "export",
    "info",
    "interpolate",
    "keys",
    "push",
    "reconstruct",
    "recover",
    "report",
    "sample",
    "verify",
]

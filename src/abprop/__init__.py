"""abprop: learn a generator by inferring its latent factors (alternating back-propagation).

    run = abprop.fit("faces/", latent=100, budget="10m")
    run.sample(16)
    run = abprop.load("runs/faces")

Names are looked up when they are first used (PEP 562), so that `import abprop` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abprop.app.api import Run, fit, load
    from abprop.errors import AbpropError, UserError
    from abprop.estimators import Generator, Imputer
    from abprop.report.comparing import compare

    __version__: str

__all__ = ["fit", "load", "compare", "Run", "Generator", "Imputer", "AbpropError", "UserError"]
__all__ += ["__version__"]

_HOME = {
    "fit": "abprop.app.api",
    "load": "abprop.app.api",
    "compare": "abprop.report.comparing",
    "Run": "abprop.app.api",
    "Generator": "abprop.estimators",
    "Imputer": "abprop.estimators",
    "AbpropError": "abprop.errors",
    "UserError": "abprop.errors",
}


if not TYPE_CHECKING:  # type checkers would take it as leave for any name

    def __getattr__(name: str) -> object:
        if name == "__version__":
            value = import_module("abprop.version").version()
        elif name in _HOME:
            value = getattr(import_module(_HOME[name]), name)
        else:
            raise AttributeError(f"module 'abprop' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""A prior over maps that knows its neighbours.

    z = blocks of K cells at the sites of a lattice, a stride < K apart
    p(blocks) ∝ exp(-(1 / T) sum over neighbouring sites s, t of D(b_s, b_t))
    D(a, b) = mean squared difference of a and b on the cells they share, in the leading principal
              components of the map's channels, over their variance

Blocks are those of the inferred maps, so what is kept is all the dependence between neighbouring
cells that a block has room for, however non-linear: that of a stone's two halves. Drawn by Gibbs:
one site given its neighbours is a choice among the blocks. Where two meet, one fades into the
other, at each scale over one of its cells. While learning, a cell's own law is `gaussian`'s:
neighbours matter for draws. A block must not show a place of the signal that one near it shows too,
or the field of least energy would be a repetition.

A. A. Efros, W. T. Freeman: Image Quilting for Texture Synthesis and Transfer, SIGGRAPH 2001 (in
pixels, row by row).
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.noise import Noise
from abprop.priors.base import Cells
from abprop.priors.blocks import SMALLEST, Library
from abprop.priors.normal import Gaussian

COMPONENTS = 32  # in which blocks are compared


class Markov(Gaussian):
    """Blocks of inferred maps, each chosen to fit those around it; see the module.

    Args:
        shape: (k, *grid) of a map.
        factors: channels of each scale, see `networks.levels`; (k,) if there is one.

    Raises:
        UserError: a vector has no neighbours; or a map too small to have any.
    """

    def __init__(
        self, shape: tuple[int, ...], ridge: float = 1e-3, factors: tuple[int, ...] = (1,)
    ) -> None:
        super().__init__(shape, ridge)
        self.factors = factors
        if len(shape) < 2 or min(shape[1:]) < SMALLEST:
            form = "x".join(map(str, shape)) if shape[1:] else "a vector"
            raise UserError(
                f"model.prior=markov: needs a latent map of at least {SMALLEST} cells along each "
                f"axis, not {form}; use model.prior=gaussian"
            )
        self._maps: Tensor | None = None
        self._places: Tensor | None = None
        self._library: Library | None = None

    def remember(
        self, z: Tensor, places: Tensor | None = None, originals: int | None = None
    ) -> None:
        """Take blocks from inferred maps, once something is drawn.

        Args:
            z: (M, k, *grid).
            places: where in the signal each map begins, in cells (M, axes), for signals cut from
                one; None: they have nothing in common.
            originals: how many are no copies; all are taken from.
        """
        self._maps, self._places, self._library = z, places, None

    def draw(
        self, noise: Noise, count: int, grid: Cells | None = None, start: Cells | None = None,
        first: int = 0,
    ) -> Tensor:  # fmt: skip
        """`count` windows of endless maps, (count, k, *grid).

        Raises:
            RuntimeError: no maps were remembered.
        """
        (library, z), lengths = self._known, tuple(grid or self.shape[1:])
        begin, draws = start or (0,) * len(lengths), range(first, first + count)
        return torch.stack([library.window(noise, i, begin, lengths).of(z) for i in draws])

    def draw_cut(self, noise: Noise, grid: Cells, start: Cells, draw: int = 0) -> Tensor:
        """A window of an endless map in which no block fades into another, (k, *grid)."""
        library, z = self._known
        return library.window(noise, draw, start, grid).cut().of(z)

    def draw_torus(self, noise: Noise, count: int, grid: Cells) -> Tensor:
        """Maps whose opposite edges fit, (count, k, *grid), for tiling.

        Raises:
            UserError: lengths that are no multiples of `period`, or too few of them.
        """
        library, z = self._known
        return torch.stack([library.torus(noise, i, grid).of(z) for i in range(count)])

    @property
    def period(self) -> int:
        """Cells of which a torus measures a multiple."""
        return self._known[0].period

    @property
    @torch.no_grad()
    def _known(self) -> tuple[Library, Tensor]:
        """The blocks, and the maps that they are cut from."""
        if self._maps is None:
            raise RuntimeError("draws from a Markov prior need maps: call remember first")
        if self._library is None:
            places = None if self._places is None else self._places.cpu()
            self._library = Library(
                self.leading(self._maps, COMPONENTS).cpu(), places, self.factors
            )
        return self._library, self._maps

"""Linear measurements, the same for every example, each with its exact adjoint.

    Projection    y_k = <p_k, x>,          A^T v = sum_k v_k p_k          (the paper's)
    Blur          y = M_h x M_w^T,         A^T v = M_h^T v M_w            (a matrix for every axis)
    Downsample    y_u = mean of block u,   A^T v = v_u / n on block u,    n = entries of a block
    Grey          y = .299 R + .587 G + .114 B

Rows of y have bits of their own: matrices are padded with zeros to multiples of 16 either way,
since kernels sum ragged edges in another order, and everything else works entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from math import isfinite, prod
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.errors import UserError
from abprop.noise import Noise
from abprop.operators.base import Alike, Measurement, Pullback, expect, for_many, times

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
TRUNCATE = 4.0  # standard deviations after which a Gaussian kernel ends
_BLOCK = 64  # white images made at a time: the integers behind them need ten times their memory


class Projection(Alike):
    """Inner products with K images p_k: y = x.flatten(1) @ matrix.T, (B, K).

    Args:
        matrix: one p_k in each row, (K, D) with D the numbers of one signal; kept as float32.
        batch: number of examples.

    Raises:
        UserError: `matrix` is no such matrix, or the signals have not D numbers.
    """

    def __init__(self, matrix: Tensor, batch: int) -> None:
        matrix = torch.as_tensor(matrix, dtype=torch.float32)
        if matrix.ndim != 2 or not matrix.numel():
            raise UserError(
                f"projection: the matrix is {times(matrix.shape)}; give one row for each "
                "measurement and one column for each number of a signal"
            )
        if not torch.isfinite(matrix).all():
            raise UserError("projection: the matrix has entries that are not finite; mend them")
        self._numbers, self._entries = matrix.shape
        constants = [_padded(matrix)]
        super().__init__(batch, (self._numbers,), self._numbers, constants, matrix.device)

    @property
    def matrix(self) -> Tensor:
        """One measurement in each row, (K, D)."""
        return self.constants[0][: self._numbers, : self._entries]

    def __call__(self, x: Tensor) -> Tensor:
        if prod(x.shape[1:]) != self._entries:
            raise UserError(
                f"projection: its images have {self._entries} numbers but the signals "
                f"{prod(x.shape[1:])} ({times(x.shape[1:])}); give a matrix with that many columns"
            )
        return _product(x.flatten(1), self.constants[0].T, self._numbers)

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and  v -> v @ matrix."""
        shape, matrix = x.shape[1:], self.constants[0]
        return self(x), lambda v: _product(v, matrix, self._entries).reshape(-1, *shape)


def white(count: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """White-noise images to project on, N(0, 1) / sqrt(D): as long as 1, so y has x's unit.

    Args:
        count: K, how many.
        shape: shape of one signal, (C, *size), of D numbers.
        seed: of the stream "projection"; image k is the same whatever `count`.

    Returns:
        float32 (K, D).

    Raises:
        UserError: `count` or `shape` is empty.
    """
    if count < 1 or prod(shape) < 1:
        raise UserError(f"projection: {count} images of {times(shape)}; both must be at least 1")
    images = torch.empty(count, prod(shape))
    for rows in torch.arange(count).split(_BLOCK):
        images[rows] = _drawn(rows, prod(shape), seed)
    return images


def _drawn(rows: Tensor, entries: int, seed: int) -> Tensor:
    return (Noise(seed, "projection").at(rows).normal((entries,)) / entries**0.5).float()


class WhiteProjection(Alike):
    """A `Projection` on `white` images that are drawn anew whenever they are needed.

    For matrices that do not fit in memory: slow, and no larger than a few images.

    Args:
        count, shape, seed: see `white`.
        batch: number of examples.
    """

    def __init__(self, count: int, shape: tuple[int, ...], batch: int, seed: int) -> None:
        self.signal, self.seed = shape, seed
        super().__init__(batch, (count,), count)

    def __call__(self, x: Tensor) -> Tensor:
        expect("projection", x, self.signal)
        flat = x.flatten(1)
        parts = [
            _product(flat, images.to(x.device).T, len(rows)) for rows, images in self._images()
        ]
        return torch.cat(parts, 1)

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and  v -> sum over the images of v_k p_k."""
        return self(x), self._adjoint

    def _adjoint(self, v: Tensor) -> Tensor:
        found = v.new_zeros(len(v), prod(self.signal))
        for rows, images in self._images():
            found += _product(v[:, rows], images.to(v.device), prod(self.signal))
        return found.reshape(-1, *self.signal)

    def _images(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.arange(self.shape[0]).split(_BLOCK):
            yield rows, _padded(_drawn(rows, prod(self.signal), self.seed))


class Blur(Alike):
    """Gaussian blur along every axis; beyond the edge the signal goes on as its mirror image.

    Args:
        width: standard deviation in entries along an axis, above 0 up to the longest side.
        shape: shape of one signal, (C, *size), with at least one axis.
        batch: number of examples.

    Raises:
        UserError: `width` is out of range, or the signals have no axis or another shape.
    """

    def __init__(self, width: float, shape: tuple[int, ...], batch: int) -> None:
        _check_axes("blur", shape)
        if not (isfinite(width) and 0 < width <= max(shape[1:])):
            raise UserError(
                f"blur: width {width:g} is out of range; write a number of entries above 0 and "
                f"up to the longest side, {max(shape[1:])}"
            )
        matrices = [_padded(_gaussian(width, n)) for n in shape[1:]]
        super().__init__(batch, shape, prod(shape), matrices)

    def __call__(self, x: Tensor) -> Tensor:
        expect("blur", x, self.shape)
        for axis, matrix in enumerate(self.constants, start=2):
            x = _along(axis, x, matrix.T)
        return x

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and the transposed matrix along every axis."""
        return self(x), self._adjoint

    def _adjoint(self, v: Tensor) -> Tensor:
        for axis, matrix in enumerate(self.constants, start=2):
            v = _along(axis, v, matrix)
        return v


class Downsample(Alike):
    """The mean over blocks of `factor` entries along every axis.

    Args:
        factor: side of a block, at least 1.
        shape: shape of one signal, (C, *size), with at least one axis.
        batch: number of examples.

    Raises:
        UserError: a side is no multiple of `factor`, or the signals have no axis or another shape.
    """

    def __init__(self, factor: int, shape: tuple[int, ...], batch: int) -> None:
        _check_axes("down", shape)
        if factor < 1 or any(n % factor for n in shape[1:]):
            raise UserError(
                f"down: blocks of side {factor} do not fill signals of {times(shape[1:])}; "
                "choose a divisor of every side, or another data.size"
            )
        self.factor, self.signal = factor, shape
        coarse = (shape[0], *(n // factor for n in shape[1:]))
        super().__init__(batch, coarse, prod(coarse))

    def __call__(self, x: Tensor) -> Tensor:
        expect("down", x, self.signal)
        for axis in range(2, x.ndim):
            # Sums of whole slices: a mean over an axis has other bits in another memory layout.
            blocks = x.unflatten(axis, (-1, self.factor))
            x = reduce(add, blocks.unbind(axis + 1)) / self.factor
        return x

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and every number handed back to its block in equal parts."""
        return self(x), self._adjoint

    def _adjoint(self, v: Tensor) -> Tensor:
        for axis in range(2, v.ndim):
            v = v.repeat_interleave(self.factor, axis)
        return v / self.factor ** (v.ndim - 2)


class Grey(Alike):
    """Luma (ITU-R 601) of red, green and blue: three channels to one of the same range.

    Args:
        shape: shape of one signal, (3, *size), with at least one axis.
        batch: number of examples.

    Raises:
        UserError: the signals have not three channels, no axis, or another shape.
    """

    def __init__(self, shape: tuple[int, ...], batch: int) -> None:
        _check_axes("grey", shape)
        if shape[0] != 3:
            raise UserError(
                f"grey: signals of {times(shape)} have not the 3 channels of colour; leave it out"
            )
        self.signal = shape
        super().__init__(batch, (1, *shape[1:]), prod(shape[1:]))

    def __call__(self, x: Tensor) -> Tensor:
        expect("grey", x, self.signal)
        red, green, blue = x.split(1, dim=1)
        return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and the grey shared out by the weights of the colours."""
        return self(x), lambda v: torch.cat([weight * v for weight in LUMA], dim=1)


def written_out(A: Measurement, signal: tuple[int, ...]) -> Tensor:
    """A linear operator as a matrix (K, D): a row is A^T of a unit vector.

    Args:
        A: for at least one example.
        signal: shape of one signal, (C, *size) of D numbers.
    """
    rows = []
    for block in torch.eye(prod(A.shape)).split(256):
        adjoint = for_many(A, len(block)).vjp(torch.zeros(len(block), *signal))[1]
        rows.append(adjoint(block.reshape(-1, *A.shape)).flatten(1))
    return torch.cat(rows)


# Kernels and products -------------------------------------------------------------------------


def _check_axes(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) < 2 or min(shape) < 1:
        raise UserError(
            f"{name}: signals of {times(shape)} have no axis to work along; leave it out"
        )


def _gaussian(width: float, n: int) -> Tensor:
    """Row i blurs towards entry i, (n, n); beyond the edge d c b a | a b c d | d c b a."""
    reach = int(TRUNCATE * width + 0.5)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets.double() / width) ** 2)
    place = (torch.arange(n)[:, None] + offsets) % (2 * n)
    place = torch.minimum(place, 2 * n - 1 - place)
    matrix = torch.zeros(n, n, dtype=torch.float64)
    return matrix.scatter_add_(1, place, (weights / weights.sum()).expand(n, -1)).float()


def _padded(matrix: Tensor) -> Tensor:
    """With zeros up to multiples of 16 rows and columns; never the caller's own memory."""
    rows, columns = matrix.shape
    return F.pad(matrix, (0, -columns % 16, 0, -rows % 16))


def _product(x: Tensor, matrix: Tensor, columns: int) -> Tensor:
    """x (R, n) times a padded matrix, without the columns that only fill up: (R, columns)."""
    x = F.pad(x, (0, len(matrix) - x.shape[1]))
    return (x @ matrix.to(x.dtype))[:, :columns]


def _along(axis: int, x: Tensor, matrix: Tensor) -> Tensor:
    """A padded square matrix applied along one axis of x: rows @ matrix."""
    turned = x.movedim(axis, -1)
    product = _product(turned.reshape(-1, x.shape[axis]), matrix, x.shape[axis])
    return product.reshape(turned.shape).movedim(-1, axis)

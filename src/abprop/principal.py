"""Probabilistic principal component analysis, also of signals that were not seen whole.

    x = W z + mean + sigma * noise,    z ~ N(0, I_d)

Complete data: W = U (L - sigma^2)^(1/2) from the d largest eigenvalues L of the covariance and
their vectors U; sigma^2 is the mean of the other eigenvalues. With missing entries variational
EM, o(n) being the entries observed of example n, n(j) the examples that observe entry j,
u = (z, 1) and v_j = (w_j, mean_j) ~ N(0, diag(a)):

    E    A_n = I + sum_{j in o(n)} <w_j w_j^T> / sigma^2,    cov z_n = A_n^-1
         <z_n> = A_n^-1 sum_{j in o(n)} (<w_j> x_nj - <w_j mean_j>) / sigma^2
    M    B_j = sum_{n in n(j)} <u_n u_n^T> + sigma^2 diag(1 / a),    cov v_j = sigma^2 B_j^-1
         <v_j> = B_j^-1 sum_{n in n(j)} x_nj <u_n>
         a_k = mean over j of <w_jk^2>; that of the means stays 1
         sigma^2 = mean over what was observed of <(x_nj - v_j . u_n)^2>

Without cov v_j this is EM. It is kept because EM learns by heart what few examples observe: with
1,000 faces, d = 60 and 90 % hidden, its error is 2.5 times as large. Both sums of outer products
are products of the mask with the triangles of d x d matrices.

M. E. Tipping, C. M. Bishop: Probabilistic Principal Component Analysis, JRSS B 1999.
A. Ilin, T. Raiko: Practical Approaches to Principal Component Analysis in the Presence of Missing
Values, JMLR 2010.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from abprop.errors import UserError

EXAMPLES = 512  # whose d x d matrices are held at once
MATRICES = 5_000_000  # numbers in the d x d matrices of some of the entries
SETTLED = 1e-4  # relative change of the observed residual at which EM ends


def principal_axes(x: Tensor, d: int) -> Tensor:
    """Unit vectors (D, d) of the largest variances of centred rows x (n, D), largest first."""
    if len(x) > x.shape[1]:
        return torch.linalg.eigh(x.T @ x).eigenvectors[:, -d:].flip(1)
    left = torch.linalg.eigh(x @ x.T).eigenvectors[:, -d:].flip(1)
    return torch.nn.functional.normalize(x.T @ left, dim=0)


@dataclass(frozen=True)
class PPCA:
    """A fitted model. In its methods `observed` is bool (N, G) as in `fit`, None for everything.

    Attributes:
        mean: (D,).
        W: loadings (D, d).
        sigma: standard deviation of the noise, > 0.
        doubt: covariances of (w_j, mean_j), triangles (G, (d + 1) (d + 2) / 2), shared by the
            entries j, j + G, ...; None where W and mean are taken as known.
    """

    mean: Tensor
    W: Tensor
    sigma: float
    doubt: Tensor | None = None

    def posterior(self, x: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Law of z given what was observed.

        Args:
            x: signals (N, D), anything where not observed.
            observed: which entries were.

        Returns:
            Means (N, d) and covariances (N, d, d).
        """
        shown, mask = _seen(x, observed)
        z, covariance = self._posterior(shown, self._gram(mask))
        return z, _unpacked(covariance).expand(len(x), -1, -1)

    def reconstruct(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """W <z> + mean of signals x (N, D), every entry."""
        seen = (_seen(*part) for part in _split(x, observed))
        z = [self._posterior(shown, self._gram(mask))[0] for shown, mask in seen]
        return torch.cat(z) @ self.W.T + self.mean

    def predict(self, x: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (N, D) of every entry, its noise included."""
        parts = [self._predict(*_seen(*part)) for part in _split(x, observed)]
        return torch.cat([mean for mean, _ in parts]), torch.cat([sd for _, sd in parts])

    def _predict(self, shown: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        z, covariance = self._posterior(shown, self._gram(mask))
        variance = self.sigma**2 + _products(covariance, _outer(self.W[:, None]))
        if self.doubt is not None:
            doubted = _products(_second(z, covariance), self.doubt)
            variance = variance + doubted.repeat(1, len(self.W) // len(self.doubt))
        return z @ self.W.T + self.mean, variance.sqrt().expand(len(z), -1)

    def log_likelihood(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """log p of what was observed of each signal x (N, D), in nats, (N,).

        Where W is in doubt: the lower bound  <log p(x, z | W)> - <log q(z)>.
        """
        return torch.cat([self._log_likelihood(*_seen(*part)) for part in _split(x, observed)])

    def _log_likelihood(self, shown: Tensor, mask: Tensor) -> Tensor:
        gram, share = self._gram(mask), shown.shape[1] // mask.shape[1]
        seen = mask.repeat(1, share)
        root, told = self._root(gram), self._told(shown, gram)
        white = torch.linalg.solve_triangular(root, told[..., None], upper=False)
        doubted = gram[:, -1] - seen @ self.mean.square()
        rest = (shown - self.mean * seen).square().sum(1) + doubted
        # Woodbury: the d x d matrix A_n in place of the covariance of the entries.
        squared = rest / self.sigma**2 - white.square().sum((1, 2))
        log_det = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = seen.sum(1) * math.log(2 * math.pi * self.sigma**2)
        return -0.5 * (squared + log_det + constant)

    def _gram(self, mask: Tensor) -> Tensor:
        """Sums of <v v^T> over the observed entries, triangles (N, (d + 1) (d + 2) / 2)."""
        v = torch.cat((self.W, self.mean[:, None]), 1)
        groups = mask.shape[1] if self.doubt is None else math.lcm(mask.shape[1], len(self.doubt))
        mask, share = mask.repeat(1, groups // mask.shape[1]), len(v) // groups
        grouped = v.reshape(share, groups, -1).movedim(0, 1)
        total = v.new_zeros(len(mask), _triangle(v.shape[1]))
        for rows in _blocks(groups, v.shape[1]):
            products = _outer(grouped[rows])
            if self.doubt is not None:
                which = torch.arange(rows.start, rows.start + len(products)) % len(self.doubt)
                products += share * self.doubt[which.to(v.device)]
            total.addmm_(mask[:, rows], products)
        return total

    def _told(self, shown: Tensor, gram: Tensor) -> Tensor:
        """What the observed entries say about z, (N, d): A_n <z_n>."""
        d = self.W.shape[1]
        return (shown @ self.W - gram[:, -d - 1 : -1]) / self.sigma**2

    def _root(self, gram: Tensor) -> Tensor:
        """Cholesky factors of A_n."""
        d = self.W.shape[1]
        precision = _unpacked(gram[:, : _triangle(d)]) / self.sigma**2
        return _cholesky(precision, precision.new_ones(d))

    def _posterior(self, shown: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
        """Means (N, d) and triangles of covariances (N, d (d + 1) / 2); one if gram is one."""
        told = self._told(shown, gram)
        if len(gram) == 1:  # everything was observed: one matrix for all
            root = self._root(gram)
            return torch.cholesky_solve(told.T, root[0]).T, _packed(torch.cholesky_inverse(root))
        z, covariance = [], []
        for some, what in zip(gram.split(EXAMPLES), told.split(EXAMPLES), strict=True):
            root = self._root(some)
            z.append(torch.cholesky_solve(what[..., None], root)[..., 0])
            covariance.append(_packed(torch.cholesky_inverse(root)))
        return torch.cat(z), torch.cat(covariance)


def fit(x: Tensor, observed: Tensor | None, d: int, *, iterations: int = 30) -> PPCA:
    """The model of some signals; see the top of the module.

    With missing entries an iteration takes about 2 N G d^2 multiplications, and memory is about
    6 (N + G) d^2 + 8 N D bytes.

    Args:
        x: signals (N, D), float, of about unit range; anything where not observed.
        observed: bool (N, G), None for everything. G divides D: the entries j, j + G, j + 2 G, ...
            (the channels of a place, channels first) share column j.
        d: number of components, 1 to min(N, D).
        iterations: at most so many; they end once the observed residual changes by less than 1e-4.

    Returns:
        The model. Entries that no example observes have w = 0 and mean 0.

    Raises:
        UserError: d is out of range, or nothing was observed.
    """
    limit = min(x.shape)
    if not 1 <= d <= limit:
        raise UserError(f"pca: d = {d}, but signals of this number and size allow 1 to {limit}")
    if observed is None or bool(observed.all()):
        return _closed_form(x, d)
    if not bool(observed.any()):
        raise UserError("pca: nothing was observed; give signals with something to learn from")
    shown, mask = _seen(x, observed)
    share = x.shape[1] // mask.shape[1]
    mean = shown.sum(0) / mask.sum(0).clamp_min(1).repeat(share)
    filled = torch.where(observed.repeat(1, share), x, mean)
    return _em(shown, mask, _closed_form(filled, d), iterations)


def _closed_form(x: Tensor, d: int) -> PPCA:
    mean = x.mean(0)
    rest = x - mean
    axes = principal_axes(rest, d)
    variance = (rest @ axes).square().mean(0)
    left_over = (rest - rest @ axes @ axes.T).square().sum().item() / len(x)
    sigma = math.sqrt(left_over / max(1, x.shape[1] - d))
    sigma = max(sigma, _least(rest.square().mean().item(), x.dtype))
    return PPCA(mean, axes * (variance - sigma**2).clamp_min(0).sqrt(), sigma)


def _least(squared: float, dtype: torch.dtype) -> float:
    """The smallest sigma at which rounding leaves A_n invertible, given the mean square of x."""
    return max(30 * math.sqrt(torch.finfo(dtype).eps * squared), 1e-12)


def _em(shown: Tensor, mask: Tensor, model: PPCA, iterations: int) -> PPCA:
    """EM from a first model; shown (N, D) is 0 and mask (N, G) is 0. where not observed."""
    count = mask.sum().item() * (shown.shape[1] // mask.shape[1])
    power = shown.square().sum(dtype=torch.float64).item()
    least, gram = _least(power / count, shown.dtype), model._gram(mask)
    for _ in range(iterations):
        before = model.sigma
        z, covariance = model._posterior(shown, gram)
        second, u = _second(z, covariance), torch.cat((z, z.new_ones(len(z), 1)), 1)
        told = shown.T @ u
        v, doubt = _maximised(mask, second, told, model)
        model = PPCA(v[:, -1].clone(), v[:, :-1].contiguous(), before, doubt)
        gram = model._gram(mask)
        explained = torch.einsum("nt,nt,t->n", gram, second, _multiplicity(u.shape[1], u))
        residual = power - 2 * (v * told).sum(1).double().sum() + explained.double().sum()
        sigma = max(math.sqrt(max(0.0, residual.item() / count)), least)
        model = replace(model, sigma=sigma)
        if abs(sigma**2 - before**2) < SETTLED * sigma**2:
            break
    return model


def _maximised(mask: Tensor, second: Tensor, told: Tensor, model: PPCA) -> tuple[Tensor, Tensor]:
    """The M step: <v_j> (D, d + 1) and the triangles of cov v_j (G, ...)."""
    (D, size), G, variance = told.shape, mask.shape[1], model.sigma**2
    ridge = variance / torch.cat((_relevance(model), told.new_ones(1)))
    told = told.reshape(D // G, G, size).movedim(0, -1)
    v, doubt = torch.empty_like(told), told.new_empty(G, second.shape[1])
    for rows in _blocks(G, size):
        root = _cholesky(_unpacked(mask[:, rows].T @ second), ridge)
        v[rows] = torch.cholesky_solve(told[rows], root)
        doubt[rows] = variance * _packed(torch.cholesky_inverse(root))
    return v.movedim(-1, 0).reshape(D, size), doubt


def _relevance(model: PPCA) -> Tensor:
    """a: the mean of <w_jk^2> over the entries, (d,). 0 would switch a component off for good."""
    squared = model.W.square().mean(0)
    if model.doubt is not None:
        d = model.W.shape[1]
        diagonal = torch.arange(d, device=squared.device)
        squared = squared + model.doubt.mean(0)[diagonal * (diagonal + 3) // 2]
    return squared.clamp_min(1e-8)


def _second(z: Tensor, covariance: Tensor) -> Tensor:
    """Triangles of <u u^T>, (N, (d + 1) (d + 2) / 2); their last rows are (z, 1)."""
    return torch.cat((covariance + _outer(z[:, None]), z, z.new_ones(len(z), 1)), 1)


def _cholesky(matrices: Tensor, ridge: Tensor) -> Tensor:
    """Factors of sums of outer products plus a diagonal."""
    # Rounding of the sums must not make them indefinite.
    safe = torch.finfo(matrices.dtype).eps * matrices.diagonal(dim1=1, dim2=2).sum(1)
    return torch.linalg.cholesky(matrices + torch.diag_embed(ridge + safe[:, None]))


# Triangles ------------------------------------------------------------------------------------
# A symmetric matrix travels as the rows of its lower triangle, one after the other.


def _triangle(d: int) -> int:
    return d * (d + 1) // 2


def _products(a: Tensor, b: Tensor) -> Tensor:
    """Traces of the products of symmetric matrices a (N, T) and b (M, T), (N, M)."""
    d = math.isqrt(2 * a.shape[1])
    return (a * _multiplicity(d, a)) @ b.T


def _multiplicity(d: int, like: Tensor) -> Tensor:
    """How often each number of a triangle stands in the d x d matrix."""
    i, j = torch.tril_indices(d, d, device=like.device)
    return torch.where(i == j, 1.0, 2.0).to(like.dtype)


def _outer(v: Tensor) -> Tensor:
    """Triangles of the sums over s of v_s v_s^T, for v (M, S, d)."""
    return _packed(v.mT @ v)


def _packed(matrices: Tensor) -> Tensor:
    d = matrices.shape[-1]
    i, j = torch.tril_indices(d, d, device=matrices.device)
    return matrices.flatten(1).index_select(1, i * d + j)


def _unpacked(packed: Tensor) -> Tensor:
    d = math.isqrt(2 * packed.shape[1])
    rows = torch.arange(d, device=packed.device)
    i, j = torch.maximum(rows[:, None], rows), torch.minimum(rows[:, None], rows)
    where = i * (i + 1) // 2 + j
    return packed.index_select(1, where.flatten()).reshape(-1, d, d)


def _blocks(length: int, d: int) -> list[slice]:
    step = max(1, MATRICES // (d * d))
    return [slice(start, start + step) for start in range(0, length, step)]


def _seen(x: Tensor, observed: Tensor | None) -> tuple[Tensor, Tensor]:
    """Signals with 0 where not observed, and the mask (N or 1, G) as numbers."""
    if observed is None:  # one column for all entries of all examples
        return x, x.new_ones(1, 1)
    share = x.shape[1] // observed.shape[1]
    hidden = torch.zeros((), dtype=x.dtype, device=x.device)
    return torch.where(observed.repeat(1, share), x, hidden), observed.to(x.dtype)


def _split(x: Tensor, observed: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    for start in range(0, len(x), EXAMPLES):
        rows = slice(start, start + EXAMPLES)
        yield x[rows], None if observed is None else observed[rows]

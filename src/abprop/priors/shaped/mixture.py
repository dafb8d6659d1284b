"""A mixture of Gaussians fitted to what was inferred, once learning is over.

    q(u) = sum_k w_k N(u; m_k, C_k)
    grad log q(u) = -sum_k r_k(u) C_k^-1 (u - m_k),   r_k(u) = w_k N(u; m_k, C_k) / q(u)

Where latents are inferred their law is `gaussian`'s, while learning and afterwards: draws know
where there are none, and unseen signals, which may lie between those that were seen, are explained
no worse (under q itself scikit-learn's digits were, by 3 %). It is fitted to the examples' own
latents; where these are too few, to those of their copies as well. How many components there are,
and of which form, is what makes a fifth of the examples, with any copies, most likely where it is
fitted to the others; full covariances are tried where each would have examples enough.

P. Ghosh, M. S. M. Sajjadi, A. Vergari, M. Black, B. Schölkopf: From Variational to Deterministic
Autoencoders, ICLR 2020 (ex-post density estimation).
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import torch
from torch import Tensor

from abprop.noise import Keyed
from abprop.priors.base import Prior
from abprop.priors.normal import Gaussian, StandardNormal, own_of
from abprop.priors.shaped.base import Law, Shaped

COUNTS = (1, 3, 10, 30)  # components that are tried
FOLDS = 5  # a part of the examples that is told from the others
FULL, DIAGONAL = 10, 20  # examples for each component: FULL for each factor besides
MOST = 5_000  # latents that it is fitted to
NUMBERS = 2**24  # of all covariances together
REGULAR = 1e-3  # added to variances, which are 1 in the whole
BLOCK = 256  # draws whose covariances are held at once


class Mixture(Shaped):
    """N(mu, S), but that draws are of a mixture once latents are remembered; see the module."""

    name: ClassVar[str] = "mixture"
    log_prob, score = Gaussian.log_prob, Gaussian.score  # where latents are inferred

    def __init__(self, shape: tuple[int, ...], ridge: float = 1e-3) -> None:
        super().__init__(shape, ridge)
        self._normal: Law = StandardNormal(shape)
        self._seen: tuple[Tensor, int] | None = None
        self._components: Components | None = None

    def remember(
        self, z: Tensor, places: Tensor | None = None, originals: int | None = None
    ) -> None:
        """Fit to inferred latents, once the law is asked for: to the examples' own, if they do.

        Args:
            z: (M, d), copies of the examples in their order behind them.
            places: of crops, which have maps.
            originals: how many are no copies; None: all.
        """
        super().remember(z, places, originals)
        own = self.folded(own_of(z, originals))
        if self.width != 1:  # how wide it is the root says
            own = own / own.square().mean().sqrt()
        self._seen, self._components = (own, originals or len(z)), None

    @property
    def law(self) -> Law:
        """The mixture, or N(0, I) where nothing is remembered."""
        if self._seen is None:
            return self._normal
        if self._components is None:
            self._components = fitted(*self._seen)
        return self._components

    def as_drawn(self) -> Prior:
        """The prior whose density is that of the draws."""
        return Drawn(self)


class Drawn(Shaped):
    """The law of a mixture's draws, with its density.

    Args:
        mixture: as it is now.
    """

    name: ClassVar[str] = Mixture.name

    def __init__(self, mixture: Mixture) -> None:
        super().__init__(mixture.shape, mixture.ridge)
        for name, value in mixture.named_buffers():
            setattr(self, name, value)
        self._law = mixture.law

    @property
    def law(self) -> Law:
        """q."""
        return self._law


class Components:
    """A mixture of Gaussians.

    Args:
        weights: (K,), summing to 1.
        means: (K, d).
        covariances: (K, d, d).
    """

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        self.weights, self.means = weights, means
        self.roots = torch.linalg.cholesky(covariances)
        one = torch.eye(means.shape[1]).to(means).expand_as(covariances)
        self.white = torch.linalg.solve_triangular(self.roots, one, upper=False).mT
        self.height = (
            weights.log()
            - self.roots.diagonal(dim1=1, dim2=2).log().sum(1)
            - 0.5 * means.shape[1] * math.log(2 * math.pi)
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """log q (B,) of z (B, d)."""
        return self._each(z)[0].logsumexp(1)

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log q (B,) and its gradient (B, d)."""
        each, off = self._each(z)
        pulls = torch.softmax(each, 1).T[:, :, None] * off
        return each.logsumexp(1), -(pulls @ self.white.mT).sum(0)

    def _each(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log w_k N(z; m_k, C_k), (B, K), and how far z is off in units of C_k, (K, B, d)."""
        off = (z - self.means[:, None]) @ self.white
        return self.height - 0.5 * off.square().sum(2).T, off

    def expected(self, count: int) -> Tensor:
        """The mean, (count, d)."""
        return (self.weights @ self.means).expand(count, -1)

    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, d)."""
        u = noise.of("component").uniform(1)[:, 0].to(self.weights)
        which = torch.searchsorted(self.weights.cumsum(0), u).clamp_max(len(self.weights) - 1)
        normal = noise.normal((self.means.shape[1],)).to(self.means)
        off = [
            (self.roots[k] @ n[:, :, None])[:, :, 0]
            for k, n in zip(which.split(BLOCK), normal.split(BLOCK), strict=True)
        ]
        return self.means[which] + torch.cat(off)


def fitted(u: Tensor, originals: int) -> Components:
    """The mixture that best tells examples it was not fitted to.

    Args:
        u: (M, d), about standardised; row i shows example i mod `originals`.
        originals: how many examples there are.
    """
    example = torch.arange(len(u)) % originals
    every = -(-len(u) // MOST)
    some = example % every == 0
    rows, unseen = u.cpu()[some].numpy(), (example[some] // every % FOLDS == 0).numpy()
    count, d = -(-originals // every), u.shape[1]
    forms = [
        (form, k)
        for form, need in (("full", FULL * d), ("diag", DIAGONAL))
        for k in COUNTS
        if k == 1 or (k * need <= count and k * d**2 <= NUMBERS)
    ]
    best = forms[0]
    if len(forms) > 2:
        best = max(forms, key=lambda form: _fit(rows[~unseen], *form).score(rows[unseen]))
    found = _fit(rows, *best)
    covariances = torch.from_numpy(found.covariances_)
    spread = covariances if best[0] == "full" else torch.diag_embed(covariances)
    told = (torch.from_numpy(found.weights_), torch.from_numpy(found.means_), spread)
    return Components(*(v.to(u) for v in told))


def _fit(rows: Any, form: str, count: int) -> Any:
    """A mixture by EM, from k-means."""
    from sklearn.mixture import GaussianMixture

    made = GaussianMixture(count, covariance_type=form, reg_covar=REGULAR, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that EM could go on for longer
        return made.fit(rows)

"""Along which latents signals change most: the leading directions of f.

    E[df/dz] = E[f(z) z^T],    z ~ N(0, I)                               (Stein's lemma)

The right singular vectors of this matrix are directions of z, the one along which f changes most
on average first. It is estimated by least squares over draws z_n, S the sums over them:

    E[df/dz]^T = S(z z^T)^-1 S(z (f(z) - mean)^T)

which is exact for a linear f with more draws than factors.

C. Stein: Estimation of the Mean of a Multivariate Normal Distribution, Annals of Statistics 1981.
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.inference import chunks
from abprop.model import Model
from abprop.noise import Noise
from abprop.tasks.drawing import draw

DRAWS, EACH = 512, 8  # draws, at least in all and for each factor


@torch.no_grad()
def directions(model: Model, count: int, noise: Noise, *, chunk: int = 64) -> tuple[Tensor, Tensor]:
    """Leading directions of z, and how much of the average change lies along each.

    Along each the entries of f grow on the whole: of pictures, more of it is brighter.

    Args:
        model: folded, so that latents are N(0, I); its latent a vector.
        count: how many; at most d are there.
        noise: the stream of the draws.
        chunk: draws in one pass.

    Returns:
        Orthonormal directions (k, d), the leading one first, k = min(count, d); and their shares
        (k,) of the sum of squares of E[df/dz].

    Raises:
        UserError: the latent is a map.
    """
    if model.network.stationary:
        raise UserError("a map of latents has no leading directions; its cells are all alike")
    (d,) = model.network.latent_shape
    z = draw(model, max(DRAWS, EACH * d), noise)
    z = z - z.mean(0)
    sums: Tensor | None = None
    for rows, n in chunks(len(z), chunk, z.device):
        x = model.network(z[rows])[:n].flatten(1)
        part = z[rows][:n].T @ x  # the mean of x drops out: z is centred
        sums = part if sums is None else sums + part
    assert sums is not None
    slopes = torch.linalg.solve(z.T @ z, sums)  # (d, D)
    # Its left singular vectors from the small d x d matrix: signals have many entries.
    found = torch.linalg.eigh(slopes @ slopes.T)
    along, power = found.eigenvectors.T.flip(0)[:count], found.eigenvalues.flip(0)
    sign = torch.where(along @ slopes.sum(1) < 0, -1.0, 1.0)
    return sign[:, None] * along, power[:count] / power.sum().clamp_min(1e-30)

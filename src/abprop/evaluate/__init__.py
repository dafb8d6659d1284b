"""How good a fitted model is: scores, answers for what is hidden, baselines beside them; and how
probable it finds signals."""

from abprop.evaluate.judging import judged
from abprop.evaluate.likelihood import Likelihood, Scored, scored_likelihood
from abprop.evaluate.reconstruction import Explained, explained
from abprop.evaluate.recovery import Answer, Answering, Posterior
from abprop.evaluate.scores import Scores, crps, crps_normal, errors, nearest, psnr, quantiles

__all__ = [
    "Answer",
    "Answering",
    "Explained",
    "Likelihood",
    "Posterior",
    "Scored",
    "Scores",
    "crps",
    "crps_normal",
    "errors",
    "explained",
    "judged",
    "nearest",
    "psnr",
    "quantiles",
    "scored_likelihood",
]

"""The scikit-learn faces: a transformer that infers latents, and an imputer that answers by them.

    Generator   x = f(z) + noise:  transform = the most probable z,  inverse_transform = f
    Imputer     what is missing of x, told from p(x | what is there)

Both learn without a run directory, by the same recipe and with the same defaults as `abprop fit`
does for a table. Missing entries are NaN. Threads are torch's own.

Pedregosa et al.: Scikit-learn: Machine Learning in Python, JMLR 2011 (the contract).
"""

from abprop.estimators.generator import Generator
from abprop.estimators.imputer import Imputer

__all__ = ["Generator", "Imputer"]

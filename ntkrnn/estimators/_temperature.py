"""From scores to probabilities: a softmax whose temperature is fitted on left-out series."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

RANGE = (-7.0, 7.0)
"""Of the logarithm of a temperature; scores are of order 1."""


def temperature(scores: np.ndarray, classes: np.ndarray) -> float:
    r"""The temperature tau that maximises the likelihood of the classes of series that were left out::

        sum_i log softmax(s_i / tau)_{c_i} + 1/C sum_c log softmax(sbar / tau)_c

    The last term is one pseudo-observation, of the mean of all scores in descending order and of every
    class in equal parts: without it tau would be 0, and every probability 0 or 1, wherever all
    left-out series are predicted right.

    Args:
        scores: ``[N, C]`` of series predicted by the others.
        classes: ``[N]`` columns of the true classes.

    Cost: O(N C) for each of some 30 evaluations.

    Source: temperature scaling, Guo et al. 2017 (arXiv 1706.04599).

    Example:
        >>> scores = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
        >>> temperature(scores, np.array([0, 1, 0])) < temperature(scores, np.array([0, 1, 1]))
        True
    """
    typical = np.sort(scores, axis=1)[:, ::-1].mean(axis=0)
    rows = np.arange(len(scores))

    def loss(log_tau: float) -> float:
        tau = np.exp(log_tau)
        observed = log_softmax(scores / tau, axis=1)[rows, classes].sum()
        return -float(observed + log_softmax(typical / tau).mean())

    found: Any = minimize_scalar(loss, bounds=RANGE, method="bounded")
    return float(np.exp(found.x))

"""Shares and errors of predictions, with intervals for what another draw of series would have given."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
BLOCKS = 20
"""Into which the errors of records are cut: those of neighbouring steps are no independent draws."""


class Score(NamedTuple):
    """A number, and the ends of its 95% interval; NaN where there is none."""

    value: float
    low: float
    high: float


def share(hits: int, of: int) -> Score:
    """A share with Wilson's interval.

    Args:
        hits: how many.
        of: at least 1.

    Source: Wilson 1927; :func:`scipy.stats.binomtest`.

    Example:
        >>> [round(number, 3) for number in share(9, 10)]
        [0.9, 0.596, 0.982]
    """
    found = stats.binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return Score(hits / of, float(found.low), float(found.high))


def root_mean_square(errors: np.ndarray, *, in_order: bool = False, seed: int = 0) -> Score:
    """The root of the mean square, with the percentiles of a bootstrap.

    Args:
        errors: ``[M]``.
        in_order: whether they are of steps of a record: then blocks of them are drawn, not single ones.
        seed: of the bootstrap.

    Example:
        >>> score = root_mean_square(np.arange(40.0))
        >>> round(score.value, 2), bool(score.low < score.value < score.high)
        (22.66, True)
    """
    squares = np.square(np.asarray(errors, np.float64))
    value = float(np.sqrt(squares.mean()))
    if in_order:
        pieces = np.array_split(squares, min(BLOCKS, len(squares)))
        squares = np.array([piece.mean() for piece in pieces])
    if len(squares) < 2:
        return Score(value, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    drawn = squares[rng.integers(len(squares), size=(RESAMPLES, len(squares)))].mean(axis=1)
    low, high = np.sqrt(np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    return Score(value, float(low), float(high))

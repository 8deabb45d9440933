"""Figures of a trajectory study in numbers: deviations, slopes, and what they are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntkrnn.report import Slope, loglog_slope
from ntkrnn.studies.trajectory import TrajectoryResult

PREDICTED_SLOPE = -0.5
"""The bound of the theory: deviation and drift are at most of order ``1/sqrt(width)``."""

MEASURES = {
    "deviation_train": "training, own kernel",
    "deviation_test": "test, own kernel",
    "deviation_train_infinite": "training, infinite kernel",
    "deviation_test_infinite": "test, infinite kernel",
    "drift": "kernel drift",
}
"""Suprema over the recorded steps that are fitted against width."""


def suprema(result: TrajectoryResult, name: str) -> np.ndarray:
    """``[W, S]``: the largest value along each run."""
    return np.array([[float(np.max(piece[name])) for piece in row] for row in result.pieces])


def along(result: TrajectoryResult, name: str) -> np.ndarray:
    """``[W, S, R]``: the values along each run."""
    return np.array([[piece[name] for piece in row] for row in result.pieces])


def fitted(result: TrajectoryResult, name: str) -> Slope:
    """The slope of a supremum against width."""
    return loglog_slope(
        np.array(result.settings.widths),
        suprema(result, name),
        resamples=result.settings.resamples,
        seed=0,
    )


def local_slopes(result: TrajectoryResult, values: np.ndarray) -> np.ndarray:
    """``[W - 1]``: slopes of the mean over seeds of ``[W, S]`` between neighbouring widths."""
    means, widths = np.log(values.mean(axis=1)), np.log(np.array(result.settings.widths))
    return np.diff(means) / np.diff(widths)


class Parts(NamedTuple):
    """The last deviation on the test sequences, in what seeds share and what they do not."""

    shared: np.ndarray
    """``[W]``: root mean square of the mean over seeds, the share of chance taken off; 0 where chance
    alone explains it."""
    spread: np.ndarray
    """``[W, S]``: root mean square of each seed's distance from that mean, unbiased."""
    spread_fit: Slope


def parts(result: TrajectoryResult) -> Parts:
    """Separate the mean over seeds from the spread.

    With D_s the deviation of seed s: the mean square of ``mean_s D_s`` is that of the expectation plus
    1/S of the variance, which is taken off.
    """
    differences = along(result, "difference_test").astype(np.float64)
    count = differences.shape[1]
    flat = differences.reshape(*differences.shape[:2], -1)
    mean = flat.mean(axis=1)
    variance = flat.var(axis=1, ddof=1).mean(axis=1)
    shared = np.sqrt(np.maximum(np.mean(mean**2, axis=1) - variance / count, 0))
    scale = np.sqrt(count / (count - 1))
    spread = scale * np.sqrt(np.mean((flat - mean[:, None]) ** 2, axis=2))
    settings = result.settings
    fit = loglog_slope(np.array(settings.widths), spread, resamples=settings.resamples, seed=0)
    return Parts(shared, spread, fit)


def fit_record(fit: Slope) -> dict[str, Any]:
    """A slope as JSON holds it."""
    return {"slope": fit.slope, "interval": fit.interval, "confidence": fit.confidence}

"""Figures of a trajectory study in numbers: deviations, slopes, and what they are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntkrnn.report import Slope, finite_slope, mean_and_std
from ntkrnn.report.statistics import finite_or_nan
from ntkrnn.studies.cautions import cautions
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

LOSS_OF = {
    "deviation_train": "loss_linear",
    "deviation_test": "loss_linear",
    "deviation_train_infinite": "loss_infinite",
    "deviation_test_infinite": "loss_infinite",
}
"""What diverges if these do; the rest follows the network itself."""


def suprema(result: TrajectoryResult, name: str) -> np.ndarray:
    """``[W, S]``: the largest value along each run; NaN if what it is measured on is not finite.

    A loss overflows before a deviation does, and what is left of the deviation says nothing.
    """
    loss = LOSS_OF.get(name, "loss")
    return np.array(
        [
            [float(np.max(piece[name])) if np.isfinite(piece[loss]).all() else np.nan for piece in row]
            for row in result.pieces
        ]
    )


def along(result: TrajectoryResult, name: str) -> np.ndarray:
    """``[W, S, R]``: the values along each run."""
    return np.array([[piece[name] for piece in row] for row in result.pieces])


def fitted(result: TrajectoryResult, name: str) -> Slope:
    """The slope of a supremum against width, over the widths where all runs are finite."""
    widths, resamples = np.array(result.settings.widths), result.settings.resamples
    return finite_slope(widths, suprema(result, name), resamples=resamples)


def local_slopes(result: TrajectoryResult, values: np.ndarray) -> np.ndarray:
    """``[W - 1]``: slopes of the mean over seeds of ``[W, S]`` between neighbouring widths."""
    means, widths = np.log(mean_and_std(values)[0]), np.log(np.array(result.settings.widths))
    return np.diff(means) / np.diff(widths)


def not_finite(result: TrajectoryResult) -> list[dict[str, Any]]:
    """Runs that diverged, or whose predictions did: which, in what, and from which recorded step on."""
    found = []
    for width, row in zip(result.settings.widths, result.pieces, strict=True):
        for seed, piece in enumerate(row):
            steps = np.asarray(piece["steps"])
            # What is measured along the run has an entry a record; the rest follows from it.
            bad = {
                name: ~np.isfinite(values)
                for name, values in piece.items()
                if np.shape(values) == steps.shape
            }
            names = [name for name, where in bad.items() if where.any()]
            if names:
                first = int(steps[np.any([bad[name] for name in names], axis=0)][0])
                found.append({"width": width, "seed": seed, "from_step": first, "figures": names})
    return found


def warned(result: TrajectoryResult) -> list[str]:
    """Where the study means little, see :mod:`ntkrnn.studies.cautions`; drifts are relative errors."""
    settings = result.settings
    of = settings.architecture, result.dataset, settings.widths, settings.seeds
    return cautions(*of, suprema(result, "drift"))


class Parts(NamedTuple):
    """The last deviation on the test sequences, in what seeds share and what they do not."""

    shared: np.ndarray
    """``[W]``: root mean square of the mean over seeds, the share of chance taken off; 0 where chance
    alone explains it."""
    spread: np.ndarray
    """``[W, S]``: root mean square of each seed's distance from that mean, unbiased."""
    spread_fit: Slope


@np.errstate(over="ignore")
def parts(result: TrajectoryResult) -> Parts:
    """Separate the mean over seeds from the spread.

    With D_s the deviation of seed s: the mean square of ``mean_s D_s`` is that of the expectation plus
    1/S of the variance, which is taken off.
    """
    differences = finite_or_nan(along(result, "difference_test"))
    differences[~np.isfinite(along(result, "loss_linear")).all(axis=2)] = np.nan
    count = differences.shape[1]
    flat = differences.reshape(*differences.shape[:2], -1)
    mean = flat.mean(axis=1)
    variance = flat.var(axis=1, ddof=1).mean(axis=1)
    shared = np.sqrt(np.maximum(np.mean(mean**2, axis=1) - variance / count, 0))
    scale = np.sqrt(count / (count - 1))
    spread = scale * np.sqrt(np.mean((flat - mean[:, None]) ** 2, axis=2))
    settings = result.settings
    fit = finite_slope(np.array(settings.widths), spread, resamples=settings.resamples)
    return Parts(shared, spread, fit)


def fit_record(fit: Slope) -> dict[str, Any]:
    """A slope as JSON holds it."""
    return {
        "slope": fit.slope,
        "interval": fit.interval,
        "confidence": fit.confidence,
        "widths_left_out": fit.left_out,
    }

"""What a fit is asked for, and what it leaves: a model, and predictions of what it did not see."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from ntkrnn import _checks
from ntkrnn.data import Dataset, Records
from ntkrnn.report.scores import Score

TASKS = ("classify", "regress", "forecast")
FOLDS = 5
LEVELS = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
"""Shares that bands are to hold; the last is the one that is drawn."""


def gaussian_bands(std: np.ndarray) -> np.ndarray:
    """Half widths ``[M, L]`` of bands that hold the shares :data:`LEVELS` of normal variables."""
    return std[:, None] * stats.norm.ppf((1 + LEVELS) / 2)


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """What is fitted, and how it is judged.

    Attributes:
        task: "classify", "regress" or "forecast".
        architecture: "auto" or an architecture.
        kernel: "nngp" or "ntk".
        folds: parts that are predicted by a fit to the others, or in forecasts parts of the last
            quarter of the records by what comes before; None for 5, in forecasts 1. A test set
            replaces them.
        seed: of everything random.
    """

    task: str
    architecture: Any = "auto"
    kernel: str = "nngp"
    folds: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.choice("task", self.task, TASKS)
        _checks.choice("kernel", self.kernel, ("nngp", "ntk"))
        _checks.whole_number("seed", self.seed)
        least = 1 if self.task == "forecast" else 2
        if self.folds is not None and _checks.whole_number("cv", self.folds) < least:
            raise ValueError(f"cv: got {self.folds}, expected at least {least}.")


class Evaluation(NamedTuple):
    """Predictions of M series, or steps, that the model in question was not fitted to."""

    how: str
    """What was predicted by what, in words."""
    rows: np.ndarray
    """``[M]``: of which series, or record, counted from 0."""
    steps: np.ndarray | None
    """``[M]``: of which step of the record, in forecasts."""
    truth: np.ndarray
    """``[M]``."""
    predicted: np.ndarray
    """``[M]``."""
    probabilities: np.ndarray | None = None
    """``[M, C]`` of classes."""
    bands: np.ndarray | None = None
    """``[M, L]``: half widths of bands that are to hold the shares :data:`LEVELS` of the truth."""

    @property
    def covered(self) -> np.ndarray:
        """``[L]``: shares of the truth in the bands."""
        assert self.bands is not None
        return np.mean(np.abs(self.truth - self.predicted)[:, None] <= self.bands, axis=0)


class FitResult(NamedTuple):
    """A model fitted to all of the training data, and how well its like predict."""

    settings: FitSettings
    data: Dataset | Records
    test: Dataset | Records | None
    model: Any
    evaluation: Evaluation
    score: Score
    """Accuracy, or root mean squared error."""
    baseline: float
    """The same of a prediction that looks at no series: the most frequent class, or the mean."""
    seconds: float

    @property
    def evaluated(self) -> Any:
        """The data that the evaluation speaks of."""
        return self.data if self.test is None else self.test

    @property
    def numbers(self) -> np.ndarray:
        """``[M]``: the series or records of the evaluation as their source counts them, from 1."""
        rows = self.evaluation.rows
        kept = self.evaluated.selection["rows"] if isinstance(self.evaluated, Dataset) else None
        return 1 + (rows if kept is None else np.asarray(kept)[rows])

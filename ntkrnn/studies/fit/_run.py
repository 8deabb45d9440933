"""A fit to all training data, and fits to parts of them by which it is judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ntkrnn._progress import Progress
from ntkrnn.data import Dataset, Records
from ntkrnn.estimators import progress
from ntkrnn.report.scores import Score, root_mean_square, share
from ntkrnn.studies.fit import _records, _series
from ntkrnn.studies.fit._form import Evaluation, FitResult, FitSettings


def task_of(data: Dataset) -> str:
    """What labels ask for: "regress" where they are real numbers, otherwise "classify"."""
    return "regress" if data.labels is not None and data.labels.dtype.kind == "f" else "classify"


def fit(
    settings: FitSettings,
    data: Dataset | Records,
    test: Dataset | Records | None = None,
    report: Progress | None = None,
) -> FitResult:
    """Fit a recurrent kernel to sequences, and predict sequences that it was not fitted to.

    The estimators choose preparation, kernels and ridge, or scales, by the training data alone.
    How well they predict is seen on a test set, or on folds: every part is predicted by a fit, choices
    included, to the others. The model of the result is fitted to all training data.

    Args:
        settings: the task, and what is fitted.
        data: a :class:`ntkrnn.data.Dataset` with labels, not standardised; for forecasts
            :class:`ntkrnn.data.Records`.
        test: the same of later data, or None for folds.
        report: called as ``report(done, total, what)``.

    Returns:
        A :class:`FitResult`.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: a fit, and one for every fold.

    Example:
        >>> from ntkrnn.data import load
        >>> from ntkrnn.studies.fit import FitSettings, fit
        >>> result = fit(FitSettings("classify"), load("digits", n=60, standardize="none"))
        >>> bool(result.score.low < result.score.value < result.score.high)
        True
    """
    start = time.perf_counter()
    kind: Any = _records if settings.task == "forecast" else _series
    _check(settings, data, test, kind)
    parts = [] if test is not None else kind.parts(settings, data)
    total, done = 1 + len(parts), 0
    told = report or (lambda done, total, what: None)

    def run(what: str, make: Callable[[], Any]) -> Any:
        nonlocal done
        told(done, total, what)
        with progress(lambda more: told(done, total, f"{what}: {more}")):
            made = make()
        done += 1
        return made

    final = run("all training data", lambda: kind.fitted(settings, data))
    if test is None:
        evaluation = kind.predict_parts(settings, data, parts, final, run)
    else:
        evaluation = kind.predict_test(test, final)
    told(total, total, "done")
    score, baseline = _scores(settings, data, evaluation)
    seconds = time.perf_counter() - start
    return FitResult(settings, data, test, final, evaluation, score, baseline, seconds)


def _check(settings: FitSettings, data: Any, test: Any, kind: Any) -> None:
    expected = Records if settings.task == "forecast" else Dataset
    for name, one in (("data", data), ("test", test)):
        if one is not None and not isinstance(one, expected):
            raise TypeError(
                f"{name}: got {type(one).__name__} for the task {settings.task!r}, expected "
                f"ntkrnn.data.{expected.__name__}."
            )
    if test is not None and settings.folds is not None:
        raise ValueError(f"cv: got {settings.folds} beside a test set, expected one of the two.")
    kind.check(settings, data, test)


def _scores(settings: FitSettings, data: Any, found: Evaluation) -> tuple[Score, float]:
    """Accuracy or root mean squared error, and that of the most frequent class or the mean."""
    if settings.task == "classify":
        classes, counts = np.unique(data.labels, return_counts=True)
        right = int(np.sum(found.predicted == found.truth))
        most = classes[np.argmax(counts)]
        return share(right, len(found.truth)), float(np.mean(found.truth == most))
    errors = found.predicted - found.truth
    in_order = settings.task == "forecast"
    if in_order:
        counts = data.y.shape[1] if data.lengths is None else data.lengths[:, None]
        mean = data.y[np.broadcast_to(np.arange(data.y.shape[1]) < counts, data.y.shape)].mean()
    else:
        mean = data.labels.mean()
    score = root_mean_square(errors, in_order=in_order, seed=settings.seed)
    return score, float(np.sqrt(np.mean(np.square(found.truth - mean))))

"""Forecasts: the output of a system from its inputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ntkrnn.data import Records
from ntkrnn.studies.fit._estimator import estimator
from ntkrnn.studies.fit._form import Evaluation, FitSettings, gaussian_bands
from ntkrnn.studies.fit._series import Fit

KEPT = 0.75
"""Of every record, that are there to be fitted where no test records are."""


def check(settings: FitSettings, data: Records, test: Records | None) -> None:
    """Raise ValueError unless the two sets have the same inputs, and the network an output a step."""
    readout = getattr(settings.architecture, "readout", "sequence")
    if readout != "sequence":
        raise ValueError(
            f"architecture: got the readout {readout!r}, expected 'sequence' in forecasts."
        )
    if test is not None and test.x.shape[2] != data.x.shape[2]:
        raise ValueError(
            f"test: got {test.x.shape[2]} inputs, expected {data.x.shape[2]} as {data.name} has."
        )


def fitted(settings: FitSettings, data: Records, counts: np.ndarray | None = None) -> Any:
    """The Gaussian process, fitted to the leading ``counts`` steps of every record, or to all."""
    lengths = data.lengths if counts is None else counts
    longest = data.x.shape[1] if lengths is None else int(lengths.max())
    return estimator(settings).fit(data.x[:, :longest], data.y[:, :longest], lengths=lengths)


def predict_test(test: Records, final: Any) -> Evaluation:
    """Predict test records from their inputs alone."""
    pieces = [_predicted(final, test, np.zeros(len(test.x), int), _counts(test))]
    return _joined(f"{test.name} from its inputs alone", test, pieces)


def parts(settings: FitSettings, data: Records) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of every part of the last quarter the first steps ``[R]`` in all records, and the ends.

    Raises:
        ValueError: naming cv, if records are too short for them.
    """
    counts = _counts(data)
    folds = 1 if settings.folds is None else settings.folds
    ends = np.floor(counts * np.linspace(KEPT, 1, folds + 1)[:, None]).astype(int)
    if (np.diff(ends, axis=0) < 1).any() or ends[0].min() < 2:
        raise ValueError(
            f"cv: got {folds} parts of the last quarter of {int(counts.min())} steps, expected at "
            "least one step in each; take fewer, or longer records."
        )
    return list(itertools.pairwise(ends))


def predict_parts(
    settings: FitSettings,
    data: Records,
    parts: list[tuple[np.ndarray, np.ndarray]],
    final: Any,
    fit: Fit,
) -> Evaluation:
    """Predict every part from the inputs and a fit to what is before it."""
    del final
    pieces = []
    for i, (begin, end) in enumerate(parts):
        what = f"part {i + 1} of {len(parts)}"
        model = fit(what, lambda begin=begin: fitted(settings, data, begin))
        pieces.append(_predicted(model, data, begin, end))
    many = "" if len(parts) == 1 else f", in {len(parts)} parts,"
    how = f"the last quarter of {data.name}{many} from its inputs and a fit to what is before"
    return _joined(how, data, pieces)


def _counts(data: Records) -> np.ndarray:
    return np.full(len(data.x), data.x.shape[1]) if data.lengths is None else data.lengths


def _predicted(model: Any, data: Records, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, ...]:
    """Record, step, mean and standard deviation of the steps from ``begin`` to ``end`` ``[R]``."""
    longest = int(end.max())
    mean, std = model.predict(data.x[:, :longest], lengths=end, return_std=True)
    steps = np.arange(longest)
    rows, at = np.nonzero((steps >= begin[:, None]) & (steps < end[:, None]))
    return rows, at, mean[rows, at], std[rows, at]


def _joined(how: str, data: Records, pieces: list[tuple[np.ndarray, ...]]) -> Evaluation:
    rows, steps, mean, std = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    order = np.lexsort((steps, rows))
    rows, steps, mean, std = (part[order] for part in (rows, steps, mean, std))
    return Evaluation(how, rows, steps, data.y[rows, steps], mean, bands=gaussian_bands(std))

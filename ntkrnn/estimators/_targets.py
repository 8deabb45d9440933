"""What series are labelled with: classes, or real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ntkrnn import _checks
from ntkrnn.estimators._sequences import Sequences


def labels(estimator: Any, y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes in order, and the position of every series' class among them.

    Raises:
        TypeError, ValueError: for missing or continuous labels, and for as many as do not fit X.
    """
    _given(estimator, y)
    if not hasattr(y, "iloc"):  # a column of pandas, of whatever type
        _checks.plain_array("y", y, "classes [N]")
    try:
        column = column_or_1d(y, warn=True)
        _as_many(column, n)
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError("got NaN or infinity, expected classes; drop those series.")
        with np.errstate(invalid="ignore"):  # it casts large floats to integers
            check_classification_targets(column)
        return np.unique(column, return_inverse=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"y: {str(error).removeprefix('y: ')}") from None


def numbers(estimator: Any, y: Any, n: int) -> np.ndarray:
    """Real targets ``[N]`` or ``[N, O]``.

    Raises:
        TypeError, ValueError: naming y.
    """
    _given(estimator, y)
    array = np.asarray(_checks.real_array("y", _unboxed(y), "real targets [N] or [N, O]"), np.float64)
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(f"y: got shape {array.shape}, expected [N] or [N, O].")
    _as_many(array, n)
    bad = np.flatnonzero(~np.isfinite(array).reshape(n, -1).all(axis=1))
    if bad.size:
        raise ValueError(
            f"y: got NaN or infinity in row {bad[0]} ({bad.size} such rows), expected finite targets; "
            "drop those series."
        )
    _checks.squares_fit("y", array)
    return array


def per_step(estimator: Any, y: Any, sequences: Sequences) -> np.ndarray:
    """Real targets of all valid steps, one after the other.

    Raises:
        TypeError, ValueError: naming y.
    """
    _given(estimator, y)
    counts = sequences.counts()
    if isinstance(y, (list, tuple)):
        rows = [np.asarray(_checks.real_array(f"y[{i}]", one), np.float64) for i, one in enumerate(y)]
    else:
        rows = list(np.asarray(_checks.real_array("y", y, "targets [N, T]"), np.float64))
    _as_many(np.empty(len(rows)), len(counts))
    for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
        if row.ndim != 1 or len(row) < count:
            raise ValueError(
                f"y: got shape {row.shape} for series {i}, expected a target for each of its {count} "
                "steps, as the readout 'sequence' has outputs."
            )
        if not np.isfinite(row[:count]).all():
            raise ValueError(f"y: got NaN or infinity for series {i}, expected finite targets.")
    return np.concatenate([row[:count] for row, count in zip(rows, counts, strict=True)])


def _unboxed(y: Any) -> Any:
    """Numbers that came as Python objects, as they do from tables of mixed columns; else what came."""
    if getattr(y, "dtype", None) != np.dtype(object) or isinstance(y, np.ma.MaskedArray):
        return y
    try:
        return np.asarray(y).astype(np.float64)
    except (TypeError, ValueError):
        return y


def _given(estimator: Any, y: Any) -> None:
    if y is None:
        raise ValueError(
            f"y: this {type(estimator).__name__} requires y to be passed, but the target y is None."
        )


def _as_many(y: np.ndarray, n: int) -> None:
    if len(y) != n:
        raise ValueError(f"y: got {len(y)} targets, expected {n}, one for every series of X.")

# pyright: basic
"""From what people hand to an estimator to padded sequences with lengths, by one rule for all of them.

The contract of scikit-learn speaks of tables ``[N, T]`` and checks names and numbers of columns; series
of several channels or of different lengths come as ``[N, T, d]`` or as lists. Both end as one array of
float64 and the lengths of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import validate_data

from ntkrnn import _checks
from ntkrnn._memory import require

_EXPECTED = "series [N, T] or [N, T, d], or a list of arrays [T_i, d]"


class Sequences(NamedTuple):
    """Sequences of one call, on the host."""

    x: np.ndarray
    """float64 ``[N, T, d]``; 0 in the padding."""
    lengths: np.ndarray | None
    """int64 ``[N]``, or None where every row has all T steps."""

    def rows(self, chosen: Any) -> Sequences:
        """Some of them, by an index or a slice."""
        return Sequences(self.x[chosen], None if self.lengths is None else self.lengths[chosen])

    def counts(self) -> np.ndarray:
        """``[N]``: the valid steps of every sequence."""
        n, steps = self.x.shape[:2]
        return np.full(n, steps) if self.lengths is None else self.lengths


def read(estimator: Any, X: Any, lengths: Any = None, *, reset: bool) -> Sequences:
    """The sequences of ``X``; the estimator learns, or is asked, what its input looks like.

    Args:
        estimator: gets ``n_features_in_`` (steps T of a table ``[N, T]``, otherwise channels d),
            ``n_channels_in_`` and, from tables with names, ``feature_names_in_``.
        X: ``[N, T]`` of NumPy, JAX or pandas, one channel; ``[N, T, d]``; or a list of ``[T_i]`` or
            ``[T_i, d]``. NaN at the end of a sequence, in all of its channels, is padding.
        lengths: ``[N]`` valid leading steps of an array; what stands behind them is not looked at.
        reset: whether this is the input of ``fit``.

    Raises:
        TypeError, ValueError: naming X or lengths, what came and what was expected.
    """
    if _is_listed(X):
        x, found = _padded(X)
        if lengths is not None:
            raise ValueError(
                "lengths: got lengths beside a list of series, whose own lengths are meant."
            )
        return _fitting(estimator, *_without_missing(x, found, list(X)), reset)
    if getattr(X, "ndim", 2) == 3:
        x = np.asarray(_checks.real_array("X", X, _EXPECTED), np.float64)
        if 0 in x.shape:
            raise ValueError(f"X: got shape {x.shape}, expected no axis of it to be empty.")
        return _fitting(estimator, *_without_missing(x, _given(lengths, x)), reset)
    x = _table(estimator, X, reset)[:, :, None]
    found = _without_missing(x, _given(lengths, x))
    if reset:
        estimator.n_channels_in_ = 1
    elif estimator.n_channels_in_ != 1:
        raise _channels(1, estimator)
    return Sequences(*found)


def _is_listed(X: Any) -> bool:
    """Whether X is a list of series, and not a table written as a list of equally long lists."""
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X):
        X = list(X)
    if not isinstance(X, (list, tuple)) or not X:
        return False
    if any(getattr(one, "ndim", None) == 2 for one in X):
        return True
    try:
        shapes = {np.shape(one) for one in X}
    except ValueError:  # nested lists of unequal lengths
        return True
    return any(len(shape) == 2 for shape in shapes) or (
        len(shapes) > 1 and all(len(shape) == 1 for shape in shapes)
    )


def _padded(X: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """A list of series as one array, and their lengths."""
    series = []
    for i, one in enumerate(X):
        array = np.asarray(_checks.real_array(f"X[{i}]", one, "a series [T] or [T, d]"), np.float64)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(
                f"X[{i}]: got shape {np.shape(one)}, expected [T] or [T, d] with at least one step."
            )
        if array.shape[1] != (channels := series[0].shape[1] if series else array.shape[1]):
            raise ValueError(
                f"X[{i}]: got d={array.shape[1]} channels, expected d={channels} as in X[0]."
            )
        series.append(array)
    lengths = np.array([len(one) for one in series])
    shape = len(series), int(lengths.max()), series[0].shape[1]
    require("X", 8 * int(np.prod(shape)), f"series padded to {list(shape)}", "cut the longest.")
    x = np.zeros(shape)
    for row, one in enumerate(series):
        x[row, : len(one)] = one
    return x, lengths


def _given(lengths: Any, x: np.ndarray) -> np.ndarray | None:
    checked: Any = _checks.lengths("lengths", lengths, x, "X")
    return None if checked is None else np.asarray(checked, np.int64)


def _table(estimator: Any, X: Any, reset: bool) -> np.ndarray:
    """A table ``[N, T]`` as scikit-learn takes it, with what it remembers of the columns."""
    parts = X if isinstance(X, (list, tuple)) else (X,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        _checks.plain_array("X", X, _EXPECTED)  # says why
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        raise TypeError(f"X: got dtype {dtype}, expected real numbers.")
    try:
        options: Any = {"dtype": np.float64, "ensure_all_finite": False, "reset": reset}
        table: Any = validate_data(estimator, X, **options)  # type: ignore[arg-type]
        return table
    except (TypeError, ValueError) as error:
        longer = " Series of other lengths than in fit are passed as [N, T, 1] or as a list."
        more = longer if "features, but" in str(error) else ""
        raise type(error)(f"X: {error}{more}") from None


def _without_missing(
    x: np.ndarray, lengths: np.ndarray | None, listed: Sequence[Any] | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Padding set to 0; NaN at the ends shortens a sequence, and is refused anywhere else."""
    n, steps = x.shape[:2]
    within = np.arange(steps) < (np.full(n, steps) if lengths is None else lengths)[:, None]
    bad = ~np.isfinite(x) & within[:, :, None]
    if bad.any():
        there = within & ~np.isnan(x).all(axis=2)
        counts = np.where(there.any(axis=1), steps - np.argmax(there[:, ::-1], axis=1), 0)
        _refuse(x, bad, counts, listed is not None)
        lengths, within = counts, np.arange(steps) < counts[:, None]
    x = x if within.all() else np.where(within[:, :, None], x, 0.0)
    _checks.squares_fit("X", x)
    if lengths is None or (len(lengths) and lengths.min() == steps):
        return x, None
    longest = int(lengths.max())
    return x[:, :longest], None if lengths.min() == longest else lengths


def _refuse(x: np.ndarray, bad: np.ndarray, counts: np.ndarray, listed: bool) -> None:
    """Raise if an entry that is not finite is not padding at the end."""
    if not counts.all():
        row = int(np.flatnonzero(counts == 0)[0])
        raise ValueError(f"X: got only NaN in row {row}, expected at least one step; drop that row.")
    bad = bad & (np.arange(x.shape[1]) < counts[:, None])[:, :, None]
    if bad.any():
        row, step, channel = (int(i) for i in np.argwhere(bad)[0])
        value = "NaN" if np.isnan(x[row, step, channel]) else "infinity"
        where = f"X[{row}], step {step}" if listed else f"row {row}, step {step}"
        raise ValueError(
            f"X: got {value} in {where}, channel {channel} ({int(bad.sum())} such entries in all), "
            "expected finite numbers; NaN is padding only at the end of a series and in all of "
            "its channels. Interpolate or fill what is missing inside."
        )


def _fitting(estimator: Any, x: np.ndarray, lengths: np.ndarray | None, reset: bool) -> Sequences:
    """Series that are no table: their channels are what an estimator has to know again."""
    channels = x.shape[2]
    if reset:
        estimator.n_channels_in_ = estimator.n_features_in_ = channels
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif channels != estimator.n_channels_in_:
        raise _channels(channels, estimator)
    return Sequences(x, lengths)


def _channels(count: int, estimator: Any) -> ValueError:
    return ValueError(f"X: got d={count} channels, expected d={estimator.n_channels_in_} as in fit.")

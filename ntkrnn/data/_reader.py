"""Files of a format of one's own: a function reads them, and all that follows is as for the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn.data._dataset import Raw, padded
from ntkrnn.data._labels import array_labels

Reader = Callable[[Path], Any]
"""``path -> (series, labels)``: a list of real arrays ``[T_i]`` or ``[T_i, d]``, and a list of as many
numbers or texts, or None."""


def read_by(reader: Reader, path: Path) -> Raw:
    """What a reader of one's own makes of a file.

    Raises:
        TypeError, ValueError: if it does not return what :data:`Reader` says, naming the series.
        Exception: whatever the reader raises.
    """
    given = reader(path)
    if not isinstance(given, tuple) or len(given) != 2:
        raise TypeError(
            f"reader: got {type(given).__name__} from it for {path}, expected (series, labels): a "
            "list of arrays [T] or [T, d], and a list of labels or None."
        )
    series, labels = given
    arrays = [_series(path, k, one) for k, one in enumerate(series)]
    if not arrays:
        raise ValueError(f"reader: got no series from it for {path}, expected at least one.")
    channels = arrays[0].shape[1]
    for k, array in enumerate(arrays):
        if array.shape[1] != channels:
            raise ValueError(
                f"reader: got {array.shape[1]} channels in series {k} of {path}, and {channels} in "
                "series 0; expected as many in all."
            )
    return Raw(
        path.stem,
        padded(str(path), arrays),
        np.array([len(array) for array in arrays]),
        None if labels is None else _labels(path, labels, len(arrays)),
        str(path),
        str(path),
        _place,
        "Have the reader fill it, or drop the series.",
        (f"by {getattr(reader, '__name__', type(reader).__name__)}",),
    )


def _place(row: int, step: int | None = None, channel: int = 0) -> str:
    return f"series {row}" if step is None else f"series {row}, step {step}, channel {channel}"


def _series(path: Path, k: int, one: Any) -> np.ndarray:
    array = np.asarray(one)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(
            f"reader: got {array.dtype} of shape {array.shape} as series {k} of {path}, expected real "
            "numbers [T] or [T, d] with no axis empty."
        )
    return array.reshape(len(array), -1).astype(np.float64)


def _labels(path: Path, labels: Any, count: int) -> np.ndarray:
    values = np.asarray(labels)
    if values.shape != (count,) or values.dtype.kind not in "fiubU":
        raise ValueError(
            f"reader: got labels of shape {values.shape} and {values.dtype} for {path}, expected a "
            f"number or a text for each of {count} series, or None."
        )
    return array_labels(values, lambda row: f"reader: {path}, label of series {row}")

"""Tables of what was measured, by the points at which it was."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Table(NamedTuple):
    """What was measured, for reading."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table(
    title: str, axes: Mapping[str, Sequence[Any] | np.ndarray], columns: Mapping[str, Any]
) -> Table:
    """One row for each combination of values of the axes, the last axis varying fastest.

    Args:
        title: what the columns hold.
        axes: headings and values.
        columns: headings and arrays ``[*axes]`` of words or numbers, or ``[*axes, S]`` of numbers over
            seeds, which are told as mean and standard deviation.

    Returns:
        A :class:`Table`.

    Example:
        >>> table("errors", {"width": (8, 16)}, {"error": [[1.0, 2.0], [1.0, 1.0]]}).rows
        (('8', '1.5 ± 0.707'), ('16', '1 ± 0'))
    """
    points = list(itertools.product(*axes.values()))
    shape = tuple(len(values) for values in axes.values())
    cells = []
    for values in columns.values():
        array = np.asarray(values)
        cells.append(array.reshape(len(points), *array.shape[len(shape) :]))
    rows = tuple(
        (*map(said, point), *(said(column[i]) for column in cells)) for i, point in enumerate(points)
    )
    return Table(title, (*axes, *columns), rows)


def said(value: Any) -> str:
    """A cell: words and whole numbers as they are, others in three digits, several by their spread.

    Example:
        >>> said("relu"), said(8), said(1 / 3), said(np.array([1.0, 3.0]))
        ('relu', '8', '0.333', '2 ± 1.41')
    """
    array = np.asarray(value)
    if array.ndim:
        return spread(array)
    return f"{array:.3g}" if array.dtype.kind == "f" else str(value)


def spread(values: np.ndarray, pattern: str = "{:.3g}", *, otherwise: str = "") -> str:
    """Mean and standard deviation over seeds; other words where a seed gave nothing.

    Example:
        >>> spread(np.array([1.0, 2.0])), spread(np.array([1.0, np.nan]), otherwise="none")
        ('1.5 ± 0.707', 'none')
    """
    if otherwise and not np.isfinite(values).all():
        return otherwise
    return f"{pattern} ± {pattern.replace('+', '')}".format(values.mean(), values.std(ddof=1))

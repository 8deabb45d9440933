"""A long table: every row is one time step of one of the series."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from ntkrnn.data._cells import shown
from ntkrnn.data._dataset import Raw, padded
from ntkrnn.data._table import Table
from ntkrnn.data._wide import labels_of, refuse_an_index

_EVEN = 1e-6
"""Steps of time that differ by this share of them are even: times are written with few digits."""


def series_of_ids(table: Table) -> Raw:
    """Series in the order in which their ids come first, each sorted by time, with a channel a column.

    Raises:
        ValueError: naming the file and the line, if an id or a time is missing, a time is neither a
            number nor a date, an id has two rows of one time, or a series has two labels.
    """
    refuse_an_index(table)
    times, seconds = _times(table)
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(table.texts["id"]):
        name = text.strip()
        if not name:
            raise ValueError(f"{table.path}, {table.where(row)}: the series has no name in its column.")
        groups.setdefault(name, []).append(row)
    names = list(groups)
    series = [sorted(rows, key=times.__getitem__) for rows in groups.values()]
    for name, rows in zip(names, series, strict=True):
        for a, b in pairwise(rows):
            if times[a] == times[b]:
                raise ValueError(
                    f"{table.path}, {table.where(b)}: series {name!r} has the time "
                    f"{table.texts['time'][b].strip()} again, first in {table.where(a)}; expected one "
                    "row for each time of a series."
                )
    labels, notes = labels_of(table)
    if labels is not None:
        labels = _one_of_each(table, names, series, labels)

    def place(row: int, step: int | None = None, channel: int = 0) -> str:
        return f"series {names[row]!r}" if step is None else table.where(series[row][step], channel)

    return Raw(
        table.path.stem,
        padded(str(table.path), [table.values[rows] for rows in series]),
        None,
        labels,
        f"file {table.path.name}",
        str(table.path),
        place,
        "Fill it in or drop the row; only at the end of a series, in all columns, it is padding.",
        (
            *table.notes,
            f"series told apart by {table.called('id')} and sorted by {table.called('time')}",
            *_uneven(times, series, " s" if seconds else ""),
            *notes,
        ),
    )


def _times(table: Table) -> tuple[list[float], bool]:
    """The time of every row, and whether it is in seconds, from dates."""
    texts = [text.strip() for text in table.texts["time"]]
    where = lambda i: f"{table.path}, {table.where(i)}, column {table.at['time'] + 1}"  # noqa: E731
    dates = bool(texts) and _or_none(_number, texts[0]) is None
    read = _seconds if dates else _number
    values = []
    for row, text in enumerate(texts):
        value = _or_none(read, text)
        if value is None:
            expected = "a date such as 2024-01-31T12:00, as in the first row" if dates else "a number"
            raise ValueError(
                f"{where(row)}: the time is {shown(text) if text else 'empty'}, expected {expected}."
            )
        values.append(value)
    return values, dates


def _or_none(read: Callable[[str], float], text: str) -> float | None:
    try:
        return read(text)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float:
    # Integers stay exact: nanoseconds since 1970 have more digits than a float.
    if re.fullmatch(r"[-+]?[0-9]{1,300}", text):
        return int(text)
    value = float(text.replace("_", "?"))
    if not np.isfinite(value):
        raise ValueError
    return value


def _seconds(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:  # a zone of this machine would have hours twice
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def _uneven(times: list[float], series: list[list[int]], unit: str) -> tuple[str, ...]:
    steps = [float(times[b] - times[a]) for rows in series for a, b in pairwise(rows)]
    if not steps:
        return ()
    low, high = min(steps), max(steps)
    rounding = 4 * np.finfo(float).eps * max(abs(time) for time in times)
    if high - low <= _EVEN * high + rounding:
        return ()
    return (f"steps of time uneven, {low:g} to {high:g}{unit}, of which only the order is used",)


def _one_of_each(
    table: Table, names: list[str], series: list[list[int]], labels: np.ndarray
) -> np.ndarray:
    for name, rows in zip(names, series, strict=True):
        other = [row for row in rows if labels[row] != labels[rows[0]]]
        if other:
            raise ValueError(
                f"{table.path}, {table.where(other[0])}: series {name!r} has the label "
                f"{labels[other[0]]}, and {labels[rows[0]]} in {table.where(rows[0])}; expected one "
                "label for a series."
            )
    return labels[[rows[0] for rows in series]]

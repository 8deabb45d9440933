"""Which rows of a parametrised test the quick suite runs: said beside the test, and checked."""

from __future__ import annotations

from collections.abc import Collection

import pytest


def marked(
    table: Collection,
    quick: Collection | None = None,
    *,
    slow: Collection = (),
    float64: Collection | None = None,
) -> list:
    """Every row of a table as a parameter, with its marks.

    Args:
        table: names, or tuples of arguments.
        quick: the rows of the quick suite; the others are marked slow. ``None``: all of them.
        slow: rows that are slow although ``quick`` has them, where these are fewer to name.
        float64: the quick rows that are quick in float64 too. ``None``: all of them.

    Raises:
        ValueError: a name that is no row of the table, which would choose nothing.
    """
    table = list(table)
    for row in (*(quick or ()), *slow, *(float64 or ())):
        if row not in table:
            raise ValueError(f"marked: got {row!r}, expected one of {table}")

    def mark(row):
        if row in slow or (quick is not None and row not in quick):
            return pytest.mark.slow
        return pytest.mark.float32 if float64 is not None and row not in float64 else ()

    values = [row if isinstance(row, tuple) else (row,) for row in table]
    return [pytest.param(*value, marks=mark(row)) for value, row in zip(values, table, strict=True)]

"""Reads tables of text: rows of numbers, with columns of labels, ids and times where asked for."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ntkrnn.data._cells import numbers
from ntkrnn.data._columns import Roles
from ntkrnn.data._header import first_row, first_row_is_counting, written_whole
from ntkrnn.data._names import steps_only
from ntkrnn.data._text import read_lines

COMMA, TAB = ",", "\t"
_SEPARATORS = {COMMA: "commas", TAB: "tabs"}
_OF_WORDS = (
    " A column of labels is told by its name or position: --label-column NAME|INDEX (label_column)."
)


class Table(NamedTuple):
    """The rows of a table without its header. ``R`` rows, ``C`` columns of values."""

    path: Path
    line: int
    """Of the first row, header or data, counted from 1."""
    names: list[str] | None
    """Of all columns, where there is a header."""
    at: dict[str, int]
    """The columns of labels, ids and times by these words, counted from 0."""
    columns: list[int]
    """``C``: the others."""
    lines: list[int]
    """``R``: lines in the file, counted from 1."""
    values: np.ndarray
    """float64 ``[R, C]``, NaN where missing."""
    texts: dict[str, list[str]]
    """``R`` labels, ids and times, and the first cells of values under "first"."""
    notes: tuple[str, ...]
    """How the first row was read."""

    def where(self, row: int, column: int | None = None) -> str:
        """A line, and a column of values in it, counted from 1 as in the file."""
        line = f"line {self.lines[row]}"
        return line if column is None else f"{line}, column {self.columns[column] + 1}"

    def called(self, role: str) -> str:
        """The column of labels, ids or times, in words."""
        i = self.at[role]
        return f"column {i + 1}" if self.names is None else f"column {self.names[i]!r}"


def read_table(path: Path, delimiter: str, roles: Roles, *, named_by_steps: bool = True) -> Table:
    """Read rows of numbers, with columns of labels, ids and times where they are asked for.

    The first row is a header if it is words, or if a column is asked for by name. One that numbers the
    columns from 0, over numbers with fractions, is skipped too. Blank lines are skipped.

    Args:
        path: the file.
        delimiter: :data:`COMMA` or :data:`TAB`.
        roles: the columns that hold no values.
        named_by_steps: refuse columns of values that have the name of a label, an id or a time.

    Raises:
        ValueError: naming the file, the line and the column of what is not a number, the first row
            whose length differs from that of the first, and a first row that could be header or data.
    """
    rows = _rows(path, delimiter)
    line, first = next(rows, (0, []))
    if not first:
        raise ValueError(f"{path}: the file is empty; expected at least one series.")
    where = f"{path}, line {line}"
    at = roles.find(str(path), first)
    columns = [i for i in range(len(first)) if i not in at.values()]
    if not columns:
        raise ValueError(f"{where}: {_too_narrow(len(first), delimiter)}")
    cells = [(i + 1, first[i].strip()) for i in columns]
    judged = "header" if roles.named else first_row(where, cells, first)
    names, notes, skipped = None, (), 0
    if judged == "header":
        names, notes = [cell.strip() for cell in first], ("header skipped",)
        if named_by_steps:
            steps_only(where, cells, roles.long)
    else:
        rows = itertools.chain([(line, first)], rows)
    lines, values, texts, whole = _body(path, rows, line, len(first), columns, at)
    if judged != "header" and first_row_is_counting(where, judged, first, whole[1:]):
        skipped, notes = 1, ("first row skipped, which numbers the columns from 0",)
    if len(lines) == skipped:
        raise ValueError(
            f"{path}: has only the line {delimiter.join(first)[:60]!r}, which holds no number; "
            "expected one series of numbers a row."
        )
    texts = {role: column[skipped:] for role, column in texts.items()}
    values = np.stack(values[skipped:])
    return Table(path, line, names, at, columns, lines[skipped:], values, texts, notes)


def _body(
    path: Path,
    rows: Iterable[tuple[int, list[str]]],
    first_line: int,
    width: int,
    columns: list[int],
    at: dict[str, int],
) -> tuple[list[int], list[np.ndarray], dict[str, list[str]], list[bool]]:
    """Of every row its line, numbers, texts, and whether its numbers are written as whole ones."""
    lines: list[int] = []
    values: list[np.ndarray] = []
    texts: dict[str, list[str]] = {role: [] for role in (*at, "first")}
    whole: list[bool] = []
    for line, row in rows:
        if len(row) != width:
            raise ValueError(
                f"{path}, line {line}: the row has {len(row)} cells, expected {width} as in line "
                f"{first_line}; pad shorter series with NaN or empty cells at the end."
            )
        mine = [row[i] for i in columns]
        place = lambda i, line=line: f"{path}, line {line}, column {columns[i] + 1}"  # noqa: E731
        values.append(np.array(numbers(mine, place, _OF_WORDS)))
        lines.append(line)
        whole.append(written_whole(mine))
        for role, i in (*at.items(), ("first", columns[0])):
            texts[role].append(row[i])
    return lines, values, texts, whole


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of every row that is not blank."""
    # A quoted cell may go on in the next line, so that the reader wants line ends.
    reader = csv.reader((f"{line}\n" for line in read_lines(path)), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: not separated by {_SEPARATORS[delimiter]} ({error})."
        ) from None


def _too_narrow(width: int, delimiter: str) -> str:
    if width == 1:
        return (
            f"has one column, expected more, separated by {_SEPARATORS[delimiter]}; a .csv is "
            "separated by commas, a .tsv by tabs, with a label and then the values in every row."
        )
    return "has no column left for values, beside those of labels, ids and times."

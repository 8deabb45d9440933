"""The columns of a table that hold labels, ids and times, as they are asked for."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from ntkrnn.data._messages import near


class Roles(NamedTuple):
    """The columns that hold no values, by name or by position; None where there is none."""

    label: str | int | None = None
    id: str | int | None = None
    time: str | int | None = None

    @classmethod
    def of(cls, label_column: Any, long: Any) -> Roles:
        """The columns of the arguments ``label_column`` and ``long`` of :func:`ntkrnn.data.load`.

        Raises:
            TypeError, ValueError: naming the argument that is no column, or not two of them.
        """
        label = None if label_column is None else _column("label_column", label_column)
        if long is None:
            return cls(label)
        pair = long.split(",") if isinstance(long, str) else long
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(
                f"long: got {long!r}, expected two columns, that of the series and that of the time: "
                "'ID,TIME' or a pair."
            )
        return cls(label, _column("long", pair[0]), _column("long", pair[1]))

    @property
    def long(self) -> bool:
        """Whether a row is one time step rather than a series."""
        return self.id is not None

    @property
    def named(self) -> bool:
        """Whether a column is asked for by name, so that the first row must be a header."""
        return any(isinstance(column, str) for column in self)

    def find(self, where: str, first: list[str]) -> dict[str, int]:
        """The columns, counted from 0, in a table whose first row is this.

        Raises:
            ValueError: naming the argument and the file, if one is not there, or is asked for twice.
        """
        at: dict[str, int] = {}
        for role, column in self._asdict().items():
            if column is not None:
                argument = "label_column" if role == "label" else "long"
                i = _position(argument, column, where, [cell.strip() for cell in first])
                if i in at.values():
                    raise ValueError(
                        f"{argument}: {column!r} is column {i + 1} of {where}, which is asked for "
                        "twice; the series, the time and the label are columns of their own."
                    )
                at[role] = i
        return at


def _column(argument: str, value: Any) -> str | int:
    if isinstance(value, str):
        text = value.strip()
        if not text:
            raise ValueError(f"{argument}: got {value!r}, expected the name or position of a column.")
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
            return text
        value = int(text)
    try:
        position = operator.index(value)
    except TypeError:
        position = None
    if position is None or isinstance(value, bool):
        raise TypeError(
            f"{argument}: got {value!r} of type {type(value).__name__}, expected the name of a column "
            "or its position."
        )
    if position == 0:
        raise ValueError(
            f"{argument}: got 0; columns are counted from 1, or from the end, where the last is -1."
        )
    return position


def _position(argument: str, column: str | int, where: str, cells: list[str]) -> int:
    width = len(cells)
    if isinstance(column, int):
        if abs(column) > width:
            raise ValueError(
                f"{argument}: got {column}, but {where} has {width} columns; expected 1 to {width}, or "
                f"-{width} to -1 from the end."
            )
        return column - 1 if column > 0 else width + column
    at = [i for i, cell in enumerate(cells) if cell == column]
    if len(at) != 1:
        has = "no column" if not at else f"{len(at)} columns"
        listed = ", ".join(cells[:12]) + (", ..." if width > 12 else "")
        raise ValueError(
            f"{argument}: {where} has {has} named {column!r}; its first line is {listed[:200]}."
            f"{near(column, cells)} Columns without a name are given by their position, from 1."
        )
    return at[0]

"""Records of systems: inputs and an output at every step, as tables have them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ntkrnn.data._columns import Roles
from ntkrnn.data._dataset import Raw, count, cut, in_steps
from ntkrnn.data._labels import text_labels
from ntkrnn.data._long import series_of_ids
from ntkrnn.data._settle import settle
from ntkrnn.data._table import COMMA, TAB, Table, read_table
from ntkrnn.data._told import regular_file, told

SEPARATORS = {".csv": COMMA, ".tsv": TAB}


class Records(NamedTuple):
    """Inputs and outputs of R records.

    Attributes:
        name: of the file.
        x: float64 ``[R, T, d]``, the inputs; zero in the padding.
        y: float64 ``[R, T]``, the output; zero in the padding.
        lengths: int ``[R]`` or None where all records have T steps.
        target: name or position of the output's column.
        source: in words.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    lengths: np.ndarray | None
    target: str
    source: str

    def describe(self) -> str:
        """One line for people."""
        many, inputs = count(len(self.x), "record"), count(self.x.shape[2], "input")
        return (
            f"{self.name}: {many} of {in_steps(self.x, self.lengths)}, {inputs}, output {self.target}"
        )


def records(path: str | os.PathLike[str], *, target: str | int, long: Any = None) -> Records:
    """Read records of a system from a table with one time step a row, in the order of time.

    Args:
        path: a ``.csv`` or ``.tsv`` with a header, or without one.
        target: the column of the output, by its name in the header or by its position, counted from 1,
            or from the end as -1. All other columns are inputs.
        long: the columns of records and times, ``"ID,TIME"`` or a pair, where there are several
            records; without it the rows are one record.

    Raises:
        TypeError, ValueError: naming the argument, or the file and the line.
        OSError: if the file is not there or cannot be read.

    Example:
        >>> import pathlib, tempfile
        >>> from ntkrnn.data import records
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "pump.csv")
        ...     _ = path.write_text("voltage,level\\n1.5,0.0\\n0.5,0.25\\n0.5,0.3\\n")
        ...     print(records(path, target="level").describe())
        pump: 1 record of 3 steps, 1 input, output level
    """
    if target is None:
        raise ValueError("target: got None, expected the name or position of the output's column.")
    found = regular_file("data", path)
    separator = SEPARATORS.get(found.suffix.lower())
    if separator is None:
        raise ValueError(
            f"data: {found} has the suffix {found.suffix!r}, expected a table of steps: .csv or .tsv."
        )
    with told(str(found)), _called_target():
        table = read_table(found, separator, Roles.of(target, long))
        where = lambda i: f"{found}, {table.where(i)}, column {table.at['label'] + 1}"  # noqa: E731
        outputs = text_labels(table.texts["label"], where, real=True)
        called = table.called("label").removeprefix("column ").strip("'")
        raw = settle(_with_output(table, outputs))
    x, lengths = cut(np.nan_to_num(raw.x.astype(np.float64)), raw.lengths)
    return Records(raw.name, x[:, :, :-1], x[:, :, -1], lengths, called, raw.source)


@contextlib.contextmanager
def _called_target() -> Iterator[None]:
    """The output's column is read as that of labels is, and has another name."""
    try:
        yield
    except (TypeError, ValueError) as error:
        text = re.sub("^label_column", "target", str(error)).replace("the label is", "the output is")
        raise type(error)(text.replace("or drop the series", "or drop the row")) from None


def _with_output(table: Table, outputs: np.ndarray) -> Raw:
    """Every record with the output as its last channel."""
    label = table.at["label"]
    table = table._replace(
        at={role: i for role, i in table.at.items() if role != "label"},
        columns=[*table.columns, label],
        values=np.column_stack([table.values, outputs]),
    )
    if "id" in table.at:
        return series_of_ids(table)
    where = lambda row, step=None, channel=0: (  # noqa: E731
        f"line {table.lines[0]} and after" if step is None else table.where(step, channel)
    )
    return Raw(
        table.path.stem,
        table.values[None],
        None,
        None,
        f"file {table.path.name}",
        str(table.path),
        where,
        "Fill it in; only at the end of a record, in all columns, it is padding.",
        table.notes,
    )

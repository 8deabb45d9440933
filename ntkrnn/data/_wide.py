"""A table with a series a row."""

from __future__ import annotations

import numpy as np

from ntkrnn.data._dataset import Raw
from ntkrnn.data._labels import text_labels
from ntkrnn.data._table import Table


def series_of_rows(table: Table, *, real: bool | None = None) -> Raw:
    """Univariate series, one of each row, with labels where a column has them.

    Args:
        table: of :func:`ntkrnn.data._table.read_table`.
        real: of :func:`ntkrnn.data._labels.text_labels`.

    Raises:
        ValueError: naming the file and the line, if the first column counts the rows, or a label is
            missing.
    """
    refuse_an_index(table)

    def place(row: int, step: int | None = None, channel: int = 0) -> str:
        del channel
        return table.where(row) if step is None else f"{table.where(row, step)} (step {step + 1})"

    labels, notes = labels_of(table, real)
    return Raw(
        table.path.stem,
        table.values[:, :, None],
        None,
        labels,
        f"file {table.path.name}",
        str(table.path),
        place,
        "Fill it in or drop the series; only at the end of a row NaN, '?' and empty cells are padding.",
        (*table.notes, *notes),
    )


def labels_of(table: Table, real: bool | None = None) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The label of every row, and how it was read; None and nothing where no column has them."""
    if "label" not in table.at:
        return None, ()
    where = lambda i: f"{table.path}, {table.where(i)}, column {table.at['label'] + 1}"  # noqa: E731
    return text_labels(table.texts["label"], where, real), (f"labels from {table.called('label')}",)


def refuse_an_index(table: Table) -> None:
    """An index of the rows is no value: a column without a name, or the first if it counts the rows.

    Raises:
        ValueError: naming the file and the column.
    """
    rows, width = table.values.shape
    drop = "Drop the column; pandas leaves an index out with index=False."
    for i, column in enumerate(table.columns):
        if table.names and not table.names[column] and not np.isnan(table.values[:, i]).all():
            raise ValueError(
                f"{table.path}, line {table.line}, column {column + 1}: a column without a name, as an "
                f"index of the rows has it, would be read as values of a series. {drop}"
            )
    texts = [text.strip() for text in table.texts["first"]]
    counts = any(texts == [str(i + least) for i in range(rows)] for least in (0, 1))
    others = table.values[:, 1:]
    fractions = (np.isfinite(others) & (others != np.round(others))).any(axis=0).all()
    # Windows of 0, 1, 2, ... count as well, in every column.
    windows = (np.diff(others, axis=0) == 1).all()
    if width > 1 and counts and ((rows > 2 and fractions) or (rows > 4 and not windows)):
        raise ValueError(
            f"{table.path}, column {table.columns[0] + 1}: counts the rows, {texts[0]} to {texts[-1]}, "
            f"and would be read as values of a series. {drop} If it is no index, write its first "
            f"number as {texts[0]}.0."
        )

"""Reads UCR ``.tsv``: a label, then one univariate series, on every row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ntkrnn.data._dataset import Raw, from_list, tidy_labels
from ntkrnn.data._messages import number, read_text


def read_tsv(path: Path) -> Raw:
    """Read the layout of the UCR archive: tab-separated, the class label first.

    Series of unequal length are padded with NaN at the end of the row, as the archive does it;
    those NaN become padding. A NaN with a number after it is a missing value and is refused later,
    where every source is checked for finite numbers.

    Args:
        path: the file.

    Returns:
        Sequences ``[N, T, 1]`` with labels.

    Raises:
        ValueError: naming the file, the line and the column.
    """
    series: list[np.ndarray] = []
    labels: list[str] = []
    cells_before = 0
    for line, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        label, *cells = text.rstrip("\r\n").split("\t")
        if not cells:
            raise ValueError(
                f"{path}, line {line}: has one column, expected a label and then the values, "
                "separated by tabs; comma-separated series without labels are a .csv."
            )
        if not label.strip():
            raise ValueError(f"{path}, line {line}, column 1: the label is empty.")
        if cells_before and len(cells) != cells_before:
            raise ValueError(
                f"{path}, line {line}: the row has {len(cells)} values, expected {cells_before} as "
                "in the rows before it; pad the shorter series with NaN at the end."
            )
        cells_before = len(cells)
        values = np.array(
            [number(cell, f"{path}, line {line}, column {c}") for c, cell in enumerate(cells, 2)]
        )
        present = np.flatnonzero(~np.isnan(values))
        if not present.size:
            raise ValueError(
                f"{path}, line {line}: every value is NaN; expected at least one valid step."
            )
        series.append(values[: present[-1] + 1, None])
        labels.append(label.strip())
    return from_list(path.stem, series, tidy_labels(labels), f"file {path.name}")

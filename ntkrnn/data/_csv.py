"""Reads ``.csv``: one univariate series a row, all of one length."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ntkrnn.data._dataset import Raw
from ntkrnn.data._messages import number, read_text


def read_csv(path: Path) -> Raw:
    """Read comma-separated series of equal length.

    A first row none of whose cells is a number is a header and is skipped; blank lines are
    skipped too.

    Args:
        path: the file.

    Returns:
        Sequences ``[N, T, 1]`` without labels.

    Raises:
        ValueError: naming the file, the line and the column of what is not a number, or the first
            row whose length differs from that of the first.
    """
    lines: list[tuple[int, list[str]]] = []
    reader = csv.reader(read_text(path).splitlines())
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not comma-separated ({error}).") from None
    if not any(_is_number(cell) for cell in lines[0][1]):
        header = lines.pop(0)[1]
        if not lines:
            raise ValueError(
                f"{path}: has only the line {','.join(header)[:60]!r}, which holds no number; "
                "expected one series of comma-separated numbers a row."
            )
    first_line, first = lines[0]
    for line, cells in lines:
        if len(cells) != len(first):
            raise ValueError(
                f"{path}, line {line}: the row has {len(cells)} values, expected {len(first)} "
                f"as in line {first_line}; a .csv holds series of one length. Series of unequal "
                "length go in a .npz (X and lengths), a .tsv (padded with NaN) or a .ts file."
            )
    values = [
        [number(cell, f"{path}, line {line}, column {c}") for c, cell in enumerate(cells, 1)]
        for line, cells in lines
    ]
    return Raw(path.stem, np.array(values)[:, :, None], None, None, f"file {path.name}")


def _is_number(cell: str) -> bool:
    try:
        number(cell, "")
    except ValueError:
        return False
    return True

"""Whether the first row of a table names its columns or is data; what could be either is refused."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Literal

from ntkrnn.data._cells import hint, kind_of, shown

_WHOLE = re.compile(r"[-+0-9\s]*")
First = Literal["header", "data", "counting", "even"]


def first_row(where: str, cells: Sequence[tuple[int, str]], row: Sequence[str]) -> First:
    """What the first row is, by its own cells.

    Args:
        where: file and line, to open a message.
        cells: the column, counted from 1, and the text of every cell that is no label, id or time.
        row: all of its cells.

    Returns:
        "header": words; "data": numbers; "counting": 0, 1, 2, ..., which pandas writes on top of a
        table without names; "even": other whole numbers at even distances, such as years.

    Raises:
        ValueError: if it is neither words nor numbers.
    """
    kinds = [kind_of(text) for _, text in cells]
    for (column, text), kind in zip(cells, kinds, strict=True):
        if kind == "broken":
            raise ValueError(
                f"{where}, column {column}: got {shown(text)} in the first row, which is neither a "
                f"number nor the name of a column{hint(text)}. A header has letters in every name."
            )
    if "number" not in kinds:
        if "word" in kinds:
            return "header"
        raise ValueError(
            f"{where}: the first row holds neither a number nor a name; remove the line, or fill it in."
        )
    if "word" in kinds:
        column, text = cells[kinds.index("word")]
        raise ValueError(
            f"{where}, column {column}: got {shown(text)} beside numbers in the first row, expected "
            "numbers in every cell of a row of data, or a name in every cell of a header. A column of "
            f"labels is told by --label-column {column} (label_column={column})."
        )
    texts = [text.strip() for _, text in cells]
    if len(texts) > 2 and not texts[0] and texts[1:] == [str(i) for i in range(len(texts) - 1)]:
        raise ValueError(
            f"{where}: the first row is a header that pandas writes beside its index; write the table "
            "with to_csv(index=False, header=False)."
        )
    for counted in (texts, [text.strip() for text in row]):
        if counted == [str(i) for i in range(len(counted))]:
            return "counting"
    return "even" if len(texts) > 2 and _even(texts) else "data"


def first_row_is_counting(where: str, first: First, row: Sequence[str], whole: Sequence[bool]) -> bool:
    """Whether a first row of numbers only counts the columns, knowing the others.

    Args:
        where: file and line, to open a message.
        first: of :func:`first_row`, not "header".
        row: all of its cells.
        whole: of every other row, whether all of its cells are written as whole numbers.

    Raises:
        ValueError: if it could count the columns and could be a series.
    """
    if first == "data" or not whole or (first == "even" and (any(whole) or len(whole) < 2)):
        return False
    if first == "counting" and not any(whole) and len(row) > 2:
        return True
    start = ",".join(text.strip() for text in row[:4]) + (",..." if len(row) > 4 else "")
    raise ValueError(
        f"{where}: the first row {start} may number the columns, as pandas writes it without "
        "header=False, or hold values. Remove the line if it numbers them; otherwise write its numbers "
        "with a point, such as 1.0."
    )


def written_whole(cells: Sequence[str]) -> bool:
    """Whether all cells are written as whole numbers."""
    return _WHOLE.fullmatch(" ".join(cells)) is not None


def _even(texts: list[str]) -> bool:
    if not all(re.fullmatch(r"0|[1-9][0-9]{0,8}", text) for text in texts):
        return False
    values = [int(text) for text in texts]
    distances = {b - a for a, b in itertools.pairwise(values)}
    return len(distances) == 1 and distances.pop() > 0

"""Cells of a text file: numbers, missing values, words, and what only looks like a number."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import nan
from typing import Literal

Kind = Literal["number", "missing", "broken", "word"]

MISSING_WORDS = ("na", "n/a", "#n/a", "null", "none", "-", "--")
"""Missing values as other programs write them. They are words too, and no number is read from them."""
_NUMBER_LIKE = re.compile(r"[-+.]?\d[-+\d.,;:_'%$€£\s]*[eE][-+\d.,;:_'%$€£\s]*")
_DATE_OR_HOUR = re.compile(
    r"\d{4}[-/]\d{1,2}([-/]\d{1,2}([ T]\d.*)?)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}(:\d{2}){1,2}"
)


def parse(cell: str) -> float:
    """The number in a cell; NaN for an empty cell and for ``?``.

    Raises:
        ValueError: if it is neither.
    """
    text = cell.strip()
    if text in ("", "?"):
        return nan
    if "_" in text:  # Python reads 1_0 as 10; in a data file it is a slip.
        raise ValueError
    return float(text)


def numbers(cells: Sequence[str], where: Callable[[int], str], of_words: str = "") -> list[float]:
    """All cells as numbers, NaN where missing.

    Args:
        cells: texts.
        where: ``where(i)`` opens a message about the i-th.
        of_words: what to do about one that is a word.

    Raises:
        ValueError: for the first cell that is none.
    """
    try:
        return [parse(cell) for cell in cells]
    except ValueError:
        for i, cell in enumerate(cells):
            if kind_of(cell) not in ("number", "missing"):
                remedy = of_words if kind_of(cell) == "word" else ""
                raise ValueError(
                    f"{where(i)}: got {shown(cell)}, expected a number{hint(cell)}.{remedy}"
                ) from None
        raise


def kind_of(cell: str) -> Kind:
    """What a cell holds; a word has letters or is a date, and "broken" is none of the others.

    Example:
        >>> [kind_of(cell) for cell in ("1e3", "?", "1;2", "NA", "2024-01-31", "width")]
        ['number', 'missing', 'broken', 'broken', 'word', 'word']
    """
    text = cell.strip()
    try:
        value = parse(text)
    except ValueError:
        if _DATE_OR_HOUR.fullmatch(text):
            return "word"
        named = any(map(str.isalpha, text)) and text.lower() not in MISSING_WORDS
        return "word" if named and not _NUMBER_LIKE.fullmatch(text) else "broken"
    return "missing" if value != value else "number"


def shown(cell: str) -> str:
    """A cell as a message quotes it."""
    text = cell.strip()
    return repr(text if len(text) <= 40 else text[:37] + "...") if text else "an empty cell"


def hint(cell: str) -> str:
    """What to write instead of a cell that is no number, to follow "expected a number"."""
    text = cell.strip()
    if text.lower() in MISSING_WORDS:
        return "; write a missing value as NaN, or leave the cell empty"
    if kind_of(text) != "broken":
        return ""
    if ";" in text or "\t" in text:
        return "; separate values by commas, and write decimals with a point"
    if "," in text:
        return "; write decimals with a point and thousands without a comma, such as 1.5 and 1000"
    return "; write plain numbers, such as 1000 or 1.5e3"

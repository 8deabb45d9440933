"""Labels: whole numbers or text for classes, float64 for real numbers, missing ones never."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from ntkrnn.data._cells import MISSING_WORDS, shown

_EXACT = 2**53
"""Whole numbers below it are float64 numbers."""
_PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?", re.ASCII)
"""Numbers that are not codes: 01 is one."""


def text_labels(
    texts: Sequence[str], where: Callable[[int], str], real: bool | None = None
) -> np.ndarray:
    """Labels as written, or as the numbers that they are.

    Whole numbers become integers, unless that makes one class of two (1 and 1.0) or drops the zeros
    of a code (01); then all stay text.

    Args:
        texts: labels as the file has them.
        where: ``where(i)`` opens a message about the i-th.
        real: True: real numbers, as float64. False: classes; fractions stay text. None: classes,
            or real numbers if all are numbers and one has a fraction.

    Raises:
        ValueError: for a missing label, and for one that is not finite where labels are numbers.

    Example:
        >>> place = "line {}".format
        >>> text_labels(["2", "10"], place).tolist(), text_labels(["01", "1"], place).tolist()
        ([2, 10], ['01', '1'])
        >>> text_labels(["0.5", "2"], place).tolist()
        [0.5, 2.0]
    """
    texts = [text.strip() for text in texts]
    numbers = [_number(text) for text in texts]
    missing = [text.lower() in MISSING_WORDS for text in texts]
    numeric = real or not any(
        number is None and not none for number, none in zip(numbers, missing, strict=True)
    )
    for i, (text, number, none) in enumerate(zip(texts, numbers, missing, strict=True)):
        absent = text in ("", "?") or (number is not None and math.isnan(number))
        if absent or (numeric and (none or number is None or math.isinf(number))):
            raise ValueError(
                f"{where(i)}: the label is {shown(text) if text else 'empty'}, expected "
                f"{'a finite number' if numeric else 'a class'}; fill it in, or drop the series."
            )
    values = [number for number in numbers if number is not None]
    if real or (real is None and numeric and not all(map(float.is_integer, values))):
        return np.array(values)
    whole = numeric and all(v.is_integer() and abs(v) < _EXACT for v in values)
    if whole and all(map(_PLAIN.fullmatch, texts)) and len(set(texts)) == len(set(values)):
        return np.array([int(value) for value in values])
    return np.array(texts)


def array_labels(y: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    """Labels of an array as the same: integers or text for classes, float64 where a fraction is.

    Args:
        y: ``[N]``.
        where: ``where(i)`` opens a message about the i-th.

    Raises:
        ValueError: if they are of another kind, missing, or not finite.
    """
    if y.dtype.kind in "iub":
        return y.astype(y.dtype.newbyteorder("="))
    if y.dtype.kind == "f":
        with np.errstate(over="ignore"):
            bad = np.flatnonzero(~np.isfinite(y.astype(np.float64)))
        if bad.size:
            raise ValueError(
                f"{where(int(bad[0]))} is {y[bad[0]]}, expected a finite number; fill it in, or drop "
                "the series."
            )
        y = y.astype(np.float64)
        whole = bool((y == np.round(y)).all() and (np.abs(y) < _EXACT).all())
        return y.astype(np.int64) if whole else y
    if y.dtype.kind == "S":
        y = np.strings.decode(y, "utf-8", "backslashreplace")
    text_labels(y.tolist(), where, real=False)  # for what is missing; text stays text
    return y.astype(y.dtype.newbyteorder("="))


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None

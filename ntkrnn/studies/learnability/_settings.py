"""What the settings of all experiments have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ntkrnn import _checks
from ntkrnn.studies.checks import check_seed

FROM_ZERO = ("skip",)
AT_LEAST_TWO = ("seeds", "repetitions")
"""Numbers of runs over which there is an interval."""


class Sizes:
    """A base of frozen dataclasses that checks every field by its annotation.

    Whole numbers are at least 1, and at least 2 where an interval is over them; floats are finite; a
    tuple has every entry once, and of numbers at least one. The field ``seed`` is at least 0.

    Raises:
        TypeError, ValueError: naming the field, what came and what was expected.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Settings(Sizes):
        ...     widths: tuple[int, ...] = (8, 16)
        >>> Settings(widths=(8, 0))
        Traceback (most recent call last):
        ValueError: widths: got 0, expected a whole number of at least 1.
    """

    def __post_init__(self) -> None:
        """Check the fields."""
        for field in dataclasses.fields(self):  # pyright: ignore[reportArgumentType]
            _check(field.name, getattr(self, field.name), str(field.type))


def _check(name: str, value: Any, annotation: str) -> None:
    if name == "seed":
        check_seed(value)
    elif annotation.startswith("tuple["):
        kind = annotation.removeprefix("tuple[").partition(",")[0]
        if not isinstance(value, tuple) or not (value or kind == "str") or len(set(value)) < len(value):
            raise ValueError(f"{name}: got {value!r}, expected a tuple, every entry once.")
        for entry in value:
            _KINDS[kind](name, entry)
    else:
        _KINDS[annotation](name, value)


def _whole(name: str, value: Any) -> None:
    if name in FROM_ZERO:
        _checks.whole_number(name, value)
    elif _checks.positive_integer(name, value) < 2 and name in AT_LEAST_TWO:
        raise ValueError(f"{name}: got 1, expected at least 2; an interval over them needs two.")


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name}: got {value!r} of type {type(value).__name__}, expected a name.")


_KINDS: dict[str, Callable[[str, Any], Any]] = {
    "int": _whole,
    "float": _checks.finite_float,
    "str": _text,
}

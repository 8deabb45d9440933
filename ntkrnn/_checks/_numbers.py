"""Single numbers, names out of a list, and True or False."""

from __future__ import annotations

import math
import operator
from typing import Any

import jax
import numpy as np

from ntkrnn._compat import is_traced

_LARGEST_SCALE = 1e154
"""Scales enter the kernels by their squares."""


def described(value: Any) -> str:
    """What came, short enough for a message: a whole array is described by its shape."""
    if getattr(value, "ndim", 0):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} of type {type(value).__name__}"


def positive_integer(name: str, value: Any) -> int:
    """``value`` as an int, at least 1."""
    return _integer(name, value, 1)


def whole_number(name: str, value: Any) -> int:
    """``value`` as an int, at least 0."""
    return _integer(name, value, 0)


def _integer(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except (TypeError, jax.errors.JAXTypeError):
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name}: got {described(value)}, expected a whole number of at least {least}; pass for "
            f"example {name}={least}."
        )
    if number < least:
        raise ValueError(f"{name}: got {number}, expected a whole number of at least {least}.")
    return number


def _number(name: str, value: Any, expected: str) -> float:
    """``value`` as a float, NaN and infinity included.

    Raises:
        TypeError: if it is no real number.
        ValueError: if no float is as large.
    """
    try:
        if isinstance(value, (str, bytes, bool, np.bool_, complex, np.complexfloating)):
            raise TypeError
        if getattr(value, "ndim", 0) or getattr(getattr(value, "dtype", None), "kind", "f") in "mMbc":
            raise TypeError
        return float(value)
    except OverflowError:
        raise ValueError(
            f"{name}: got a number beyond the range of floats, expected {expected}."
        ) from None
    except (TypeError, ValueError, jax.errors.JAXTypeError):
        raise TypeError(f"{name}: got {described(value)}, expected {expected}.") from None


def finite_float(name: str, value: Any) -> float:
    """``value`` as a finite float of either sign."""
    number = _number(name, value, "a finite number")
    if not math.isfinite(number):
        raise ValueError(f"{name}: got {number}, expected a finite number.")
    return number


def nonnegative_float(name: str, value: Any) -> Any:
    """``value`` as a finite float, at least 0; a scalar that is being traced passes as it is."""
    if isinstance(value, jax.Array) and value.ndim == 0 and is_traced(value):
        return value
    number = _number(name, value, "a finite number of at least 0")
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name}: got {number}, expected a finite number of at least 0.")
    return number


def scale(name: str, value: Any) -> Any:
    """``value`` as a float of at least 0 whose square is one too; a traced scalar passes as it is."""
    number = nonnegative_float(name, value)
    if isinstance(number, float) and number > _LARGEST_SCALE:
        raise ValueError(
            f"{name}: got {number:g}, whose square is no float any more, expected a scale of at most "
            f"{_LARGEST_SCALE:g}."
        )
    return number


def fraction(name: str, value: Any) -> Any:
    """``value`` as a float between 0 and 1; a scalar that is being traced passes as it is."""
    number = nonnegative_float(name, value)
    if isinstance(number, float) and number > 1:
        raise ValueError(f"{name}: got {number}, expected a number between 0 and 1.")
    return number


def positive_float(name: str, value: Any) -> float:
    """``value`` as a finite float above 0."""
    number = _number(name, value, "a finite number above 0")
    if not math.isfinite(number) or number <= 0:
        raise ValueError(f"{name}: got {number}, expected a finite number above 0.")
    return number


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """``value`` if it is one of the options."""
    if not isinstance(value, str) or value not in options:
        came = repr(value) if isinstance(value, str) else described(value)
        raise ValueError(f"{name}: got {came}, expected one of {options}.")
    return value


def boolean(name: str, value: Any) -> bool:
    """``value`` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: got {described(value)}, expected True or False.")
    return bool(value)

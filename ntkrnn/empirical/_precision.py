"""The precision of inner products."""

from __future__ import annotations

from typing import Any

from jax.lax import Precision

_NAMED = {"highest": Precision.HIGHEST, "high": Precision.HIGH, "default": Precision.DEFAULT}


def precision_of(value: Any) -> Precision:
    """``value`` as a :class:`jax.lax.Precision`.

    Raises:
        ValueError: if it is neither one nor the name of one.

    Example:
        >>> precision_of("highest").name
        'HIGHEST'
    """
    if isinstance(value, Precision):
        return value
    if isinstance(value, str) and value.lower() in _NAMED:
        return _NAMED[value.lower()]
    raise ValueError(
        f"precision: got {value!r}, expected a jax.lax.Precision or one of {tuple(_NAMED)}; "
        "'default' is fastest, and on GPUs and TPUs keeps three digits."
    )

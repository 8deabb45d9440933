"""Series of the named nonlinearities, so that nobody waits for the search that found them.

``tests/test_steppers.py`` searches again and compares.
"""

from __future__ import annotations

from typing import NamedTuple

from ntkrnn._nonlinearities import DEFAULT_MAX_VARIANCE, Nonlinearity


class Series(NamedTuple):
    """What ``ntkrnn.dual._hermite`` and ``ntkrnn.dual._thinning`` find at the default variance."""

    orders: tuple[int, int, int]
    """``range(*orders)`` of the terms."""
    nodes: int
    """Of the quadrature."""
    tail: float
    """Relative tail left out."""
    thinning: tuple[int, float]
    """How many orders stand for themselves, and by about which ratio the powers after them grow."""


SERIES: dict[tuple[str, str], Series] = {
    ("tanh", "float32"): Series((1, 212, 2), 257, 2.779e-08, (8, 1.12)),
    ("sigmoid", "float32"): Series((0, 57, 1), 129, 2.593e-08, (10, 1.25)),
    ("softplus", "float32"): Series((0, 36, 1), 65, 2.093e-08, (8, 1.25)),
    ("silu", "float32"): Series((0, 54, 1), 129, 2.821e-08, (8, 1.25)),
    ("tanh", "float64"): Series((1, 536, 2), 513, 9.499e-14, (268, 1.0)),
    ("sigmoid", "float64"): Series((0, 141, 1), 257, 8.92e-14, (141, 1.0)),
    ("softplus", "float64"): Series((0, 100, 1), 1025, 7.941e-14, (100, 1.0)),
    ("silu", "float64"): Series((0, 138, 1), 257, 7.912e-14, (138, 1.0)),
}
"""By name and dtype."""


def series_of(spec: str | Nonlinearity, dtype_name: str) -> Series | None:
    """The series of a named function at the default ``max_variance``, None for every other one."""
    if isinstance(spec, Nonlinearity):
        if spec.fn is not None or spec.max_variance != DEFAULT_MAX_VARIANCE:
            return None
        spec = spec.name
    return SERIES.get((spec, dtype_name))

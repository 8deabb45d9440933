"""Series of the named nonlinearities, so that nobody waits for the search that found them.

``tests/test_steppers.py`` searches again and compares.
"""

from __future__ import annotations

from typing import NamedTuple

from ntkrnn.dual._value import DEFAULT_MAX_VARIANCE, Nonlinearity


class Series(NamedTuple):
    """What ``ntkrnn.dual._hermite`` and ``ntkrnn.dual._thinning`` find at the default variance."""

    orders: tuple[int, int, int]
    """``range(*orders)`` of the terms."""
    nodes: int
    """Of the quadrature."""
    tail: float
    """Relative tail left out."""
    powers: tuple[int, ...] = ()
    """What is kept of the orders in float32."""


SERIES: dict[tuple[str, str], Series] = {
    ("tanh", "float32"): Series(
        (1, 212, 2),
        257,
        2.779e-08,
        (
            1,
            3,
            5,
            7,
            9,
            11,
            13,
            15,
            17,
            19,
            21,
            23,
            25,
            27,
            29,
            31,
            33,
            35,
            37,
            39,
            43,
            47,
            51,
            59,
            67,
            83,
            147,
            211,
        ),
    ),
    ("sigmoid", "float32"): Series(
        (0, 57, 1), 129, 2.593e-08, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 19, 23, 55, 56)
    ),
    ("softplus", "float32"): Series(
        (0, 36, 1), 65, 2.093e-08, (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 14, 18, 34, 35)
    ),
    ("silu", "float32"): Series(
        (0, 54, 1), 129, 2.821e-08, (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 36, 52, 53)
    ),
    ("tanh", "float64"): Series((1, 536, 2), 513, 9.499e-14),
    ("sigmoid", "float64"): Series((0, 141, 1), 257, 8.92e-14),
    ("softplus", "float64"): Series((0, 100, 1), 1025, 7.941e-14),
    ("silu", "float64"): Series((0, 138, 1), 257, 7.912e-14),
}
"""By name and dtype."""


def series_of(spec: str | Nonlinearity, dtype_name: str) -> Series | None:
    """The series of a named function at the default ``max_variance``, None for every other one."""
    if isinstance(spec, Nonlinearity):
        if spec.fn is not None or spec.max_variance != DEFAULT_MAX_VARIANCE:
            return None
        spec = spec.name
    return SERIES.get((spec, dtype_name))

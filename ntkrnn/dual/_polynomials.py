r"""Polynomials for the inverse trigonometric functions that kernels spend their time in.

``arcsin`` and ``arccos`` of a compiler are calls or long branches; what the recursions need are four
smooth factors of them, which a short polynomial gives to about the last bit, without a branch::

    arcsin(sqrt m)/sqrt m                        on [0, 1/2]
    (sin t - t cos t)/m^(3/2), m = sin^2(t/2)    on [0, 1/2]
    (t - sin t)/(m sin t), alike                 on [0, 1/2]
    arctan(sqrt u)/sqrt u                        on [0, 1]

Each polynomial interpolates at Chebyshev points. Nodes, values and the change to powers of the
argument are worked out with 50 digits when a polynomial is first asked for, since in double precision
the change of basis alone would cost an ulp per term. The largest errors of compiled code, 1.2 ulp in
float32 and 1.1 in float64, are measured by ``tests/test_polynomials.py``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from decimal import Decimal, localcontext

from ntkrnn._types import Array

_DIGITS = 50
_TERMS = 180
"""Terms of the series below: 2^-180 is left out."""

Series = Callable[[Decimal], Decimal]


def _arcsine_factor(m: Decimal) -> Decimal:
    """``sum_k a_k m^k`` with ``a_k = (2k)!/(4^k k!^2 (2k+1))``."""
    total, binomial = Decimal(0), Decimal(1)
    for k in range(_TERMS):
        total += binomial / (2 * k + 1)
        binomial *= m * (2 * k + 1) / (2 * k + 2)
    return total


def _cap_factor(m: Decimal) -> Decimal:
    """``sum_k 4 a_k/(k + 3/2) m^k``: the cap is the integral of 2 t over m."""
    total, binomial = Decimal(0), Decimal(1)
    for k in range(_TERMS):
        total += 8 * binomial / ((2 * k + 1) * (2 * k + 3))
        binomial *= m * (2 * k + 1) / (2 * k + 2)
    return total


def _sagitta_factor(m: Decimal) -> Decimal:
    """``t - sin t = 2 m t - cap`` over ``m sin t = 2 m^(3/2) sqrt(1 - m)``."""
    return (4 * _arcsine_factor(m) - _cap_factor(m)) / (2 * (1 - m).sqrt())


def _arctangent_factor(u: Decimal) -> Decimal:
    """Euler's series ``1/(1+u) sum_k (2k)!!/(2k+1)!! (u/(1+u))^k``."""
    total, term = Decimal(0), 1 / (1 + u)
    for k in range(_TERMS):
        total += term
        term *= u / (1 + u) * (2 * k + 2) / (2 * k + 3)
    return total


_DEGREES: dict[Series, dict[str, int]] = {
    _arcsine_factor: {"float32": 7, "float64": 20},
    _cap_factor: {"float32": 7, "float64": 20},
    _sagitta_factor: {"float32": 8, "float64": 22},
    _arctangent_factor: {"float32": 8, "float64": 20},
}


@functools.cache
def _coefficients(series: Series, end: float, dtype_name: str) -> tuple[float, ...]:
    """Coefficients of powers, lowest first, of the polynomial that interpolates on [0, end]."""
    count = _DEGREES[series][dtype_name] + 1
    with localcontext() as context:
        context.prec = _DIGITS
        nodes = [Decimal(0.5 * end * (1 - math.cos((k + 0.5) * math.pi / count))) for k in range(count)]
        divided = [series(node) for node in nodes]
        for order in range(1, count):
            for k in range(count - 1, order - 1, -1):
                divided[k] = (divided[k] - divided[k - 1]) / (nodes[k] - nodes[k - order])
        powers = [Decimal(0)] * count
        for node, coefficient in zip(reversed(nodes), reversed(divided), strict=True):
            shifted = [Decimal(0), *powers[:-1]]
            powers = [up - node * own for up, own in zip(shifted, powers, strict=True)]
            powers[0] += coefficient
        return tuple(float(c) for c in powers)


def _polynomial(series: Series, end: float, x: Array, scale: float, unit: float = 1.0) -> Array:
    """``scale * polynomial(unit * x)``, by Horner's rule."""
    powers = _coefficients(series, end, x.dtype.name)
    first, second, *rest = reversed([scale * c * unit**k for k, c in enumerate(powers)])
    value = x * first + second
    for coefficient in rest:
        value = value * x + coefficient
    return value


def arcsine_factor(m: Array, scale: float = 1.0) -> Array:
    """``scale * arcsin(sqrt m)/sqrt m`` for m in [0, 1/2]."""
    return _polynomial(_arcsine_factor, 0.5, m, scale)


def cap_factor(m: Array, scale: float = 1.0) -> Array:
    """``scale * (sin t - t cos t)/m^(3/2)`` with ``m = sin^2(t/2)`` in [0, 1/2]."""
    return _polynomial(_cap_factor, 0.5, m, scale)


def sagitta_factor(m: Array, scale: float = 1.0) -> Array:
    """``scale * (t - sin t)/(m sin t)`` with ``m = sin^2(t/2)`` in [0, 1/2]."""
    return _polynomial(_sagitta_factor, 0.5, m, scale)


def arctangent_factor(u: Array, scale: float = 1.0, unit: float = 1.0) -> Array:
    """``scale * arctan(r)/r`` with ``r = sqrt(unit * u)`` in [0, 1]."""
    return _polynomial(_arctangent_factor, 1.0, u, scale, unit)

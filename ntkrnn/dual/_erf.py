r"""erf: ``k = (2/pi) arcsin(2c/sqrt(P))``, ``kdot = (4/pi)/sqrt(P - 4c^2)``, ``P = (1+2q1)(1+2q2)``.

Source: Williams (1997). Evaluated with the per-sequence factors ``r = 1/sqrt(1 + 2q)``, so that
nothing overflows at large variances, and from ``q1 q2 - c^2``, which :mod:`ntkrnn.dual._safe` has to
full accuracy where ``P - 4c^2`` cancels.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual import _polynomials, _safe
from ntkrnn.dual._result import from_closed_form
from ntkrnn.dual._stepper import Features, Slopes, detached, fast


def _factors(q1: Array, q2: Array) -> tuple[Array, Array, Array]:
    """``r1``, ``r2`` and ``cos^2`` of the angle at rho = 1, (1 + 2q1 + 2q2)/P."""
    square1, square2 = 1 / (1 + 2 * q1), 1 / (1 + 2 * q2)
    aligned = square1 + square2 - square1 * square2
    return jnp.sqrt(square1), jnp.sqrt(square2), aligned


def _moments(c: Array, distance: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    r1, r2, aligned = _factors(q1, q2)
    r = r1 * r2
    cosine = jnp.sqrt(aligned + 4 * _safe.determinant(c, distance, q1, q2) * r * r)
    return 2 / math.pi * jnp.arctan2(2 * c * r, cosine), 4 / math.pi * r / cosine


def _distance(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
    """Radial part (both at rho = 1) plus angular part (from rho = 1 to rho), both cancellation-free.

    With sin(alpha_ij) the argument of arcsin, the angular part is alpha_12(rho=1) - alpha_12(rho),
    the radial part (alpha_11 + alpha_22)/2 - alpha_12(rho=1); each difference of arcsines is the
    arcsine of a quotient whose numerator has been factored by hand.
    """
    r1, r2, aligned = _factors(q1, q2)
    scale, gap, _ = _safe.geometry(c, distance, q1, q2)
    sine, step = 2 * scale * r1 * r2, 2 * gap * r1 * r2
    excess = step * (2 * sine - step)
    cosine1, cosine = jnp.sqrt(aligned), jnp.sqrt(aligned + excess)
    angular = jnp.arctan2(
        sine * excess / (cosine + cosine1) + step * cosine1, cosine * cosine1 + sine * (sine - step)
    )

    sine1, sine2 = 2 * q1 * r1**2, 2 * q2 * r2**2  # sin(alpha_11), sin(alpha_22)
    root1, root2 = jnp.sqrt(sine1), jnp.sqrt(sine2)
    own1, own2 = jnp.sqrt(1 + 4 * q1) * r1**2, jnp.sqrt(1 + 4 * q2) * r2**2  # their cosines
    difference = 2 * (q1 - q2) * r1**2 * r2**2
    denominator = (
        (root1 * cosine1 + root2 * own1)
        * (root1 * own2 + root2 * cosine1)
        * (sine1 * own2 + sine2 * own1)
    )
    half = jnp.sqrt(0.5 * (1 + own1 * own2 + sine1 * sine2))
    bend = _safe.ratio(difference**2 * (sine1 + sine2), 2 * half * denominator)
    radial = 2 * jnp.arcsin(jnp.minimum(bend, 1))
    return 2 / math.pi * (0.5 * radial + angular)


pair = from_closed_form(_moments, _distance)


def _features(q: Array) -> Features:
    """``p = sqrt(1 + 4q)`` scaled as it is used, and in two parts ``p/sqrt 8``.

    What counts is the difference of two p. The high part has half of the digits, so that its square
    is exact; the low part is what q has beyond that square. In a chaotic network the rounding of p
    alone would drive equal sequences apart.
    """
    p = jnp.sqrt(1 + 4 * q)
    digits = jnp.finfo(q.dtype).nmant // 2
    high = jax.lax.reduce_precision(p, jnp.finfo(q.dtype).nexp, digits)
    low = (4 * q - (high * high - 1)) / (p + high)
    return q, 0.5 * p, math.sqrt(2) * p, high, low * math.sqrt(1 / 8)


def _second_moment(features: Features) -> Array:
    """``(4/pi)(arctan p - pi/4)`` without the difference."""
    q, half, *_ = features
    return 4 / math.pi * jnp.arctan(q / jnp.square(0.5 + half))


def _advance(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
    r"""With ``p = sqrt(1 + 4q)`` the arcsine of a sequence with itself is ``2 arctan p - pi/2``.

    The mean of two of them is then an angle with sine and cosine proportional to ``p1 p2 - 1`` and
    ``p1 + p2``, by the addition theorem, and the half angle between it and the arcsine of the pair
    has a tangent in which nothing cancels::

        E = 2D - (p1 - p2)^2/4,   C = (p1 + p2)/2,   Y = C^2 + E (p1 p2 - 1 - E)
        D' = (4/pi) arctan(E/(C + sqrt Y)),   kdot = (4/pi)/sqrt Y
    """
    (_, half1, scaled1, high1, low1), (_, half2, scaled2, high2, low2) = one, two
    difference = (high1 - high2) * math.sqrt(1 / 8) + (low1 - low2)  # (p1 - p2)/sqrt 8
    excess = distance - difference * difference  # E/2
    mean = half1 + half2  # C
    square = mean * mean + excess * (scaled1 * scaled2 - 2 - 4 * excess)  # Y
    # Of either sign by rounding, where it is negligible against C^2.
    root = 0.5 * jnp.sqrt(jnp.abs(square))
    under = 0.5 * mean + root
    steep = excess > under
    ratio = jnp.where(steep, under, excess) / jnp.where(steep, excess, under) * (4 / math.pi)
    angle = ratio * _polynomials.arctangent_factor(ratio * ratio, unit=(math.pi / 4) ** 2)
    return jnp.where(steep, 2 - angle, angle), (2 / math.pi) / root


def _moment_slope(features: Features) -> Array:
    """``V' = (4/pi)/((1 + 2q) sqrt(1 + 4q))``"""
    q = features[0]
    return 4 / math.pi / ((1 + 2 * q) * jnp.sqrt(1 + 4 * q))


def _slope_features(features: Features) -> Features:
    """``q``, ``V'/2`` and ``1/(2 (1 + 2q))``"""
    q = features[0]
    return q, 0.5 * _moment_slope(features), 0.5 / (1 + 2 * q)


def _slopes(distance: Array, kdot: Array, one: Features, two: Features) -> Slopes:
    r"""In terms of kdot, whose root and quotient are not taken again: ``1/Y = (pi kdot/4)^2`` and::

    dkdot/dD = -4 c kdot/Y,   dkdot/dq = -kdot (1 + 2D - (q - q'))/Y
    dD'/dq = V'(q)/2 - kdot (1 + 2D + q - q')/(2 (1 + 2q))
    """
    (q1, moment1, inverse1), (q2, moment2, inverse2) = one, two
    apart, away = 1 + 2 * distance, q1 - q2
    bend = -((math.pi / 4) ** 2) * kdot * kdot * kdot
    return Slopes(
        (kdot, moment1 - kdot * inverse1 * (apart + away), moment2 - kdot * inverse2 * (apart - away)),
        (bend * (2 * (q1 + q2) - 4 * distance), bend * (apart - away), bend * (apart + away)),
        kdot,
    )


stepper = fast(detached(_features), _second_moment, _moment_slope, _advance, _slope_features, _slopes)

r"""erf: ``k = (2/pi) arcsin(2c/sqrt(P))``, ``kdot = (4/pi)/sqrt(P - 4c^2)``, ``P = (1+2q1)(1+2q2)``.

Source: Williams (1997). Evaluated with the per-sequence factors ``r = 1/sqrt(1 + 2q)``, so that
nothing overflows at large variances, and from ``q1 q2 - c^2``, which :mod:`ntkrnn.dual._safe` has to
full accuracy where ``P - 4c^2`` cancels.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual import _safe
from ntkrnn.dual._result import from_closed_form


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

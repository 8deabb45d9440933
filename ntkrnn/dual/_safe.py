"""Geometry of a pair of Gaussians, with derivatives that stay finite where the pair degenerates.

A pair (a, b) ~ N(0, [[q1, c], [c, q2]]) is carried with the redundant number
``D = (q1 + q2)/2 - c = E (a - b)^2 / 2``. The correlation of two nearly equal sequences is 1 up to
rounding, so ``c`` has lost their difference; ``D`` has it to full relative accuracy. Each quantity
below is taken from ``D`` when the correlation is above 1/2, and from ``c`` below.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array


@jax.custom_jvp
def sqrt(x: Array) -> Array:
    """``sqrt(x)`` whose derivative at 0 is 0 instead of infinite."""
    return jnp.sqrt(jnp.maximum(x, 0))


@sqrt.defjvp
def _sqrt_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    root = sqrt(x)
    return root, jnp.where(x > 0, 0.5 / jnp.where(x > 0, root, 1), 0) * dx


def ratio(numerator: Array, denominator: Array, default: float = 0.0) -> Array:
    """``numerator/denominator``, and ``default`` with zero derivative where the denominator is 0."""
    empty = denominator == 0
    return jnp.where(empty, default, numerator / jnp.where(empty, 1, denominator))


class Geometry(NamedTuple):
    """What the closed forms need to know of a pair, each entry to full relative accuracy."""

    scale: Array
    """``s = sqrt(q1 q2)``"""
    gap: Array
    """``p = s - c``, between 0 and 2 s"""
    spread: Array
    """``sqrt q1 - sqrt q2``"""


def geometry(c: Array, distance: Array, q1: Array, q2: Array) -> Geometry:
    """Scale, gap and spread of a pair given both its covariance and its half squared distance."""
    root1, root2 = sqrt(q1), sqrt(q2)
    scale = root1 * root2
    spread = root1 - root2
    gap = jnp.where(2 * c > scale, distance - 0.5 * spread**2, scale - c)
    return Geometry(scale, jnp.clip(gap, 0, 2 * scale), spread)


@jax.custom_jvp
def determinant(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
    """``q1 q2 - c^2`` to full relative accuracy; a polynomial as far as derivatives go."""
    scale, gap, _ = geometry(c, distance, q1, q2)
    return gap * (2 * scale - gap)


@determinant.defjvp
def _determinant_jvp(primals: Any, tangents: Any) -> Any:
    c, _, q1, q2 = primals
    dc, _, dq1, dq2 = tangents
    return determinant(*primals), q2 * dq1 + q1 * dq2 - 2 * c * dc


@jax.custom_jvp
def angle(v: Array) -> Array:
    """``theta = 2 arcsin sqrt v`` for ``v = (1 - rho)/2``; its derivative at v = 0 and 1 is 0.

    At these ends the derivative is infinite from one side only; 0 is the symmetric choice, and the
    right one for a sequence compared with itself, where the angle stays 0.
    """
    v = jnp.clip(v, 0, 1)
    return 2 * jnp.arctan2(jnp.sqrt(v), jnp.sqrt(1 - v))


@angle.defjvp
def _angle_jvp(primals: Any, tangents: Any) -> Any:
    (v,), (dv,) = primals, tangents
    inside = (v > 0) & (v < 1)
    middle = jnp.where(inside, v, 0.5)
    return angle(v), jnp.where(inside, dv / jnp.sqrt(middle * (1 - middle)), 0)


_CAP_SERIES = tuple((-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1) for k in range(1, 9))


@jax.custom_jvp
def cap(v: Array) -> Array:
    """``F = sin(theta) - theta cos(theta)`` of ``theta = angle(v)``, with ``dF/dv = 2 theta``.

    Below half a radian the difference cancels, and its Taylor series
    ``sum_k (-1)^(k+1) 2k/(2k+1)! theta^(2k+1)`` is summed instead; the first term left out is
    below 1e-17 of F.
    """
    theta = angle(v)
    square = jnp.square(jnp.minimum(theta, 0.5))
    series = jnp.zeros_like(theta)
    for coefficient in reversed(_CAP_SERIES):
        series = series * square + coefficient
    return jnp.where(theta < 0.5, series * square * theta, jnp.sin(theta) - theta * jnp.cos(theta))


@cap.defjvp
def _cap_jvp(primals: Any, tangents: Any) -> Any:
    (v,), (dv,) = primals, tangents
    return cap(v), 2 * angle(v) * dv

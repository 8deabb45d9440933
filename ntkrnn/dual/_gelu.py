r"""gelu, ``phi(x) = x Phi(x) = x/2 + g(x)/2`` with the even function ``g(x) = x erf(x/sqrt 2)``.

By Stein's lemma, with ``y = 1+q1+q2``, ``P = (1+q1)(1+q2)``, ``X = P - c^2 = y + q1 q2 - c^2`` and
``alpha = arctan(c/sqrt X)``::

    E g g   = (2/pi) [ c alpha + (X q1 q2 + c^2)/(P sqrt X) ]
    E g' g' = (2/pi) [ alpha + (c/sqrt X) ((1 + y)/P + 1/X) ]

and ``E phi phi = (c + E g g)/4``, ``E phi' phi' = (1 + E g' g')/4``.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array
from ntkrnn.dual import _safe
from ntkrnn.dual._result import from_closed_form

# Gauss-Legendre on a square, each pair of nodes once.
_NODES, _SINGLE = np.polynomial.legendre.leggauss(4)
_I, _J = np.tril_indices(4)
_LEFT, _RIGHT = _NODES[_I], _NODES[_J]
_WEIGHTS = _SINGLE[_I] * _SINGLE[_J] * np.where(_I == _J, 1, 2)


def _even_part(c: Array, x: Array, q1: Array, q2: Array) -> Array:
    """``(pi/2) E g g`` given X."""
    root, p = jnp.sqrt(x), (1 + q1) * (1 + q2)
    return c * jnp.arctan2(c, root) + (x * q1 * q2 + c * c) / (p * root)


def _moments(c: Array, distance: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    y, p = 1 + q1 + q2, (1 + q1) * (1 + q2)
    x = y + _safe.determinant(c, distance, q1, q2)
    root = jnp.sqrt(x)
    slope = jnp.arctan2(c, root) + c / root * ((1 + y) / p + 1 / x)
    k = 0.25 * (c + 2 / math.pi * _even_part(c, x, q1, q2))
    return k, 0.25 * (1 + 2 / math.pi * slope)


def _mixed_slope(t1: Array, t2: Array) -> Array:
    """``(pi/2) d^2/dt1 dt2 E g(t1 z) g(t2 z)``, z standard normal."""
    q1, q2 = t1**2, t2**2
    c, y, p = t1 * t2, 1 + q1 + q2, (1 + q1) * (1 + q2)
    root = jnp.sqrt(y)
    bracket = 3 / y**2 + (y - 1) ** 2 / (p * y) + 2 * ((1 + y) / p) ** 2
    return jnp.arctan2(c, root) + c / root * bracket


def _radial(root1: Array, root2: Array) -> Array:
    """``(pi/2) E (g(root1 z) - g(root2 z))^2/2``: the double integral of the mixed slope.

    Close by, Gauss-Legendre quadrature of that integral, a sum of positive terms; further apart,
    where it would need more nodes, nothing cancels and the difference of moments is taken.
    """
    middle, half = 0.5 * (root1 + root2), 0.5 * jnp.abs(root1 - root2)
    # Rounding of the difference against truncation of the quadrature, in each precision.
    close = half < (0.15 if middle.dtype == jnp.float32 else 0.03) * (1 + middle)
    reach = jnp.where(close, half, 0)
    t1 = middle[..., None] + reach[..., None] * jnp.asarray(_LEFT, middle.dtype).reshape(
        (1,) * middle.ndim + (-1,)
    )
    t2 = middle[..., None] + reach[..., None] * jnp.asarray(_RIGHT, middle.dtype).reshape(
        (1,) * middle.ndim + (-1,)
    )
    integral = jnp.sum(
        jnp.asarray(_WEIGHTS, middle.dtype).reshape((1,) * middle.ndim + (-1,)) * _mixed_slope(t1, t2),
        axis=-1,
    )
    q1, q2 = root1**2, root2**2
    plain = 0.5 * (_even_part(q1, 1 + 2 * q1, q1, q1) + _even_part(q2, 1 + 2 * q2, q2, q2))
    plain = plain - _even_part(root1 * root2, 1 + q1 + q2, q1, q2)
    return jnp.where(close, 0.5 * reach**2 * integral, plain)


def _distance(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
    scale, gap, _ = _safe.geometry(c, distance, q1, q2)
    y, p = 1 + q1 + q2, (1 + q1) * (1 + q2)
    g = gap * (2 * scale - gap)
    root1, root = jnp.sqrt(y), jnp.sqrt(y + g)
    total = root + root1
    alpha = jnp.arctan2(scale, root1)
    turn = jnp.arctan2(scale * g / total + gap * root1, root * root1 + scale * (scale - gap))
    angular = (
        gap * alpha + (scale - gap) * turn - g / total * (q1 * q2 - 1) / p + g / (root1 * root * total)
    )
    radial = _radial(jnp.sqrt(q1), jnp.sqrt(q2))
    return 0.25 * (distance + 2 / math.pi * (radial + angular))


pair = from_closed_form(_moments, _distance)

r"""sin and cos, from the characteristic function of a Gaussian.

With ``Q = q1 + q2`` and ``D = Q/2 - c``::

    E sin(a) sin(b) = (e^-D - e^-(Q-D))/2,   E cos(a) cos(b) = (e^-D + e^-(Q-D))/2

and each is the kdot of the other. Distances use ``e^-2q1/2 + e^-2q2/2 - e^-Q = (e^-q1 - e^-q2)^2/2``.
"""

from __future__ import annotations

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual._result import PairFunction, from_closed_form


def _waves(distance: Array, c: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    return jnp.exp(-distance), jnp.exp(-(0.5 * (q1 + q2) + c))


def _rise(distance: Array, q1: Array, q2: Array) -> Array:
    """``e^-Q (e^D - 1)`` without overflow at large D or cancellation at small D."""
    total = q1 + q2
    small = distance < 1
    return jnp.where(
        small,
        jnp.exp(-total) * jnp.expm1(jnp.where(small, distance, 0)),
        jnp.exp(distance - total) - jnp.exp(-total),
    )


def _build(sign: int) -> PairFunction:
    def moments(c: Array, distance: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
        near, far = _waves(distance, c, q1, q2)
        return 0.5 * (near - sign * far), 0.5 * (near + sign * far)

    def stable(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
        radial = 0.5 * jnp.square(jnp.exp(-q1) - jnp.exp(-q2))
        angular = -jnp.expm1(-distance) + sign * _rise(distance, q1, q2)
        return 0.5 * jnp.maximum(angular - sign * radial, 0)

    return from_closed_form(moments, stable)


sin = _build(1)
cos = _build(-1)

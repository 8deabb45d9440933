r"""sin and cos, from the characteristic function of a Gaussian.

With ``Q = q1 + q2`` and ``D = Q/2 - c``::

    E sin(a) sin(b) = e^(-Q/2) sinh c,   E cos(a) cos(b) = e^(-Q/2) cosh c

and each is the kdot of the other. Neither may be evaluated as it stands: e^(-Q/2) underflows where
sinh c overflows, and their product is ``e^-D (1 -+ e^(-2c))/2``. In distances::

    -expm1(-D) (1 +- e^(D-Q)) -+ (e^-q1 - e^-q2)^2/2,   halved, upper signs for sin.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual._result import PairFunction, from_closed_form

Moment = Callable[[Array, Array, Array, Array], Array]


def _sine(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
    """``e^(-Q/2) sinh c``, by its positive or its negative branch."""
    up, down = jnp.where(c >= 0, c, 0), jnp.where(c < 0, c, 0)
    positive = -0.5 * jnp.exp(-distance) * jnp.expm1(-2 * up)
    negative = 0.5 * jnp.exp(-(0.5 * (q1 + q2) + c)) * jnp.expm1(2 * down)
    return jnp.where(c >= 0, positive, negative)


def _cosine(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
    """``e^(-Q/2) cosh c``."""
    return 0.5 * (jnp.exp(-distance) + jnp.exp(-(0.5 * (q1 + q2) + c)))


def _build(first: Moment, second: Moment, sign: int) -> PairFunction:
    def moments(c: Array, distance: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
        return first(c, distance, q1, q2), second(c, distance, q1, q2)

    def stable(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
        far = 0.5 * (q1 + q2) + c  # Q - D
        radial = 0.5 * jnp.square(jnp.expm1(-q1) - jnp.expm1(-q2))
        rise = -jnp.expm1(-distance)
        angular = rise * (1 + jnp.exp(-far)) if sign > 0 else -rise * jnp.expm1(-far)
        return 0.5 * jnp.maximum(angular - sign * radial, 0)

    return from_closed_form(moments, stable)


sin = _build(_sine, _cosine, 1)
cos = _build(_cosine, _sine, -1)

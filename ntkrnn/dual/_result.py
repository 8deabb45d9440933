"""What a dual activation returns, and how closed forms get a stable distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ntkrnn._types import Array


class PairExpectation(NamedTuple):
    """Expectations over one Gaussian pair (a, b) ~ N(0, [[q1, c], [c, q2]])."""

    k: Array
    """``E phi(a) phi(b)``"""
    distance: Array
    """``E (phi(a) - phi(b))^2 / 2``, to full relative accuracy for nearly equal a and b"""
    kdot: Array
    """``E phi'(a) phi'(b)``"""


PairFunction = Callable[[Array, Array, Array, Array], PairExpectation]
"""``(c, distance, q1, q2) -> PairExpectation``, elementwise with broadcasting."""


def from_closed_form(
    moments: Callable[[Array, Array, Array, Array], tuple[Array, Array]],
    distance: Callable[[Array, Array, Array, Array], Array],
) -> PairFunction:
    """Join a differentiable closed form with a distance that is only to be evaluated.

    The stable forms of the distance are full of square roots and quotients whose derivatives at
    degenerate pairs are 0/0. Its derivative is instead that of ``(V(q1) + V(q2))/2 - k``, with
    ``V(q) = E phi(sqrt q z)^2``, which is smooth wherever ``k`` is.

    Args:
        moments: ``(c, distance, q1, q2) -> (k, kdot)``, differentiable everywhere.
        distance: ``(c, distance, q1, q2) -> E (phi(a) - phi(b))^2/2``, accurate.

    Returns:
        A :data:`PairFunction`.
    """

    @jax.custom_jvp
    def stable_distance(c: Array, d: Array, q1: Array, q2: Array) -> Array:
        return distance(c, d, q1, q2)

    def plain_distance(c: Array, d: Array, q1: Array, q2: Array) -> Array:
        own = [moments(q, 0 * q, q, q)[0] for q in (q1, q2)]
        return 0.5 * (own[0] + own[1]) - moments(c, d, q1, q2)[0]

    @stable_distance.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return stable_distance(*primals), jax.jvp(plain_distance, primals, tangents)[1]

    def pair(c: Array, d: Array, q1: Array, q2: Array) -> PairExpectation:
        k, kdot = moments(c, d, q1, q2)
        return PairExpectation(k, stable_distance(c, d, q1, q2), kdot)

    return pair

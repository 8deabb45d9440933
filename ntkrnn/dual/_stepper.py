r"""The dual activation as the kernel recursion uses it: distances in, distances out.

A recursion over N^2 pairs can do with one number for each pair, ``D = (q1 + q2)/2 - c``, half the
squared distance: the covariance follows from it, and near-equal sequences stay apart. Whatever
depends on one sequence alone is computed once for each sequence and step, the *features*, of which
the first is always the variance q. What is left for each pair is one short elementwise function::

    D' = E (phi(a) - phi(b))^2 / 2,   kdot = E phi'(a) phi'(b)

The compiler makes one vectorised loop of it under two conditions, which the closed forms here keep: a
square root or a quotient that is used more than once is first multiplied by a number (the compiler
does not repeat either, and would store its operands in memory instead), and no branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual._result import PairFunction

Features = tuple[Array, ...]
Advance = Callable[[Array, Features, Features], tuple[Array, Array]]


class Stepper(NamedTuple):
    """How the recursion passes one nonlinearity."""

    features: Callable[[Array], Features]
    """``q -> (q, ...)``, each of the shape of q: what one side brings to every pair."""
    second_moment: Callable[[Features], Array]
    """``V = E phi(sqrt q z)^2`` from the features of q."""
    advance: Advance
    """``(D, features of one side, of the other) -> (D', kdot)``, elementwise with broadcasting."""
    arithmetic: bool
    """Whether ``advance`` is made of arithmetic, square roots and quotients alone."""


def generic(pair: PairFunction) -> Stepper:
    """A stepper without features, from a function of covariance and distance."""

    def second_moment(features: Features) -> Array:
        (q, *_) = features
        return pair(q, jnp.zeros_like(q), q, q).k

    def advance(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
        (q1, *_), (q2, *_) = one, two
        result = pair(0.5 * (q1 + q2) - distance, distance, q1, q2)
        return result.distance, result.kdot

    return Stepper(lambda q: (q,), second_moment, advance, False)


def fast(
    features: Callable[[Array], Features],
    second_moment: Callable[[Features], Array],
    advance: Advance,
    pair: PairFunction,
) -> Stepper:
    """A stepper that evaluates by its own forms and is differentiated through ``pair``.

    The fast forms are full of square roots and quotients whose derivatives at degenerate pairs are
    0/0. ``pair`` is the same function of ``(D, q1, q2)`` with derivatives that are finite there; of
    the features only q has a derivative.
    """
    plain = generic(pair)

    def detached(q: Array) -> Features:
        return q, *(jax.lax.stop_gradient(feature) for feature in features(q)[1:])

    @jax.custom_jvp
    def fast_second_moment(own: Features) -> Array:
        return second_moment(own)

    @fast_second_moment.defjvp
    def _(primals, tangents):
        (own,), (d_own,) = primals, tangents
        _, slope = jax.jvp(lambda q: plain.second_moment((q,)), (own[0],), (d_own[0],))
        return fast_second_moment(own), slope

    @jax.custom_jvp
    def fast_advance(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
        return advance(distance, one, two)

    @fast_advance.defjvp
    def _(primals, tangents):
        distance, one, two = primals
        d_distance, d_one, d_two = tangents
        # Where a variance is 0 the value of kdot does not matter, but the product rule takes it.
        (_, kdot), slope = jax.jvp(
            lambda d, q1, q2: plain.advance(d, (q1,), (q2,)),
            (distance, one[0], two[0]),
            (d_distance, d_one[0], d_two[0]),
        )
        return (fast_advance(distance, one, two)[0], kdot), slope

    return Stepper(detached, fast_second_moment, fast_advance, True)

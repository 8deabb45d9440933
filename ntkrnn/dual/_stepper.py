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

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._derivatives import opaque
from ntkrnn._types import Array, add_up
from ntkrnn.dual._result import PairFunction

Features = tuple[Array, ...]
Advance = Callable[[Array, Features, Features], tuple[Array, Array]]


class Slopes(NamedTuple):
    """Derivatives of one step, each by D, by the variance of one side and by that of the other."""

    distance: tuple[Array, Array, Array]
    """Of D'. By D it is kdot itself (Price's theorem), but for functions that jump."""
    kdot: tuple[Array, Array, Array]
    """Of kdot."""
    ntk: Array
    """Of Theta by Psi: kdot, but at zero variance, where its value has no effect,
    the mean over the directions from which it can be reached."""


SlopesOf = Callable[[Array, Array, Features, Features], Slopes]
"""``(D, kdot, slope features of one side, of the other) -> Slopes``, finite everywhere."""


class Stepper(NamedTuple):
    """How the recursion passes one nonlinearity."""

    features: Callable[[Array], Features]
    """``q -> (q, ...)``, each of the shape of q: what one side brings to every pair."""
    second_moment: Callable[[Features], Array]
    """``V = E phi(sqrt q z)^2`` from the features of q."""
    advance: Advance
    """``(D, features of one side, of the other) -> (D', kdot)``, elementwise with broadcasting."""
    slope_features: Callable[[Features], Features]
    """From the features of q to what ``slopes`` reads of one side."""
    slopes: SlopesOf
    """The derivatives of ``advance``."""
    arithmetic: bool
    """Whether ``advance`` is made of arithmetic, square roots and quotients alone."""
    hoisted: Stepper | None = None
    """The same with slope features behind the features, where they cost more than to be computed again
    at every step in forward mode; see :func:`with_slope_features`."""


def by_pair(pair: PairFunction) -> tuple[Callable[[Features], Array], Advance, SlopesOf]:
    """Second moment, step and slopes by a function of covariances that JAX differentiates."""

    def second_moment(features: Features) -> Array:
        (q, *_) = features
        return pair(q, jnp.zeros_like(q), q, q).k

    def at(distance: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
        result = pair(0.5 * (q1 + q2) - distance, distance, q1, q2)
        return result.distance, result.kdot

    def advance(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
        return at(distance, one[0], two[0])

    def slopes(distance: Array, kdot: Array, one: Features, two: Features) -> Slopes:
        del kdot
        point = (distance, one[0], two[0])
        (_, kdot), along = jax.linearize(at, *point)
        units = [
            tuple(jnp.full_like(a, float(i == k)) for i, a in enumerate(point))
            for k in range(len(point))
        ]
        distances, kdots = zip(*(along(*unit) for unit in units), strict=True)
        return Slopes(distances, kdots, kdot)

    return second_moment, advance, opaque(slopes)


def generic(pair: PairFunction) -> Stepper:
    """A stepper without features, from a function of covariance and distance."""
    second_moment, advance, slopes = by_pair(pair)
    return Stepper(lambda q: (q,), second_moment, advance, lambda own: own, slopes, False)


def detached(features: Callable[[Array], Features]) -> Callable[[Array], Features]:
    """Features of which q alone has a derivative, for slopes that read no other."""

    @functools.wraps(features)
    def own(q: Array) -> Features:
        return q, *(jax.lax.stop_gradient(feature) for feature in features(q)[1:])

    return own


def fast(
    features: Callable[[Array], Features],
    second_moment: Callable[[Features], Array],
    moment_slope: Callable[[Features], Array],
    advance: Advance,
    slope_features: Callable[[Features], Features],
    slopes: SlopesOf,
    *,
    hoisted: bool = False,
) -> Stepper:
    """A stepper that evaluates by its own forms and is differentiated by its own slopes.

    The forms are full of square roots and quotients whose derivatives at degenerate pairs are 0/0;
    the slopes, functions of D, kdot and the variances, are finite there.
    """

    def along_moment(args: Any, tangents: Any) -> tuple[Array, Array]:
        ((own,), (d_own,)) = args, tangents
        return fast_moment(own), moment_slope(own) * d_own[0]

    def along_step(own: Advance, of_side: Callable[[Features], Features]) -> Callable[..., Any]:
        def rule(args: Any, tangents: Any) -> Any:
            distance, one, two = args
            d_distance, d_one, d_two = tangents
            value, kdot = own(distance, one, two)
            by = slopes(distance, kdot, of_side(one), of_side(two))
            along = (d_distance, d_one[0], d_two[0])
            apart, bend = (add_up(a * b for a, b in zip(row, along, strict=True)) for row in by[:2])
            return (value, by.ntk), (apart, bend)

        return rule

    @functools.cache
    def count(dtype: str) -> int:
        scalar = jax.ShapeDtypeStruct((), dtype)
        return len(jax.eval_shape(features, scalar))

    def first(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
        n = count(distance.dtype.name)
        return advance(distance, one[:n], two[:n])

    def behind(both: Features) -> Features:
        return both[count(both[0].dtype.name) :]

    fast_moment = opaque(second_moment, along_moment)
    fast_advance = opaque(advance, lambda *at: along_step(fast_advance, slope_features)(*at))
    plain = Stepper(features, fast_moment, fast_advance, slope_features, slopes, True)
    if not hoisted:
        return plain
    long_advance = opaque(first, lambda *at: along_step(long_advance, behind)(*at))
    return plain._replace(hoisted=plain._replace(advance=long_advance, slope_features=behind))

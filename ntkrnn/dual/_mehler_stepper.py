r"""The recursion through any smooth function: Mehler's series, one polynomial in rho per pair.

For an odd function, with ``x = rho^2`` and ``t_k = c_k(q1) c_k(q2)``::

    k = rho p(x),   p(x) = sum_k t_k x^((k-1)/2),   kdot = sum_k k t_k x^((k-1)/2)/sqrt(q1 q2)
    D' = R + p(1) - rho p(x),   R = sum_k (c_k(q1) - c_k(q2))^2/2

kdot by Price's theorem; ``(p(1) - p(x))/(1 - x)`` is the sum of the partial results of Horner's rule,
in which nothing cancels. Likewise for even functions and for those that are neither.

Which powers are kept is thinned out in :mod:`ntkrnn.dual._thinning`. R depends on the two variances
alone. The curve ``q -> (c_k(q))`` is so smooth that a handful of coordinates hold it: R is the squared
distance in those of a singular value decomposition, which also has the tangents of the curve, so that
near-equal variances keep their digits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._derivatives import opaque
from ntkrnn._types import Array, add_up
from ntkrnn.dual import _hermite, _mehler_slopes
from ntkrnn.dual._mehler import smooth
from ntkrnn.dual._mehler_slopes import thinned_terms
from ntkrnn.dual._stepper import Features, Slopes, SlopesOf, Stepper, by_pair, detached, fast
from ntkrnn.dual._thinning import Thinned, thinned
from ntkrnn.dual._value import DEFAULT_MAX_VARIANCE, Nonlinearity

UNROLLED = 96
"""Up to so many terms the series is written out; longer ones run through a loop."""
CHUNK = 16
_REACH = 4.0
"""The coordinates hold for variances up to so many times the largest wanted."""
_SMALLEST = {"float32": 1e-5, "float64": 1e-9}
"""Coordinates below this size, beside the largest, are left out; the error of R is its square."""


@functools.lru_cache(maxsize=64)
def _coordinates(spec: str | Nonlinearity, dtype_name: str) -> np.ndarray:
    """Orthonormal coordinates ``[terms, r]`` of the curve of coefficients and of its tangents."""
    limit = spec.max_variance if isinstance(spec, Nonlinearity) else DEFAULT_MAX_VARIANCE
    roots = np.linspace(0, math.sqrt(_REACH * limit), 121)
    plan = _hermite.expansion(spec, dtype_name)
    series = _hermite.coefficients_on_host(spec, roots**2, plan, dtype_name)
    thin = thinned(spec, dtype_name)
    curve = np.concatenate(
        [series[: thin.single], np.sqrt(thin.weights.T @ series[thin.single :] ** 2)]
    )
    tangents = np.diff(curve, axis=1) / (roots[1] - roots[0])
    sides, sizes, _ = np.linalg.svd(np.concatenate([curve, tangents], axis=1), full_matrices=False)
    return sides[:, sizes > _SMALLEST[dtype_name] * sizes[0]]


def _sums(thin: Thinned, terms: list[Array], x: Array) -> tuple[Array, Array, Array]:
    """``p(x)``, ``sum_k k t_k x^(..)`` and ``(p(1) - p(x))/(1 - x)``, by Horner's rule.

    The second one is short of a factor x where its lowest power would be negative.
    """
    # x^g and (1 - x^g)/(1 - x) for gaps g = 1, 2, 4, ...
    powers: dict[int, Array] = {1: x}
    steps: dict[int, Array | None] = {1: None}
    gap = 1
    while gap < max(thin.gaps, default=1):
        before = steps[gap]
        steps[2 * gap] = 1 + powers[gap] if before is None else before * (1 + powers[gap])
        powers[2 * gap] = powers[gap] * powers[gap]
        gap *= 2

    value, slope = terms[-1], float(thin.powers[-1]) * terms[-1]
    partial = jnp.zeros_like(value * x)
    below = zip(thin.gaps[::-1], thin.powers[-2::-1], terms[-2::-1], strict=True)
    for gap, power, term in below:
        step = steps[gap]
        partial = partial + (value if step is None else value * step)
        value = value * powers[gap] + term
        if power > 0:
            slope = slope * powers[gap] + float(power) * term
        # Power 0 comes with gap 1: the slope keeps the power that it has.
    return value, slope, partial


def _long_sums(thin: Thinned, left: Array, right: Array, x: Array) -> tuple[Array, Array, Array]:
    """The same for stacked coefficients ``[terms, ...]`` without gaps, some at a time."""
    rest = -left.shape[0] % CHUNK
    padding = ((0, rest), *((0, 0),) * (left.ndim - 1))
    chunks = [jnp.pad(side, padding).reshape(-1, CHUNK, *side.shape[1:]) for side in (left, right)]
    powers = jnp.asarray(np.pad(thin.powers, (0, rest)).reshape(-1, CHUNK), x.dtype)

    def body(carry: tuple[Array, ...], chunk: tuple[Array, ...]) -> tuple[tuple[Array, ...], None]:
        value, slope, partial = carry
        for power, one, two in zip(*(reversed(side) for side in chunk), strict=True):
            term = one * two
            partial = partial + value
            value = value * x + term
            slope = jnp.where(power > 0, slope * x + power * term, slope)
        return (value, slope, partial), None

    zero = jnp.zeros(jnp.broadcast_shapes(x.shape, left.shape[1:], right.shape[1:]), x.dtype)
    sums, _ = jax.lax.scan(body, (zero, zero, zero), (powers, *chunks), reverse=True)
    value, slope, partial = sums
    return value, slope, partial


def stepper(spec: str | Nonlinearity) -> Stepper:
    """How the recursion passes a smooth nonlinearity.

    Cost: one quadrature per sequence and step, and five operations per term and pair (tanh in float32
    at variances up to 4: 28 terms).
    """

    def features(q: Array) -> Features:
        terms, _ = thinned_terms(spec, q)
        axes = jnp.asarray(_coordinates(spec, q.dtype.name), q.dtype)
        exact = jax.lax.Precision.HIGHEST
        radial = jnp.einsum("k...,kr->r...", terms, axes, precision=exact) * math.sqrt(0.5)
        root = jnp.sqrt(q)
        inverse = jnp.where(q > 0, 1 / jnp.where(q > 0, root, 1), 0)
        moment = jnp.sum(jnp.square(terms), axis=0)
        return q, root * math.sqrt(0.5), inverse, moment, *radial, *terms

    def second_moment(own: Features) -> Array:
        return own[3]

    def advance(distance: Array, one: Features, two: Features) -> tuple[Array, Array]:
        thin = thinned(spec, distance.dtype.name)
        count = len(thin.powers)
        (_, root1, inverse1, _, *rest1), (_, root2, inverse2, _, *rest2) = one, two
        spread = root1 - root2
        inverse = inverse1 * inverse2
        below = jnp.maximum((distance - spread * spread) * inverse, 0)  # 1 - rho
        rho = 1 - jnp.minimum(below, 2)
        x = rho * rho if thin.step == 2 else rho
        series1, series2 = rest1[-count:], rest2[-count:]
        if count <= UNROLLED:
            products = [a * b for a, b in zip(series1, series2, strict=True)]
            value, slope, partial = _sums(thin, products, x)
        else:
            value, slope, partial = _long_sums(thin, jnp.stack(series1), jnp.stack(series2), x)
        radial = add_up(jnp.square(a - b) for a, b in zip(rest1[:-count], rest2[:-count], strict=True))
        if thin.step == 1:
            return radial + below * partial, slope * inverse
        drop = below * (1 + rho) * partial
        if thin.powers[0] == 1:  # odd
            return radial + (drop + below * value), slope * inverse
        return radial + drop, rho * slope * inverse

    moment_slope, slope_features, slopes = _derivatives(spec)
    parts = (detached(features), second_moment, moment_slope, advance, slope_features, slopes)
    return fast(*parts, hoisted=True)


def _derivatives(
    spec: str | Nonlinearity,
) -> tuple[Callable[[Features], Array], Callable[[Features], Features], SlopesOf]:
    """The slope of the second moment, slope features, and the slopes of a step."""
    plain_moment, _, plain_slopes = by_pair(smooth(spec))

    @opaque
    def slope_of(q: Array) -> Array:
        return jax.jvp(lambda q: plain_moment((q,)), (q,), (jnp.ones_like(q),))[1]

    def moment_slope(own: Features) -> Array:
        return slope_of(own[0])

    def short(dtype: Any) -> bool:
        """Whether slopes have sums of their own; those of longer series take too long to compile."""
        return len(thinned(spec, dtype.name).powers) <= UNROLLED

    def slope_features(own: Features) -> Features:
        if not short(own[0].dtype):
            return own[:1]
        q = jax.lax.stop_gradient(own[0])
        return own[0], *_mehler_slopes.slope_features(spec, slope_of(q), q)

    def along_slopes(args: Any, tangents: Any) -> tuple[Slopes, Slopes]:
        """Second derivatives are those of the independent form, by the variances alone."""
        distance, kdot, one, two = args
        d_distance, _, d_one, d_two = tangents
        point, along = (distance, one[0], two[0]), (d_distance, d_one[0], d_two[0])
        bent = jax.jvp(lambda d, a, b: plain_slopes(d, kdot, (a,), (b,)), point, along)[1]
        return slopes(*args), bent

    @functools.partial(opaque, rule=along_slopes)
    def slopes(distance: Array, kdot: Array, one: Features, two: Features) -> Slopes:
        if not short(distance.dtype):
            return plain_slopes(distance, kdot, one, two)
        return _mehler_slopes.slopes(spec, distance, one[1:], two[1:])

    return moment_slope, slope_features, slopes

r"""The derivatives of a step through a smooth function, from the coefficients that the step sums.

At a covariance c the series is ``k = sum_k c_k(q1) c_k(q2) rho^k`` with ``rho = c / sqrt(q1 q2)``, and
with c_k'' the coefficients of the second derivative of phi, by Price's theorem::

    dk/dc    = sum_k k c_k c_k' rho^(k-1) / sqrt(q1 q2)
    d2k/dc2  = sum_k k (k - 1) c_k c_k' rho^(k-2) / (q1 q2)
    dk/dq1   = sum_k c_k''(q1)/2 c_k(q2) rho^k
    d2k/dq1 dc = sum_k k c_k''(q1)/2 c_k(q2) rho^(k-1) / sqrt(q1 q2)

Where powers are thinned out, products of one side with itself are shared between the powers that are
left, as the energies of k are: with ``T_j^2 = sum_k w_kj c_k^2`` the rows of a side are::

    R_j = sum_k w_kj c_k c_k''/2 / T_j,   P_j = sum_k w_kj k c_k c_k''/2 / T_j
    B_j^2 = sum_k w_kj k (k - 1) c_k^2

so that every sum is exact for equal sequences. A variance of 0 leaves no rho: there all but the lowest
coefficients vanish, and the sums are products of ``E phi^(n)`` of both sides.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array
from ntkrnn.dual import _hermite
from ntkrnn.dual._stepper import Features, Slopes
from ntkrnn.dual._thinning import Thinned, thinned
from ntkrnn.dual._value import Nonlinearity


def thinned_terms(spec: str | Nonlinearity, q: Array) -> tuple[Array, Array]:
    """Thinned coefficients T ``[powers, *q.shape]``, those of single powers and roots of energies, and
    the coefficients whose energies are shared."""
    plan = _hermite.expansion(spec, q.dtype.name)
    thin = thinned(spec, q.dtype.name)
    series = _hermite.coefficients(spec, 0, q, plan)
    rest = series[thin.single :]
    if thin.single == len(thin.powers):
        return series, rest
    roots = jnp.sqrt(_mixed(thin.weights, jnp.square(rest)))
    return jnp.concatenate([series[: thin.single], roots]), rest


def _mixed(weights: np.ndarray, orders: Array) -> Array:
    """Sums over orders ``[orders, ...]`` with weights ``[orders, powers]``."""
    exact = jax.lax.Precision.HIGHEST
    return jnp.einsum("k...,kj->j...", orders, jnp.asarray(weights, orders.dtype), precision=exact)


def _rows(spec: str | Nonlinearity, q: Array) -> list[Array]:
    """T, R, P and B ``[powers, *q.shape]``."""
    plan, thin = _hermite.expansion(spec, q.dtype.name), thinned(spec, q.dtype.name)
    own, rest = thinned_terms(spec, q)
    tilts = 0.5 * _hermite.coefficients(spec, 2, q, plan)
    orders = np.arange(*plan.orders)
    weights = thin.weights, thin.weights * orders[thin.single :, None]
    column = lambda a: jnp.asarray(a[: thin.single], q.dtype).reshape(-1, *(1,) * q.ndim)  # noqa: E731
    low = [tilts[: thin.single], column(orders) * tilts[: thin.single]]
    low.append(column(np.sqrt(_twice(orders))) * own[: thin.single])
    if thin.single == len(thin.powers):
        return [own, *low]
    roots = own[thin.single :]
    under = jnp.where(roots > 0, roots, 1)
    high = [jnp.where(roots > 0, _mixed(w, rest * tilts[thin.single :]) / under, 0) for w in weights]
    high.append(jnp.sqrt(_mixed(thin.weights * _twice(orders[thin.single :, None]), jnp.square(rest))))
    return [own, *(jnp.concatenate(both) for both in zip(low, high, strict=True))]


def _twice(orders: np.ndarray) -> np.ndarray:
    """What differentiating a power twice leaves before it."""
    return orders * (orders - 1)


def slope_features(spec: str | Nonlinearity, moment_slope: Array, q: Array) -> Features:
    """What one side brings: V'/2, the root of q and its inverse, ``E phi^(n)``, n = 1 to 3, and rows.

    Cost: five quadratures per sequence and step.
    """
    rows = [row for part in _rows(spec, q) for row in part]
    root = jnp.sqrt(q)
    inverse = jnp.where(q > 0, 1 / jnp.where(q > 0, root, 1), 0)
    means = [_mean(spec, order, q) for order in (1, 2, 3)]
    return 0.5 * moment_slope, root * math.sqrt(0.5), inverse, *means, *rows


def _mean(spec: str | Nonlinearity, order: int, q: Array) -> Array:
    """``E phi^(n)(sqrt q z)``."""
    plan = _hermite.expansion(spec, q.dtype.name)
    if _hermite.shifted_orders(plan, order)[0]:  # of an odd function
        return jnp.zeros_like(q)
    step = plan.orders[2]
    return _hermite.coefficients(spec, order, q, plan._replace(orders=(order % step, 1, step)))[0]


class _Sums(NamedTuple):
    """Series in rho, short of the lowest power that each of them has."""

    slope: Array
    """``sum p T T' rho^(p-1)``"""
    bend: Array
    """``sum B B' rho^(p-2)``"""
    tilt1: Array
    """``sum R T' rho^p``"""
    tilt2: Array
    twist1: Array
    """``sum P T' rho^(p-1)``"""
    twist2: Array


_DERIVATIVES = (1, 2, 0, 0, 1, 1)
"""How often each is differentiated by c."""


def _added(sums: _Sums, x: Array, power: int, one: tuple[Array, ...], two: tuple[Array, ...]) -> _Sums:
    """Horner's rule: a lower term, of both sides (T, R, P, B), joins each series that it is in."""
    (t1, r1, p1, b1), (t2, r2, p2, b2) = one, two
    terms = (power * (t1 * t2), b1 * b2, r1 * t2, t1 * r2, p1 * t2, t1 * p2)
    rows = zip(sums, terms, _DERIVATIVES, strict=True)
    return _Sums(*(a * x + term if power >= n else a for a, term, n in rows))


def _summed(thin: Thinned, one: list[Array], two: list[Array], x: Array) -> _Sums:
    """All series, from T, R, P and B of both sides, one after the other."""
    count = len(thin.powers)
    zero = jnp.zeros(jnp.broadcast_shapes(x.shape, one[0].shape, two[0].shape), x.dtype)
    sums = _Sums(*[zero] * len(_Sums._fields))
    powers = {1: x}
    while max(powers) < max(thin.gaps, default=1):
        powers[2 * max(powers)] = jnp.square(powers[max(powers)])
    above = (*thin.gaps, 1)
    for j in reversed(range(count)):
        left, right = (tuple(side[j::count]) for side in (one, two))
        sums = _added(sums, powers[above[j]], thin.powers[j], left, right)
    return sums


@functools.lru_cache(maxsize=64)
def _lifts(powers: tuple[int, ...]) -> tuple[bool, ...]:
    """Which series have a factor rho before a series in rho^2."""
    return tuple(min(p - n for p in powers if p >= n) > 0 for n in _DERIVATIVES)


def slopes(spec: str | Nonlinearity, distance: Array, one: Features, two: Features) -> Slopes:
    """The derivatives of D' and of kdot, from the slope features of both sides.

    With ``c = (q1 + q2)/2 - D`` and ``D' = (V(q1) + V(q2))/2 - k``::

        dD'/dD = dk/dc,     dD'/dq1 = V'(q1)/2 - (dk/dc)/2 - dk/dq1
        dkdot/dD = -d2k/dc2,   dkdot/dq1 = (d2k/dc2)/2 + d2k/dc dq1

    Cost: some 18 operations per term and pair.
    """
    thin = thinned(spec, distance.dtype.name)
    (half1, root1, inverse1, a1, b1, c1, *rows1) = one
    (half2, root2, inverse2, a2, b2, c2, *rows2) = two
    spread, inverse = root1 - root2, inverse1 * inverse2
    below = jnp.minimum(jnp.maximum((distance - spread * spread) * inverse, 0), 2)
    rho = 1 - below
    sums = _summed(thin, rows1, rows2, rho * rho if thin.step == 2 else rho)
    pairs = zip(sums, _lifts(thin.powers), strict=True)
    sums = _Sums(*(value * rho if lift else value for value, lift in pairs))
    some = inverse > 0
    kdot = jnp.where(some, sums.slope * inverse, a1 * a2)
    bend = jnp.where(some, sums.bend * (inverse * inverse), b1 * b2)
    twist1 = jnp.where(some, sums.twist1 * inverse, 0.5 * c1 * a2)
    twist2 = jnp.where(some, sums.twist2 * inverse, 0.5 * a1 * c2)
    return Slopes(
        (kdot, half1 - 0.5 * kdot - sums.tilt1, half2 - 0.5 * kdot - sums.tilt2),
        (-bend, 0.5 * bend + twist1, 0.5 * bend + twist2),
        kdot,
    )

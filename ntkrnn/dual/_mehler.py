r"""Any smooth function, by Mehler's formula.

With ``c_k(q) = E phi(sqrt q z) he_k(z)``, computed once for each sequence and step,
``phi^(n)`` the n-th derivative and ``c_k^(n)`` its coefficients::

    E phi^(n)(a) phi^(m)(b) = sum_k c_k^(n)(q1) c_k^(m)(q2) rho^k

truncated where the tail at ``max_variance`` is below 3e-8 (float32) or 1e-13 (float64) of the whole.
The truncated series is itself the kernel of a function (its Hermite projection), so that Gram
matrices stay positive semidefinite and duplicates stay exact whatever the truncation.

The distance is a sum of squares plus a sum without cancellation near rho = 1::

    E (phi(a) - phi(b))^2/2 = sum_k (c_k(q1) - c_k(q2))^2/2 + sum_k c_k(q1) c_k(q2) (1 - rho^k)

where ``(p(1) - p(rho))/(1 - rho)`` is the sum of the partial results of Horner's rule. Derivatives
follow from Price's theorem, ``d/dc -> (n+1, m+1)`` and ``d/dq1 -> (n+2, m)/2``, and are therefore
finite at rho = +-1 and at zero variance.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual import _hermite, _safe
from ntkrnn.dual._result import PairExpectation, PairFunction
from ntkrnn.dual._value import Nonlinearity


class _Polynomial(NamedTuple):
    """``p(rho) = sum_k a_k rho^k`` and ``p(1) - p(rho)``."""

    value: Array
    drop: Array


def _correlation(c: Array, distance: Array, q1: Array, q2: Array) -> tuple[Array, Array]:
    """``rho`` (0 at zero variance) and ``1 - rho`` to full relative accuracy."""
    scale, gap, _ = _safe.geometry(c, distance, q1, q2)
    below = _safe.ratio(gap, scale, default=1.0)
    return 1 - below, below


def _series(
    left: Array, right: Array, orders: tuple[int, int, int], rho: Array, below: Array
) -> _Polynomial:
    """Horner's rule over the terms, highest first; ``left`` and ``right`` are [terms, ...]."""
    start, _, step = orders
    base = rho if step == 1 else rho * rho
    base_below = below if step == 1 else below * (1 + rho)

    def body(carry: Any, pair: Any) -> Any:
        partial, total = carry
        total = total + partial
        return (pair[0] * pair[1] + base * partial, total), None

    zero = jnp.zeros(jnp.broadcast_shapes(left.shape[1:], right.shape[1:], rho.shape), rho.dtype)
    (value, total), _ = jax.lax.scan(body, (zero, zero), (left, right), reverse=True)
    drop = base_below * total
    if start == 1:  # odd: p(rho) = rho P(rho^2)
        value, drop = rho * value, drop + below * value
    return _Polynomial(value, drop)


@functools.lru_cache(maxsize=256)
def smooth(spec: str | Nonlinearity) -> PairFunction:
    """Dual of a smooth nonlinearity; the length of the series follows from the dtype.

    Cost: one 1-D quadrature per sequence and time step, and about eight multiply-adds per term and
    pair (tanh in float32 at variances up to 4: some fifty terms).
    """

    def expand(order: int, q: Array) -> tuple[Array, tuple[int, int, int]]:
        plan = _hermite.expansion(spec, q.dtype.name)
        return _hermite.coefficients(spec, order, q, plan), _hermite.shifted_orders(plan, order)

    @functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
    def moment(n: int, m: int, c: Array, distance: Array, q1: Array, q2: Array) -> Array:
        (left, orders), (right, others) = expand(n, q1), expand(m, q2)
        if orders != others:  # opposite parity
            return jnp.zeros(jnp.broadcast_shapes(c.shape, q1.shape, q2.shape), c.dtype)
        return _series(left, right, orders, *_correlation(c, distance, q1, q2)).value

    @moment.defjvp
    def _(n: Any, m: Any, primals: Any, tangents: Any) -> Any:
        dc, _, dq1, dq2 = tangents
        slope = moment(n + 1, m + 1, *primals) * dc
        bend1 = moment(n + 2, m, *primals) * dq1
        bend2 = moment(n, m + 2, *primals) * dq2
        return moment(n, m, *primals), slope + 0.5 * (bend1 + bend2)

    @jax.custom_jvp
    def stable_distance(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
        (left, orders), (right, _) = expand(0, q1), expand(0, q2)

        def body(total: Any, pair: Any) -> Any:
            return total + jnp.square(pair[0] - pair[1]), None

        zero = jnp.zeros(jnp.broadcast_shapes(c.shape, q1.shape, q2.shape), c.dtype)
        radial, _ = jax.lax.scan(body, zero, (left, right))
        drop = _series(left, right, orders, *_correlation(c, distance, q1, q2)).drop
        return jnp.maximum(0.5 * radial + drop, 0)

    def plain_distance(c: Array, distance: Array, q1: Array, q2: Array) -> Array:
        own = [moment(0, 0, q, 0 * q, q, q) for q in (q1, q2)]
        return 0.5 * (own[0] + own[1]) - moment(0, 0, c, distance, q1, q2)

    @stable_distance.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        return stable_distance(*primals), jax.jvp(plain_distance, primals, tangents)[1]

    def pair(c: Array, distance: Array, q1: Array, q2: Array) -> PairExpectation:
        return PairExpectation(
            k=moment(0, 0, c, distance, q1, q2),
            distance=stable_distance(c, distance, q1, q2),
            kdot=moment(1, 1, c, distance, q1, q2),
        )

    return pair

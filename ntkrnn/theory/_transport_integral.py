"""The expectation of a transport target over its neurons, summed block by block."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array
from ntkrnn.dual._value import Nonlinearity, scalar_function
from ntkrnn.quadrature import Rule, replicates_of

_ROWS = 64
"""Sequences that pass through the neurons at a time."""


class TransportValues(NamedTuple):
    """``[N, T, 1]`` each."""

    value: Array
    standard_error: Array
    """Of the integration over the neurons."""


def integrated(
    rule: Rule,
    x: Array,
    *,
    alpha: float,
    nonlinearity: str | Nonlinearity,
    maps: Callable[[Array, Array], tuple[Array, Array]],
) -> TransportValues:
    """The target at ``x [N, T, d]``; ``maps`` gives both transport maps at neurons ``[S]``."""
    found = []
    for blocks in replicates_of(rule, x.dtype == jnp.float64):
        total = jnp.zeros(x.shape[:2], x.dtype)
        for points, weights in blocks():
            u = jnp.asarray(np.concatenate([points, points]), x.dtype)
            w = alpha * jnp.asarray(np.repeat([1.0, -1.0], len(points)), x.dtype)
            half = jnp.asarray(0.5 * np.concatenate([weights, weights]), x.dtype)
            total = total + _sum_of_neurons(nonlinearity, half, w, u, *maps(w, u), x)
        found.append(total)
    values = jnp.stack(found)
    spread = jnp.std(values, axis=0, ddof=1)
    return TransportValues(jnp.mean(values, axis=0)[..., None], (rule.error_factor * spread)[..., None])


@functools.partial(jax.jit, static_argnums=0)
def _sum_of_neurons(
    nonlinearity: str | Nonlinearity,
    weights: Array,
    w: Array,
    u: Array,
    v_w: Array,
    v_u: Array,
    x: Array,
) -> Array:
    """``[N, T]``: ``sum_s weight_s D_t`` of neurons ``[S]``."""
    phi = scalar_function(nonlinearity)
    highest = jax.lax.Precision.HIGHEST

    def of_one(sequence: Array) -> Array:
        drive = jnp.matmul(sequence, u.T, precision=highest)
        push = jnp.matmul(sequence, v_u.T, precision=highest)

        def step(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> Any:
            (h, moved), (by_x, pushed) = carry, inputs
            h, moved = jax.jvp(phi, (w * h + by_x,), (v_w * h + pushed + w * moved,))
            return (h, moved), jnp.dot(moved, weights, precision=highest)

        zero = jnp.zeros_like(w)
        return jax.lax.scan(step, (zero, zero), (drive, push))[1]

    return jax.lax.map(of_one, x, batch_size=min(_ROWS, x.shape[0]))

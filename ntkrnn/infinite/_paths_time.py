"""Arrays over steps and sequences, time first, that fill up step by step."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ntkrnn._types import Array

SEGMENTS = 4
"""Parts of the time axis, each with a program that looks back no further than its end."""
SMALL = 256
"""Coordinates up to which another program costs more to compile than it saves."""


def segments(steps: int, columns: int) -> list[tuple[int, int]]:
    """``(first, end)`` of the parts of the time axis, one if there is little to save."""
    count = min(SEGMENTS, steps) if steps * columns > SMALL else 1
    ends = [-(-steps * (k + 1) // count) for k in range(count)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def at_step(array: Array, t: Array) -> Array:
    """``array[t]``."""
    return jax.lax.dynamic_index_in_dim(array, t, keepdims=False)


def before_step(array: Array, t: Array) -> Array:
    """``array[t - 1]``, 0 at t = 0."""
    return jnp.where(t > 0, at_step(array, jnp.maximum(t - 1, 0)), 0)


def shifted_row(rows: Array, t: Array, p: int) -> Array:
    """``[N, p, N]``: row t - 1 of ``[T, N, T, N]``, moved on by a step; 0 at t = 0."""
    return jnp.pad(before_step(rows, t)[:, : p - 1], ((0, 0), (1, 0), (0, 0)))


def put(array: Array, t: Array, value: Array) -> Array:
    """``array`` with ``value`` at step t; a row may be shorter than there is room for."""
    start = (t, *(jnp.zeros((), t.dtype),) * value.ndim)
    return jax.lax.dynamic_update_slice(array, value[None].astype(array.dtype), start)


def mean_products(now: Array, earlier: Array) -> Array:
    """``[N, p, N]`` from ``[N, S]`` and ``[p, N, S]``: averages over the samples."""
    p, n, samples = earlier.shape
    product = jax.lax.dot_general(
        now, earlier.reshape(p * n, samples), (((1,), (1,)), ((), ())), precision="highest"
    )
    return (product / samples).reshape(now.shape[0], p, n)


def symmetric(rows: Array) -> Array:
    """The whole of a symmetric ``[T, N, T, N]`` of which the rows reach up to their own step."""
    at = jnp.arange(rows.shape[0], dtype=jnp.int32)
    mirrored = jnp.transpose(rows, (2, 3, 0, 1))
    later, same = at[:, None] > at[None, :], at[:, None] == at[None, :]
    both = jnp.where(same[:, None, :, None], 0.5 * (rows + mirrored), mirrored)
    return jnp.where(later[:, None, :, None], rows, both)


def shifted(covariance: Array) -> Array:
    """``[T, N, T, N]`` moved on by a step in both times."""
    return jnp.pad(covariance, ((1, 0), (0, 0), (1, 0), (0, 0)))[:-1, :, :-1]

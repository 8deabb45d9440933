"""Route B: the Jacobian by a few rows of a matrix at a time.

``dy/dA`` restricted to rows ``f`` of A is ``J_f = sum_t delta_{t,f} z_t^T``; the kernel is the sum of
``<J_f, J'_f>`` over chunks of rows. Cheap when T is long: it costs N T m^2 for the Jacobians and
N1 N2 m^2 for their products, whatever T1 T2 is.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.empirical._factors import GateFactors

CHUNK_ENTRIES = 300_000
"""Entries of the Jacobian chunk of one side."""


def operations(left: GateFactors, right: GateFactors, symmetric: bool) -> float:
    """Multiply-adds."""
    n1, k1, t1, f = left.deltas.shape
    n2, k2, t2, _ = right.deltas.shape
    jacobians = n1 * k1 * t1 + (0 if symmetric else n2 * k2 * t2)
    return (jacobians + n1 * k1 * n2 * k2) * f * left.source.shape[-1]


def row_chunked(
    left: GateFactors,
    right: GateFactors,
    symmetric: bool,
    precision: Any,
    chunk_entries: int = CHUNK_ENTRIES,
) -> Array:
    """``[N1, N2, K1, K2]``: the sum over the blocks of one gate.

    Args:
        left: factors of the first side.
        right: factors of the second side.
        symmetric: whether both sides are the same, so that one Jacobian is enough.
        precision: of the inner products.
        chunk_entries: about how many entries of the larger Jacobian are held at a time.

    Cost: O((N1 + N2) T m^2 + N1 N2 m^2); memory O(N m) or the chunk, whichever is more, beside the
    factors and the kernel.
    """
    n1, k1, _, f = left.deltas.shape
    n2, k2, _, _ = right.deltas.shape
    c = left.source.shape[-1]
    size = chunk_entries // (max(n1 * k1, n2 * k2) * c)
    size = min(f, 2 ** max(0, size.bit_length() - 1))  # aligned, and most often a divisor of f
    count = -(-f // size)

    few_columns = c < size  # the larger factor of a product comes last, as it lies

    def rows(side: GateFactors) -> Array:
        """``[chunks, N, K size, T]``, or ``[chunks, N, T, K size]`` for few columns."""
        n, k, steps, _ = side.deltas.shape
        deltas = jnp.pad(side.deltas, ((0, 0), (0, 0), (0, 0), (0, count * size - f)))
        deltas = deltas.reshape(n, k, steps, count, size)
        if few_columns:
            return jnp.transpose(deltas, (3, 0, 2, 1, 4)).reshape(count, n, steps, k * size)
        return jnp.transpose(deltas, (3, 0, 1, 4, 2)).reshape(count, n, k * size, steps)

    def jacobian(deltas: Array, source: Array, k: int) -> Array:
        """``[N K, size c]``, the entries of a row in an order of its own."""
        product = functools.partial(jax.lax.dot_general, precision=precision)
        if few_columns:
            chunk = product(source, deltas, (((1,), (1,)), ((0,), (0,))))
            chunk = jnp.moveaxis(chunk.reshape(-1, c, k, size), 2, 1)
        else:
            chunk = product(deltas, source, (((2,), (1,)), ((0,), (0,))))
        return chunk.reshape(-1, size * c)

    def one(kernel: Array, deltas: tuple[Array, ...]) -> tuple[Array, None]:
        j1 = jacobian(deltas[0], left.source, k1)
        j2 = j1 if symmetric else jacobian(deltas[1], right.source, k2)
        gram = jax.lax.dot_general(j1, j2, (((1,), (1,)), ((), ())), precision=precision)
        return kernel + gram, None

    chunks = (rows(left),) if symmetric else (rows(left), rows(right))
    start = jnp.zeros((n1 * k1, n2 * k2), left.source.dtype)
    kernel, _ = jax.lax.scan(one, start, chunks)
    return jnp.transpose(kernel.reshape(n1, k1, n2, k2), (0, 2, 1, 3))

r"""A Gaussian process that becomes known step by step: its factor grows with its covariance.

With C the covariance of all coordinates, ``[N]`` of them at every step, ``C = L L^T`` with L lower
triangular in blocks. The rows of L at step t need those of C at t, and nothing later::

    l = C_{t,<t} M^T,   M = L^+ of the earlier steps,   C_tt - l l^T = R R^T

Where a direction of the last is determined by what came before, R has no column for it: its variance
given the past is below ``TOLERANCE`` of its variance. Duplicate sequences, zero inputs and first steps
are no exceptions, and nothing is added to a diagonal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
"""Variance given the past, relative to the variance, below which a direction counts as determined:
rounding makes something like it of an exact zero."""


class Factor(NamedTuple):
    """What is known of a process, each ``[T, N, T, N]`` and zero for steps to come."""

    root: Array
    """L, block lower triangular."""
    inverse: Array
    """M, its generalised inverse."""


def nothing(steps: int, n: int, dtype: Any) -> Factor:
    """A process of which no step is known."""
    zero = jnp.zeros((steps, n, steps, n), dtype)
    return Factor(zero, zero)


def _root(conditional: Array, variance: Array, symmetric: bool) -> tuple[Array, Array]:
    """R with ``R R^T`` the positive part of ``conditional`` ``[N, N]``, and its generalised inverse.

    Of all R the one that is symmetric, up to units, or one with as few columns as there can be.
    """
    positive = variance > 0
    scale = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)
    unit = jnp.where(positive, 1 / jnp.where(positive, scale, 1), 0)
    correlation = unit[:, None] * (0.5 * (conditional + conditional.T)) * unit[None, :]
    values, vectors = jnp.linalg.eigh(correlation, symmetrize_input=False)
    kept = values > TOLERANCE[values.dtype.name]
    roots = jnp.where(kept, jnp.sqrt(jnp.where(kept, values, 1)), 0)
    inverse = jnp.where(kept, 1 / jnp.where(kept, roots, 1), 0)
    root, unroot = vectors * roots, vectors * inverse
    if symmetric:
        root, unroot = (jnp.matmul(r, vectors.T, precision="highest") for r in (root, unroot))
    return scale[:, None] * root, unroot.T * unit[None, :]


def grow(factor: Factor, t: Array, row: Array, symmetric: bool = False) -> tuple[Factor, Array]:
    """Learn the covariance of step t with itself and with every earlier one.

    Args:
        factor: what is known.
        t: the step.
        row: ``[N, p, N]``, with p the static number of steps that are looked at, more than t; what
            stands in it for steps after t is not read.
        symmetric: whether a step has the symmetric root of its own covariance, for which near
            covariances have near factors. Otherwise it has few columns: the fewer there are that a
            coordinate is made of, the smaller is the fourth moment that signs give it.

    Returns:
        What is known now, and the rows of L ``[N, p, N]`` that the step is drawn with.

    Cost: ``2 N (p N)^2 + O(N^3)``.
    """
    n, p, _ = row.shape
    before = jnp.arange(p, dtype=jnp.int32)[None, :, None] < t
    known = jnp.where(before, row, 0).reshape(n, p * n)
    inverse = factor.inverse[:p, :, :p].reshape(p * n, p * n)
    dot = lambda a, b: jnp.matmul(a, b, precision="highest")  # noqa: E731
    past = dot(known, inverse.T)
    own = jax.lax.dynamic_index_in_dim(row, t, axis=1, keepdims=False)
    root, unroot = _root(own - dot(past, past.T), jnp.diagonal(own), symmetric)

    def put(whole: Array, part: Array, block: Array) -> tuple[Array, Array]:
        rows = jax.lax.dynamic_update_index_in_dim(part.reshape(n, p, n), block, t, axis=1)
        zero = jnp.zeros_like(t)  # of the type of t: in float64 mode a 0 is an int64
        return jax.lax.dynamic_update_slice(whole, rows[None], (t, zero, zero, zero)), rows

    roots, rows = put(factor.root, past, root)
    inverses, _ = put(factor.inverse, -dot(unroot, dot(past, inverse)), unroot)
    return Factor(roots, inverses), rows


def draw(rows: Array, noise: Array) -> Array:
    """``[N, ...]``: the step from rows of L ``[N, p, N]`` and noise ``[p, N, ...]``."""
    n, p, _ = rows.shape
    flat = jnp.matmul(rows.reshape(n, p * n), noise.reshape(p * n, -1), precision="highest")
    return flat.reshape(n, *noise.shape[2:])

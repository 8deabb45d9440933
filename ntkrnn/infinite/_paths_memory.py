r"""What a cell remembers, with sample moments that are exact as far as they can be.

The carry of an LSTM is ``c_t = f_t c_{t-1} + u_t``, u the product of what the input gate and the
candidate let through. Independent gates have covariances that are functions of those of their
pre-activations, so that to first order in what f does beside its mean the covariance of the carry is
known. With ``f = kept + df`` and the linear memory ``m_t = kept_t m_{t-1} + u_t``, the increments::

    w_t = u_t + df_t m_{t-1},   E w w' = E u u' + Cov(f, f') E m_{t-1} m'_{t-1}

of ``kept_t c_{t-1} + w_t = c_t + O(df^2)`` have an exact covariance. The sampled ones are multiplied by
the matrix near the identity, block lower triangular in time, that gives it to them as a set.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from ntkrnn._nonlinearities import scalar_function
from ntkrnn._types import Array
from ntkrnn.architectures import Cell, GateFunction
from ntkrnn.infinite._paths_exact import exact_gate
from ntkrnn.infinite._paths_process import Factor, draw, grow, nothing
from ntkrnn.infinite._paths_time import at_step, before_step, mean_products, put, shifted_row


class Moments(NamedTuple):
    """The covariance of a gate at a step: its row ``[N, p, N]`` and variances ``[N]``, ``[p, N]``."""

    row: Array
    variance: Array
    variances: Array


class Recall(NamedTuple):
    """What is known of a memory, up to a step."""

    linear: Array
    """The linear memory m ``[N, S]``."""
    increments: Array
    """w as sampled, ``[T, N, S]``."""
    kept: Array
    """Means of what keeps, ``[T, N]``."""
    weights: Array
    """``[T, T, N]``: how much of what was written at the second time m holds at the first."""
    covariance: Array
    """``E m m'``, rows ``[T, N, T, N]``."""
    exact: Factor
    """Of the covariance of w."""
    found: Factor
    """Of that of the samples."""


def nothing_remembered(steps: int, n: int, samples: int, dtype: Any) -> Recall:
    """Before the first step."""
    zero = lambda *shape: jnp.zeros(shape, dtype)  # noqa: E731
    return Recall(
        zero(n, samples),
        zero(steps, n, samples),
        zero(steps, n),
        zero(steps, steps, n),
        zero(steps, n, steps, n),
        nothing(steps, n, dtype),
        nothing(steps, n, dtype),
    )


def _kept(recall: Recall, t: Array, p: int, own: Array, written: Array) -> tuple[Recall, Array]:
    """The mean kept at step t, and the row ``[N, p, N]`` of ``E m m'``."""
    weights = own[None, :] * before_step(recall.weights, t)
    steps = jnp.arange(len(weights), dtype=jnp.int32)
    weights = put(recall.weights, t, jnp.where(steps[:, None] == t, 1, weights))
    by_memory = jnp.einsum("irj,srj->isj", written, weights[:p, :p], precision="highest")  # E u_t m_s'
    row = own[:, None, None] * before_step(recall.covariance, t)[:, :p] + by_memory
    last = jnp.where(t > 0, at_step(jnp.swapaxes(row, 0, 1), jnp.maximum(t - 1, 0)), 0)
    now = at_step(jnp.swapaxes(by_memory, 0, 1), t) + own[:, None] * last.T
    row = jnp.where(steps[None, :p, None] == t, now[:, None, :], row)
    return recall._replace(weights=weights, kept=put(recall.kept, t, own)), row


def remembered(
    cell: Cell,
    recall: Recall,
    t: Array,
    p: int,
    values: dict[int, Array],
    moments: Callable[[int], Moments],
    valid: Array,
) -> tuple[Recall, Array]:
    """What is to be added to the carry of step t as it was sampled, ``[N, S]``.

    Args:
        cell: with a memory.
        recall: what is known.
        t: the step.
        p: the static number of steps that are looked at.
        values: ``[N, S]`` pre-activations of all gates, with means.
        moments: of a gate.
        valid: ``[T, N]`` which steps are in a sequence.

    Cost: ``S (N T)^2`` multiply-adds for all steps, and ``O((N T)^3)``.
    """
    assert cell.memory is not None
    keep, write = cell.memory.keep, cell.memory.write

    def passed(of: GateFunction) -> Array:
        return scalar_function(of.nonlinearity)(values[of.gate])

    def products(of: GateFunction) -> Array:
        row, q, qs = moments(of.gate)
        return exact_gate(cell, of).value(row, q[:, None, None], qs[None])

    inside, upto = at_step(valid, t)[:, None], jnp.arange(p, dtype=jnp.int32) <= t
    both = inside[:, :, None] & (valid[:p] & upto[:, None])[None]
    q = moments(keep.gate).variance
    own = jnp.sqrt(exact_gate(cell, keep).value(jnp.zeros_like(q), q, q))  # it is not negative
    written = jnp.where(both, functools.reduce(jnp.multiply, map(products, write)), 0)
    recall, row = _kept(recall, t, p, own, written)
    spread = products(keep) - own[:, None, None] * recall.kept[None, :p]
    exact = written + jnp.where(both, spread * shifted_row(recall.covariance, t, p), 0)

    u = functools.reduce(jnp.multiply, map(passed, write))
    w = u + (passed(keep) - own[:, None]) * recall.linear
    w = jnp.where(inside, w, 0)
    increments = put(recall.increments, t, w)
    factor, rows = grow(recall.exact, t, exact, symmetric=True)
    found, _ = grow(recall.found, t, mean_products(w, increments[:p]), symmetric=True)
    n = len(rows)
    inverse = found.inverse[:p, :, :p].reshape(p * n, p * n)
    matrix = jnp.matmul(rows.reshape(n, p * n), inverse, precision="highest").reshape(n, p, n)
    recall = recall._replace(
        linear=own[:, None] * recall.linear + u,
        increments=increments,
        covariance=put(recall.covariance, t, row),
        exact=factor,
        found=found,
    )
    return recall, draw(matrix, increments[:p]) - w

r"""Forwards: samples of one neuron, all sequences and steps jointly, and the covariance of its states.

In the limit of infinite width the pre-activations of the neurons of a layer are independent copies of
one Gaussian process over sequences and steps, independent between gates::

    Cov(a_{t,i}, a_{s,j}) = w^2 E[z_{t,i} z_{s,j}] + u^2 below_{t,i;s,j} + b^2

with z what the recurrent matrix multiplies and ``below`` the inner products of the inputs, or the
covariance of the layer below. The first term at t needs states of t - 1 only: step by step, samples of
the process are drawn given those of the past, moved through the cell, and averaged over.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import INNER, STATE, Dense
from ntkrnn.infinite._paths_exact import Exact, exact_gate
from ntkrnn.infinite._paths_groups import groups_of
from ntkrnn.infinite._paths_memory import Moments, Recall, nothing_remembered, remembered
from ntkrnn.infinite._paths_noise import Noise, drawn_with, with_opposites
from ntkrnn.infinite._paths_process import Factor, grow, nothing
from ntkrnn.infinite._paths_time import (
    at_step,
    before_step,
    mean_products,
    put,
    segments,
    shifted_row,
    symmetric,
)


class Paths(NamedTuple):
    """Samples of one layer in one direction, and what they say."""

    pre: tuple[Array, ...]
    """Of each group ``[T, gates, N, D]``, without means; D of :class:`Noise`."""
    carries: tuple[Array, ...]
    """Of each vector of the carry ``[T, N, S]``, after the step."""
    covariance: dict[str, Array]
    """``E z z'`` of each source ``[T, N, T, N]``: of the state, and of the inner vector."""
    rest: Array | None
    """With a gate that is integrated exactly, the covariance of what it multiplies."""


class _Loop(NamedTuple):
    """What one step hands to the next."""

    factors: tuple[Factor, ...]
    pre: tuple[Array, ...]
    carries: tuple[Array, ...]
    rows: dict[str, Array]
    """Covariances of the sources ``[T, N, T, N]``, up to the step."""
    inner: Array | None
    """``[T, N, S]``"""
    variances: tuple[Array, ...]
    """Of the gates of each group, ``[T, N]``."""
    rest: tuple[Array, Array] | None
    """Of a gate that is integrated: what it multiplies ``[T, N, S]``, and the covariance of that."""
    recall: Recall | None
    """With a memory whose moments are corrected."""


def forward(
    arch: Dense,
    below: Array,
    valid: Array,
    steps: Array,
    noise: Noise,
    samples: int,
    exact: Exact,
) -> Paths:
    """Sample a layer in one direction.

    Args:
        arch: the architecture.
        below: ``[T, N, T, N]`` inner products of what the layer reads.
        valid: ``[T, N]`` which steps are in a sequence; they come first.
        steps: how many steps there are in the longest.
        noise: what the paths are drawn with.
        samples: S.
        exact: what is not left to samples.

    Cost: ``D (N T)^2 gates/2 + S (N T)^2/2`` multiply-adds, ``O((N T)^3)`` for the factors.
    """
    cell, groups = arch.cell, groups_of(arch)
    _, capacity, n, drawn = noise.z.shape
    out = cell.factor if exact.factor else None
    memory = cell.memory if exact.memory else None
    expectation = None if out is None else exact_gate(cell, out.of).value

    def sample(k: int, t: Array, p: int, loop: _Loop) -> tuple[_Loop, dict[int, Array], Array]:
        """The gates of a group at step t, with their means, and the row of their covariance."""
        group = groups[k]
        w, u, b = group.squares
        row = u * at_step(below, t)[:, :p] + b
        if group.source == STATE:
            row = row + w * shifted_row(loop.rows[STATE], t, p)
        elif group.source == INNER:
            row = row + w * at_step(loop.rows[INNER], t)[:, :p]
        row = jnp.where(at_step(valid, t)[:, None, None] & valid[:p][None], row, 0)
        factor, rows = grow(loop.factors[k], t, row)
        a = drawn_with(rows, noise, group.gates)
        factors = (*loop.factors[:k], factor, *loop.factors[k + 1 :])
        pre = (*loop.pre[:k], put(loop.pre[k], t, a), *loop.pre[k + 1 :])
        q = put(loop.variances[k], t, jnp.diagonal(at_step(jnp.swapaxes(row, 0, 1), t)))
        variances = (*loop.variances[:k], q, *loop.variances[k + 1 :])
        a = with_opposites(a, samples)
        values = {gate: a[j] + cell.gates[gate].mean for j, gate in enumerate(group.gates)}
        return loop._replace(factors=factors, pre=pre, variances=variances), values, row

    def body(p: int, t: Array, loop: _Loop) -> _Loop:
        inside = at_step(valid, t)[:, None]
        before = tuple(before_step(c, t) for c in loop.carries)
        values: dict[int, Array] = {}
        covariances = {}
        for k, group in enumerate(groups):
            if group.source != INNER:
                loop, found, covariances[k] = sample(k, t, p, loop)
                values |= found
        if cell.inner is not None and loop.inner is not None:
            q = cell.inner(tuple(values[k] for k in range(cell.outer_gates)), before)
            inner = put(loop.inner, t, jnp.where(inside, q, 0))
            row = mean_products(at_step(inner, t), inner[:p])
            loop = loop._replace(inner=inner, rows={**loop.rows, INNER: put(loop.rows[INNER], t, row)})
            for k, group in enumerate(groups):
                if group.source == INNER:
                    loop, found, covariances[k] = sample(k, t, p, loop)
                    values |= found
        new = cell.update(tuple(values[k] for k in range(len(cell.gates))), before)
        recall = loop.recall

        def moments(gate: int) -> Moments:
            (k,) = (k for k, group in enumerate(groups) if gate in group.gates)
            q = loop.variances[k]
            return Moments(covariances[k], at_step(q, t), q[:p])

        if memory is not None and recall is not None:
            recall, more = remembered(cell, recall, t, p, values, moments, valid)
            new = tuple(c + more if k == memory.carry else c for k, c in enumerate(new))
        new = tuple(jnp.where(inside, c, 0) for c in new)
        carries = tuple(put(old, t, c) for old, c in zip(loop.carries, new, strict=True))
        if out is None or expectation is None or loop.rest is None:
            row, rest = mean_products(new[0], carries[0][:p]), None
        else:
            held, means = loop.rest
            left = jnp.where(inside, out.rest(new), 0)
            held = put(held, t, left)
            of_rest = mean_products(left, held[:p])
            covariance, q, qs = moments(out.of.gate)
            gate = expectation(covariance, q[:, None, None], qs[None])
            row, rest = of_rest * gate, (held, put(means, t, of_rest))
        rows = {**loop.rows, STATE: put(loop.rows[STATE], t, row)}
        return loop._replace(carries=carries, rows=rows, rest=rest, recall=recall)

    dtype = noise.z.dtype
    square = jnp.zeros((capacity, n, capacity, n), dtype)
    vector = jnp.zeros((capacity, n, samples), dtype)
    loop = _Loop(
        tuple(nothing(capacity, n, dtype) for _ in groups),
        tuple(jnp.zeros((capacity, len(group.gates), n, drawn), dtype) for group in groups),
        (vector,) * cell.carries,
        {STATE: square} if cell.inner is None else {STATE: square, INNER: square},
        None if cell.inner is None else vector,
        tuple(jnp.zeros((capacity, n), dtype) for _ in groups),
        None if out is None else (vector, square),
        None if memory is None else nothing_remembered(capacity, n, samples, dtype),
    )
    for first, end in segments(capacity, n):
        loop = jax.lax.fori_loop(first, jnp.minimum(end, steps), functools.partial(body, end), loop)
    covariance = {source: symmetric(rows) for source, rows in loop.rows.items()}
    rest = None if loop.rest is None else symmetric(loop.rest[1])
    return Paths(loop.pre, loop.carries, covariance, rest)

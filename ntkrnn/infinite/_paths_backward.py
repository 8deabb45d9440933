r"""Backwards: derivatives of an output by the pre-activations of one neuron, along its paths.

In the limit the derivative by a state is what flows through the cell elementwise, and for what the
matrices send back a Gaussian process of its own, independent of everything forwards::

    Cov(Gamma_{t,i}, Gamma_{s,j}) = w^2 sum_gates E[delta_{t+1,i} delta_{s+1,j}] + outside_{t,i;s,j}

``outside`` is what readouts and the layer above send back. The process is drawn in reversed time, each
step given the later ones, and moved through the transposed cell; it enters linearly, so that any noise
with the right covariance will do.

An output of a sequence is a *path*: one for each sequence, or one for each of its steps.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import INNER, STATE, Dense
from ntkrnn.infinite._paths_forward import Paths
from ntkrnn.infinite._paths_groups import groups_of
from ntkrnn.infinite._paths_noise import with_opposites
from ntkrnn.infinite._paths_process import Factor, draw, grow, nothing
from ntkrnn.infinite._paths_time import (
    at_step,
    mean_products,
    put,
    segments,
    shifted_row,
    symmetric,
)


class Reversed(NamedTuple):
    """What a layer in one direction is run backwards with; all times count from the last step."""

    outside: Array
    """``[T, P, T, P]`` covariance of what comes back from outside of the layer."""
    inside: Array
    """``[T, P]`` which steps there are."""
    sequence: Array
    """``[P]``: of which sequence a path is."""
    exact: Array | None
    """``[T, P, T, P]`` expectation of what multiplies the derivative by the state in that by a gate
    that is integrated exactly, None if there is none."""


class _Loop(NamedTuple):
    """What one step hands to the next."""

    carry: tuple[Array, ...]
    """Derivatives by the carry ``[P, S]``, without what the matrices send back."""
    returned: dict[str, Factor]
    """The processes of what matrices send back, by what they multiply forwards."""
    deltas: tuple[Array, ...]
    """Of each group ``[T, P, gates, S]``, without a gate that is integrated exactly."""
    rows: tuple[Array, ...]
    """Of each group the sum over gates of ``E delta delta'``, ``[T, P, T, P]``, up to the step."""


def backward(
    arch: Dense, paths: Paths, back: Reversed, steps: Array, signs: Array
) -> tuple[Array, ...]:
    """``sum_gates E delta delta'`` of each group of gates, ``[T, P, T, P]`` in reversed time.

    Args:
        arch: the architecture.
        paths: the layer forwards.
        back: what it is run backwards with.
        steps: how many steps there are in the longest sequence.
        signs: ``[sources T P, S]`` of them, see :mod:`ntkrnn.infinite._paths_noise`.

    Cost: ``S (P T)^2 (gates + 1)/2`` multiply-adds, ``O((P T)^3)`` for the factors.
    """
    cell, groups = arch.cell, groups_of(arch)
    capacity, count = back.inside.shape
    samples, dtype = paths.carries[0].shape[-1], paths.carries[0].dtype
    sources = (STATE,) if cell.inner is None else (STATE, INNER)
    shape = (len(sources), capacity, count, samples)
    noise: dict[str, Array] = dict(zip(sources, signs.astype(dtype).reshape(shape), strict=True))
    left_out = None if back.exact is None or cell.factor is None else cell.factor.of.gate
    kept = [tuple(gate for gate in group.gates if gate != left_out) for group in groups]
    every_path = count == paths.carries[0].shape[1]

    def of_paths(array: Array) -> Array:
        """``[N, ...]`` to ``[P, ...]``."""
        return array if every_path else array[back.sequence]

    def body(p: int, step: Array, loop: _Loop) -> _Loop:
        t = steps - 1 - step
        inside = at_step(back.inside, step)
        both = inside[:, None, None] & back.inside[:p][None]
        pre: dict[int, Array] = {}
        for group, array in zip(groups, paths.pre, strict=True):
            a = with_opposites(at_step(array, t), samples)
            pre |= {gate: of_paths(a[j]) + cell.gates[gate].mean for j, gate in enumerate(group.gates)}
        before = tuple(
            jnp.where(t > 0, of_paths(at_step(c, jnp.maximum(t - 1, 0))), 0) for c in paths.carries
        )
        found: dict[int, Array] = {}
        written: dict[int, tuple[Array, Array]] = {}

        def note(k: int, extra: Array | None = None) -> None:
            """Enter the derivatives by the gates of a group."""
            deltas = loop.deltas[k]
            row = jnp.zeros((count, p, count), dtype) if extra is None else extra
            if kept[k]:
                now = jnp.stack([found[gate] for gate in kept[k]], axis=1)
                deltas = put(deltas, step, now)
                flat = (a.reshape(*a.shape[:-2], -1) for a in (now, deltas[:p]))
                row = row + mean_products(*flat) * len(kept[k])
            written[k] = (deltas, put(loop.rows[k], step, row))

        def returned(source: str, row: Array) -> tuple[Factor, Array]:
            factor, rows = grow(loop.returned[source], step, jnp.where(both, row, 0))
            return factor, draw(rows, noise[source][:p])

        row = at_step(back.outside, step)[:, :p]
        for group, rows in zip(groups, loop.rows, strict=True):
            if group.source == STATE:
                row = row + group.squares[0] * shifted_row(rows, step, p)
        processes = dict(loop.returned)
        processes[STATE], gamma = returned(STATE, row)
        carry = (loop.carry[0] + gamma, *loop.carry[1:])
        carry = tuple(jnp.where(inside[:, None], c, 0) for c in carry)
        values = tuple(pre[k] for k in range(len(cell.gates)))
        _, elementwise = jax.vjp(cell.update, values, before)
        deltas, carry = elementwise(carry)
        found = dict(enumerate(deltas))
        if cell.inner is not None:
            inner_row = jnp.zeros((count, p, count), dtype)
            for k, group in enumerate(groups):
                if group.source == INNER:
                    note(k)
                    inner_row = inner_row + group.squares[0] * at_step(written[k][1], step)[:, :p]
            processes[INNER], gamma = returned(INNER, inner_row)
            _, elementwise = jax.vjp(cell.inner, values[: cell.outer_gates], before)
            more, of_carry = elementwise(gamma)
            for k, delta in enumerate(more):
                found[k] = found[k] + delta
            carry = tuple(a + b for a, b in zip(carry, of_carry, strict=True))
        for k, group in enumerate(groups):
            if group.source != INNER:
                integrated = None
                if left_out in group.gates and back.exact is not None:
                    integrated = jnp.where(both, row * at_step(back.exact, step)[:, :p], 0)
                note(k, integrated)
        arrays, rows = zip(*(written[k] for k in range(len(groups))), strict=True)
        return _Loop(carry, processes, arrays, rows)

    square = jnp.zeros((capacity, count, capacity, count), dtype)
    loop = _Loop(
        (jnp.zeros((count, samples), dtype),) * cell.carries,
        {source: nothing(capacity, count, dtype) for source in sources},
        tuple(jnp.zeros((capacity, count, len(gates), samples), dtype) for gates in kept),
        (square,) * len(groups),
    )
    for first, end in segments(capacity, count):
        loop = jax.lax.fori_loop(first, jnp.minimum(end, steps), functools.partial(body, end), loop)
    return tuple(symmetric(rows) for rows in loop.rows)

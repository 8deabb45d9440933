r"""From diagonals to the kernels of each readout, one tile at a time.

"last" needs the single diagonal that ends at the last steps (T, T'); a sum over steps, such as "mean",
needs every pair of them, but only to add it up with the weights of the readout; "sequence" keeps them
all. The T1 T2 pairs fall into T2 *cyclic* diagonals ``(t, (t + shift) mod T2)`` of T1 pairs each, on
which the recursion restarts where t' wraps to 0, so that no step is wasted on pairs outside the plane;
several diagonals advance together, as lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.infinite.pairs._rows import Rows, across
from ntkrnn.infinite.pairs._step import Pair, Plan, open_
from ntkrnn.infinite.recursion._layers import run_diagonal
from ntkrnn.infinite.recursion._sweep import Block, Visit, store


class RecursionSide(NamedTuple):
    """One side of a Gram matrix in blocks of B sequences, or some of these blocks."""

    ends: Rows
    """``[T, blocks, R, B]``: rows with the last valid steps aligned ("last"), or as they came."""
    starts: Rows | None
    """The same with the first steps aligned, where that is another thing."""
    variances: dict[str, Array]
    """Half state variances of the top layer by direction: ``[blocks, B]`` where it is read out
    ("last") or summed over steps with their weights, ``[T, blocks, B]`` ("sequence")."""
    counts: Array
    """``[blocks, B]``, numbers of valid steps; 0 for the sequences that fill up a tile."""
    masses: dict[str, Array]
    """Sums of the weights by direction, ``[blocks, B]``; empty where nothing is summed over steps."""


def _facing(one: Array, two: Array) -> tuple[Array, Array]:
    """Per-sequence numbers of both sides, to be broadcast over a tile."""
    return across(one, 1), across(two, 2)


def _readout(plan: Plan, cov: Array, ntk: Array) -> tuple[Array, Array]:
    """NNGP and NTK of the outputs."""
    v = plan.scale.v
    return v * cov, v * (ntk + cov if "v" in plan.form.trainable else ntk)


def _averaged(values: list[Any]) -> Any:
    return jax.tree.map(lambda *parts: add_up(parts) / len(parts), *values)


def last(plan: Plan, one: RecursionSide, two: RecursionSide, steps: Any) -> tuple[Array, ...]:
    """Forward states meet at the ends of both sequences, backward states at their starts.

    Args:
        plan: what to compute.
        one: the blocks of the first side that face, one by one, those of the second.
        two: the blocks of the second side.
        steps: positions on the diagonal.

    Returns:
        Two kernels ``[blocks, B1, B2]``.
    """

    def finals(rows1: Rows, rows2: Rows) -> dict[str, Pair]:
        block = Block(rows1, rows2, None, one.counts.shape[0], steps)
        return {d: state for d, (state, _) in run_diagonal(plan, block, None, None).items()}

    states = finals(one.ends, two.ends)
    if one.starts is not None and two.starts is not None:
        states["backward"] = finals(one.starts, two.starts)["backward"]
    kernels = []
    for direction, state in states.items():
        half1, half2 = _facing(one.variances[direction], two.variances[direction])
        kernels.append(_readout(plan, half1 + half2 - state.distance, state.ntk))
    return _averaged(kernels)


def cyclic(rows: Rows, period: Any, lanes: int, capacity: int) -> Rows:
    """Rows repeated along time, so that the lanes of a step are one slice: row t holds t mod period."""

    def repeat(a: Array) -> Array:
        return a[jnp.arange(capacity + a.shape[0] + lanes) % period]

    return {key: repeat(a) for key, a in rows.items()}


def _weighted(weights: Any, value: Array) -> Array:
    """What of a complex array the readout reads; all of it for no weights."""
    if weights is None:
        return value
    read1, read2 = _facing(weights[0][..., 0, :], weights[1][..., 0, :])
    both = read1 * read2
    return jax.lax.complex(both * value.real, both * value.imag)


def _add(total: Array, state: Array, weights: Any, at: Array) -> Array:
    del at
    return total + _weighted(weights, state)


def _share(cotangent: Array, weights: Any, at: Array) -> Array:
    del at
    return _weighted(weights, cotangent)


_TOTAL = Visit(_add, _share)
"""Add up the states with the weights of their steps."""


def _only(side: RecursionSide) -> RecursionSide:
    """The one block there is, without the axis of blocks."""
    return jax.tree.map(lambda a: a[0] if a.ndim == 2 else a[:, 0], side)


def summed(
    plan: Plan, one: RecursionSide, two: RecursionSide, steps: Any, period: Any, lanes: int
) -> tuple[Array, ...]:
    """Weighted sums over all pairs of steps, for one block of each side.

    Args:
        plan: what to compute.
        one: a block of the first side.
        two: a block of the second side, its ``ends`` cyclic.
        steps: T1.
        period: T2.
        lanes: diagonals that advance together.

    Returns:
        Two kernels ``[1, B1, B2]``.
    """
    one, two = _only(one), _only(two)

    def block(k: Array) -> Block:
        return Block(one.ends, two.ends, k * lanes, lanes, steps)

    def some(k: Array, totals: dict[str, Array]) -> dict[str, Array]:
        result = run_diagonal(plan, block(k), _TOTAL, block(k).zero())
        there = (k * lanes + jnp.arange(lanes) < period)[:, None, None]
        return {
            d: total + jnp.sum(jnp.where(there, result[d][1], 0), axis=0) for d, total in totals.items()
        }

    start = dict.fromkeys(plan.form.directions, block(jnp.asarray(0)).zero()[0])
    totals = jax.lax.fori_loop(0, -(-period // lanes), some, start)
    kernels = []
    for direction, total in totals.items():
        half1, half2 = _facing(one.variances[direction], two.variances[direction])
        mass1, mass2 = _facing(one.masses[direction], two.masses[direction])
        distance, ntk = open_(total)
        cov = mass2 * half1 + mass1 * half2 - distance
        if plan.form.reading.uniform:
            # The count of a sequence that fills up a tile is 0: the derivative of a quotient is NaN.
            count1, count2 = _facing(*(jnp.maximum(c, 1) for c in (one.counts, two.counts)))
            cov, ntk = cov / (count1 * count2), ntk / (count1 * count2)
        kernels.append(tuple(k[None] for k in _readout(plan, cov, ntk)))
    return _averaged(kernels)


def whole(
    plan: Plan, rows1: Rows, rows2: Rows, steps: Any, period: Any, lanes: int, below: Any = None
) -> Pair:
    """Kernels of the top states at every pair of steps, averaged over directions.

    Args:
        plan: what to compute.
        rows1: ``[T1, R, B1]``.
        rows2: cyclic rows of the second side.
        steps: valid T1.
        period: valid T2.
        lanes: diagonals that advance together.
        below: ``(shift) -> (t -> Pair)``, what feeds the first layer, or None for the inputs.

    Returns:
        ``[T1, T2, B1, B2]`` each (with the padded T1 and T2), entries outside the valid ones
        unspecified.
    """
    (capacity, *_), (extent, *_) = (next(iter(rows.values())).shape for rows in (rows1, rows2))
    last_shift = extent - capacity - lanes  # the padded T2

    def some(k: Array) -> Array:
        feed = None if below is None else below(k * lanes)
        block = Block(rows1, rows2, k * lanes, lanes, steps, feed)
        result = run_diagonal(plan, block, store, block.zero(capacity))
        return _averaged([value for _, value in result.values()])

    kept = jax.lax.map(some, jnp.arange(-(-last_shift // lanes)))  # [shift/lanes, T1, lanes, B1, B2]
    t1, t2 = jnp.arange(capacity)[:, None], jnp.arange(last_shift)[None, :]
    shift = (t2 - t1) % period
    return open_(kept[shift // lanes, t1, shift % lanes])


def sequence(
    plan: Plan, one: RecursionSide, two: RecursionSide, steps: Any, period: Any, lanes: int
) -> tuple[Array, ...]:
    """Kernels ``[1, B1, B2, T1, T2]`` at every pair of steps, 0 where either is padding."""
    one, two = _only(one), _only(two)
    state = whole(plan, one.ends, two.ends, steps, period, lanes)
    halves1 = _averaged(list(one.variances.values()))[:, None, :, None]
    halves2 = _averaged(list(two.variances.values()))[None, :, None, :]
    t1, t2 = (jnp.arange(h.shape[axis]) for h, axis in ((halves1, 0), (halves2, 1)))
    inside1 = t1[:, None].astype(halves1.dtype) < one.counts[None, :]
    inside2 = t2[:, None].astype(halves2.dtype) < two.counts[None, :]
    inside = inside1[:, None, :, None] & inside2[None, :, None, :]
    kernels = _readout(plan, halves1 + halves2 - state.distance, state.ntk)
    return tuple(jnp.transpose(jnp.where(inside, k, 0), (2, 3, 0, 1))[None] for k in kernels)

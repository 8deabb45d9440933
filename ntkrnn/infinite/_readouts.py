r"""From diagonals to the kernels of each readout, one tile at a time.

"last" needs the single diagonal that ends at the last steps (T, T'); "mean" needs every pair of steps
but only their sum; "sequence" keeps them all. The T1 T2 pairs fall into T2 *cyclic* diagonals
``(t, (t + shift) mod T2)`` of T1 pairs each, on which the recursion restarts where t' wraps to 0, so
that no step is wasted on pairs outside the plane; several diagonals advance together, as lanes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.infinite._diagonal import Block, Pair, Plan, close, open_, run_diagonal
from ntkrnn.infinite._rows import View
from ntkrnn.infinite._tiles import Compute


class Side(NamedTuple):
    """One side of a Gram matrix, in blocks of sequences."""

    ends: Array
    """``[T, blocks, R, B]``: rows with the last valid steps aligned ("last"), or as they came."""
    starts: Array | None
    """The same with the first steps aligned, where that is another thing."""
    variances: dict[str, Array]
    """Half state variances of the top layer by direction: ``[blocks, B]`` where it is read out
    ("last") or summed over valid steps ("mean"), ``[T, blocks, B]`` ("sequence")."""
    counts: Array
    """``[blocks, B]``, numbers of valid steps."""


def _across(one: Array, two: Array) -> tuple[Array, Array]:
    """Per-sequence numbers of both sides, to be broadcast over a tile."""
    return one[..., :, None], two[..., None, :]


def _readout(plan: Plan, cov: Array, ntk: Array) -> tuple[Array, Array]:
    """NNGP and NTK of the outputs."""
    v = plan.scale.v
    return v * cov, v * (ntk + cov if "v" in plan.form.trainable else ntk)


def _averaged(values: list[Any]) -> Any:
    return jax.tree.map(lambda *parts: add_up(parts) / len(parts), *values)


def last(plan: Plan, one: Side, two: Side, steps: Any) -> Compute:
    """Forward states meet at the ends of both sequences, backward states at their starts."""

    def ignore(value: None, state: Pair, left: View, right: View, at: Array) -> None:
        return value

    def finals(rows1: Array, rows2: Array) -> dict[str, Pair]:
        block = Block(_reader(rows1), _reader(rows2), steps, rows1.shape[0])
        return {d: state for d, (state, _) in run_diagonal(plan, block, ignore, None).items()}

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        states = finals(_lanes(one.ends, i), _lanes(two.ends, j))
        if one.starts is not None and two.starts is not None:
            starts = finals(_lanes(one.starts, i), _lanes(two.starts, j))
            states["backward"] = starts["backward"]
        kernels = []
        for direction, state in states.items():
            half1, half2 = _across(one.variances[direction][i], two.variances[direction][j])
            kernels.append(_readout(plan, half1 + half2 - state.distance, state.ntk))
        return _averaged(kernels)

    return compute


def _lanes(rows: Array, index: Array) -> Array:
    """Blocks ``[T, lanes, R, B]`` of the tiles that advance together."""
    if index.shape[0] > 16:
        return rows[:, index]
    # A few slices are copied faster than a gather finds its way.
    parts = [jax.lax.dynamic_slice_in_dim(rows, i, 1, axis=1) for i in index]
    return jnp.concatenate(parts, axis=1)


def _reader(rows: Array) -> Any:
    return lambda t: jax.lax.dynamic_index_in_dim(rows, t, keepdims=False)


def cyclic(rows: Array, period: Any, lanes: int, capacity: int) -> Array:
    """Rows repeated along time, so that the lanes of a step are one slice: row t holds t mod period."""
    length = capacity + rows.shape[0] + lanes
    return rows[jnp.arange(length) % period]


def _shifted(rows: Array, shift: Array, lanes: int) -> Any:
    return lambda t: jax.lax.dynamic_slice_in_dim(rows, t + shift, lanes)


def mean(plan: Plan, one: Side, two: Side, steps: Any, period: Any, lanes: int) -> Compute:
    """Sums over all pairs of valid steps; ``two.ends`` is cyclic."""

    def add(total: Array, state: Pair, left: View, right: View, at: Array) -> Array:
        new = close(state)
        if left.valid is not None and right.valid is not None:
            new = jnp.where(left.valid * right.valid > 0.5, new, 0)
        return total + new

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        rows1, rows2 = one.ends[:, i[0]], two.ends[:, j[0]]
        shape = (lanes, rows1.shape[-1], rows2.shape[-1])
        zero = jnp.zeros(shape, rows1.dtype)
        zero = close(Pair(zero, zero))
        left = _reader(rows1[:, None])

        def some(k: Array, totals: dict[str, Array]) -> dict[str, Array]:
            block = Block(left, _shifted(rows2, k * lanes, lanes), steps, rows1.shape[0])
            result = run_diagonal(plan, block, add, zero)
            there = (k * lanes + jnp.arange(lanes) < period)[:, None, None]
            return {
                d: total + jnp.sum(jnp.where(there, result[d][1], 0), axis=0)
                for d, total in totals.items()
            }

        totals = jax.lax.fori_loop(
            0, -(-period // lanes), some, dict.fromkeys(plan.form.directions, zero[0])
        )
        count1, count2 = _across(one.counts[i[0]], two.counts[j[0]])
        kernels = []
        for direction, total in totals.items():
            half1, half2 = _across(one.variances[direction][i[0]], two.variances[direction][j[0]])
            state = open_(total)
            cov = (count2 * half1 + count1 * half2 - state.distance) / (count1 * count2)
            pair = _readout(plan, cov, state.ntk / (count1 * count2))
            kernels.append(tuple(k[None] for k in pair))
        return _averaged(kernels)

    return compute


def whole(
    plan: Plan, rows1: Array, rows2: Array, steps: Any, period: Any, lanes: int, below: Any = None
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
    capacity = rows1.shape[0]
    last_shift = rows2.shape[0] - capacity - lanes  # the padded T2
    shape = (capacity, lanes, rows1.shape[-1], rows2.shape[-1])

    def put(buffer: Array, state: Pair, left: View, right: View, at: Array) -> Array:
        return buffer.at[at].set(close(state))

    def some(k: Array) -> Array:
        shift = k * lanes
        feed = None if below is None else below(shift)
        block = Block(_reader(rows1[:, None]), _shifted(rows2, shift, lanes), steps, capacity, feed)
        zero = jnp.zeros(shape, rows1.dtype)
        result = run_diagonal(plan, block, put, close(Pair(zero, zero)))
        return _averaged([value for _, value in result.values()])

    kept = jax.lax.map(some, jnp.arange(-(-last_shift // lanes)))  # [shift/lanes, T1, lanes, B1, B2]
    t1, t2 = jnp.arange(capacity)[:, None], jnp.arange(last_shift)[None, :]
    shift = (t2 - t1) % period
    return open_(kept[shift // lanes, t1, shift % lanes])


def sequence(plan: Plan, one: Side, two: Side, steps: Any, period: Any, lanes: int) -> Compute:
    """Kernels at every pair of steps, 0 where either step is padding."""

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        state = whole(plan, one.ends[:, i[0]], two.ends[:, j[0]], steps, period, lanes)
        halves1 = _averaged(list(one.variances.values()))[:, i[0]][:, None, :, None]
        halves2 = _averaged(list(two.variances.values()))[:, j[0]][None, :, None, :]
        t1, t2 = (jnp.arange(h.shape[axis]) for h, axis in ((halves1, 0), (halves2, 1)))
        inside1 = t1[:, None].astype(halves1.dtype) < one.counts[i[0]][None, :]
        inside2 = t2[:, None].astype(halves2.dtype) < two.counts[j[0]][None, :]
        inside = inside1[:, None, :, None] & inside2[None, :, None, :]
        kernels = _readout(plan, halves1 + halves2 - state.distance, state.ntk)
        return tuple(jnp.transpose(jnp.where(inside, k, 0), (2, 3, 0, 1))[None] for k in kernels)

    return compute

r"""From diagonals to the kernels of each readout, one tile at a time.

"last" needs the single diagonal that ends at the last steps (T, T'); "mean" needs every pair of steps
but only their sum; "sequence" keeps them all. The T1 T2 pairs fall into T2 *cyclic* diagonals
``(t, (t + shift) mod T2)`` of T1 pairs each, on which the recursion restarts where t' wraps to 0, so
that no step is wasted on pairs outside the plane; several diagonals advance together, as lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.gram import Compute
from ntkrnn.infinite._diagonal import Block, Pair, Plan, open_, run_diagonal, store, zero
from ntkrnn.infinite._rows import Key, Rows, across


class Side(NamedTuple):
    """One side of a Gram matrix, in blocks of sequences."""

    ends: Rows
    """``[T, blocks, R, B]``: rows with the last valid steps aligned ("last"), or as they came."""
    starts: Rows | None
    """The same with the first steps aligned, where that is another thing."""
    variances: dict[str, Array]
    """Half state variances of the top layer by direction: ``[blocks, B]`` where it is read out
    ("last") or summed over valid steps ("mean"), ``[T, blocks, B]`` ("sequence")."""
    counts: Array
    """``[blocks, B]``, numbers of valid steps; 0 for the sequences that fill up a tile."""


def _facing(one: Array, two: Array) -> tuple[Array, Array]:
    """Per-sequence numbers of both sides, to be broadcast over a tile."""
    return across(one, 1), across(two, 2)


def _readout(plan: Plan, cov: Array, ntk: Array) -> tuple[Array, Array]:
    """NNGP and NTK of the outputs."""
    v = plan.scale.v
    return v * cov, v * (ntk + cov if "v" in plan.form.trainable else ntk)


def _averaged(values: list[Any]) -> Any:
    return jax.tree.map(lambda *parts: add_up(parts) / len(parts), *values)


def last(plan: Plan, one: Side, two: Side, steps: Any) -> Compute:
    """Forward states meet at the ends of both sequences, backward states at their starts."""

    def finals(rows1: Rows, rows2: Rows) -> dict[str, Pair]:
        block = _block(_reader(rows1), _reader(rows2), rows1, rows2, steps)
        return {d: state for d, (state, _) in run_diagonal(plan, block, None, None).items()}

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        states = finals(_lanes(one.ends, i), _lanes(two.ends, j))
        if one.starts is not None and two.starts is not None:
            starts = finals(_lanes(one.starts, i), _lanes(two.starts, j))
            states["backward"] = starts["backward"]
        kernels = []
        for direction, state in states.items():
            half1, half2 = _facing(one.variances[direction][i], two.variances[direction][j])
            kernels.append(_readout(plan, half1 + half2 - state.distance, state.ntk))
        return _averaged(kernels)

    return compute


def _lanes(rows: Rows, index: Array) -> Rows:
    """Blocks ``[T, lanes, R, B]`` of the tiles that advance together."""
    if index.shape[0] > 16:
        return {key: a[:, index] for key, a in rows.items()}

    # A few slices are copied faster than a gather finds its way.
    def some(a: Array) -> Array:
        parts = [jax.lax.dynamic_slice_in_dim(a, i, 1, axis=1) for i in index]
        return jnp.concatenate(parts, axis=1)

    return {key: some(a) for key, a in rows.items()}


def _one_lane(rows: Rows, index: Array) -> Rows:
    """``[T, R, B]`` of one tile."""
    take = jax.lax.dynamic_index_in_dim
    return {key: take(a, index, axis=1, keepdims=False) for key, a in rows.items()}


Reader = Callable[[Key, Array], Array]


def _reader(rows: Rows) -> Reader:
    return lambda key, t: jax.lax.dynamic_index_in_dim(rows[key], t, keepdims=False)


def _reader_of_one(rows: Rows) -> Reader:
    return lambda key, t: jax.lax.dynamic_slice_in_dim(rows[key], t, 1)


def _shifted(rows: Rows, shift: Array, lanes: int) -> Reader:
    return lambda key, t: jax.lax.dynamic_slice_in_dim(rows[key], t + shift, lanes)


def _block(
    left: Reader, right: Reader, rows1: Rows, rows2: Rows, steps: Any, lanes: int = 0, below: Any = None
) -> Block:
    """A block of the sizes of the rows; ``lanes`` is 0 where the rows have an axis for them."""
    one, two = (next(iter(rows.values())) for rows in (rows1, rows2))
    shape = (lanes or one.shape[1], one.shape[-1], two.shape[-1])
    return Block(left, right, shape, one.dtype, steps, one.shape[0], below)


def cyclic(rows: Rows, period: Any, lanes: int, capacity: int) -> Rows:
    """Rows repeated along time, so that the lanes of a step are one slice: row t holds t mod period."""

    def repeat(a: Array) -> Array:
        return a[jnp.arange(capacity + a.shape[0] + lanes) % period]

    return {key: repeat(a) for key, a in rows.items()}


def mean(plan: Plan, one: Side, two: Side, steps: Any, period: Any, lanes: int) -> Compute:
    """Sums over all pairs of valid steps; ``two.ends`` is cyclic."""

    def add(total: Array, state: Array, valid: Any, at: Array) -> Array:
        if valid is None:
            return total + state
        inside1, inside2 = _facing(valid[0][..., 0, :], valid[1][..., 0, :])
        return total + jnp.where(inside1 * inside2 > 0.5, state, 0)

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        rows1, rows2 = _one_lane(one.ends, i[0]), _one_lane(two.ends, j[0])
        left = _reader_of_one(rows1)

        def some(k: Array, totals: dict[str, Array]) -> dict[str, Array]:
            right = _shifted(rows2, k * lanes, lanes)
            block = _block(left, right, rows1, rows2, steps, lanes)
            result = run_diagonal(plan, block, add, zero(block))
            there = (k * lanes + jnp.arange(lanes) < period)[:, None, None]
            return {
                d: total + jnp.sum(jnp.where(there, result[d][1], 0), axis=0)
                for d, total in totals.items()
            }

        nothing = zero(_block(left, left, rows1, rows2, steps, lanes))[0]
        totals = jax.lax.fori_loop(
            0, -(-period // lanes), some, dict.fromkeys(plan.form.directions, nothing)
        )
        # Nothing is divided by the count 0 of a sequence that fills up a tile: its derivative is NaN.
        count1, count2 = _facing(*(jnp.maximum(c, 1) for c in (one.counts[i[0]], two.counts[j[0]])))
        kernels = []
        for direction, total in totals.items():
            half1, half2 = _facing(one.variances[direction][i[0]], two.variances[direction][j[0]])
            state = open_(total)
            cov = (count2 * half1 + count1 * half2 - state.distance) / (count1 * count2)
            pair = _readout(plan, cov, state.ntk / (count1 * count2))
            kernels.append(tuple(k[None] for k in pair))
        return _averaged(kernels)

    return compute


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
    left = _reader_of_one(rows1)

    def some(k: Array) -> Array:
        shift = k * lanes
        feed = None if below is None else below(shift)
        block = _block(left, _shifted(rows2, shift, lanes), rows1, rows2, steps, lanes, feed)
        result = run_diagonal(plan, block, store, zero(block, capacity))
        return _averaged([value for _, value in result.values()])

    kept = jax.lax.map(some, jnp.arange(-(-last_shift // lanes)))  # [shift/lanes, T1, lanes, B1, B2]
    t1, t2 = jnp.arange(capacity)[:, None], jnp.arange(last_shift)[None, :]
    shift = (t2 - t1) % period
    return open_(kept[shift // lanes, t1, shift % lanes])


def sequence(plan: Plan, one: Side, two: Side, steps: Any, period: Any, lanes: int) -> Compute:
    """Kernels at every pair of steps, 0 where either step is padding."""

    def compute(i: Array, j: Array) -> tuple[Array, ...]:
        rows = _one_lane(one.ends, i[0]), _one_lane(two.ends, j[0])
        state = whole(plan, *rows, steps, period, lanes)
        halves1 = _averaged(list(one.variances.values()))[:, i[0]][:, None, :, None]
        halves2 = _averaged(list(two.variances.values()))[:, j[0]][None, :, None, :]
        t1, t2 = (jnp.arange(h.shape[axis]) for h, axis in ((halves1, 0), (halves2, 1)))
        inside1 = t1[:, None].astype(halves1.dtype) < one.counts[i[0]][None, :]
        inside2 = t2[:, None].astype(halves2.dtype) < two.counts[j[0]][None, :]
        inside = inside1[:, None, :, None] & inside2[None, :, None, :]
        kernels = _readout(plan, halves1 + halves2 - state.distance, state.ntk)
        return tuple(jnp.transpose(jnp.where(inside, k, 0), (2, 3, 0, 1))[None] for k in kernels)

    return compute

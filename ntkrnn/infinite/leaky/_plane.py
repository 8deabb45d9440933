r"""The plane of all pairs of steps of a block of pairs of leaky sequences, row by row.

With ``D^s`` half the squared distance of two states and ``Theta`` their tangent kernel, in row t::

    D^h   = w_std^2 D^s_{t-1,s-1} + u_std^2 D^below           (the bias cancels)
    D, kdot = stepper(D^h; q, q')
    Psi   = kdot (trained part of the covariance + w_std^2 Theta_{t-1,s-1} + u_std^2 Theta^below)
    (G, Theta)_{t,s} = both filtered along t and then along s

and ``D^s`` follows from G and what each side has by itself, see :mod:`ntkrnn.infinite.leaky._moments`.
The row filtered along t alone is the state that is carried down; everything up to there is one loop
over the row and the block, and the filter along s a second one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._tiling import BLOCK_BYTES, Tiling, bucket
from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Leaky
from ntkrnn.infinite.leaky._moments import distance
from ntkrnn.infinite.leaky._rows import Member, view
from ntkrnn.infinite.pairs._rows import Key, Rows, input_distance
from ntkrnn.infinite.pairs._step import Below, Pair, Plan, advance, close, open_, scaled

_SMALLEST_TILE = 8
PLANE_BLOCKS = 64
"""Blocks that a plane of all pairs of steps may take, where it is kept."""


def small(
    tiling: Tiling, form: Elman | Leaky, t1: int, t2: int, itemsize: int, platform: str
) -> Tiling:
    """Tiles, one at a time, so small that a row ``[T2, rows, columns]`` is one block.

    Where the whole plane is kept, it is no larger than :data:`PLANE_BLOCKS` blocks.
    """
    block = BLOCK_BYTES.get(platform, BLOCK_BYTES["gpu"]) // itemsize
    pairs, size = block // bucket(t2), _SMALLEST_TILE
    if form.reading.stepwise or (form.bidirectional and form.depth > 1):
        pairs, size = min(pairs, PLANE_BLOCKS * block // (bucket(t1) * bucket(t2))), 1
    while (2 * size) ** 2 <= pairs:
        size *= 2
    return Tiling(min(tiling.rows, size), min(tiling.columns, size), 1)


class Line(NamedTuple):
    """One layer at one row; complex numbers, see :func:`ntkrnn.infinite.pairs._step.close`."""

    mixed: Array
    """``[T2, B1, B2]``, filtered along t."""
    run: Array
    """``[T2, B1, B2]``, filtered along both: at s the number after s steps, before the next."""
    end: Array
    """``[B1, B2]``: after all steps."""

    @property
    def after(self) -> Array:
        """``[T2, B1, B2]``: at s the number after s + 1 steps."""
        return jnp.concatenate([self.run[1:], self.end[None]])


def _mix(gain: Array, old: Array, new: Array) -> Array:
    """``(1 - gain) old + gain new`` of complex numbers, by real products."""
    keep = 1 - gain
    return jax.lax.complex(keep * old.real + gain * new.real, keep * old.imag + gain * new.imag)


def _advance(plan: Plan, below: Below, line: Line, one: Member, two: Member) -> Line:
    """The next row of one layer."""
    run = open_(line.run)
    before = Pair(distance(run.distance, one.before, two.before), run.ntk)
    mixed = _mix(one.gain, line.mixed, advance(plan, below, before, one.rest, two.rest))

    def step(state: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        return _mix(now[0], state, now[1]), state

    end, run = jax.lax.scan(step, jnp.zeros_like(line.end), (two.gain, mixed))
    return Line(mixed, run, end)


def states(line: Line, one: Member, two: Member) -> Pair:
    """Distances and tangent kernels of the states after a row."""
    after = open_(line.after)
    return Pair(distance(after.distance, one.after, two.after), after.ntk)


Visit = Callable[[Any, Array, Line, Member, Member], Any]
"""``(value, row, the last layer there, what both sides bring to it) -> value``"""


def sweep(
    plan: Plan,
    layers: range,
    direction: str,
    rows1: Rows,
    rows2: Rows,
    steps: Any,
    stored: Array | None,
    visit: Visit,
    value: Any,
) -> Any:
    """Some layers in one direction, row by row, and the folded value.

    Args:
        plan: what to compute.
        layers: which layers; each is fed by the one before it.
        direction: "forward" or "backward"; rows are in its order.
        rows1: ``[T1, R, B1]`` for each layer and direction.
        rows2: ``[T2, R, B2]``.
        steps: number of rows, an int or a traced integer.
        stored: ``[T1, T2, B1, B2]``, the states that feed the first of the layers, None for inputs.
        visit: what to do with each row.
        value: the initial value.

    Cost: O(L T1 T2) passes over the block; memory for two rows of each layer.
    """
    keys: list[Key] = [(layer, direction) for layer in layers]
    first, second = rows1[keys[0]], rows2[keys[0]]
    block = (first.shape[-1], second.shape[-1])
    zero = jnp.zeros((second.shape[0], *block), first.dtype)
    nothing = close(Pair(zero, zero))
    everything = {key: view(plan.layout, key, rows2[key], 2) for key in keys}

    def members(t: Array, key: Key) -> tuple[Member, Member, Array]:
        left = jax.lax.dynamic_slice_in_dim(rows1[key], t, 1)
        return view(plan.layout, key, left, 1), everything[key], left

    @jax.checkpoint  # in reverse mode a row keeps its lines and nothing between them
    def row(t: Array, lines: list[Line]) -> list[Line]:
        new: list[Line] = []
        low = None if stored is None else scaled(plan, open_(stored[t]))
        for line, key in zip(lines, keys, strict=True):
            one, two, left = members(t, key)
            if low is None:
                low = Below(input_distance(plan.layout, left, rows2[key]), None)
            line = _advance(plan, low, line, one, two)
            new.append(line)
            if key != keys[-1]:
                low = scaled(plan, states(line, one, two))
        return new

    def body(t: Array, carry: tuple[list[Line], Any]) -> tuple[list[Line], Any]:
        lines, value = carry
        lines = row(t, lines)
        one, two, _ = members(t, keys[-1])
        return lines, visit(value, t, lines[-1], one, two)

    start = Line(nothing, nothing, nothing[0])
    _, value = jax.lax.fori_loop(0, steps, body, ([start] * len(keys), value))
    return value

r"""The recursion along diagonals of the time-time plane, for a block of pairs at once.

The state at (t, t') depends on the state at (t-1, t'-1), so that every diagonal is a scan of its own.

Three things make the compiled step of a layer one vectorised loop over the block. ``D`` and ``Theta``
are the real and imaginary part of one array, since a loop has one result; the rows that a step reads
are fetched one step ahead, since a loop that computes its own offsets into them is not vectorised; and
what reads a new state, the layer above or a sum, stands behind a barrier: without it, the compiler
would compute the state once more inside of every loop that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.infinite.pairs._rows import READ, Key, Rows, input_distance, view
from ntkrnn.infinite.pairs._step import Below, Pair, Plan, advance, close, open_, scaled


class Block(NamedTuple):
    """A block of pairs along diagonals that advance together, the lanes."""

    rows1: Rows
    """First side: ``[T1, lanes, R, B1]`` where every lane is a tile, ``[T1, R, B1]`` where every lane
    is another diagonal of one tile."""
    rows2: Rows
    """Second side: ``[T2, lanes, R, B2]``, or cyclic ``[.., R, B2]``."""
    first: Array | None
    """Of several diagonals the shift of the first: position t of lane k pairs t with t + first + k."""
    lanes: int
    steps: Any
    """Number of positions, an int or a traced integer."""
    below: Callable[[Array], Pair] | None = None
    """What feeds the first layer at a position, in place of the inputs."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(lanes, B1, B2)``"""
        one, two = (next(iter(rows.values())) for rows in (self.rows1, self.rows2))
        return self.lanes, one.shape[-1], two.shape[-1]

    @property
    def dtype(self) -> Any:
        return next(iter(self.rows1.values())).dtype

    @property
    def capacity(self) -> int:
        """Largest number of positions."""
        return next(iter(self.rows1.values())).shape[0]

    def zero(self, *lead: int) -> Array:
        """The state before the first position, or a number of them."""
        nothing = jnp.zeros((*lead, *self.shape), self.dtype)
        return close(Pair(nothing, nothing))

    def at(self, key: Key, t: Array) -> tuple[Array, Array]:
        """Rows ``[lanes or 1, R, B]`` of both sides at a position."""
        one, two = self.rows1[key], self.rows2[key]
        if self.first is None:
            take = jax.lax.dynamic_index_in_dim
            return take(one, t, keepdims=False), take(two, t, keepdims=False)
        take = jax.lax.dynamic_slice_in_dim
        return take(one, t, 1), take(two, t + self.first, self.lanes)


class Visit(NamedTuple):
    """What is done with the top state at every position, a function linear in the state."""

    fold: Callable[[Any, Array, Any, Array], Any]
    """``(value, top state, weights of both sides or None, position) -> value``"""
    pull: Callable[[Any, Any, Array], Array]
    """``(cotangent of value, weights, position) -> cotangent of state``"""


class Sweep(NamedTuple):
    """Some layers in one direction along the diagonals of a block."""

    plan: Plan
    layers: range
    direction: str
    block: Block
    stored: Array | None
    """``[T, lanes, B1, B2]``: what feeds the first of the layers, None for the inputs."""
    visit: Visit | None

    @property
    def keys(self) -> list[Key]:
        return [(layer, self.direction) for layer in self.layers]

    def position(self, i: Array) -> Array:
        """Where iteration i is."""
        return self.block.steps - 1 - i if self.direction == "backward" else i

    def fetch(self, i: Array, lags: Sequence[int] = ()) -> Any:
        """Everything that iteration i reads.

        ``lags`` are the iterations by which each layer, and at last the visit, are behind the first.
        """
        lags = lags or (0,) * (len(self.layers) + 1)
        at = [self.position(jnp.maximum(i - lag, 0) if lag else i) for lag in lags]
        below = None
        if self.stored is not None:
            below = open_(jax.lax.dynamic_index_in_dim(self.stored, at[0], keepdims=False))
        elif self.block.below is not None:
            below = self.block.below(at[0])
        read = (READ, self.direction)
        weighted = read in self.block.rows1 and self.visit is not None
        weights = self.block.at(read, at[-1]) if weighted else None
        return [self.block.at(key, at[k]) for k, key in enumerate(self.keys)], below, weights

    def low(self, stage: int, under: Pair | None, read: Any) -> Below:
        """What feeds a layer; ``under`` is the state of the layer below, if that is one of these."""
        sides, below, _ = read
        if under is not None:
            return scaled(self.plan, under)
        if below is not None:
            return scaled(self.plan, below)
        return Below(input_distance(self.plan.layout, *sides[stage]), None)

    def views(self, stage: int, read: Any) -> tuple[Any, Any]:
        """The rows of both sides that a layer reads, by name."""
        key, layout = self.keys[stage], self.plan.layout
        left, right = read[0][stage]
        return view(layout, key, left, 1), view(layout, key, right, 2)


def plainly(sweep: Sweep, value: Any) -> tuple[Array, Any]:
    """The final state of the last layer, and the folded value.

    Cost: O(S L) passes over the block for S positions; memory O(block).
    """
    visit, last = sweep.visit, len(sweep.layers) - 1

    def body(i: Array, carry: Any) -> Any:
        states, read, value = carry
        new: list[Array] = []
        for stage, state in enumerate(states):
            low = sweep.low(stage, open_(new[-1]) if new else None, read)
            state = advance(sweep.plan, low, open_(state), *sweep.views(stage, read))
            if visit is not None or stage < last:
                state = jax.lax.optimization_barrier(state)
            new.append(state)
        if visit is not None:
            value = visit.fold(value, new[-1], read[2], sweep.position(i))
        return tuple(new), sweep.fetch(i + 1), value

    carry = ((sweep.block.zero(),) * len(sweep.layers), sweep.fetch(jnp.asarray(0)), value)
    states, _, value = jax.lax.fori_loop(0, sweep.block.steps, body, carry)
    return states[-1], value


def _set(buffer: Array, state: Array, weights: Any, at: Array) -> Array:
    del weights
    return buffer.at[at].set(state)


def _get(cotangent: Array, weights: Any, at: Array) -> Array:
    del weights
    return jax.lax.dynamic_index_in_dim(cotangent, at, keepdims=False)


store = Visit(_set, _get)
"""Keep every state at its position."""

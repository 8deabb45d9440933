r"""The recursion along diagonals of the time-time plane, for a block of pairs at once.

The state at (t, t') depends on the state at (t-1, t'-1), so that every diagonal is a scan of its own.
All layers of one direction advance together, as stages of a pipeline.

Two things make the compiled step one vectorised loop over the block. ``D`` and ``Theta`` are the real
and imaginary part of one array, since a loop has one result; and the rows that a step reads are fetched
one step ahead, since a loop that computes its own offsets into them is not vectorised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.infinite._rows import VALID, Key, Rows, input_distance, view
from ntkrnn.infinite._step import Below, Pair, Plan, advance, close, open_, scaled


class Block(NamedTuple):
    """A block of pairs along diagonals that advance together, the lanes."""

    rows1: Rows
    """First side: ``[T1, lanes, R, B1]`` where every lane is a tile, ``[T1, R, B1]`` where every lane is
    another diagonal of one tile."""
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

    fold: Callable[[Any, Array, Any, Array, Array], Any]
    """``(value, top state, valid steps of both sides, position, whether there is one) -> value``"""
    pull: Callable[[Any, Any, Array, Array], Array]
    """``(cotangent of value, valid steps, position, whether there is one) -> cotangent of state``"""


class Sweep(NamedTuple):
    """Some layers in one direction along the diagonals of a block.

    The layers are stages of a pipeline, each one position behind the one below it, and ``visit`` is
    the last. A stage reads the stage before it as the previous iteration left it: were it to read the
    state just computed, the compiler would compute that once more inside its own loop.
    """

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

    @property
    def lag(self) -> int:
        """Iterations by which the visit is behind the first stage."""
        return len(self.layers)

    @property
    def iterations(self) -> Any:
        return self.block.steps + (self.lag if self.visit is not None else self.lag - 1)

    def position(self, i: Array) -> Array:
        """Where the first stage is at iteration i."""
        return self.block.steps - 1 - i if self.direction == "backward" else i

    def fetch(self, i: Array) -> Any:
        """Everything that iteration i reads: each stage is at a position of its own."""
        at = [self.position(jnp.maximum(i - stage, 0)) for stage in range(self.lag + 1)]
        below = None
        if self.stored is not None:
            below = open_(jax.lax.dynamic_index_in_dim(self.stored, at[0], keepdims=False))
        elif self.block.below is not None:
            below = self.block.below(at[0])
        ragged = self.plan.layout.ragged and self.visit is not None
        valid = self.block.at(VALID, at[self.lag]) if ragged else None
        return [self.block.at(key, at[stage]) for stage, key in enumerate(self.keys)], below, valid

    def low(self, stage: int, states: list[Pair], read: Any) -> Below:
        """What feeds a stage."""
        sides, below, _ = read
        if stage > 0:
            return scaled(self.plan, states[stage - 1])
        if below is not None:
            return scaled(self.plan, below)
        return Below(input_distance(self.plan.layout, *sides[0]), None)

    def views(self, stage: int, read: Any) -> tuple[Any, Any]:
        """The rows of both sides that a stage reads, by name."""
        key, layout = self.keys[stage], self.plan.layout
        left, right = read[0][stage]
        return view(layout, key, left, 1), view(layout, key, right, 2)

    def zero(self, *lead: int) -> Array:
        """The state before the first position, or a number of them."""
        return zero(self.block, *lead)


def zero(block: Block, *lead: int) -> Array:
    """The state before the first position, or a number of them."""
    nothing = jnp.zeros((*lead, *block.shape), block.dtype)
    return close(Pair(nothing, nothing))


def plainly(sweep: Sweep, value: Any) -> tuple[Array, Any]:
    """The final state of the last layer, and the folded value.

    Cost: O(S L) passes over the block for S positions; memory O(block).
    """
    lag, visit = sweep.lag, sweep.visit

    def body(i: Array, carry: Any, active: int = lag) -> Any:
        states, read, value = carry
        opened = [open_(state) for state in states]
        new = list(states)
        for stage in range(active):
            low = sweep.low(stage, opened, read)
            new[stage] = advance(sweep.plan, low, opened[stage], *sweep.views(stage, read))
        if visit is not None and active == lag:
            there = sweep.position(jnp.maximum(i - lag, 0))
            value = visit.fold(value, states[-1], read[2], there, i >= lag)
        return tuple(new), sweep.fetch(i + 1), value

    carry = ((sweep.zero(),) * lag, sweep.fetch(jnp.asarray(0)), value)
    for i in range(lag - 1):  # the pipeline fills
        carry = body(jnp.asarray(i), carry, active=i + 1)
    states, _, value = jax.lax.fori_loop(lag - 1, sweep.iterations, body, carry)
    return states[-1], value


def _set(buffer: Array, state: Array, valid: Any, at: Array, there: Array) -> Array:
    # What is written before the first position there is, is written over at that position.
    del valid, there
    return buffer.at[at].set(state)


def _get(cotangent: Array, valid: Any, at: Array, there: Array) -> Array:
    del valid
    return jnp.where(there, jax.lax.dynamic_index_in_dim(cotangent, at, keepdims=False), 0)


store = Visit(_set, _get)
"""Keep every state at its position."""

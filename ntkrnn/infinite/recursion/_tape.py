"""Running layers along diagonals so that they can be retraced: checkpoints, and a tape of a chunk.

The layers are stages of a pipeline here, each one position behind the one below it, and ``visit`` is
the last: on the way back a stage then reads what the stage above it left in the iteration before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.infinite.pairs._step import Below, Pair, advance, close, meet, open_
from ntkrnn.infinite.recursion._sweep import Sweep

CHUNK = 10
"""Iterations between two checkpoints."""


def stage_count(sweep: Sweep) -> int:
    """Iterations by which the visit is behind the first stage."""
    return len(sweep.layers)


def iterations(sweep: Sweep) -> Any:
    """How many there are: positions, and until the last stage has been at each."""
    return sweep.block.steps + stage_count(sweep) - (sweep.visit is None)


def fetched(sweep: Sweep, i: Array) -> Any:
    """Everything that iteration i reads, each stage at a position of its own."""
    return sweep.fetch(i, tuple(range(stage_count(sweep) + 1)))


def feed(sweep: Sweep, stage: int, states: list[Pair], read: Any) -> Below:
    """What feeds a stage, from the states before an iteration."""
    return sweep.low(stage, states[stage - 1] if stage > 0 else None, read)


def masked(i: Array, stage: int, state: Array) -> Array:
    """A stage has nothing before the iteration of its number."""
    return state if stage == 0 else jnp.where(i >= stage, state, 0)


def chunk_count(sweep: Sweep) -> tuple[Any, int]:
    """How many chunks there are, and how many there may be."""
    most = sweep.block.capacity + stage_count(sweep)
    return -(-iterations(sweep) // CHUNK), -(-most // CHUNK)


def checkpointed(sweep: Sweep, value: Any) -> tuple[tuple[Array, Any], Array]:
    """The results, and the states ``[chunks, stages, lanes, B1, B2]`` before every chunk."""
    lag, visit = stage_count(sweep), sweep.visit

    def body(i: Array, carry: Any) -> Any:
        states, read, value = carry
        opened = [open_(state) for state in states]
        new = []
        for stage in range(lag):
            low, (one, two) = feed(sweep, stage, opened, read), sweep.views(stage, read)
            new.append(masked(i, stage, advance(sweep.plan, low, opened[stage], one, two)))
        if visit is not None:
            there = sweep.position(jnp.maximum(i - lag, 0))
            value = visit.fold(value, states[-1], read[2], there)
        return tuple(new), fetched(sweep, i + 1), value

    def chunk(k: Array, carry: Any) -> Any:
        checkpoints, (states, read, value) = carry
        checkpoints = tuple(c.at[k].set(s) for c, s in zip(checkpoints, states, strict=True))
        stop = jnp.minimum((k + 1) * CHUNK, iterations(sweep))
        return checkpoints, jax.lax.fori_loop(k * CHUNK, stop, body, (states, read, value))

    count, most = chunk_count(sweep)
    start = ((sweep.block.zero(),) * lag, fetched(sweep, jnp.asarray(0)), value)
    checkpoints = (sweep.block.zero(most),) * lag
    checkpoints, (states, _, value) = jax.lax.fori_loop(0, count, chunk, (checkpoints, start))
    return (states[-1], value), checkpoints


def parts(array: Array) -> tuple[Array, Array]:
    """Real and imaginary part, each so that both are read.

    A loop that reads every other number of an array is not vectorised, and takes twice as long.
    """
    return array.real + 0 * array.imag, array.imag + 0 * array.real


class Step(NamedTuple):
    """What a step of one stage has led to."""

    distance_kdot: Array
    """D and, as imaginary part, kdot."""
    covariance: Array
    """Psi: Theta is left as the product that it is, so that each array is one loop over the block."""

    @property
    def state(self) -> Pair:
        distance, kdot = parts(self.distance_kdot)
        return Pair(distance, kdot * self.covariance)


Tape = tuple[Step, ...]
"""By stage, arrays ``[CHUNK + 1, lanes, B1, B2]``: entry j is what iteration j - 1 of a chunk led to,
entry 0 the state before the chunk, as if a step with kdot 1 had led to it."""


def entry(tape: Tape, j: Array) -> Tape:
    """Entry j, without its axis."""
    return jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, j, keepdims=False), tape)


def blank(sweep: Sweep) -> Tape:
    """A tape for a chunk, written over by every chunk."""
    lead = (CHUNK + 1, *sweep.block.shape)
    return (Step(sweep.block.zero(CHUNK + 1), jnp.zeros(lead, sweep.block.dtype)),) * stage_count(sweep)


def recorded(sweep: Sweep, tape: Tape, start: tuple[Array, ...], first: Array, stop: Array) -> Tape:
    """Run a chunk once more and write it down."""
    plan = sweep.plan
    steps = tuple(
        Step(close(Pair(d, jnp.ones_like(d))), n) for d, n in (open_(state) for state in start)
    )

    def kept(tape: Tape, j: Array, steps: Tape) -> Tape:
        return jax.tree.map(lambda whole, entry: whole.at[j].set(entry), tape, steps)

    def body(i: Array, carry: Any) -> Any:
        tape, steps, read = carry
        states, new = [step.state for step in steps], []
        for stage, state in enumerate(states):
            one, two = sweep.views(stage, read)
            met = meet(plan, feed(sweep, stage, states, read), state, one, two)
            both = close(Pair(*plan.stepper.advance(met.distance, one.features, two.features)))
            new.append(Step(masked(i, stage, both), met.covariance))
        # What was carried is written down, not what has just been computed: that would be done twice.
        return kept(tape, i - first, steps), tuple(new), fetched(sweep, i + 1)

    carry = (tape, steps, fetched(sweep, first))
    tape, steps, _ = jax.lax.fori_loop(first, stop, body, carry)
    return kept(tape, stop - first, steps)

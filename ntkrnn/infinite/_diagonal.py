r"""The recursion along diagonals of the time-time plane, for a block of pairs at once.

The state at (t, t') depends on the state at (t-1, t'-1), so that every diagonal is a scan of its own.
With ``D`` half the squared distance of two states and ``Theta`` their tangent kernel::

    D^h    = w_std^2 D_{t-1,t'-1} + u_std^2 D^below          (the bias cancels)
    D, kdot = stepper(D^h; q, q')
    Theta  = kdot (a + a' - D^trained + w_std^2 Theta_{t-1,t'-1} + u_std^2 Theta^below)

where ``a`` is half the part of the variance q that comes through trainable blocks and ``D^trained`` the
part of ``D^h`` that does. A state before the start of a sequence is 0: the distance to it is half the
variance of the other.

Three things make the compiled step of a layer one vectorised loop over the block. ``D`` and ``Theta``
are the real and imaginary part of one array, since a loop has one result; the rows that a step reads
are fetched one step ahead, since a loop that computes its own offsets into them is not vectorised; and
what reads a new state, the layer above or a sum, stands behind a barrier: without it, the compiler
would compute the state once more inside of every loop that reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Elman, Leaky, LeakyScales, Scales
from ntkrnn.dual import Stepper
from ntkrnn.infinite._rows import VALID, Key, LayerRows, Layout, input_distance, view


class Pair(NamedTuple):
    """The kernels of a pair of states."""

    distance: Array
    """``E (s - s')^2/2``"""
    ntk: Array
    """Tangent kernel."""


class Below(NamedTuple):
    """What feeds a layer, times ``u_std^2``."""

    distance: Array
    ntk: Array | None
    """None for inputs, which have no tangent kernel."""


class Plan(NamedTuple):
    """What to compute, apart from the data."""

    form: Elman | Leaky
    scale: Scales | LeakyScales
    """Squares of the scales."""
    stepper: Stepper
    layout: Layout


class Block(NamedTuple):
    """Where a block of pairs finds its data; the functions take a position on the diagonal."""

    left: Callable[[Key, Array], Array]
    """Rows ``[lanes or 1, R, B1]`` of the first side, for a layer and direction."""
    right: Callable[[Key, Array], Array]
    """Rows ``[lanes, R, B2]`` of the second."""
    shape: tuple[int, int, int]
    """``(lanes, B1, B2)``"""
    dtype: Any
    steps: Any
    """Number of positions, an int or a traced integer."""
    capacity: int
    """Largest number of positions."""
    below: Callable[[Array], Pair] | None = None
    """What feeds the first layer in place of the inputs."""


Visit = Callable[[Any, Array, Any, Array], Any]
"""``(value, top state, valid steps of both sides, position) -> value``."""


def close(pair: Pair) -> Array:
    """One array of a pair of kernels."""
    return jax.lax.complex(pair.distance, pair.ntk)


def open_(state: Array) -> Pair:
    """The kernels in one array."""
    return Pair(state.real, state.imag)


def through(plan: Plan, below: Below, before: Pair, one: LayerRows, two: LayerRows) -> Array:
    """From the states of the previous steps to what the nonlinearity makes of the pre-activations."""
    w, trainable = plan.scale.w, plan.form.trainable
    recurrent = w * before.distance
    pre_activation = recurrent + below.distance
    distance, kdot = plan.stepper.advance(pre_activation, one.features, two.features)
    psi = one.trained + two.trained + w * before.ntk
    if "w" in trainable and "u" in trainable:
        psi = psi - pre_activation
    elif "w" in trainable:
        psi = psi - recurrent
    elif "u" in trainable:
        psi = psi - below.distance
    if below.ntk is not None:
        psi = psi + below.ntk
    return close(Pair(distance, kdot * psi))


def _advance(plan: Plan, below: Below, state: Pair, one: LayerRows, two: LayerRows) -> Array:
    """One step of one layer."""
    distance, ntk = state
    if one.alive is not None:
        assert one.previous is not None and two.alive is not None and two.previous is not None
        # 1 or 0: products instead of a choice keep the loop one loop.
        on = one.alive * two.alive
        distance = on * distance + (1 - on) * (one.previous + two.previous)
        ntk = on * ntk
    return through(plan, below, Pair(distance, ntk), one, two)


def _scaled(plan: Plan, pair: Pair) -> Below:
    u = plan.scale.u
    return Below(u * pair.distance, u * pair.ntk)


def _sweep(
    plan: Plan,
    layers: range,
    direction: str,
    block: Block,
    stored: Array | None,
    visit: Visit | None,
    value: Any,
) -> tuple[Array, Any]:
    """Some layers in one direction: the final state of the last of them, and the folded value."""
    backward, keys = direction == "backward", [(layer, direction) for layer in layers]
    given = stored is not None or block.below is not None

    def position(i: Array) -> Array:
        return block.steps - 1 - i if backward else i

    def rows(key: Key, at: Array) -> tuple[Array, Array]:
        return block.left(key, at), block.right(key, at)

    def fetch(i: Array) -> Any:
        """Everything that iteration i reads."""
        at, below = position(i), None
        if stored is not None:
            below = open_(jax.lax.dynamic_index_in_dim(stored, at, keepdims=False))
        elif block.below is not None:
            below = block.below(at)
        valid = rows(VALID, at) if plan.layout.ragged and visit is not None else None
        return [rows(key, at) for key in keys], below, valid

    def body(i: Array, carry: Any) -> Any:
        states, (sides, below, valid), value = carry
        new: list[Array] = []
        for key, state, (left, right) in zip(keys, states, sides, strict=True):
            if new:
                low = _scaled(plan, open_(new[-1]))
            elif given:
                low = _scaled(plan, below)
            else:
                low = Below(input_distance(plan.layout, left, right), None)
            one, two = view(plan.layout, key, left, 1), view(plan.layout, key, right, 2)
            state = _advance(plan, low, open_(state), one, two)
            if visit is not None or key != keys[-1]:
                state = jax.lax.optimization_barrier(state)
            new.append(state)
        if visit is not None:
            value = visit(value, new[-1], valid, position(i))
        return tuple(new), fetch(i + 1), value

    carry = ((zero(block),) * len(keys), fetch(jnp.asarray(0)), value)
    states, _, value = jax.lax.fori_loop(0, block.steps, body, carry)
    return states[-1], value


def zero(block: Block, *lead: int) -> Array:
    """The state before the first position, or a number of them."""
    nothing = jnp.zeros((*lead, *block.shape), block.dtype)
    return close(Pair(nothing, nothing))


def store(buffer: Array, state: Array, valid: Any, at: Array) -> Array:
    """A :data:`Visit` that keeps every state at its position."""
    return buffer.at[at].set(state)


def run_diagonal(
    plan: Plan, block: Block, visit: Visit | None, start: Any
) -> dict[str, tuple[Pair, Any]]:
    """Run all layers along the diagonals of one block and fold the top layer's states.

    With several layers in one direction all of them advance together and nothing is stored. With two
    directions a layer must be known along the whole diagonal before the next can start, so that the
    layers below the last are stored, for one block at a time.

    Args:
        plan: what to compute.
        block: its data.
        visit: applied to the top state at every position, or None for the final states alone.
        start: the initial value.

    Returns:
        For each direction, the final state of the top layer and the folded value.

    Cost: O(S L) passes over the block for S positions; memory O(block), or O(S block) for depth above
    1 with two directions.
    """
    form = plan.form
    if not form.bidirectional:
        state, value = _sweep(plan, range(form.depth), "forward", block, None, visit, start)
        return {"forward": (open_(state), value)}

    stored = None
    for layer in range(form.depth - 1):
        empty = zero(block, block.capacity)
        both = [
            _sweep(plan, range(layer, layer + 1), d, block, stored, store, empty)[1]
            for d in form.directions
        ]
        stored = add_up(both) / len(both)
    top = range(form.depth - 1, form.depth)
    result = {}
    for direction in form.directions:
        state, value = _sweep(plan, top, direction, block, stored, visit, start)
        result[direction] = (open_(state), value)
    return result

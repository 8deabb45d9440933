r"""The recursion along diagonals of the time-time plane, for a block of pairs at once.

The state at (t, t') depends on the state at (t-1, t'-1), so that every diagonal is a scan of its own.
With ``D`` half the squared distance of two states and ``Theta`` their tangent kernel::

    D^h    = w_std^2 D_{t-1,t'-1} + u_std^2 D^below          (the bias cancels)
    D, kdot = stepper(D^h; q, q')
    Theta  = kdot (a + a' - D^trained + w_std^2 Theta_{t-1,t'-1} + u_std^2 Theta^below)

where ``a`` is half the part of the variance q that comes through trainable blocks and ``D^trained`` the
part of ``D^h`` that does. A state before the start of a sequence is 0: the distance to it is half the
variance of the other.

Two things make the compiled step one vectorised loop over the block. ``D`` and ``Theta`` are the real
and imaginary part of one array, since a loop has one result; and the rows that a step reads are fetched
one step ahead, since a loop that computes its own offsets into them is not vectorised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Elman, Scales
from ntkrnn.dual import Stepper
from ntkrnn.infinite._rows import LayerRows, Layout, View, input_distance, view


class Pair(NamedTuple):
    """The kernels of a pair of states, or of inputs."""

    distance: Array
    """``E (s - s')^2/2``"""
    ntk: Array | None
    """Tangent kernel, None where it is 0, as for inputs."""


class Plan(NamedTuple):
    """What to compute, apart from the data."""

    form: Elman
    scale: Scales
    """Squares of the scales."""
    stepper: Stepper
    layout: Layout


class Block(NamedTuple):
    """Where a block of pairs finds its data; each function takes a position on the diagonal."""

    left: Callable[[Array], Array]
    """Rows ``[lanes or 1, R, B1]`` of the first side."""
    right: Callable[[Array], Array]
    """Rows ``[lanes, R, B2]`` of the second."""
    steps: Any
    """Number of positions, an int or a traced integer."""
    capacity: int
    """Largest number of positions."""
    below: Callable[[Array], Pair] | None = None
    """What feeds the first layer in place of the inputs."""


Visit = Callable[[Any, Pair, View, View, Array], Any]
"""``(value, top state, first side, second side, position) -> value``, at every position."""


def close(pair: Pair) -> Array:
    """One array of a pair of kernels."""
    assert pair.ntk is not None
    return jax.lax.complex(pair.distance, pair.ntk)


def open_(state: Array) -> Pair:
    """The kernels in one array."""
    return Pair(state.real, state.imag)


def _advance(plan: Plan, below: Pair, state: Array, one: LayerRows, two: LayerRows) -> Array:
    """One step of one layer; ``below`` carries its factor ``u_std^2`` already."""
    w, trainable = plan.scale.w, plan.form.trainable
    distance, ntk = state.real, state.imag
    if one.alive is not None and two.alive is not None:
        on = one.alive * two.alive > 0.5
        distance = jnp.where(on, distance, one.previous + two.previous)
        ntk = jnp.where(on, ntk, 0)
    recurrent = w * distance
    pre_activation = recurrent + below.distance
    distance, kdot = plan.stepper.advance(pre_activation, one.features, two.features)
    psi = one.trained + two.trained + w * ntk
    if "w" in trainable and "u" in trainable:
        psi = psi - pre_activation
    elif "w" in trainable:
        psi = psi - recurrent
    elif "u" in trainable:
        psi = psi - below.distance
    if below.ntk is not None:
        psi = psi + below.ntk
    return close(Pair(distance, kdot * psi))


def _scaled(plan: Plan, pair: Pair) -> Pair:
    u = plan.scale.u
    return Pair(u * pair.distance, None if pair.ntk is None else u * pair.ntk)


def _sweep(
    plan: Plan,
    layers: range,
    direction: str,
    block: Block,
    stored: Array | None,
    visit: Visit,
    value: Any,
) -> tuple[Array, Any]:
    """Some layers in one direction: the final state of the last of them, and the folded value."""
    backward = direction == "backward"
    given = stored is not None or block.below is not None

    def position(i: Array) -> Array:
        return block.steps - 1 - i if backward else i

    def fetch(i: Array) -> Any:
        at = position(i)
        if stored is not None:
            below = open_(jax.lax.dynamic_index_in_dim(stored, at, keepdims=False))
        else:
            below = block.below(at) if block.below is not None else None
        return block.left(at), block.right(at), below

    def body(i: Array, carry: Any) -> Any:
        states, (left, right, below), value = carry
        one, two = view(plan.layout, left, 1), view(plan.layout, right, 2)
        first = None if given else Pair(input_distance(plan.layout, left, right), None)
        low = first or _scaled(plan, below)
        new = []
        for layer, state in zip(layers, states, strict=True):
            key = (layer, direction)
            state = _advance(plan, low, state, one.layers[key], two.layers[key])
            new.append(state)
            low = _scaled(plan, open_(state))
        value = visit(value, open_(new[-1]), one, two, position(i))
        return tuple(new), fetch(i + 1), value

    start = ((_zero(block),) * len(layers), fetch(jnp.asarray(0)), value)
    states, _, value = jax.lax.fori_loop(0, block.steps, body, start)
    return states[-1], value


def _zero(block: Block, *lead: int) -> Array:
    """The state before the first position, or a number of them."""
    left, right = (jax.eval_shape(f, jnp.asarray(0)) for f in (block.left, block.right))
    lanes = jnp.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    zero = jnp.zeros((*lead, *lanes, left.shape[-1], right.shape[-1]), left.dtype)
    return close(Pair(zero, zero))


def run_diagonal(plan: Plan, block: Block, visit: Visit, start: Any) -> dict[str, tuple[Pair, Any]]:
    """Run all layers along the diagonals of one block and fold the top layer's states.

    With several layers in one direction all of them advance together and nothing is stored. With two
    directions a layer must be known along the whole diagonal before the next can start, so that the
    layers below the last are stored, for one block at a time.

    Args:
        plan: what to compute.
        block: its data.
        visit: applied to the top state at every position.
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

    def keep(buffer: Array, state: Pair, one: View, two: View, at: Array) -> Array:
        return buffer.at[at].set(close(state))

    stored = None
    for layer in range(form.depth - 1):
        empty = _zero(block, block.capacity)
        both = [
            _sweep(plan, range(layer, layer + 1), d, block, stored, keep, empty)[1]
            for d in form.directions
        ]
        stored = add_up(both) / len(both)
    top = range(form.depth - 1, form.depth)
    result = {}
    for direction in form.directions:
        state, value = _sweep(plan, top, direction, block, stored, visit, start)
        result[direction] = (open_(state), value)
    return result

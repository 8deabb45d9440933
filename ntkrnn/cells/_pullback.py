"""The backward pass: derivatives of outputs by every pre-activation, and by nothing else.

``delta_t = dy/d(pre-activation_t)``, as if each pre-activation had an additive tap. Written out rather
than left to reverse mode: the forward and the backward loop then each have the layout that their
matrix products want, and no derivative by a parameter is in the way. It reads a cell's description
only, and is itself plain JAX that can be differentiated.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Params, add_up
from ntkrnn.architectures import INNER, INPUT, STATE, Cell, Dense
from ntkrnn.cells._matrices import reading, scaled_back, stacked
from ntkrnn.cells._read_out import read_back
from ntkrnn.cells._stack import UNROLL, Steps, Trace, inside_of, steps_to_a_turn


def _by_rows(deltas: Array, matrix: Array, precision: Any) -> Array:
    return jnp.einsum("tnm,mc->tnc", deltas, matrix, precision=precision)


def _unroll_back(
    cell: Cell,
    params: Params,
    steps: Steps,
    end: Array | None,
    tops: Array | None,
    inside: Array | None,
    reverse: bool,
    precision: Any,
    unroll: int,
) -> tuple[Array, ...]:
    """One ``[T, N, m]`` for each gate, from the derivatives by the states."""
    terms = {source: reading(cell, source) for source in (STATE, INNER)}
    matrices = {source: stacked(params, found) for source, found in terms.items() if found}
    dot = functools.partial(jax.lax.dot, precision=precision)

    def multiplied(deltas: Sequence[Array], source: str) -> Array:
        return scaled_back(deltas, terms[source], matrices[source], dot)

    def step(by_carry: tuple[Array, ...], inputs: Any) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        pre, carry, top, valid = inputs
        if top is not None:
            by_carry = (by_carry[0] + top, *by_carry[1:])
        if valid is not None:
            by_carry = tuple(jnp.where(valid[:, None], part, 0) for part in by_carry)
        _, elementwise = jax.vjp(cell.update, pre, carry)
        deltas, before = elementwise(by_carry)
        if cell.inner is not None:
            outer = cell.outer_gates
            _, elementwise = jax.vjp(cell.inner, pre[:outer], carry)
            found = elementwise(multiplied(deltas, INNER))
            more, before = jax.tree.map(jnp.add, (deltas[:outer], before), found)
            deltas = (*more, *deltas[outer:])
        state = before[0] + multiplied(deltas, STATE)
        return (state, *before[1:]), deltas

    carry = (steps.sources[STATE], *steps.rest)
    inputs = (steps.pre_activations, carry, tops, inside)
    zero = jnp.zeros_like(steps.pre_activations[0][0])
    start = (zero if end is None else end, *(zero for _ in steps.rest))
    turns = steps_to_a_turn(cell, unroll)
    return jax.lax.scan(step, start, inputs, reverse=not reverse, unroll=turns)[1]


def pullback(
    arch: Dense,
    params: Params,
    trace: Trace,
    lengths: Lengths | None,
    cotangent: Array,
    precision: Any = None,
    unroll: int = UNROLL,
) -> list[dict[str, tuple[Array, ...]]]:
    """Derivatives of ``<cotangent, output>`` by every pre-activation.

    Args:
        arch: the architecture.
        params: parameters of the pass that left ``trace``.
        trace: of :func:`run`.
        lengths: ``[N]`` valid steps, or None for all, as for :func:`run`.
        cotangent: ``[N, O]``, or ``[N, T, O]`` for readout "sequence". Sequences do not meet in the
            network, so that one cotangent serves an output of every sequence.
        precision: of the matrix products; JAX's default if None.
        unroll: steps to a turn of the loop.

    Returns:
        ``[layer][direction][gate]`` of shape ``[T, N, m]``, 0 at padded steps.

    Cost: O(N T m^2) per layer and direction.
    """
    cell = arch.cell
    first = next(iter(trace.layers[-1].values()))
    steps = first.sources["input"].shape[0]
    inside = inside_of(steps, lengths)
    scale = arch.v_std / math.sqrt(arch.state_size)
    by_features = scale * jnp.einsum("...o,om->...m", cotangent, params["v"], precision=precision)
    parts = jnp.split(by_features, len(arch.directions), axis=-1)
    ends = {
        d: read_back(arch.reading, part, steps, lengths, d == "backward")
        for d, part in zip(arch.directions, parts, strict=True)
    }
    found = []
    options = (precision, unroll)
    for depth, (layer, blocks) in reversed(
        list(enumerate(zip(trace.layers, params["cells"], strict=True)))
    ):
        deltas = {
            d: _unroll_back(cell, blocks[d], layer[d], *ends[d], inside, d == "backward", *options)
            for d in arch.directions
        }
        found.append(deltas)
        if depth == 0:
            break
        readers, dot = reading(cell, INPUT), functools.partial(_by_rows, precision=precision)
        below = add_up(
            scaled_back(deltas[d], readers, stacked(blocks[d], readers), dot) for d in arch.directions
        )
        halves = jnp.split(below, len(arch.directions), axis=-1)
        ends = {d: (None, half) for d, half in zip(arch.directions, halves, strict=True)}
    return found[::-1]

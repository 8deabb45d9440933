"""The backward pass: derivatives of outputs by every pre-activation, and by nothing else.

``delta_t = dy/d(pre-activation_t)``, as if each pre-activation had an additive tap. Written out rather
than left to reverse mode: the forward and the backward loop then each have the layout that their
matrix products want, and no derivative by a parameter is in the way. It reads a cell's description
only, and is itself plain JAX that can be differentiated.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Params, add_up
from ntkrnn.architectures import Elman
from ntkrnn.cells._cell import Cell, cell_of
from ntkrnn.cells._stack import UNROLL, Steps, Trace, inside_of


def _ends(
    arch: Elman, part: Array, direction: str, steps: int, lengths: Lengths | None
) -> tuple[Array | None, Array | None]:
    """Derivative by the states that a readout reads: by the last one run, and by all, [T, N, m]."""
    if arch.readout == "sequence":
        return None, jnp.swapaxes(part, 0, 1)
    if arch.readout == "mean":
        count = steps if lengths is None else lengths.astype(part.dtype)[:, None]
        return None, jnp.broadcast_to(part / count, (steps, *part.shape))
    if lengths is None or direction == "backward":
        return part, None
    at_end = jnp.arange(steps, dtype=jnp.int32)[:, None] == lengths[None, :] - 1
    return None, jnp.where(at_end[:, :, None], part[None], 0)


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

    def step(by_state: Array, inputs: Any) -> tuple[Array, tuple[Array, ...]]:
        pre_activations, previous, top, valid = inputs
        if top is not None:
            by_state = by_state + top
        if valid is not None:
            by_state = jnp.where(valid[:, None], by_state, 0)
        _, elementwise = jax.vjp(cell.update, pre_activations, previous)
        deltas, before = elementwise(by_state)
        for gate, delta in zip(cell.gates, deltas, strict=True):
            for term in gate.terms:
                if term.source == "state":
                    w = params[term.block]
                    product = jax.lax.dot(delta, w, precision=precision)
                    before = before + term.std / math.sqrt(w.shape[1]) * product
        return before, deltas

    inputs = (steps.pre_activations, steps.sources["state"], tops, inside)
    start = jnp.zeros_like(steps.pre_activations[0][0]) if end is None else end
    return jax.lax.scan(step, start, inputs, reverse=not reverse, unroll=unroll)[1]


def pullback(
    arch: Elman,
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
    cell = cell_of(arch)
    first = next(iter(trace.layers[-1].values()))
    steps = first.sources["input"].shape[0]
    inside = inside_of(steps, lengths)
    scale = arch.v_std / math.sqrt(arch.state_size)
    read = scale * jnp.einsum("...o,om->...m", cotangent, params["v"], precision=precision)
    parts = dict(zip(arch.directions, jnp.split(read, len(arch.directions), axis=-1), strict=True))
    ends = {d: _ends(arch, part, d, steps, lengths) for d, part in parts.items()}
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
        below = add_up(
            term.std
            / math.sqrt(arch.state_size)
            * jnp.einsum("tnm,mc->tnc", delta, blocks[d][term.block], precision=precision)
            for d in arch.directions
            for gate, delta in zip(cell.gates, deltas[d], strict=True)
            for term in gate.terms
            if term.source == "input"
        )
        halves = jnp.split(below, len(arch.directions), axis=-1)
        ends = {d: (None, half) for d, half in zip(arch.directions, halves, strict=True)}
    return found[::-1]

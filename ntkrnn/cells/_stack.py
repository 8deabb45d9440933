"""A batch of sequences through a stack of recurrent layers.

Time runs along the leading axis, so that every step is one matrix product for all sequences. What the
forward pass leaves behind, pre-activations and the vectors that the matrices multiplied, is all that
the empirical tangent kernels need of it; see :mod:`ntkrnn.cells._pullback`.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Params, Sequences
from ntkrnn.architectures import Elman
from ntkrnn.cells._cell import Cell, cell_of

UNROLL = 2
"""Steps to a turn of the loop: two save a copy of the state a turn; more gain nothing."""


class Steps(NamedTuple):
    """What one layer in one direction left behind, time first."""

    pre_activations: tuple[Array, ...]
    """One ``[T, N, m]`` for each gate."""
    sources: dict[str, Array]
    """``"state"`` and ``"input"``: the vectors that the matrices multiplied, ``[T, N, .]``."""


class Trace(NamedTuple):
    """What a batch left in the network."""

    output: Array
    """``[N, O]``, or ``[N, T, O]`` for readout "sequence"."""
    features: Array
    """What the readout matrix multiplies: ``[N, m]`` or ``[N, T, m]`` (2 m when bidirectional)."""
    layers: list[dict[str, Steps]]
    """``[layer][direction]``."""


def inside_of(steps: int, lengths: Lengths | None) -> Array | None:
    """``[T, N]``: which steps are valid, or None if all are."""
    if lengths is None:
        return None
    return jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths[None, :]


def _input_drive(cell: Cell, params: Params, x: Array, precision: Any) -> tuple[Array, ...]:
    """``[T, N, m]``: the part of every pre-activation that does not depend on the state."""
    drives = []
    for gate in cell.gates:
        drive = jnp.zeros((), x.dtype)
        for term in gate.terms:
            if term.source == "input":
                scale = term.std / math.sqrt(x.shape[-1])
                product = jnp.einsum("tnc,mc->tnm", x, params[term.block], precision=precision)
                drive = drive + scale * product
            elif term.source == "one":
                drive = drive + term.std * params[term.block][None, None, :]
        drives.append(drive)
    return tuple(drives)


def _unroll(
    cell: Cell,
    params: Params,
    x: Array,
    inside: Array | None,
    reverse: bool,
    columns: bool,
    precision: Any,
    unroll: int,
) -> tuple[Array, Steps]:
    """States ``[T, N, m]``, and what they were made of.

    Outside the valid steps the state is held at zero, so that a backward run starts from zero at the
    last valid step and nothing flows out of the padding.

    With ``columns`` the loop works on ``[m, N]``: a wide matrix then streams through ``W S`` at the
    bandwidth of the memory, 1.4 to 3 times as fast as ``S^T W^T``, whose transpose, however, is the
    fast one to differentiate.
    """
    drives = _input_drive(cell, params, x, precision)
    dims = (((1,), (0 if columns else 1,)), ((), ()))

    def step(state: Array, inputs: tuple[tuple[Array, ...], Any]) -> tuple[Array, Any]:
        drives, valid = inputs
        pre_activations = []
        for gate, drive in zip(cell.gates, drives, strict=True):
            for term in gate.terms:
                if term.source == "state":
                    w = params[term.block]
                    sides = (w, state) if columns else (state, w)
                    product = jax.lax.dot_general(*sides, dims, precision=precision)
                    drive = drive + term.std / math.sqrt(w.shape[1]) * product
            pre_activations.append(drive)
        new = cell.update(tuple(pre_activations), state)
        if valid is not None:
            new = jnp.where(valid[None, :] if columns else valid[:, None], new, 0)
        return new, (new, tuple(pre_activations))

    turn = functools.partial(jnp.swapaxes, axis1=1, axis2=2) if columns else lambda a: a
    start = turn(jnp.zeros_like(drives[0][:1]))[0]
    inputs = (tuple(turn(drive) for drive in drives), inside)
    _, (states, pre) = jax.lax.scan(step, start, inputs, reverse=reverse, unroll=unroll)
    states, pre = turn(states), tuple(turn(h) for h in pre)
    zero = jnp.zeros_like(states[:1])
    previous = (states[1:], zero) if reverse else (zero, states[:-1])
    return states, Steps(pre, {"state": jnp.concatenate(previous), "input": x})


def _read(arch: Elman, tops: dict[str, Array], lengths: Lengths | None) -> Array:
    """Features of the readout from the top states of each direction."""
    if arch.readout == "last":
        ends = []
        for direction, states in tops.items():
            if direction == "backward":
                ends.append(states[0])
            elif lengths is None:
                ends.append(states[-1])
            else:
                ends.append(jnp.take_along_axis(states, lengths[None, :, None] - 1, axis=0)[0])
        return jnp.concatenate(ends, axis=-1)
    states = jnp.concatenate(list(tops.values()), axis=-1)
    if arch.readout == "mean":
        count = states.shape[0] if lengths is None else lengths.astype(states.dtype)[:, None]
        return jnp.sum(states, axis=0) / count
    return jnp.swapaxes(states, 0, 1)


def run(
    arch: Elman,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    columns: bool = False,
    precision: Any = None,
    unroll: int = UNROLL,
) -> Trace:
    """A batch of sequences through the network.

    Args:
        arch: the architecture.
        params: parameters as drawn by :func:`init_params`.
        x: ``[N, T, d]``.
        lengths: ``[N]`` valid steps, or None for all.
        columns: keep the states of a step as columns; for what is not differentiated afterwards.
        precision: of the matrix products; JAX's default if None.
        unroll: steps to a turn of the loop.

    Cost: O(N T (m^2 + m d)) per layer and direction.
    """
    cell = cell_of(arch)
    inside = inside_of(x.shape[1], lengths)
    below = jnp.swapaxes(x, 0, 1)
    if inside is not None:
        below = jnp.where(inside[:, :, None], below, 0)
    layers, tops = [], {}
    for layer_params in params["cells"]:
        layer = {}
        for direction in arch.directions:
            tops[direction], layer[direction] = _unroll(
                cell,
                layer_params[direction],
                below,
                inside,
                direction == "backward",
                columns,
                precision,
                unroll,
            )
        layers.append(layer)
        below = jnp.concatenate([tops[d] for d in arch.directions], axis=-1)
    read = _read(arch, tops, lengths)
    product = jnp.einsum("...m,om->...o", read, params["v"], precision=precision)
    return Trace(arch.v_std / math.sqrt(arch.state_size) * product, read, layers)

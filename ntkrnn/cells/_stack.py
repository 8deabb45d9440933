"""One sequence through a stack of recurrent layers, then vmapped over sequences.

Every pre-activation takes an optional additive *tap*. Taps are zero; the derivative of an output with
respect to them is what the empirical tangent kernel is made of.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Outputs, Params, Sequences
from ntkrnn.architectures import Elman, Scales
from ntkrnn.cells._cell import Cell, cell_of


class Trace(NamedTuple):
    """What one sequence left in the network."""

    output: Array
    """``[O]``, or ``[T, O]`` for readout "sequence"."""
    features: Array
    """What the readout matrix multiplies: ``[m]`` or ``[T, m]`` (2 m when bidirectional)."""
    sources: Any
    """``[layer][direction]["state" | "input"]``: the vectors that the matrices multiplied, [T, .]."""


def zero_taps(arch: Elman, steps: int, dtype: Any) -> Any:
    """Taps of one sequence, ``[layer][direction][gate]`` of shape ``[T, m]``, all zero."""
    gates = len(cell_of(arch).gates)
    taps = {d: [jnp.zeros((steps, arch.width), dtype)] * gates for d in arch.directions}
    return [dict(taps) for _ in range(arch.depth)]


def _input_drive(cell: Cell, params: Params, x: Array, taps: Array) -> tuple[Array, ...]:
    """The part of every pre-activation that does not depend on the state, for all steps at once."""
    drives = []
    for gate, tap in zip(cell.gates, taps, strict=True):
        drive = tap
        for term in gate.terms:
            if term.source == "input":
                scale = term.std / math.sqrt(x.shape[-1])
                drive = drive + scale * (x @ params[term.block].T)
            elif term.source == "one":
                drive = drive + term.std * params[term.block][None, :]
        drives.append(drive)
    return tuple(drives)


def _unroll(
    cell: Cell, params: Params, x: Array, taps: Array, valid: Array, reverse: bool, width: int
) -> tuple[Array, Array]:
    """States ``[T, m]`` and the previous states that the recurrent matrices multiplied.

    Outside the valid steps the state is held at zero, so that a backward run starts from zero at the
    last valid step and nothing flows out of the padding.
    """

    def step(state: Array, inputs: tuple[tuple[Array, ...], Array]) -> tuple[Array, Any]:
        drives, inside = inputs
        pre_activations = []
        for gate, drive in zip(cell.gates, drives, strict=True):
            for term in gate.terms:
                if term.source == "state":
                    drive = drive + term.std / math.sqrt(width) * (params[term.block] @ state)
            pre_activations.append(drive)
        new = jnp.where(inside, cell.update(tuple(pre_activations), state), 0)
        return new, (new, state)

    drives = _input_drive(cell, params, x, taps)
    start = jnp.zeros(width, x.dtype)
    _, (states, previous) = jax.lax.scan(step, start, (drives, valid), reverse=reverse)
    return states, previous


def _read(arch: Elman, tops: dict[str, Array], length: Array) -> Array:
    """Features of the readout from the top states of each direction."""
    if arch.readout == "last":
        ends = [s[0] if d == "backward" else s[length - 1] for d, s in tops.items()]
        return jnp.concatenate(ends)
    states = jnp.concatenate(list(tops.values()), axis=-1)
    if arch.readout == "mean":
        return jnp.sum(states, axis=0) / length.astype(states.dtype)
    return states


def trace_one(arch: Elman, params: Params, x: Array, length: Array, taps: Any) -> Trace:
    """Run one sequence ``[T, d]`` of ``length`` valid steps through the network."""
    cell = cell_of(arch)
    valid = jnp.arange(x.shape[0], dtype=jnp.int32) < length
    below = jnp.where(valid[:, None], x, 0)
    sources, tops = [], {}
    for layer_params, layer_taps in zip(params["cells"], taps, strict=True):
        layer_sources = {}
        for direction in arch.directions:
            tops[direction], previous = _unroll(
                cell,
                layer_params[direction],
                below,
                layer_taps[direction],
                valid,
                direction == "backward",
                arch.width,
            )
            layer_sources[direction] = {"state": previous, "input": below}
        sources.append(layer_sources)
        below = jnp.concatenate([tops[d] for d in arch.directions], axis=-1)
    read = _read(arch, tops, length)
    output = arch.v_std / math.sqrt(arch.state_size) * (read @ params["v"].T)
    return Trace(output, read, sources)


def run(arch: Elman, params: Params, x: Sequences, lengths: Lengths | None) -> Trace:
    """A batch of sequences through the network: :class:`Trace` with a leading axis N.

    Args:
        arch: the architecture.
        params: parameters as drawn by :func:`init_params`.
        x: ``[N, T, d]``.
        lengths: ``[N]`` valid steps, or None for all.

    Cost: O(N T (m^2 + m d)) per layer and direction.
    """
    steps = x.shape[1]
    if lengths is None:
        lengths = jnp.full(x.shape[0], steps, jnp.int32)
    taps = zero_taps(arch, steps, x.dtype)
    return jax.vmap(lambda one, length: trace_one(arch, params, one, length, taps))(x, lengths)


@functools.partial(jax.jit, static_argnames="form")
def _compiled(form: Elman, scales: Scales, params: Params, x: Array, lengths: Any) -> Any:
    trace = run(form.with_scales(scales), params, x, lengths)
    return trace.output, trace.features


def apply(arch: Elman, params: Params, x: Sequences, lengths: Lengths | None = None) -> Outputs:
    """Outputs ``[N, O]``, or ``[N, T, O]`` for readout "sequence" (0 at padded steps)."""
    return _compiled(arch.form, arch.scales, params, x, lengths)[0]


def features(arch: Elman, params: Params, x: Sequences, lengths: Lengths | None = None) -> Outputs:
    """What the readout matrix multiplies: ``[N, m]``, or ``[N, T, m]`` for "sequence".

    With ``bidirectional`` the last axis is ``2 m``. ``v_std^2/m <r, r'>`` of these is the empirical
    NNGP kernel.
    """
    return _compiled(arch.form, arch.scales, params, x, lengths)[1]

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
from ntkrnn.architectures import INNER, INPUT, ONE, STATE, Cell, Dense
from ntkrnn.cells._matrices import by_columns, of_gate, reading, stacked
from ntkrnn.cells._read_out import read

UNROLL = 2
"""Steps to a turn of the loop: two save a copy of the state a turn; more gain nothing."""


def steps_to_a_turn(cell: Cell, unroll: int) -> int:
    """Of the loop over time: fewer for several gates.

    What is elementwise in a carry XLA fuses across the steps of a turn, and repeats: more steps would
    then cost time, and compile for seconds.
    """
    return max(1, unroll // len(cell.gates))


class Steps(NamedTuple):
    """What one layer in one direction left behind, time first."""

    pre_activations: tuple[Array, ...]
    """One ``[T, N, m]`` for each gate, the mean of its bias included."""
    sources: dict[str, Array]
    """``"state"``, ``"input"`` and, in a cell that has it, ``"inner"``: the vectors that the matrices
    multiplied, ``[T, N, .]``."""
    rest: tuple[Array, ...] = ()
    """``[T, N, m]``: what the cell carried into each step beside the state."""


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
    """``[T, N, m]`` for each gate: the part of its pre-activation that does not depend on the state."""
    readers = reading(cell, INPUT)
    product = jnp.einsum("tnc,mc->tnm", x, stacked(params, readers), precision=precision)
    products = dict(zip(readers, jnp.split(product, len(readers), axis=-1), strict=True))
    drives = []
    for index, gate in enumerate(cell.gates):
        drive = jnp.zeros((), x.dtype)
        for term in gate.terms:
            if term.source == INPUT:
                drive = drive + by_columns(term.std, x.shape[-1]) * products[index]
            elif term.source == ONE:
                drive = drive + term.std * of_gate(params, term)[None, None, :]
        if gate.mean:
            drive = drive + gate.mean
        drives.append(jnp.broadcast_to(drive, (*x.shape[:2], drive.shape[-1])))
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

    Outside the valid steps the carry is held at zero, so that a backward run starts from zero at the
    last valid step and nothing flows out of the padding.

    With ``columns`` the loop works on ``[m, N]``: a wide matrix then streams through ``W S`` at the
    bandwidth of the memory, 1.4 to 3 times as fast as ``S^T W^T``, whose transpose, however, is the
    fast one to differentiate.
    """
    drives = _input_drive(cell, params, x, precision)
    dims = (((1,), (0 if columns else 1,)), ((), ()))
    matrices = {s: stacked(params, t) for s in (STATE, INNER) if (t := reading(cell, s))}

    def multiplied(pre: tuple[Array, ...], source: str, vector: Array) -> tuple[Array, ...]:
        """With what the matrices make of a vector: one product for the gates that multiply it."""
        w, terms = matrices[source], reading(cell, source)
        sides = (w, vector) if columns else (vector, w)
        product = jax.lax.dot_general(*sides, dims, precision=precision)
        parts = jnp.split(product, len(terms), axis=0 if columns else 1)
        found = list(pre)
        for (gate, term), part in zip(terms.items(), parts, strict=True):
            found[gate] = pre[gate] + by_columns(term.std, w.shape[1]) * part
        return tuple(found)

    def step(carry: tuple[Array, ...], inputs: tuple[tuple[Array, ...], Any]) -> tuple[Any, Any]:
        pre, valid = inputs
        pre, between = multiplied(pre, STATE, carry[0]), None
        if cell.inner is not None:
            between = cell.inner(pre[: cell.outer_gates], carry)
            pre = multiplied(pre, INNER, between)
        new = cell.update(pre, carry)
        if valid is not None:
            valid = valid[None, :] if columns else valid[:, None]
            new = tuple(jnp.where(valid, part, 0) for part in new)
        return new, (new, pre, between)

    turn = functools.partial(jnp.swapaxes, axis1=1, axis2=2) if columns else lambda a: a
    start = (turn(jnp.zeros_like(drives[0][:1]))[0],) * cell.carries
    inputs = (tuple(turn(drive) for drive in drives), inside)
    turns = steps_to_a_turn(cell, unroll)
    kept = jax.lax.scan(step, start, inputs, reverse=reverse, unroll=turns)[1]
    carries, pre, between = jax.tree.map(turn, kept)

    def before(a: Array) -> Array:
        zero = jnp.zeros_like(a[:1])
        return jnp.concatenate((a[1:], zero) if reverse else (zero, a[:-1]))

    state, *rest = (before(carry) for carry in carries)
    sources = {STATE: state, INPUT: x}
    if between is not None:
        sources[INNER] = between
    return carries[0], Steps(pre, sources, tuple(rest))


def run(
    arch: Dense,
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
        unroll: steps to a turn of the loop, for a cell of one gate.

    Cost: O(N T (m^2 + m d)) per layer, direction and gate.
    """
    cell = arch.cell
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
    parts = [read(arch.reading, tops[d], lengths, d == "backward") for d in arch.directions]
    features = jnp.concatenate(parts, axis=-1)
    product = jnp.einsum("...m,om->...o", features, params["v"], precision=precision)
    return Trace(arch.v_std / math.sqrt(arch.state_size) * product, features, layers)

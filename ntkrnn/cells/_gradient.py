"""Derivatives by the parameters, as one product for all steps.

Reverse mode adds up ``delta_t z_t^T`` step by step, which passes over the whole matrix at every step;
here the backward loop leaves the deltas, and each block is one product of ``[m, T N]`` with
``[T N, columns]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Outputs, Params, Sequences
from ntkrnn.architectures import INNER, INPUT, ONE, STATE, Cell, Dense, Term
from ntkrnn.cells._matrices import by_columns, reading, share_a_scale
from ntkrnn.cells._pullback import pullback
from ntkrnn.cells._stack import UNROLL, Steps, Trace, run


def _by_matrices(
    source: Array, terms: dict[int, Term], deltas: tuple[Array, ...], precision: Any
) -> Array:
    """``[G, m, columns]``: derivatives by the matrices that multiply a source, one product for all."""
    found = [deltas[gate] for gate in terms]
    joined = found[0] if len(found) == 1 else jnp.concatenate(found, axis=-1)
    flat = [a.reshape(-1, a.shape[-1]) for a in (joined, source)]
    product = jnp.einsum("km,kc->mc", *flat, precision=precision)
    product = product.reshape(len(found), -1, source.shape[-1])
    stds = [term.std for term in terms.values()]
    if share_a_scale(list(terms.values())):
        return by_columns(stds[0], source.shape[-1]) * product
    each = jnp.stack([jnp.asarray(std, product.dtype) for std in stds])
    return by_columns(each, source.shape[-1])[:, None, None] * product


def _by_block(
    cell: Cell, steps: Steps, deltas: tuple[Array, ...], wanted: Any, precision: Any
) -> dict[str, Any]:
    """Derivatives by the blocks of one layer and direction."""
    found: dict[str, list[Array]] = {block: [] for block in ("w", "u", "b")}
    for source in (STATE, INNER, INPUT, ONE):
        terms = reading(cell, source)
        block = next((term.block for term in terms.values()), None)
        if block is None or block not in wanted:
            continue
        if source == ONE:
            sums = [term.std * jnp.sum(deltas[gate], axis=(0, 1)) for gate, term in terms.items()]
            found[block].append(jnp.stack(sums))
        else:
            found[block].append(_by_matrices(steps.sources[source], terms, deltas, precision))

    def whole(parts: list[Array]) -> Array | None:
        if not parts:
            return None
        joined = parts[0] if len(parts) == 1 else jnp.concatenate(parts)
        return joined[0] if len(joined) == 1 else joined  # one gate has no axis of gates

    return {block: whole(parts) for block, parts in found.items()}


def parameter_gradient(
    arch: Dense,
    params: Params,
    trace: Trace,
    lengths: Lengths | None,
    cotangent: Array,
    precision: Any = None,
    unroll: int = UNROLL,
) -> Params:
    """Derivatives of ``<cotangent, output>`` by the trainable blocks.

    Args:
        arch: the architecture.
        params: parameters of the pass that left ``trace``.
        trace: of :func:`run`.
        lengths: ``[N]`` valid steps, or None for all, as for :func:`run`.
        cotangent: ``[N, O]``, or ``[N, T, O]`` for readout "sequence", 0 at padded steps.
        precision: of the matrix products; JAX's default if None.
        unroll: steps to a turn of the loop.

    Returns:
        The structure of the parameters, None for the blocks that are not trainable.

    Cost: O(N T m^2) per layer and direction, twice that of the forward pass.
    """
    deltas = pullback(arch, params, trace, lengths, cotangent, precision, unroll)
    cell, wanted = arch.cell, arch.trainable
    cells = [
        {d: _by_block(cell, layer[d], parts[d], wanted, precision) for d in arch.directions}
        for layer, parts in zip(trace.layers, deltas, strict=True)
    ]
    v = None
    if "v" in wanted:
        flat = [a.reshape(-1, a.shape[-1]) for a in (cotangent, trace.features)]
        scale = arch.v_std / math.sqrt(arch.state_size)
        v = scale * jnp.einsum("no,nm->om", *flat, precision=precision)
    return {"cells": cells, "v": v}


def gradient(
    arch: Dense,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    cotangent_of: Callable[[Outputs], Array],
    unroll: int = UNROLL,
) -> Params:
    """One forward pass, and the derivatives of what ``cotangent_of`` makes of its outputs."""
    trace = run(arch, params, x, lengths, unroll=unroll)
    return parameter_gradient(arch, params, trace, lengths, cotangent_of(trace.output), unroll=unroll)

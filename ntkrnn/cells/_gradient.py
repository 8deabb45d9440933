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
from ntkrnn.architectures import Elman
from ntkrnn.cells._cell import Cell, cell_of
from ntkrnn.cells._pullback import pullback
from ntkrnn.cells._stack import UNROLL, Steps, Trace, run


def _by_block(cell: Cell, steps: Steps, deltas: tuple[Array, ...], wanted: Any, precision: Any) -> dict:
    """Derivatives by the blocks of one layer and direction."""
    found: dict[str, Any] = dict.fromkeys(("w", "u", "b"))
    for gate, delta in zip(cell.gates, deltas, strict=True):
        for term in gate.terms:
            if term.block not in wanted:
                continue
            if term.source == "one":
                value = term.std * jnp.sum(delta, axis=(0, 1))
            else:
                source = steps.sources[term.source]
                flat = [a.reshape(-1, a.shape[-1]) for a in (delta, source)]
                product = jnp.einsum("km,kc->mc", *flat, precision=precision)
                value = term.std / math.sqrt(source.shape[-1]) * product
            before = found[term.block]
            found[term.block] = value if before is None else before + value
    return found


def parameter_gradient(
    arch: Elman,
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
    cell, wanted = cell_of(arch), arch.trainable
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
    arch: Elman,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    cotangent_of: Callable[[Outputs], Array],
    unroll: int = UNROLL,
) -> Params:
    """One forward pass, and the derivatives of what ``cotangent_of`` makes of its outputs."""
    trace = run(arch, params, x, lengths, unroll=unroll)
    return parameter_gradient(arch, params, trace, lengths, cotangent_of(trace.output), unroll=unroll)

r"""The Jacobian of a recurrent network, factored over time.

A matrix A that enters a pre-activation as ``scale * A z_t`` has the Jacobian
``dy/dA = scale * sum_t delta_t z_t^T`` with ``delta_t = dy/d(pre-activation_t)``. One backward pass
with respect to zero taps added to the pre-activations gives every delta; the z are what the forward
pass multiplied. The Jacobian itself, of size m^2 per sequence, is never formed.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Params, Sequences
from ntkrnn.architectures import Elman
from ntkrnn.cells import cell_of, trace_one, zero_taps
from ntkrnn.empirical._axes import TRACED, Roles


class GateFactors(NamedTuple):
    """One gate of one layer and direction."""

    deltas: Array
    """``[N, K, T, F]``: K outputs kept apart, F = (outputs traced) * m."""
    sources: tuple[Array, ...]
    """``[N, T, .]`` for each trainable block, scaled; their Gram matrices add up."""


class Factors(NamedTuple):
    """Everything that the tangent kernel needs to know of one side."""

    gates: tuple[GateFactors, ...]
    features: Array
    """``[N, m]`` or ``[N, T, m]``, what the readout matrix multiplies."""


def _arrange_deltas(delta: Array, roles: Roles) -> Array:
    """``[N, (T_out,) O, T, m]`` to ``[N, K, T, F]``."""
    if roles.time is None:
        delta = delta[:, None]
    n, times, outputs, steps, width = delta.shape
    kept, traced = [n], []
    order = [0]
    for axis, (role, size) in enumerate(((roles.time, times), (roles.channel, outputs)), start=1):
        if role == TRACED:
            traced.append((axis, size))
        else:
            order.append(axis)
            kept.append(size)
    order += [3] + [axis for axis, _ in traced] + [4]
    return jnp.transpose(delta, order).reshape(n, -1, steps, width * _product(s for _, s in traced))


def _product(sizes) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def factors(
    arch: Elman, params: Params, x: Sequences, lengths: Lengths | None, roles: Roles
) -> Factors:
    """One forward and, for each output of a sequence, one backward pass.

    Cost: O(N T m^2) per output of a sequence (O outputs for "last" and "mean", T O for "sequence").
    """
    steps = x.shape[1]
    if lengths is None:
        lengths = jnp.full(x.shape[0], steps, jnp.int32)
    taps = zero_taps(arch, steps, x.dtype)

    def one(sequence: Array, length: Array):
        def output(taps):
            trace = trace_one(arch, params, sequence, length, taps)
            return trace.output, trace

        return jax.jacrev(output, has_aux=True)(taps)

    deltas, trace = jax.vmap(one)(x, lengths)
    gates = []
    for layer in range(arch.depth):
        for direction in arch.directions:
            z = trace.sources[layer][direction]
            for gate, delta in zip(cell_of(arch).gates, deltas[layer][direction], strict=True):
                sources = []
                for term in gate.terms:
                    if term.block not in arch.trainable:
                        continue
                    if term.source == "one":
                        sources.append(jnp.full((*x.shape[:2], 1), term.std, x.dtype))
                    else:
                        vector = z[term.source]
                        sources.append(term.std / vector.shape[-1] ** 0.5 * vector)
                gates.append(GateFactors(_arrange_deltas(delta, roles), tuple(sources)))
    return Factors(tuple(gates), trace.features)

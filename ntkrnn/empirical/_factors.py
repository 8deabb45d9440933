r"""The Jacobian of a recurrent network, factored over time.

A matrix A that enters a pre-activation as ``scale * A z_t`` has the Jacobian
``dy/dA = scale * sum_t delta_t z_t^T`` with ``delta_t = dy/d(pre-activation_t)``. One backward pass
gives every delta; the z are what the forward pass multiplied. The Jacobian itself, of size m^2 per
sequence, is never formed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Params, Sequences
from ntkrnn.architectures import ONE, Cell, Dense, Term
from ntkrnn.cells import UNROLL, Steps, pullback, run
from ntkrnn.empirical._axes import TRACED, Roles

COLUMNS_FROM = 1024**2
"""Entries from which the recurrent matrices no longer fit a core's cache, and are streamed."""

WRITTEN_OUT = 32
"""Steps of all layers and directions up to which there is no loop, for a cell of one gate: that saves
the product with the zero state and the last one backwards, and compiles in less than a second more."""


class GateFactors(NamedTuple):
    """Gates of one layer and direction whose matrices multiply the same, scaled the same."""

    deltas: Array
    """``[N, K, T, F]``: K outputs kept apart, F = (gates) * (outputs traced) * m."""
    source: Array
    """``[N, T, c]``: what every trainable block of the gate multiplies, scaled, side by side: the
    Gram matrices of the blocks add up."""


class Factors(NamedTuple):
    """Everything that the tangent kernel needs to know of one side."""

    layers: tuple[tuple[tuple[GateFactors, ...], ...], ...]
    """For each layer and direction the gates with a trainable block, in one or two groupings of which
    either will do: see :func:`_groupings`."""
    features: Array
    """``[N, m]`` or ``[N, T, m]``, what the readout matrix multiplies."""


def _basis(arch: Dense, steps: int, dtype: Any) -> Array:
    """One cotangent for each output of a sequence: ``[O, O]`` or ``[T O, T, O]``."""
    if not arch.reading.stepwise:
        return jnp.eye(arch.out_dim, dtype=dtype)
    size = steps * arch.out_dim
    return jnp.eye(size, dtype=dtype).reshape(size, steps, arch.out_dim)


def _arrange_deltas(delta: Array, roles: Roles, outputs: int) -> Array:
    """``[(T_out) O, T, N, m]`` to ``[N, K, T, F]``."""
    _, steps, n, width = delta.shape
    delta = delta.reshape(-1, outputs, steps, n, width)
    order, kept, traced = [3], 1, 1
    last = []
    for axis, role in enumerate((roles.time, roles.channel)):
        if role == TRACED:
            last.append(axis)
            traced *= delta.shape[axis]
        else:
            order.append(axis)
            kept *= delta.shape[axis]
    delta = jnp.transpose(delta, [*order, 2, *last, 4])
    return delta.reshape(n, kept, steps, traced * width)


def _same(a: Term, b: Term) -> bool:
    """Whether two gates multiply the same here, with a scale that is one number for both."""
    return a.block == b.block and a.source == b.source and a.std is b.std


Group = tuple[tuple[Term, ...], tuple[int, ...]]
"""Terms, and the gates that have them."""


def _by_gates(terms: dict[int, tuple[Term, ...]]) -> list[Group]:
    """Gates whose terms are all the same together: their derivatives meet in one Gram matrix."""
    found: list[tuple[tuple[Term, ...], list[int]]] = []
    for index, own in terms.items():
        for others, gates in found:
            if len(own) == len(others) and all(map(_same, own, others)):
                gates.append(index)
                break
        else:
            found.append((own, [index]))
    return [(own, tuple(gates)) for own, gates in found]


def _by_terms(terms: dict[int, tuple[Term, ...]]) -> list[Group]:
    """Terms that the same gates have together: every source meets in one Gram matrix."""
    found: list[tuple[Term, list[int]]] = []
    for index, own in terms.items():
        for term in own:
            gates = next((gates for other, gates in found if _same(term, other)), None)
            if gates is None:
                found.append((term, [index]))
            else:
                gates.append(index)
    joined: dict[tuple[int, ...], tuple[Term, ...]] = {}
    for term, gates in found:
        joined[tuple(gates)] = (*joined.get(tuple(gates), ()), term)
    return [(own, gates) for gates, own in joined.items()]


def _groupings(cell: Cell, trainable: tuple[str, ...]) -> tuple[list[Group], ...]:
    """The ways in which pairs of a trainable block and a gate can be put together, without repeats.

    Gates that share everything do not tell them apart. In a GRU the gates' terms differ: by gates the
    product with the state is paired twice, by terms some of the derivatives are.
    """
    terms = {
        index: own
        for index, gate in enumerate(cell.gates)
        if (own := tuple(term for term in gate.terms if term.block in trainable))
    }
    one, two = _by_gates(terms), _by_terms(terms)
    return (one,) if len(one) == 1 else (one, two)


def _source(terms: tuple[Term, ...], steps: Steps) -> Array:
    """``[N, T, c]``."""
    parts = []
    for term in terms:
        if term.source == ONE:
            shape = (*steps.sources["input"].shape[:2], 1)
            parts.append(jnp.full(shape, term.std, steps.sources["input"].dtype))
        else:
            vector = steps.sources[term.source]
            parts.append(term.std / math.sqrt(vector.shape[-1]) * vector)
    return jnp.swapaxes(jnp.concatenate(parts, axis=-1), 0, 1)


def _gate_factors(group: Group, deltas: list[Array], steps: Steps) -> GateFactors:
    terms, gates = group
    own = [deltas[gate] for gate in gates]
    joined = own[0] if len(own) == 1 else jnp.concatenate(own, axis=-1)
    return GateFactors(joined, _source(terms, steps))


def factors(
    arch: Dense,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    roles: Roles,
    precision: Any,
) -> Factors:
    """One forward and, for each output of a sequence, one backward pass.

    Cost: O(N T m^2) per output of a sequence (O outputs for "last" and "mean", T O for "sequence").
    """
    n, steps = x.shape[:2]
    few = steps * arch.depth * len(arch.directions) <= WRITTEN_OUT
    options = (precision, steps if few and len(arch.cell.gates) == 1 else UNROLL)
    columns = len(arch.part_names["w"]) * arch.width**2 >= COLUMNS_FROM
    trace = run(arch, params, x, lengths, columns, *options)
    if not set(arch.trainable) - {"v"}:
        return Factors((), trace.features)

    def back(output: Array) -> Any:
        cotangent = jnp.broadcast_to(output[None], (n, *output.shape))
        return pullback(arch, params, trace, lengths, cotangent, *options)

    basis = _basis(arch, steps, x.dtype)
    if len(basis) == 1:  # without an axis of size 1 in every product
        deltas = jax.tree.map(lambda delta: delta[None], back(basis[0]))
    else:
        deltas = jax.vmap(back)(basis)
    groupings, layers = _groupings(arch.cell, arch.trainable), []
    for layer, by_gate in zip(trace.layers, deltas, strict=True):
        for direction in arch.directions:
            arranged = [_arrange_deltas(d, roles, arch.out_dim) for d in by_gate[direction]]
            layers.append(
                tuple(
                    tuple(_gate_factors(group, arranged, layer[direction]) for group in groups)
                    for groups in groupings
                )
            )
    return Factors(tuple(layers), trace.features)

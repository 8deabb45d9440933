r"""One layer in one direction of a random network: forwards, and back to the features of its kernel.

Vectors over the neurons of N sequences are ``[b, N, b]``, see :mod:`ntkrnn.infinite.sampling._weights`.
The gates of a cell share the first rotation, and what a neuron gets from the groups that come about has
their common length. So gate g of a neuron takes what the group g places on gives, and expectations
that are multiplied in the limit are taken over neurons half of the groups apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import INNER, INPUT, ONE, STATE, Dense
from ntkrnn.cells import reading
from ntkrnn.infinite.sampling._weights import PROJECTIONS, Matrix, Weights


class Inputs(NamedTuple):
    """What a layer reads, time first."""

    x: Array | None
    """``[T, N, d]``, in the first layer."""
    below: list[Array]
    """``[T, b, N, b]``: above it, the states of each direction below."""
    valid: Array
    """``[T, N]``: which steps are in a sequence."""


class Kept(NamedTuple):
    """What a layer leaves behind."""

    pre: tuple[Array, ...]
    """``[T, b, N, b]`` of every gate, with its mean."""
    before: tuple[Array, ...]
    """``[T, b, N, b]``: the carry before each step."""
    inner: Array | None
    last: Array
    """``[b, N, b]``: the state after the step that was run last."""


def _grouped(vector: Array, blocks: Array) -> Array:
    """A product for every group."""
    dims = (((2,), (1,)), ((0,), (0,)))
    return jax.lax.dot_general(vector, blocks, dims, precision="highest")


def _turned(vector: Array, rotations: Array) -> Array:
    """``[b, N, b]``: the groups rotated, and the square of neurons turned over."""
    return jnp.transpose(_grouped(vector, rotations), (2, 1, 0))


def _times(vector: Array, matrix: Matrix) -> Array:
    """``[b, N, b]`` to ``[b, N, G b]``, or back."""
    return _grouped(_turned(vector, matrix.first), matrix.second)


def _over(count: int) -> float:
    """The scale of each of several vectors that share the place of one."""
    return max(1, count) ** -0.5


def _matrix(arch: Dense, weights: Weights, inputs: Inputs) -> Array:
    """``[b, rows, G b]``: what gates make of all that they read but an inner vector, scales included.

    The rows are those of the rotated groups of the state and of the layer below, of the channels of
    the sequences, and of 1.
    """
    cell, b = arch.cell, len(weights.signs)
    blocks = [(STATE, 1.0, matrix.second) for matrix in weights.forward[STATE]]
    blocks += [(INPUT, _over(len(inputs.below)), matrix.second) for matrix in weights.forward[INPUT]]
    for source in (INPUT, ONE):
        columns = weights.columns[source]
        turned = columns.transpose(2, 0, 1, 3).reshape(b, len(columns), columns.shape[1] * b)
        blocks.append((source, _over(len(columns)), turned))
    rows = []
    for source, scale, block in blocks:
        terms = reading(cell, source)
        parts = [jnp.zeros((*block.shape[:2], b), block.dtype)] * len(cell.gates)
        for (gate, term), part in zip(terms.items(), jnp.split(block, len(terms), axis=2), strict=True):
            parts[gate] = scale * term.std * part
        rows.append(jnp.concatenate(parts, axis=2))
    return jnp.concatenate(rows, axis=1)


def forward(arch: Dense, weights: Weights, inputs: Inputs, reverse: bool) -> Kept:
    """A layer of the cell over its inputs, from the last step to the first with ``reverse``.

    Cost: b (G + 1) multiply-adds for each neuron, step and vector that is read.
    """
    cell, dtype, b = arch.cell, weights.signs.dtype, len(weights.signs)
    shape = (b, inputs.valid.shape[1], b)
    matrix, one = _matrix(arch, weights, inputs), jnp.ones((*shape[:2], 1), dtype)

    def by_gate(product: Array, gates: Iterable[int]) -> Iterator[tuple[int, Array]]:
        for gate, part in zip(gates, jnp.split(product, product.shape[2] // b, axis=2), strict=True):
            yield gate, jnp.roll(part, gate, axis=0)

    def step(carry: tuple[Array, ...], given: tuple[Any, ...]) -> tuple[tuple[Array, ...], Any]:
        x, below, valid = given
        vectors = [(carry[0], weights.forward[STATE][0])]
        vectors += zip(below, weights.forward[INPUT], strict=True)
        read = [_turned(vector, matrices.first) for vector, matrices in vectors]
        read += [] if x is None else [jnp.broadcast_to(x, (b, *x.shape))]
        product = _grouped(jnp.concatenate([*read, one], axis=2), matrix)
        parts = by_gate(product, range(len(cell.gates)))
        pre = [cell.gates[gate].mean + part for gate, part in parts]
        between = None
        if cell.inner is not None:
            between = cell.inner(tuple(pre[: cell.outer_gates]), carry)
            terms = reading(cell, INNER)
            for gate, part in by_gate(_times(between, weights.forward[INNER][0]), terms):
                pre[gate] = pre[gate] + terms[gate].std * part
        new = tuple(jnp.where(valid[:, None], part, 0) for part in cell.update(tuple(pre), carry))
        return new, (tuple(pre), carry, between)

    start = (jnp.zeros(shape, dtype),) * cell.carries
    last, kept = jax.lax.scan(step, start, tuple(inputs), reverse=reverse)
    return Kept(*kept, last=last[0])


def states(kept: Kept, reverse: bool) -> Array:
    """``[T, b, N, b]``: the state after each step."""
    own = kept.before[0]
    parts = (kept.last[None], own[:-1]) if reverse else (own[1:], kept.last[None])
    return jnp.concatenate(parts)


def feature_count(arch: Dense, d: int | None, biased: bool) -> int:
    """How many features a neuron has in one direction, see :func:`backward`.

    Args:
        arch: the architecture.
        d: channels of the sequences in the first layer; None above it.
        biased: whether biases have a scale that is not 0.
    """
    inputs = len(arch.directions) if d is None else min(d, PROJECTIONS)
    vectors = {"w": {STATE: 1, INNER: 1}, "u": {INPUT: inputs}, "b": {ONE: int(biased)}}
    return sum(
        count * len(reading(arch.cell, source))
        for block, counts in vectors.items()
        for source, count in counts.items()
        if block in arch.trainable
    )


def _vectors(arch: Dense, given: Any, biased: bool) -> dict[str, Array]:
    """``[K, b or 1, N or 1, 1, b or 1]``: what trained parameters multiply in a step, by its source.

    Expectations of derivatives and of what they are multiplied with are products in the limit: the
    latter are those of neurons half of the groups on.
    """
    x, below, before, between = given
    found: dict[str, list[Array]] = {}
    if "w" in arch.trainable:
        found[STATE] = [before]
        found[INNER] = [] if between is None else [between]
    if "u" in arch.trainable:
        found[INPUT] = [_over(len(below)) * vector for vector in below]
    apart = {
        source: jnp.stack([jnp.roll(v, len(v) // 2, axis=0)[:, :, None] for v in vectors])
        for source, vectors in found.items()
        if vectors
    }
    if "u" in arch.trainable and x is not None:
        apart[INPUT] = jnp.moveaxis(x, 2, 0)[..., None, None]
    if "b" in arch.trainable and biased:
        apart[ONE] = jnp.ones((1,) * 5, before.dtype)
    return {source: vectors for source, vectors in apart.items() if reading(arch.cell, source)}


def _stds(arch: Dense, source: str) -> Array:
    """``[G, 1]``: the scales of what the gates make of a source."""
    return jnp.stack([jnp.asarray(term.std) for term in reading(arch.cell, source).values()])[:, None]


def _joined(arch: Dense, deltas: Sequence[Array], source: str) -> Array:
    """``[b, N, G b]``: the derivatives by the gates that read a source."""
    return jnp.concatenate([deltas[gate] for gate in reading(arch.cell, source)], axis=2)


def _sender(arch: Dense, weights: Weights) -> Callable[[Sequence[Array], str], list[Array]]:
    """From the derivatives by the gates to those by the vectors of a source that they read."""

    def scaled(source: str, matrix: Matrix, count: int) -> Matrix:
        first, stds = matrix.first, _over(count) * _stds(arch, source)[:, :, None]
        by_gate = first.reshape(len(first), len(stds), -1, first.shape[2])
        return Matrix((stds * by_gate).reshape(first.shape), matrix.second)

    matrices = {
        source: [scaled(source, matrix, len(found)) for matrix in found]
        for source, found in weights.backward.items()
    }

    def send(deltas: Sequence[Array], source: str) -> list[Array]:
        if not matrices[source]:
            return []
        return [_times(_joined(arch, deltas, source), matrix) for matrix in matrices[source]]

    return send


def backward(
    arch: Dense,
    weights: Weights,
    kept: Kept,
    inputs: Inputs,
    top: Callable[[Any], Array],
    tops: Array,
    reverse: bool,
    biased: bool,
) -> tuple[list[Array], list[Array]]:
    """Features of the tangent kernel, and what goes back to the layer below.

    Args:
        arch: the architecture.
        weights: of the layer.
        kept: what :func:`forward` left.
        inputs: what it read, but ``[T, b, N, P]`` projections over the root of d in the place of x.
        top: from an entry of ``tops`` to the derivatives ``[b, N, b]`` by the states of a step that
            come from outside.
        tops: ``[T, ...]``
        reverse: as it was forwards.
        biased: whether biases have a scale that is not 0.

    Returns:
        Arrays ``[K, b, N, G, b]`` whose products, summed over the neurons, gates and K vectors that
        the gates read, are what this layer adds to the kernel; and ``[T, b, N, b]`` for each
        direction below.

    Cost: that of :func:`forward`, and a multiply-add for each step and entry of the features.
    """
    cell, send = arch.cell, _sender(arch, weights)

    def step(carry: Any, given: tuple[Any, ...]) -> tuple[Any, list[Array]]:
        (by_carry, sums), (pre, before, between, (x, below, valid), outside) = carry, given
        by_carry = (by_carry[0] + top(outside), *by_carry[1:])
        by_carry = tuple(jnp.where(valid[:, None], part, 0) for part in by_carry)
        _, elementwise = jax.vjp(cell.update, pre, before)
        deltas, by_before = elementwise(by_carry)
        if cell.inner is not None:
            outer = cell.outer_gates
            _, elementwise = jax.vjp(cell.inner, pre[:outer], before)
            found = elementwise(send(deltas, INNER)[0])
            more, by_before = jax.tree.map(jnp.add, (deltas[:outer], by_before), found)
            deltas = (*more, *deltas[outer:])
        # Once for all that follows: the compiler would make them anew for each.
        deltas = jax.lax.optimization_barrier(deltas)
        vectors = _vectors(arch, (x, below, before[0], between), biased)
        sums = {
            source: sums[source] + _joined(arch, deltas, source).reshape(sums[source].shape[1:]) * v
            for source, v in vectors.items()
        }
        state = by_before[0] + send(deltas, STATE)[0]
        return ((state, *by_before[1:]), sums), send(deltas, INPUT)

    zero, stds, sums = jnp.zeros_like(kept.last), {}, {}
    first = jax.tree.map(lambda a: a[0], (inputs.x, inputs.below, kept.before[0], kept.inner))
    for source, vectors in _vectors(arch, first, biased).items():
        stds[source] = _stds(arch, source) / len(zero)
        b, n, _ = zero.shape
        sums[source] = jnp.zeros((len(vectors), b, n, len(stds[source]), b), zero.dtype)
    given = (kept.pre, kept.before, kept.inner, tuple(inputs), tops)
    start = ((zero,) * cell.carries, sums)
    (_, sums), below = jax.lax.scan(step, start, given, reverse=not reverse)
    return [stds[source] * total for source, total in sums.items()], below

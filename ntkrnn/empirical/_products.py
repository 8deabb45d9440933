"""Products of a tangent kernel with vectors: one backward pass, and one pass in forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._compile import compiled
from ntkrnn._types import Array, Params
from ntkrnn.architectures import AnyScales, Architecture
from ntkrnn.cells import run
from ntkrnn.empirical._axes import TRACED, Roles
from ntkrnn.empirical._function import masked


def _split(params: Params, trainable: tuple[str, ...]) -> tuple[list[Array], Callable[..., Params]]:
    """The trainable blocks, and a function that puts others in their place."""
    paths, structure = jax.tree_util.tree_flatten_with_path(params)
    chosen = [i for i, (path, _) in enumerate(paths) if path[-1].key in trainable]

    def merge(part: list[Array]) -> Params:
        leaves = [leaf for _, leaf in paths]
        for i, leaf in zip(chosen, part, strict=True):
            leaves[i] = leaf
        return jax.tree.unflatten(structure, leaves)

    return [paths[i][1] for i in chosen], merge


def _in_blocks(size: int, x: Array, lengths: Any) -> tuple[Array, Array]:
    """``[blocks, size, ...]``; the last sequence is repeated to fill up the last block."""
    n, steps = x.shape[:2]
    lengths = jnp.full(n, steps, jnp.int32) if lengths is None else lengths
    short = -n % size
    x = jnp.pad(x, ((0, short), (0, 0), (0, 0)), mode="edge")
    lengths = jnp.pad(lengths, (0, short), mode="edge")
    return x.reshape(-1, size, *x.shape[1:]), lengths.reshape(-1, size)


class _Map(NamedTuple):
    """A network as a function of what is differentiated."""

    outputs: Callable[[Array, Array], Callable[[Any], Array]]
    """``(x, lengths) -> (part of the parameters -> outputs)``"""
    part: Any
    out_dim: int
    time1: tuple[int, ...]
    """``(T1,)`` of the outputs, or nothing."""
    time2: tuple[int, ...]
    averaged: bool
    """Whether several outputs are averaged over."""


def _products(
    network: _Map, one: tuple[Array, Any], two: tuple[Array, Any], v: Array, sizes: tuple[int, int]
) -> Array:
    """``v``: ``[N2, (T2,) O or 1, k]``; the result: ``[N1, (T1,) O or 1, k]``."""
    n1, n2 = one[0].shape[0], two[0].shape[0]
    blocks1, blocks2 = _in_blocks(sizes[0], *one), _in_blocks(sizes[1], *two)
    outputs, part = network.outputs, network.part

    def product(u: Array) -> Array:
        """``Theta u`` on the whole output space: ``[N2, (T2,) O]`` to ``[N1, (T1,) O]``."""
        u = jnp.pad(u, [(0, -n2 % sizes[1])] + [(0, 0)] * (u.ndim - 1))

        def add(total: Any, block: tuple[Array, ...]) -> tuple[Any, None]:
            x, lengths, cotangent = block
            (gradient,) = jax.vjp(outputs(x, lengths), part)[1](cotangent)
            return jax.tree.map(jnp.add, total, gradient), None

        zero = jax.tree.map(jnp.zeros_like, part)
        cotangents = u.reshape(-1, sizes[1], *network.time2, network.out_dim)
        direction, _ = jax.lax.scan(add, zero, (*blocks2, cotangents))

        def along(block: tuple[Array, Array]) -> Array:
            return jax.jvp(outputs(*block), (part,), (direction,))[1]

        return jax.lax.map(along, blocks1).reshape(-1, *network.time1, network.out_dim)[:n1]

    def one_column(column: Array) -> Array:
        if not network.averaged:
            return product(column)
        unit = jnp.eye(network.out_dim, dtype=column.dtype)
        each = jax.lax.map(lambda e: jnp.sum(product(column * e) * e, -1, keepdims=True), unit)
        return jnp.sum(each, axis=0) / network.out_dim

    # One after the other: only one set of parameters and states is held at a time.
    return jnp.moveaxis(jax.lax.map(one_column, jnp.moveaxis(v, -1, 0)), 0, -1)


@compiled("form", "roles", "sizes", "precision")
def products_of_architecture(
    form: Architecture,
    scales: AnyScales,
    roles: Roles,
    params: Params,
    x1: Array,
    x2: Array,
    lengths1: Any,
    lengths2: Any,
    v: Array,
    sizes: tuple[int, int],
    precision: jax.lax.Precision,
) -> Array:
    """Products of an architecture's kernel, see :func:`_products`."""
    arch = form.with_scales(scales)
    part, merge = _split(params, arch.trainable)
    time1, time2 = ((a.shape[1],) if arch.reading.stepwise else () for a in (x1, x2))

    def outputs(x: Array, lengths: Array) -> Callable[[list[Array]], Array]:
        return lambda part: run(arch, merge(part), x, lengths, precision=precision).output

    averaged = roles.channel == TRACED and arch.out_dim > 1
    network = _Map(outputs, part, arch.out_dim, time1, time2, averaged)
    return _products(network, (x1, lengths1), (x2, lengths2), v, sizes)


@compiled("apply_fn", "roles", "sizes", "precision")
def products_of_function(
    apply_fn: Any,
    roles: Roles,
    params: Params,
    x1: Array,
    x2: Array,
    lengths1: Any,
    lengths2: Any,
    v: Array,
    sizes: tuple[int, int],
    precision: str,
) -> Array:
    """Products of the kernel of a function, see :func:`_products`."""
    call, ragged = masked(apply_fn), lengths1 is not None

    def outputs(x: Array, lengths: Array) -> Callable[[Params], Array]:
        return lambda params: call(params, x, lengths if ragged else None)

    with jax.default_matmul_precision(precision):
        shapes = [
            jax.eval_shape(call, params, *side).shape for side in ((x1, lengths1), (x2, lengths2))
        ]
        out_dim = shapes[0][-1]
        averaged = roles.channel == TRACED and out_dim > 1
        network = _Map(outputs, params, out_dim, shapes[0][1:-1], shapes[1][1:-1], averaged)
        return _products(network, (x1, lengths1), (x2, lengths2), v, sizes)

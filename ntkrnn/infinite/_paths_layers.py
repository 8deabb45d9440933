"""The kernels of a network of one or several layers and directions, from one set of samples.

A layer sees the one below through the covariance of its states alone, and the one above through the
covariance of what it sends back; nothing else passes between them, so that the same noise drives all.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import STATE, Dense
from ntkrnn.infinite._paths_backward import Reversed, backward
from ntkrnn.infinite._paths_exact import Exact, exact_gate
from ntkrnn.infinite._paths_forward import Paths, forward
from ntkrnn.infinite._paths_groups import covariance_of, groups_of
from ntkrnn.infinite._paths_noise import Noise
from ntkrnn.infinite._paths_views import Orders, orders_of, paths_of


class Sampled(NamedTuple):
    """A layer in one direction, forwards."""

    paths: Paths
    below: Array
    """``[T, N, T, N]`` inner products of what it reads, in its own order."""


def _products(x: Array, valid: Array) -> Array:
    """``[T, N, T, N]`` of ``<x, x'>/d``."""
    x = jnp.where(valid[:, :, None], jnp.swapaxes(x, 0, 1), 0)
    return jnp.einsum("tic,sjc->tisj", x, x, precision="highest") / x.shape[2]


def _exact(arch: Dense, layer: Sampled) -> Array:
    """``E gate'(a) gate'(a') * E rest rest'`` of the gate that is integrated, ``[T, N, T, N]``."""
    cell = arch.cell
    assert cell.factor is not None and layer.paths.rest is not None
    k = cell.factor.of.gate
    group = next(group for group in groups_of(arch) if k in group.gates)
    c = covariance_of(group.squares, group.source, layer.paths.covariance, layer.below)
    n = c.shape[1]
    q = jnp.diagonal(c.reshape(-1, c.shape[0] * n)).reshape(-1, n)
    slope = exact_gate(cell, cell.factor.of).slope
    return slope(c, q[:, :, None, None], q[None, None]) * layer.paths.rest


def _forwards(
    arch: Dense,
    orders: dict[str, Orders],
    x: Array,
    valid: Array,
    steps: Array,
    noise: Noise,
    samples: int,
    exact: Exact,
) -> list[dict[str, Sampled]]:
    """``[layer][direction]``"""
    below, layers = _products(x, valid), []
    for _ in range(arch.depth):
        layer, states = {}, jnp.zeros_like(below)
        for direction, order in orders.items():
            seen = order.own_of_sequences.of(below)
            layer[direction] = Sampled(forward(arch, seen, valid, steps, noise, samples, exact), seen)
            own = layer[direction].paths.covariance[STATE]
            states = states + order.own_of_sequences.of(own)
        layers.append(layer)
        below = states / len(orders)
    return layers


def kernels_of_samples(
    arch: Dense,
    x: Array,
    lengths: Array,
    steps: Array,
    noise: Noise,
    signs: Array | None,
    samples: int,
    exact: Exact,
) -> tuple[Array, ...]:
    """NNGP and, if wanted, tangent kernel ``[P, P]`` of all outputs of all sequences.

    Args:
        arch: the architecture.
        x: ``[N, T, d]``.
        lengths: ``[N]``, 0 for rows that are there to fill up.
        steps: the largest length.
        noise: what the paths are drawn with, see :mod:`ntkrnn.infinite._paths_noise`.
        signs: ``[layers directions, sources T P, S]``, the noise backwards; None for no tangent kernel.
        samples: S.
        integrate: whether a gate that can be integrated exactly is.
    """
    capacity, directions = x.shape[1], arch.directions
    sequence, _ = paths_of(arch.readout, capacity, lengths)
    valid = jnp.arange(capacity, dtype=jnp.int32)[:, None] < lengths[None, :]
    orders = {d: orders_of(arch.readout, capacity, lengths, steps, d == "backward") for d in directions}
    layers = _forwards(arch, orders, x, valid, steps, noise, samples, exact)
    share = arch.v_std**2 / len(directions)
    nngp = jnp.zeros((len(sequence),) * 2, x.dtype)
    for direction, order in orders.items():
        seen = order.reverse_of_own.of(layers[-1][direction].paths.covariance[STATE])
        read = order.read.astype(x.dtype)
        nngp = nngp + share * jnp.einsum("tp,tpsq,sq->pq", read, seen, read, precision="highest")
    if signs is None:
        return (nngp,)

    theta = nngp if "v" in arch.trainable else jnp.zeros_like(nngp)
    sent = jnp.zeros((capacity, len(sequence)) * 2, x.dtype)  # to the states, by the layer above
    for depth in reversed(range(arch.depth)):
        to_below = jnp.zeros_like(sent)
        for index, (direction, order) in enumerate(orders.items()):
            layer = layers[depth][direction]
            if depth == arch.depth - 1:
                read = order.read.astype(x.dtype)
                outside = share * read[:, :, None, None] * read[None, None]
            else:
                outside = order.reverse_of_paths.of(sent)
            left = None
            if exact.factor and arch.cell.factor is not None:
                left = order.reverse_of_own.of(_exact(arch, layer))
            back = Reversed(outside, order.reverse_of_own.inside, sequence, left)
            own = signs[depth * len(directions) + index]
            found = backward(arch, layer.paths, back, steps, own)
            for group, deltas in zip(groups_of(arch), found, strict=True):
                trained = covariance_of(
                    group.trained, group.source, layer.paths.covariance, layer.below
                )
                theta = theta + jnp.sum(deltas * order.reverse_of_own.of(trained), axis=(0, 2))
                through = group.squares[1] / len(directions) * deltas
                to_below = to_below + order.paths_of_reverse.of(through)
        sent = to_below
    return nngp, theta

"""Features of a random network whose products are both kernels: layers, directions, readouts."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Sequences, add_up
from ntkrnn.architectures import Dense
from ntkrnn.infinite._feature_layers import Inputs, Kept, backward, feature_count, forward, states
from ntkrnn.infinite._feature_weights import Network


def outputs_of(arch: Dense, steps: int) -> int:
    """How many outputs a sequence has."""
    return steps if arch.readout == "sequence" else 1


def feature_counts(arch: Dense, neurons: int, d: int, biased: bool) -> tuple[int, int]:
    """Features of each output: for the NNGP kernel, and of the layers for the tangent kernel."""
    layers = feature_count(arch, d, biased) + (arch.depth - 1) * feature_count(arch, None, biased)
    return len(arch.directions) * neurons, len(arch.directions) * layers * neurons


def _read(arch: Dense, valid: Array, lengths: Lengths, reverse: bool, dtype: Any) -> Array:
    """``[R, T, N]``: how much of the state of every step each output reads."""
    times = jnp.arange(len(valid), dtype=jnp.int32)[:, None]
    if arch.readout == "sequence":
        read = (times == times[:, :, None]) & valid
    elif arch.readout == "mean":
        read = (valid / jnp.maximum(lengths, 1))[None]
    else:
        read = (times == (0 if reverse else lengths - 1))[None] & valid
    return read.astype(dtype)


def _flat(arrays: list[Array], axis: int) -> Array:
    """``[N, F]``: all but the axis of the sequences in one."""
    flat = [jnp.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in arrays]
    return jnp.concatenate(flat, axis=1)


def network_features(
    arch: Dense, network: Network, x: Sequences, lengths: Lengths, biased: bool, tangent: bool
) -> tuple[Array, ...]:
    r"""Features of one network: ``<f, f'>`` is an estimate of a kernel of infinite width.

    ::

        nngp:  v_std h_T / sqrt M
        ntk, without the readout's own:  std_g sum_t delta^g_t * z_t / sqrt M

    for every gate g and every z that a trained block of parameters multiplies there, neuron by
    neuron, with the z of a neuron other than that of delta. ``h`` and the derivatives ``delta`` are
    those of the network, whose matrices are drawn anew on the way back.

    Args:
        arch: the architecture.
        network: its weights, see :func:`ntkrnn.infinite._feature_weights.draw`.
        x: ``[N, T, d]``.
        lengths: ``[N]`` valid steps; 0 for rows that fill up, whose features are 0.
        biased: whether biases have a scale that is not 0.
        tangent: whether features of the tangent kernel are wanted too.

    Returns:
        One or two arrays ``[N, R, features]``, R outputs of each sequence, see
        :func:`feature_counts`.

    Cost: O(N T M b) for each gate, layer and direction; R times as much on the way back.
    """
    count, steps = len(arch.directions), x.shape[1]
    b, backwards = len(network[0]["forward"].signs), {d: d == "backward" for d in arch.directions}
    valid = jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths[None]
    own = jnp.where(valid[:, :, None], jnp.swapaxes(x, 0, 1), 0)
    read = {d: _read(arch, valid, lengths, way, x.dtype) for d, way in backwards.items()}
    share = arch.v_std / math.sqrt(count)

    seen: list[Inputs] = []
    layers: list[dict[str, Kept]] = []
    for depth, weights in enumerate(network):
        below = [states(layers[-1][d], way) for d, way in backwards.items()] if depth else []
        seen.append(Inputs(None if depth else own, below, valid))
        layers.append({d: forward(arch, weights[d], seen[-1], way) for d, way in backwards.items()})
    tops = {d: states(layers[-1][d], way) for d, way in backwards.items()}
    values = [
        share / b * jnp.einsum("rtn,tpnq->rpnq", read[d], tops[d], precision="highest")
        for d in arch.directions
    ]
    nngp = jnp.swapaxes(jax.vmap(functools.partial(_flat, axis=1))(values), 0, 1)
    if not tangent:
        return (nngp,)

    frames = {d: weights.frames for d, weights in network[0].items()}
    projected = {
        d: jnp.einsum("tnc,pck->tpnk", own / math.sqrt(x.shape[2]), frame, precision="highest")
        for d, frame in frames.items()
    }

    def of_output(read: dict[str, Array]) -> Array:
        """``[N, features]`` of one output of every sequence, that reads ``[T, N]``."""
        found, above = [], None
        for depth in reversed(range(arch.depth)):
            to_below = []
            for index, (d, way) in enumerate(backwards.items()):
                weights, inputs = network[depth][d], seen[depth]
                if depth == 0:
                    inputs = inputs._replace(x=projected[d])
                if above is None:
                    signs = share * weights.signs[:, None]
                    top, given = functools.partial(_outer, signs), read[d]
                else:
                    top, given = _itself, above[index]
                kept = layers[depth][d]
                features, sent = backward(arch, weights, kept, inputs, top, given, way, biased)
                found += features
                to_below.append(sent)
            above = [add_up(parts) for parts in zip(*to_below, strict=True)]
        return _flat(found, 2) if found else jnp.zeros((len(x), 0), x.dtype)

    if arch.readout == "sequence":
        layered = jax.vmap(of_output)(read)
        return nngp, jnp.swapaxes(layered, 0, 1)
    return nngp, of_output({d: one[0] for d, one in read.items()})[:, None]


def _outer(signs: Array, read: Array) -> Array:
    """``[b, N, b]``: what the readout sends back to the states of a step."""
    return read[:, None] * signs


def _itself(array: Array) -> Array:
    return array

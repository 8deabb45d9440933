"""Features of a random network whose products are both kernels: layers, directions, readouts."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Sequences, add_up
from ntkrnn.architectures import Dense
from ntkrnn.infinite.sampling._layers import Inputs, Kept, backward, feature_count, forward, states
from ntkrnn.infinite.sampling._weights import Network, Weights
from ntkrnn.readouts import weights_of

BACKWARD = "backward"
"""The direction that runs from the last step to the first."""


def outputs_of(arch: Dense, steps: int) -> int:
    """How many outputs a sequence has."""
    return steps if arch.reading.stepwise else 1


def feature_counts(arch: Dense, neurons: int, d: int, biased: bool) -> tuple[int, int]:
    """Features of each output: for the NNGP kernel, and of the layers for the tangent kernel."""
    layers = feature_count(arch, d, biased) + (arch.depth - 1) * feature_count(arch, None, biased)
    return len(arch.directions) * neurons, len(arch.directions) * layers * neurons


def _read(arch: Dense, valid: Array, lengths: Lengths, reverse: bool, dtype: Any) -> Array:
    """``[R, T, N]``: how much of the state of every step each output reads."""
    if not arch.reading.stepwise:
        return weights_of(arch.reading, len(valid), lengths, reverse, dtype)[None]
    times = jnp.arange(len(valid), dtype=jnp.int32)[:, None]
    return ((times == times[:, :, None]) & valid).astype(dtype)


def _flat(arrays: list[Array], axis: int) -> Array:
    """``[N, F]``: all but the axis of the sequences in one."""
    flat = [jnp.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in arrays]
    return jnp.concatenate(flat, axis=1)


class Layer(NamedTuple):
    """A layer of a network that was run forwards."""

    weights: dict[str, Weights]
    """By its direction, as what it kept is."""
    inputs: Inputs
    kept: dict[str, Kept]


def _run(arch: Dense, network: Network, x: Array, valid: Array) -> list[Layer]:
    """All layers on ``[T, N, d]``, in the order of ``arch.directions``."""
    layers: list[Layer] = []
    for weights in network:
        below = [] if not layers else _tops(arch, layers[-1])
        inputs = Inputs(None if layers else x, below, valid)
        kept = {d: forward(arch, weights[d], inputs, d == BACKWARD) for d in arch.directions}
        layers.append(Layer(weights, inputs, kept))
    return layers


def _tops(arch: Dense, layer: Layer) -> list[Array]:
    """``[T, b, N, b]`` states of each direction."""
    return [states(layer.kept[d], d == BACKWARD) for d in arch.directions]


def _returned(
    arch: Dense, layers: list[Layer], projected: dict[str, Array], read: list[Array], biased: bool
) -> Array:
    """``[N, features]`` of one output of every sequence, that reads ``[T, N]`` of each direction."""
    found: list[Array] = []
    above: list[Array] | None = None
    for layer in reversed(layers):
        to_below = []
        for index, d in enumerate(arch.directions):
            inputs = layer.inputs
            if inputs.x is not None:
                inputs = inputs._replace(x=projected[d])
            if above is None:
                signs = _share(arch) * layer.weights[d].signs[:, None]
                top, tops = functools.partial(_outer, signs), read[index]
            else:
                top, tops = _itself, above[index]
            given = (layer.weights[d], layer.kept[d], inputs, top, tops)
            features, sent = backward(arch, *given, d == BACKWARD, biased)
            found += features
            to_below.append(sent)
        above = [add_up(parts) for parts in zip(*to_below, strict=True)]
    return _flat(found, 2)


def _share(arch: Dense) -> Any:
    """The scale of the readout from each direction."""
    return arch.v_std / math.sqrt(len(arch.directions))


def _outer(signs: Array, read: Array) -> Array:
    """``[b, N, b]``: what the readout sends back to the states of a step."""
    return read[:, None] * signs


def _itself(array: Array) -> Array:
    return array


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
        network: its weights, see :func:`ntkrnn.infinite.sampling._weights.draw`.
        x: ``[N, T, d]``.
        lengths: ``[N]`` valid steps; 0 for rows that fill up, whose features are 0.
        biased: whether biases have a scale that is not 0.
        tangent: whether features of the tangent kernel are wanted too, if there are any.

    Returns:
        One or two arrays ``[N, R, features]``, R outputs of each sequence, see
        :func:`feature_counts`.

    Cost: O(N T M b) for each gate, layer and direction; R times as much on the way back.
    """
    directions, steps = arch.directions, x.shape[1]
    b = len(network[0][directions[0]].signs)
    valid = jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths[None]
    own = jnp.where(valid[:, :, None], jnp.swapaxes(x, 0, 1), 0)
    read = [_read(arch, valid, lengths, d == BACKWARD, x.dtype) for d in directions]
    layers = _run(arch, network, own, valid)
    values = [
        _share(arch) / b * jnp.einsum("rtn,tpnq->rpnq", r, top, precision="highest")
        for r, top in zip(read, _tops(arch, layers[-1]), strict=True)
    ]
    nngp = jnp.swapaxes(jax.vmap(functools.partial(_flat, axis=1))(values), 0, 1)
    if not tangent:
        return (nngp,)
    project = functools.partial(jnp.einsum, "tnc,pck->tpnk", own / math.sqrt(x.shape[2]))
    projected = {d: project(w.frames, precision="highest") for d, w in network[0].items()}
    of_output = functools.partial(_returned, arch, layers, projected, biased=biased)
    if arch.reading.stepwise:
        layered = jax.vmap(lambda *parts: of_output(list(parts)))(*read)
    else:
        layered = of_output([one[0] for one in read])[None]
    return nngp, jnp.swapaxes(layered, 0, 1)

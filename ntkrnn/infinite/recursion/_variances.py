r"""What the recursion needs to know of each sequence alone.

For every layer and direction: the pre-activation variance ``q_t = H_{t,t}`` and the state variance
``V_t = E s_t^2``, by the recursion of the kernel of a sequence with itself::

    q_t = w_std^2 V_{t-1} + u_std^2 (variance of the input at t) + b_std^2,   V_t = E phi(sqrt q_t z)^2

All arrays are time-major, ``[T, N]``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Elman, Leaky, Scales
from ntkrnn.dual import Features, Stepper, stepper
from ntkrnn.infinite.pairs._rows import Layout, Rows


def squared_scales(arch: Elman | Leaky) -> Any:
    """The scales as the recursion uses them, squared before they are rounded to a float32.

    A relative error e of ``w_std^2`` grows to T e over T steps; the square of a rounded root is off
    by two more roundings than the rounded square.
    """
    w, u, b, v, *rate = arch.scales  # a rate is no scale of a sum
    return type(arch.scales)(w**2, u**2, b**2, v**2, *rate)


class LayerTrack(NamedTuple):
    """One layer in one direction, seen along a set of sequences; each entry ``[T, N]``."""

    features: Features
    """What the nonlinearity needs of the pre-activation variance q; the first is q itself."""
    previous: Array
    """State variance at the previous step of this direction, 0 where there is none."""
    alive: Array
    """Whether there is a previous step."""
    state: Array
    """State variance V at the step itself, 0 outside the sequence."""
    trained: Array
    """The part of q that comes through trainable blocks."""


class Track(NamedTuple):
    """All layers of a network along a set of sequences."""

    valid: Array
    """``[T, N]``: which steps are inside the sequence."""
    layers: tuple[dict[str, LayerTrack], ...]
    """``[layer][direction]``."""


def _layer_track(
    arch: Elman, scale: Scales, phi: Stepper, below: Array, valid: Array, reverse: bool
) -> LayerTrack:
    """Track of one layer and direction."""

    def step(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, tuple[Features, Array]]:
        below_t, valid_t = inputs
        features = phi.features(scale.w * state + scale.u * below_t + scale.b)
        state = jnp.where(valid_t, phi.second_moment(features), 0)
        return state, (features, state)

    start = jnp.zeros(below.shape[1:], below.dtype)
    _, (features, state) = jax.lax.scan(step, start, (below, valid), reverse=reverse)
    previous = _before(state, reverse)
    parts = {"w": scale.w * previous, "u": scale.u * below, "b": jnp.full_like(below, scale.b)}
    trained = [part for name, part in parts.items() if name in arch.trainable]
    return LayerTrack(
        features, previous, _before(valid, reverse), state, add_up([jnp.zeros_like(below), *trained])
    )


def _before(a: Array, reverse: bool) -> Array:
    """Entries one step earlier: from t-1, or from t+1 for a backward layer; 0 or False at the end."""
    edge = jnp.zeros_like(a[:1])
    return jnp.concatenate([a[1:], edge] if reverse else [edge, a[:-1]])


def track(arch: Elman, scale: Scales, input_variance: Array, valid: Array) -> Track:
    """Variances of every layer along every sequence.

    Args:
        arch: the architecture, of which the scales are not looked at.
        scale: the squares of the scales, see :func:`squared_scales`.
        input_variance: ``[T, N]``, ``|x_t|^2/d`` or what a layer below hands on.
        valid: ``[T, N]``, which steps are inside the sequence.

    Cost: O(L N T) evaluations of the dual activation.
    """
    phi = stepper(arch.nonlinearity)
    below, layers = jnp.where(valid, input_variance, 0), []
    for _ in range(arch.depth):
        tracks = {
            direction: _layer_track(arch, scale, phi, below, valid, direction == "backward")
            for direction in arch.directions
        }
        below = add_up([t.state for t in tracks.values()]) / len(tracks)
        layers.append(tracks)
    return Track(valid, tuple(layers))


def largest_variance(tracks: Track) -> Array:
    """Largest pre-activation variance of any valid step."""
    every = jnp.stack([entry.features[0] for layer in tracks.layers for entry in layer.values()])
    return jnp.max(jnp.where(tracks.valid, every, 0))


def packed_rows(layout: Layout, x: Array | None, track: Track) -> Rows:
    """Stack the rows of one side.

    Args:
        layout: which rows.
        x: ``[T, N, d]`` scaled inputs, 0 outside the sequences, or None for a layer below.
        track: variances along the sequences.
    """
    packed: Rows = {}
    for layer, directions in enumerate(track.layers):
        for direction, entry in directions.items():
            dtype = entry.state.dtype
            rows = [0.5 * entry.trained]
            if layout.restarts:
                rows += [entry.alive.astype(dtype), 0.5 * entry.previous]
            packed[layer, direction] = jnp.stack([*rows, *entry.features], axis=1)
            if layer == 0 and x is not None:
                channels = jnp.swapaxes(x, 1, 2)
                padding = layout.channels - channels.shape[1]
                channels = jnp.pad(channels, ((0, 0), (0, padding), (0, 0)))
                both = [channels, packed[layer, direction]]
                packed[layer, direction] = jnp.concatenate(both, axis=1)
    return packed

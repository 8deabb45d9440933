r"""What each side brings to every pair of steps, packed into one array ``[T, R, N]``.

A step of the recursion reads one contiguous slice ``[R, N]`` of either side. The rows are: the input
channels, scaled by ``u_std/sqrt(2d)`` so that the distance is a plain sum of squares; whether the step
is valid, if lengths are unequal; and for each layer and direction half of the variance that comes
through trainable blocks, whether there is a previous step and half the state variance there (if the
recursion restarts anywhere), and the features of the nonlinearity.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.architectures import Elman
from ntkrnn.dual import Stepper
from ntkrnn.infinite._variances import Track

INLINE_CHANNELS = 32
"""Up to so many channels the distance of the inputs is part of the one loop over pairs."""
_CHUNK = 16


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which rows there are."""

    channels: int
    """Input channels, 0 when a layer below is given as kernels."""
    keys: tuple[tuple[int, str], ...]
    """(layer, direction) in order."""
    features: int
    restarts: bool
    """Whether some state has no predecessor later than at the first step."""
    ragged: bool
    """Whether some steps are padding."""

    @classmethod
    def of(
        cls, form: Elman, stepper: Stepper, dtype: Any, channels: int, restarts: bool, ragged: bool
    ) -> Layout:
        """The layout of an architecture."""
        keys = tuple((layer, d) for layer in range(form.depth) for d in form.directions)
        features = len(jax.eval_shape(stepper.features, jax.ShapeDtypeStruct((), dtype)))
        if channels > INLINE_CHANNELS:
            channels += -channels % _CHUNK
        return cls(channels, keys, features, restarts, ragged)


class LayerRows(NamedTuple):
    """One side of one layer and direction, broadcast against the other side."""

    trained: Array
    alive: Array | None
    previous: Array | None
    features: tuple[Array, ...]


class View(NamedTuple):
    """One side at one step."""

    valid: Array | None
    layers: dict[tuple[int, str], LayerRows]


def pack(layout: Layout, x: Array | None, track: Track) -> Array:
    """Stack the rows of one side.

    Args:
        layout: which rows.
        x: ``[T, N, d]`` scaled inputs, 0 outside the sequences, or None for a layer below.
        track: variances along the sequences.

    Returns:
        ``[T, R, N]``.
    """
    dtype = track.layers[0]["forward"].state.dtype
    rows = [track.valid.astype(dtype)] if layout.ragged else []
    for layer, direction in layout.keys:
        entry = track.layers[layer][direction]
        rows.append(0.5 * entry.trained)
        if layout.restarts:
            rows += [entry.alive.astype(dtype), 0.5 * entry.previous]
        rows += entry.features
    stacked = jnp.stack(rows, axis=1)
    if x is None:
        return stacked
    channels = jnp.swapaxes(x, 1, 2)
    padding = layout.channels - channels.shape[1]
    channels = jnp.pad(channels, ((0, 0), (0, padding), (0, 0)))
    return jnp.concatenate([channels, stacked], axis=1)


def view(layout: Layout, rows: Array, side: int) -> View:
    """Name the rows ``[..., R, B]`` of one step; side 1 runs down, side 2 across a tile."""
    position = layout.channels

    def take() -> Array:
        nonlocal position
        row = rows[..., position, :]
        position += 1
        return row[..., :, None] if side == 1 else row[..., None, :]

    valid = take() if layout.ragged else None
    layers = {}
    for key in layout.keys:
        trained = take()
        alive, previous = (take(), take()) if layout.restarts else (None, None)
        layers[key] = LayerRows(trained, alive, previous, tuple(take() for _ in range(layout.features)))
    return View(valid, layers)


def _squares(rows1: Array, rows2: Array, count: int) -> Array:
    """Sum of squared differences over the first channels, summed one by one."""
    total = None
    for k in range(count):
        difference = rows1[..., k, :, None] - rows2[..., k, None, :]
        square = difference * difference
        total = square if total is None else total + square
    assert total is not None
    return total


def input_distance(layout: Layout, rows1: Array, rows2: Array) -> Array:
    """``u_std^2 |x - x'|^2/(2d)`` of every pair, summed from differences.

    Never from ``|x|^2 + |x'|^2 - 2 <x, x'>``: that is what keeps nearly equal sequences apart.
    """
    if layout.channels <= INLINE_CHANNELS:
        return _squares(rows1, rows2, layout.channels)

    def fetch(k: Array) -> tuple[Array, Array]:
        take = lambda rows: jax.lax.dynamic_slice_in_dim(rows, k * _CHUNK, _CHUNK, axis=-2)  # noqa: E731
        return take(rows1), take(rows2)

    def add(k: Array, carry: tuple[Array, tuple[Array, Array]]) -> tuple[Array, tuple[Array, Array]]:
        total, chunk = carry
        return total + _squares(*chunk, _CHUNK), fetch(k + 1)

    shape = jnp.broadcast_shapes(rows1[..., 0, :, None].shape, rows2[..., 0, None, :].shape)
    start = (jnp.zeros(shape, rows1.dtype), fetch(jnp.asarray(0)))
    return jax.lax.fori_loop(0, layout.channels // _CHUNK, add, start)[0]

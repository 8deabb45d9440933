r"""What each side brings to every pair of steps, packed into one array ``[T, R, N]`` for each layer.

A step of the recursion reads one contiguous slice ``[R, N]`` of either side. The rows of a layer and
direction are: half of the variance that comes through trainable blocks; whether there is a previous
step, and half the state variance there (if the recursion restarts anywhere); the features of the
nonlinearity. Before them, in the first layer, the input channels, scaled by ``u_std/sqrt(2d)`` so that
the distance is a plain sum of squares. Where steps count differently in what is read, one more array
for each direction has their weights.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.dual import Stepper

INLINE_CHANNELS = 32
"""Up to so many channels the distance of the inputs is part of the one loop over pairs."""
_CHUNK = 16


Key = tuple[int, str]
"""(layer, direction)"""
READ = -1
"""In place of a layer: the weights with which the readout reads its states."""
Rows = dict[Key, Array]
"""``[T, R, N]`` for each layer and direction, and ``[T, 1, N]`` for :data:`READ`."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Which rows there are."""

    channels: int
    """Input channels, 0 when a layer below is given as kernels."""
    features: int
    restarts: bool
    """Whether some state has no predecessor later than at the first step."""

    @classmethod
    def of(cls, stepper: Stepper, dtype: Any, channels: int, restarts: bool) -> Layout:
        """The layout for a nonlinearity."""
        features = _feature_count(stepper, jnp.dtype(dtype))
        if channels > INLINE_CHANNELS:
            channels += -channels % _CHUNK
        return cls(channels, features, restarts)

    def first(self, key: Key) -> int:
        """How many rows of input channels come before the others."""
        return self.channels if key[0] == 0 else 0


@functools.lru_cache(maxsize=256)
def _feature_count(stepper: Stepper, dtype: Any) -> int:
    """Looked up, since tracing the features of a series takes a while."""
    return len(jax.eval_shape(stepper.features, jax.ShapeDtypeStruct((), dtype)))


class LayerRows(NamedTuple):
    """One side of one layer and direction, broadcast against the other side."""

    trained: Array
    alive: Array | None
    previous: Array | None
    features: tuple[Array, ...]


def slope_rows(
    layout: Layout,
    slope_features: Callable[[tuple[Array, ...]], tuple[Array, ...]],
    rows: Rows,
    *,
    behind_features: bool = False,
) -> Rows:
    """Rows of what slopes read in the place of features, or behind them.

    Args:
        layout: which rows there are.
        slope_features: of the stepper.
        rows: ``[.., R, N]`` of one side.
        behind_features: whether the features stay.
    """
    new = dict(rows)
    for key, whole in rows.items():
        if key[0] == READ:
            continue
        first = layout.first(key) + (3 if layout.restarts else 1)
        own = tuple(whole[..., k, :] for k in range(first, whole.shape[-2]))
        kept = whole if behind_features else whole[..., :first, :]
        new[key] = jnp.concatenate([kept, jnp.stack(slope_features(own), axis=-2)], axis=-2)
    return new


def across(row: Array, side: int) -> Array:
    """A row ``[..., B]`` of one side, to be broadcast over a tile: side 1 runs down, side 2 across."""
    return row[..., :, None] if side == 1 else row[..., None, :]


def view(layout: Layout, key: Key, rows: Array, side: int) -> LayerRows:
    """Name the rows ``[..., R, B]`` of one layer and direction at one step."""
    named = [across(rows[..., k, :], side) for k in range(layout.first(key), rows.shape[-2])]
    trained, *rest = named
    alive, previous = (rest.pop(0), rest.pop(0)) if layout.restarts else (None, None)
    return LayerRows(trained, alive, previous, tuple(rest))


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


def _difference_sums(rows1: Array, rows2: Array, count: int, cotangent: Array) -> tuple[Array, Array]:
    """Cotangents ``[..., count, B]`` of the first channels of both sides."""
    left, right = [], []
    for k in range(count):
        change = 2 * cotangent * (rows1[..., k, :, None] - rows2[..., k, None, :])
        left.append(jnp.sum(change, axis=-1))
        right.append(-jnp.sum(change, axis=-2))
    return jnp.stack(left, axis=-2), jnp.stack(right, axis=-2)


def input_distance_cotangents(
    layout: Layout, rows1: Array, rows2: Array, cotangent: Array
) -> tuple[Array, Array]:
    """Cotangents of the input channels of both sides, ``[lanes, channels, B]``.

    Summed from differences like the distance: ``x sum_j E - sum_j E x'_j`` would lose what neighbours
    differ by.
    """
    if layout.channels <= INLINE_CHANNELS:
        return _difference_sums(rows1, rows2, layout.channels, cotangent)

    def some(k: Array) -> tuple[Array, Array]:
        take = lambda rows: jax.lax.dynamic_slice_in_dim(rows, k * _CHUNK, _CHUNK, axis=-2)  # noqa: E731
        return _difference_sums(take(rows1), take(rows2), _CHUNK, cotangent)

    parts = jax.lax.map(some, jnp.arange(layout.channels // _CHUNK))
    joined = (jnp.moveaxis(a, 0, -3) for a in parts)
    left, right = (a.reshape(*a.shape[:-3], -1, a.shape[-1]) for a in joined)
    return left, right

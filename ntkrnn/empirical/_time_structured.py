"""Route A: inner products of derivatives and of sources over pairs of time steps.

``Theta(x, x') = sum_{t,t'} <delta_t, delta'_t'> <z_t, z'_t'>``, tile by tile: a tile is a block of
sequences of either side, its two Gram matrices are one matrix product each, and nothing but the sum
over the steps leaves it. Cheap when T is short against the width.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array
from ntkrnn.empirical._factors import GateFactors

TILE_ROWS = 320
"""Rows, steps of all its sequences, of a tile of one output: its Gram matrices stay in a core's cache
while their products are as fast as large ones."""
TILE_ENTRIES = 2**20
"""Entries of the largest array of a tile of several outputs."""


def operations(left: GateFactors, right: GateFactors, symmetric: bool) -> float:
    """Multiply-adds."""
    n1, k1, t1, f = left.deltas.shape
    n2, k2, t2, _ = right.deltas.shape
    c = left.source.shape[-1]
    pairs = n1 * n2 / 2 if symmetric else n1 * n2
    if k1 == k2 == 1:
        return pairs * t1 * t2 * (f + c)
    return pairs * t1 * (t2 * c + k2 * t2 * f + k1 * k2 * f)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _blocks(gate: GateFactors, size: int) -> GateFactors:
    """Sequences in blocks ``[p, size, ...]``, filled up with zeros."""

    def split(a: Array) -> Array:
        p = _ceil(a.shape[0], size)
        a = jnp.pad(a, [(0, p * size - a.shape[0])] + [(0, 0)] * (a.ndim - 1))
        return a.reshape(p, size, *a.shape[1:])

    return GateFactors(split(gate.deltas), split(gate.source))


def _segments(gate: GateFactors, longest: int) -> GateFactors:
    """Long sequences of one output cut into segments of at most ``longest`` steps."""
    n, _, steps, _ = gate.deltas.shape
    count = _ceil(steps, longest)
    length = _ceil(steps, count)

    def cut(a: Array) -> Array:
        a = jnp.pad(a, ((0, 0), (0, count * length - steps), (0, 0)))
        return a.reshape(n * count, length, a.shape[-1])

    return GateFactors(cut(gate.deltas[:, 0])[:, None], cut(gate.source))


def _single(left: GateFactors, right: GateFactors, precision: Any) -> Array:
    """A tile of one output: ``[B1, B2, 1, 1]``."""
    b1, _, t1, _ = left.deltas.shape
    b2, _, t2, _ = right.deltas.shape

    def gram(a: Array, b: Array) -> Array:
        a, b = (side.reshape(-1, side.shape[-1]) for side in (a, b))
        return jax.lax.dot_general(a, b, (((1,), (1,)), ((), ())), precision=precision)

    product = gram(left.deltas, right.deltas) * gram(left.source, right.source)
    # The sums over the steps as matrix products: a sum along the fastest axis is not vectorised.
    ones1, ones2 = (
        jnp.asarray(np.repeat(np.eye(b), t, axis=0), product.dtype) for b, t in ((b1, t1), (b2, t2))
    )
    once = jax.lax.dot(product, ones2, precision=precision)
    return jax.lax.dot(ones1.T, once, precision=precision)[:, :, None, None]


def _several(left: GateFactors, right: GateFactors, precision: Any) -> Array:
    """A tile of several outputs: ``[B1, B2, K1, K2]``, contracted one time axis after the other."""
    einsum = functools.partial(jnp.einsum, precision=precision)
    gram = einsum("itc,jsc->jits", left.source, right.source)
    mixed = einsum("jits,jbsf->jitbf", gram, right.deltas)
    return einsum("iatf,jitbf->ijab", left.deltas, mixed)


def _halved(tile: Callable[..., Array], left: GateFactors, precision: Any) -> Array:
    """The one tile of a symmetric kernel, without computing its lower left quarter."""
    half = left.source.shape[0] // 2
    first, second = (jax.tree.map(lambda a, p=p: a[p], left) for p in np.s_[:half, half:])
    upper, last = tile(first, left, precision), tile(second, second, precision)
    corner = jnp.transpose(upper[:, half:], (1, 0, 3, 2))
    return jnp.concatenate([upper, jnp.concatenate([corner, last], axis=1)])


def time_structured(
    left: GateFactors,
    right: GateFactors,
    symmetric: bool,
    precision: Any,
    tile_rows: int = TILE_ROWS,
) -> Array:
    """``[N1, N2, K1, K2]``: the sum over the blocks of one gate.

    Args:
        left: factors of the first side.
        right: factors of the second side.
        symmetric: whether both sides are the same, so that half of the tiles are enough.
        precision: of the inner products.
        tile_rows: about how many rows a tile has.

    Cost: O(N1 N2 T1 T2 m), half of it if symmetric; memory O(tile) beside the factors.
    """
    n1, k1, t1, f = left.deltas.shape
    n2, k2, t2, _ = right.deltas.shape
    if k1 == k2 == 1 and max(t1, t2) > 2 * tile_rows:
        left, right = (_segments(side, tile_rows) for side in (left, right))
        segments = time_structured(left, right, symmetric, precision, tile_rows)
        return segments.reshape(n1, -1, n2, segments.shape[1] // n2, 1, 1).sum((1, 3))
    if k1 == k2 == 1:
        tile, rows1, rows2 = _single, tile_rows / t1, tile_rows / t2
    else:
        rows1 = rows2 = (TILE_ENTRIES * tile_rows / TILE_ROWS / (t1 * k2 * f)) ** 0.5
        tile = _several
    # As few blocks as that allows, and as equal as they can be.
    b1 = _ceil(n1, _ceil(n1, max(1, int(rows1))))
    b2 = b1 if symmetric else _ceil(n2, _ceil(n2, max(1, int(rows2))))
    if b1 == n1 and b2 == n2:
        halved = symmetric and n1 > 1
        return _halved(tile, left, precision) if halved else tile(left, right, precision)
    left, right = _blocks(left, b1), _blocks(right, b2)
    p1, p2 = len(left.source), len(right.source)
    rows, columns = np.triu_indices(p1) if symmetric else np.indices((p1, p2)).reshape(2, -1)

    def one(pair: tuple[Array, Array]) -> Array:
        take = lambda side, i: jax.tree.map(lambda a: a[i], side)  # noqa: E731
        return tile(take(left, pair[0]), take(right, pair[1]), precision)

    tiles = jax.lax.map(one, (jnp.asarray(rows, jnp.int32), jnp.asarray(columns, jnp.int32)))
    place = np.zeros((p1, p2), np.int32)
    place[rows, columns] = np.arange(len(rows))
    if symmetric:
        place = np.maximum(place, place.T)
    whole = tiles[jnp.asarray(place)]
    whole = jnp.transpose(whole, (0, 2, 1, 3, 4, 5)).reshape(p1 * b1, p2 * b2, k1, k2)[:n1, :n2]
    if symmetric:
        block = np.arange(n1) // b1
        upper = jnp.asarray(block[:, None] <= block[None, :])[:, :, None, None]
        whole = jnp.where(upper, whole, jnp.transpose(whole, (1, 0, 3, 2)))
    return whole

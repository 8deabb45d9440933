"""How a Gram matrix is cut into tiles, and how tiles are filled in.

Sizes come in steps of a quarter octave (.., 8, 10, 12, 14, 16, 20, ..): arrays are padded to them and
the true sizes are arguments of the compiled program, so that one compilation serves every size up to
the next step, at no cost in time, since only tiles that hold data are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array

BLOCK_BYTES = {"cpu": 1 << 18, "gpu": 1 << 24, "tpu": 1 << 24}
"""Size of one real array over a block of pairs: what the second-level cache of a core holds several
times on a CPU; enough to fill the machine on a GPU."""
_LARGEST_TILE = {"cpu": 128, "gpu": 2048, "tpu": 2048}
COARSE_TILE, COARSE_LANES = 32, 16
"""Up to which tiles, and diagonals that advance together, come in whole octaves."""
SMALLEST_TILE = 16
"""Of single diagonals: fewer sequences take no time less, and fewer programs without."""


def bucket(size: int, coarse: int = 1) -> int:
    """The next size in steps of a quarter octave, or up to ``coarse`` of an octave.

    Whole octaves are for small sizes whose padding costs next to nothing, so that the folds of a
    cross-validation share one program.

    Example:
        >>> [bucket(n) for n in (1, 7, 9, 11, 100, 129)]
        [1, 7, 10, 12, 112, 160]
        >>> [bucket(n, coarse=32) for n in (1, 7, 9, 31, 33)]
        [1, 8, 16, 32, 40]
    """
    if size <= coarse:
        return 1 << (size - 1).bit_length()
    step = 1 << max(0, (size - 1).bit_length() - 3)
    return -(-size // step) * step


class Tiling(NamedTuple):
    """Sizes of the blocks that a program works on."""

    rows: int
    """Sequences of the first side in a tile."""
    columns: int
    """Sequences of the second side."""
    lanes: int
    """Tiles ("last") or diagonals ("mean", "sequence") that advance together."""


def choose(
    n1: int,
    n2: int,
    shifts: int | None,
    itemsize: int,
    platform: str,
    triangle: bool = False,
    tile: int | None = None,
) -> Tiling:
    """Sizes for a machine.

    Args:
        n1: sequences of the first side.
        n2: sequences of the second side.
        shifts: number of diagonals that are wanted, None for one.
        itemsize: bytes of a number.
        platform: "cpu", "gpu" or "tpu".
        triangle: whether both sides are the same.
        tile: sequences per side of a tile, None to choose.
    """
    pairs = BLOCK_BYTES.get(platform, BLOCK_BYTES["gpu"]) // itemsize
    largest = _LARGEST_TILE.get(platform, _LARGEST_TILE["gpu"])
    if shifts is not None:  # the diagonals fill the block: small tiles waste less of the triangle
        largest = max(8, int(largest / 4))

    least = SMALLEST_TILE if shifts is None else 1

    def side(n: int) -> int:
        if tile is not None:
            return min(tile, max(least, bucket(n, COARSE_TILE)))
        size = largest
        # Few sequences: smaller tiles, of which a triangle wastes less.
        while size > 32 and n < 4 * size:
            size //= 2
        return min(size, max(least, bucket(n, COARSE_TILE)))

    rows, columns = side(n1), side(n2)
    lanes = max(1, pairs // (rows * columns))
    if shifts is not None:
        wanted = bucket(shifts, COARSE_LANES)
    else:
        wanted = bucket(_tile_count(n1, n2, rows, columns, triangle))
    # All rounds of lanes alike, so that the last is not half empty.
    return Tiling(rows, columns, -(-wanted // -(-wanted // lanes)))


def _tile_count(n1: int, n2: int, rows: int, columns: int, triangle: bool) -> int:
    """Number of tiles that hold data."""
    down, across = -(-n1 // rows), -(-n2 // columns)
    return down * (down + 1) // 2 if triangle else down * across


def schedule(n1: int, n2: int, tiling: Tiling, lanes: int, triangle: bool) -> tuple[np.ndarray, int]:
    """Which tiles each group computes, and how many groups hold data.

    Returns:
        ``[groups, lanes, 2]`` tile indices, the upper triangle only if ``triangle``; padded to a
        bucket by repeating the last tile, as is the last group.
    """
    down, across = -(-n1 // tiling.rows), -(-n2 // tiling.columns)
    if triangle:
        pairs = np.stack(np.triu_indices(down), axis=-1)
    else:
        pairs = np.stack(np.divmod(np.arange(down * across), across), axis=-1)
    groups = -(-len(pairs) // lanes)
    pairs = np.concatenate([pairs, np.repeat(pairs[-1:], bucket(groups) * lanes - len(pairs), axis=0)])
    return pairs.reshape(-1, lanes, 2).astype(np.int32), groups


def in_order(n: int, size: int) -> tuple[np.ndarray, int]:
    """The pairs (i, i) of a diagonal in groups, and how many groups hold data.

    Returns:
        ``[groups, size, 2]``, the number of groups padded to a bucket by pairs that are not there.
    """
    groups = -(-n // size)
    index = np.arange(bucket(groups) * size, dtype=np.int32).reshape(-1, size)
    return np.stack([index, index], axis=-1), groups


def blocks(rows: dict[Any, Array], size: int) -> dict[Any, Array]:
    """``[T, R, N]`` to ``[T, N/size, R, size]``."""

    def cut(a: Array) -> Array:
        t, r, n = a.shape
        return jnp.swapaxes(a.reshape(t, r, n // size, size), 1, 2)

    return {key: cut(a) for key, a in rows.items()}


def together(n: int, numbers: int, itemsize: int, platform: str, tile: int | None = None) -> int:
    """How many pairs of a diagonal advance together, each a tile of one by one.

    Args:
        n: sequences of either side.
        numbers: real numbers of one array that a pair takes at a time.
        itemsize: bytes of a number.
        platform: "cpu", "gpu" or "tpu".
        tile: as many, None to choose.
    """
    block = BLOCK_BYTES.get(platform, BLOCK_BYTES["gpu"]) // itemsize
    return min(tile or max(1, block // numbers), bucket(n, COARSE_TILE))


Compute = Callable[[Array, Array], tuple[Array, ...]]
"""``(i, j)`` of each lane to tiles ``[lanes, rows, columns, ...]``."""


def fill_diagonal(
    compute: Compute, pairs: Array, span: tuple[Any, Any], out: tuple[Array, ...], symmetric: bool
) -> tuple[Array, ...]:
    """Write the groups ``span[0] <= g < span[1]`` of tiles (i, i) of one by one into ``[N, ...]``.

    With ``symmetric`` both sides are the same, and entries ``[T, T]`` come out symmetric to the last
    bit.
    """

    def write(vector: Array, tiles: Array, start: Array) -> Array:
        found = tiles[:, 0, 0]
        if symmetric and found.ndim == 3:
            found = 0.5 * (found + jnp.swapaxes(found, 1, 2))
        return jax.lax.dynamic_update_slice_in_dim(vector, found, start, axis=0)

    def body(group: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
        i, j = pairs[group, :, 0], pairs[group, :, 1]
        found = zip(out, compute(i, j), strict=True)
        return tuple(write(vector, tiles, i[0]) for vector, tiles in found)

    return jax.lax.fori_loop(span[0], span[1], body, out)


def _turned(tile: Array) -> Array:
    """A tile ``[rows, columns]`` or ``[rows, columns, T1, T2]`` with its sides exchanged."""
    return jnp.swapaxes(tile, 0, 1) if tile.ndim == 2 else jnp.transpose(tile, (1, 0, 3, 2))


def fill(
    compute: Compute,
    pairs: Array,
    span: tuple[Any, Any],
    out: tuple[Array, ...],
    triangle: bool,
    turned: Callable[[Array], Array] = _turned,
) -> tuple[Array, ...]:
    """Write the tiles of groups ``span[0] <= g < span[1]`` into matrices ``[N1, N2, ...]``.

    With ``triangle`` each tile is also written ``turned``, with its sides exchanged, and those on the
    diagonal are averaged with what they turn into: the result is symmetric to the last bit.
    """

    def write(matrix: Array, tile: Array, i: Array, j: Array) -> Array:
        rest = (jnp.zeros((), i.dtype),) * (matrix.ndim - 2)
        start = (i * tile.shape[0], j * tile.shape[1], *rest)
        if triangle:
            other = turned(tile)
            even = jnp.where(i == j, 0.5 * (tile - other), 0)
            back = (start[1], start[0], *rest)
            matrix = jax.lax.dynamic_update_slice(matrix, other + even, back)
            tile = tile - even
        return jax.lax.dynamic_update_slice(matrix, tile, start)

    def body(group: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
        i, j = pairs[group, :, 0], pairs[group, :, 1]
        tiles = compute(i, j)

        def lane(k: Array, out: tuple[Array, ...]) -> tuple[Array, ...]:
            return tuple(
                write(matrix, lanes[k], i[k], j[k]) for matrix, lanes in zip(out, tiles, strict=True)
            )

        return jax.lax.fori_loop(0, tiles[0].shape[0], lane, out)

    return jax.lax.fori_loop(span[0], span[1], body, out)


def drain(
    visit: Callable[[Any, Array, Array, tuple[Array, ...]], Any],
    pairs: Array,
    span: tuple[Any, Any],
    cotangents: tuple[Array, ...],
    tile: tuple[int, int],
    triangle: bool,
    state: Any,
) -> Any:
    """The transpose of :func:`fill`: fold the tiles of cotangents of the matrices.

    Args:
        visit: ``(state, i, j, tiles [lanes, rows, columns, ...]) -> state``.
        pairs: the tiles of every group, see :func:`schedule`.
        span: first group and one past the last.
        cotangents: of the matrices ``[N1, N2, ...]``.
        tile: its rows and columns.
        triangle: whether a tile was also written with its sides exchanged.
        state: the initial state.
    """

    def read(matrix: Array, i: Array, j: Array) -> Array:
        def cut(i: Array, j: Array, size: tuple[int, int]) -> Array:
            rest = (jnp.zeros((), i.dtype),) * (matrix.ndim - 2)
            start = (i * size[0], j * size[1], *rest)
            return jax.lax.dynamic_slice(matrix, start, (*size, *matrix.shape[2:]))

        own = cut(i, j, tile)
        if not triangle:
            return own
        both = own + _turned(cut(j, i, (tile[1], tile[0])))
        return jnp.where(i == j, 0.5 * both, both)

    def body(group: Array, state: Any) -> Any:
        i, j = pairs[group, :, 0], pairs[group, :, 1]
        before = jnp.concatenate([pairs[group - 1, -1:], pairs[group, :-1]])
        # The last tile is repeated where a group is not full; what repeats has been visited.
        fresh = jnp.any(pairs[group] != before, axis=-1) | (group + jnp.arange(len(i)) == 0)

        def lane(one: tuple[Array, ...]) -> tuple[Array, ...]:
            i, j, fresh = one
            return tuple(jnp.where(fresh, read(matrix, i, j), 0) for matrix in cotangents)

        return visit(state, i, j, jax.lax.map(lane, (i, j, fresh)))

    return jax.lax.fori_loop(span[0], span[1], body, state)


def drain_diagonal(
    visit: Callable[[Any, Array, Array, tuple[Array, ...]], Any],
    pairs: Array,
    span: tuple[Any, Any],
    cotangents: tuple[Array, ...],
    symmetric: bool,
    state: Any,
) -> Any:
    """The transpose of :func:`fill_diagonal`, see :func:`drain`."""

    def body(group: Array, state: Any) -> Any:
        i, j = pairs[group, :, 0], pairs[group, :, 1]

        def read(vector: Array) -> Array:
            part = jax.lax.dynamic_slice_in_dim(vector, i[0], len(i))
            if symmetric and part.ndim == 3:
                part = 0.5 * (part + jnp.swapaxes(part, 1, 2))
            return part[:, None, None]

        return visit(state, i, j, tuple(read(vector) for vector in cotangents))

    return jax.lax.fori_loop(span[0], span[1], body, state)

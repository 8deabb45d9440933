"""How a matrix is cut into the tiles of a store, and where each entry stands."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

LARGEST_TILE = 2048
"""Sequences per side: 16 MiB of float32, which is a second of computing and a tenth of writing."""
_SMALLEST_TILE = 128
_ENTRIES = LARGEST_TILE**2
_ROWS = 8
"""Tiles that a side has at least, where they are not the smallest, so that two workers end together."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Matrices ``[N1, N2, ...]`` that are cut alike.

    Tile (i, j) holds rows ``i tile <= n < (i + 1) tile`` and the same of columns. Of symmetric matrices
    only tiles on and above the diagonal exist.
    """

    names: tuple[str, ...]
    """Of the matrices."""
    shape: tuple[int, ...]
    """``[N1, N2]``, ``[N1, N2, T1, T2]``, ..."""
    dtype: str
    tile: int
    symmetric: bool

    def __post_init__(self) -> None:
        """Tuples, which JSON has as lists."""
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "shape", tuple(self.shape))

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles down and across."""
        return math.ceil(self.shape[0] / self.tile), math.ceil(self.shape[1] / self.tile)

    @property
    def tiles(self) -> np.ndarray:
        """``[tiles, 2]``: all (i, j), row after row."""
        if self.symmetric:
            return np.stack(np.triu_indices(self.grid[0]), axis=1)
        return np.stack(np.divmod(np.arange(math.prod(self.grid)), self.grid[1]), axis=1)

    @property
    def bytes(self) -> int:
        """Of all tiles of all matrices."""
        rest = math.prod(self.shape[2:]) * np.dtype(self.dtype).itemsize * len(self.names)
        return rest * sum(math.prod(self.extent(i, j)) for i, j in self.tiles.tolist())

    def span(self, index: int, side: int) -> slice:
        """The rows (side 0) or columns (side 1) of the tiles with this index."""
        return slice(index * self.tile, min((index + 1) * self.tile, self.shape[side]))

    def extent(self, i: int, j: int) -> tuple[int, int]:
        """Rows and columns of a tile."""
        rows, columns = self.span(i, 0), self.span(j, 1)
        return rows.stop - rows.start, columns.stop - columns.start


def chosen_tile(n1: int, n2: int, rest: tuple[int, ...], tile: int | None = None) -> int:
    """Sequences per side of a tile: what was asked for, or tiles of at most 4 million numbers.

    Example:
        >>> chosen_tile(100_000, 100_000, ()), chosen_tile(100, 100, (50, 50))
        (2048, 40)
    """
    if tile is not None:
        return tile
    most = math.isqrt(_ENTRIES // math.prod(rest)) or 1
    spread = -(-max(n1, n2) // _ROWS)
    wanted = max(_SMALLEST_TILE, -(-spread // _SMALLEST_TILE) * _SMALLEST_TILE)
    return min(LARGEST_TILE, wanted, most, max(n1, n2))


def turned(tile: np.ndarray) -> np.ndarray:
    """A tile ``[rows, columns, a, b, ...]`` with its sides, and every pair of axes, exchanged."""
    axes: list[Any] = [axis + 1 - 2 * (axis % 2) for axis in range(tile.ndim)]
    return np.transpose(tile, axes)

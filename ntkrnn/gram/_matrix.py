"""Kernel matrices that are in no memory: their tiles are read from a store, or computed."""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn.gram._kernel import Kernel
from ntkrnn.gram._layout import Layout, turned
from ntkrnn.gram._sequences import Side
from ntkrnn.gram._tilestore import TileStore

_READERS = 2
"""Tiles that are read or multiplied at the same time."""


class TiledMatrix(abc.ABC):
    """A kernel matrix ``[N1, N2]`` or ``[N1, N2, ...]`` of which one sees a few tiles at a time.

    ``matrix[rows, columns]`` reads entries as NumPy does, of either triangle.

    Attributes:
        shape: of the whole.
        dtype: of the entries.
        symmetric: whether both sides are the same sequences.
    """

    def __init__(self, name: str, layout: Layout) -> None:
        self.name, self._layout = name, layout
        self.shape, self.dtype = layout.shape, np.dtype(layout.dtype)
        self.symmetric = layout.symmetric

    def __repr__(self) -> str:
        """What it is, and how large."""
        return f"<{type(self).__name__} {self.name!r} {self.shape} {self.dtype}>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def tile(self) -> int:
        """Sequences per side of a tile."""
        return self._layout.tile

    @abc.abstractmethod
    def _tile(self, i: int, j: int) -> np.ndarray:
        """A tile that exists."""

    @abc.abstractmethod
    def diagonal(self) -> np.ndarray:
        """``[N, ...]``: every sequence with itself. Cost: N entries, or the tiles on the diagonal."""

    def tiles(self) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Every tile once, with its rows and columns: of symmetric matrices the upper triangle."""
        for i, j in self._layout.tiles.tolist():
            yield (self._layout.span(i, 0), self._layout.span(j, 1)), self._tile(i, j)

    def columns(self, index: Any) -> np.ndarray:
        """``[N1, len(index)]`` of whole numbers. Cost: for a store, the tiles that they cross."""
        return self[:, np.asarray(index)]

    def __getitem__(self, index: Any) -> np.ndarray:
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in [k for k in index if not isinstance(k, np.ndarray)]:
            at = next(k for k, entry in enumerate(index) if entry is Ellipsis)
            fill = (slice(None),) * (self.ndim - len(index) + 1)
            index = (*index[:at], *fill, *index[at + 1 :])
        if len(index) > self.ndim:
            raise IndexError(f"got {len(index)} indices, expected at most {self.ndim}.")
        index = (*index, *(slice(None),) * (2 - len(index)))
        rows, flat1 = _numbers(index[0], self.shape[0])
        columns, flat2 = _numbers(index[1], self.shape[1])
        out = np.empty((len(rows), len(columns), *self.shape[2:]), self.dtype)
        for i in np.unique(rows // self.tile).tolist():
            at1 = np.flatnonzero(rows // self.tile == i)
            for j in np.unique(columns // self.tile).tolist():
                at2 = np.flatnonzero(columns // self.tile == j)
                block = self._any(i, j)
                inside = np.ix_(rows[at1] - i * self.tile, columns[at2] - j * self.tile)
                out[np.ix_(at1, at2)] = block[inside]
        if flat2:
            out = out[:, 0]
        if flat1:
            out = out[0]
        kept = (slice(None),) * (2 - flat1 - flat2)
        return out[(*kept, *index[2:])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The whole of it, where memory holds it."""
        del copy
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        require("matrix", size, f"{self!r} as one array", "read parts of it.")
        return np.asarray(self[:], dtype)

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """``K V`` in float64 for ``[N2]`` or ``[N2, O]``. Cost: every tile once, 2 N1 N2 O operations.

        Raises:
            ValueError: if a matrix entry is more than a number, or the vectors do not fit.
        """
        if self.ndim > 2:
            raise ValueError(f"matrix: got shape {self.shape}, expected [N1, N2] for a product.")
        vectors = np.asarray(vectors, np.float64)
        if vectors.ndim not in (1, 2) or len(vectors) != self.shape[1]:
            raise ValueError(
                f"vectors: got shape {vectors.shape}, expected [N2] or [N2, O], N2={self.shape[1]}."
            )
        flat = vectors.reshape(self.shape[1], -1)
        tiles = self._layout.tiles.tolist()

        def part(k: int) -> np.ndarray:
            total = np.zeros((self.shape[0], flat.shape[1]))
            for i, j in tiles[k::_READERS]:
                rows, columns = self._layout.span(i, 0), self._layout.span(j, 1)
                block = self._tile(i, j).astype(np.float64)
                total[rows] += block @ flat[columns]
                if self.symmetric and i != j:
                    total[columns] += block.T @ flat[rows]
            return total

        with ThreadPoolExecutor(_READERS) as pool:
            parts = list(pool.map(part, range(_READERS)))
        return sum(parts).reshape(self.shape[0], *vectors.shape[1:])  # type: ignore[union-attr]

    def as_linear_operator(self, kind: str = "scipy") -> Any:
        """The matrix as a function of vectors.

        Args:
            kind: "scipy" for a ``scipy.sparse.linalg.LinearOperator``, "jax" for a function of
                ``[N2]`` or ``[N2, O]`` such as ``jax.scipy.sparse.linalg.cg`` takes; it compiles.

        Raises:
            ValueError: for another kind, and for matrices whose entries are more than a number.
        """
        _checks.choice("kind", kind, ("scipy", "jax"))
        if self.ndim > 2:
            raise ValueError(f"matrix: got shape {self.shape}, expected [N1, N2] for an operator.")
        if kind == "jax":
            return self._as_function()
        import scipy.sparse.linalg

        turned_product = self.product if self.symmetric else self._turned_product
        options: Any = {"matvec": self.product, "matmat": self.product}
        options |= {"rmatvec": turned_product, "rmatmat": turned_product, "dtype": np.float64}
        return scipy.sparse.linalg.LinearOperator(self.shape, **options)

    def _turned_product(self, vectors: np.ndarray) -> np.ndarray:
        flat = np.asarray(vectors, np.float64).reshape(self.shape[0], -1)
        total = np.zeros((self.shape[1], flat.shape[1]))
        for (rows, columns), block in self.tiles():
            total[columns] += block.T.astype(np.float64) @ flat[rows]
        return total.reshape(self.shape[1], *vectors.shape[1:])

    def _as_function(self) -> Callable[[Any], Any]:
        def apply(vectors: Any) -> Any:
            shape = jax.ShapeDtypeStruct((self.shape[0], *vectors.shape[1:]), vectors.dtype)
            return jax.pure_callback(
                lambda v: self.product(np.asarray(v)).astype(vectors.dtype), shape, vectors
            )

        return apply

    def _any(self, i: int, j: int) -> np.ndarray:
        """A tile of either triangle."""
        return turned(self._tile(j, i)) if self.symmetric and i > j else self._tile(i, j)


class StoredMatrix(TiledMatrix):
    """A kernel matrix in a store of :func:`ntkrnn.gram.compute`."""

    def __init__(self, store: TileStore, name: str) -> None:
        super().__init__(name, store.layout)
        self.store = store

    def _tile(self, i: int, j: int) -> np.ndarray:
        return self.store.read(self.name, i, j)

    def diagonal(self) -> np.ndarray:
        """``[N, ...]``: every sequence with itself. Cost: the tiles on the diagonal."""
        n, entry = min(self.shape[:2]), self.shape[2:]
        out = np.empty((n, *entry), self.dtype)
        for k in range(-(-n // self.tile)):
            block = self._any(k, k)
            size = min(self.tile, n - k * self.tile)
            out[k * self.tile : k * self.tile + size] = block[np.arange(size), np.arange(size)]
        return out


class LazyMatrix(TiledMatrix):
    """A kernel matrix of which every tile is computed whenever it is asked for; nothing is kept."""

    def __init__(self, kernel: Kernel, sides: tuple[Side, Side | None], layout: Layout) -> None:
        super().__init__(kernel.names[0], layout)
        self._kernel, self._one, self._two = kernel, sides[0], sides[1] or sides[0]

    def _tile(self, i: int, j: int) -> np.ndarray:
        one = self._one.block(self._layout.span(i, 0))
        same = self.symmetric and i == j
        two = None if same else self._two.block(self._layout.span(j, 1))
        return self._kernel(one, two)[0]

    def diagonal(self) -> np.ndarray:
        """``[N, ...]``: every sequence with itself. Cost: N entries."""
        n = min(self.shape[:2])
        starts = range(0, n, self.tile)
        spans = [slice(start, min(start + self.tile, n)) for start in starts]
        parts = []
        for rows in spans:
            two = None if self.symmetric else self._two.block(rows)
            parts.append(self._kernel(self._one.block(rows), two, diagonal=True)[0])
        return np.concatenate(parts)

    def columns(self, index: Any) -> np.ndarray:
        """``[N1, len(index)]`` of whole numbers. Cost: N1 len(index) entries."""
        chosen = np.asarray(index)
        order = np.argsort(chosen, kind="stable")  # zarr and memory maps read in order
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        two = self._two.block(chosen[order])  # type: ignore[arg-type]
        parts = [
            self._kernel(self._one.block(slice(start, start + self.tile)), two)[0]
            for start in range(0, self.shape[0], self.tile)
        ]
        return np.concatenate(parts)[:, back]


def _numbers(index: Any, size: int) -> tuple[np.ndarray, bool]:
    """The whole numbers that an index stands for, and whether its axis goes.

    Raises:
        IndexError: for what is none, or out of range.
    """
    if isinstance(index, slice):
        return np.arange(size)[index], False
    array = np.asarray(index)
    if array.dtype == bool:
        if array.shape != (size,):
            raise IndexError(f"got a mask of shape {array.shape}, expected ({size},).")
        return np.flatnonzero(array), False
    try:
        flat = array.ndim == 0
        numbers = np.array([operator.index(k) for k in np.atleast_1d(array).ravel().tolist()], np.intp)
    except TypeError:
        raise IndexError(f"got {index!r}, expected whole numbers, a slice or a mask.") from None
    if array.ndim > 1 or (numbers >= size).any() or (numbers < -size).any():
        raise IndexError(f"got {index!r}, expected one axis of whole numbers below {size}.")
    return numbers % size if size else numbers, flat

"""Sequences as a store takes them: arrays in memory or on disk, read a block at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn.gram._errors import zarr
from ntkrnn.gram._kernel import Block


class Side:
    """Sequences ``[N, T, d]`` of one side of a kernel, of which a block is read at a time.

    Args:
        name: "x1" or "x2", for messages.
        x: an array of NumPy, JAX or zarr, a memory map, or the path of a .npy file or a zarr array.
        lengths: ``[N]`` valid leading steps, or None for all.

    Raises:
        TypeError, ValueError: naming the argument.
    """

    def __init__(self, name: str, x: Any, lengths: Any = None) -> None:
        self.name, self.x = name, _opened(name, x)
        self.lengths = lengths
        if lengths is not None:
            self.lengths = np.asarray(_checks.lengths(f"lengths{name[1:]}", lengths, self.x, name))
        self.shape: tuple[int, int, int] = tuple(self.x.shape)

    @property
    def dtype(self) -> Any:
        """As they came."""
        return self.x.dtype

    def block(self, rows: slice) -> Block:
        """Some of the sequences, as they came."""
        return Block(
            np.asarray(self.x[rows]), None if self.lengths is None else np.asarray(self.lengths[rows])
        )

    def checked(self, tile: int, dtype: str) -> Iterator[tuple[slice, np.ndarray]]:
        """All blocks in a dtype, each finite in its valid steps.

        Raises:
            ValueError: naming the first entry that is not.
        """
        for start in range(0, self.shape[0], tile):
            rows = slice(start, min(start + tile, self.shape[0]))
            block = self.block(rows)
            try:
                with jax.enable_x64(dtype == "float64"):
                    yield rows, np.asarray(_checks.side(self.name, *block)[0], dtype)
            except ValueError as error:
                raise ValueError(f"{error} Rows are counted from {start}.") from None

    def digest(self, tile: int, dtype: str) -> str:
        """Of the numbers in a dtype and the lengths. Cost: a pass over the data."""
        found = hashlib.sha256(repr(self.shape).encode())
        for _, block in self.checked(tile, dtype):
            found.update(np.ascontiguousarray(block).data)
        found.update(b"" if self.lengths is None else np.asarray(self.lengths, np.int64).tobytes())
        return found.hexdigest()[:16]


def _opened(name: str, x: Any) -> Any:
    """Something with shape, dtype and rows, of three axes."""
    if isinstance(x, (str, os.PathLike)):
        path = Path(x)
        if not path.exists():
            raise ValueError(f"{name}: there is no file or folder {path}.")
        x = (
            np.load(path, mmap_mode="r")
            if path.suffix == ".npy"
            else zarr().open_array(str(path), mode="r")
        )
    if not (isinstance(x, np.memmap) or type(x).__module__.startswith("zarr.")):
        return np.asarray(_checks.batch(name, x))
    if np.dtype(x.dtype).kind not in "fiu":
        raise TypeError(f"{name}: got dtype {x.dtype}, expected real numbers [N, T, d].")
    _checks.batch_shape(name, tuple(x.shape))
    return x

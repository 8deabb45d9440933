"""Kernels as matrices: how far rounding moves their entries, and whether they are symmetric to that."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

ROUNDINGS = 64
"""Roundings of its largest entry that the entries of a kernel of this library are off by at most."""
_BLOCK = 512


def row_blocks(matrix: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Some rows at a time, so that what is made of them takes little memory."""
    for start in range(0, len(matrix), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield rows, matrix[rows]


def rounding_norm(kernel: np.ndarray, roundings: float = ROUNDINGS) -> float:
    """``roundings eps max|K| sqrt(N)``: the spectral norm of the rounding of a kernel's entries.

    Entries that are off independently of each other by so many roundings of the largest make a matrix
    of about that norm.
    """
    array = np.asarray(kernel)
    eps = np.finfo(array.dtype if array.dtype.kind == "f" else np.float64).eps
    return float(roundings * eps * largest_entry(array) * math.sqrt(len(array)))


def largest_entry(array: np.ndarray) -> float:
    """``max |K|``, without a copy of K."""
    return max(abs(float(array.min(initial=0.0))), abs(float(array.max(initial=0.0))))


def check_symmetric(name: str, array: np.ndarray) -> None:
    """Raise unless a finite square matrix is symmetric to the rounding of its entries.

    Raises:
        ValueError: naming the argument, and the two entries that are furthest apart in some rows.

    Cost: two passes over the matrix, no copy of it.
    """
    most = rounding_norm(array)
    for rows, block in row_blocks(array):
        gap = np.abs(block - array[:, rows].T)
        if gap.max() > most:
            row, j = (int(k) for k in np.unravel_index(np.argmax(gap), gap.shape))
            i = rows.start + row
            raise ValueError(
                f"{name}: got a matrix that is not symmetric, {array[i, j]:g} at [{i}, {j}] and "
                f"{array[j, i]:g} at [{j}, {i}], expected the kernel of some sequences with "
                "themselves; pass kernel_fn(x), without x2."
            )

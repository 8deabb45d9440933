"""Which sequences are sampled together, and where in the kernel their covariances belong."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

LARGEST_BLOCK = 1024
"""Coordinates, steps of all sequences of a block, up to which all sequences are sampled together."""
LARGEST_PATHS = 4096
"""The same for derivatives, of which there is one set for every output of a sequence."""
MOST_PATHS = 2**14
"""What two sequences may have at most: matrices of the square of that have to fit."""


class Block(NamedTuple):
    """Sequences to sample together, and what of their kernel is wanted."""

    one: np.ndarray
    """Rows of the first side."""
    two: np.ndarray
    """Rows of the second side; for a kernel of one side, of the same."""
    diagonal: bool
    """Whether the kernel of ``one`` with itself is wanted as well."""


def size_of(steps: int, outputs: int, tile: int | None, sequences: int) -> int:
    """How many sequences are sampled together.

    Args:
        steps: T.
        outputs: outputs of a sequence, 1 or T.
        tile: sequences of one side, if somebody chose.
        sequences: of the larger side; a tile holds no more.

    Raises:
        ValueError: if not even two fit.
    """
    if 2 * steps * outputs > MOST_PATHS:
        raise ValueError(
            f"x1: got T={steps} steps with readout 'sequence', whose sampled kernel takes matrices of "
            f"(2 T^2)^2 numbers; expected at most T={int((MOST_PATHS / 2) ** 0.5)}. Take readout "
            "'last' or 'mean', or shorter sequences."
        )
    if tile is not None:
        return 2 * min(tile, sequences)
    return max(2, min(LARGEST_BLOCK // steps, LARGEST_PATHS // (steps * outputs)))


def blocks_of(n1: int, n2: int, symmetric: bool, size: int) -> list[Block]:
    """Every pair of sequences once, at most ``size`` of them together.

    Example:
        >>> [(len(b.one), len(b.two), b.diagonal) for b in blocks_of(10, 10, True, 8)]
        [(4, 4, True), (4, 2, False), (4, 2, True), (2, 0, True)]
    """
    rows1, rows2 = np.arange(n1), np.arange(n2)
    if symmetric and n1 <= size:
        return [Block(rows1, rows1[:0], True)]
    if not symmetric and n1 + n2 <= size:
        return [Block(rows1, rows2, False)]
    half = size // 2
    parts1 = [rows1[i : i + half] for i in range(0, n1, half)]
    if not symmetric:
        parts2 = [rows2[i : i + half] for i in range(0, n2, half)]
        return [Block(a, b, False) for a in parts1 for b in parts2]
    blocks = []
    for i, one in enumerate(parts1):
        others: list[Any] = parts1[i + 1 :] or [one[:0]]
        blocks += [Block(one, two, k == 0) for k, two in enumerate(others)]
    return blocks

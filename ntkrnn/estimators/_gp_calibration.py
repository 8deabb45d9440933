"""How large the errors of a process are, in units of the standard deviations that it states.

Standard deviations of a Gaussian process are right if the truth is a draw of it. A system is none, and
where the covariance is wrong about it the errors of blocks that were left out show by how much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg

BLOCKS = 5
"""Of every record, in order: one left out is as far from what is known as later records are."""


def inverse_of(factor: np.ndarray) -> np.ndarray:
    """``[N, N]``: the inverse of a matrix, symmetric, from its lower Cholesky factor."""
    (invert,) = scipy.linalg.get_lapack_funcs(("potri",), (factor,))
    inverse, _ = invert(factor, lower=True)
    return np.tril(inverse) + np.tril(inverse, -1).T


def block_errors(
    factor: np.ndarray, coefficients: np.ndarray, blocks: Sequence[np.ndarray]
) -> np.ndarray:
    r"""Errors of targets that are predicted without their block, over their standard deviations.

    With the covariance C of all observations, ``a = C^{-1} y`` and ``S_B = ([C^{-1}]_{BB})^{-1}``, the
    targets of a block B less their mean given all others are ``S_B a_B``, with covariance ``S_B``: no
    process is fitted again.

    Args:
        factor: lower Cholesky factor of C, ``[N, N]``.
        coefficients: a, ``[N, O]``.
        blocks: indices that take part in it, each in one block.

    Returns:
        ``[N, O]``; their squares have mean 1 where the covariance is right.

    Cost: N^3 / 3 multiply-adds, and those of the blocks.

    Source: Rasmussen & Williams 2006, equations 5.10 to 5.12, for blocks in place of single targets.

    Example:
        >>> factor, blocks = np.diag([1.0, 2.0]), [np.array([0]), np.array([1])]
        >>> block_errors(factor, np.array([[3.0], [0.5]]), blocks).tolist()
        [[3.0], [1.0]]
    """
    inverse = inverse_of(factor)
    errors = np.empty_like(coefficients)
    for block in blocks:
        covariance = np.linalg.inv(inverse[np.ix_(block, block)])
        deviations = np.sqrt(np.diagonal(covariance))[:, None]
        errors[block] = covariance @ coefficients[block] / deviations
    return errors


def blocks_of(counts: np.ndarray) -> list[np.ndarray]:
    """Of records with these numbers of steps, which stand one after the other, :data:`BLOCKS` each."""
    ends = np.cumsum(counts)
    records = [np.arange(end - count, end) for count, end in zip(counts, ends, strict=True)]
    return [part for one in records for part in np.array_split(one, BLOCKS) if part.size]

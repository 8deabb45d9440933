"""A preconditioner of low rank, from columns of the kernel that are drawn by their residual."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ntkrnn import _checks
from ntkrnn.gram import TiledMatrix
from ntkrnn.solvers._system import checked_kernel, checked_ridge

DRAWN = 64
"""Pivots that are drawn at a time."""


class Preconditioner(NamedTuple):
    r"""``P^{-1} = (l_r + ridge) U (L + ridge)^{-1} U^T + (I - U U^T)``, for ``K ~ U L U^T``."""

    vectors: np.ndarray
    """U: ``[N, r]``, orthonormal."""
    values: np.ndarray
    """The diagonal of L: ``[r]``, descending."""
    ridge: float
    error: float = np.nan
    """``tr(K - U L U^T) / tr(K)``: how much of the kernel the columns leave, in the nuclear norm."""

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """``P^{-1} V`` for ``[N, O]``. Cost: 4 N r O operations."""
        inside = self.vectors.T @ vectors
        scale = (self.values[-1] + self.ridge) / (self.values + self.ridge) - 1
        return vectors + self.vectors @ (scale[:, None] * inside)


def nystrom(kernel: Any, ridge: float, rank: int, *, seed: int = 0) -> Preconditioner:
    r"""A preconditioner for ``K + ridge I`` from a randomly pivoted partial Cholesky factor.

    Columns are drawn with probabilities proportional to the diagonal of what the columns before leave,
    ``K - F F^T``, so that no part of the data that matters is missed, as it may be by uniform draws.

    Args:
        kernel: ``[N, N]``, symmetric and positive semidefinite up to rounding; an array, or one of
            :mod:`ntkrnn.gram`.
        ridge: above 0.
        rank: of the factor; it ends earlier where nothing is left.
        seed: of the draws.

    Returns:
        A :class:`ntkrnn.solvers.Preconditioner`, a function of ``[N, O]``.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: N r^2 multiply-adds, twice; reads the diagonal and r columns; 16 N r bytes.

    Source: Chen, Epperly, Tropp & Webber 2022 (arXiv 2207.06503), algorithm 2.1 in blocks; Frangella,
    Tropp & Udell 2021 (arXiv 2110.02820), equation 1.3, for the preconditioner.

    Example:
        >>> import numpy as np
        >>> precondition = nystrom(np.diag([4.0, 1.0, 1.0]), ridge=1.0, rank=3)
        >>> precondition(np.eye(3)).diagonal().round(9).tolist()
        [0.4, 1.0, 1.0]
    """
    ridge = checked_ridge(ridge)
    array, rank = checked_kernel(kernel), _checks.positive_integer("rank", rank)
    return preconditioner_of(array, ridge, rank, _checks.whole_number("seed", seed))


def preconditioner_of(
    array: np.ndarray | TiledMatrix, ridge: float, rank: int, seed: int
) -> Preconditioner:
    """The same for what is checked."""
    factor, error = _pivoted(array, min(rank, len(array)), np.random.default_rng(seed))
    left, singular, _ = scipy.linalg.svd(
        factor, full_matrices=False, overwrite_a=True, check_finite=False
    )
    return Preconditioner(left, singular**2, ridge, error)


def _pivoted(
    kernel: np.ndarray | TiledMatrix, rank: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """F: ``[N, r]`` with ``K ~ F F^T``, and the trace of what is left over that of K."""
    n = len(kernel)
    factor, done = np.zeros((n, rank)), 0
    left = np.maximum(kernel.diagonal().astype(np.float64), 0.0)
    whole = float(left.sum())
    # What is less is the rounding of the kernel's entries, of which nothing is learned.
    smallest = DRAWN * float(np.finfo(kernel.dtype).eps) * left.max(initial=0.0)
    while done < rank and left.max() > smallest:
        weights = np.where(left > smallest, left, 0.0)
        most = min(DRAWN, rank - done, int((weights > 0).sum()))
        pivots = rng.choice(n, most, replace=False, p=weights / weights.sum())
        columns = _columns(kernel, pivots).astype(np.float64)
        columns -= factor[:, :done] @ factor[pivots, :done].T
        # Pivots of one draw may say the same, so that their core has no Cholesky factor.
        values, vectors = scipy.linalg.eigh(columns[pivots], check_finite=False)
        kept = values > smallest
        if not kept.any():
            break
        new = columns @ (vectors[:, kept] / np.sqrt(values[kept]))
        factor[:, done : done + new.shape[1]] = new
        left = np.maximum(left - np.einsum("nk,nk->n", new, new), 0.0)
        left[pivots] = 0.0
        done += new.shape[1]
    return factor[:, : max(done, 1)], float(left.sum()) / (whole or 1.0)


def _columns(kernel: np.ndarray | TiledMatrix, index: np.ndarray) -> np.ndarray:
    """``[N, len(index)]``"""
    return kernel.columns(index) if isinstance(kernel, TiledMatrix) else kernel[:, index]

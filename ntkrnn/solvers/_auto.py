"""The solver for a size."""

from __future__ import annotations

from typing import Any

from ntkrnn.solvers._cholesky import solved
from ntkrnn.solvers._nystrom import preconditioner_of
from ntkrnn.solvers._pcg import MAX_ITERATIONS, RANK, TOLERANCE, iterated
from ntkrnn.solvers._system import Solution, checked_ridge, system

EXACT = 10_000
"""Sequences up to which a direct solve is the faster and simpler one."""


def auto(kernel: Any, y: Any, ridge: float) -> Solution:
    """Solve ``(K + ridge I) x = y``: directly up to N = 10,000, by conjugate gradients beyond.

    Args:
        kernel: ``[N, N]``, an array or one of :mod:`ntkrnn.gram`.
        y: ``[N]`` or ``[N, O]``.
        ridge: above 0.

    Returns:
        A :class:`ntkrnn.solvers.Solution`, whose ``method`` says which.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: that of :func:`ntkrnn.solvers.cholesky`, or of :func:`ntkrnn.solvers.nystrom` with rank 500
    and :func:`ntkrnn.solvers.pcg`.

    Source: see there.

    Example:
        >>> import numpy as np
        >>> auto(np.eye(2), np.ones(2), ridge=1.0).method
        'cholesky'
    """
    given, ridge = system(kernel, y), checked_ridge(ridge)
    if len(given.kernel) <= EXACT:
        return solved(given, ridge)
    preconditioner = preconditioner_of(given.kernel, ridge, RANK, seed=0)
    return iterated(given, ridge, preconditioner, TOLERANCE, MAX_ITERATIONS)

"""The solver for a size."""

from __future__ import annotations

from typing import Any

from ntkrnn.solvers._cholesky import cholesky
from ntkrnn.solvers._nystrom import nystrom
from ntkrnn.solvers._pcg import RANK, pcg
from ntkrnn.solvers._system import Solution, checked_kernel

EXACT = 10_000
"""Sequences up to which a direct solve is the faster and simpler one."""


def auto(kernel: Any, y: Any, ridge: float) -> Solution:
    """Solve ``(K + ridge I) x = y``: directly up to N = 10,000, by conjugate gradients beyond.

    Args:
        kernel: ``[N, N]``.
        y: ``[N]`` or ``[N, O]``.
        ridge: above 0.

    Returns:
        A :class:`ntkrnn.solvers.Solution`, whose ``method`` says which.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: that of :func:`cholesky`, or of :func:`nystrom` with rank 500 and :func:`pcg`.

    Source: see there.

    Example:
        >>> import numpy as np
        >>> auto(np.eye(2), np.ones(2), ridge=1.0).method
        'cholesky'
    """
    kernel = checked_kernel(kernel)
    if len(kernel) <= EXACT:
        return cholesky(kernel, y, ridge)
    return pcg(kernel, y, ridge, preconditioner=nystrom(kernel, ridge, RANK))

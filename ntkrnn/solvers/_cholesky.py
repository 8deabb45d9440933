"""An exact solve in one array of float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn.gram import TiledMatrix
from ntkrnn.solvers._factor import factor
from ntkrnn.solvers._system import Solution, System, checked_ridge, system


def cholesky(kernel: Any, y: Any, ridge: float, *, store: Any = None) -> Solution:
    r"""Solve ``(K + ridge I) x = y`` by a Cholesky factor, in float64 whatever the dtype of K.

    Args:
        kernel: ``[N, N]``, symmetric, of float32 or float64; left as it is. An array, or one of
            :mod:`ntkrnn.gram`.
        y: ``[N]`` or ``[N, O]``.
        ridge: above 0.
        store: a folder for the factor of a kernel of :mod:`ntkrnn.gram`, where memory does not hold it;
            see :func:`ntkrnn.solvers.factor`, which the same call continues.

    Returns:
        A :class:`ntkrnn.solvers.Solution`, with the log-determinant.

    Raises:
        TypeError, ValueError: naming the argument; for ``K + ridge I`` that is not positive definite,
            with a ridge for which it is; for what memory does not hold.

    Cost: N^3/3 multiply-adds; 8 N^2 bytes beside the kernel, 800 MB for N = 10,000.

    Source: LAPACK's potrf and potrs, through scipy.

    Example:
        >>> import numpy as np
        >>> cholesky(np.eye(2), np.array([2.0, 4.0]), ridge=1.0).coefficients.round(9).tolist()
        [1.0, 2.0]
    """
    given, ridge = system(kernel, y), checked_ridge(ridge)
    if store is None:
        return solved(given, ridge)
    kept = factor(kernel, ridge, store=store)
    found = given.solution(kept.solve(given.targets), ridge, "cholesky")
    return found._replace(log_determinant=kept.log_determinant)


def solved(given: System, ridge: float) -> Solution:
    """The same for what is checked."""
    n = len(given.kernel)
    require(
        "kernel",
        8 * n * n,
        f"a Cholesky factor of N={n} in float64",
        "use ntkrnn.solvers.pcg, or a store.",
    )
    # Columns first, as LAPACK has them, so that the factor takes the place of the copy.
    lower = np.empty((n, n), order="F")
    if isinstance(given.kernel, TiledMatrix):
        for (rows, columns), tile in given.kernel.tiles():
            lower[columns, rows] = tile.T
    else:
        for rows, block in _checks.row_blocks(given.kernel):
            lower[rows] = block
    lower.flat[:: n + 1] += ridge
    try:
        lower = scipy.linalg.cholesky(lower, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise _indefinite(given, ridge) from None
    x = scipy.linalg.cho_solve((lower, True), given.targets, check_finite=False)
    found = given.solution(x, ridge, "cholesky")
    return found._replace(log_determinant=2 * float(np.log(lower.diagonal()).sum()))


def _indefinite(given: System, ridge: float) -> ValueError:
    n = len(given.kernel)
    if n <= 50:  # too small for a Lanczos iteration
        least = float(scipy.linalg.eigvalsh(np.asarray(given.kernel, np.float64))[0])
    else:
        options: Any = {"matvec": lambda v: given.product(v.reshape(n, 1))[:, 0], "dtype": np.float64}
        operator: Any = scipy.sparse.linalg.LinearOperator((n, n), **options)
        search: Any = {"k": 1, "which": "SA", "v0": np.ones(n), "tol": 1e-3}
        found = scipy.sparse.linalg.eigsh(operator, **search)
        least = float(found[0][0])
    return ValueError(
        f"kernel: got a matrix whose least eigenvalue is about {least:.2g}, with ridge={ridge:g} not "
        f"positive definite; pass a ridge of at least {1.2 * abs(least) + ridge:.2g}, or drop "
        "duplicate sequences."
    )

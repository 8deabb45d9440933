"""Ridge regression for many ridges at once, each judged by the rows that are left out.

With ``K = Q diag(w) Q^T`` everything that a choice of the ridge asks for is a product with Q: nothing
is factored twice, and no row is set aside.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn.gram import TiledMatrix
from ntkrnn.solvers._system import system


class LeaveOneOut(NamedTuple):
    """Ridge regressions ``(K + ridge I)^{-1} y`` for all ridges of a path."""

    ridges: np.ndarray
    """``[R]``"""
    values: np.ndarray
    """w: ``[N]``, eigenvalues of the kernel; those below 0, of rounding, are 0."""
    vectors: np.ndarray
    """Q: ``[N, N]``"""
    targets: np.ndarray
    """float64 ``[N, O]``"""
    projected: np.ndarray
    """``Q^T y``: ``[N, O]``"""

    def coefficients(self, index: int) -> np.ndarray:
        """``[N, O]``: ``(K + ridge I)^{-1} y`` for one of the ridges. Cost: O(N^2 O)."""
        return self.vectors @ (self.projected / (self.values + self.ridges[index])[:, None])

    def predictions(self, index: int) -> np.ndarray:
        """``[N, O]``: what every row is predicted by all others, for one of the ridges."""
        return self.targets - self._errors()[index]

    def mean_squared_errors(self, counted: np.ndarray | None = None) -> np.ndarray:
        """``[R]``: over the rows that count, boolean ``[N]``; 0 where none does."""
        if counted is not None and not counted.any():
            return np.zeros(len(self.ridges))
        rows = slice(None) if counted is None else counted
        return np.array([np.mean(np.square(errors[rows])) for errors in self._errors()])

    @property
    def gcv(self) -> np.ndarray:
        """``[R]``: generalised cross-validation, ``N |y - f|^2 / tr(I - H)^2`` per output."""
        shrunk = [np.mean(np.square(self.coefficients(i))) for i in range(len(self.ridges))]
        return np.array(shrunk) / np.mean(1 / (self.values[:, None] + self.ridges), axis=0) ** 2

    @property
    def log_marginal_likelihood(self) -> np.ndarray:
        """``[R]``: of the Gaussian process with covariance ``s (K + ridge I)``, at the best s; without
        the constant."""
        n, outputs = self.targets.shape
        inside = np.square(self.projected)
        spectrum = self.values[:, None] + self.ridges
        scale = (inside.sum(axis=1)[:, None] / spectrum).sum(axis=0) / (n * outputs)
        tiny = np.finfo(np.float64).tiny
        return -0.5 * outputs * (n * np.log(np.maximum(scale, tiny)) + np.log(spectrum).sum(axis=0))

    def _errors(self) -> Any:
        """``[N, O]`` for every ridge, lazily."""
        return _Errors(self)


class _Errors:
    """``e_i = [(K + ridge I)^{-1} y]_i / [(K + ridge I)^{-1}]_ii``, a ridge at a time."""

    def __init__(self, path: LeaveOneOut):
        self.path, self.squares = path, np.square(path.vectors)

    def __getitem__(self, index: int) -> np.ndarray:
        if index >= len(self.path.ridges):
            raise IndexError(index)
        inverse = self.squares @ (1 / (self.path.values + self.path.ridges[index]))
        return self.path.coefficients(index) / inverse[:, None]


def leave_one_out(kernel: Any, y: Any, ridges: Any) -> LeaveOneOut:
    r"""Ridge regression with a kernel for many ridges, and what each row is predicted by the others.

    Without row i the prediction of it is ``y_i - e_i``, with all of them::

        e_i = [(K + ridge I)^{-1} y]_i / [(K + ridge I)^{-1}]_ii

    which holds exactly, so that a single eigendecomposition stands for N fits and all ridges.

    Args:
        kernel: ``[N, N]``, symmetric.
        y: ``[N]`` or ``[N, O]``; centred, if a mean is to be left alone.
        ridges: ``[R]``, above 0.

    Returns:
        A :class:`ntkrnn.solvers.LeaveOneOut`.

    Raises:
        TypeError, ValueError: naming the argument; for what memory does not hold.

    Cost: some 9 N^3 multiply-adds for the eigendecomposition, O(R N^2 O) for errors; 24 N^2 bytes.

    Source: Allen 1974, PRESS; Golub, Heath & Wahba 1979 for ``gcv``.

    Example:
        >>> import numpy as np
        >>> kernel = np.array([[1.0, 0.5], [0.5, 1.0]])
        >>> leave_one_out(kernel, np.array([1.0, 2.0]), [1.0]).predictions(0).ravel().tolist()
        [0.5, 0.25]
    """
    given = system(np.asarray(kernel) if isinstance(kernel, TiledMatrix) else kernel, y)
    n = len(given.kernel)
    ridges = np.asarray(_checks.real_array("ridges", ridges, "ridges [R]"), np.float64)
    if ridges.ndim != 1 or not ridges.size or not (np.isfinite(ridges) & (ridges > 0)).all():
        raise ValueError(f"ridges: got {ridges!r}, expected [R] finite numbers above 0.")
    what = f"an eigendecomposition of N={n} in float64"
    require("kernel", 24 * n * n, what, "choose the ridge on some of the sequences.")
    copy = np.array(given.kernel, np.float64, order="F")
    values, vectors = scipy.linalg.eigh(copy, driver="evd", overwrite_a=True, check_finite=False)
    projected = vectors.T @ given.targets
    return LeaveOneOut(ridges, np.maximum(values, 0.0), vectors, given.targets, projected)

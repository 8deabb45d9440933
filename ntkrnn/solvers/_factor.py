"""A Cholesky factor in a store, for kernels that no memory holds: ``K + ridge I = R^T R``.

Row k of tiles follows from the rows above, ``R_kk^T R_ki = K_ki - sum_{j<k} R_jk^T R_ji``. Each tile is
written when it is done, so that a run that ends early is continued.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import scipy.linalg

from ntkrnn._progress import tell
from ntkrnn._version import __version__
from ntkrnn.gram import TiledMatrix
from ntkrnn.gram._layout import Layout
from ntkrnn.gram._setup import require_same, url_of
from ntkrnn.gram._tilestore import Ledger, TileStore, alone, create, exists
from ntkrnn.solvers._system import checked_kernel, checked_ridge

NAME = "factor"


class Factor:
    """R of ``K + ridge I = R^T R`` in a store; see :func:`ntkrnn.solvers.factor`.

    Attributes:
        log_determinant: of ``K + ridge I``.
    """

    def __init__(self, store: TileStore) -> None:
        self._store, self._layout = store, store.layout
        self._down = store.layout.grid[0]
        diagonal = [self._tile(k, k).diagonal() for k in range(self._down)]
        self.log_determinant = 2 * float(np.log(np.concatenate(diagonal)).sum())

    def solve(self, y: np.ndarray) -> np.ndarray:
        """``(K + ridge I)^{-1} Y`` for ``[N, O]``. Cost: two passes over the factor."""
        x = self._half(y)
        for k in reversed(range(self._down)):
            rows = self._rows(k)
            for i in range(k + 1, self._down):
                x[rows] -= self._tile(k, i) @ x[self._rows(i)]
            x[rows] = scipy.linalg.solve_triangular(self._tile(k, k), x[rows], check_finite=False)
        return x

    def variances(self, cross: Any, diagonal: Any) -> np.ndarray:
        """Variances of a Gaussian process at M other points, with noise of the ridge left out.

        ``k(x, x) - k(x, X) (K + ridge I)^{-1} k(X, x)``

        Args:
            cross: ``[N, M]``, the kernel of the N points with those.
            diagonal: ``[M]``, of those with themselves.

        Raises:
            ValueError: if the shapes do not fit.

        Cost: a pass over the factor, N^2 M operations.
        """
        cross, diagonal = np.asarray(cross, np.float64), np.asarray(diagonal, np.float64)
        n = self._layout.shape[0]
        if cross.ndim != 2 or len(cross) != n or diagonal.shape != cross.shape[1:]:
            raise ValueError(
                f"cross: got shape {cross.shape} with a diagonal {diagonal.shape}, expected ({n}, M) "
                "and (M,)."
            )
        return diagonal - np.einsum("nm,nm->m", *[self._half(cross)] * 2)

    def _half(self, y: np.ndarray) -> np.ndarray:
        """``R^{-T} Y``."""
        z = np.array(y, np.float64)
        for k in range(self._down):
            rows = self._rows(k)
            z[rows] = scipy.linalg.solve_triangular(
                self._tile(k, k), z[rows], trans=1, check_finite=False
            )
            for i in range(k + 1, self._down):
                z[self._rows(i)] -= self._tile(k, i).T @ z[rows]
        return z

    def _rows(self, k: int) -> slice:
        return self._layout.span(k, 0)

    def _tile(self, k: int, i: int) -> np.ndarray:
        return self._store.read(NAME, k, i)


def factor(kernel: Any, ridge: float, *, store: Any) -> Factor:
    r"""The Cholesky factor of ``K + ridge I`` in float64, in a store; the same call continues it.

    Args:
        kernel: symmetric, of :func:`ntkrnn.gram.open`, :func:`ntkrnn.gram.compute` or
            :func:`ntkrnn.gram.lazy`.
        ridge: above 0.
        store: a local folder for the factor, or a URL of fsspec.

    Returns:
        A :class:`ntkrnn.solvers.Factor`, with ``solve(y)``, ``log_determinant`` and
        ``variances(cross, diagonal)``.

    Raises:
        TypeError, ValueError: naming the argument; for ``K + ridge I`` that is not positive definite.
        StoreError: if the store is of another kernel or ridge.

    Cost: N^3/3 multiply-adds, a pass over the kernel, and 4 N^3 / (3 tile) bytes of the factor that are
    read again. Memory: 8 N tile bytes and a few tiles. On disk: 4 N^2 bytes.

    Source: Golub & Van Loan, Matrix Computations, section 4.2.9, block Cholesky.

    Example:
        >>> import tempfile, numpy as np, ntkrnn
        >>> kernel = ntkrnn.gram.lazy(ntkrnn.Elman(), np.random.default_rng(0).normal(size=(20, 5, 2)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = ntkrnn.solvers.factor(kernel, 1.0, store=f"{folder}/factor")
        ...     bool(abs(found.log_determinant - np.linalg.slogdet(kernel[:] + np.eye(20))[1]) < 1e-5)
        True
    """
    ridge, matrix = checked_ridge(ridge), checked_kernel(kernel)
    if not isinstance(matrix, TiledMatrix):
        raise TypeError(
            f"kernel: got {type(kernel).__name__}, expected one of ntkrnn.gram; a matrix in memory "
            "has its factor there, see ntkrnn.solvers.cholesky without store."
        )
    url = url_of(store)
    layout = Layout((NAME,), matrix.shape, "float64", matrix.tile, True)
    marks = {"kernel": _digest(matrix), "ridge": repr(ridge), "ntkrnn": __version__}
    with alone(url):
        kept = TileStore(url, "r+") if exists(url) else create(url, layout, marks, {}, {})
        require_same(kept, layout, marks)
        _complete(kept, matrix, ridge)
    return Factor(kept)


def _complete(store: TileStore, matrix: TiledMatrix, ridge: float) -> None:
    ledger = Ledger(store)
    store.remove_parts()
    ledger.find_again()
    down, total = store.layout.grid[0], len(store.layout.tiles)
    done = total - len(ledger.missing)
    for k in range(down):
        missing = [i for i in range(k, down) if not ledger.done(k, i)]
        if not missing:
            continue
        above = [store.read(NAME, j, k) for j in range(k)]
        corner = None if missing[0] == k else store.read(NAME, k, k)
        for i in missing:
            rows, columns = store.layout.span(k, 0), store.layout.span(i, 1)
            rest = matrix[rows, columns].astype(np.float64)
            for j, tile in enumerate(above):
                rest -= tile.T @ (tile if i == k else store.read(NAME, j, i))
            if i == k:
                rest.flat[:: len(rest) + 1] += ridge
                corner = rest = _corner(rest, rows, ridge)
            else:
                rest = scipy.linalg.solve_triangular(corner, rest, trans=1, check_finite=False)
            ledger.mark(k, i, [store.write(NAME, k, i, rest)])
            done += 1
            tell(done, total, "tiles of the factor")
        ledger.flush()
    ledger.flush()


def _corner(rest: np.ndarray, rows: slice, ridge: float) -> np.ndarray:
    try:
        return scipy.linalg.cholesky(rest, check_finite=False)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"kernel: got a matrix that is not positive definite with ridge={ridge:g} within rows "
            f"{rows.start} to {rows.stop}; pass a larger ridge, or drop duplicate sequences."
        ) from None


def _digest(matrix: TiledMatrix) -> str:
    """Of the diagonal and of two columns."""
    few = np.ascontiguousarray(matrix.columns([0, len(matrix) // 2]))
    return hashlib.sha256(matrix.diagonal().tobytes() + few.tobytes()).hexdigest()[:16]

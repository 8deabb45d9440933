"""The system ``(K + ridge I) x = y``: what comes in, checked a block at a time, and what comes out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn.gram import TiledMatrix


class Solution(NamedTuple):
    """What a solver found, and how well."""

    coefficients: np.ndarray
    """float64 ``[N]`` or ``[N, O]``, as y was."""
    residual: float
    """``|y - (K + ridge I) x| / |y|``, the largest over the columns of y."""
    method: str
    """"cholesky" or "pcg"."""
    iterations: int
    """Of conjugate gradients; 0 for a direct solve."""
    converged: bool
    """Whether the residual is as small as was asked for."""
    log_determinant: float | None = None
    """Of ``K + ridge I``, of a Cholesky factor."""


class System(NamedTuple):
    """A checked kernel and targets."""

    kernel: np.ndarray | TiledMatrix
    """``[N, N]`` of float32 or float64, as it came: no copy."""
    targets: np.ndarray
    """float64 ``[N, O]``."""
    flat: bool
    """Whether y had one axis."""

    def product(self, vectors: np.ndarray) -> np.ndarray:
        """``K V`` in float64 for ``[N, O]``, without a float64 copy of K.

        Cost: 2 N^2 O operations, memory for 512 rows of K or two tiles.
        """
        if isinstance(self.kernel, TiledMatrix):
            return self.kernel.product(vectors)
        if self.kernel.dtype == np.float64:
            return self.kernel @ vectors
        return np.concatenate(
            [rows.astype(np.float64) @ vectors for _, rows in _checks.row_blocks(self.kernel)]
        )

    def solution(
        self, x: np.ndarray, ridge: float, method: str, iterations: int = 0, tolerance: float = np.inf
    ) -> Solution:
        """The result, with its residual."""
        gap = np.linalg.norm(self.targets - self.product(x) - ridge * x, axis=0)
        size = np.linalg.norm(self.targets, axis=0)
        residual = float((gap / np.where(size > 0, size, 1.0)).max())
        shown = x[:, 0] if self.flat else x
        return Solution(shown, residual, method, iterations, residual <= tolerance)


def system(kernel: Any, y: Any) -> System:
    """The kernel and the targets, checked.

    Raises:
        TypeError: for what is no array of real numbers.
        ValueError: for a kernel that is not square, not finite or not symmetric to rounding, and for
            targets that do not fit it.

    Cost: three passes over the kernel, no copy of it.
    """
    array = checked_kernel(kernel)
    targets = np.asarray(_checks.real_array("y", y, "targets [N] or [N, O]"), np.float64)
    flat = targets.ndim == 1
    if targets.ndim not in (1, 2) or len(targets) != len(array) or not targets.size:
        raise ValueError(
            f"y: got shape {targets.shape}, expected ({len(array)},) or ({len(array)}, O), a target "
            "for every row of the kernel."
        )
    _checks.finite_array("y", targets)
    _checks.squares_fit("y", targets)
    return System(array, targets[:, None] if flat else targets, flat)


def checked_kernel(kernel: Any) -> np.ndarray | TiledMatrix:
    """A symmetric matrix of finite numbers, of float32 or float64, as it came; raises as above.

    One of :mod:`ntkrnn.gram` is finite and symmetric by the way that it is made.
    """
    if isinstance(kernel, TiledMatrix):
        if kernel.ndim != 2 or not kernel.symmetric:
            raise ValueError(
                f"kernel: got {kernel!r}, expected one number for a pair of sequences, and x2=None."
            )
        return kernel
    array = np.asarray(_checks.real_array("kernel", kernel, "a kernel [N, N]"))
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise ValueError(f"kernel: got shape {array.shape}, expected [N, N].")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    _checks.finite_array("kernel", array)
    _checks.check_symmetric("kernel", array)
    return array


def checked_ridge(value: Any) -> float:
    """A ridge: a finite number above 0."""
    return _checks.positive_float("ridge", value)

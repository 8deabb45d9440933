"""What experiments do with kernels: in float64, whatever JAX's default precision is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from scipy import linalg

from ntkrnn._network import network


def ntk64(arch: Any, x1: np.ndarray, x2: np.ndarray | None = None) -> np.ndarray:
    """The infinite-width NTK in float64.

    The smallest eigenvalues of a kernel, which an inverse amplifies, are lost in float32.
    """
    with jax.enable_x64(True):
        second = None if x2 is None else np.asarray(x2, np.float64)
        return np.asarray(network(arch).kernel_fn(np.asarray(x1, np.float64), second, get="ntk"))


def solve(kernel: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``H^{-1} y``, with 1e-12 of the mean of the diagonal added to it."""
    n = len(kernel)
    ridge = 1e-12 * np.trace(kernel) / n
    return linalg.cho_solve(linalg.cho_factor(kernel + ridge * np.eye(n)), y)


def learning_curve(
    kernel: np.ndarray, y: np.ndarray, cross: np.ndarray, y_test: np.ndarray, sizes: Sequence[int]
) -> np.ndarray:
    """Test error of kernel regression on the first sequences, relative to the variance of the targets.

    Args:
        kernel: ``[n, n]``, of the training sequences with themselves.
        y: ``[n]``.
        cross: ``[M, n]``, of the test sequences with the training sequences.
        y_test: ``[M]``.
        sizes: numbers of training sequences.

    Returns:
        ``[len(sizes)]``: 1 is the error of the best constant.
    """
    errors = []
    for size in sizes:
        outputs = cross[:, :size] @ solve(kernel[:size, :size], y[:size])
        errors.append(np.mean((outputs - y_test) ** 2) / np.var(y_test))
    return np.array(errors)


def samples_needed(sizes: Sequence[int], errors: np.ndarray, level: float) -> float:
    """Where a learning curve falls to ``level``, on a logarithmic scale between two sizes.

    Returns:
        The number of samples; NaN if the curve starts below ``level`` or never falls to it.

    Example:
        >>> samples_needed([10, 1000], np.array([1.0, 0.0]), 0.5)
        100.0
    """
    below = np.flatnonzero(np.asarray(errors) <= level)
    if not below.size or below[0] == 0:
        return float("nan")
    i = int(below[0])
    share = (errors[i - 1] - level) / (errors[i - 1] - errors[i])
    low, high = np.log(sizes[i - 1]), np.log(sizes[i])
    return float(round(np.exp(low + share * (high - low)), 6))

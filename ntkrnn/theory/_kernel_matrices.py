"""Kernel matrices and labels as float64 on the host, and solves that say when they mean nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.linalg

from ntkrnn import _checks

FLOAT64 = float(np.finfo(np.float64).eps)
LARGEST = 1e150
"""Of which products of two are still numbers."""


class SingularKernelError(ValueError):
    """A kernel matrix that is not positive definite to its own precision."""


class Factor(NamedTuple):
    """A kernel matrix and its Cholesky factor."""

    matrix: np.ndarray
    """``[n, n]``: H, symmetric, the ridge included."""
    upper: np.ndarray
    """``[n, n]``: R with ``H = R^T R``."""
    condition: float
    """Estimate of ``||H||_1 ||H^{-1}||_1``."""
    eps: float
    """Rounding of the dtype that the kernel came in."""


def real_array(name: str, value: Any, ranks: tuple[int, ...], expected: str) -> np.ndarray:
    """``value`` as a float64 array of one of the ranks, no axis empty, all entries finite.

    Raises:
        TypeError: if it is not real numbers; or traced.
        ValueError: if its rank or an entry is not as expected, or it is empty.
    """
    array = _checks.concrete_values(_checks.real_array(name, value, f"real numbers, {expected}"))
    if array is None:
        raise TypeError(
            f"{name}: got an array that is being traced, expected {expected} with entries; measures "
            "and bounds are computed on the host, call them outside of jax.jit."
        )
    if array.ndim not in ranks or 0 in array.shape:
        raise ValueError(f"{name}: got shape {array.shape}, expected {expected}, no axis empty.")
    array = array.astype(np.float64)
    _checks.finite_array(name, array)
    if np.abs(array).max() > LARGEST:
        raise ValueError(
            f"{name}: got {np.abs(array).max():g}, whose square is beyond the range of float64, "
            f"expected at most {LARGEST:g}; rescale it."
        )
    return array


def gram(name: str, value: Any) -> tuple[np.ndarray, float]:
    """A kernel of some sequences with themselves: float64 ``[n, n]``, and the eps of its dtype.

    Raises:
        TypeError, ValueError: as :func:`real_array`; if it is not square or not symmetric.
    """
    expected = "[n, n], the kernel of n sequences with themselves"
    matrix = real_array(name, value, (2,), expected)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: got shape {matrix.shape}, expected {expected}.")
    dtype = getattr(value, "dtype", np.dtype(np.float64))
    # NumPy does not know the short floats of JAX.
    eps = FLOAT64 if np.issubdtype(dtype, np.integer) else float(jnp.finfo(dtype).eps)
    gap = np.abs(matrix - matrix.T).max()
    if gap > np.sqrt(eps) * np.abs(matrix).max():
        raise ValueError(
            f"{name}: got a matrix that differs from its transpose by {gap:.1e}, expected {expected}; "
            "was it computed between two sets of sequences?"
        )
    return (matrix + matrix.T) / 2, eps


def targets(name: str, value: Any, n: int) -> np.ndarray:
    """Labels ``[n]`` or ``[n, k]`` in float64.

    Raises:
        TypeError, ValueError: as :func:`real_array`; if there are not n of them.
    """
    expected = f"[{n}] or [{n}, k], a row for each row of the kernel"
    array = real_array(name, value, (1, 2), expected)
    if array.shape[0] != n:
        raise ValueError(f"{name}: got shape {array.shape}, expected {expected}.")
    return array


def factor(name: str, value: Any, ridge: Any) -> Factor:
    """The Cholesky factor of ``value + ridge I``.

    Raises:
        TypeError, ValueError: as :func:`gram`.
        SingularKernelError: if it has none, or its condition is beyond ``1/(n eps)``.
    """
    matrix, eps = gram(name, value)
    ridge = _checks.nonnegative_float("ridge", ridge)
    n = matrix.shape[0]
    if not matrix.any() and not ridge:
        raise SingularKernelError(
            f"{name}: got zeros only, expected a positive definite matrix; with it nothing "
            "can be learned. Sequences of one step have it if W alone is trained: add steps or blocks."
        )
    noisy = matrix + ridge * np.eye(n)
    potrf, pocon = scipy.linalg.get_lapack_funcs(("potrf", "pocon"), (noisy,))
    upper, failed = potrf(noisy, lower=False, clean=True)
    norm = float(np.abs(noisy).sum(axis=0).max())
    reciprocal = 0.0 if failed else float(pocon(upper, norm)[0])
    if reciprocal < n * eps:
        raise SingularKernelError(_why(name, matrix, ridge, eps, reciprocal))
    return Factor(noisy, upper, 1 / reciprocal, eps)


def _why(name: str, matrix: np.ndarray, ridge: float, eps: float, reciprocal: float) -> str:
    """What is wrong with a kernel that cannot be inverted, and what to do about it."""
    n, values = matrix.shape[0], np.linalg.eigvalsh(matrix)
    size = np.diag(matrix)
    distance = size[:, None] + size[None, :] - 2 * matrix
    same = distance <= 8 * eps * (np.abs(size)[:, None] + np.abs(size)[None, :])
    pairs = np.argwhere(np.triu(same, 1))
    condition = f"condition {1 / reciprocal:.1e}" if reciprocal > 0 else "no Cholesky factor"
    found, remedies = "", []
    if len(pairs):
        shown = ", ".join(f"({i}, {j})" for i, j in pairs[:3])
        found = f", and {len(pairs)} pairs of equal rows, the first {shown}"
        remedies.append("drop duplicate sequences")
    if eps > FLOAT64:
        remedies.append("compute the kernel in float64 (JAX_ENABLE_X64=1)")
    enough = 2 * (n * n * eps * max(values[-1], 0.0) + max(-values[0], 0.0))
    remedies.append(f"pass ridge of at least {enough:.1e}")
    with_ridge = f" (ridge={ridge:g} included in the condition)" if ridge else ""
    return (
        f"{name}: got n={n} rows with eigenvalues from {values[0]:.1e} to {values[-1]:.1e}, "
        f"{condition}{with_ridge}{found}; expected a matrix that is positive definite to its "
        f"rounding (eps={eps:.1e}), condition below 1/(n eps) = {1 / (n * eps):.1e}; "
        + ", or ".join(remedies)
        + "."
    )

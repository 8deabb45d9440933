"""Kernels as linear maps on outputs, and one judgement of what a kernel is.

A kernel ``[N1, N2, a1, a1', a2, a2', ...]`` pairs the sequences and the first of the further axes of
the outputs ``[N, a1, a2, ..., rest]``; on the rest it is the identity, as the kernel of an infinitely
wide network is on its output channels. That is the layout of ``kernel_fn`` and ``empirical_ntk_fn``.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from ntkrnn import _checks

ESTIMATE = 0.02
"""Negative eigenvalues up to this part of the largest pass as the noise of a sampled kernel."""
_DENSE = 200
_LARGEST_FACTOR = 4000
_LANCZOS_VECTORS = 60


def outputs_of(name: str, value: Any) -> Any:
    """Outputs ``[N, O]`` or ``[N, T, O]``; ``[N]`` becomes ``[N, 1]``."""
    expected = "real outputs [N], [N, O] or [N, T, O]"
    array: Any = _checks.real_array(name, value, expected)
    shape = tuple(array.shape)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim not in (2, 3) or 0 in shape:
        raise ValueError(f"{name}: got shape {shape}, expected {expected}, no axis empty.")
    _checks.finite_array(name, array)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(_checks.float_dtype())


def host_outputs(name: str, value: Any) -> np.ndarray:
    """The same as a NumPy float64 array, whose squares are floats too."""
    host = np.asarray(outputs_of(name, value), np.float64)
    _checks.squares_fit(name, host)
    return host


def square(name: str, kernel: Any, outputs: tuple[int, ...]) -> Any:
    """A kernel of the training sequences as a matrix on their flattened outputs.

    Args:
        name: of the argument.
        kernel: ``[N, N]``, or with pairs of further axes.
        outputs: shape of the outputs.

    Returns:
        ``[N A, N A]``, A the product of the paired axes.
    """
    return matrix(name, kernel, outputs, outputs)


def matrix(name: str, kernel: Any, rows: tuple[int, ...], columns: tuple[int, ...]) -> Any:
    """A kernel as a matrix ``[N1 A1, N2 A2]`` from outputs of shape ``columns`` to those of ``rows``.

    Raises:
        TypeError: if it is no array of real numbers.
        ValueError: if the axes do not fit, or an entry is not finite.
    """
    array: Any = _checks.real_array(name, kernel, "a kernel, an array of real numbers")
    pairs = (array.ndim - 2) // 2
    expected = tuple(n for both in zip(rows, columns, strict=True) for n in both)
    if array.ndim < 2 or array.ndim % 2 or array.shape != expected[: array.ndim]:
        shapes = [str(expected[:k]) for k in range(2, len(expected) + 1, 2)]
        raise ValueError(
            f"{name}: got shape {tuple(array.shape)}, expected {' or '.join(shapes)} for outputs of "
            f"shapes {rows} and {columns}."
        )
    if len(rows) == 3 and pairs == 0:
        raise ValueError(
            f"{name}: got shape {tuple(array.shape)}, expected a kernel with pairs of time steps, "
            f"{expected[:4]}, for outputs at every step."
        )
    _checks.finite_array(name, array)
    order = [2 * k for k in range(pairs + 1)] + [2 * k + 1 for k in range(pairs + 1)]
    sizes = math.prod(rows[: pairs + 1]), math.prod(columns[: pairs + 1])
    return array.transpose(order).reshape(sizes)


def host_matrix(name: str, kernel: Any, rows: tuple[int, ...], columns: tuple[int, ...]) -> np.ndarray:
    """The same as a NumPy float64 array."""
    return np.asarray(matrix(name, kernel, rows, columns), np.float64)


def paired_size(kernel: Any, outputs: tuple[int, ...]) -> int:
    """The product A of the axes that the kernel pairs beside the sequences."""
    return math.prod(outputs[1 : 1 + (np.ndim(kernel) - 2) // 2])


def symmetric(name: str, array: np.ndarray) -> np.ndarray:
    """A symmetric float64 matrix with no negative variance; raise unless it is that to rounding.

    Args:
        name: of the argument.
        array: ``[n, n]`` of the dtype in which it was computed.

    Raises:
        ValueError: for a matrix that is not symmetric, or a negative number on its diagonal.
    """
    tolerance = _checks.rounding_norm(array)
    host = np.asarray(array, np.float64)
    _checks.squares_fit(name, host)
    _checks.check_symmetric(name, host if array.dtype.kind != "f" else array)
    least = int(np.argmin(np.diagonal(host)))
    if host[least, least] < -tolerance:
        raise ValueError(
            f"{name}: got {host[least, least]:g} at [{least}, {least}], expected a kernel, whose "
            "diagonal holds variances."
        )
    return 0.5 * (host + host.T)


def check_semidefinite(name: str, host: np.ndarray, tolerance: float) -> None:
    """Raise unless a symmetric matrix has no eigenvalue below ``-tolerance``.

    Up to 4,000 rows a Cholesky factor of ``K + tolerance`` decides; beyond, where that would cost more
    than what the matrix is for, some steps of Lanczos iteration, whose Ritz values are proof of a
    negative eigenvalue but not of its absence.

    Raises:
        ValueError: naming the least eigenvalue.
    """
    if len(host) <= _LARGEST_FACTOR:
        try:
            shifted = host.copy()
            # Where the matrix is 0 a tolerance of 0 says nothing.
            np.fill_diagonal(shifted, np.diagonal(host) + tolerance + np.finfo(np.float64).tiny)
            scipy.linalg.cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
            return
        except np.linalg.LinAlgError:
            least, largest = scipy.linalg.eigvalsh(host)[[0, -1]]
    else:
        least, largest = _ritz_values(host)
    if least < -tolerance:
        raise ValueError(
            f"{name}: got a matrix with eigenvalue {least:.3g} beside {largest:.3g}, expected a "
            "positive semidefinite kernel. A sampled kernel of few samples can be so: pass more "
            f"samples, or add {-2 * least:.2g} to its diagonal."
        )


def _ritz_values(host: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    vector, before, scale = rng.normal(size=len(host)), np.zeros(len(host)), 0.0
    vector /= np.linalg.norm(vector)
    alphas, betas = [], []
    for _ in range(_LANCZOS_VECTORS):
        image = host @ vector - scale * before
        alphas.append(float(image @ vector))
        image -= alphas[-1] * vector
        scale = float(np.linalg.norm(image))
        if scale == 0:
            break
        betas.append(scale)
        before, vector = vector, image / scale
    values = scipy.linalg.eigvalsh_tridiagonal(alphas, betas[: len(alphas) - 1])
    return float(values[0]), float(values[-1])


def own_kernel(name: str, kernel: Any, outputs: tuple[int, ...]) -> np.ndarray:
    """The kernel of some sequences with themselves, judged: symmetric and positive semidefinite.

    Symmetric to rounding; and no eigenvalue below :data:`ESTIMATE` times the largest, which the noise
    of sampled kernels stays well within.

    Args:
        name: of the argument.
        kernel: ``[N, N]``, or with pairs of further axes.
        outputs: shape of the outputs that it is on.

    Returns:
        ``[N A, N A]`` in float64, symmetric to the last bit.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: a third of N^3 multiply-adds up to N = 4,000, 60 N^2 beyond.
    """
    array = np.asarray(square(name, kernel, outputs))
    host = symmetric(name, array)
    check_semidefinite(
        name, host, max(_checks.rounding_norm(array), ESTIMATE * largest_eigenvalue(host))
    )
    return host


def largest_eigenvalue(host: np.ndarray) -> float:
    """Of a symmetric matrix, by Lanczos iteration unless it is small."""
    if host.shape[0] <= _DENSE:
        return float(np.linalg.eigvalsh(host)[-1])
    start = np.ones(host.shape[0])
    values = scipy.sparse.linalg.eigsh(host, k=1, which="LA", v0=start, return_eigenvectors=False)
    return float(values[0])

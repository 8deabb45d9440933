"""What infinitely wide networks predict: after training, and as Gaussian processes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ntkrnn import _checks
from ntkrnn._types import Kernels
from ntkrnn.dynamics._contract import matrix, outputs_of, square
from ntkrnn.dynamics._spectral import clock, filters, modes


class Gaussian(NamedTuple):
    """Mean and covariance of outputs."""

    mean: np.ndarray
    """``[M, O]``, after :func:`trained_ensemble` ``[R, M, O]``."""
    covariance: np.ndarray
    """``[M, M]`` or ``[R, M, M]``: of every output, which are independent of each other."""


def _kernel(name: str, value: Any, rows: int, columns: int) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != (rows, columns):
        raise ValueError(f"{name}: got shape {array.shape}, expected {(rows, columns)}.")
    return np.asarray(matrix(name, array, (rows, 1), (columns, 1)), np.float64)


def trained_ensemble(
    train: Kernels,
    y: Any,
    times: Any,
    *,
    test: Kernels | None = None,
    nngp_test_test: Any = None,
    learning_rate: float | None = None,
    weight_decay: float = 0.0,
) -> Gaussian:
    r"""Mean and covariance of infinitely wide networks after training, over random starts.

    Such a network starts from a Gaussian process with covariance K and moves as :func:`gradient_flow`
    says with the kernel Theta. With ``A = Theta(., X) Q diag(F_t/n) Q^T`` its outputs have::

        mean = A y,    covariance = K(., .) - A K(X, .) - K(., X) A^T + A K(X, X) A^T

    Args:
        train: kernels of the training sequences, ``kernel_fn(x)``: ``[N, N]`` each.
        y: ``[N]`` or ``[N, O]``.
        times: ``[R]`` times of gradient flow, or numbers of steps; infinity for convergence.
        test: kernels of test with training sequences, ``kernel_fn(x_test, x)``, or None to predict
            the training sequences themselves.
        nngp_test_test: ``kernel_fn(x_test, get="nngp")``, with ``test``.
        learning_rate: of full-batch gradient descent, None for gradient flow.
        weight_decay: toward the start.

    Returns:
        A :class:`Gaussian`, ``[R, M, O]`` and ``[R, M, M]``, computed in float64.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: O(N^3), and O(R (N^2 M + N M^2)).

    Source: Lee et al. 2019 (arXiv 1902.06720), equations 14 to 16.

    Example:
        >>> import numpy as np
        >>> from ntkrnn import Kernels
        >>> from ntkrnn.dynamics import trained_ensemble
        >>> found = trained_ensemble(Kernels(np.eye(2), np.eye(2)), np.ones(2), [0.0, np.inf])
        >>> found.mean[:, 0, 0].tolist(), found.covariance[:, 0, 0].tolist()
        ([0.0, 1.0], [1.0, 0.0])
    """
    targets = np.asarray(outputs_of("y", y), np.float64)
    n = targets.shape[0]
    if targets.ndim != 2:
        raise ValueError(f"y: got shape {targets.shape}, expected [N] or [N, O].")
    if learning_rate is not None:
        learning_rate = _checks.nonnegative_float("learning_rate", learning_rate)
    decay = _checks.nonnegative_float("weight_decay", weight_decay)
    at = clock(times, learning_rate)
    nngp, ntk = train
    nngp = _kernel("train.nngp", nngp, n, n)
    found = modes("train.ntk", np.asarray(ntk), (n, 1))
    if test is None:
        nngp_test, nngp_both = nngp, nngp
        projected = found.vectors * (found.mu * n)
    else:
        if nngp_test_test is None:
            raise ValueError(
                "nngp_test_test: got None, expected kernel_fn(x_test, get='nngp'), [M, M], with test."
            )
        m = np.shape(test[0])[0]
        nngp_test = _kernel("test.nngp", test[0], m, n)
        projected = _kernel("test.ntk", test[1], m, n) @ found.vectors
        nngp_both = _kernel("nngp_test_test", nngp_test_test, m, m)
    means, covariances = [], []
    for row in filters(found, at, learning_rate, decay):
        a = (projected * (row / n)) @ found.vectors.T
        means.append(a @ targets)
        cross = a @ nngp_test.T
        covariance = nngp_both - cross - cross.T + a @ nngp @ a.T
        covariances.append(0.5 * (covariance + covariance.T))
    return Gaussian(np.stack(means), np.stack(covariances))


def nngp_posterior(
    nngp: Any, y: Any, nngp_test: Any, nngp_test_test: Any, *, noise: float = 0.0
) -> Gaussian:
    r"""Posterior of the Gaussian process with the NNGP kernel, given the training targets.

    ``mean = K* (K + noise I)^{-1} y``, ``covariance = K** - K* (K + noise I)^{-1} K*^T``: what Bayesian
    inference, or training of the readout alone, does in infinite width.

    Args:
        nngp: ``[N, N]``.
        y: ``[N]`` or ``[N, O]``.
        nngp_test: ``[M, N]``.
        nngp_test_test: ``[M, M]``.
        noise: variance of the targets' noise.

    Returns:
        A :class:`Gaussian`, ``[M, O]`` and ``[M, M]``, NumPy arrays in float64.

    Raises:
        TypeError, ValueError: naming the argument; if ``nngp + noise I`` is singular to rounding.

    Cost: O(N^3 + N^2 M + N M^2).

    Source: Lee et al. 2018 (arXiv 1711.00165), equations 8 and 9.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.dynamics import nngp_posterior
        >>> found = nngp_posterior(np.eye(2), np.ones(2), np.eye(2), np.eye(2), noise=1.0)
        >>> found.mean.ravel().round(9).tolist(), found.covariance[0].round(9).tolist()
        ([0.5, 0.5], [0.5, 0.0])
    """
    targets = np.asarray(outputs_of("y", y), np.float64)
    n, m = targets.shape[0], np.shape(nngp_test)[0] if np.ndim(nngp_test) else 0
    noise = _checks.nonnegative_float("noise", noise)
    precision = np.finfo(np.asarray(nngp).dtype).eps if np.asarray(nngp).dtype.kind == "f" else 0.0
    kernel = np.asarray(square("nngp", _kernel("nngp", nngp, n, n), (n, 1)))
    both = _kernel("nngp_test_test", nngp_test_test, m, m)
    rows = _kernel("nngp_test", nngp_test, m, n)
    noisy = kernel + noise * np.eye(n)
    values = scipy.linalg.eigvalsh(noisy)
    if values[0] <= n * precision * values[-1]:
        raise ValueError(
            f"nngp: got a matrix with eigenvalues from {values[0]:.1e} to {values[-1]:.1e}, singular "
            f"to its rounding; drop duplicate sequences, pass noise of at least "
            f"{2 * n * precision * values[-1]:.1e}, or compute the kernel in float64."
        )
    factor = scipy.linalg.cho_factor(noisy)
    solved = scipy.linalg.cho_solve(factor, rows.T)
    covariance = both - rows @ solved
    return Gaussian(solved.T @ targets, 0.5 * (covariance + covariance.T))

"""What infinitely wide networks predict: after training, and as Gaussian processes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._types import Kernels, SampledKernels
from ntkrnn.dynamics._contract import (
    host_matrix,
    host_outputs,
    own_kernel,
    square,
    symmetric,
)
from ntkrnn.dynamics._spectral import clock, filters, modes

SMALL_MODES = 4
"""Roundings of a kernel as its small eigenvalues see them. Most of the error of an entry is shared by
its neighbours and acts on the large ones: on the lower half of the spectrum the error of float32
kernels of windows of a recording was 0.1 to 2 roundings in 15 settings of 16, with N = 300 and 500,
T = 24 and 100."""
_ITERATIONS = 20
"""Of inverse iteration."""


class Gaussian(NamedTuple):
    """Mean and covariance of outputs, which are independent of each other."""

    mean: np.ndarray
    """``[M, O]``, after :func:`trained_ensemble` ``[R, M, O]``."""
    covariance: np.ndarray | None
    """Of every output: ``[M, M]``, or its diagonal ``[M]``, after :func:`trained_ensemble` with a
    leading axis R; None where the kernel of the test sequences with themselves was not given."""


def _targets(y: Any) -> np.ndarray:
    targets = host_outputs("y", y)
    if targets.ndim != 2:
        raise ValueError(f"y: got shape {targets.shape}, expected [N] or [N, O].")
    return targets


def _rows(name: str, value: Any, n: int) -> np.ndarray:
    """A kernel ``[M, N]`` of test with training sequences."""
    array = _checks.real_array(name, value, f"a kernel [M, {n}]")
    if array.ndim != 2 or array.shape[1] != n or not array.shape[0]:
        raise ValueError(
            f"{name}: got shape {tuple(array.shape)}, expected [M, {n}], test with training sequences."
        )
    return host_matrix(name, array, (array.shape[0], 1), (n, 1))


def _prior(name: str, value: Any, m: int, diagonal: bool) -> np.ndarray | None:
    """The kernel ``[M, M]`` of the test sequences or its diagonal ``[M]``; None if not given."""
    if value is None:
        return None
    array = np.asarray(_checks.real_array(name, value, "a kernel [M, M], or its diagonal [M]"))
    if diagonal and array.shape == (m,):
        _checks.finite_array(name, array)
        if array.min() < 0:
            raise ValueError(f"{name}: got {array.min():g}, expected variances of at least 0.")
        return array.astype(np.float64)
    if array.shape != (m, m):
        also = f" or, with diagonal=True, ({m},)"
        raise ValueError(f"{name}: got shape {array.shape}, expected ({m}, {m}){also}.")
    _checks.finite_array(name, array)
    host = symmetric(name, array)
    return np.diagonal(host).copy() if diagonal else host


def trained_ensemble(
    train: Kernels | SampledKernels,
    y: Any,
    times: Any,
    *,
    test: Kernels | SampledKernels | None = None,
    nngp_test_test: Any = None,
    learning_rate: float | None = None,
    weight_decay: float = 0.0,
    diagonal: bool = False,
) -> Gaussian:
    r"""Mean and covariance of infinitely wide networks after training, over random starts.

    Such a network starts from a Gaussian process with covariance K and moves as :func:`gradient_flow`
    says with the kernel Theta. With ``A = Theta(., X) Q diag(F_t/n) Q^T`` its outputs have::

        mean = A y,    covariance = K(., .) - A K(X, .) - K(., X) A^T + A K(X, X) A^T

    Args:
        train: kernels of the training sequences, ``kernel_fn(x)``: ``[N, N]`` each. The errors that
            sampled kernels come with are not looked at.
        y: ``[N]`` or ``[N, O]``.
        times: ``[R]`` times of gradient flow, or numbers of steps; infinity for convergence.
        test: kernels of test with training sequences, ``kernel_fn(x_test, x)``, or None to predict
            the training sequences themselves.
        nngp_test_test: ``kernel_fn(x_test, get="nngp")``, or its diagonal ``[M]`` with ``diagonal``;
            without it there is a mean and no covariance.
        learning_rate: of full-batch gradient descent, None for gradient flow.
        weight_decay: toward the start.
        diagonal: whether variances alone are wanted, ``[R, M]`` in the place of ``[R, M, M]``.

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
    targets, diagonal = _targets(y), _checks.boolean("diagonal", diagonal)
    n = targets.shape[0]
    if learning_rate is not None:
        learning_rate = _checks.nonnegative_float("learning_rate", learning_rate)
    decay = _checks.nonnegative_float("weight_decay", weight_decay)
    at = clock(times, learning_rate)
    train, test = _both("train", train), None if test is None else _both("test", test)
    nngp = own_kernel("train.nngp", train.nngp, (n, 1))
    found = modes("train.ntk", train.ntk, (n, 1))
    if test is None:
        rows, prior = nngp, np.diagonal(nngp) if diagonal else nngp
        projected = found.vectors * (found.mu * n)
    else:
        rows = _rows("test.nngp", test.nngp, n)
        projected = host_matrix("test.ntk", test.ntk, (len(rows), 1), (n, 1)) @ found.vectors
        prior = _prior("nngp_test_test", nngp_test_test, len(rows), diagonal)
    if prior is not None:
        what = f"covariances of {len(rows)} sequences at {len(at)} times"
        require("times", 8 * len(at) * prior.size, what, "pass diagonal=True, or ask for fewer times.")
    means, covariances = [], []
    for row in filters(found, at, learning_rate, decay):
        a = (projected * (row / n)) @ found.vectors.T
        means.append(a @ targets)
        if prior is not None and diagonal:
            covariances.append(prior + np.einsum("mn,mn->m", a, a @ nngp - 2 * rows))
        elif prior is not None:
            cross = a @ rows.T
            covariance = prior - cross - cross.T + a @ nngp @ a.T
            covariances.append(0.5 * (covariance + covariance.T))
    return Gaussian(np.stack(means), np.stack(covariances) if covariances else None)


def _both(name: str, kernels: Any) -> Any:
    """What has both kernels by name: results of ``kernel_fn``, or a pair of arrays."""
    if hasattr(kernels, "nngp") and hasattr(kernels, "ntk"):
        return kernels
    if isinstance(kernels, (tuple, list)) and len(kernels) == 2:
        return Kernels(*kernels)
    raise TypeError(
        f"{name}: got {type(kernels).__name__}, expected both kernels, as kernel_fn(x) returns them."
    )


def nngp_posterior(
    nngp: Any,
    y: Any,
    nngp_test: Any,
    nngp_test_test: Any = None,
    *,
    noise: float = 0.0,
    diagonal: bool = False,
) -> Gaussian:
    r"""Posterior of the Gaussian process with the NNGP kernel, given the training targets.

    ``mean = K* (K + noise I)^{-1} y``, ``covariance = K** - K* (K + noise I)^{-1} K*^T``: what Bayesian
    inference, or training of the readout alone, does in infinite width. Solved in float64 whatever the
    precision of the kernels, whose eigenvalues span more digits than float32 has.

    Args:
        nngp: ``[N, N]``.
        y: ``[N]`` or ``[N, O]``.
        nngp_test: ``[M, N]``.
        nngp_test_test: ``[M, M]``, or its diagonal ``[M]`` with ``diagonal``; None for the mean alone.
        noise: variance of the targets' noise.
        diagonal: whether the covariance is wanted as the variances ``[M]`` of the single outputs.

    Returns:
        A :class:`Gaussian`, ``[M, O]`` and ``[M, M]``, NumPy arrays in float64.

    Raises:
        TypeError, ValueError: naming the argument; if ``nngp + noise I`` is not positive definite, or
            its least eigenvalue is below what the rounding of the kernel's entries may have moved it
            by: a solution would be that of the rounding. The message proposes a noise that works.

    Cost: O(N^3 + N^2 M + N M^2), O(N^3 + N^2 M) with ``diagonal`` or without ``nngp_test_test``.

    Source: Lee et al. 2018 (arXiv 1711.00165), equations 8 and 9.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.dynamics import nngp_posterior
        >>> found = nngp_posterior(np.eye(2), np.ones(2), np.eye(2), np.eye(2), noise=1.0)
        >>> found.mean.ravel().round(9).tolist(), found.covariance[0].round(9).tolist()
        ([0.5, 0.5], [0.5, 0.0])
    """
    targets, diagonal = _targets(y), _checks.boolean("diagonal", diagonal)
    noise = _checks.nonnegative_float("noise", noise)
    rows = _rows("nngp_test", nngp_test, len(targets))
    prior = _prior("nngp_test_test", nngp_test_test, len(rows), diagonal)
    factor = _factor(nngp, len(targets), noise)
    half = scipy.linalg.solve_triangular(factor, rows.T, lower=True)
    mean = half.T @ scipy.linalg.solve_triangular(factor, targets, lower=True)
    if prior is None:
        return Gaussian(mean, None)
    if diagonal:
        return Gaussian(mean, prior - np.einsum("nm,nm->m", half, half))
    return Gaussian(mean, prior - half.T @ half)


def _factor(nngp: Any, n: int, noise: float) -> np.ndarray:
    """The lower Cholesky factor of ``nngp + noise I``; raise where a solution would be noise."""
    array = np.asarray(square("nngp", nngp, (n, 1)))
    noisy = symmetric("nngp", array) + noise * np.eye(n)
    rounding = max(_checks.rounding_norm(array, SMALL_MODES), _checks.rounding_norm(noisy))
    try:
        factor = scipy.linalg.cholesky(noisy, lower=True)
        least = _least_eigenvalue(factor)
    except np.linalg.LinAlgError:
        least = float(scipy.linalg.eigvalsh(noisy, subset_by_index=(0, 0))[0])
        factor = None
    if factor is None or least <= rounding:
        # Of this or more: a tenth above what it takes, so that two digits of it do as well.
        enough = 1.1 * (noise + 2 * rounding - min(least, 0.0))
        raise ValueError(
            f"nngp: got a matrix whose least eigenvalue, noise included, is {least:.2g}, expected more "
            f"than {rounding:.2g}, which the rounding of its {array.dtype} entries may move it by; "
            f"drop duplicate sequences, or pass noise of at least {enough:.2g}"
            + (", or compute the kernel in float64." if array.dtype != np.float64 else ".")
        )
    return factor


def _least_eigenvalue(factor: np.ndarray) -> float:
    """Of ``L L^T``, by inverse iteration: from above, and within a few percent where it decides."""
    vector = np.random.default_rng(0).normal(size=len(factor))
    value = np.inf
    for _ in range(_ITERATIONS):
        vector /= np.linalg.norm(vector)
        image = scipy.linalg.cho_solve((factor, True), vector)
        value, vector = 1 / float(vector @ image), image
    return value

"""The marginal likelihood of a Gaussian process, with its gradient, and the search for its maximum."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

from ntkrnn.estimators._gp_calibration import inverse_of
from ntkrnn.estimators._progress import tell
from ntkrnn.solvers import leave_one_out

RATIOS = np.logspace(-8, 2, 21)
"""Of noise to the mean variance of a kernel."""
Kernel = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""``scales -> (kernel [N, N], derivatives by their logarithms [P, N, N])``."""


class Posterior(NamedTuple):
    """What predictions are made from."""

    factor: np.ndarray
    """Lower Cholesky factor of ``output_scale^2 K + noise I``."""
    coefficients: np.ndarray
    """``[N, O]``: its inverse times the targets."""
    likelihood: float
    """Logarithm of the marginal likelihood."""


def posterior(kernel: np.ndarray, targets: np.ndarray, amplitude: float, noise: float) -> Posterior:
    r"""``log p(y) = -1/2 y^T C^{-1} y - 1/2 log |C| - N/2 log 2 pi``, ``C = amplitude K + noise I``.

    Args:
        kernel: float64 ``[N, N]``.
        targets: float64 ``[N, O]``, independent given the kernel.
        amplitude: the square of the output scale.
        noise: a variance.

    Raises:
        numpy.linalg.LinAlgError: if C is not positive definite.

    Cost: N^3/3 multiply-adds.

    Source: Rasmussen & Williams 2006, algorithm 2.1.
    """
    n, outputs = targets.shape
    covariance = amplitude * kernel
    covariance.flat[:: n + 1] += noise
    factor = scipy.linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    coefficients = scipy.linalg.cho_solve((factor, True), targets, check_finite=False)
    quadratic = float(np.sum(targets * coefficients))
    determinant = 2 * float(np.sum(np.log(np.diagonal(factor))))
    value = -0.5 * (quadratic + outputs * (determinant + n * np.log(2 * np.pi)))
    return Posterior(factor, coefficients, value)


def likelihood(
    kernel: np.ndarray, slopes: np.ndarray, targets: np.ndarray, amplitude: float, noise: float
) -> tuple[float, np.ndarray]:
    r"""The log marginal likelihood, and its gradient by the logarithms of scales, amplitude and noise.

    ``d log p / d t = 1/2 tr((a a^T - O C^{-1}) dC/dt)`` with ``a = C^{-1} y``.

    Args:
        kernel: float64 ``[N, N]``.
        slopes: its derivatives ``[P, N, N]``.
        targets: ``[N, O]``.
        amplitude: the square of the output scale.
        noise: a variance.

    Returns:
        The value, and ``[P + 2]``.

    Cost: N^3 multiply-adds, and (P + 2) N^2.

    Source: Rasmussen & Williams 2006, equation 5.9.
    """
    found = posterior(kernel, targets, amplitude, noise)
    inverse = inverse_of(found.factor)
    cotangent = 0.5 * (found.coefficients @ found.coefficients.T - targets.shape[1] * inverse)
    by_scales = [amplitude * np.vdot(cotangent, slope) for slope in slopes]
    by_amplitude = amplitude * np.vdot(cotangent, kernel)
    return found.likelihood, np.array([*by_scales, by_amplitude, noise * np.trace(cotangent)])


def profiled(kernel: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """The amplitude and the noise of the largest marginal likelihood for a given kernel, on a grid.

    For a fixed ratio of the two the best amplitude has a closed form, and one eigendecomposition serves
    for all ratios: a search that begins there does not lose its way to a kernel that explains nothing.

    Args:
        kernel: float64 ``[N, N]``.
        targets: ``[N, O]``.

    Cost: some 9 N^3 multiply-adds.
    """
    ratios = RATIOS * max(float(np.mean(np.diagonal(kernel))), np.finfo(np.float64).tiny)
    path = leave_one_out(kernel, targets, ratios)
    best = int(np.argmax(path.log_marginal_likelihood))
    amplitude = float(np.mean(targets * path.coefficients(best)))
    return amplitude, amplitude * ratios[best]


def maximise(
    kernel: Kernel, targets: np.ndarray, starts: list[np.ndarray], bounds: np.ndarray
) -> tuple[np.ndarray, float]:
    """The scales, amplitude and noise ``[P + 2]`` of the largest marginal likelihood that is met.

    Args:
        kernel: as above.
        targets: ``[N, O]``.
        starts: where the search begins, ``[P + 2]`` each.
        bounds: ``[P + 2, 2]``.

    Raises:
        numpy.linalg.LinAlgError: if the covariance is positive definite at no start.

    Cost: some 20 to 60 evaluations for every start.

    Source: L-BFGS-B (Byrd, Lu, Nocedal & Zhu 1995), through scipy.
    """

    def negative(logs: np.ndarray) -> tuple[float, np.ndarray]:
        *scales, amplitude, noise = np.exp(logs)
        try:
            value, slope = likelihood(*kernel(np.array(scales)), targets, amplitude, noise)
        except np.linalg.LinAlgError:  # a line search steps back from there
            return np.inf, np.zeros_like(logs)
        tell(f"log marginal likelihood {value:.1f}")
        return -value, -slope

    best, least = None, np.inf
    for start in starts:
        found = scipy.optimize.minimize(
            negative, np.log(start), jac=True, method="L-BFGS-B", bounds=np.log(bounds)
        )
        if best is None or found.fun < least:
            best, least = np.exp(found.x), float(found.fun)
    if best is None or not np.isfinite(least):
        raise np.linalg.LinAlgError("the covariance is not positive definite at any start")
    return best, -least

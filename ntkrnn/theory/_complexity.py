"""How hard labels are for a kernel: the norm of their interpolant, their place in the spectrum."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ntkrnn import _checks
from ntkrnn.theory._kernel_matrices import factor, gram, targets


class KernelComplexity(NamedTuple):
    """What :func:`kernel_complexity` returns; ``[k]`` arrays for labels ``[n, k]``."""

    value: Any
    """``sqrt(y^T H^{-1} y / n)``."""
    quadratic: Any
    """``y^T H^{-1} y``."""
    condition: float
    """Estimate of the condition of H in the 1-norm."""
    error: float
    """``eps * condition``, eps that of the kernel's dtype: the relative error of ``quadratic`` that the
    rounding of the kernel's entries may cause. Below 1/n, or there is no result."""


def kernel_complexity(ntk: Any, y: Any, *, ridge: float = 0.0) -> KernelComplexity:
    r"""The complexity of labels for a kernel, ``sqrt(y^T (H + ridge I)^{-1} y / n)``.

    ``sqrt(y^T H^{-1} y)`` is the norm of the least function of the kernel's space that interpolates the
    labels; wide networks trained by (stochastic) gradient descent from small outputs generalise, up to
    constants and powers of the length, with an error of this value plus ``sqrt(log(1/delta)/n)``.

    Args:
        ntk: ``[n, n]``, H, the kernel of the training sequences with themselves; float32 is converted,
            and has then lost all but ``error`` of the result: prefer float64.
        y: ``[n]``, or ``[n, k]`` for k label vectors at once; for the complexity of k outputs together
            take ``numpy.linalg.norm`` of the values.
        ridge: added to the diagonal, in units of the kernel.

    Returns:
        A :class:`KernelComplexity`, in float64.

    Raises:
        SingularKernelError: a ValueError, if H has no Cholesky factor or its condition is above
            ``1/(n eps)`` with the eps of the kernel's own dtype; it names the smallest eigenvalue,
            equal rows, and what to do.
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: O(n^3/3 + n^2 k).

    Source: WSHC21 (arXiv 2109.14142) and, before it, Arora et al. 2019 (arXiv 1901.08584); up to
    constants, see the papers.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.theory import kernel_complexity
        >>> found = kernel_complexity(np.diag([4.0, 1.0]), [2.0, 1.0])
        >>> float(found.value), float(found.quadratic), found.condition
        (1.0, 2.0, 4.0)
    """
    done = factor("ntk", ntk, ridge)
    n = done.matrix.shape[0]
    labels = targets("y", y, n)
    half = scipy.linalg.solve_triangular(done.upper, labels, trans=1)
    quadratic = np.sum(half**2, axis=0)
    return KernelComplexity(
        np.sqrt(quadratic / n), quadratic, done.condition, done.eps * done.condition
    )


def cumulative_power(ntk: Any, y: Any) -> np.ndarray:
    r"""The part of ``||y||^2`` in the span of the j leading eigenvectors of the kernel, for every j.

    ``sum_{i<=j} ||u_i^T y||^2/||y||^2`` with ``H u_i = lambda_i u_i``, the largest eigenvalues first:
    gradient descent learns the leading directions first, at the rate lambda_i/n.

    Args:
        ntk: ``[n, n]``, H; it may be singular.
        y: ``[n]``, or ``[n, k]`` for k outputs together.

    Returns:
        ``[n]``, growing to 1. Within a group of equal eigenvalues the eigenvectors are arbitrary, and
        with them all values but the one at the end of the group.

    Raises:
        TypeError, ValueError: naming the argument; if all labels are 0.

    Cost: O(n^3).

    Source: Arora et al. 2019 (arXiv 1901.08584), section 4, for the rates.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.theory import cumulative_power
        >>> cumulative_power(np.diag([1.0, 9.0, 4.0]), [1.0, 1.0, 0.0]).round(12).tolist()
        [0.5, 0.5, 1.0]
    """
    matrix, _ = gram("ntk", ntk)
    labels = _nonzero(targets("y", y, matrix.shape[0]).reshape(matrix.shape[0], -1), "y", "")
    _, vectors = scipy.linalg.eigh(matrix)
    power = np.sum((vectors[:, ::-1].T @ labels) ** 2, axis=1)
    total = np.cumsum(power)
    return total / total[-1]


def alignment(ntk: Any, y: Any, *, centred: bool = True) -> float:
    r"""Kernel-target alignment, ``<H, y y^T>/(||H|| ||y y^T||)`` in Frobenius norms.

    Args:
        ntk: ``[n, n]``, H; it may be singular.
        y: ``[n]``, or ``[n, k]`` for k outputs: then ``Y Y^T`` is in place of ``y y^T``.
        centred: whether rows and columns of both matrices are centred first, ``C H C`` with
            ``C = I - 1 1^T/n``, so that constant functions do not count.

    Returns:
        Between 0 and 1 for a kernel, 1 if H is a multiple of ``y y^T``.

    Raises:
        TypeError, ValueError: naming the argument; if H or the labels are 0, after centring.

    Cost: O(n^2 k).

    Source: Cristianini et al. 2001 (On kernel-target alignment); centred: Cortes, Mohri & Rostamizadeh
    2012 (arXiv 1203.0550).

    Example:
        >>> import numpy as np
        >>> from ntkrnn.theory import alignment
        >>> y = np.array([1.0, -1.0, 1.0, -1.0])
        >>> round(alignment(np.outer(y, y) + 5, y), 9), round(alignment(np.eye(4), y, centred=False), 9)
        (1.0, 0.5)
    """
    matrix, eps = gram("ntk", ntk)
    centred = _checks.boolean("centred", centred)
    labels = targets("y", y, matrix.shape[0]).reshape(matrix.shape[0], -1)
    where, size = "", np.abs(matrix).max()
    if centred:
        where = " after centring (pass centred=False to keep the mean)"
        before = labels
        labels = _nonzero(labels, "y", "") - labels.mean(axis=0)
        # What is left of a constant is rounding.
        labels = np.where(np.abs(labels) > 4 * eps * np.abs(before).max(), labels, 0.0)
        matrix = matrix - matrix.mean(axis=0) - matrix.mean(axis=1)[:, None] + matrix.mean()
        matrix = matrix if np.abs(matrix).max() > 16 * eps * size else 0 * matrix
    labels, matrix = _nonzero(labels, "y", where), _nonzero(matrix, "ntk", where)
    of_labels = np.linalg.norm(labels.T @ labels)  # that of Y Y^T, which is larger
    return float(np.sum(labels * (matrix @ labels)) / (np.linalg.norm(matrix) * of_labels))


def _nonzero(array: np.ndarray, name: str, where: str) -> np.ndarray:
    if not array.any():
        raise ValueError(f"{name}: got zeros only{where}, expected some entry other than 0.")
    return array

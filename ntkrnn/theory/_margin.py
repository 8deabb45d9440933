"""The complexity of labels with a margin: a hard-margin kernel machine without a bias."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

from ntkrnn.theory._kernel_matrices import FLOAT64, Factor, factor, targets


class MarginComplexity(NamedTuple):
    """What :func:`margin_complexity` returns."""

    value: float
    """``sqrt(yt^T H^{-1} yt / n)`` at the best labels yt."""
    quadratic: float
    """``yt^T H^{-1} yt``."""
    labels_tilde: np.ndarray
    """``[n]``: yt, with ``y_i yt_i >= 1``."""
    support: np.ndarray
    """``[s]``: the rows with ``y_i yt_i = 1`` that hold the others off, in ascending order."""
    weights: np.ndarray
    """``[n]``: a >= 0, 0 outside of the support; ``yt = H (y * a)``."""
    gap: float
    """How far ``quadratic`` may be above the minimum, relative to it: the gap between both problems."""
    condition: float
    """Estimate of the condition of H in the 1-norm."""


def margin_complexity(ntk: Any, labels: Any, *, ridge: float = 0.0) -> MarginComplexity:
    r"""The least complexity of any labels with the same signs, at a distance of at least 1 from 0.

    ``min sqrt(yt^T H^{-1} yt / n)`` over ``y_i yt_i >= 1``. Its dual is that of the support vector
    machine with hard margin and **no bias**, ``max 1^T a - a^T G a/2`` over ``a >= 0``, with
    ``G_ij = y_i H_ij y_j`` and ``yt = H (y * a)``; with ``G = R^T R`` this is the nonnegative least
    squares problem ``min ||R a - R^{-T} 1||``, solved by an active set in finitely many steps.

    Args:
        ntk: ``[n, n]``, H, the kernel of the training sequences with themselves; converted to float64.
        labels: ``[n]``, each -1 or 1.
        ridge: added to the diagonal of H.

    Returns:
        A :class:`MarginComplexity`, in float64; never above :func:`kernel_complexity` of the labels.

    Raises:
        SingularKernelError: a ValueError, as in :func:`kernel_complexity`.
        TypeError, ValueError: naming the argument, what came and what was expected.
        RuntimeError: if the solver stopped before the minimum, with the gap that it left.

    Cost: O(n^3) for each of as many steps as there are support vectors, a few at a time in practice:
    meant for n up to some thousand.

    Source: WSHC21 (arXiv 2109.14142), up to constants; the solver: Lawson & Hanson 1974, through SciPy.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.theory import margin_complexity
        >>> found = margin_complexity(np.array([[1.0, 0.9], [0.9, 1.8]]), [1, 1])
        >>> found.labels_tilde.round(6).tolist(), found.support.tolist()
        ([1.0, 1.0], [0, 1])
        >>> margin_complexity(np.array([[1.0, 1.2], [1.2, 1.8]]), [1, 1]).labels_tilde.round(6).tolist()
        [1.0, 1.2]
    """
    done = factor("ntk", ntk, ridge)
    n = done.matrix.shape[0]
    y = targets("labels", labels, n)
    if y.ndim != 1 or not np.isin(y, (-1.0, 1.0)).all():
        shown = f"shape {y.shape}" if y.ndim != 1 else f"values {np.unique(y)[:4].tolist()}"
        raise ValueError(
            f"labels: got {shown}, expected [{n}] with entries -1 or 1; for two classes 0 and 1 pass "
            "2 * labels - 1, for more classes one against the rest."
        )
    weights = _solve(done, y)
    tilde = done.matrix @ (y * weights)
    # A feasible point: scaling up what rounding left below the margin keeps the bound a bound.
    margin = float((y * tilde).min())
    norm = float(weights @ (y * tilde))
    dual = 2 * float(weights.sum()) - norm
    if margin <= 0 or dual <= 0:
        raise RuntimeError(_stopped(np.inf, done))
    scale = max(1.0, 1 / margin)
    quadratic = norm * scale**2
    gap = max(0.0, quadratic / dual - 1)
    # Rounding of a solve with G, of condition `condition`, moves margins by this much.
    if gap > 100 * n * FLOAT64 * done.condition:
        raise RuntimeError(_stopped(gap, done))
    return MarginComplexity(
        float(np.sqrt(quadratic / n)),
        quadratic,
        tilde * scale,
        np.flatnonzero(weights),
        weights * scale,
        gap,
        done.condition,
    )


def _solve(done: Factor, y: np.ndarray) -> np.ndarray:
    """The weights a >= 0 that maximise the dual."""
    upper = done.upper * y  # (R Y)^T (R Y) = Y H Y
    right = scipy.linalg.solve_triangular(done.upper, y, trans=1)
    try:
        found, _ = scipy.optimize.nnls(upper, right, maxiter=10 * len(y))
    except RuntimeError as error:
        raise RuntimeError(_stopped(np.inf, done)) from error
    # The equations of the support once more, without the normal equations' loss of digits.
    support = np.flatnonzero(found)
    if not support.size:
        raise RuntimeError(_stopped(np.inf, done))
    signs = y[support]
    part = done.matrix[np.ix_(support, support)] * signs[:, None] * signs[None, :]
    polished = scipy.linalg.solve(part, np.ones(len(support)), assume_a="pos")
    if polished.min() > 0:
        found = np.zeros(len(y))
        found[support] = polished
    return found


def _stopped(gap: float, done: Factor) -> str:
    left = "no bound on the minimum" if np.isinf(gap) else f"a relative gap of {gap:.1e}"
    return (
        f"the nonnegative least squares solver stopped with {left} (n={done.matrix.shape[0]}, "
        f"condition {done.condition:.1e}); pass a ridge, or a kernel in float64 "
        "without nearly equal sequences."
    )

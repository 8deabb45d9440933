"""Preconditioned conjugate gradients for all targets at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.solvers._checkpoint import Checkpoint
from ntkrnn.solvers._system import Solution, System, checked_ridge, system

TOLERANCE, MAX_ITERATIONS = 1e-8, 1000
RANK = 500
"""Of the preconditioner that :func:`ntkrnn.solvers.auto` makes."""


def pcg(
    kernel: Any,
    y: Any,
    ridge: float,
    *,
    preconditioner: Callable[[np.ndarray], np.ndarray],
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
    checkpoint: Any = None,
) -> Solution:
    r"""Solve ``(K + ridge I) x = y`` by preconditioned conjugate gradients, in float64.

    The columns of y advance together, each with its own steps, so that an iteration is one product with
    the kernel. One whose residual is small enough rests.

    Args:
        kernel: ``[N, N]``, symmetric and positive semidefinite up to rounding, of float32 or float64;
            no copy is made of it. One of :mod:`ntkrnn.gram` is read, or computed, once an iteration.
        y: ``[N]`` or ``[N, O]``.
        ridge: above 0.
        preconditioner: ``[N, O] -> [N, O]``, an approximate inverse of ``K + ridge I`` up to a factor,
            such as :func:`ntkrnn.solvers.nystrom` returns.
        tolerance: of the residual, relative to y.
        max_iterations: after which it is given up.
        checkpoint: a file (.npz) for the state after every tenth iteration. Where it is there, the same
            call goes on from it, with the same preconditioner to the same iterates; removed at the end.

    Returns:
        A :class:`ntkrnn.solvers.Solution`; ``converged`` says whether the tolerance is met.

    Raises:
        TypeError, ValueError: naming the argument; for a kernel that turns out to be indefinite.

    Warns:
        UserWarning: if it is given up, with the residual that was reached.

    Cost: 2 N^2 O operations an iteration, and some vectors ``[N, O]``. The error falls at least by
    ``(sqrt(c) - 1)/(sqrt(c) + 1)`` in each, for a condition number c after preconditioning.

    Source: Hestenes & Stiefel 1952.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.solvers import nystrom, pcg
        >>> kernel = np.diag([4.0, 1.0, 0.0])
        >>> found = pcg(kernel, np.ones(3), 1.0, preconditioner=nystrom(kernel, 1.0, rank=2))
        >>> found.coefficients.round(6).tolist(), found.converged
        ([0.2, 0.5, 1.0], True)
    """
    ridge, given = checked_ridge(ridge), system(kernel, y)
    tolerance = _checks.positive_float("tolerance", tolerance)
    most = _checks.positive_integer("max_iterations", max_iterations)
    kept = Checkpoint(checkpoint, given, ridge)
    return iterated(given, ridge, preconditioner, tolerance, most, kept)


def iterated(
    given: System,
    ridge: float,
    preconditioner: Callable[[np.ndarray], np.ndarray],
    tolerance: float,
    most: int,
    checkpoint: Checkpoint | None = None,
) -> Solution:
    """The same for what is checked."""
    targets = given.targets
    size = np.linalg.norm(targets, axis=0)
    x, residual = np.zeros_like(targets), targets.copy()
    direction = preconditioned = preconditioner(residual)
    inner = np.einsum("no,no->o", residual, preconditioned)
    first = done = 0
    kept = checkpoint.load() if checkpoint else None
    if kept:
        first = int(kept["done"])
        x, residual, direction, inner = (kept[name] for name in ("x", "residual", "direction", "inner"))
    for done in range(first, most + 1):
        if checkpoint and done > first:
            checkpoint.keep(done, x=x, residual=residual, direction=direction, inner=inner)
        active = np.linalg.norm(residual, axis=0) > tolerance * size
        if done == most or not active.any():
            break
        image = given.product(direction) + ridge * direction
        curvature = np.einsum("no,no->o", direction, image)
        if (curvature[active] <= 0).any():
            raise ValueError(
                f"kernel: got a direction of curvature {curvature[active].min():.2g} with "
                f"ridge={ridge:g}, expected a positive definite matrix; pass a larger ridge."
            )
        step = np.where(active, inner / np.where(active, curvature, 1.0), 0.0)
        x += step * direction
        residual = residual - step * image  # not in place: the preconditioner may hand back its input
        preconditioned = preconditioner(residual)
        before, inner = inner, np.einsum("no,no->o", residual, preconditioned)
        share = np.divide(inner, before, out=np.zeros_like(inner), where=before > 0)
        direction = preconditioned + share * direction
    if checkpoint and done < most:
        checkpoint.remove()
    # The residual of the recurrence is not that of x to the last digits: ten times it passes.
    found = given.solution(x, ridge, "pcg", done, 10 * tolerance)
    if not found.converged:
        warnings.warn(
            f"pcg: the residual is {found.residual:.1e} of y after {done} iterations, and "
            f"tolerance={tolerance:g}; pass a preconditioner of higher rank, a larger ridge, or more "
            "iterations.",
            stacklevel=2,
        )
    return found

"""The choice of a kernel and a ridge by the error on series that were left out one at a time.

Every candidate is a kernel. One eigendecomposition of it gives the leave-one-out predictions for all
ridges, so that nothing is fitted twice and no validation set is taken away from few series.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from ntkrnn.estimators._kernel import RecurrentKernel
from ntkrnn.estimators._progress import tell
from ntkrnn.estimators._sequences import Sequences
from ntkrnn.infinite import KernelOverflowError
from ntkrnn.solvers import LeaveOneOut, leave_one_out

ALPHAS = np.logspace(-6, 1, 29)
"""Ridges, in units of the mean diagonal of the kernel."""
COLUMNS = ("candidate", "alpha", "loo_score", "criterion")
TIE = 1e-9
"""Relative difference below which two criteria are one: the smaller ridge, the earlier candidate."""
CRITERIA: dict[str, Callable[[LeaveOneOut, np.ndarray], np.ndarray]] = {
    "loo": lambda path, errors: errors,
    "gcv": lambda path, errors: path.gcv,
    "marginal_likelihood": lambda path, errors: -path.log_marginal_likelihood,
}
"""What is minimised, for every ridge ``[R]``, of a path and its mean squared leave-one-out errors."""


@dataclasses.dataclass
class Choice:
    """The kernel and the ridge that were chosen, and what they were chosen from."""

    kernel: RecurrentKernel
    alpha: float
    coefficients: np.ndarray
    """``[N, O]``: ``(K + alpha I)^{-1} y``."""
    left_out: np.ndarray
    """``[N, O]``: the prediction of every series by the others."""
    table: dict[str, np.ndarray]
    """A row a candidate."""
    chosen: int
    rows: np.ndarray
    """Of the series that it was chosen by."""
    rounding: float
    """By how much the rounding of entries of float32 moves the eigenvalues of a kernel at most: eps N
    times their mean."""


def choose(
    kernels: Sequence[RecurrentKernel],
    sequences: Sequences,
    targets: np.ndarray,
    counted: np.ndarray,
    alphas: np.ndarray,
    selection: str,
) -> Choice:
    """Fit every kernel, and take the one and the ridge with the least criterion.

    Args:
        kernels: candidates, not fitted.
        sequences: of ``fit``.
        targets: float64 ``[N, O]``, centred.
        counted: boolean ``[N]``, whose left-out errors count.
        alphas: ridges in units of the mean diagonal, ascending.
        selection: the criterion.

    Raises:
        ValueError: if no candidate has a finite kernel; says why each has none.

    Warns:
        UserWarning: for candidates that were dropped.

    Cost: for every candidate its kernel and an eigendecomposition, O(N^3).
    """
    best: Choice | None = None
    least, rows, dropped = np.inf, [], []
    for i, kernel in enumerate(kernels):
        tell(kernel.describe())
        try:
            gram = kernel.fit_gram(sequences)
        except KernelOverflowError as error:
            dropped.append(f"{kernel.describe()}: {error}")
            rows.append((kernel.describe(), np.nan, np.nan, np.nan))
            continue
        unit = float(np.mean(np.diagonal(gram))) or 1.0
        path = leave_one_out(gram, targets, alphas * unit)
        errors = path.mean_squared_errors(counted)
        criterion = CRITERIA[selection](path, errors)
        at = int(np.flatnonzero(criterion <= criterion.min() + TIE * abs(criterion.min()))[0])
        loo = float(errors[at])
        rows.append((kernel.describe(), float(alphas[at] * unit), loo, float(criterion[at])))
        if best is None or criterion[at] < least - TIE * abs(least):
            least = float(criterion[at])
            rounding = float(np.finfo(np.float32).eps) * len(gram) * unit
            solved = path.coefficients(at), path.predictions(at)
            best = Choice(kernel, rows[-1][1], *solved, {}, i, np.arange(len(gram)), rounding)
    for text in dropped:
        warnings.warn(f"A candidate is dropped, {text}", stacklevel=4)
    if best is None:
        raise ValueError(
            "architecture: got no candidate with a finite kernel, expected at least one; lower the "
            "scales, or standardise the series."
        )
    columns = zip(*rows, strict=True)
    best.table = {name: np.array(values) for name, values in zip(COLUMNS, columns, strict=True)}
    return best

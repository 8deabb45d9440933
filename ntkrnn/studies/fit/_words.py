"""A fit in words: what was chosen and from what, and how well it predicts."""

from __future__ import annotations

from typing import Any, NamedTuple

from ntkrnn.data import Dataset, Records
from ntkrnn.estimators import RecurrentGPRegressor
from ntkrnn.report.scores import Score
from ntkrnn.studies.fit._form import LEVELS, FitResult

CANDIDATE_COLUMNS = ("kernel", "ridge", "leave-one-out error", "chosen")


class Candidate(NamedTuple):
    """A kernel that was compared."""

    kernel: str
    ridge: float
    """That with the least error, in units of the kernel."""
    leave_one_out_error: float
    """Mean square of left-out series' targets, which are +1 and -1 for classes."""
    chosen: bool

    @property
    def cells(self) -> list[str]:
        """Text by :data:`CANDIDATE_COLUMNS`."""
        error = f"{self.leave_one_out_error:.4g}"
        return [self.kernel, f"{self.ridge:.1e}", error, "yes" if self.chosen else ""]


def candidates(result: FitResult) -> list[Candidate]:
    """The kernels that were compared; none for forecasts."""
    if isinstance(result.model, RecurrentGPRegressor):
        return []
    table, chosen = result.model.candidates_, result.model.kernel_.describe()
    rows = zip(table["candidate"], table["alpha"], table["loo_score"], strict=True)
    return [
        Candidate(str(name), float(ridge), float(error), bool(name == chosen))
        for name, ridge, error in rows
    ]


def described(data: Dataset | Records) -> str:
    """A line on the data; the estimators standardise, and say how."""
    return data.describe().removesuffix(", not standardised")


def found_scales(result: FitResult) -> dict[str, float]:
    """What a Gaussian process found by marginal likelihood, by name; empty for other models."""
    model: Any = result.model
    if not isinstance(model, RecurrentGPRegressor):
        return {}
    scales = {name: float(getattr(model.architecture_, name)) for name in model.fitted}
    return scales | {
        "output_scale": model.output_scale_,
        "noise": model.noise_,
        "log_marginal_likelihood": model.log_marginal_likelihood_value_,
    }


def said(result: FitResult) -> list[str]:
    """The outcome, in sentences."""
    found = result.evaluation
    if result.settings.task == "classify":
        return [
            f"accuracy {_interval(result.score, '.3f')}, of {found.how}",
            f"{result.baseline:.3f} is the share of the most frequent class",
        ]
    covered = f"95% bands hold {found.covered[-1]:.1%} of {len(found.truth)} targets"
    assert LEVELS[-1] == 0.95
    return [
        f"root mean squared error {_interval(result.score, '.4g')}, of {found.how}",
        f"{result.baseline:.4g} is that of the mean; {covered}",
    ]


def _interval(score: Score, form: str) -> str:
    return f"{score.value:{form}}, 95% interval ({score.low:{form}}, {score.high:{form}})"

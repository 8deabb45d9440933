"""A fit in words: what was chosen and from what, and how well it predicts."""

from __future__ import annotations

from typing import Any

from ntkrnn.estimators import RecurrentGPRegressor
from ntkrnn.report.scores import Score
from ntkrnn.studies.fit._form import LEVELS, FitResult

CANDIDATE_COLUMNS = ("kernel", "ridge", "leave-one-out error", "chosen")


def candidates(result: FitResult) -> list[list[str]]:
    """Rows of the kernels that were compared, by :data:`CANDIDATE_COLUMNS`; none for forecasts.

    The error is the mean square of left-out series' targets, which are +1 and -1 for classes, at the
    ridge that has the least.
    """
    if isinstance(result.model, RecurrentGPRegressor):
        return []
    table, chosen = result.model.candidates_, result.model.kernel_.describe()
    rows = zip(table["candidate"], table["alpha"], table["loo_score"], strict=True)
    return [
        [name, f"{alpha:.1e}", f"{error:.4g}", "yes" if name == chosen else ""]
        for name, alpha, error in rows
    ]


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

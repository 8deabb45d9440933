"""Classes and numbers of whole series: folds, or a test set."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from ntkrnn.data import Dataset
from ntkrnn.estimators import RecurrentKernelClassifier, RecurrentKernelRidge
from ntkrnn.studies.fit._estimator import estimator
from ntkrnn.studies.fit._form import FOLDS, LEVELS, Evaluation, FitSettings

Fit = Callable[[str, Callable[[], Any]], Any]
"""``fit(what, make)``: calls ``make``, and says meanwhile what it is about."""
Parts = list[tuple[np.ndarray, np.ndarray]]


def check(settings: FitSettings, data: Dataset, test: Dataset | None) -> None:
    """Raise ValueError unless the labels are those of the task, and the two sets go together."""
    for name, one in (("data", data), ("test", test)):
        if one is not None and one.labels is None:
            raise ValueError(
                f"{name}: got {one.name} without labels, expected them; --label-column names their "
                "column in a table."
            )
    assert data.labels is not None
    if settings.task == "regress" and data.labels.dtype.kind not in "iuf":
        raise ValueError(
            f"task: got 'regress' with labels such as {data.labels[0].item()!r}, expected numbers; "
            "classes are for --task classify."
        )
    if test is None:
        return
    assert test.labels is not None
    if test.x.shape[2] != data.x.shape[2]:
        raise ValueError(
            f"test: got {test.x.shape[2]} channels, expected {data.x.shape[2]} as {data.name} has."
        )
    unknown = np.setdiff1d(test.labels, data.labels)
    if settings.task == "classify" and len(unknown):
        raise ValueError(
            f"test: got the class {unknown[0].item()!r} ({len(unknown)} such classes), which no series "
            f"of {data.name} has; expected classes that can be learned."
        )


def predict_test(test: Dataset, final: Any) -> Evaluation:
    """Predict series that no fit saw."""
    rows = np.arange(len(test.x))
    how = f"{test.name}, which no fit saw"
    return Evaluation(how, rows, None, np.asarray(test.labels), **_predicted(final, test, rows))


def predict_parts(
    settings: FitSettings, data: Dataset, parts: Parts, final: Any, fit: Fit
) -> Evaluation:
    """Predict every fold by a model that is fitted to the others.

    Args:
        settings: what is fitted.
        data: the training series.
        parts: rows that are fitted to, and rows that are predicted.
        final: the model of all, which knows all classes.
        fit: runs a fit.
    """
    found: list[dict[str, np.ndarray]] = []
    for i, (kept, left) in enumerate(parts):
        model = fit(f"fold {i + 1} of {len(parts)}", lambda kept=kept: fitted(settings, data, kept))
        one = _predicted(model, data, left)
        if settings.task == "classify":  # a fold may lack a class of one series
            whole = np.zeros((len(left), len(final.classes_)))
            whole[:, np.searchsorted(final.classes_, model.classes_)] = one["probabilities"]
            one["probabilities"] = whole
        found.append(one)
    rows = np.concatenate([left for _, left in parts])
    order = np.argsort(rows)
    joined = {key: np.concatenate([one[key] for one in found])[order] for key in found[0]}
    how = f"every series of {data.name} by a fit to the other {len(parts) - 1} of {len(parts)} folds"
    return Evaluation(how, rows[order], None, np.asarray(data.labels)[rows[order]], **joined)


def fitted(settings: FitSettings, data: Dataset, rows: Any = slice(None)) -> Any:
    """The estimator, fitted to some series."""
    assert data.labels is not None
    lengths = None if data.lengths is None else data.lengths[rows]
    return estimator(settings).fit(data.x[rows], data.labels[rows], lengths=lengths)


def parts(settings: FitSettings, data: Dataset) -> Parts:
    """Of every fold the rows that are fitted to, and those that are predicted.

    Raises:
        ValueError: naming cv, if there are too few series for them.
    """
    n, asked = len(data.x), FOLDS if settings.folds is None else settings.folds
    _, columns = np.unique(np.asarray(data.labels), return_inverse=True)
    most = int(np.bincount(columns).max()) if settings.task == "classify" else n
    if most < 2 or (settings.folds is not None and asked > most):
        of = "series of the most frequent class" if settings.task == "classify" else "series"
        raise ValueError(
            f"cv: got {asked} folds of {data.name}, which has {most} {of}, expected 2 to that number; "
            "without folds give test series, with --test."
        )
    folds: dict[str, Any] = {"n_splits": min(asked, most), "shuffle": True}
    folds["random_state"] = settings.seed
    if settings.task == "regress":
        return list(KFold(**folds).split(data.x))
    with warnings.catch_warnings():  # classes with fewer series than folds are absent from some
        warnings.simplefilter("ignore", UserWarning)
        return list(StratifiedKFold(**folds).split(data.x, columns))


def _predicted(model: Any, data: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    lengths = None if data.lengths is None else data.lengths[rows]
    if isinstance(model, RecurrentKernelClassifier):
        probabilities = model.predict_proba(data.x[rows], lengths=lengths)
        best = model.classes_[np.argmax(probabilities, axis=1)]
        return {"predicted": best, "probabilities": probabilities}
    predicted = model.predict(data.x[rows], lengths=lengths)
    return {"predicted": predicted, "bands": np.tile(half_widths(model), (len(rows), 1))}


def half_widths(model: RecurrentKernelRidge) -> np.ndarray:
    """``[L]``: the sizes of residuals of left-out series that are not exceeded by the given shares.

    Source: Barber et al. 2021 (arXiv 1905.02928), the jackknife, with the ``(N + 1)`` of conformal
    prediction; the largest residual where N is too small for a level.
    """
    residuals = np.sort(np.abs(model.loo_residuals_))
    residuals = residuals[~np.isnan(residuals)]
    ranks = np.ceil((len(residuals) + 1) * LEVELS).astype(int)
    return residuals[np.minimum(ranks, len(residuals)) - 1]

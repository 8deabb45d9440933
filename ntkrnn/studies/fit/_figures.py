"""The figures of a fit, by the names of their files."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkrnn.report import predictions as draw
from ntkrnn.studies.fit._form import LEVELS, FitResult

_DRAWN = 400
"""Series of a kernel's image; of more every so-manieth in order is shown."""
_LOOKED_AT = 6
_RECORDS = 4


def figures(result: FitResult) -> dict[str, tuple[str, Figure]]:
    """Of every figure its file's name, what it shows in a sentence, and itself."""
    if result.settings.task == "forecast":
        return _forecast(result)
    if result.settings.task == "regress":
        words = "The kernel of the training series, sorted by target."
        return _regress(result) | {"kernel.png": (words, _kernel(result))}
    words = (
        "The kernel of the training series, sorted by class; a block that stands out is a class that "
        "it tells apart."
    )
    return _classify(result) | {"kernel.png": (words, _kernel(result))}


def _classify(result: FitResult) -> dict[str, tuple[str, Figure]]:
    found, classes = result.evaluation, result.model.classes_
    assert found.probabilities is not None
    true, taken = (np.searchsorted(classes, one) for one in (found.truth, found.predicted))
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (true, taken), 1)
    sure = found.probabilities.max(axis=1)
    accuracy = f"{result.score.value:.1%} of {len(true)} series right"
    return {
        "confusion.png": (
            "How often a class was taken for another one.",
            draw.confusion_matrix(counts, [str(name) for name in classes], title=accuracy),
        ),
        "calibration.png": (
            "How often predictions of a probability were right.",
            draw.reliability(sure, true == taken, title="Probabilities against what is found"),
        ),
        "ambiguous.png": (
            "The series whose two likeliest classes are closest: to look at first where labels may be "
            "wrong.",
            _ambiguous(result),
        ),
    }


def _ambiguous(result: FitResult) -> Figure:
    found, classes = result.evaluation, result.model.classes_
    assert found.probabilities is not None
    ranked = np.argsort(-found.probabilities, axis=1)
    top = np.take_along_axis(found.probabilities, ranked[:, :2], axis=1)
    panels = []
    for i in np.argsort(top[:, 0] - top[:, 1], kind="stable")[:_LOOKED_AT]:
        chances = " or ".join(
            f"{classes[c]} ({p:.0%})" for c, p in zip(ranked[i], top[i], strict=False)
        )
        title = f"series {result.numbers[i]}: is {found.truth[i]}\ncalled {chances}"
        panels.append(draw.Panel(title, _series(result, int(found.rows[i]))))
    return draw.series_panels(panels, title="The most ambiguous series, and their likeliest classes")


def _regress(result: FitResult) -> dict[str, tuple[str, Figure]]:
    found = result.evaluation
    assert found.bands is not None
    errors = np.abs(found.truth - found.predicted)
    panels = [
        draw.Panel(
            f"series {result.numbers[i]}: is {found.truth[i]:.3g}, predicted {found.predicted[i]:.3g}",
            _series(result, int(found.rows[i])),
        )
        for i in np.argsort(-errors, kind="stable")[:_LOOKED_AT]
    ]
    error = f"root mean squared error {result.score.value:.3g}"
    return {
        "predictions.png": (
            "Predictions with 95% bands over the truth.",
            draw.against_truth(found.truth, found.predicted, found.bands[:, -1], title=error),
        ),
        "calibration.png": ("Which share of the truth lies in the bands.", _coverage(result)),
        "ambiguous.png": (
            "The series with the largest errors: to look at first where targets may be wrong.",
            draw.series_panels(panels, title="The series with the largest errors"),
        ),
    }


def _forecast(result: FitResult) -> dict[str, tuple[str, Figure]]:
    found, data = result.evaluation, result.evaluated
    assert found.bands is not None and found.steps is not None
    pieces = []
    for row in np.unique(found.rows)[:_RECORDS]:
        mine = found.rows == row
        name = f"{data.name}, record {row + 1}" if len(data.x) > 1 else data.name
        parts = (found.steps, found.truth, found.predicted, found.bands[:, -1])
        pieces.append((name, *(part[mine] for part in parts)))
    error = f"root mean squared error {result.score.value:.3g}"
    return {
        "forecast.png": (
            "The output, as predicted from the inputs.",
            draw.along_time(pieces, title=error, name=data.target),
        ),
        "calibration.png": ("Which share of the truth lies in the bands.", _coverage(result)),
    }


def _coverage(result: FitResult) -> Figure:
    found = result.evaluation
    title = "Bands against what is found"
    return draw.coverage(LEVELS, found.covered, len(found.truth), title=title)


def _kernel(result: FitResult) -> Figure:
    data: Any = result.data
    model = result.model
    order = np.argsort(data.labels, kind="stable")
    shown = order[:: -(-len(order) // _DRAWN)]
    lengths = None if data.lengths is None else data.lengths[shown]
    kernel = model.kernel_with(data.x[shown], lengths=lengths)[:, shown]
    classes = data.labels[shown] if result.settings.task == "classify" else None
    many = len(order)
    title = (
        f"Kernel of {many} series" if len(shown) == many else f"Kernel of {len(shown)} of {many} series"
    )
    return draw.sorted_kernel(
        kernel, classes, title=title, by="class" if classes is not None else "target"
    )


def _series(result: FitResult, row: int) -> np.ndarray:
    data = result.evaluated
    return data.x[row] if data.lengths is None else data.x[row, : data.lengths[row]]

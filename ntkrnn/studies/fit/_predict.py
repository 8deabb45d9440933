"""A model that was saved, on new data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ntkrnn.data import Dataset, Records
from ntkrnn.estimators import (
    RecurrentGPRegressor,
    RecurrentKernelClassifier,
    RecurrentKernelRidge,
    load,
)
from ntkrnn.studies.fit._files import MODEL
from ntkrnn.studies.fit._form import gaussian_bands
from ntkrnn.studies.fit._series import half_widths

KINDS = (RecurrentKernelClassifier, RecurrentKernelRidge, RecurrentGPRegressor)


class Prediction(NamedTuple):
    """Predictions as a table; series and steps are counted from 1."""

    columns: list[str]
    rows: Iterable[Sequence[Any]]
    predicted: np.ndarray
    """``[M]``."""


def model_of(path: str | os.PathLike[str]) -> Any:
    """The model of a folder that a fit wrote, or of a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it holds no model that predicts; names the file.
    """
    file = Path(path)
    if file.is_dir():
        file = file / MODEL
    model = load(file)
    if not isinstance(model, KINDS):
        raise ValueError(
            f"{file}: got {type(model).__name__}, expected a classifier or a regressor, as ntkrnn fit "
            "writes it."
        )
    return model


def by_steps(model: Any) -> bool:
    """Whether a model predicts the steps of records rather than whole series."""
    return isinstance(model, RecurrentGPRegressor) and model.architecture_.reading.stepwise


def predict(model: Any, data: Dataset | Records) -> Prediction:
    """Predict classes with their probabilities, or numbers with 95% bands.

    Args:
        model: a fitted classifier or regressor.
        data: series with the channels that it was fitted to; labels are not looked at. For a model of
            records :class:`ntkrnn.data.Records`.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Example:
        >>> from ntkrnn.data import load
        >>> from ntkrnn.estimators import RecurrentKernelClassifier
        >>> from ntkrnn.studies.fit import predict
        >>> digits = load("digits", n=40, standardize="none")
        >>> model = RecurrentKernelClassifier().fit(digits.x, digits.labels)
        >>> predict(model, digits).columns[:3]
        ['series', 'predicted', 'p(0)']
    """
    expected = Records if by_steps(model) else Dataset
    if not isinstance(data, expected):
        raise TypeError(f"data: got {type(data).__name__}, expected ntkrnn.data.{expected.__name__}.")
    numbers = np.arange(1, len(data.x) + 1)
    if isinstance(model, RecurrentKernelClassifier):
        chances = model.predict_proba(data.x, lengths=data.lengths)
        best = model.classes_[np.argmax(chances, axis=1)]
        names = [f"p({name})" for name in model.classes_]
        rows = zip(numbers, best, *np.round(chances, 6).T, strict=True)
        return Prediction(["series", "predicted", *names], rows, best)
    if isinstance(model, RecurrentKernelRidge):
        mean = model.predict(data.x, lengths=data.lengths)
        _check_one_output(mean)
        half = np.full(len(mean), half_widths(model)[-1])
        keys = {"series": numbers}
    else:
        mean, std = model.predict(data.x, lengths=data.lengths, return_std=True)
        keys = {"series": numbers}
        if by_steps(model):
            row, step = np.nonzero(~np.isnan(mean))
            mean, std = mean[row, step], std[row, step]
            keys = {"series": row + 1, "step": step + 1}
        _check_one_output(mean)
        half = gaussian_bands(std)[:, -1]
    rows = zip(*keys.values(), mean, mean - half, mean + half, strict=True)
    return Prediction([*keys, "predicted", "low95", "high95"], rows, mean)


def _check_one_output(mean: np.ndarray) -> None:
    if mean.ndim > 1:
        raise ValueError(f"model: got one with {mean.shape[1]} outputs, expected one with one output.")

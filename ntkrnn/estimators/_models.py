"""``save`` and ``load``: which types a model is made of."""

from __future__ import annotations

import os
from typing import Any

from ntkrnn.estimators import _saved
from ntkrnn.estimators._classifier import RecurrentKernelClassifier
from ntkrnn.estimators._gp import RecurrentGPRegressor
from ntkrnn.estimators._kernel import RecurrentKernel
from ntkrnn.estimators._preparation import Preparation
from ntkrnn.estimators._ridge import RecurrentKernelRidge
from ntkrnn.estimators._sequences import Sequences

ESTIMATORS = (RecurrentGPRegressor, RecurrentKernel, RecurrentKernelClassifier, RecurrentKernelRidge)
_TYPES = {kind.__name__: kind for kind in (*ESTIMATORS, Preparation, Sequences)}


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator as one ``.npz`` of arrays and JSON, whole or not at all.

    Args:
        model: an estimator of this module.
        path: the file.

    Raises:
        TypeError: for other objects, and for parameters that a file does not hold, such as a
            nonlinearity of your own.
        OSError: if it cannot be written.

    Cost: the series of ``fit`` are in the file, after their preparation.

    Example:
        >>> import numpy as np, tempfile
        >>> from ntkrnn.estimators import RecurrentKernelRidge, load, save
        >>> x = np.random.default_rng(0).normal(size=(6, 10))
        >>> model = RecurrentKernelRidge().fit(x, x.sum(axis=1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(model, f"{folder}/model.npz")
        ...     np.array_equal(load(f"{folder}/model.npz").predict(x), model.predict(x))
        True
    """
    if not isinstance(model, ESTIMATORS):
        names = ", ".join(kind.__name__ for kind in ESTIMATORS)
        raise TypeError(f"model: got {type(model).__name__}, expected one of {names}.")
    _saved.write(path, model, _TYPES)


def load(path: str | os.PathLike[str]) -> Any:
    """The estimator that :func:`save` wrote. Nothing in a file is run: it is safe to load any.

    Args:
        path: the file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it holds no model; names the file.
    """
    model = _saved.read(path, _TYPES)
    if not isinstance(model, ESTIMATORS):
        raise ValueError(
            f"{os.fspath(path)}: got {type(model).__name__}, expected an estimator, as save writes it."
        )
    return model

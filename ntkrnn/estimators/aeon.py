# pyright: basic
"""The same estimators for aeon: its base classes, its order of axes, its tags.

aeon has series as arrays ``(cases, channels, steps)`` or lists of ``(channels, steps)``; everything
else is as in :mod:`ntkrnn.estimators`, whose models these hold in ``model_``. Needs the extra ``aeon``:
``pip install "ntkrnn[aeon]"``.

Example:
    >>> import numpy as np
    >>> from ntkrnn.estimators.aeon import RecurrentKernelClassifier
    >>> x = np.random.default_rng(0).normal(size=(8, 2, 20))
    >>> RecurrentKernelClassifier().fit(x, np.arange(8) % 2).predict(x).shape
    (8,)
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

try:
    from aeon.classification.base import BaseClassifier
    from aeon.regression.base import BaseRegressor
except ImportError as error:
    raise ImportError(
        f"ntkrnn.estimators.aeon needs aeon, which did not import ({error}); run "
        '`pip install "ntkrnn[aeon]"`.'
    ) from error

from ntkrnn import estimators
from ntkrnn.architectures import Elman
from ntkrnn.estimators._machine import KernelMachine

_TAGS: dict[str, Any] = {
    "X_inner_type": ["np-list", "numpy3D"],
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "algorithm_type": "convolution",
}


def _time_first(X: Any) -> Any:
    """``[N, T, d]``, or a list of ``[T_i, d]``."""
    return np.swapaxes(X, 1, 2) if isinstance(X, np.ndarray) else [np.swapaxes(x, 0, 1) for x in X]


class _Adapter(KernelMachine):
    """What the two have in common: the constructor, and one small setting for aeon's own tests."""

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"architecture": Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3), "max_steps": 8}


class RecurrentKernelClassifier(_Adapter, BaseClassifier):
    """:class:`ntkrnn.estimators.RecurrentKernelClassifier` in aeon's contract.

    Args: see there.

    Attributes:
        model_: the fitted :class:`ntkrnn.estimators.RecurrentKernelClassifier`.
    """

    _tags: ClassVar[dict[str, Any]] = _TAGS

    def _fit(self, X: Any, y: Any) -> RecurrentKernelClassifier:
        self.model_ = estimators.RecurrentKernelClassifier(**self.get_params(deep=False))
        self.model_.fit(_time_first(X), y)
        return self

    def _predict(self, X: Any) -> np.ndarray:
        return self.model_.predict(_time_first(X))

    def _predict_proba(self, X: Any) -> np.ndarray:
        return self.model_.predict_proba(_time_first(X))


class RecurrentKernelRidge(_Adapter, BaseRegressor):
    """:class:`ntkrnn.estimators.RecurrentKernelRidge` in aeon's contract.

    Args: see there.

    Attributes:
        model_: the fitted :class:`ntkrnn.estimators.RecurrentKernelRidge`.
    """

    _tags: ClassVar[dict[str, Any]] = _TAGS

    def _fit(self, X: Any, y: Any) -> RecurrentKernelRidge:
        self.model_ = estimators.RecurrentKernelRidge(**self.get_params(deep=False))
        self.model_.fit(_time_first(X), y)
        return self

    def _predict(self, X: Any) -> np.ndarray:
        return self.model_.predict(_time_first(X))

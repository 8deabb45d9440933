"""Which estimator a task is for."""

from __future__ import annotations

from typing import Any

from ntkrnn.architectures import Elman
from ntkrnn.estimators import RecurrentGPRegressor, RecurrentKernelClassifier, RecurrentKernelRidge
from ntkrnn.studies.fit._form import FitSettings

_RECORDS = Elman(nonlinearity="erf", b_std=0.3, readout="sequence")
"""What "auto" is for records, where the search for scales begins."""
_KINDS = {
    "classify": RecurrentKernelClassifier,
    "regress": RecurrentKernelRidge,
    "forecast": RecurrentGPRegressor,
}


def estimator(settings: FitSettings) -> Any:
    """The estimator of a task, not fitted."""
    arch = settings.architecture
    if settings.task == "forecast" and arch == "auto":
        arch = _RECORDS
    return _KINDS[settings.task](arch, kernel=settings.kernel, random_state=settings.seed)

"""Recurrent kernels in the contract of scikit-learn: fit and predict on series, short or ragged."""

from ntkrnn.estimators._classifier import RecurrentKernelClassifier
from ntkrnn.estimators._gp import RecurrentGPRegressor
from ntkrnn.estimators._kernel import RecurrentKernel
from ntkrnn.estimators._models import load, save
from ntkrnn.estimators._progress import progress
from ntkrnn.estimators._ridge import RecurrentKernelRidge

__all__ = [
    "RecurrentGPRegressor",
    "RecurrentKernel",
    "RecurrentKernelClassifier",
    "RecurrentKernelRidge",
    "load",
    "progress",
    "save",
]

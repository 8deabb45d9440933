"""Recurrent kernels fitted to somebody's sequences: a model, how well it predicts, and a report."""

from ntkrnn.studies.fit._estimator import estimator
from ntkrnn.studies.fit._files import FILES, write_fit
from ntkrnn.studies.fit._form import TASKS, Evaluation, FitResult, FitSettings, gaussian_bands
from ntkrnn.studies.fit._predict import Prediction, by_steps, model_of, predict
from ntkrnn.studies.fit._run import fit, task_of
from ntkrnn.studies.fit._words import CANDIDATE_COLUMNS, candidates, described, found_scales, said

__all__ = [
    "CANDIDATE_COLUMNS",
    "FILES",
    "TASKS",
    "Evaluation",
    "FitResult",
    "FitSettings",
    "Prediction",
    "by_steps",
    "candidates",
    "described",
    "estimator",
    "fit",
    "found_scales",
    "gaussian_bands",
    "model_of",
    "predict",
    "said",
    "task_of",
    "write_fit",
]

"""Infinite-width kernels: exact by recursion along the diagonals of the time-time plane, or sampled."""

from ntkrnn.infinite._family import kernel_fn_of
from ntkrnn.infinite._neurons import MOST_SAMPLES, REPLICATES, SAMPLES, AccuracyWarning
from ntkrnn.infinite._nodes import METHODS, Plan, plan_of, replicates_of
from ntkrnn.infinite._sequence import GramInputs, sequence_kernels
from ntkrnn.infinite._variances import Track, squared_scales, track

__all__ = [
    "METHODS",
    "MOST_SAMPLES",
    "REPLICATES",
    "SAMPLES",
    "AccuracyWarning",
    "GramInputs",
    "Plan",
    "Track",
    "kernel_fn_of",
    "plan_of",
    "replicates_of",
    "sequence_kernels",
    "squared_scales",
    "track",
]

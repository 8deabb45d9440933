"""Infinite-width kernels: by recursion over the time-time plane, or sampled with standard errors."""

from ntkrnn.infinite._family import kernel_fn_of
from ntkrnn.infinite._features import Features, features
from ntkrnn.infinite._neurons import MOST_SAMPLES, REPLICATES, SAMPLES
from ntkrnn.infinite._nodes import METHODS, Plan, plan_of, replicates_of
from ntkrnn.infinite._overflow import KernelOverflowError
from ntkrnn.infinite._replicates import AccuracyWarning
from ntkrnn.infinite._sampled import sampled_kernel_fn
from ntkrnn.infinite._sequence import GramInputs, sequence_kernels
from ntkrnn.infinite._variances import Track, squared_scales, track

__all__ = [
    "METHODS",
    "MOST_SAMPLES",
    "REPLICATES",
    "SAMPLES",
    "AccuracyWarning",
    "Features",
    "GramInputs",
    "KernelOverflowError",
    "Plan",
    "Track",
    "features",
    "kernel_fn_of",
    "plan_of",
    "replicates_of",
    "sampled_kernel_fn",
    "sequence_kernels",
    "squared_scales",
    "track",
]

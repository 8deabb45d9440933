"""Infinite-width kernels: exact by recursion along the diagonals of the time-time plane, or sampled."""

from ntkrnn.infinite._family import kernel_fn_of
from ntkrnn.infinite._neurons import AccuracyWarning
from ntkrnn.infinite._sequence import GramInputs, sequence_kernels
from ntkrnn.infinite._variances import Track, squared_scales, track

__all__ = [
    "AccuracyWarning",
    "GramInputs",
    "Track",
    "kernel_fn_of",
    "sequence_kernels",
    "squared_scales",
    "track",
]

"""Exact infinite-width kernels, by recursion along the diagonals of the time-time plane."""

from ntkrnn.infinite._kernel_fn import kernel_fn_of
from ntkrnn.infinite._sequence import GramInputs, sequence_kernels
from ntkrnn.infinite._variances import Track, squared_scales, track

__all__ = [
    "GramInputs",
    "Track",
    "kernel_fn_of",
    "sequence_kernels",
    "squared_scales",
    "track",
]

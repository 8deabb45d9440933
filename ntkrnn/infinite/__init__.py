"""Exact infinite-width kernels, by recursion along the diagonals of the time-time plane."""

from ntkrnn.infinite._inputs import GramInputs, PairInputs
from ntkrnn.infinite._kernel_fn import kernel_fn_of
from ntkrnn.infinite._readouts import sequence_kernels
from ntkrnn.infinite._variances import Track, squared_scales, track

__all__ = [
    "GramInputs",
    "PairInputs",
    "Track",
    "kernel_fn_of",
    "sequence_kernels",
    "squared_scales",
    "track",
]

"""Infinite-width kernels: by recursion over the time-time plane, or sampled with standard errors.

A shell over an engine for each kind of limit, in a room of its own: ``recursion`` and ``leaky``, which
fill tiles of pairs (``tiles``) from rows of each side (``pairs``); ``sampling``; ``neurons``.
"""

from ntkrnn.infinite._kernel_fn import KernelFn
from ntkrnn.infinite._limits import Limit, Quadrature, Recursion, Sampling
from ntkrnn.infinite._overflow import KernelOverflowError
from ntkrnn.infinite.recursion._given_kernels import GramInputs, sequence_kernels
from ntkrnn.infinite.recursion._variances import Track, squared_scales, track
from ntkrnn.infinite.sampling._features import Features, features
from ntkrnn.quadrature import AccuracyWarning

__all__ = [
    "AccuracyWarning",
    "Features",
    "GramInputs",
    "KernelFn",
    "KernelOverflowError",
    "Limit",
    "Quadrature",
    "Recursion",
    "Sampling",
    "Track",
    "features",
    "sequence_kernels",
    "squared_scales",
    "track",
]

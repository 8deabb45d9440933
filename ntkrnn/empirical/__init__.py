"""Exact kernels of finite networks, from one backward pass with respect to pre-activations."""

from ntkrnn.empirical._matvec import empirical_ntk_matvec
from ntkrnn.empirical._nngp import empirical_nngp_fn
from ntkrnn.empirical._ntk import empirical_ntk_fn
from ntkrnn.empirical._spectrum import Spectrum, empirical_ntk_spectrum

__all__ = [
    "Spectrum",
    "empirical_nngp_fn",
    "empirical_ntk_fn",
    "empirical_ntk_matvec",
    "empirical_ntk_spectrum",
]

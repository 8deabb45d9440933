"""Exact kernels of finite networks, from one backward pass with respect to pre-activations."""

from ntkrnn.empirical._nngp import empirical_nngp_fn
from ntkrnn.empirical._ntk import empirical_ntk_fn

__all__ = ["empirical_nngp_fn", "empirical_ntk_fn"]

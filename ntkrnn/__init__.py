"""Tangent kernels of recurrent neural networks, in JAX.

An architecture is data, and every capability is a function of it::

    arch = ntkrnn.Elman(width=1024, nonlinearity="erf")
    init_fn, apply_fn, kernel_fn = ntkrnn.network(arch)   # finite network, infinite-width kernels
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)                # exact kernels at finite width

Other networks, flax modules among them, are functions ``apply_fn(params, x)`` for the latter::

    apply_fn = ntkrnn.flax.apply_fn_from_module(module, readout="last")
    ntk_fn = ntkrnn.empirical_ntk_fn(apply_fn)
"""

import importlib
from typing import TYPE_CHECKING, Any

from ntkrnn import dual, infinite, readouts
from ntkrnn._cache import cache
from ntkrnn._network import Network, network
from ntkrnn._types import Kernels, SampledKernels
from ntkrnn._version import __version__
from ntkrnn.architectures import GRU, LSTM, Diagonal, Elman, Leaky, MinimalGRU
from ntkrnn.empirical import (
    empirical_nngp_fn,
    empirical_ntk_fn,
    empirical_ntk_matvec,
    empirical_ntk_spectrum,
)
from ntkrnn.infinite import Quadrature, Recursion, Sampling

if TYPE_CHECKING:
    from ntkrnn import cells, data, dynamics, estimators, flax, solvers, stax, testing, theory

_LAZY = ("cells", "data", "dynamics", "estimators", "flax", "solvers", "stax", "testing", "theory")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"ntkrnn.{name}")
    raise AttributeError(f"module 'ntkrnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "GRU",
    "LSTM",
    "Diagonal",
    "Elman",
    "Kernels",
    "Leaky",
    "MinimalGRU",
    "Network",
    "Quadrature",
    "Recursion",
    "SampledKernels",
    "Sampling",
    "__version__",
    "cache",
    "cells",
    "data",
    "dual",
    "dynamics",
    "empirical_nngp_fn",
    "empirical_ntk_fn",
    "empirical_ntk_matvec",
    "empirical_ntk_spectrum",
    "estimators",
    "flax",
    "infinite",
    "network",
    "readouts",
    "solvers",
    "stax",
    "testing",
    "theory",
]

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

from ntkrnn._version import __version__

if TYPE_CHECKING:
    from ntkrnn import (
        cells,
        data,
        dual,
        dynamics,
        estimators,
        flax,
        gram,
        infinite,
        readouts,
        solvers,
        stax,
        testing,
        theory,
    )
    from ntkrnn._cache import cache
    from ntkrnn._network import Network, network
    from ntkrnn._types import Kernels, SampledKernels
    from ntkrnn.architectures import GRU, LSTM, Diagonal, Elman, Leaky, MinimalGRU
    from ntkrnn.empirical import (
        empirical_nngp_fn,
        empirical_ntk_fn,
        empirical_ntk_matvec,
        empirical_ntk_spectrum,
    )
    from ntkrnn.infinite import Quadrature, Recursion, Sampling

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
    "gram",
    "infinite",
    "network",
    "readouts",
    "solvers",
    "stax",
    "testing",
    "theory",
]

# Everything is loaded when it is first asked for (SPEC 1), so that what needs no JAX, such as
# `ntkrnn --help`, does not wait for it. A name that is not here is a module of the package.
_HOMES = {
    "_cache": ("cache",),
    "_network": ("Network", "network"),
    "_types": ("Kernels", "SampledKernels"),
    "architectures": ("GRU", "LSTM", "Diagonal", "Elman", "Leaky", "MinimalGRU"),
    "empirical": (
        "empirical_nngp_fn",
        "empirical_ntk_fn",
        "empirical_ntk_matvec",
        "empirical_ntk_spectrum",
    ),
    "infinite": ("Quadrature", "Recursion", "Sampling"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ntkrnn' has no attribute {name!r}")
    module = importlib.import_module(f"ntkrnn.{_HOME.get(name, name)}")
    value = getattr(module, name) if name in _HOME else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Kernels computed by ntkrnn itself."""

from __future__ import annotations

import ntkrnn
from ntkrnn._types import Lengths, Params, Sequences
from ntkrnn.architectures import Architecture
from ntkrnn.studies.engines import Engine, Pair


def ntkrnn_engine() -> Engine:
    """The engine that calls :func:`ntkrnn.network` and the empirical kernels of ntkrnn.

    Returns:
        An :class:`Engine`.

    Example:
        >>> ntkrnn_engine().name
        'ntkrnn'
    """
    return Engine("ntkrnn", _infinite, _finite)


def _infinite(arch: Architecture, x: Sequences, lengths: Lengths | None) -> Pair:
    _, _, kernel_fn = ntkrnn.network(arch)
    kernels = kernel_fn(x, None, ("nngp", "ntk"), lengths1=lengths)
    return kernels.nngp, kernels.ntk


def _finite(arch: Architecture, params: Params, x: Sequences, lengths: Lengths | None) -> Pair:
    nngp = ntkrnn.empirical_nngp_fn(arch)(x, None, params, lengths1=lengths)
    ntk = ntkrnn.empirical_ntk_fn(arch)(x, None, params, lengths1=lengths)
    return nngp, ntk

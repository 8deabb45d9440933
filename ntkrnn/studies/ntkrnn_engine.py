"""Kernels computed by ntkrnn itself."""

from __future__ import annotations

import ntkrnn
from ntkrnn._types import Lengths, Params, SampledKernels, Sequences
from ntkrnn.architectures import Architecture
from ntkrnn.studies.engines import Engine, Pair

LIMIT_REPLICATES = 32
"""Of the samples of a limit that has no closed form: half the standard error that it has by default."""


def ntkrnn_engine() -> Engine:
    """The engine that calls :func:`ntkrnn.network` and the empirical kernels of ntkrnn.

    Returns:
        An :class:`Engine`.

    Example:
        >>> ntkrnn_engine().name
        'ntkrnn'
    """
    return Engine("ntkrnn", _infinite, _finite)


def _infinite(arch: Architecture, x: Sequences, lengths: Lengths | None) -> Pair | SampledKernels:
    # A limit that networks are compared with is to be better than they are.
    options = {"replicates": LIMIT_REPLICATES} if arch.limit == "sampled" else {}
    return ntkrnn.network(arch).kernel_fn(x, lengths1=lengths, **options)


def _finite(arch: Architecture, params: Params, x: Sequences, lengths: Lengths | None) -> Pair:
    nngp = ntkrnn.empirical_nngp_fn(arch)(x, None, params, lengths1=lengths)
    ntk = ntkrnn.empirical_ntk_fn(arch)(x, None, params, lengths1=lengths)
    return nngp, ntk

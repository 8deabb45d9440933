"""Kernels computed by ntkrnn itself."""

from __future__ import annotations

import ntkrnn
from ntkrnn._types import Lengths, Params, SampledKernels, Sequences
from ntkrnn.architectures import Architecture
from ntkrnn.studies.engines import Engine, Pair

LIMIT_TOLERANCE = 0.01
"""Relative error of a limit that is sampled: half of the one that it has by default."""


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
    limit = ntkrnn.Sampling(tolerance=LIMIT_TOLERANCE) if arch.limit == "sampled" else None
    return ntkrnn.network(arch, limit).kernel_fn(x, lengths1=lengths)


def _finite(arch: Architecture, params: Params, x: Sequences, lengths: Lengths | None) -> Pair:
    nngp = ntkrnn.empirical_nngp_fn(arch)(x, None, params, lengths1=lengths)
    ntk = ntkrnn.empirical_ntk_fn(arch)(x, None, params, lengths1=lengths)
    return nngp, ntk

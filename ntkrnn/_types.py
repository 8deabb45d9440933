"""Array aliases with named axes, and the result types that every layer shares.

Axes: ``N`` sequences (``N1`` and ``N2`` for the two sides of a kernel), ``T`` time steps,
``d`` channels of the input, ``m`` width, ``L`` depth, ``O`` outputs.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

import jax

Array: TypeAlias = jax.Array
"""Any array."""

Sequences: TypeAlias = jax.Array
"""``[N, T, d]``: sequences, padded at the end to a common number of steps."""

Lengths: TypeAlias = jax.Array
"""``[N]``: the number of valid leading steps of each sequence, between 1 and ``T``."""

Outputs: TypeAlias = jax.Array
"""``[N, O]`` for the readouts "last" and "mean", ``[N, T, O]`` for "sequence"."""

Gram: TypeAlias = jax.Array
"""``[N1, N2]`` for the readouts "last" and "mean", ``[N1, N2, T1, T2]`` for "sequence"."""

Params: TypeAlias = Any
"""A plain pytree of arrays, see :func:`ntkrnn.network`."""


def add_up(arrays: Iterable[Array]) -> Array:
    """Sum of at least one array."""
    return functools.reduce(operator.add, arrays)


class Kernels(NamedTuple):
    """What ``kernel_fn`` returns when asked for both kernels."""

    nngp: Gram
    """Covariance of the outputs of infinitely wide networks."""
    ntk: Gram
    """Tangent kernel of infinitely wide networks, over the trainable blocks."""


class SampledKernels(NamedTuple):
    """What a ``kernel_fn`` that integrates numerically returns: a standard error for every entry."""

    nngp: Gram
    ntk: Gram
    nngp_error: Gram
    ntk_error: Gram

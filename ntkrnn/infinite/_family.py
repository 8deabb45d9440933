"""What computes the kernels of infinite width, for every kind of architecture, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntkrnn.architectures import Architecture
from ntkrnn.infinite._kernel_fn import dense_kernel_fn
from ntkrnn.infinite._leaky import leaky_kernel_fn
from ntkrnn.infinite.neurons._kernel_fn import diagonal_kernel_fn
from ntkrnn.infinite.sampling._kernel_fn import sampled_kernel_fn

LIMITS: dict[str, Callable[..., Callable[..., Any]]] = {
    "recursion": dense_kernel_fn,
    "filter": leaky_kernel_fn,
    "neurons": diagonal_kernel_fn,
    "sampled": sampled_kernel_fn,
}
"""By the ``limit`` of an architecture."""


def kernel_fn_of(arch: Architecture) -> Callable[..., Any]:
    """The ``kernel_fn`` of an architecture, see :func:`ntkrnn.network`."""
    return LIMITS[arch.limit](arch)

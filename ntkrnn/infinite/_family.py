"""The infinite-width kernels of every family of architectures, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ntkrnn.architectures import Architecture
from ntkrnn.infinite._kernel_fn import dense_kernel_fn
from ntkrnn.infinite._neurons import diagonal_kernel_fn

FAMILIES: dict[str, Callable[..., Callable[..., Any]]] = {
    "dense": dense_kernel_fn,
    "diagonal": diagonal_kernel_fn,
}
"""By the ``family`` of an architecture."""


def kernel_fn_of(arch: Architecture) -> Callable[..., Any]:
    """The ``kernel_fn`` of an architecture, see :func:`ntkrnn.network`."""
    return FAMILIES[arch.family](arch)

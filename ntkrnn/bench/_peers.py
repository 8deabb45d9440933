"""Tangent kernels by neural-tangents, each of its implementations, of a plainly written network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from ntkrnn._compat import neural_tangents
from ntkrnn.bench._row import Program

IMPLEMENTATIONS = ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES")

Plain = Callable[..., Any]
"""``(params, x, unroll=...) -> outputs`` of a batch."""


def peer_kernel(implementation: str, plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``(params, x) -> kernel`` ``[N, N]``, the trace over outputs, sequence by sequence."""
    nt = neural_tangents()
    ntk_fn = nt.empirical_ntk_fn(
        plain,
        trace_axes=(-1,),
        vmap_axes=0,
        implementation=nt.NtkImplementation[implementation],
    )
    return lambda params, x: ntk_fn(x, None, params)


def label(implementation: str, unroll: bool = False) -> str:
    """The name of a peer in a table."""
    return f"{implementation.lower().replace('_', ' ')}, {'unrolled' if unroll else 'scanned'}"


def peers(plain: Plain, params: Any, x: Any, chosen: Callable[[str, bool], bool]) -> dict[str, Program]:
    """The jitted peers by name.

    Args:
        plain: the network, its steps scanned or unrolled.
        params: its parameters.
        x: the sequences.
        chosen: ``(implementation, unroll) -> whether it runs``.
    """
    found: dict[str, Program] = {}
    for unroll in (False, True):
        for name in IMPLEMENTATIONS:
            if chosen(name, unroll):
                kernel = jax.jit(peer_kernel(name, functools.partial(plain, unroll=unroll)))
                found[label(name, unroll)] = functools.partial(kernel, params, x)
    return found

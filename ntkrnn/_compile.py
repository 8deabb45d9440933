"""Compilation of the programs that kernels spend their time in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

_WIDE = {"xla_cpu_prefer_vector_width": 512}
"""XLA uses half of the vector registers of a CPU that has 512 bits, unless told otherwise. The
recursion is one long loop of multiply-adds without memory traffic, which gains from the whole."""


@functools.cache
def _options() -> dict[str, Any]:
    """Compiler options, none where this JAX does not know them."""
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1, compiler_options=_WIDE)(0.0)
    except Exception:  # whatever the compiler says of an option that it does not have
        return {}
    return _WIDE


def vectorising_jit(fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """``jax.jit`` for a top-level program of long elementwise loops; compiled when first called."""

    @functools.cache
    def program() -> Callable[..., Any]:
        return jax.jit(fn, compiler_options=_options() or None, **options)

    @functools.wraps(fn)
    def call(*arguments: Any, **keywords: Any) -> Any:
        return program()(*arguments, **keywords)

    return call

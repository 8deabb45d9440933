"""What the machine offers to a program: options of its compiler, and cores."""

from __future__ import annotations

import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_WIDE = {"xla_cpu_prefer_vector_width": 512}


@functools.cache
def wide_registers() -> dict[str, Any] | None:
    """Options that use the whole of 512-bit registers on a CPU that has them, or None.

    XLA uses half of them unless told otherwise; long loops of multiply-adds gain a third from the
    whole. Only for programs of plain arithmetic, square roots and quotients: with this option XLA
    (JAX 0.10) returns wrong numbers for ``arctan`` of 32 entries, and other library functions are not
    to be trusted with it either. Where the option is unknown or a trial fails, it is not used.
    """
    x = np.linspace(0.1, 4, 4096, dtype=np.float32)

    def trial(x: Any) -> Any:
        y = 0.5 * jnp.sqrt(4 * jnp.abs(x - 2))
        return jnp.where(x > 1, y, 1 / (x + y)) * x + jnp.minimum(x, y)

    try:
        wide = jax.jit(trial, compiler_options=_WIDE)(x)
    except Exception:  # whatever the compiler says of an option that it does not have
        return None
    return _WIDE if np.allclose(wide, jax.jit(trial)(x), rtol=1e-6, atol=0) else None


def available_cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

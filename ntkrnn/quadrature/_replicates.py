"""Independent replicates of an estimate: their mean, and the standard error that their spread gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._types import Array


class AccuracyWarning(UserWarning):
    """A sampled kernel is not as accurate as was asked for."""


class Running(NamedTuple):
    """Mean over replicates and sum of squared deviations from it, for each kernel."""

    count: Any
    mean: tuple[Array, ...]
    squares: tuple[Array, ...]


def with_one_more(running: Running, new: tuple[Any, ...]) -> Running:
    """Welford's update, of arrays of NumPy or JAX: no difference of large sums."""
    count = running.count + 1
    shift = [a - b for a, b in zip(new, running.mean, strict=True)]
    mean = [b + s / count for b, s in zip(running.mean, shift, strict=True)]
    left = [a - b for a, b in zip(new, mean, strict=True)]
    squares = [q + s * r for q, s, r in zip(running.squares, shift, left, strict=True)]
    return Running(count, tuple(mean), tuple(squares))


with_another = compiled()(with_one_more)


def spread(running: Running) -> tuple[Array, ...]:
    """Standard deviation of the replicates."""
    return tuple(_root(q / (running.count - 1)) for q in running.squares)


def _root(square: Array) -> Array:
    """Square root with derivative 0 at 0."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def nothing(like: tuple[Any, ...]) -> Running:
    """Before the first replicate, for kernels of these shapes."""
    zero: Any = tuple(np.zeros(a.shape, a.dtype) for a in like)
    return Running(np.zeros((), zero[0].dtype), zero, zero)


def relative_error(kernels: tuple[Array, ...], errors: tuple[Array, ...]) -> float:
    """The largest standard error, in units of the largest entry of its kernel."""
    found = [
        float(jnp.max(error) / jnp.max(jnp.abs(kernel)))
        for kernel, error in zip(kernels, errors, strict=True)
        if bool(jnp.any(kernel))
    ]
    return max(found, default=0.0)


def relative_norm(kernel: Any, error: Any) -> float:
    """The Frobenius norm of the standard errors, in units of that of the kernel; 0 for no kernel."""
    size = np.linalg.norm(np.asarray(kernel, np.float64))
    return float(np.linalg.norm(np.asarray(error, np.float64)) / size) if size else 0.0


def check_tolerance(value: Any) -> float:
    """``tolerance`` as a float above 0."""
    tolerance = _checks.nonnegative_float("tolerance", value)
    if not tolerance > 0:
        raise ValueError(f"tolerance: got {value}, expected a number above 0, or None.")
    return tolerance


def check_traced_tolerance(tolerance: float | None, tracing: bool) -> None:
    """Raise where a tolerance is asked for while JAX is tracing, and no error is known.

    Raises:
        ValueError: saying what to do instead.
    """
    if tracing and tolerance is not None:
        raise ValueError(
            f"tolerance: got {tolerance} while JAX is tracing, where no error is known; pass samples "
            "instead, or call kernel_fn outside of jax.jit and jax.grad."
        )


def checked_replicates(value: Any) -> int:
    """``replicates`` as an int, at least 2."""
    replicates = _checks.positive_integer("replicates", value)
    if replicates < 2:
        raise ValueError(
            "replicates: got 1, expected at least 2, whose spread is the standard error; pass for "
            "example replicates=8."
        )
    return replicates

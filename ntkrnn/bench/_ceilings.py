"""What the machine can do, measured beside the rows: how far from it are we?"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._compile import wide_registers
from ntkrnn.bench._infinite import infinite_rows
from ntkrnn.bench._run import Result, median_seconds
from ntkrnn.bench._training import ENSEMBLE, operations

OPERATIONS = {"erf-last": 50, "relu-last": 48}
"""Additions, multiplications, comparisons, roots and quotients of a pair and step, d = 4, counted from
the formulas (a multiply-add as two)."""


def _multiply_adds() -> float:
    """Operations per second of a loop of ten multiply-adds on an array that stays in cache."""
    platform = jax.default_backend()
    size, rounds = (1 << 16, 2000) if platform == "cpu" else (1 << 24, 200)
    options = wide_registers() if platform == "cpu" else None

    def loop(x: Any, a: Any) -> Any:
        def body(_: Any, x: Any) -> Any:
            for _ in range(10):
                x = x * a + 0.5
            return x

        return jax.lax.fori_loop(0, rounds, body, x)

    run = jax.jit(loop, compiler_options=options)
    x, a = jnp.ones(size), jnp.asarray(0.3)
    return 2 * 10 * size * rounds / median_seconds(lambda: run(x, a))


def _matrix_product(n: int = 2048) -> float:
    """Operations per second of a product of two square matrices in full precision."""
    x = jax.random.normal(jax.random.key(0), (n, n))
    run = jax.jit(lambda a: jnp.matmul(a, a, precision=jax.lax.Precision.HIGHEST))
    return 2 * n**3 / median_seconds(lambda: run(x))


def _stream(size: int = 1 << 26) -> float:
    """Bytes per second read and written by ``y = 2 x``."""
    x = jnp.ones(size)
    run = jax.jit(lambda a: 2 * a)
    return 2 * x.nbytes / median_seconds(lambda: run(x))


def ceilings(results: list[Result]) -> dict[str, Any]:
    """Ceilings of the machine, and pair-steps per second of the rows against them.

    Returns:
        ``multiply_add``, ``matrix_product`` (operations per second), ``stream`` (bytes per second) and
        for each row of :data:`OPERATIONS` that was measured the pairs (of the triangle) times steps
        per second and the share of ``multiply_add`` that their operations make up; for the rows of
        training, operations per second and the share of ``matrix_product``.
    """
    found: dict[str, Any] = {
        "multiply_add": _multiply_adds(),
        "matrix_product": _matrix_product(),
        "stream": _stream(),
    }
    known = {row.name for row in infinite_rows()}
    for result in results:
        name = result.row.name
        if result.row.title == ENSEMBLE:
            rate = operations(result.row.sizes) / result.ours.median
            share = rate / found["matrix_product"]
            found[name] = {"operations_per_second": rate, "share_of_matrix_product": share}
        if name in OPERATIONS and name in known:
            sizes = result.row.sizes
            work = sizes["N"] * (sizes["N"] + 1) / 2 * sizes["T"]
            rate = work / result.ours.median
            share = rate * OPERATIONS[name] / found["multiply_add"]
            found[name] = {"pair_steps_per_second": rate, "share_of_multiply_add": share}
    return found

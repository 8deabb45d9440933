"""Rows for the diagonals of kernels, beside the whole kernels."""

from __future__ import annotations

import jax

from ntkrnn import Elman, network
from ntkrnn.bench._row import Program, Row


def _row(readout: str, n: int, t: int, d: int) -> Row:
    def build() -> dict[str, Program]:
        x = jax.random.normal(jax.random.key(0), (n, t, d))
        kernel_fn = network(Elman(readout=readout)).kernel_fn
        return {
            "ntkrnn": lambda: tuple(kernel_fn(x, diagonal=True)),
            "whole kernel": lambda: tuple(kernel_fn(x)),
        }

    name, title = f"kernel-diagonal-{readout}", f"erf, {readout}, diagonal alone"
    return Row(name, title, {"N": n, "T": t, "d": d}, build, tolerance=None, repeats=5)


def kernel_diagonal_rows(quick: bool = False) -> list[Row]:
    """The rows; they inform, and have no target."""
    last, mean = ((48, 20, 4), (12, 8, 4)) if quick else ((1024, 100, 4), (128, 64, 4))
    return [_row("last", *last), _row("mean", *mean)]

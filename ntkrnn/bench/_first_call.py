"""First calls of exact kernels and their gradients in a fresh process."""

from __future__ import annotations

import dataclasses

from ntkrnn.bench._fresh import Fresh

KERNELS = (("erf", "last", 1.0), ("relu", "mean", 1.3), ("tanh", "last", 2.0))
"""Nonlinearity, readout, seconds that are wanted without a cache on disk."""
WARM = 0.4


def first_call_rows(quick: bool = False) -> list[Fresh]:
    """The rows; with ``quick`` a small one of each kind, once."""
    n, t, d = (4, 3, 2) if quick else (40, 40, 4)
    rows = []
    for nonlinearity, readout, target in KERNELS[:1] if quick else KERNELS:
        options = {"nonlinearity": nonlinearity, "readout": readout, "n": n, "t": t, "d": d}
        name, title = f"first-call-{nonlinearity}", f"{nonlinearity}, {readout}"
        rows.append(Fresh(name, title, "kernel", options, target))
        rows.append(Fresh(f"{name}-warm", title, "kernel", options, WARM, warm=True))
    options = {"nonlinearity": "erf", "readout": "last", "n": n, "t": t, "d": d}
    if not quick:
        title = "erf, last, gradient in a jit"
        rows.append(Fresh("first-call-gradient", title, "gradient", options, 5.0))
    return [dataclasses.replace(row, target=None, repeats=1) for row in rows] if quick else rows

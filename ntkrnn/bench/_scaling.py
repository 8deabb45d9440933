"""Time against N, T and m, and its figure."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from ntkrnn import Elman, empirical_ntk_fn, network
from ntkrnn.bench._run import median_seconds
from ntkrnn.report import Line, Plot, plots


class Scaling(NamedTuple):
    """One curve: seconds against a size."""

    label: str
    axis: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]


def _infinite(n: int, t: int, nonlinearity: str) -> float:
    x = jax.random.normal(jax.random.key(0), (n, t, 4))
    kernel_fn = network(Elman(nonlinearity=nonlinearity)).kernel_fn
    return median_seconds(lambda: tuple(kernel_fn(x)))


def _finite(m: int) -> float:
    arch = Elman(width=m)
    x = jax.random.normal(jax.random.key(0), (16, 20, 8))
    params = network(arch).init_fn(jax.random.key(1), x.shape)[1]
    ntk_fn = empirical_ntk_fn(arch)
    return median_seconds(lambda: ntk_fn(x, None, params))


def scaling(quick: bool = False) -> list[Scaling]:
    """Measure the curves."""
    counts = (32, 64, 128) if quick else (256, 512, 1024, 2048)
    steps = (8, 16, 32) if quick else (25, 50, 100, 200, 400)
    widths = (32, 64, 128) if quick else (128, 256, 512, 1024, 2048)
    base_n, base_t = (64, 16) if quick else (512, 100)
    curves = []
    for nonlinearity in ("erf", "relu"):
        seconds = tuple(_infinite(n, base_t, nonlinearity) for n in counts)
        curves.append(Scaling(f"{nonlinearity}, T = {base_t}", "N", counts, seconds))
        seconds = tuple(_infinite(base_n, t, nonlinearity) for t in steps)
        curves.append(Scaling(f"{nonlinearity}, N = {base_n}", "T", steps, seconds))
    seconds = tuple(_finite(m) for m in widths)
    curves.append(Scaling("finite NTK, N = 16, T = 20", "m", widths, seconds))
    return curves


_ORDERS = {"N": 2, "T": 1, "m": 2}
_NAMES = {"N": "sequences N", "T": "steps T", "m": "width m"}


def scaling_figure(curves: list[Scaling], device: str) -> Figure:
    """Three panels, time against each size, with the slope that the operation count predicts."""
    panels = []
    for axis, order in _ORDERS.items():
        shown = [curve for curve in curves if curve.axis == axis]
        sizes = np.array(shown[0].sizes, float)
        slope = shown[0].seconds[-1] * (sizes / sizes[-1]) ** order
        lines = [Line(one.label, np.array(one.sizes), np.array(one.seconds)) for one in shown]
        lines.append(Line(f"slope {order}", sizes, slope, True))
        panels.append(Plot("", _NAMES[axis], "seconds", lines, ticks=sizes))
    return plots(panels, title=f"Time of a kernel matrix, float32, {device}")

"""Seconds to an error: by sampling, and by averaging finite networks of the best width.

An estimate from independent pieces of error e and seconds s each has the error ``e sqrt(s/budget)``
after a budget of seconds: ``e^2 s`` is the seconds to error 1.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from ntkrnn import LSTM, empirical_nngp_fn, empirical_ntk_fn, network
from ntkrnn.architectures import Dense
from ntkrnn.bench._run import median_seconds
from ntkrnn.bench._sampling_errors import data, error
from ntkrnn.report import Line, Plot, plots

ERROR = 0.01
"""The error whose cost is compared."""


class Cost(NamedTuple):
    """Seconds to an error of :data:`ERROR` in both kernels' norms."""

    n: int
    steps: int
    width: int
    """That costs least."""
    sampled: tuple[float, float]
    """NNGP, NTK."""
    networks: tuple[float, float]
    """By averaging networks, the best width for each; infinite if every width is biased by more."""


def _networks(arch: Dense, x: jax.Array, seeds: int, limit: Any) -> tuple[float, list[Any]]:
    """Seconds of the kernels of one network, and for each its squared error and squared bias."""
    init_fn = network(arch).init_fn
    nngp_fn, ntk_fn = empirical_nngp_fn(arch), empirical_ntk_fn(arch)
    both = jax.jit(lambda params: (nngp_fn(x, None, params), ntk_fn(x, None, params)))
    drawn = [init_fn(jax.random.key(seed), x.shape)[1] for seed in range(seeds)]
    kernels = [[np.asarray(k, np.float64) for k in both(params)] for params in drawn]
    seconds = median_seconds(lambda: both(drawn[-1]), 3)  # without the time to draw the parameters
    found = []
    for k, name in enumerate(("nngp", "ntk")):
        own = np.stack([one[k] for one in kernels])
        size = float(np.linalg.norm(getattr(limit, name)) ** 2)
        variance = float(own.var(axis=0, ddof=1).sum()) / size
        off = float(((own.mean(axis=0) - getattr(limit, name)) ** 2).sum()) / size
        noise = float((np.asarray(getattr(limit, f"{name}_error")) ** 2).sum()) / size
        found.append((variance, off - variance / seeds - noise))
    return seconds, found


def costs(quick: bool = False) -> list[Cost]:
    """Seconds to the same error, by sampling and by averaging networks of the best width.

    A network of width m is off by c/m on average: c is fitted to what its mean over many networks is
    found to be off by, beyond the noise. An average of networks cannot be better than that.
    """
    sizes = ((2, 4), (4, 4)) if quick else ((8, 8), (16, 16), (64, 16))
    widths = (16, 32) if quick else (64, 128, 256, 512, 1024)
    seeds, replicates = (4, 4) if quick else (12, 64)
    found = []
    for n, steps in sizes:
        x = data(n, steps)
        kernel_fn = functools.partial(network(LSTM()).kernel_fn, x)
        limit = kernel_fn(replicates=replicates)
        seconds = median_seconds(lambda f=kernel_fn: tuple(f(replicates=4)), 3) / 4
        nngp, ntk = (
            error(limit, kernel, replicates) ** 2 * seconds / ERROR**2 for kernel in ("nngp", "ntk")
        )
        measured = {m: _networks(LSTM(width=m), x, seeds, limit) for m in widths}
        best = []
        for k in (0, 1):
            bias = max(0.0, float(np.mean([measured[m][1][k][1] * m**2 for m in widths])))  # c^2
            cost = {}
            for m in widths:
                left = ERROR**2 - bias / m**2
                cost[m] = measured[m][1][k][0] * measured[m][0] / left if left > 0 else np.inf
            best.append(min(cost.items(), key=lambda item: item[1]))
        found.append(Cost(n, steps, best[1][0], (nngp, ntk), (best[0][1], best[1][1])))
    return found


def costs_figure(found: list[Cost], device: str) -> Figure:
    """Seconds to the same error against the number of steps of all sequences."""
    total = np.array([cost.n * cost.steps for cost in found])
    lines = []
    for k, name in enumerate(("NNGP", "NTK")):
        lines.append(Line(f"{name}, sampled", total, np.array([c.sampled[k] for c in found])))
        networks = np.array([c.networks[k] for c in found])
        lines.append(Line(f"{name}, networks of the best width", total, networks))
    wanted = f"seconds to {100 * ERROR:g}% relative error"
    return plots(
        [Plot("", "steps of all sequences, N T", wanted, lines, ticks=total)],
        title=f"Kernels of an infinitely wide LSTM, float32, {device}",
    )

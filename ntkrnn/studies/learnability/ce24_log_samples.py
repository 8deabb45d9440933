"""The width at which a linearised network is close to a target on n sequences at once, against n."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from ntkrnn._network import network
from ntkrnn.architectures import Diagonal
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import Estimate, mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import unit_sphere
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import table
from ntkrnn.studies.learnability._train import draw
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import TransportTarget

_BATCH = 256
_RESAMPLES = 500


@dataclasses.dataclass(frozen=True)
class Ce24LogSamplesSettings(Sizes):
    """Sizes of the experiment.

    Args:
        counts: n, increasing; smaller sets are parts of larger ones.
        widths: m, among which the width for an error is interpolated.
        groups: independent repetitions, each with sequences of its own.
        networks: of a repetition; their errors are averaged before a width is read off.
        length: T.
        dim: d.
        alpha: size of the recurrent weights.
        nonlinearity: of the network.
        seed: from which all draws derive.
    """

    counts: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    groups: int = axis(8)
    networks: int = 24
    length: int = 8
    dim: int = 8
    alpha: float = 0.5
    nonlinearity: str = "tanh"
    seed: int = 0

    @classmethod
    def quick(cls) -> Ce24LogSamplesSettings:
        """The small setting."""
        return cls(counts=(8, 32, 128, 512, 2048), widths=(256, 1024), groups=6, networks=12, length=4)


def measure(settings: Ce24LogSamplesSettings, group: int) -> Piece:
    """``error [M, K, C]``: largest ``|F^lin(theta_v) - F*|`` of a network on the first n sequences."""
    rng = np.random.default_rng([settings.seed, group])
    x = unit_sphere(rng, settings.counts[-1], settings.length, settings.dim)
    target = TransportTarget.sample(
        settings.seed, settings.dim, alpha=settings.alpha, nonlinearity=settings.nonlinearity
    )
    want = np.asarray(target(x), float)[:, :, 0]
    found = []
    for width in settings.widths:
        arch = Diagonal(width, settings.nonlinearity, settings.alpha)
        seed = int(rng.integers(2**31))
        params = draw(arch, seed, settings.networks, x.shape)
        moved = jax.vmap(target.realised)(params)
        off = []
        for start in range(0, len(x), _BATCH):
            rows = slice(start, start + _BATCH)
            linear = np.asarray(_linearised(arch, params, moved, jnp.asarray(x[rows])), float)
            off.append(np.abs(linear - want[None, rows]).max(axis=2))
        highest = np.maximum.accumulate(np.concatenate(off, axis=1), axis=1)
        found.append(highest[:, np.array(settings.counts) - 1])
    return {"error": np.stack(found)}


@functools.partial(jax.jit, static_argnums=0)
def _linearised(arch: Diagonal, params: Any, moved: Any, x: Any) -> Any:
    """``[K, N, T]``: the networks linearised at params, at moved."""
    apply_fn = network(arch).apply_fn

    def one(pair: tuple[Any, Any]) -> Any:
        start, end = pair
        value, change = jax.jvp(
            lambda p: apply_fn(p, x)[:, :, 0], (start,), (jax.tree.map(jnp.subtract, end, start),)
        )
        return value + change

    return jax.lax.map(one, (params, moved))


def conclude(settings: Ce24LogSamplesSettings, measured: Measured) -> Conclusion:
    """The width for one error, against n; a logarithm and a power fitted to it."""
    counts, widths = np.array(settings.counts), np.array(settings.widths)
    error = np.asarray(measured("error"), float).mean(axis=2)  # [G, M, C]
    # Errors fall as 1/sqrt m: error^2 m is the width for error 1, averaged over the widths.
    needed = (error**2 * widths[None, :, None]).mean(axis=1)  # [G, C]
    needed = needed / needed[:, -1:].mean()
    late = counts >= counts[len(counts) // 2]
    large, small = (
        np.array([_power(counts[use], one[use]) for one in needed]) for use in (late, ~late)
    )
    findings = (
        finding(
            "log of the residual of a power of n over that of log n, for the width",
            *_advantage_interval(counts, needed, settings.seed), "at least", 0.0,
            "Over this range a small power and a logarithm are close; more repetitions tell.",
        ),
        finding(
            "local exponent of the width in n, large n less small n",
            *mean_interval(large - small), "at most", 0.0,
            "A power of n would keep its exponent; that of a logarithm falls as 1/log n.",
        ),
        finding(
            "local exponent of the width in n, for large n", *mean_interval(large), "at most", 0.5,
            "The union bound over n sequences would be far from what happens.",
        ),
    )  # fmt: skip
    shown = table(
        "width for one sup error, in units of that for the most sequences; mean ± std over repetitions",
        {"n": counts},
        {"width": needed.T, "log(n T)": [f"{np.log(n * settings.length):.2f}" for n in counts]},
    )
    return Conclusion(shown, findings, _figure(settings, error, needed), {"needed": needed})


def _figure(settings: Ce24LogSamplesSettings, error: np.ndarray, needed: np.ndarray) -> Figure:
    counts, mean = np.array(settings.counts), needed.mean(axis=0)
    return plots(
        [
            Plot(
                "Width for one largest error", "sequences n", "m(n) / m(largest n)",
                [
                    Line("measured", counts, needed.T, colour=0),
                    Line("a + b log n", counts, _logarithm(counts, mean), True, 1),
                    Line("a n^b", counts, _best_power(counts, mean), True, 2),
                ],
                log="x", ticks=counts,
            ),
            Plot(
                "The error itself", "sequences n", "largest error over n sequences",
                [Line(f"m = {m}", counts, error[:, i].T) for i, m in enumerate(settings.widths)],
                ticks=counts,
            ),
        ],
        title="Being right on many sequences at once costs a logarithm",
        subtitle=f"Diagonal networks linearised at the start, {settings.nonlinearity}, α = "
        f"{settings.alpha:g}, d = {settings.dim}, T = {settings.length}; {settings.groups} repetitions "
        f"of {settings.networks} networks",
    )  # fmt: skip


def _advantage_interval(counts: np.ndarray, needed: np.ndarray, seed: int) -> Estimate:
    """Of the mean curve. Repetitions share no draw: means of resampled ones show its error."""
    picks = np.random.default_rng(seed).integers(0, len(needed), (_RESAMPLES, len(needed)))
    resampled = [_advantage(counts, needed[pick].mean(axis=0)) for pick in picks]
    value = _advantage(counts, needed.mean(axis=0))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return value, (min(low, value), max(high, value))


def _power(counts: np.ndarray, needed: np.ndarray) -> float:
    return float(np.polyfit(np.log(counts), np.log(needed), 1)[0])


def _logarithm(counts: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """``a + b log n``, by least squares."""
    logs = np.log(counts)
    return np.polyval(np.polyfit(logs, needed, 1), logs)


def _best_power(counts: np.ndarray, needed: np.ndarray) -> np.ndarray:
    """``a n^b``, by least squares of the widths themselves, over a grid of b from 0 to 1."""
    powers = counts[None, :] ** np.linspace(0.0, 1.0, 2001)[:, None]
    factors = (powers @ needed) / (powers**2).sum(axis=1)
    fits = factors[:, None] * powers
    return fits[((fits - needed[None, :]) ** 2).mean(axis=1).argmin()]


def _advantage(counts: np.ndarray, needed: np.ndarray) -> float:
    """Log of the root mean square residual of the best power over that of the best logarithm."""
    power, straight = (
        ((fit(counts, needed) - needed) ** 2).mean() for fit in (_best_power, _logarithm)
    )
    return 0.5 * float(np.log(power / straight))


EXPERIMENT = Experiment(
    "ce24-log-samples",
    "Many sequences cost a logarithm of width",
    "The width for an error on all of n sequences grows like log n, not like a power of n.\n"
    "Measured: the sup error of the realised target against n, and the width that it takes.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24LogSamplesSettings,
    grid(measure, group="groups"),
    conclude,
)

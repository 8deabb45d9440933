"""What a function of N tokens costs, by N and by the span of their positions."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import exactly, mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import REGIMES, standardized
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import table
from ntkrnn.studies.learnability._task import MarkedTask
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import NVariableTarget, PowerSeries, monomial_coefficients

WORDS = {"unit": "norm 1", "small": "norm L^(-3/2)"}
"""For :data:`REGIMES`."""


@dataclasses.dataclass(frozen=True)
class NVariableSettings(Sizes):
    """Sizes of the experiment.

    Args:
        length: L, the marker counted.
        spans: l_0, each at least the largest number of variables less 1 and below ``length - 1``.
        variables: N, 2 or 3.
        seeds: draws of data and target.
        samples: training sequences.
        test: sequences to test on.
        width: of the networks.
        network_seeds: seeds for which networks are trained too.
        network_samples: sequences they are trained on.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    length: int = 10
    spans: tuple[int, ...] = axis((2, 3, 4, 6, 8))
    variables: tuple[int, ...] = axis((2, 3))
    seeds: int = axis(5)
    samples: int = 4096
    test: int = 1000
    width: int = 128
    network_seeds: int = 2
    network_samples: int = 1024
    steps: int = 6000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> NVariableSettings:
        """The small setting."""
        return cls(
            length=7, spans=(2, 3, 5), seeds=3, samples=1024, test=300, width=64, network_seeds=1,
            network_samples=256, steps=600,
        )  # fmt: skip


def positions(length: int, count: int, span: int) -> tuple[int, ...]:
    """N positions among the true tokens, the last one at the end, the others spread over the span."""
    return tuple(int(p) for p in np.round(np.linspace(length - 2 - span, length - 2, count)))


def function(seed: int, where: tuple[int, ...], length: int) -> NVariableTarget:
    """``z^N`` of N tokens of the circle, less what functions of lower degree explain of it.

    With directions of one norm b = N^(-1/2) the part of z^3 along ``<beta_k, x_k>`` is the same for all
    k: ``b^2 (3 (N - 1)/2 + 3/4)``, as ``E cos^2 = 1/2`` and ``cos^3 = (3 cos + cos 3.)/4``.
    """
    count = len(where)
    lower = 0.5 if count == 2 else (1.5 * (count - 1) + 0.75) / count
    coefficients = [0.0] * (count - 2) + [-lower, 0.0, 1.0]
    angles = np.random.default_rng([seed, count]).uniform(0, 2 * np.pi, count)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(count)
    return NVariableTarget(PowerSeries(tuple(coefficients)), where, directions, length)


def measure(settings: NVariableSettings, regime: str, count: int, span: int, seed: int) -> Piece:
    """Error of kernel regression, of a network, and the cost of the product of N tokens."""
    length = settings.length
    task = MarkedTask.draw(
        settings, seed, length=length, dim=2, samples=settings.samples, width=settings.width,
        regime=regime,
    )  # fmt: skip
    where = positions(length, count, span)
    y = standardized(function(task.seed, where, length - 1)(task.tokens))
    network = np.nan
    if seed < settings.network_seeds:
        network = task.network(y, settings.network_samples).test_error[0]
    norms = np.r_[1.0, np.full(length - 1, task.norm)]
    a = monomial_coefficients(norms, 1, positions=[p + 1 for p in where], shared=(0,), points=16)
    product = a.coefficients[(1,) * count] * task.norm ** (2 * count)
    return {
        "regression": task.regression(y, (task.n,))[0],
        "network": np.array(network),
        "cost": np.array(1 / np.sqrt(product)),
    }


def conclude(settings: NVariableSettings, measured: Measured) -> Conclusion:
    """How cost and error change with the span and with N."""
    cost, regression = measured("cost")[..., 0], measured("regression")
    network = measured("network")  # of some seeds
    trained = np.nanmean(np.where(np.isfinite(network), network, np.nan), axis=-1)
    shown = table(
        "errors over the variance; mean ± std over seeds; networks: mean",
        {"tokens": [*WORDS.values()], "N": settings.variables, "l_0": settings.spans},
        {"cost of the product": cost, "regression error": regression, "network error": trained},
    )
    findings = _findings(settings, cost, regression)
    return Conclusion(shown, findings, _figure(settings, cost, regression, trained))


def _findings(
    settings: NVariableSettings, cost: np.ndarray, regression: np.ndarray
) -> tuple[Finding, ...]:
    """Of arrays over regime, N and span."""
    low, high = settings.variables[0], settings.variables[-1]
    wide = f"l_0 = {settings.spans[0]} to {settings.spans[-1]}"
    unit, small = regression[:, 0, -1] - regression[:, 0, 0]  # rises with the span, for the least N
    growth = np.log(cost[:, 0, -1] / cost[:, 0, 0])
    return (
        finding(
            f"norm 1, N = {low}: rise of the error from {wide}",
            *mean_interval(unit), "at least", 0.0,
            "The error is at its ceiling for every span, or the span does not matter.",
        ),
        finding(
            f"norm L^(-3/2), N = {low}: the same rise over that at norm 1",
            *mean_interval(small / unit.mean()), "at most", 0.5,
            "After rescaling the span still matters as much.",
        ),
        finding(
            f"norm L^(-3/2): rise of the error from N = {low} to {high}",
            *mean_interval(regression[1, -1].mean(0) - regression[1, 0].mean(0)), "at least", 0.0,
            "More variables cost nothing at these sizes.",
        ),
        finding(
            f"log ratio of the product's cost over {wide}, norm L^(-3/2) over norm 1, exact",
            *exactly(growth[1] / growth[0]), "at most", 0.5,
            "The coefficient of the product depends on the span after rescaling too.",
        ),
    )  # fmt: skip


def _figure(
    settings: NVariableSettings, cost: np.ndarray, regression: np.ndarray, trained: np.ndarray
) -> Figure:
    spans = np.array(settings.spans)
    return plots(
        [
            Plot(
                title, "span l₀", label,
                [
                    Line(f"{words}, N = {count}", spans, values[r, i])
                    for r, words in enumerate(WORDS.values())
                    for i, count in enumerate(settings.variables)
                ],
                log=log, ticks=spans,
            )
            for title, label, log, values in (
                ("Cost of the product of N tokens", "1/√a₍₁…₁₎", "y", cost),
                ("Kernel regression", "test error / variance", "", regression),
                ("Networks", "test error / variance", "", trained),
            )
        ],
        title="Functions of N tokens, by the span of their positions, at two norms of the tokens",
        subtitle=f"polynomials of degree N of N tokens, L = {settings.length}, {settings.samples} "
        f"sequences, {settings.seeds} seeds, networks of width {settings.width}",
    )  # fmt: skip


EXPERIMENT = Experiment(
    "n-variable",
    "Functions of several tokens: span or number",
    "At norm 1 the error of an N-variable target rises with the span l_0; at norm L^(-3/2) with N, and "
    "barely with l_0.\nMeasured: coefficients of products, kernel regression and networks on a grid.",
    "WSHC21 (arXiv 2109.14142), up to constants and powers of L; docs/theory-al19-wshc21.md",
    NVariableSettings,
    grid(measure, regime=REGIMES, count="variables", span="spans", seed="seeds"),
    conclude,
)

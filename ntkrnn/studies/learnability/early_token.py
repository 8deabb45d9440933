"""What an early token costs, with tokens of norm 1 and of norm L^{-3/2}."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from matplotlib.figure import Figure

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import LineFit, exactly, exponent, line_fit
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import REGIMES, sizes_up_to, token_norm
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._kernels import samples_needed
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.learnability._task import MarkedTask
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import AdditiveTarget, PowerSeries, monomial_coefficients


@dataclasses.dataclass(frozen=True)
class EarlyTokenSettings(Sizes):
    """Sizes of the experiment.

    Args:
        lengths: L of the data, the marker counted.
        long_lengths: L of the coefficients, which need no data.
        seeds: draws of data and target.
        samples: the most sequences to learn from, a power of 2.
        test: sequences to test on.
        level: of the test error, relative to the variance, that counts as learned.
        width: of the networks.
        network_samples: sequences they are trained on.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    lengths: tuple[int, ...] = axis((6, 8, 12, 16, 24))
    long_lengths: tuple[int, ...] = axis((16, 24, 32, 48, 64, 96, 128))
    seeds: int = axis(5)
    samples: int = 4096
    test: int = 1000
    level: float = 0.5
    width: int = 128
    network_samples: int = 256
    steps: int = 6000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> EarlyTokenSettings:
        """The small setting."""
        return cls(
            lengths=(6, 8, 12, 16), long_lengths=(16, 32, 64, 128), seeds=3, samples=1024, test=300,
            width=64, network_samples=64, steps=1000,
        )  # fmt: skip


def coefficients(settings: EarlyTokenSettings, length: int) -> Piece:
    """``cost [2]``: ``1/sqrt(a_1)`` of the first token behind the marker, in both regimes."""
    costs = []
    for regime in REGIMES:
        norm = token_norm(regime, length)
        norms = np.r_[1.0, np.full(length - 1, norm)]
        a = monomial_coefficients(norms, 1, positions=(1,), shared=(0,)).coefficients[1]
        costs.append(1 / (norm * math.sqrt(a)))
    return {"cost": np.array(costs)}


def measure(settings: EarlyTokenSettings, regime: str, length: int, seed: int) -> Piece:
    """Samples needed for a linear function of the first token behind the marker, and errors."""
    task = MarkedTask.draw(
        settings, seed, length=length, dim=2, samples=settings.samples, width=settings.width,
        regime=regime,
    )  # fmt: skip
    target = AdditiveTarget.sample(
        task.seed, length - 1, 2, series=PowerSeries.monomial(1), positions=(0,)
    )
    y = math.sqrt(2) * target(task.tokens)
    sizes, few = sizes_up_to(task.n), settings.network_samples
    curve = task.regression(y, sizes)
    return {
        "curve": curve,
        "needed": np.array(samples_needed(sizes, curve, settings.level)),
        "regression": np.array(curve[sizes.index(few)]),
        "network": task.network(y, few).test_error[0],
    }


def conclude(settings: EarlyTokenSettings, measured: Measured) -> Conclusion:
    """How the cost grows in either regime."""
    long = np.array(settings.long_lengths, float)
    cost, needed = measured("cost"), measured("needed")  # [long lengths, 2], [2, L, S]
    regression, network = measured("regression"), measured("network")
    stretched = line_fit(long ** (2 / 3), 2 * np.log(cost[:, 0]))
    shown = table(
        f"samples for a test error of {settings.level:g} of the variance, and errors from "
        f"{settings.network_samples} sequences; mean ± std over seeds",
        {"tokens": REGIMES, "L": settings.lengths},
        {
            "samples needed": [
                spread(runs, otherwise="outside the sizes") for of in needed for runs in of
            ],
            "regression error": regression,
            "network error": network,
        },
    )
    findings = _of_coefficients(long, cost, stretched) + _of_samples(settings, *needed)
    figure = _figure(settings, stretched, cost, needed, regression, network)
    return Conclusion(shown, findings, figure)


def _of_coefficients(long: np.ndarray, cost: np.ndarray, stretched: LineFit) -> tuple[Finding, ...]:
    power = line_fit(np.log(long), np.log(cost[:, 1]))
    curved = line_fit(np.log(long), 2 * np.log(cost[:, 0]))
    return (
        finding(
            "norm 1: rate c of 1/a_1 ~ exp(c L^(2/3))",
            stretched.slope, stretched.interval, "equals", 1.0,
            "The rate is that of long sequences; short ones bend the line.", margin=0.15,
        ),
        finding(
            "norm L^(-3/2): exponent of 1/sqrt(a_1) in L",
            power.slope, power.interval, "at most", 0.0,
            "A positive exponent is still polynomial, but not a constant.", margin=0.1,
        ),
        finding(
            "norm 1: what exp(c L^(2/3)) leaves of the variance of log 1/a_1, over what a power leaves",
            *exactly(stretched.residual / curved.residual), "at most", 1.0,
            "A power of L fits as well; longer sequences tell them apart.",
        ),
    )  # fmt: skip


def _of_samples(
    settings: EarlyTokenSettings, unit: np.ndarray, small: np.ndarray
) -> tuple[Finding, ...]:
    both = np.isfinite(unit).all(axis=1) & np.isfinite(small).all(axis=1)
    if both.sum() < 2:
        return ()
    return (
        finding(
            "exponent in L of the samples with norm 1 over those with norm L^(-3/2)",
            *exponent(np.array(settings.lengths)[both], (unit / small)[both]), "at least", 0.0,
            "At these lengths rescaling does not save samples yet.",
        ),
    )  # fmt: skip


def _figure(
    settings: EarlyTokenSettings,
    stretched: LineFit,
    cost: np.ndarray,
    needed: np.ndarray,
    regression: np.ndarray,
    network: np.ndarray,
) -> Figure:
    lengths, long = np.array(settings.lengths), np.array(settings.long_lengths, float)
    unit, small = words = ("norm 1", "norm L^(-3/2)")
    fit = np.exp((stretched.intercept + stretched.slope * long ** (2 / 3)) / 2)
    return plots(
        [
            Plot(
                "Cost of the first token, exact", "L", "1/√a₁",
                [
                    Line(unit, long, cost[:, 0], colour=0),
                    Line(f"exp({stretched.slope / 2:.2f} L^(2/3))", long, fit, True, 0),
                    Line(small, long, cost[:, 1], colour=1),
                ],
                ticks=long,
            ),
            Plot(
                f"Samples for {settings.level:g} of the variance", "L", "samples",
                [Line(name, lengths, needed[i], colour=i) for i, name in enumerate(words)],
                ticks=lengths,
            ),
            Plot(
                f"From {settings.network_samples} sequences", "L", "test error / variance",
                [
                    line
                    for i, name in enumerate(words)
                    for line in (
                        Line(f"network, {name}", lengths, network[i], colour=i),
                        Line(f"kernel regression, {name}", lengths, regression[i], True, i),
                    )
                ],
                ticks=lengths,
            ),
        ],
        title="A linear function of the first token, at two norms of the tokens",
        subtitle=f"tokens on the circle behind a shared marker, {settings.seeds} seeds, networks of "
        f"width {settings.width}",
    )  # fmt: skip


EXPERIMENT = Experiment(
    "early-token",
    "Early tokens are lost at norm 1 and kept after rescaling",
    "A linear function of the first token costs exp(c L^(2/3)) if all tokens have norm 1, a power of L "
    "if they have norm L^(-3/2).\nMeasured: coefficients of the kernel, samples needed, networks.",
    "WSHC21 (arXiv 2109.14142), AL19 (arXiv 1902.01028); docs/theory-al19-wshc21.md",
    EarlyTokenSettings,
    grid(coefficients, length="long_lengths")
    + grid(measure, regime=REGIMES, length="lengths", seed="seeds"),
    conclude,
)

"""Whether sqrt(y^T H^{-1} y / n) ranks targets by their test error."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import Estimate, mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import standardized
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import table
from ntkrnn.studies.learnability._task import MarkedTask
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import (
    AdditiveTarget,
    ExactlyOneTarget,
    NVariableTarget,
    PowerSeries,
    cumulative_power,
    kernel_complexity,
)

RANDOM = "random labels"


@dataclasses.dataclass(frozen=True)
class ComplexityRanksErrorSettings(Sizes):
    """Sizes of the experiment.

    Args:
        length: L, the marker counted.
        dim: of a true token.
        samples: training sequences.
        test: sequences to test on.
        seeds: draws of data and targets.
        width: of the networks.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    length: int = 6
    dim: int = 2
    samples: int = 1024
    test: int = 1000
    seeds: int = axis(5)
    width: int = 128
    steps: int = 8000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> ComplexityRanksErrorSettings:
        """The small setting."""
        return cls(length=6, samples=256, test=300, seeds=3, width=64, steps=600)


def pool(steps: int, dim: int, at: int) -> dict[str, Callable[[np.ndarray], Any]]:
    """Targets of every class, by name, and labels that are random."""
    last = steps - 1
    additive = functools.partial(AdditiveTarget.sample, at, steps, dim)
    several = functools.partial(NVariableTarget.sample, at, steps, dim)
    power = PowerSeries.monomial
    noise = np.random.default_rng([at, 7])
    return {
        "linear, last token": additive(series=power(1), positions=(last,)),
        "linear, first token": additive(series=power(1), positions=(0,)),
        "linear, all tokens": additive(series=power(1)),
        "sine, all tokens": additive(series=PowerSeries.sin(), norm=2.0),
        "square, last token": additive(series=power(2), positions=(last,)),
        "square, all tokens": additive(series=power(2)),
        "cube, all tokens": additive(series=power(3)),
        "cosine of 3z, all tokens": additive(series=PowerSeries.cos(terms=12), norm=3.0),
        "square of two last tokens": several(series=power(2), positions=(last - 1, last)),
        "square of first and last": several(series=power(2), positions=(0, last)),
        "cube of three tokens": several(series=power(3), positions=(0, last - 1, last)),
        "fourth power of four tokens": several(series=power(4), positions=range(last - 3, steps)),
        "exactly one token": ExactlyOneTarget.sample(at, steps, dim),
        RANDOM: lambda tokens: noise.normal(size=len(tokens)),
    }  # fmt: skip


def measure(settings: ComplexityRanksErrorSettings, seed: int) -> Piece:
    """``[targets]`` each: complexity, power in the leading tenth of H, errors."""
    task = MarkedTask.draw(
        settings, seed, length=settings.length, dim=settings.dim, samples=settings.samples,
        width=settings.width,
    )  # fmt: skip
    n, rows = task.n, []
    for target in pool(settings.length - 1, settings.dim, task.seed).values():
        y = standardized(np.asarray(target(task.tokens), float))
        rows.append(
            (
                kernel_complexity(task.kernel, y[:n]).value,
                cumulative_power(task.kernel, y[:n])[n // 10],
                task.regression(y, (n,))[0],
                task.network(y, n).test_error[0],
            )
        )
    names = ("complexity", "power", "regression", "network")
    return dict(zip(names, np.array(rows, float).T, strict=True))


def conclude(settings: ComplexityRanksErrorSettings, measured: Measured) -> Conclusion:
    """Rank correlations over targets, and how random labels stand out."""
    names = list(pool(settings.length - 1, settings.dim, 0))
    complexity, power, regression, network = (
        measured(key) for key in ("complexity", "power", "regression", "network")
    )  # [S, targets]
    random = names.index(RANDOM)
    others = np.delete(complexity, random, axis=1)
    findings = (
        finding(
            "rank correlation of complexity and test error of kernel regression",
            *_rank_correlation(complexity, regression), "at least", 1.0,
            "Targets of like complexity change places; a bound need not rank what it bounds.",
            margin=0.3,
        ),
        finding(
            "rank correlation of complexity and test error of networks",
            *_rank_correlation(complexity, network), "at least", 1.0,
            "SGD stops before it fits the small eigenvalues, which weigh most.", margin=0.3,
        ),
        finding(
            "complexity of random labels over the median of the targets",
            *mean_interval(complexity[:, random] / np.median(others, axis=1)), "at least", 2.0,
            "The hardest targets look random at this number of sequences.",
        ),
    )  # fmt: skip
    order = np.argsort(complexity.mean(axis=0))
    columns = {
        "√(yᵀH⁻¹y/n)": complexity,
        "power in 10% of H": power,
        "regression error": regression,
        "network error": network,
    }
    shown = table(
        "every target has variance 1; mean ± std over seeds, by complexity",
        {"target": [names[i] for i in order]},
        {heading: values.T[order] for heading, values in columns.items()},
    )
    figure = plots(
        [
            Plot(
                title, "√(yᵀH⁻¹y/n)", "test error / variance",
                [
                    Line("targets", others.mean(0), np.delete(error, random, 1).T, points=True),
                    Line("random labels", complexity[:, [random]].mean(0), error[:, [random]].T,
                         points=True),
                ],
            )
            for title, error in (("Kernel regression", regression), ("Networks", network))
        ],
        title="Complexity of the labels and test error, target by target",
        subtitle=f"{len(names)} targets, {settings.samples} sequences of L = {settings.length}, "
        f"networks of width {settings.width}, {settings.seeds} seeds",
    )  # fmt: skip
    return Conclusion(shown, findings, figure, {"targets": np.array(names)})


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The mean over seeds by Fisher's transform, which keeps its interval within [-1, 1]."""
    values = np.array(
        [
            np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1]
            for a, b in zip(first, second, strict=True)
        ]
    )
    mean, (low, high) = mean_interval(np.arctanh(np.clip(values, -0.9999, 0.9999)))
    return float(np.tanh(mean)), (float(np.tanh(low)), float(np.tanh(high)))


EXPERIMENT = Experiment(
    "complexity-ranks-error",
    "The complexity of the labels ranks the test errors",
    "sqrt(y'H^-1 y/n) bounds the test error, so that it should rank targets, random labels last.\n"
    "Measured: its rank correlation with the errors of kernel regression and of networks, 14 targets.",
    "WSHC21 (arXiv 2109.14142), up to constants; docs/theory-al19-wshc21.md",
    ComplexityRanksErrorSettings,
    grid(measure, seed="seeds"),
    conclude,
)

"""Whether sqrt(y^T H^{-1} y / n) ranks targets by their test error."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import marked, split_tokens, standardized, token_norm
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    finding,
    spread,
    stacked,
)
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import fit_networks, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import (
    AdditiveTarget,
    ExactlyOneTarget,
    NVariableTarget,
    PowerSeries,
    cumulative_power,
    kernel_complexity,
    wshc21_network,
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


def jobs(settings: ComplexityRanksErrorSettings) -> Sequence[Job]:
    """One for each seed."""
    return [
        Job(f"seed-{seed}", functools.partial(measure, settings, seed))
        for seed in range(settings.seeds)
    ]


def measure(settings: ComplexityRanksErrorSettings, seed: int) -> Piece:
    """``[targets]`` each: complexity, power in the leading tenth of H, errors."""
    at, steps = 1000 * settings.seed + seed, settings.length - 1
    tokens, n = split_tokens(at, settings.samples, settings.test, steps, settings.dim)
    x = marked(tokens, token_norm("balanced", settings.length))
    arch = wshc21_network(settings.width, settings.dim + 1)
    kernel, cross = ntk64(arch, x[:n]), ntk64(arch, x[n:], x[:n])
    rate = stable_rate(kernel)
    rows = []
    for target in pool(steps, settings.dim, at).values():
        y = standardized(np.asarray(target(tokens), float))
        fitted = fit_networks(
            arch, x[:n], y[:n], x[n:], y[n:], learning_rate=rate, steps=settings.steps,
            batch_size=settings.batch_size, seed=at, seeds=1,
        )  # fmt: skip
        rows.append(
            (
                kernel_complexity(kernel, y[:n]).value,
                cumulative_power(kernel, y[:n])[n // 10],
                learning_curve(kernel, y[:n], cross, y[n:], (n,))[0],
                fitted.test_error[0],
            )
        )
    names = ("complexity", "power", "regression", "network")
    return dict(zip(names, np.array(rows, float).T, strict=True))


def conclude(settings: ComplexityRanksErrorSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Rank correlations over targets, and how random labels stand out."""
    names = list(pool(settings.length - 1, settings.dim, 0))
    jobs_of = [[job.name for job in jobs(settings)]]
    complexity, power, regression, network = (
        stacked(pieces, jobs_of, key)[0] for key in ("complexity", "power", "regression", "network")
    )  # [S, targets]
    rank = lambda a, b: np.array(  # noqa: E731
        [np.corrcoef(stats.rankdata(p), stats.rankdata(q))[0, 1] for p, q in zip(a, b, strict=True)]
    )
    random = names.index(RANDOM)
    others = np.delete(complexity, random, axis=1)
    findings = (
        finding(
            "rank correlation of complexity and test error of kernel regression",
            *_mean_correlation(rank(complexity, regression)),
            relation="at least",
            predicted=1.0,
            margin=0.3,
            otherwise="Targets of like complexity change places; a bound need not rank what it bounds.",
        ),
        finding(
            "rank correlation of complexity and test error of networks",
            *_mean_correlation(rank(complexity, network)),
            relation="at least",
            predicted=1.0,
            margin=0.3,
            otherwise="SGD stops before it fits the small eigenvalues, which weigh most.",
        ),
        finding(
            "complexity of random labels over the median of the targets",
            *mean_interval(complexity[:, random] / np.median(others, axis=1)),
            relation="at least",
            predicted=2.0,
            otherwise="The hardest targets look random at this number of sequences.",
        ),
    )
    order = np.argsort(complexity.mean(axis=0))
    rows = tuple(
        (names[i], *(spread(a[:, i]) for a in (complexity, power, regression, network))) for i in order
    )
    figure = plots(
        [
            Plot(
                title, "√(yᵀH⁻¹y/n)", "test error / variance",
                [
                    Line("targets", np.delete(complexity, random, 1).mean(0),
                         np.delete(error, random, 1).T, points=True),
                    Line("random labels", complexity[:, [random]].mean(0), error[:, [random]].T,
                         points=True),
                ],
                log="xy",
            )
            for title, error in (("Kernel regression", regression), ("Networks", network))
        ],
        title="Complexity of the labels and test error, target by target",
        subtitle=f"{len(names)} targets, {settings.samples} sequences of L = {settings.length}, "
        f"networks of width {settings.width}, {settings.seeds} seeds",
    )  # fmt: skip
    arrays = {
        "targets": np.array(names),
        "complexity": complexity,
        "power": power,
        "regression": regression,
        "network": network,
    }
    columns = ("target", "√(yᵀH⁻¹y/n)", "power in 10% of H", "regression error", "network error")
    title = "every target has variance 1; mean ± std over seeds, by complexity"
    return Conclusion(Table(title, columns, rows), findings, arrays, figure)


def _mean_correlation(values: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The mean over seeds by Fisher's transform, which keeps its interval within [-1, 1]."""
    mean, (low, high) = mean_interval(np.arctanh(np.clip(values, -0.9999, 0.9999)))
    return float(np.tanh(mean)), (float(np.tanh(low)), float(np.tanh(high)))


EXPERIMENT = Experiment(
    "complexity-ranks-error",
    "The complexity of the labels ranks the test errors",
    "sqrt(y'H^-1 y/n) bounds the test error, so that it should rank targets, random labels last.\n"
    "Measured: its rank correlation with the errors of kernel regression and of networks, 14 targets.",
    "WSHC21 (arXiv 2109.14142), up to constants; docs/theory-al19-wshc21.md",
    ComplexityRanksErrorSettings,
    jobs,
    conclude,
)

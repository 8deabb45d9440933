"""What an early token costs, with tokens of norm 1 and of norm L^{-3/2}."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import line_fit
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import REGIMES, marked, sizes_up_to, split_tokens, token_norm
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    exact,
    finding,
    slope_finding,
    spread,
    spread_or,
    stacked,
)
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64, samples_needed
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import fit_networks, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import AdditiveTarget, PowerSeries, monomial_coefficients, wshc21_network


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


def _name(regime: str, length: int, seed: int) -> str:
    return f"{regime}-length-{length}-seed-{seed}"


def jobs(settings: EarlyTokenSettings) -> Sequence[Job]:
    """One for each regime, length and seed, and one for the coefficients of each length."""
    return [
        *(
            Job(f"coefficients-{length}", functools.partial(coefficients, length))
            for length in settings.long_lengths
        ),
        *(
            Job(_name(regime, length, seed), functools.partial(measure, settings, regime, length, seed))
            for regime in REGIMES
            for length in settings.lengths
            for seed in range(settings.seeds)
        ),
    ]


def coefficients(length: int) -> Piece:
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
    at = 1000 * settings.seed + seed
    tokens, n = split_tokens(at, settings.samples, settings.test, length - 1, 2)
    target = AdditiveTarget.sample(at, length - 1, 2, series=PowerSeries.monomial(1), positions=(0,))
    y = math.sqrt(2) * target(tokens)
    x = marked(tokens, token_norm(regime, length))
    arch = wshc21_network(settings.width, 3)
    kernel = ntk64(arch, x[:n])
    sizes = sizes_up_to(n)
    curve = learning_curve(kernel, y[:n], ntk64(arch, x[n:], x[:n]), y[n:], sizes)
    few = settings.network_samples
    fitted = fit_networks(
        arch, x[:few], y[:few], x[n:], y[n:], learning_rate=stable_rate(kernel[:few, :few]),
        steps=settings.steps, batch_size=settings.batch_size, seed=at, seeds=1,
    )  # fmt: skip
    return {
        "curve": curve,
        "needed": np.array(samples_needed(sizes, curve, settings.level)),
        "regression": np.array(curve[sizes.index(few)]),
        "network": fitted.test_error[0],
    }


def conclude(settings: EarlyTokenSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """How the cost grows in either regime."""
    lengths, long = np.array(settings.lengths), np.array(settings.long_lengths, float)
    names = {
        regime: [[_name(regime, k, s) for s in range(settings.seeds)] for k in settings.lengths]
        for regime in REGIMES
    }
    get = lambda key: {regime: stacked(pieces, names[regime], key) for regime in REGIMES}  # noqa: E731
    needed, regression, network = get("needed"), get("regression"), get("network")
    cost = np.stack([np.asarray(pieces[f"coefficients-{k}"]["cost"]) for k in settings.long_lengths])

    line = line_fit(long ** (2 / 3), 2 * np.log(cost[:, 0]))
    power = line_fit(np.log(long), np.log(cost[:, 1]))
    curved = line_fit(np.log(long), 2 * np.log(cost[:, 0]))
    findings = [
        finding(
            "norm 1: rate c of 1/a_1 ~ exp(c L^(2/3))",
            line.slope,
            line.interval,
            relation="equals",
            predicted=1.0,
            margin=0.15,
            otherwise="The rate is that of long sequences; short ones bend the line.",
        ),
        finding(
            "norm L^(-3/2): exponent of 1/sqrt(a_1) in L",
            power.slope,
            power.interval,
            relation="at most",
            predicted=0.0,
            margin=0.1,
            otherwise="A positive exponent is still polynomial, but not a constant.",
        ),
        exact(
            "norm 1: what exp(c L^(2/3)) leaves of the variance of log 1/a_1, over what a power leaves",
            line.residual / curved.residual,
            relation="at most",
            predicted=1.0,
            otherwise="A power of L fits as well; longer sequences tell them apart.",
        ),
    ]
    both = np.isfinite(needed["unit"]).all(axis=1) & np.isfinite(needed["small"]).all(axis=1)
    if both.sum() >= 2:
        findings.append(
            slope_finding(
                "exponent in L of the samples with norm 1 over those with norm L^(-3/2)",
                lengths[both],
                (needed["unit"] / needed["small"])[both],
                relation="at least",
                predicted=0.0,
                margin=0.0,
                otherwise="At these lengths rescaling does not save samples yet.",
            )
        )
    rows = [
        (
            regime,
            str(length),
            spread_or(needed[regime][i], "outside the sizes"),
            spread(regression[regime][i]),
            spread(network[regime][i]),
        )
        for regime in REGIMES
        for i, length in enumerate(settings.lengths)
    ]
    words = {"unit": "norm 1", "small": "norm L^(-3/2)"}
    fit = np.exp((line.intercept + line.slope * long ** (2 / 3)) / 2)
    figure = plots(
        [
            Plot(
                "Cost of the first token, exact", "L", "1/√a₁",
                [
                    Line(words["unit"], long, cost[:, 0], colour=0),
                    Line(f"exp({line.slope / 2:.2f} L^(2/3))", long, fit, True, 0),
                    Line(words["small"], long, cost[:, 1], colour=1),
                ],
                ticks=long,
            ),
            Plot(
                f"Samples for {settings.level:g} of the variance", "L", "samples",
                [Line(words[r], lengths, needed[r], colour=i) for i, r in enumerate(REGIMES)],
                ticks=lengths,
            ),
            Plot(
                f"From {settings.network_samples} sequences", "L", "test error / variance",
                [
                    line
                    for i, r in enumerate(REGIMES)
                    for line in (
                        Line(f"network, {words[r]}", lengths, network[r], colour=i),
                        Line(f"kernel regression, {words[r]}", lengths, regression[r], True, i),
                    )
                ],
                ticks=lengths,
            ),
        ],
        title="A linear function of the first token, at two norms of the tokens",
        subtitle=f"tokens on the circle behind a shared marker, {settings.seeds} seeds, networks of "
        f"width {settings.width}",
    )  # fmt: skip
    arrays = {"lengths": lengths, "long_lengths": long, "cost": cost}
    for regime in REGIMES:
        arrays |= {
            f"{regime}_needed": needed[regime],
            f"{regime}_regression": regression[regime],
            f"{regime}_network": network[regime],
            f"{regime}_curves": stacked(pieces, names[regime], "curve"),
        }
    columns = ("tokens", "L", "samples needed", "regression error", "network error")
    title = (
        f"samples for a test error of {settings.level:g} of the variance, and errors from "
        f"{settings.network_samples} sequences; mean ± std over seeds"
    )
    return Conclusion(Table(title, columns, tuple(rows)), tuple(findings), arrays, figure)


EXPERIMENT = Experiment(
    "early-token",
    "Early tokens are lost at norm 1 and kept after rescaling",
    "A linear function of the first token costs exp(c L^(2/3)) if all tokens have norm 1, a power of L "
    "if they have norm L^(-3/2).\nMeasured: coefficients of the kernel, samples needed, networks.",
    "WSHC21 (arXiv 2109.14142), AL19 (arXiv 1902.01028); docs/theory-al19-wshc21.md",
    EarlyTokenSettings,
    jobs,
    conclude,
)

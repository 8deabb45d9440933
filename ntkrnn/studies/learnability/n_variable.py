"""What a function of N tokens costs, by N and by the span of their positions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import (
    REGIMES,
    marked,
    split_tokens,
    standardized,
    token_norm,
)
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    exact,
    finding,
    spread,
    stacked,
)
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import fit_networks, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import NVariableTarget, PowerSeries, monomial_coefficients, wshc21_network

WORDS = {"unit": "norm 1", "small": "norm L^(-3/2)"}


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


def _name(regime: str, count: int, span: int, seed: int) -> str:
    return f"{regime}-n-{count}-span-{span}-seed-{seed}"


def jobs(settings: NVariableSettings) -> Sequence[Job]:
    """One for each regime, N, span and seed."""
    return [
        Job(
            _name(regime, count, span, seed),
            functools.partial(measure, settings, regime, count, span, seed),
        )
        for regime in REGIMES
        for count in settings.variables
        for span in settings.spans
        for seed in range(settings.seeds)
    ]


def measure(settings: NVariableSettings, regime: str, count: int, span: int, seed: int) -> Piece:
    """Error of kernel regression, of a network, and the cost of the product of N tokens."""
    at, length = 1000 * settings.seed + seed, settings.length
    tokens, n = split_tokens(at, settings.samples, settings.test, length - 1, 2)
    where = positions(length, count, span)
    norm = token_norm(regime, length)
    y = standardized(function(at, where, length - 1)(tokens))
    x = marked(tokens, norm)
    arch = wshc21_network(settings.width, 3)
    kernel = ntk64(arch, x[:n])
    error = learning_curve(kernel, y[:n], ntk64(arch, x[n:], x[:n]), y[n:], (n,))[0]
    network = np.nan
    few = settings.network_samples
    if seed < settings.network_seeds:
        network = fit_networks(
            arch, x[:few], y[:few], x[n:], y[n:], learning_rate=stable_rate(kernel[:few, :few]),
            steps=settings.steps, batch_size=settings.batch_size, seed=at, seeds=1,
        ).test_error[0]  # fmt: skip
    norms = np.r_[1.0, np.full(length - 1, norm)]
    a = monomial_coefficients(norms, 1, positions=[p + 1 for p in where], shared=(0,), points=16)
    product = a.coefficients[(1,) * count] * norm ** (2 * count)
    return {
        "regression": np.array(error),
        "network": np.array(network),
        "cost": np.array(1 / np.sqrt(product)),
    }


def conclude(settings: NVariableSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """How cost and error change with the span and with N."""
    spans = np.array(settings.spans)
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}
    for regime in REGIMES:
        for count in settings.variables:
            names = [
                [_name(regime, count, span, s) for s in range(settings.seeds)]
                for span in settings.spans
            ]
            found[regime, count] = {
                key: stacked(pieces, names, key) for key in ("regression", "network", "cost")
            }
    low, high = settings.variables[0], settings.variables[-1]
    rise = lambda regime, count: (  # noqa: E731
        found[regime, count]["regression"][-1] - found[regime, count]["regression"][0]
    )
    n_rise = found["small", high]["regression"].mean(0) - found["small", low]["regression"].mean(0)
    cost = lambda regime: float(  # noqa: E731
        np.log(found[regime, low]["cost"][-1, 0] / found[regime, low]["cost"][0, 0])
    )
    wide = f"l_0 = {spans[0]} to {spans[-1]}"
    findings = (
        finding(
            f"norm 1, N = {low}: rise of the error from {wide}",
            *mean_interval(rise("unit", low)),
            relation="at least",
            predicted=0.0,
            otherwise="The error is at its ceiling for every span, or the span does not matter.",
        ),
        finding(
            f"norm L^(-3/2), N = {low}: the same rise over that at norm 1",
            *mean_interval(rise("small", low) / rise("unit", low).mean()),
            relation="at most",
            predicted=0.5,
            otherwise="After rescaling the span still matters as much.",
        ),
        finding(
            f"norm L^(-3/2): rise of the error from N = {low} to {high}",
            *mean_interval(n_rise),
            relation="at least",
            predicted=0.0,
            otherwise="More variables cost nothing at these sizes.",
        ),
        exact(
            f"log ratio of the product's cost over {wide}, norm L^(-3/2) over norm 1, exact",
            cost("small") / cost("unit"),
            relation="at most",
            predicted=0.5,
            otherwise="The coefficient of the product depends on the span after rescaling too.",
        ),
    )
    rows = []
    for (regime, count), one in found.items():
        for i, span in enumerate(settings.spans):
            trained = one["network"][i][np.isfinite(one["network"][i])]
            rows.append(
                (
                    WORDS[regime],
                    str(count),
                    str(span),
                    f"{one['cost'][i, 0]:.3g}",
                    spread(one["regression"][i]),
                    f"{trained.mean():.3g}",
                )
            )
    figure = plots(
        [
            Plot(
                title, "span l₀", label,
                [
                    Line(f"{WORDS[regime]}, N = {count}", spans, values(found[regime, count]))
                    for regime in REGIMES
                    for count in settings.variables
                ],
                log=log, ticks=spans,
            )
            for title, label, log, values in (
                ("Cost of the product of N tokens", "1/√a₍₁…₁₎", "y", lambda one: one["cost"]),
                ("Kernel regression", "test error / variance", "", lambda one: one["regression"]),
                ("Networks", "test error / variance", "",
                 lambda one: np.nanmean(one["network"], axis=1)),
            )
        ],
        title="Functions of N tokens, by the span of their positions, at two norms of the tokens",
        subtitle=f"polynomials of degree N of N tokens, L = {settings.length}, {settings.samples} "
        f"sequences, {settings.seeds} seeds, networks of width {settings.width}",
    )  # fmt: skip
    arrays = {"spans": spans} | {
        f"{regime}_{count}_{key}": value
        for (regime, count), one in found.items()
        for key, value in one.items()
    }
    columns = ("tokens", "N", "l_0", "cost of the product", "regression error", "network error")
    title = "errors over the variance; mean ± std over seeds; networks: mean"
    return Conclusion(Table(title, columns, tuple(rows)), findings, arrays, figure)


EXPERIMENT = Experiment(
    "n-variable",
    "Functions of several tokens: span or number",
    "At norm 1 the error of an N-variable target rises with the span l_0; at norm L^(-3/2) with N, and "
    "barely with l_0.\nMeasured: coefficients of products, kernel regression and networks on a grid.",
    "WSHC21 (arXiv 2109.14142), up to constants and powers of L; docs/theory-al19-wshc21.md",
    NVariableSettings,
    jobs,
    conclude,
)

"""How the test error depends on the width."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import marked, split_tokens, token_norm
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    finding,
    slope_finding,
    spread,
    stacked,
)
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import fit_networks, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import AdditiveTarget, PowerSeries, wshc21_network


@dataclasses.dataclass(frozen=True)
class WidthInsensitivitySettings(Sizes):
    """Sizes of the experiment.

    Args:
        widths: m.
        samples: numbers of training sequences.
        seeds: draws of data, target and network.
        length: L, the marker counted.
        dim: of a true token.
        test: sequences to test on.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    widths: tuple[int, ...] = axis((32, 64, 128, 256, 512))
    samples: tuple[int, ...] = (64, 256)
    seeds: int = axis(5)
    length: int = 6
    dim: int = 3
    test: int = 1000
    steps: int = 3000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> WidthInsensitivitySettings:
        """The small setting."""
        return cls(widths=(32, 64, 128, 256), samples=(64, 128), seeds=3, test=300, steps=600)


def _name(width: int, seed: int) -> str:
    return f"width-{width}-seed-{seed}"


def jobs(settings: WidthInsensitivitySettings) -> Sequence[Job]:
    """One for each width and seed."""
    return [
        Job(_name(width, seed), functools.partial(measure, settings, width, seed))
        for width in settings.widths
        for seed in range(settings.seeds)
    ]


def measure(settings: WidthInsensitivitySettings, width: int, seed: int) -> Piece:
    """``[samples]`` each: test and training error of the network, test error of kernel regression."""
    at, steps, most = 1000 * settings.seed + seed, settings.length - 1, max(settings.samples)
    tokens, n = split_tokens(at, most, settings.test, steps, settings.dim)
    target = AdditiveTarget.sample(at, steps, settings.dim, series=PowerSeries.sin())
    y = target(tokens) / math.sqrt(steps / settings.dim)
    x = marked(tokens, token_norm("balanced", settings.length))
    arch = wshc21_network(width, settings.dim + 1)
    kernel = ntk64(arch, x[:n])
    regression = learning_curve(kernel, y[:n], ntk64(arch, x[n:], x[:n]), y[n:], settings.samples)
    fits = [
        fit_networks(
            arch, x[:size], y[:size], x[n:], y[n:], learning_rate=stable_rate(kernel[:size, :size]),
            steps=settings.steps, batch_size=settings.batch_size, seed=at, seeds=1,
        )
        for size in settings.samples
    ]  # fmt: skip
    return {
        "test": np.array([fit.test_error[0] for fit in fits]),
        "train": np.array([fit.train_error[0] for fit in fits]),
        "regression": regression,
    }


def conclude(settings: WidthInsensitivitySettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Exponents in the width, for each number of samples."""
    widths = np.array(settings.widths)
    names = [[_name(width, s) for s in range(settings.seeds)] for width in settings.widths]
    test, train, regression = (stacked(pieces, names, key) for key in ("test", "train", "regression"))
    findings = [
        slope_finding(
            f"exponent of the test error in m, from {size} sequences",
            widths,
            test[:, :, i],
            relation="at most",
            predicted=0.0,
            otherwise="The error grows with the width faster than a logarithm.",
        )
        for i, size in enumerate(settings.samples)
    ]
    findings.append(
        finding(
            f"error at m = {widths[-1]} over that at m = {widths[-2]}, from {settings.samples[-1]} "
            "sequences",
            *mean_interval(test[-1, :, -1] / test[-2, :, -1]),
            relation="equals",
            predicted=1.0,
            margin=0.25,
            otherwise="The networks are not yet wide: the error still changes with m.",
        )
    )
    rows = tuple(
        (str(m), str(size), spread(test[k, :, i]), spread(train[k, :, i]), spread(regression[k, :, i]))
        for i, size in enumerate(settings.samples)
        for k, m in enumerate(settings.widths)
    )
    lines = [
        line
        for i, size in enumerate(settings.samples)
        for line in (
            Line(f"networks, {size} sequences", widths, test[:, :, i], colour=i),
            Line(f"infinite kernel, {size} sequences", widths, regression[:, :, i], True, i),
        )
    ]
    figure = plots(
        [Plot("", "width m", "test error / variance", lines, ticks=widths)],
        title="Test error of trained networks against their width",
        subtitle=f"sum of sines of all tokens, L = {settings.length}, W trained by SGD for "
        f"{settings.steps} steps, {settings.seeds} seeds",
    )
    arrays = {"widths": widths, "test": test, "train": train, "regression": regression}
    columns = ("width", "sequences", "test error", "training error", "kernel regression")
    table = Table("errors over the variance; mean ± std over seeds", columns, rows)
    return Conclusion(table, tuple(findings), arrays, figure)


EXPERIMENT = Experiment(
    "width-insensitivity",
    "More width asks for no more samples",
    "Samples grow only with log m: at a fixed number of sequences the test error does not rise as a "
    "power of m.\nMeasured: test errors of networks trained by SGD, and of kernel regression.",
    "AL19 (arXiv 1902.01028), the main theorem, up to constants",
    WidthInsensitivitySettings,
    jobs,
    conclude,
)

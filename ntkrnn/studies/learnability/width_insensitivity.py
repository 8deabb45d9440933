"""How the test error depends on the width."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import exponent, mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import table
from ntkrnn.studies.learnability._task import MarkedTask
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import AdditiveTarget, PowerSeries


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


def measure(settings: WidthInsensitivitySettings, width: int, seed: int) -> Piece:
    """``[samples]`` each: test and training error of the network, test error of kernel regression."""
    task = MarkedTask.draw(
        settings, seed, length=settings.length, dim=settings.dim, samples=max(settings.samples),
        width=width,
    )  # fmt: skip
    steps = settings.length - 1
    target = AdditiveTarget.sample(task.seed, steps, settings.dim, series=PowerSeries.sin())
    y = target(task.tokens) / math.sqrt(steps / settings.dim)
    fits = [task.network(y, size) for size in settings.samples]
    return {
        "test": np.array([fit.test_error[0] for fit in fits]),
        "train": np.array([fit.train_error[0] for fit in fits]),
        "regression": task.regression(y, settings.samples),
    }


def conclude(settings: WidthInsensitivitySettings, measured: Measured) -> Conclusion:
    """Exponents in the width, for each number of samples."""
    widths, samples = np.array(settings.widths), settings.samples
    test, train, regression = (
        np.moveaxis(measured(key), -1, 0) for key in ("test", "train", "regression")
    )  # [samples, W, S]
    findings = [
        finding(
            f"exponent of the test error in m, from {size} sequences",
            *exponent(widths, errors), "at most", 0.0,
            "The error grows with the width faster than a logarithm.", margin=0.1,
        )
        for size, errors in zip(samples, test, strict=True)
    ]  # fmt: skip
    findings.append(
        finding(
            f"error at m = {widths[-1]} over that at m = {widths[-2]}, from {samples[-1]} sequences",
            *mean_interval(test[-1, -1] / test[-1, -2]), "equals", 1.0,
            "The networks are not yet wide: the error still changes with m.", margin=0.25,
        )
    )  # fmt: skip
    lines = [
        line
        for i, size in enumerate(samples)
        for line in (
            Line(f"networks, {size} sequences", widths, test[i], colour=i),
            Line(f"infinite kernel, {size} sequences", widths, regression[i], True, i),
        )
    ]
    figure = plots(
        [Plot("", "width m", "test error / variance", lines, ticks=widths)],
        title="Test error of trained networks against their width",
        subtitle=f"sum of sines of all tokens, L = {settings.length}, W trained by SGD for "
        f"{settings.steps} steps, {settings.seeds} seeds",
    )
    shown = table(
        "errors over the variance; mean ± std over seeds",
        {"sequences": samples, "width": widths},
        {"test error": test, "training error": train, "kernel regression": regression},
    )
    return Conclusion(shown, tuple(findings), figure)


EXPERIMENT = Experiment(
    "width-insensitivity",
    "More width asks for no more samples",
    "Samples grow only with log m: at a fixed number of sequences the test error does not rise as a "
    "power of m.\nMeasured: test errors of networks trained by SGD, and of kernel regression.",
    "AL19 (arXiv 1902.01028), the main theorem, up to constants",
    WidthInsensitivitySettings,
    grid(measure, width="widths", seed="seeds"),
    conclude,
)

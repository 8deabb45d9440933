"""One recurrent unit learns different functions from different input to different output tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from ntkrnn import dynamics
from ntkrnn._network import network
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import exponent, mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._kernels import ntk64, samples_needed, solve
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.learnability._train import draw, sgd
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import (
    PowerSeries,
    TokenTarget,
    al19_network,
    al19_samples,
    al19_tokens,
    sample_tokens,
    true_tokens,
)

CHOICES = (PowerSeries.monomial(1), PowerSeries.monomial(2), PowerSeries.sin())


@dataclasses.dataclass(frozen=True)
class TokenToTokenSettings(Sizes):
    """Sizes of the experiment.

    Args:
        lengths: numbers of true tokens, all at ``width``.
        widths: m, all at the first length.
        width: for all lengths, one of the widths.
        samples: numbers of samples, each seen once by one-sample SGD.
        kernel_samples: numbers of samples of kernel regression.
        dim: of a token before its last coordinate.
        reach: how many earlier tokens an output depends on.
        test: sequences to test on.
        level: of the test error, relative to the variance, that counts as learned.
        seeds: draws of data, target and network.
        seed: from which all draws derive.
    """

    lengths: tuple[int, ...] = axis((3, 4, 6, 8))
    widths: tuple[int, ...] = axis((32, 64, 128, 256))
    width: int = 128
    samples: tuple[int, ...] = (62, 125, 250, 500, 1000, 2000, 4000, 8000)
    kernel_samples: tuple[int, ...] = (16, 32, 64, 128)
    dim: int = 2
    reach: int = 2
    test: int = 500
    level: float = 0.5
    seeds: int = axis(4)
    seed: int = 0

    @classmethod
    def quick(cls) -> TokenToTokenSettings:
        """The small setting."""
        return cls(
            lengths=(3, 4), widths=(32, 64), width=64, samples=(62, 125, 250, 500, 1000, 2000),
            kernel_samples=(32, 64), test=200, seeds=3,
        )  # fmt: skip


def _cells(settings: TokenToTokenSettings) -> list[tuple[int, int]]:
    """Pairs of length and width."""
    first = settings.lengths[0]
    pairs = [(length, settings.width) for length in settings.lengths]
    return pairs + [(first, width) for width in settings.widths if width != settings.width]


def measure(settings: TokenToTokenSettings, cell: tuple[int, int], seed: int) -> Piece:
    """Test errors over the variance, at every output step but the first, which is 0.

    ``average [samples, T-1]`` of the mean of the iterates, ``last`` of the last one, ``regression
    [kernel_samples, T-1]``; ``complexity`` of the target.
    """
    (length, width), at, most = cell, 1000 * settings.seed + seed, max(settings.samples)
    raw = sample_tokens(at, most + settings.test, length, settings.dim)
    target = TokenTarget.sample(at, length, settings.dim + 1, series=CHOICES, reach=settings.reach)
    y = target(true_tokens(raw))
    y = (y - y.mean(axis=0)) / np.sqrt(np.mean(np.var(y[:, 1:], axis=0)))
    y = np.concatenate([np.zeros_like(y[:, :1]), y], axis=1)  # nothing is asked at the marker
    x = al19_tokens(raw, eps_x=float(length) ** -1.5)
    arch = al19_network(width, x.shape[2])
    x_test, y_test = x[most:], y[most:]
    small = max(settings.kernel_samples)
    kernel = ntk64(arch, x[:small])
    cross = ntk64(arch, x_test, x[:small])
    traces = np.trace(kernel[np.arange(small), np.arange(small)], axis1=1, axis2=2)
    rate = float(f"{1 / traces.max():.3g}")

    params = jax.tree.map(lambda a: a[0], draw(arch, at, 1, x.shape))
    outputs = jax.jit(network(arch).apply_fn)
    start = np.asarray(outputs(params, x)), np.asarray(outputs(params, x_test))

    def errors(values: Any, shift: np.ndarray) -> np.ndarray:
        wrong = np.mean((np.asarray(values) - shift - y_test) ** 2, axis=(0, 2))
        return (wrong[2:] / np.var(y_test, axis=(0, 2))[2:])  # fmt: skip

    average, last = [], []
    for count in settings.samples:
        run = dynamics.train(
            arch,
            params,
            x[:count],
            y[:count] + start[0][:count],
            optimizer=sgd(rate),
            steps=count,
            batch_size=1,
            key=jax.random.key(at),
            record=("average",),
            at=(count,),
        )
        average.append(errors(outputs(run.average, x_test), start[1]))
        last.append(errors(outputs(run.params, x_test), start[1]))
    regression = [
        errors(_regression(kernel[:n, :n], y[:n], cross[:, :n]), np.zeros_like(y_test))
        for n in settings.kernel_samples
    ]
    return {
        "average": np.array(average),
        "last": np.array(last),
        "regression": np.array(regression),
        "complexity": np.array(target.sample_complexity()),
    }


def _regression(kernel: np.ndarray, y: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Kernel regression on every output step at once; the marker's step is left out as 0."""
    n, steps = kernel.shape[0], kernel.shape[2]
    keep = np.arange(1, steps)
    square = kernel[:, :, 1:, 1:].transpose(0, 2, 1, 3).reshape(n * len(keep), -1)
    weights = solve(square, y[:, 1:, 0].ravel())
    found = cross[:, :, 1:, 1:].transpose(0, 2, 1, 3).reshape(len(cross) * len(keep), -1) @ weights
    outputs = np.zeros((len(cross), steps, 1))
    outputs[:, 1:, 0] = found.reshape(len(cross), -1)
    return outputs


def conclude(settings: TokenToTokenSettings, measured: Measured) -> Conclusion:
    """Whether every step is learned, and how the samples depend on length and width."""
    cells = _cells(settings)
    average = {cell: measured("average", cell=cell) for cell in cells}  # [S, samples, T-1]
    needed = {
        cell: np.array(
            [samples_needed(settings.samples, run.mean(axis=1), settings.level) for run in runs]
        )
        for cell, runs in average.items()
    }
    by_length = [cell for cell in cells if cell[1] == settings.width]
    by_width = [(settings.lengths[0], width) for width in sorted(settings.widths)]
    ends = [average[cell][:, -1] for cell in (*by_length, *by_width)]
    samples_l, samples_m = (np.array([needed[c] for c in of]) for of in (by_length, by_width))
    shown = table(
        f"averaged iterate after {settings.samples[-1]} samples, errors over the variance; samples for "
        f"a mean error of {settings.level:g}; mean ± std over seeds",
        {"T": [length for length, _ in by_length + by_width]},
        {
            "width": [width for _, width in by_length + by_width],
            "error of the worst step": [end.max(axis=1) for end in ends],
            "mean error": [end.mean(axis=1) for end in ends],
            "samples needed": [
                spread(runs, otherwise="outside the sizes") for runs in (*samples_l, *samples_m)
            ],
        },
    )
    findings = [
        finding(
            f"largest error of any output step, averaged iterate after {settings.samples[-1]} samples, "
            f"T = {length}",
            *mean_interval(end.max(axis=1)), "at most", 1.0,
            "Not every output step is learned better than by the best constant.",
        )
        for (length, _), end in zip(by_length, ends, strict=False)
    ]  # fmt: skip
    complexity = np.array([measured("complexity", cell=cell).mean() for cell in by_length])
    findings += _exponents(settings, complexity, samples_l, samples_m)
    figure = _figure(
        settings,
        [average[cell] for cell in by_length],
        [measured("regression", cell=cell) for cell in by_length],
        [average[cell] for cell in by_width],
    )
    arrays = {"samples_needed_by_length": samples_l, "samples_needed_by_width": samples_m}
    arrays["samples"] = np.array(settings.samples)
    return Conclusion(shown, tuple(findings), figure, arrays)


def _exponents(
    settings: TokenToTokenSettings, complexity: np.ndarray, by_length: np.ndarray, by_width: np.ndarray
) -> list[Finding]:
    """Of the samples needed ``[lengths, S]`` and ``[widths, S]``, where there are two to compare."""
    found, lengths = [], np.array(settings.lengths)
    if np.isfinite(by_length).all(axis=1).sum() >= 2:
        theory = al19_samples(complexity, 1.0, lengths, settings.width)
        predicted = np.polyfit(np.log(lengths), np.log(theory), 1)[0]
        found.append(
            finding(
                "exponent of the samples needed in T", *exponent(lengths, by_length),
                "at most", float(predicted), "The bound holds up to further powers of L.", margin=0.1,
            )
        )  # fmt: skip
    if np.isfinite(by_width).all(axis=1).sum() >= 2:
        found.append(
            finding(
                "exponent of the samples needed in m", *exponent(sorted(settings.widths), by_width),
                "at most", 0.0, "Samples grow with the width faster than a logarithm.", margin=0.1,
            )
        )  # fmt: skip
    return found


def _figure(
    settings: TokenToTokenSettings,
    average: list[np.ndarray],
    regression: list[np.ndarray],
    by_width: list[np.ndarray],
) -> Figure:
    """Errors ``[S, samples, T-1]`` for each length, and for each width."""
    lengths, samples = settings.lengths, np.array(settings.samples)
    steps = [np.arange(1, length) for length in lengths]
    last = steps[-1]
    return plots(
        [
            Plot(
                "Every output step", "output token j", "test error / variance",
                [
                    *(
                        Line(f"T = {length}", steps[i], average[i][:, -1].T, colour=i)
                        for i, length in enumerate(lengths)
                    ),
                    Line("best constant", last, np.ones(len(last)), True, 5),
                ],
                log="", ticks=last,
            ),
            Plot(
                "Averaged iterate of one-sample SGD", "samples", "mean error over steps",
                [
                    line
                    for i, length in enumerate(lengths)
                    for line in (
                        Line(f"T = {length}", samples, average[i].mean(2).T, colour=i),
                        Line(f"kernel regression, T = {length}", np.array(settings.kernel_samples),
                             regression[i].mean(2).T, True, i),
                    )
                ],
            ),
            Plot(
                "Against the width", "samples", f"mean error over steps, T = {lengths[0]}",
                [
                    Line(f"m = {width}", samples, one.mean(2).T)
                    for width, one in zip(sorted(settings.widths), by_width, strict=True)
                ],
            ),
        ],
        title="One recurrent unit, a different function from every token to every later token",
        subtitle=f"AL19's inputs and network, functions from the {settings.reach} tokens before, "
        f"{settings.seeds} seeds",
    )  # fmt: skip


EXPERIMENT = Experiment(
    "token-to-token",
    "Different functions from token to token, learned at once",
    "One-sample SGD on an Elman RNN learns, at the same time, functions from different input tokens to "
    "different output tokens.\nMeasured: the averaged iterate at every step, samples against T and m.",
    "AL19 (arXiv 1902.01028), the main theorem, up to constants",
    TokenToTokenSettings,
    grid(measure, cell=_cells, seed="seeds"),
    conclude,
)

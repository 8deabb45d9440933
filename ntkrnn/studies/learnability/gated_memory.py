"""How far back the kernels of gated cells look, against the bias of the gate that remembers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ntkrnn._network import network
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._gated import CELLS, GATES, default_float, gated
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.piece_form import Piece

KERNELS = ("nngp", "ntk")
_REPLICATES = 8


@dataclasses.dataclass(frozen=True)
class GatedMemorySettings(Sizes):
    """Sizes of the experiment. The scales are w_std = u_std = 1.

    Args:
        length: T.
        dim: of a token, whose entries are N(0, 1); the more, the less does the distance of two tokens
            vary.
        biases: means of the biases of the LSTM's forget gate and the GRU's update gate, increasing,
            at least two.
        cells: names out of ``CELLS``.
        repetitions: each with a sequence, other tokens and samples of its own, the same for all biases.
        b_std: of the biases.
        samples: neurons of a network of the sampled kernels; there are eight.
        skip: lags left out of the fit; a token at lag 0 has not passed the gate.
        floor: the fit ends before a distance below it, whose relative error is large.
        seed: from which all draws derive.
    """

    length: int = 32
    dim: int = 16
    biases: tuple[float, ...] = axis((0.0, 1.0, 2.0))
    cells: tuple[str, ...] = axis(CELLS)
    repetitions: int = 8
    b_std: float = 0.3
    samples: int = 1024
    skip: int = 1
    floor: float = 1e-4
    seed: int = 0

    @classmethod
    def quick(cls) -> GatedMemorySettings:
        """The small setting."""
        return cls(length=12, repetitions=6, samples=576)


def copies(settings: GatedMemorySettings, repetition: int) -> np.ndarray:
    """``[1 + T, T, d]``: a sequence, then copies of it; that of lag k has another draw at T - k."""
    random = np.random.default_rng([settings.seed, repetition])
    x, other = random.normal(size=(2, settings.length, settings.dim))
    changed = np.eye(settings.length, dtype=bool)[::-1]  # lag 0, the last step, first
    return np.concatenate([x[None], np.where(changed[:, :, None], other, x)])


def measure(settings: GatedMemorySettings, cell: str, bias: float) -> Piece:
    """``distance [R, 2, T]`` by lag, for both kernels, and ``carry [R]``, what the gate alone passes.

    All copies pass the same networks, so that small differences are those of sequences, and not of
    samples.
    """
    means = [0.0] * 4
    means[GATES[cell][1]] = bias
    arch = gated(cell, b_std=settings.b_std, b_mean=tuple(means))
    distances, carry = [], []
    for repetition in range(settings.repetitions):
        x = copies(settings, repetition)
        found = network(arch).kernel_fn(
            default_float(x),
            samples=settings.samples,
            replicates=_REPLICATES,
            key=_key(settings, repetition),
        )
        distances.append([distance(np.asarray(k, float)) for k in (found.nngp, found.ntk)])
        # Variance of the gate's pre-activation, that of the state taken from the last one.
        square = float(found.nngp[0, 0]) + (x[0] ** 2).mean() + settings.b_std**2
        carry.append(carried(bias, square))
    return {"distance": np.array(distances), "carry": np.array(carry)}


def _key(settings: GatedMemorySettings, repetition: int) -> int:
    return int(np.random.default_rng([settings.seed, repetition, 1]).integers(2**31))


def distance(kernel: np.ndarray) -> np.ndarray:
    """``1 - K(x, x')/sqrt(K(x, x) K(x', x'))`` of the first with every other.

    Example:
        >>> distance(np.array([[4.0, 1.0], [1.0, 1.0]])).tolist()
        [0.5]
    """
    size = np.sqrt(np.diag(kernel))
    return 1 - kernel[0, 1:] / (size[0] * size[1:])


def carried(mean: float, variance: float) -> float:
    """``log E sigmoid(a)^2`` for Gaussian a: the rate at which a carry's covariance is forgotten.

    Example:
        >>> round(carried(0.0, 0.0), 6), carried(2.0, 1.0) > carried(0.0, 1.0)
        (-1.386294, True)
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    gate = 1 / (1 + np.exp(-(mean + np.sqrt(variance) * nodes)))
    return float(np.log(weights @ gate**2 / weights.sum()))


class Rates(NamedTuple):
    """Slopes of log distance by lag."""

    values: np.ndarray
    """``[R]``, one for each repetition."""
    last: int
    """The last lag of the fit."""


def rates(distances: np.ndarray, skip: int, floor: float) -> Rates:
    """Fit lines to ``log distances [R, T]`` from lag ``skip`` on, to where one falls to ``floor``.

    Raises:
        ValueError: if fewer than three lags are left.

    Example:
        >>> found = rates(np.exp(-0.5 * np.arange(8))[None], 1, 0.05)
        >>> found.values.round(6).tolist(), found.last
        ([-0.5], 5)
    """
    below = np.flatnonzero((distances <= floor).any(axis=0))
    end = int(below[below >= skip][0]) if (below >= skip).any() else distances.shape[1]
    if end - skip < 3:
        raise ValueError(
            f"distances: got {end - skip} lags with distances above {floor:g}, expected at least three."
        )
    lags = np.arange(skip, end) - (skip + end - 1) / 2
    return Rates(np.log(distances[:, skip:end]) @ lags / (lags @ lags), end - 1)


def conclude(settings: GatedMemorySettings, measured: Measured) -> Conclusion:
    """Rates of decay, and their order in the bias."""
    cells, biases = settings.cells, settings.biases
    distance, carry = measured("distance"), measured("carry")  # [cells, biases, R, 2, T]
    fits = {
        (c, b, k): rates(distance[c, b, :, k], settings.skip, settings.floor)
        for c, b, k in np.ndindex(len(cells), len(biases), len(KERNELS))
    }
    findings = tuple(
        finding(
            f"{cell}, {kernel.upper()}: rate per step into the past with the {GATES[cell][0]} gate's "
            f"bias {biases[b + 1]:g}, less that with {biases[b]:g}",
            *mean_interval(fits[c, b + 1, k].values - fits[c, b, k].values), "at least", 0.0,
            "The recurrent matrix carries tokens too, and hides what the gate forgets.",
        )
        for c, cell in enumerate(cells)
        for k, kernel in enumerate(KERNELS)
        for b in range(len(biases) - 1)
    )  # fmt: skip
    cell_of = list(itertools.product(range(len(cells)), range(len(biases))))
    shown = table(
        "rate of log distance per step into the past, mean ± standard deviation over repetitions (last "
        "lag of the fit)",
        {"cell": cells, "bias": [f"{b:g}" for b in biases]},
        {
            **{kernel.upper(): [_said(fits[c, b, k]) for c, b in cell_of]
               for k, kernel in enumerate(KERNELS)},
            "carry alone": [f"{carry[of].mean():+.3f}" for of in cell_of],
        },
    )  # fmt: skip
    shape = (len(cells), len(biases), len(KERNELS))
    arrays = {
        "distance": distance,
        "carry": carry,
        "rates": np.array([fit.values for fit in fits.values()]).reshape(*shape, -1),
        "last": np.array([fit.last for fit in fits.values()]).reshape(shape),
    }
    return Conclusion(shown, findings, _figure(settings, arrays), arrays)


def _said(fit: Rates) -> str:
    return f"{spread(fit.values, '{:+.3f}')} ({fit.last})"


def _figure(settings: GatedMemorySettings, arrays: Mapping[str, np.ndarray]) -> Figure:
    lags, biases = np.arange(settings.length), np.array(settings.biases)
    shown = [
        Plot(
            f"{cell}, NTK", "lag T − t", "1 − cosine of x and its copy",
            [
                # Below half of the floor nothing is resolved.
                Line(
                    f"{GATES[cell][0]} bias {b:g}", lags,
                    np.where(d > settings.floor / 2, d, np.nan).T,
                )
                for b, d in zip(biases, arrays["distance"][c][:, :, 1], strict=True)
            ],
            log="y",
        )
        for c, cell in enumerate(settings.cells)
    ]  # fmt: skip
    lines = []
    for c, cell in enumerate(settings.cells):
        for k, kernel in enumerate(KERNELS):
            name = f"{cell}, {kernel.upper()}"
            lines.append(Line(name, biases, arrays["rates"][c, :, k], colour=2 * c + k))
        lines.append(Line(f"{cell}, carry alone", biases, arrays["carry"][c], True, 2 * c))
    shown.append(
        Plot("Rates", "bias of the gate", "d log distance / d lag", lines, log="", ticks=biases)
    )
    return plots(
        shown,
        title="The bias of the forget or update gate sets how far back the kernel looks",
        subtitle=f"One of {settings.length} tokens replaced; tokens N(0, I), d = {settings.dim}, "
        f"b_std = {settings.b_std:g}; mean and standard deviation of {settings.repetitions} "
        "repetitions; carry alone: log E gate²",
    )


EXPERIMENT = Experiment(
    "gated-memory",
    "The bias of a gate is a memory",
    "The kernels of LSTM and GRU forget a token exponentially with its age, slower for a larger bias.\n"
    "Measured: distances of a sequence from copies with one other token, and their rate per step.",
    "theory",
    GatedMemorySettings,
    grid(measure, cell="cells", bias="biases"),
    conclude,
)

"""Kernels of finite LSTM and GRU networks against the sampled limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from ntkrnn._network import network
from ntkrnn.data import load
from ntkrnn.empirical import empirical_nngp_fn, empirical_ntk_fn
from ntkrnn.report import Line, Plot, guide, plots
from ntkrnn.report.statistics import exactly, exponent
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._gated import CELLS, default_float, gated, upper
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import Table, table
from ntkrnn.studies.piece_form import Piece

KERNELS = ("nngp", "ntk")
READOUTS = ("last", "mean")
LARGEST_Z = 4.0
"""Of some hundred entries that depend on each other; independent ones exceed it one time in 150."""


@dataclasses.dataclass(frozen=True)
class GatedFiniteWidthSettings(Sizes):
    """Sizes of the experiment. The scales are w_std = u_std = v_std = 1, the inputs digits.

    Args:
        widths: m, at least two of them.
        cells: names out of ``CELLS``.
        seeds: networks of each width.
        sequences: N, digits of 8 steps with 8 channels, standardised.
        b_std: of the biases; the mean of the forget gate's is 1.
        samples: neurons of a network of the sampled limit.
        replicates: such networks.
        precision: what the combined standard error is to be, relative to the kernel; sizes of kernels
            may differ by twice of it.
        seed: from which all draws derive.
    """

    widths: tuple[int, ...] = axis((128, 256, 512, 1024, 2048))
    cells: tuple[str, ...] = axis(CELLS)
    seeds: int = 96
    sequences: int = 4
    b_std: float = 0.3
    samples: int = 1024
    replicates: int = 1024
    precision: float = 0.005
    seed: int = 0

    @classmethod
    def quick(cls) -> GatedFiniteWidthSettings:
        """The small setting."""
        return cls(
            widths=(64, 128, 256, 512),
            seeds=128,
            sequences=3,
            replicates=64,
            precision=0.02,
        )


def sequences(settings: GatedFiniteWidthSettings) -> Any:
    """``[N, 8, 8]``."""
    return default_float(load("digits", n=settings.sequences, seed=settings.seed).x)


def limits(settings: GatedFiniteWidthSettings, cell: str) -> Piece:
    """``value [R, 2, N, N]`` and its standard errors, for the readouts and kernels."""
    x = sequences(settings)
    value, error = [], []
    for readout in READOUTS:
        found = network(gated(cell, b_std=settings.b_std, readout=readout)).kernel_fn(
            x, samples=settings.samples, replicates=settings.replicates, key=settings.seed
        )
        value.append([found.nngp, found.ntk])
        error.append([found.nngp_error, found.ntk_error])
    return {"value": np.asarray(value, float), "error": np.asarray(error, float)}


def networks(settings: GatedFiniteWidthSettings, cell: str, width: int) -> Piece:
    """``kernels [S, R, 2, N, N]`` of networks; both readouts read the same weights."""
    x = sequences(settings)
    archs = [gated(cell, width, b_std=settings.b_std, readout=readout) for readout in READOUTS]
    draw = jax.jit(lambda key: network(archs[0]).init_fn(key, (-1, *x.shape[1:]))[1])
    fns = [(empirical_nngp_fn(arch), empirical_ntk_fn(arch)) for arch in archs]
    key = jax.random.fold_in(jax.random.key(settings.seed), width)
    found = []
    for s in range(settings.seeds):
        params = draw(jax.random.fold_in(key, s))
        found.append([[np.asarray(fn(x, None, params), float) for fn in pair] for pair in fns])
    return {"kernels": np.array(found)}


class Extrapolated(NamedTuple):
    """The line ``value + slope/m`` through mean kernels; entries ``[...]``."""

    value: np.ndarray
    error: np.ndarray
    slope: np.ndarray
    slope_error: np.ndarray


def extrapolate(widths: Any, means: np.ndarray, errors: np.ndarray) -> Extrapolated:
    """Fit ``mean = value + slope/m`` to ``means [W, ...]`` with standard errors ``errors``.

    The variance of a network's kernel is of order 1/m, so that the weights are m, known; the errors
    are propagated.

    Example:
        >>> found = extrapolate([1, 2], np.array([3.0, 2.0]), np.array([0.1, 0.1]))
        >>> [round(float(a), 6) for a in (found.value, found.slope)]
        [1.0, 2.0]
    """
    m = np.asarray(widths, float)
    design = np.stack([np.ones_like(m), 1 / m], axis=1)
    fit = np.linalg.solve(design.T @ (m[:, None] * design), design.T * m)  # [2, W]
    value, slope = np.tensordot(fit, means, 1)
    error, slope_error = np.sqrt(np.tensordot(fit**2, errors**2, 1))
    return Extrapolated(value, error, slope, slope_error)


class Row(NamedTuple):
    """A cell, readout and kernel. W widths, S seeds."""

    name: str
    errors: np.ndarray
    """``[W, S]``, of one network, relative, Frobenius."""
    distance: np.ndarray
    """``[W]``, of the mean of the networks from the limit, the same."""
    expected: np.ndarray
    """``[W]``, of the distance, if standard errors were all of it."""
    z: float
    """Largest of the mean at the largest width."""
    z_limit: float
    """Largest of the mean that is extrapolated to width infinity."""
    precision: float
    """Combined standard error of what is extrapolated, relative, Frobenius."""
    size: tuple[float, float]
    """Of the mean that is extrapolated, ``<K', K>/<K, K>``, with its standard error."""
    bias: tuple[float, float]
    """What the fit says of the size at the largest width, less that; with its standard error."""


def compared(name: str, widths: Any, kernels: np.ndarray, value: np.ndarray, error: np.ndarray) -> Row:
    """Networks ``[W, S, N, N]`` against the limit ``[N, N]`` and its standard errors."""
    norm = lambda a: np.sqrt((a**2).sum(axis=(-2, -1)))  # noqa: E731
    scale = norm(value)
    means = kernels.mean(axis=1)
    errors = kernels.std(axis=1, ddof=1) / np.sqrt(kernels.shape[1])
    combined = np.sqrt(errors**2 + error**2)
    line = extrapolate(widths, means, errors)
    of_limit = np.sqrt(line.error**2 + error**2)
    widest = int(np.argmax(widths))
    z = lambda gap, se: float(np.abs(upper(gap) / upper(se)).max())  # noqa: E731
    # One number for each network, whose spread knows how entries depend on each other; those of the
    # limit are taken as if they erred together, which is the worst case.
    sizes = (kernels * value).sum(axis=(-2, -1)) / scale**2
    spread = sizes.std(axis=1, ddof=1) / np.sqrt(sizes.shape[1])
    size = extrapolate(widths, sizes.mean(axis=1), spread)
    of_size = np.hypot(size.error, (np.abs(value) * error).sum() / scale**2)
    return Row(
        name,
        norm(kernels - value) / scale,
        norm(means - value) / scale,
        norm(combined) / scale,
        z(means[widest] - value, combined[widest]),
        z(line.value - value, of_limit),
        float(norm(of_limit) / scale),
        (float(size.value), float(of_size)),
        (float(size.slope / max(widths)), float(size.slope_error / max(widths))),
    )


def conclude(settings: GatedFiniteWidthSettings, measured: Measured) -> Conclusion:
    """Exponents in the width, and whether the means of networks are the sampled limit."""
    widths, rows = np.array(settings.widths), []
    value, error = (np.asarray(measured(key), float) for key in ("value", "error"))
    kernels = measured("kernels")  # [cells, W, S, readouts, kernels, N, N]
    for c, cell in enumerate(settings.cells):
        for r, readout in enumerate(READOUTS):
            for k, kernel in enumerate(KERNELS):
                name = f"{cell}, {readout}, {kernel.upper()}"
                of = kernels[c, :, :, r, k], value[c, r, k], error[c, r, k]
                rows.append(compared(name, widths, *of))
    findings = [
        finding(
            f"exponent of one network's relative error in m: {row.name}",
            *exponent(widths, row.errors), "equals", -0.5,
            "Networks whose kernels have heavy tails need more seeds; in narrow ones higher orders of "
            "1/m show.", margin=0.1,
        )
        for row in rows
    ]  # fmt: skip
    findings += [
        finding(
            f"size of the mean, extrapolated in 1/m, over that of the limit: {row.name}",
            row.size[0], _normal(*row.size), "equals", 1.0,
            "Take more seeds if 1 is inside of the interval.", margin=2 * settings.precision,
        )
        for row in rows if row.name.endswith("NTK")
    ]  # fmt: skip
    for cell in settings.cells:
        own = [row for row in rows if row.name.startswith(cell)]
        findings += _agreement(settings, cell, own)
    arrays = {key: np.array([getattr(row, key) for row in rows]) for key in Row._fields[1:]}
    arrays["names"] = np.array([row.name for row in rows])
    return Conclusion(_table(settings, rows), tuple(findings), _figure(settings, rows), arrays)


def _table(settings: GatedFiniteWidthSettings, rows: Sequence[Row]) -> Table:
    widest = int(np.argmax(settings.widths))
    return table(
        f"kernels of {settings.seeds} networks of each width against the sampled limit; relative, "
        "Frobenius; z over all pairs of sequences, which depend on each other",
        {"cell, readout, kernel": [row.name for row in rows]},
        {
            f"one network, m = {settings.widths[widest]}": [
                f"{row.errors[widest].mean():.2%}" for row in rows
            ],
            "bias of its size, fitted": [f"{row.bias[0]:+.2%} ± {row.bias[1]:.2%}" for row in rows],
            "largest |z| there": [f"{row.z:.2f}" for row in rows],
            "largest |z|, m to infinity": [f"{row.z_limit:.2f}" for row in rows],
            "standard error": [f"{row.precision:.2%}" for row in rows],
        },
    )


def _normal(value: float, error: float) -> tuple[float, float]:
    """An interval of 95%; behind it are hundreds of networks."""
    return value - 1.96 * error, value + 1.96 * error


def _agreement(settings: GatedFiniteWidthSettings, cell: str, rows: Sequence[Row]) -> list[Finding]:
    """One of two routes to the limit is wrong if the means differ by more than their errors."""
    return [
        finding(
            f"{cell}: largest |z| between the mean of the widest networks and the limit",
            *exactly(max(row.z for row in rows)), "at most", LARGEST_Z,
            "Networks of this width have a bias of order 1/m that so many seeds resolve.",
        ),
        finding(
            f"{cell}: largest |z| between the mean extrapolated in 1/m and the limit",
            *exactly(max(row.z_limit for row in rows)), "at most", LARGEST_Z,
            "The narrowest networks have a bias of order 1/m^2 too, or the limit is biased by its own "
            "samples, or wrong.",
        ),
        finding(
            f"{cell}: combined standard error of that comparison, relative to the kernel",
            *exactly(max(row.precision for row in rows)), "at most", settings.precision,
            "Take more seeds.",
        ),
    ]  # fmt: skip


def _figure(settings: GatedFiniteWidthSettings, rows: Sequence[Row]) -> Figure:
    widths = np.array(settings.widths)
    split = {kernel: [row for row in rows if row.name.endswith(kernel)] for kernel in ("NTK", "NNGP")}

    def short(row: Row) -> str:
        return row.name.rsplit(",", 1)[0]

    def of_one(kernel: str) -> Plot:
        lines = [Line(short(row), widths, row.errors, colour=i) for i, row in enumerate(split[kernel])]
        lines.append(guide("m^(−1/2)", widths, split[kernel][0].errors, -0.5, 4))
        return Plot(f"One network's {kernel}", "width m", "‖K_m − K‖/‖K‖", lines, ticks=widths)

    mean = [
        line
        for i, row in enumerate(split["NTK"])
        for line in (
            Line(short(row), widths, row.distance, colour=i),
            Line("" if i else "if it were standard errors", widths, row.expected, True, i),
        )
    ]
    return plots(
        [
            of_one("NTK"),
            of_one("NNGP"),
            Plot("Mean NTK of the networks", "width m", "‖mean K_m − K‖/‖K‖", mean, ticks=widths),
        ],
        title="Finite LSTM and GRU networks approach the sampled limit",
        subtitle=f"{settings.sequences} digits as sequences of 8 steps, b_std = {settings.b_std:g}, "
        f"{settings.seeds} networks of each width; limit from {settings.replicates} networks of "
        f"{settings.samples} neurons",
    )


EXPERIMENT = Experiment(
    "gated-finite-width",
    "Gated networks approach their sampled limit",
    "The kernels of one LSTM or GRU differ from the limit by O(m^(-1/2)), their mean by O(1/m).\n"
    "Measured: both differences on digits against the width, and the mean extrapolated in 1/m.",
    "TP1 (arXiv 1910.12478) and TP2 (arXiv 2006.14548) for the limit; theory",
    GatedFiniteWidthSettings,
    grid(limits, cell="cells") + grid(networks, cell="cells", width="widths"),
    conclude,
)

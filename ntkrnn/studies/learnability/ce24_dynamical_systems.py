"""Held-out error on dynamical systems: diagonal and Elman networks, and the kernels of both."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ntkrnn import _checks, dynamics
from ntkrnn.architectures import Diagonal, Elman
from ntkrnn.data import systems
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import unit_sphere
from ntkrnn.studies.learnability._ce24_learners import (
    LEARNERS,
    fit,
    kernels,
    regress,
    relative_error,
)
from ntkrnn.studies.learnability._ce24_systems_figure import systems_figure
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import table
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import TransportTarget

SYSTEMS = ("transport", "linear_state_space", "narma10", "pendulum", "van_der_pol")
_LAG = 10
"""Steps after which NARMA-10 has left its start: they are learned, but do not count in the error."""


@dataclasses.dataclass(frozen=True)
class Ce24DynamicalSystemsSettings(Sizes):
    """Sizes of the experiment.

    Args:
        systems: names out of ``SYSTEMS``.
        seeds: repetitions, each with sequences, networks and, where the system is random, a system of
            its own.
        length: T, above 10 for NARMA-10.
        samples: training sequences.
        test: held-out sequences.
        width: of the diagonal network.
        elman_width: of the Elman network.
        steps: of full-batch descent.
        alpha: size of the recurrent weights of the diagonal network, and of the transport target.
        nonlinearity: of both networks and of the transport target.
        seed: from which all draws derive.
    """

    systems: tuple[str, ...] = axis(SYSTEMS)
    seeds: int = 5
    length: int = 24
    samples: int = 60
    test: int = 40
    width: int = 512
    elman_width: int = 256
    steps: int = 400
    alpha: float = 0.8
    nonlinearity: str = "tanh"
    seed: int = 0

    @classmethod
    def quick(cls) -> Ce24DynamicalSystemsSettings:
        """The small setting."""
        return cls(seeds=3, length=15, samples=20, test=20, width=256, elman_width=128, steps=200)


def measure(settings: Ce24DynamicalSystemsSettings, name: str) -> Piece:
    """Of each system: what was learned, and what needs no learning.

    Returns:
        ``error [4, S]`` of the learners, ``clock [S]`` of the mean of each step over the training
        sequences, which sees no input, and ``path [5, T]``: a held-out output, true and learned.
    """
    skip = _LAG if name == "narma10" else 0
    if settings.length <= skip:
        raise ValueError(f"length: got {settings.length}, expected more than {skip} for {name}.")
    draws = [sequences(settings, name, s) for s in range(settings.seeds)]
    learned: list[list[np.ndarray]] = []  # [4][S], each [M, T]
    regressions = []
    for arch in architectures(settings, draws[0][0].shape[2]):
        found = [kernels(arch, x, settings.samples) for x, _ in draws]
        rate = float(f"{0.5 * min(dynamics.largest_stable_step(k) for k, _, _ in found):.3g}")
        learned.append(
            fit(
                arch,
                draws,
                samples=settings.samples,
                steps=settings.steps,
                rate=rate,
                seed=settings.seed,
            )
        )
        regressions.append(
            [
                regress(k, y[: settings.samples], cross, floor, settings.steps)
                for (k, cross, floor), (_, y) in zip(found, draws, strict=True)
            ]
        )
    learned += regressions
    n = settings.samples
    error = [
        [relative_error(one[:, skip:], y[n:, skip:]) for one, (_, y) in zip(row, draws, strict=True)]
        for row in learned
    ]
    clock = [relative_error(y[:n].mean(axis=0)[skip:], y[n:, skip:]) for _, y in draws]
    path = np.stack([draws[0][1][n], *(row[0][0] for row in learned)])
    return {"error": np.array(error), "clock": np.array(clock), "path": path}


def sequences(
    settings: Ce24DynamicalSystemsSettings, name: str, run: int
) -> tuple[np.ndarray, np.ndarray]:
    """``x [n + M, T, d]`` and ``y [n + M, T]``, less its mean over the training sequences."""
    _checks.choice("systems", name, SYSTEMS)
    key = int(np.random.default_rng([settings.seed, run]).integers(2**31))
    count = settings.samples + settings.test
    if name == "transport":
        x = unit_sphere(np.random.default_rng(key), count, settings.length, 2)
        target = TransportTarget.sample(
            key, 2, alpha=settings.alpha, nonlinearity=settings.nonlinearity
        )
        y = np.asarray(target(x), float)[:, :, 0]
    else:
        system = getattr(systems, name)(key, count, settings.length)
        x, y = system.x, system.y[:, :, 0]
    return x, y - y[: settings.samples].mean()


def architectures(settings: Ce24DynamicalSystemsSettings, dim: int) -> tuple[Diagonal, Elman]:
    """Both see inputs at the same scale, ``N(0, I)`` weights on every channel."""
    return (
        Diagonal(settings.width, settings.nonlinearity, settings.alpha, readout="sequence"),
        Elman(
            settings.elman_width,
            settings.nonlinearity,
            u_std=math.sqrt(dim),
            readout="sequence",
            trainable=("w", "u", "v"),
        ),
    )


def ratio(quantity: str, over: np.ndarray, under: np.ndarray, *claim: Any, **more: Any) -> Finding:
    """Geometric mean of ``over/under [S]``, its interval from the logarithms."""
    value, (low, high) = mean_interval(np.log(over) - np.log(under))
    return finding(quantity, math.exp(value), (math.exp(low), math.exp(high)), *claim, **more)


def conclude(settings: Ce24DynamicalSystemsSettings, measured: Measured) -> Conclusion:
    """Errors against the best constant, the mean of each step, the other network and the kernel."""
    error, clock, path = (np.asarray(measured(key), float) for key in ("error", "clock", "path"))
    names = settings.systems
    shown = table(
        "held-out squared error over the variance of the output; mean ± std over repetitions",
        {"system": names},
        {
            **{learner: error[:, i] for i, learner in enumerate(LEARNERS)},
            "mean of each step": clock,
        },
    )
    findings = (*_of_systems(names, error, clock), *_of_learners(names, error))
    return Conclusion(shown, findings, systems_figure(settings, error, clock, path))


def _of_systems(names: tuple[str, ...], error: np.ndarray, clock: np.ndarray) -> list[Finding]:
    """On the system that is worst for a learner, against what needs no learning."""
    worst = error.mean(axis=2).argmax(axis=0)
    found = [
        finding(
            f"{learner}: error on the system it learns worst, over the variance",
            *mean_interval(error[worst[i], i]), "at most", 1.0,
            f"On {names[worst[i]]} it is no better than a constant: too few sequences for a system of "
            "this memory, or too few steps.",
        )
        for i, learner in enumerate(LEARNERS)
    ]  # fmt: skip
    # A mean over repetitions, as above: how much of the error a clock without input would leave.
    beaten = (error.mean(axis=2) / clock.mean(axis=1)[:, None]).argmax(axis=0)
    return found + [
        ratio(
            f"error of the {LEARNERS[i]} over that of the mean of each step, where that is most",
            error[beaten[i], i], clock[beaten[i]], "at most", 1.0,
            f"Of {names[beaten[i]]} the step alone, without any input, tells more than was learned: "
            "what these networks learn keeps no count of the steps.",
        )
        for i in (0, 1)
    ]  # fmt: skip


def _of_learners(names: tuple[str, ...], error: np.ndarray) -> list[Finding]:
    """Networks against each other, and against their kernels."""
    found = []
    if "transport" in names:
        own = error[names.index("transport")]
        found.append(
            ratio(
                "error of the diagonal network over that of the Elman network, transport target",
                own[0], own[1], "at most", 1.0,
                "The target lies in the tangent space of diagonal networks; with few sequences that "
                "need not be what decides.",
            )
        )  # fmt: skip
    # A repetition has one ratio, the geometric mean over systems: repetitions share no draw.
    mean = np.exp(np.log(error).mean(axis=0))
    return found + [
        ratio(
            f"error of the {LEARNERS[i]} over that of its kernel, mean over systems",
            mean[i], mean[i + 2], "equals", 1.0,
            "A network of this width leaves its tangent space in so many steps, or the ridge is not "
            "what the descent amounts to.", margin=0.5,
        )
        for i in (0, 1)
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "ce24-dynamical-systems",
    "Dynamical systems from data",
    "Diagonal networks learn systems of their class by descent; wide networks act as their kernels.\n"
    "Measured: held-out errors of diagonal and Elman networks and of both kernels, on five systems.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24DynamicalSystemsSettings,
    grid(measure, name="systems"),
    conclude,
)

"""Held-out error on dynamical systems: diagonal and Elman networks, and the kernels of both."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from ntkrnn import _checks, dynamics
from ntkrnn._network import network
from ntkrnn.architectures import Diagonal, Elman
from ntkrnn.data import systems
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.learnability._ce24 import unit_sphere
from ntkrnn.studies.learnability._form import (
    Conclusion,
    Experiment,
    Finding,
    Job,
    Table,
    finding,
    spread,
)
from ntkrnn.studies.learnability._train import draw, sgd
from ntkrnn.studies.pieces import Piece, axis
from ntkrnn.theory import TransportTarget

SYSTEMS = ("transport", "linear_state_space", "narma10", "pendulum", "van_der_pol")
LEARNERS = ("diagonal network", "Elman network", "diagonal kernel", "Elman kernel")
_LAG = 10
"""Steps after which NARMA-10 has left its start: they are learned, but do not count in the error."""
_NODES = 1024
"""Points of a replicate for the diagonal kernel; with 256 its error at d = 2 is above the ridge."""
_TRIES = 5
_DIVERGED = 2.0
"""Training error, over the variance, that no stable run ends with."""


@dataclasses.dataclass(frozen=True)
class Ce24DynamicalSystemsSettings:
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


def jobs(settings: Ce24DynamicalSystemsSettings) -> Sequence[Job]:
    """One for each system."""
    return [
        Job(name.replace("_", "-"), functools.partial(measure, settings, name))
        for name in settings.systems
    ]


def measure(settings: Ce24DynamicalSystemsSettings, name: str) -> Piece:
    """``error [4, S]`` of the learners, and ``path [5, T]``: a held-out output, true and learned."""
    skip = _LAG if name == "narma10" else 0
    if settings.length <= skip:
        raise ValueError(f"length: got {settings.length}, expected more than {skip} for {name}.")
    draws = [sequences(settings, name, s) for s in range(settings.seeds)]
    learned: list[list[np.ndarray]] = []  # [4][S], each [M, T]
    regressions = []
    for arch in architectures(settings, draws[0][0].shape[2]):
        found = [kernels(arch, x, settings.samples) for x, _ in draws]
        rate = float(f"{0.5 * min(dynamics.largest_stable_step(k) for k, _, _ in found):.3g}")
        learned.append(fit(arch, draws, settings, rate))
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
    path = np.stack([draws[0][1][n], *(row[0][0] for row in learned)])
    return {"error": np.array(error), "path": path}


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


def kernels(arch: Any, x: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """``[n, n, T, T]`` of the first n, ``[M, n, T, T]`` of the others; a bound on the first's error.

    One call, for one program is compiled for it; JAX's default precision, which the ridge is far above.
    """
    kernel_fn, floor = network(arch).kernel_fn, 0.0
    if isinstance(arch, Diagonal):
        found = kernel_fn(x, x[:n], get=("ntk", "ntk_error"), samples=_NODES)
        kernel = np.asarray(found[0], float)
        floor = float(np.linalg.norm(found[1][:n]))  # Frobenius, which is above the operator norm
    else:
        kernel = np.asarray(kernel_fn(x, x[:n], get="ntk"), float)
    return kernel[:n], kernel[n:], floor


def regress(
    kernel: np.ndarray, y: np.ndarray, cross: np.ndarray, floor: float, steps: int
) -> np.ndarray:
    """Outputs ``[M, T]`` of kernel ridge regression on all steps of all sequences.

    Descent of k steps at half the stable rate passes an eigenvalue s by 1 - (1 - s/top)^k, about
    s k/top where it is small; so does the ridge top/k. That is the ridge here, unless the kernel is
    less exact.
    """
    n, _, length, _ = kernel.shape
    rows = lambda k: k.transpose(0, 2, 1, 3).reshape(len(k) * length, n * length)  # noqa: E731
    whole = rows(kernel)
    top = 2 * n / dynamics.largest_stable_step(kernel)
    ridge = max(top / steps, floor)
    weights = linalg.solve(whole + ridge * np.eye(n * length), y.reshape(-1), assume_a="pos")
    return (rows(cross) @ weights).reshape(-1, length)


def fit(
    arch: Any,
    draws: Sequence[tuple[np.ndarray, np.ndarray]],
    settings: Ce24DynamicalSystemsSettings,
    rate: float,
) -> list[np.ndarray]:
    """Held-out outputs ``[M, T]`` of each repetition, at the last iterate of full-batch descent.

    Its outputs at the start are taken off. A run that diverges is done again at half the rate.
    """
    n, steps, learned = settings.samples, settings.steps, []
    params = draw(arch, settings.seed, len(draws), draws[0][0].shape)
    apply_fn = jax.jit(network(arch).apply_fn)
    for s, (x, y) in enumerate(draws):
        one = jax.tree.map(lambda a, s=s: a[s], params)
        shift, now = np.asarray(apply_fn(one, jnp.asarray(x)), float), rate
        for _ in range(_TRIES):
            run = dynamics.train(
                arch,
                one,
                x[:n],
                y[:n, :, None] + shift[:n],
                optimizer=sgd(now),
                steps=steps,
                x_test=x[n:],
                record=("loss", "test_outputs"),
                at=(steps,),
            )
            # The loss of a sequence is half the sum over its steps.
            loss = 2 * float(np.asarray(run.loss)[-1]) / y.shape[1]
            if loss <= _DIVERGED * np.var(y[:n]):
                break
            now /= 2
        learned.append((np.asarray(run.test_outputs, float)[-1] - shift[n:])[:, :, 0])
    return learned


def relative_error(outputs: np.ndarray, y: np.ndarray) -> float:
    """Mean squared error over sequences and steps, over the variance of y: the best constant has 1."""
    return float(np.mean((outputs - y) ** 2) / np.var(y))


def ratio(quantity: str, over: np.ndarray, under: np.ndarray, **claim: Any) -> Finding:
    """Geometric mean of ``over/under [S]``, its interval from the logarithms."""
    value, (low, high) = mean_interval(np.log(over) - np.log(under))
    return finding(quantity, math.exp(value), (math.exp(low), math.exp(high)), **claim)


def conclude(settings: Ce24DynamicalSystemsSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Errors against the best constant, the other network and the kernel."""
    names = settings.systems
    error = np.stack([np.asarray(pieces[job.name]["error"], float) for job in jobs(settings)])
    path = np.stack([np.asarray(pieces[job.name]["path"], float) for job in jobs(settings)])
    worst = error.mean(axis=2).argmax(axis=0)
    findings = [
        finding(
            f"{learner}: error on the system it learns worst, over the variance",
            *mean_interval(error[worst[i], i]),
            relation="at most",
            predicted=1.0,
            otherwise=f"On {names[worst[i]]} it is no better than a constant: too few sequences for "
            "a system of this memory, or too few steps.",
        )
        for i, learner in enumerate(LEARNERS)
    ]
    if "transport" in names:
        own = error[names.index("transport")]
        findings.append(
            ratio(
                "error of the diagonal network over that of the Elman network, transport target",
                own[0], own[1], relation="at most", predicted=1.0,
                otherwise="The target lies in the tangent space of diagonal networks; with few "
                "sequences that need not be what decides.",
            )
        )  # fmt: skip
    # A repetition has one ratio, the geometric mean over systems: repetitions share no draw.
    mean = np.exp(np.log(error).mean(axis=0))
    findings += [
        ratio(
            f"error of the {LEARNERS[i]} over that of its kernel, mean over systems",
            mean[i], mean[i + 2], relation="equals", predicted=1.0, margin=0.5,
            otherwise="A network of this width leaves its tangent space in so many steps, or the ridge "
            "is not what the descent amounts to.",
        )
        for i in (0, 1)
    ]  # fmt: skip
    rows = tuple((name, *(spread(one) for one in row)) for name, row in zip(names, error, strict=True))
    arrays = {"systems": np.array(names), "error": error, "path": path}
    table = Table(
        "held-out squared error over the variance of the output; mean ± std over repetitions",
        ("system", *LEARNERS),
        rows,
    )
    return Conclusion(table, tuple(findings), arrays, _figure(settings, error, path[0]))


def _figure(settings: Ce24DynamicalSystemsSettings, error: np.ndarray, path: np.ndarray) -> Any:
    names = [name.replace("_", " ") for name in settings.systems]
    places, steps = np.arange(len(names)), np.arange(1, settings.length + 1)
    figure = plots(
        [
            Plot(
                "Every system and learner", "system", "held-out error / variance",
                [
                    Line(learner, places + 0.14 * (i - 1.5), error[:, i], points=True)
                    for i, learner in enumerate(LEARNERS)
                ] + [Line("best constant", places, np.ones(len(names)), True, 4)],
                log="y",
            ),
            Plot(
                f"A held-out output, {names[0]}", "step t", "y less its mean",
                [
                    Line("true", steps, path[0], True, 4),
                    Line(LEARNERS[0], steps, path[1], colour=0),
                    Line(LEARNERS[1], steps, path[2], colour=1),
                ],
                log="",
            ),
        ],
        title="Dynamical systems, learned by networks and by their kernels",
        subtitle=f"{settings.samples} sequences of T = {settings.length}; {settings.nonlinearity}, "
        f"alpha = {settings.alpha:g}, widths {settings.width} and {settings.elman_width}, "
        f"{settings.steps} steps of full-batch descent; mean and standard deviation of "
        f"{settings.seeds} repetitions",
    )  # fmt: skip
    figure.axes[0].set_xticks(places, [name.replace(" ", "\n") for name in names])
    return figure


EXPERIMENT = Experiment(
    "ce24-dynamical-systems",
    "Dynamical systems from data",
    "Diagonal networks learn systems of their class by descent; wide networks act as their kernels.\n"
    "Measured: held-out errors of diagonal and Elman networks and of both kernels, on five systems.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24DynamicalSystemsSettings,
    jobs,
    conclude,
)

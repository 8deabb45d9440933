"""The figure of learned systems: every error, and outputs of the best and the worst learned one."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ntkrnn.report import Line, Plot, plots
from ntkrnn.studies.learnability._ce24_learners import LEARNERS


def systems_figure(settings: Any, error: np.ndarray, clock: np.ndarray, path: np.ndarray) -> Figure:
    """Errors ``[systems, learners, S]``, of the mean of each step ``[systems, S]``; outputs ``[systems,
    1 + learners, T]``, the true one first."""
    names = [name.replace("_", " ") for name in settings.systems]
    places, count = np.arange(len(names)), len(LEARNERS)
    kinds = [*zip(LEARNERS, error.transpose(1, 0, 2), strict=True), ("mean of each step", clock)]
    order = np.log(error[:, :2]).mean(axis=(1, 2)).argsort()  # of the networks
    shown = {"best": int(order[0]), "worst": int(order[-1])}
    return plots(
        [
            Plot(
                "Every system and learner", "system", "held-out squared error / variance",
                [
                    Line(kind, places + 0.14 * (i - 0.5 * count), values, points=True)
                    for i, (kind, values) in enumerate(kinds)
                ]
                + [Line("best constant", places, np.ones(len(names)), True, count + 1)],
                log="y", words=[name.replace(" ", "\n") for name in names],
            ),
            *(
                _output(f"Learned {how}: a held-out output, {names[which]}", path[which])
                for how, which in shown.items()
            ),
        ],
        title="Dynamical systems, learned by networks and by their kernels",
        subtitle=f"{settings.samples} sequences of T = {settings.length}; {settings.nonlinearity}; "
        f"diagonal networks of width {settings.width} at α = {settings.alpha:g}, Elman networks of "
        f"width {settings.elman_width}, {settings.steps} steps of full-batch descent; mean and "
        f"standard deviation of {settings.seeds} repetitions",
    )  # fmt: skip


def _output(title: str, path: np.ndarray) -> Plot:
    steps = np.arange(1, path.shape[1] + 1)
    lines = [
        Line("true", steps, path[0], True, 4),
        Line(LEARNERS[0], steps, path[1], colour=0),
        Line(LEARNERS[1], steps, path[2], colour=1),
    ]
    return Plot(title, "step t", "y, less its mean", lines, log="")

"""A target outside the additive class: what the best additive fit misses, and who closes the gap."""

from __future__ import annotations

import dataclasses

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import sizes_up_to
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.learnability._task import MarkedTask
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import ExactlyOneTarget


@dataclasses.dataclass(frozen=True)
class BeyondAdditiveSettings(Sizes):
    """Sizes of the experiment.

    Args:
        length: L, the marker counted.
        dim: of a true token.
        samples: the most sequences to learn from, a power of 2.
        network_samples: numbers of sequences to train networks on.
        test: sequences to test on.
        seeds: draws of data and target.
        width: of the networks.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    length: int = 5
    dim: int = 2
    samples: int = 4096
    network_samples: tuple[int, ...] = (256, 1024, 4096)
    test: int = 2000
    seeds: int = axis(5)
    width: int = 128
    steps: int = 20_000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> BeyondAdditiveSettings:
        """The small setting."""
        return cls(samples=1024, network_samples=(256, 1024), test=500, seeds=3, width=64, steps=4000)


def measure(settings: BeyondAdditiveSettings, seed: int) -> Piece:
    """Errors of kernel regression, networks, and the best additive function, over the variance."""
    task = MarkedTask.draw(
        settings, seed, length=settings.length, dim=settings.dim, samples=settings.samples,
        width=settings.width,
    )  # fmt: skip
    steps = settings.length - 1
    target = ExactlyOneTarget.sample(task.seed, steps, settings.dim)
    y = target(task.tokens)
    y = y - y[: task.n].mean()
    # With the classes known, the best additive function is linear in their indicators.
    chance = 2.0**-steps * steps
    return {
        "curve": task.regression(y, sizes_up_to(task.n)),
        "network": np.array([task.network(y, n).test_error[0] for n in settings.network_samples]),
        "additive": np.array(target.exact_additive_error() ** 2 / (4 * chance * (1 - chance))),
    }


def conclude(settings: BeyondAdditiveSettings, measured: Measured) -> Conclusion:
    """Whether kernel and networks do better than any additive function."""
    sizes, few = np.array(sizes_up_to(settings.samples)), np.array(settings.network_samples)
    curve, network, additive = (measured(key) for key in ("curve", "network", "additive"))
    findings = (
        finding(
            f"error of kernel regression from {sizes[-1]} sequences over that of the best additive fit",
            *mean_interval(curve[:, -1] / additive), "at most", 1.0,
            "There are too few sequences for the product of the tokens' classes.",
        ),
        finding(
            f"error of networks from {few[-1]} sequences over that of the best additive fit",
            *mean_interval(network[:, -1] / additive), "at most", 1.0,
            "Training stopped before the networks fitted what is not additive.",
        ),
    )  # fmt: skip
    trained = dict(zip(settings.network_samples, network.T, strict=True))
    shown = table(
        "test errors over the variance; mean ± std over seeds",
        {"sequences": sizes},
        {
            "kernel regression": curve.T,
            "networks": [spread(trained[n]) if n in trained else "" for n in sizes],
            "best additive function": np.full(len(sizes), additive.mean()),
        },
    )
    figure = plots(
        [
            Plot(
                "", "training sequences", "test error / variance",
                [
                    Line("kernel regression", sizes, curve.T),
                    Line("networks", few, network.T),
                    Line("best additive function, any number of sequences", sizes,
                         np.full(len(sizes), additive.mean()), True),
                ],
                ticks=sizes,
            )
        ],
        title="“Exactly one token of class 1”, which no additive function gives",
        subtitle=f"L = {settings.length}, the marker counted; networks of width {settings.width}, "
        f"{settings.steps} steps of SGD, {settings.seeds} seeds",
    )  # fmt: skip
    return Conclusion(shown, findings, figure, {"sizes": sizes, "network_sizes": few})


EXPERIMENT = Experiment(
    "beyond-additive",
    "Beyond additive targets",
    '"Exactly one token of class 1" is no sum over tokens: the best additive fit leaves a gap that the '
    "network and its kernel close.\nMeasured: test errors against the best additive function's, exact.",
    "WSHC21 (arXiv 2109.14142), on what is beyond AL19's class; docs/theory-al19-wshc21.md",
    BeyondAdditiveSettings,
    grid(measure, seed="seeds"),
    conclude,
)

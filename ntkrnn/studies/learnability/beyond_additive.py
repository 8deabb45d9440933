"""A target outside the additive class: what the best additive fit misses, and who closes the gap."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import marked, sizes_up_to, split_tokens, token_norm
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    finding,
    spread,
    stacked,
)
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import fit_networks, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import ExactlyOneTarget, wshc21_network


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


def jobs(settings: BeyondAdditiveSettings) -> Sequence[Job]:
    """One for each seed."""
    return [
        Job(f"seed-{seed}", functools.partial(measure, settings, seed))
        for seed in range(settings.seeds)
    ]


def measure(settings: BeyondAdditiveSettings, seed: int) -> Piece:
    """Errors of kernel regression, networks, and the best additive function, over the variance."""
    at, steps = 1000 * settings.seed + seed, settings.length - 1
    tokens, n = split_tokens(at, settings.samples, settings.test, steps, settings.dim)
    target = ExactlyOneTarget.sample(at, steps, settings.dim)
    y = target(tokens)
    y = y - y[:n].mean()
    x = marked(tokens, token_norm("balanced", settings.length))
    arch = wshc21_network(settings.width, settings.dim + 1)
    kernel, cross = ntk64(arch, x[:n]), ntk64(arch, x[n:], x[:n])
    curve = learning_curve(kernel, y[:n], cross, y[n:], sizes_up_to(n))
    networks = [
        fit_networks(
            arch, x[:size], y[:size], x[n:], y[n:], learning_rate=stable_rate(kernel[:size, :size]),
            steps=settings.steps, batch_size=settings.batch_size, seed=at, seeds=1,
        ).test_error[0]
        for size in settings.network_samples
    ]  # fmt: skip
    # With the classes known, the best additive function is linear in their indicators.
    chance = 2.0**-steps * steps
    return {
        "curve": curve,
        "network": np.array(networks),
        "additive": np.array(target.exact_additive_error() ** 2 / (4 * chance * (1 - chance))),
    }


def conclude(settings: BeyondAdditiveSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Whether kernel and networks do better than any additive function."""
    sizes = np.array(sizes_up_to(settings.samples))
    few = np.array(settings.network_samples)
    names = [[job.name for job in jobs(settings)]]
    curve, network, additive = (
        stacked(pieces, names, key)[0] for key in ("curve", "network", "additive")
    )
    findings = (
        finding(
            f"error of kernel regression from {sizes[-1]} sequences over that of the best additive fit",
            *mean_interval(curve[:, -1] / additive),
            relation="at most",
            predicted=1.0,
            otherwise="There are too few sequences for the product of the tokens' classes.",
        ),
        finding(
            f"error of networks from {few[-1]} sequences over that of the best additive fit",
            *mean_interval(network[:, -1] / additive),
            relation="at most",
            predicted=1.0,
            otherwise="Training stopped before the networks fitted what is not additive.",
        ),
    )
    rows = tuple(
        (
            str(size),
            spread(curve[:, i]),
            spread(network[:, list(few).index(size)]) if size in few else "",
            f"{additive.mean():.3g}",
        )
        for i, size in enumerate(sizes)
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
    arrays = {"sizes": sizes, "curve": curve, "network_sizes": few, "network": network,
              "additive": additive}  # fmt: skip
    columns = ("sequences", "kernel regression", "networks", "best additive function")
    table = Table("test errors over the variance; mean ± std over seeds", columns, rows)
    return Conclusion(table, findings, arrays, figure)


EXPERIMENT = Experiment(
    "beyond-additive",
    "Beyond additive targets",
    '"Exactly one token of class 1" is no sum over tokens: the best additive fit leaves a gap that the '
    "network and its kernel close.\nMeasured: test errors against the best additive function's, exact.",
    "WSHC21 (arXiv 2109.14142), on what is beyond AL19's class; docs/theory-al19-wshc21.md",
    BeyondAdditiveSettings,
    jobs,
    conclude,
)

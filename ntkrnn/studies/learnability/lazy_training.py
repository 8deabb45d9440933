"""How far training moves the weights and flips the signs of a ReLU network, against its width."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ntkrnn import dynamics
from ntkrnn.report import Line, Plot, plots
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import marked, split_tokens, token_norm
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    exact,
    slope_finding,
    spread,
)
from ntkrnn.studies.learnability._kernels import ntk64
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import draw, sgd, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import AdditiveTarget, PowerSeries, wshc21_network


@dataclasses.dataclass(frozen=True)
class LazyTrainingSettings(Sizes):
    """Sizes of the experiment.

    Args:
        widths: m.
        seeds: networks of each width.
        length: L, the marker counted.
        dim: of a true token.
        samples: training sequences.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    widths: tuple[int, ...] = axis((32, 64, 128, 256, 512))
    seeds: int = 5
    length: int = 8
    dim: int = 3
    samples: int = 128
    steps: int = 3000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> LazyTrainingSettings:
        """The small setting."""
        return cls(widths=(32, 64, 128, 256), seeds=4, samples=64, steps=600)


def jobs(settings: LazyTrainingSettings) -> Sequence[Job]:
    """One for each width."""
    return [
        Job(f"width-{width}", functools.partial(measure, settings, width)) for width in settings.widths
    ]


def measure(settings: LazyTrainingSettings, width: int) -> Piece:
    """``[S]`` each: norm of the change of the paper's W, of W at the start, flipped signs, loss."""
    steps = settings.length - 1
    tokens, n = split_tokens(settings.seed, settings.samples, 1, steps, settings.dim)
    target = AdditiveTarget.sample(settings.seed, steps, settings.dim, series=PowerSeries.sin())
    x = marked(tokens, token_norm("balanced", settings.length))[:n]
    y = target(tokens[:n]) / math.sqrt(steps / settings.dim)
    arch = wshc21_network(width, settings.dim + 1)
    params = draw(arch, settings.seed, settings.seeds, x.shape)
    run = dynamics.train(
        arch,
        params,
        x,
        y,
        optimizer=sgd(stable_rate(ntk64(arch, x))),
        steps=settings.steps,
        batch_size=settings.batch_size,
        key=jax.random.key(settings.seed + 1),
        record=("loss", "spectral", "signs"),
        at=(0, settings.steps),
        ensemble=True,
    )
    assert run.movement is not None and run.movement.spectral is not None
    shift = np.asarray(run.movement.spectral["cells"][0]["forward"]["w"])[:, -1]
    scale = math.sqrt(2 / width)
    start = np.linalg.norm(np.asarray(params["cells"][0]["forward"]["w"], float), ord=2, axis=(1, 2))
    loss = np.asarray(run.loss)
    return {
        "shift": scale * shift,
        "start": scale * start,
        "flipped": np.asarray(run.signs)[:, -1],
        "loss_before": loss[:, 0],
        "loss": loss[:, -1],
    }


def conclude(settings: LazyTrainingSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Exponents in the width."""
    widths = np.array(settings.widths)
    get = lambda key: np.stack(  # noqa: E731
        [np.asarray(pieces[job.name][key], float) for job in jobs(settings)]
    )
    shift, start, flipped, loss = get("shift"), get("start"), get("flipped"), get("loss")
    left = loss.mean(axis=1) / get("loss_before").mean(axis=1)
    findings = (
        slope_finding(
            "exponent of ||W_k - W_0||_2 in m",
            widths,
            shift,
            relation="at most",
            predicted=-0.5,
            otherwise="The networks are not yet wide: the same loss asks more of a narrow one.",
        ),
        slope_finding(
            "exponent of the share of flipped signs in m",
            widths,
            flipped,
            relation="at most",
            predicted=-1 / 3,
            otherwise="The worst case of the theorem is m^(-1/3); a flatter decay would contradict it.",
        ),
        exact(
            "largest share of the initial mean loss that is left, over widths",
            float(left.max()),
            relation="at most",
            predicted=0.5,
            otherwise="Nothing was learned, so that little movement says nothing.",
        ),
    )
    rows = tuple(
        (str(m), spread(a), spread(b), spread(c), spread(d))
        for m, a, b, c, d in zip(widths, shift, start, flipped, loss, strict=True)
    )
    guide = lambda values, power: values[0].mean() * (widths / widths[0]) ** power  # noqa: E731
    figure = plots(
        [
            Plot(
                "Weights", "width m", "spectral norm",
                [
                    Line("‖W_k − W₀‖", widths, shift, colour=0),
                    Line("m^(−1/2)", widths, guide(shift, -0.5), True, 0),
                    Line("‖W₀‖", widths, start, colour=1),
                ],
                ticks=widths,
            ),
            Plot(
                "Signs", "width m", "share of flipped signs",
                [
                    Line("measured", widths, flipped, colour=0),
                    Line("m^(−1/2)", widths, guide(flipped, -0.5), True, 0),
                    Line("m^(−1/3), the worst case", widths, guide(flipped, -1 / 3), True, 1),
                ],
                ticks=widths,
            ),
        ],
        title="How far training moves a network, against its width",
        subtitle=f"ReLU, W trained by SGD for {settings.steps} steps, {settings.samples} sequences of "
        f"L = {settings.length}, {settings.seeds} networks of each width",
    )  # fmt: skip
    arrays = {"widths": widths, "shift": shift, "start": start, "flipped": flipped, "loss": loss}
    columns = ("width", "‖W_k − W₀‖₂", "‖W₀‖₂", "signs flipped", "loss at the end")
    table = Table("the paper's W; mean ± std over networks", columns, rows)
    return Conclusion(table, findings, arrays, figure)


EXPERIMENT = Experiment(
    "lazy-training",
    "Wide networks learn without moving far",
    "Training moves W by O(m^(-1/2)) in spectral norm, against O(1) of W itself, and flips fewer signs "
    "the wider the network.\nMeasured: both at the end of SGD runs on an additive target, against m.",
    "AL19 (arXiv 1902.01028), lemmas on the neighbourhood of the start, up to constants",
    LazyTrainingSettings,
    jobs,
    conclude,
)

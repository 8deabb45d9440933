"""How far training moves the weights and flips the signs of a ReLU network, against its width."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from ntkrnn import dynamics
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import marked, split_tokens, token_norm
from ntkrnn.studies.learnability._experiment import Experiment
from ntkrnn.studies.learnability._grid import grid
from ntkrnn.studies.learnability._kernels import ntk64
from ntkrnn.studies.learnability._scaling import Claim, Quantity, Scaling
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


def measure(settings: LazyTrainingSettings, width: int) -> Piece:
    """``[S]`` each: norm of the change of the paper's W, of W at the start, flipped signs, loss.

    ``left`` is the share of the mean loss that is left.
    """
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
    loss = np.asarray(run.loss, float)
    return {
        "shift": scale * shift,
        "start": scale * start,
        "flipped": np.asarray(run.signs)[:, -1],
        "loss": loss[:, -1],
        "left": loss[:, -1].mean() / loss[:, 0].mean(),
    }


EXPERIMENT = Experiment(
    "lazy-training",
    "Wide networks learn without moving far",
    "Training moves W by O(m^(-1/2)) in spectral norm, against O(1) of W itself, and flips fewer signs "
    "the wider the network.\nMeasured: both at the end of SGD runs on an additive target, against m.",
    "AL19 (arXiv 1902.01028), lemmas on the neighbourhood of the start, up to constants",
    LazyTrainingSettings,
    grid(measure, width="widths"),
    Scaling(
        axis="width",
        symbol="m",
        panels={"Weights": "spectral norm", "Signs": "share of flipped signs"},
        quantities=(
            Quantity(
                "shift", "‖W_k − W₀‖₂", "Weights", "‖W_k − W₀‖", {"m^(−1/2)": -0.5},
                exponent=Claim(
                    "||W_k - W_0||_2", "at most", -0.5,
                    "The networks are not yet wide: the same loss asks more of a narrow one.",
                    margin=0.1,
                ),
            ),
            Quantity("start", "‖W₀‖₂", "Weights", "‖W₀‖"),
            Quantity(
                "flipped", "signs flipped", "Signs", "measured",
                {"m^(−1/2)": -0.5, "m^(−1/3), the worst case": -1 / 3},
                exponent=Claim(
                    "the share of flipped signs", "at most", -1 / 3,
                    "The worst case of the theorem is m^(-1/3); a flatter decay would contradict it.",
                    margin=0.1,
                ),
            ),
            Quantity("loss", "loss at the end"),
            Quantity(
                "left",
                largest=Claim(
                    "share of the initial mean loss that is left, over widths", "at most", 0.5,
                    "Nothing was learned, so that little movement says nothing.",
                ),
            ),
        ),
        title="How far training moves a network, against its width",
        subtitle="ReLU, W trained by SGD for {steps} steps, {samples} sequences of L = {length}, "
        "{seeds} networks of each width",
        table="the paper's W; mean ± std over networks",
    ),
)  # fmt: skip

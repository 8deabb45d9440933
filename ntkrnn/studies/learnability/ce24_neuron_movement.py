"""How far plain descent moves the neurons of a diagonal network, against its width."""

from __future__ import annotations

import dataclasses

import numpy as np

from ntkrnn import _checks
from ntkrnn.architectures import Diagonal
from ntkrnn.data import systems
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import descend, half_of_stable, moves, unit_sphere
from ntkrnn.studies.learnability._experiment import Experiment
from ntkrnn.studies.learnability._grid import grid
from ntkrnn.studies.learnability._scaling import Claim, Quantity, Scaling
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import TransportTarget


@dataclasses.dataclass(frozen=True)
class Ce24NeuronMovementSettings(Sizes):
    """Sizes of the experiment.

    Args:
        widths: m.
        seeds: networks of each width.
        length: T.
        dim: d of the transport target.
        samples: training sequences.
        steps: of full-batch descent.
        alpha: size of the recurrent weights at the start.
        nonlinearity: of the network.
        system: what is learned: "transport", a target of the paper's class, or "pendulum", for
            which narrow networks leave the neighbourhood of their start.
        seed: from which all draws derive.
    """

    widths: tuple[int, ...] = axis((64, 256, 1024, 4096, 8192))
    seeds: int = 6
    length: int = 12
    dim: int = 2
    samples: int = 32
    steps: int = 500
    alpha: float = 0.6
    nonlinearity: str = "tanh"
    system: str = "transport"
    seed: int = 0

    @classmethod
    def quick(cls) -> Ce24NeuronMovementSettings:
        """The small setting."""
        return cls(widths=(64, 256, 1024, 4096), seeds=4, length=8, samples=24, steps=200)


def measure(settings: Ce24NeuronMovementSettings, width: int) -> Piece:
    """``[S]`` each: largest moves of w and u over the neurons, share of the loss that is left."""
    x, y = _system(settings)
    arch = Diagonal(width, settings.nonlinearity, settings.alpha)
    run = descend(
        arch,
        x,
        y,
        seed=settings.seed,
        seeds=settings.seeds,
        steps=settings.steps,
        rate=half_of_stable(arch, x),
    )
    w, u = moves(run)
    return {
        "w": w.max(axis=1),
        "u": u.max(axis=1),
        "w_mean": np.sqrt((w**2).mean(axis=1)),
        "left": run.loss[:, 1] / run.loss[:, 0],
    }


def _system(settings: Ce24NeuronMovementSettings) -> tuple[np.ndarray, np.ndarray]:
    _checks.choice("system", settings.system, ("transport", "pendulum"))
    if settings.system == "pendulum":
        system = systems.pendulum(settings.seed, settings.samples, settings.length)
        return system.x, system.y
    rng = np.random.default_rng(settings.seed)
    x = unit_sphere(rng, settings.samples, settings.length, settings.dim)
    target = TransportTarget.sample(
        settings.seed, settings.dim, alpha=settings.alpha, nonlinearity=settings.nonlinearity
    )
    return x, np.asarray(target(x))


_NOT_YET_WIDE = (
    "Narrow networks are not yet near their linearisation: the same loss asks less of their w. The "
    "largest of m neurons also grows with m, by a logarithm, if moves have tails."
)

EXPERIMENT = Experiment(
    "ce24-neuron-movement",
    "No neuron moves far",
    "Plain gradient descent moves every neuron of a diagonal network by O(m^(-1/2)).\n"
    "Measured: the largest moves of w and u after descent on a transport target, against m.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24NeuronMovementSettings,
    grid(measure, width="widths"),
    Scaling(
        axis="width",
        symbol="m",
        panels={"Recurrent weights": "|w_i(k) − w_i(0)|", "Input weights": "‖u_i(k) − u_i(0)‖"},
        quantities=(
            Quantity(
                "w", "max |Δw|", "Recurrent weights", "largest over neurons", {"m^(−1/2)": -0.5},
                exponent=Claim("max_i |w_i(k) - w_i(0)|", "at most", -0.5, _NOT_YET_WIDE, margin=0.1),
            ),
            Quantity(
                "u", "max ‖Δu‖", "Input weights", "largest over neurons", {"m^(−1/2)": -0.5},
                exponent=Claim("max_i ||u_i(k) - u_i(0)||", "at most", -0.5, _NOT_YET_WIDE, margin=0.1),
            ),
            Quantity("w_mean", "rms Δw", "Recurrent weights", "root mean square"),
            Quantity(
                "left", "share of the loss left",
                largest=Claim(
                    "share of the initial loss that is left", "at most", 0.5,
                    "Nothing was learned, so that little movement says nothing.",
                ),
            ),
        ),
        title="Descent moves every neuron by about 1/√m, without being forced to",
        subtitle="Diagonal network, {nonlinearity}, α = {alpha:g}, without projection; system to "
        "learn: {system}, {samples} sequences of T = {length}, {steps} full-batch steps, {seeds} "
        "networks of each width",
        table="moves of the neurons; mean ± std over networks",
    ),
)  # fmt: skip

"""How linear a trained diagonal network is in its move, against its width."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ntkrnn.architectures import Diagonal
from ntkrnn.data import systems
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import descend, deviations, half_of_stable
from ntkrnn.studies.learnability._experiment import Experiment
from ntkrnn.studies.learnability._grid import grid
from ntkrnn.studies.learnability._scaling import Claim, Quantity, Scaling
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import certificate


@dataclasses.dataclass(frozen=True)
class Ce24LinearisationSettings(Sizes):
    """Sizes of the experiment.

    Args:
        widths: m.
        seeds: networks of each width.
        length: T.
        samples: training sequences, on which the deviations are measured too.
        steps: of projected descent.
        rho_w: radius for the recurrent weights.
        rho_u: radius for the input weights.
        alpha: size of the recurrent weights at the start.
        nonlinearity: of the network.
        seed: from which all draws derive.
    """

    widths: tuple[int, ...] = axis((64, 256, 1024, 4096, 8192))
    seeds: int = 6
    length: int = 12
    samples: int = 24
    steps: int = 400
    rho_w: float = 1.0
    rho_u: float = 2.0
    alpha: float = 0.5
    nonlinearity: str = "sin"
    seed: int = 0

    @classmethod
    def quick(cls) -> Ce24LinearisationSettings:
        """The small setting."""
        return cls(widths=(64, 256, 1024, 4096), seeds=4, length=8, samples=16, steps=150)


def measure(settings: Ce24LinearisationSettings, width: int) -> Piece:
    """``[S]`` each, largest over sequences, steps and neurons; and in units of the certificate."""
    system = systems.pendulum(settings.seed, settings.samples, settings.length)
    arch = Diagonal(width, settings.nonlinearity, settings.alpha)
    run = descend(
        arch,
        system.x,
        system.y,
        seed=settings.seed,
        seeds=settings.seeds,
        steps=settings.steps,
        rate=half_of_stable(arch, system.x),
        radii=(settings.rho_w, settings.rho_u),
    )
    bound = certificate(
        arch, settings.rho_w, settings.rho_u, settings.samples, settings.length, 0.05, None, 1
    )
    found: dict[str, list[float]] = {k: [] for k in ("hidden", "remainder", "output", "share")}
    for s in range(settings.seeds):
        start, end = (
            tuple(np.asarray(p[b][s], float) for b in ("w", "u")) for p in (run.start, run.end)
        )
        off = deviations(settings.nonlinearity, start, end, system.x)
        c = np.asarray(run.start["c"][s][0], float)
        output = np.abs(off.remainder @ c).max(axis=1) / math.sqrt(width)
        hidden = np.abs(off.hidden).max(axis=(1, 2))
        found["hidden"].append(hidden.max())
        found["remainder"].append(np.abs(off.remainder).max())
        found["output"].append(output.max())
        found["share"].append(max((hidden / bound.hidden).max(), (output / bound.linearisation).max()))
    left = run.loss[:, 1] / run.loss[:, 0]
    return {**{k: np.array(v) for k, v in found.items()}, "left": left}


EXPERIMENT = Experiment(
    "ce24-linearisation",
    "Linear in the move",
    "Within 1/sqrt m of the start a state deviates by O(m^(-1/2)), of which all but O(1/m) is linear.\n"
    "Measured: both after projected descent on a noisy pendulum, against m, and their bounds.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24LinearisationSettings,
    grid(measure, width="widths"),
    Scaling(
        axis="width",
        symbol="m",
        panels={
            "One neuron": "largest over neurons, steps, sequences",
            "The output": "max |F − F^lin|",
        },
        quantities=(
            Quantity(
                "hidden", "max |Δh|", "One neuron", "|h(θ) − h(θ₀)|", {"m^(−1/2)": -0.5},
                exponent=Claim(
                    "max |h(theta) - h(theta_0)|", "equals", -0.5,
                    "Narrow networks are held by the projection and wide ones are not: then the "
                    "deviation falls faster.",
                    margin=0.1,
                ),
            ),
            Quantity(
                "remainder", "max remainder", "One neuron", "what of it is not linear",
                {"m^(−1)": -1.0},
                exponent=Claim(
                    "a neuron's linearisation remainder", "equals", -1.0,
                    "The remainder is the square of the move: see the exponent of the deviation.",
                    margin=0.15,
                ),
            ),
            Quantity(
                "output", "max |F − F^lin|", "The output", "measured",
                {"m^(−1/2), the rate of the bound": -0.5},
                exponent=Claim(
                    "max |F - F^lin|", "at most", -0.5, "This would contradict the bound B_T/sqrt m.",
                    margin=0.1,
                ),
            ),
            Quantity(
                "share", "share of the bound",
                largest=Claim(
                    "deviation in units of its bound", "at most", 1.0, "The certificate would be wrong."
                ),
            ),
            Quantity("left", "loss left"),
        ),
        title="The wider the network, the more linear it is in its move",
        subtitle="Diagonal network, {nonlinearity}, α = {alpha:g}, after {steps} steps of descent "
        "projected on ρ_w = {rho_w:g} and ρ_u = {rho_u:g}; a noisy pendulum, {samples} sequences of "
        "T = {length}, {seeds} networks of each width",
        table="after projected descent; mean ± std over networks",
    ),
)  # fmt: skip

"""Whether the linearisation remainder of a neuron grows with the length of the sequence."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from matplotlib.figure import Figure

from ntkrnn.architectures import Diagonal
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import deviations, unit_sphere
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.learnability._train import draw
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import cutoff

GROWS = 0.05
"""Rate per step that tells growth from none, where the bound has 2 log a, which is 2.2 at a = 3."""


@dataclasses.dataclass(frozen=True)
class Ce24CutoffSettings(Sizes):
    """Sizes of the experiment.

    Args:
        nonlinearities: of slope at most 1, so that the cutoff is at 1.
        alphas: sizes of the recurrent weights, increasing, on both sides of the cutoff.
        length: the largest T.
        width: m.
        dim: d.
        samples: sequences.
        seeds: networks, each with moves and sequences of its own.
        rho_w: move of every recurrent weight, in units of ``1/sqrt m``.
        rho_u: move of every input weight vector, in units of ``1/sqrt m``.
        seed: from which all draws derive.
    """

    nonlinearities: tuple[str, ...] = axis(("identity", "sin", "tanh"))
    alphas: tuple[float, ...] = axis((0.4, 0.6, 0.8, 1.2, 1.5, 2.0, 3.0))
    length: int = 64
    width: int = 16384
    dim: int = 2
    samples: int = 8
    seeds: int = 10
    rho_w: float = 1.0
    rho_u: float = 1.0
    seed: int = 0

    @classmethod
    def quick(cls) -> Ce24CutoffSettings:
        """The small setting."""
        return cls(alphas=(0.5, 0.8, 1.5, 3.0), width=4096, samples=2, seeds=5)


def measure(settings: Ce24CutoffSettings, nonlinearity: str, alpha: float) -> Piece:
    """``remainder [S, T]``: m times its root mean square over neurons and sequences, at every step.

    The state at step t is that of a sequence of length t: one pass gives every length.
    """
    m, found = settings.width, []
    arch = Diagonal(m, nonlinearity, alpha)
    params = draw(arch, settings.seed, settings.seeds, (1, 1, settings.dim))
    for s in range(settings.seeds):
        rng = np.random.default_rng([settings.seed, s])
        x = unit_sphere(rng, settings.samples, settings.length, settings.dim)
        w, u = (np.asarray(params[block][s], float) for block in ("w", "u"))
        shift_w = rng.choice([-1.0, 1.0], m) * settings.rho_w / math.sqrt(m)
        shift_u = rng.standard_normal(u.shape)
        shift_u *= settings.rho_u / math.sqrt(m) / np.linalg.norm(shift_u, axis=1, keepdims=True)
        off = deviations(nonlinearity, (w, u), (w + shift_w, u + shift_u), x)
        found.append(m * np.sqrt((off.remainder**2).mean(axis=(1, 2))))
    return {"remainder": np.stack(found)}


def conclude(settings: Ce24CutoffSettings, measured: Measured) -> Conclusion:
    """Growth for every step over the second half of the sequence."""
    steps, values = np.arange(1, settings.length + 1), measured("remainder")  # [names, alphas, S, T]
    late = steps > settings.length // 2
    centred = steps[late] - steps[late].mean()
    rates = np.log(values[..., late]) @ (centred / (centred @ centred))
    sides = [
        cutoff(alpha, settings.rho_w, settings.width, settings.nonlinearities[0]).side
        for alpha in settings.alphas
    ]
    findings = tuple(
        one
        for name, of in zip(settings.nonlinearities, rates, strict=True)
        for one in _growth(settings, name, sides, of)
    )
    names = settings.nonlinearities
    columns = {
        f"t = {t}": values[..., t - 1].mean(axis=-1)
        for t in (4, 8, 16, 32, 64, 128)
        if t <= settings.length
    }
    shown = table(
        "m times the rms remainder of a state; growth over the second half",
        {"nonlinearity": names, "alpha": settings.alphas},
        {
            "cutoff": [sides] * len(names),
            **columns,
            "growth per step": [[spread(runs, "{:+.4f}") for runs in of] for of in rates],
        },
    )
    arrays = {"steps": steps, "rates": rates}
    return Conclusion(shown, findings, _figure(settings, steps, values, sides), arrays)


def _growth(
    settings: Ce24CutoffSettings, name: str, sides: list[str], rates: np.ndarray
) -> list[Finding]:
    """Of rates ``[alphas, S]`` with one nonlinearity: next to the cutoff below it, and far above."""
    found, alphas = [], settings.alphas
    if "below" in sides:
        i = max(i for i, side in enumerate(sides) if side == "below")
        found.append(
            finding(
                f"{name}: growth rate per step at alpha = {alphas[i]:g}, below the cutoff",
                *mean_interval(rates[i]), "at most", 0.0,
                "Near the cutoff the remainder needs long sequences to level off.", margin=0.01,
            )
        )  # fmt: skip
    if sides[-1] == "above":
        saturates = name == "tanh"
        found.append(
            finding(
                f"{name}: growth rate per step at alpha = {alphas[-1]:g}, above the cutoff",
                *mean_interval(rates[-1]), "at most" if saturates else "at least", GROWS,
                "The bound grows above the cutoff; what neurons do on inputs that are not the worst "
                "need not, where slopes are mostly below 1.",
            )
        )  # fmt: skip
    return found


def _figure(
    settings: Ce24CutoffSettings, steps: np.ndarray, values: np.ndarray, sides: list[str]
) -> Figure:
    return plots(
        [
            Plot(
                name, "step t", "m · rms remainder",
                [
                    # The first state of the identity is exactly linear.
                    Line(f"α = {alpha:g}, {side}", steps[1:], runs.T[1:])
                    for alpha, side, runs in zip(settings.alphas, sides, of, strict=True)
                ],
                log="y",
            )
            for name, of in zip(settings.nonlinearities, values, strict=True)
        ],
        title="What is not linear in the move, against the length of the sequence",
        subtitle=f"Diagonal networks of m = {settings.width}, random moves of "
        f"{settings.rho_w:g}/√m and {settings.rho_u:g}/√m for every neuron, unit tokens, "
        f"{settings.seeds} networks; the cutoff is at α = 1",
    )  # fmt: skip


EXPERIMENT = Experiment(
    "ce24-cutoff",
    "Memory below and above the cutoff",
    "Below alpha_m r1 = 1 the linearisation remainder stays bounded in T; above it the bound grows.\n"
    "Measured: the remainder of the states at random moves, up to T = 64, for alpha on both sides.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24CutoffSettings,
    grid(measure, nonlinearity="nonlinearities", alpha="alphas"),
    conclude,
)

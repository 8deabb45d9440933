"""How linear a trained diagonal network is in its move, against its width."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn.architectures import Diagonal
from ntkrnn.data import systems
from ntkrnn.report import Line, Plot, plots
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import descend, deviations, half_of_stable
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Job,
    Table,
    exact,
    slope_finding,
    spread,
)
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


def jobs(settings: Ce24LinearisationSettings) -> Sequence[Job]:
    """One for each width."""
    return [
        Job(f"width-{width}", functools.partial(measure, settings, width)) for width in settings.widths
    ]


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


def conclude(settings: Ce24LinearisationSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Exponents in the width."""
    widths = np.array(settings.widths)
    get = lambda key: np.stack(  # noqa: E731
        [np.asarray(pieces[job.name][key], float) for job in jobs(settings)]
    )
    hidden, remainder, output = get("hidden"), get("remainder"), get("output")
    share, left = get("share"), get("left")
    findings = (
        slope_finding(
            "exponent of max |h(theta) - h(theta_0)| in m", widths, hidden,
            relation="equals", predicted=-0.5,
            otherwise="Narrow networks are held by the projection and wide ones are not: then the "
            "deviation falls faster.",
        ),
        slope_finding(
            "exponent of a neuron's linearisation remainder in m", widths, remainder,
            relation="equals", predicted=-1.0, margin=0.15,
            otherwise="The remainder is the square of the move: see the exponent of the deviation.",
        ),
        slope_finding(
            "exponent of max |F - F^lin| in m", widths, output, relation="at most", predicted=-0.5,
            otherwise="This would contradict the bound B_T/sqrt m.",
        ),
        exact(
            "largest deviation in units of its bound", float(share.max()),
            relation="at most", predicted=1.0,
            otherwise="The certificate would be wrong.",
        ),
    )  # fmt: skip
    rows = tuple(
        (str(m), spread(a), spread(b), spread(c), spread(d), spread(e))
        for m, a, b, c, d, e in zip(widths, hidden, remainder, output, share, left, strict=True)
    )
    guide = lambda values, power: values[0].mean() * (widths / widths[0]) ** power  # noqa: E731
    figure = plots(
        [
            Plot(
                "One neuron", "width m", "largest over neurons, steps, sequences",
                [
                    Line("|h(θ) − h(θ₀)|", widths, hidden, colour=0),
                    Line("m^(−1/2)", widths, guide(hidden, -0.5), True, 0),
                    Line("what of it is not linear", widths, remainder, colour=1),
                    Line("m^(−1)", widths, guide(remainder, -1.0), True, 1),
                ],
                ticks=widths,
            ),
            Plot(
                "The output", "width m", "max |F − F^lin|",
                [
                    Line("measured", widths, output, colour=2),
                    Line("m^(−1/2), the rate of the bound", widths, guide(output, -0.5), True, 2),
                ],
                ticks=widths,
            ),
        ],
        title="The wider the network, the more linear it is in its move",
        subtitle=f"Diagonal network, {settings.nonlinearity}, α = {settings.alpha:g}, after "
        f"{settings.steps} steps of descent projected on ρ_w = {settings.rho_w:g} and "
        f"ρ_u = {settings.rho_u:g}; a noisy pendulum, {settings.samples} sequences of "
        f"T = {settings.length}, {settings.seeds} networks of each width",
    )  # fmt: skip
    arrays = {
        "widths": widths, "hidden": hidden, "remainder": remainder, "output": output, "share": share,
        "left": left,
    }  # fmt: skip
    columns = (
        "width", "max |Δh|", "max remainder", "max |F − F^lin|", "share of the bound", "loss left",
    )  # fmt: skip
    table = Table("after projected descent; mean ± std over networks", columns, rows)
    return Conclusion(table, findings, arrays, figure)


EXPERIMENT = Experiment(
    "ce24-linearisation",
    "Linear in the move",
    "Within 1/sqrt m of the start a state deviates by O(m^(-1/2)), of which all but O(1/m) is linear.\n"
    "Measured: both after projected descent on a noisy pendulum, against m, and their bounds.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24LinearisationSettings,
    jobs,
    conclude,
)

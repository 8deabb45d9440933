"""How far plain descent moves the neurons of a diagonal network, against its width."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn import _checks
from ntkrnn.architectures import Diagonal
from ntkrnn.data import systems
from ntkrnn.report import Line, Plot, plots
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import descend, half_of_stable, moves, unit_sphere
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


def jobs(settings: Ce24NeuronMovementSettings) -> Sequence[Job]:
    """One for each width."""
    return [
        Job(f"width-{width}", functools.partial(measure, settings, width)) for width in settings.widths
    ]


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


def conclude(settings: Ce24NeuronMovementSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Exponents in the width."""
    widths = np.array(settings.widths)
    get = lambda key: np.stack(  # noqa: E731
        [np.asarray(pieces[job.name][key], float) for job in jobs(settings)]
    )
    w, u, mean, left = get("w"), get("u"), get("w_mean"), get("left")
    why = (
        "Narrow networks are not yet near their linearisation: the same loss asks less of their w. The "
        "largest of m neurons also grows with m, by a logarithm, if moves have tails."
    )
    findings = (
        slope_finding(
            "exponent of max_i |w_i(k) - w_i(0)| in m", widths, w,
            relation="at most", predicted=-0.5, otherwise=why,
        ),
        slope_finding(
            "exponent of max_i ||u_i(k) - u_i(0)|| in m", widths, u,
            relation="at most", predicted=-0.5, otherwise=why,
        ),
        exact(
            "largest share of the initial loss that is left",
            float(left.max()),
            relation="at most",
            predicted=0.5,
            otherwise="Nothing was learned, so that little movement says nothing.",
        ),
    )  # fmt: skip
    rows = tuple(
        (str(m), spread(a), spread(b), spread(c), spread(d))
        for m, a, b, c, d in zip(widths, w, u, mean, left, strict=True)
    )
    guide = lambda values: values[0].mean() * (widths / widths[0]) ** -0.5  # noqa: E731
    learned = {"transport": "a transport target", "pendulum": "a noisy pendulum"}[settings.system]
    figure = plots(
        [
            Plot(
                "Recurrent weights", "width m", "|w_i(k) − w_i(0)|",
                [
                    Line("largest over neurons", widths, w, colour=0),
                    Line("m^(−1/2)", widths, guide(w), True, 0),
                    Line("root mean square", widths, mean, colour=1),
                ],
                ticks=widths,
            ),
            Plot(
                "Input weights", "width m", "‖u_i(k) − u_i(0)‖",
                [
                    Line("largest over neurons", widths, u, colour=0),
                    Line("m^(−1/2)", widths, guide(u), True, 0),
                ],
                ticks=widths,
            ),
        ],
        title="Descent moves every neuron by about 1/√m, without being forced to",
        subtitle=f"Diagonal network, {settings.nonlinearity}, α = {settings.alpha:g}, without "
        f"projection; {learned}, {settings.samples} sequences of "
        f"T = {settings.length}, {settings.steps} full-batch steps, {settings.seeds} networks of each "
        "width",
    )  # fmt: skip
    arrays = {"widths": widths, "w": w, "u": u, "w_mean": mean, "left": left}
    columns = ("width", "max |Δw|", "max ‖Δu‖", "rms Δw", "share of the loss left")
    table = Table("moves of the neurons; mean ± std over networks", columns, rows)
    return Conclusion(table, findings, arrays, figure)


EXPERIMENT = Experiment(
    "ce24-neuron-movement",
    "No neuron moves far",
    "Plain gradient descent moves every neuron of a diagonal network by O(m^(-1/2)).\n"
    "Measured: the largest moves of w and u after descent on a transport target, against m.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24NeuronMovementSettings,
    jobs,
    conclude,
)

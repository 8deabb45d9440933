"""The training risk of projected descent against the certificate that was given before."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
from matplotlib.figure import Figure

from ntkrnn import dynamics
from ntkrnn.architectures import Diagonal
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import exactly
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._ce24 import deviations, projected, unit_sphere
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import table
from ntkrnn.studies.learnability._train import draw
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import TransportTarget, certificate, lipschitz_constants

NONLINEARITIES = ("sin", "tanh", "erf", "sigmoid")


@dataclasses.dataclass(frozen=True)
class Ce24CertificateSettings(Sizes):
    """Sizes of the experiment.

    Args:
        cases: random settings of the network, the target and descent.
        steps: most steps of descent; each case has between a tenth of it and all of it.
        largest_width: the most neurons of a case; the fewest are 64.
        delta: probability at which the certificate may fail.
        seed: from which all draws derive.
    """

    cases: int = axis(20)
    steps: int = 1000
    largest_width: int = 4096
    delta: float = 0.05
    seed: int = 0

    @classmethod
    def quick(cls) -> Ce24CertificateSettings:
        """The small setting."""
        return cls(cases=8, steps=200, largest_width=1024)


def measure(settings: Ce24CertificateSettings, case: int) -> Piece:
    """Measured mean risk, its bound and the parts of it; what the case is."""
    rng = np.random.default_rng([settings.seed, case])
    which = case % len(NONLINEARITIES)
    nonlinearity = NONLINEARITIES[which]
    share = rng.uniform(0.1, 0.9)
    alpha = float(share / lipschitz_constants(nonlinearity).r1)
    rho_w, rho_u = (float(a) for a in rng.uniform(0.2, 1.5, 2))
    doublings = int(math.log2(settings.largest_width / 64))
    width = 64 * 2 ** int(rng.integers(0, doublings + 1))
    n, length, dim = (int(rng.choice(a)) for a in ((4, 16, 64), (2, 4, 8), (1, 2, 3)))
    steps = int(rng.integers(settings.steps // 10, settings.steps + 1))
    x = unit_sphere(rng, n, length, dim)
    target = TransportTarget.sample(
        int(rng.integers(2**31)), dim, rho_w, rho_u, alpha=alpha, nonlinearity=nonlinearity
    )
    arch = Diagonal(width, nonlinearity, alpha)
    bound = certificate(arch, rho_w, rho_u, n, length, settings.delta, None, steps)
    params = jax.tree.map(lambda a: a[0], draw(arch, settings.seed + case, 1, x.shape))
    run = dynamics.train(
        arch,
        params,
        x,
        np.asarray(target(x)),
        optimizer=projected(2 * bound.eta, rho_w, rho_u),
        steps=steps,
        record=("loss",),
        at=1,
    )
    risks = 2 * np.asarray(run.loss, float)  # the loss is half of the paper's
    off = deviations(nonlinearity, (params["w"], params["u"]), (run.params["w"], run.params["u"]), x)
    output = np.abs(off.remainder @ np.asarray(params["c"][0], float)).max(axis=1) / math.sqrt(width)
    return {
        "risk": risks[:-1].mean(),
        "first": risks[0],
        "last": risks[-1],
        "bound": bound.risk,
        "descent": (rho_w**2 + rho_u**2) / (bound.eta * steps),
        "hidden": (np.abs(off.hidden).max(axis=(1, 2)) / bound.hidden).max(),
        "output": (output / bound.linearisation).max(),
        "case": np.array([which, bound.cutoff.a, width, n, length, dim, steps]),
    }


def conclude(settings: Ce24CertificateSettings, measured: Measured) -> Conclusion:
    """The largest ratio, and how loose the bound is."""
    first, risk, bound, hidden, output, descent = (
        measured(key) for key in ("first", "risk", "bound", "hidden", "output", "descent")
    )
    wrong = "The certificate would be wrong, or the one failure in 1/delta that it allows."
    findings = tuple(
        finding(f"largest {quantity}", *exactly(ratio.max()), "at most", 1.0, wrong)
        for quantity, ratio in (
            ("mean risk in units of the certificate", risk / bound),
            ("deviation of a state in units of its bound", hidden),
            ("|F - F^lin| in units of its bound", output),
        )
    )
    which, a, *sizes = measured("case").T
    names = ("width", "n", "T", "d", "steps")
    shown = table(
        "mean risk over the iterates, and its certificate",
        {"nonlinearity": [NONLINEARITIES[int(i)] for i in which]},
        {
            "a": [f"{of:.2f}" for of in a],
            **{name: of.astype(int) for name, of in zip(names, sizes, strict=True)},
            "risk at start": first,
            "mean risk": risk,
            "certificate": bound,
            "how loose": bound / risk,
        },
    )
    return Conclusion(shown, findings, _figure(risk, bound, descent))


def _figure(risk: np.ndarray, bound: np.ndarray, descent: np.ndarray) -> Figure:
    ratio, ends = bound / risk, np.array([risk.min(), bound.max()])
    return plots(
        [
            Plot(
                "Training risk", "certificate", "mean risk of the iterates",
                [
                    Line("random settings", bound, risk, colour=0, points=True),
                    Line("risk = certificate", ends, ends, True, 1),
                ],
            ),
            Plot(
                "What the certificate consists of", "certificate", "term of the certificate",
                [
                    Line("2 T E², falls as 1/m", bound, bound - descent, colour=3, points=True),
                    Line("(ρ_w² + ρ_u²)/(ητ), falls with the steps τ", bound, descent, colour=2,
                         points=True),
                    Line("term = certificate", ends, ends, True, 1),
                ],
            ),
        ],
        title="The risk stays below its certificate",
        subtitle=f"{len(risk)} random settings of descent at the largest step that is covered; the "
        f"certificate is {_rounded(ratio.min())} to {_rounded(ratio.max())} times what was measured",
    )  # fmt: skip


def _rounded(value: float) -> str:
    """Three digits, written out: 1,550,000."""
    return f"{float(f'{value:.3g}'):,.0f}"


EXPERIMENT = Experiment(
    "ce24-certificate",
    "A bound on the training risk, before training",
    "Projected descent with steps up to 1/(4 T G^2) has a mean risk below a number known beforehand.\n"
    "Measured: the mean risk over the iterates in random settings, and how loose the number is.",
    "CE24 (arXiv 2402.12241), up to constants; theory",
    Ce24CertificateSettings,
    grid(measure, case="cases"),
    conclude,
)

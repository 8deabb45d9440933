"""What an additive target costs, and how many samples it takes, as sequences get longer."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.figure import Figure

from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import exactly, exponent
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import sizes_up_to
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, Finding, finding
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._kernels import samples_needed
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import spread, table
from ntkrnn.studies.learnability._task import MarkedTask
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import AdditiveTarget, PowerSeries, additive_schur_bound, kernel_complexity

# Chebyshev polynomials: on the circle each is orthogonal to all lower degrees.
SERIES = {
    1: PowerSeries((0.0, 1.0), "z"),
    2: PowerSeries((-1.0, 0.0, 2.0), "2z² − 1"),
    3: PowerSeries((0.0, -3.0, 0.0, 4.0), "4z³ − 3z"),
}


@dataclasses.dataclass(frozen=True)
class AdditiveLengthSettings(Sizes):
    """Sizes of the experiment.

    Args:
        lengths: L, the marker counted.
        seeds: draws of data and target.
        samples: the most sequences to learn from, a power of 2.
        test: sequences to test on.
        form_samples: sequences of the quadratic form.
        level: of the test error, relative to the variance, that counts as learned.
        width: of the networks.
        network_samples: sequences they are trained on.
        steps: of SGD.
        batch_size: sequences of a step.
        seed: from which all draws derive.
    """

    lengths: tuple[int, ...] = axis((4, 6, 8, 12, 16, 24))
    seeds: int = axis(5)
    samples: int = 4096
    test: int = 1000
    form_samples: int = 1024
    level: float = 0.5
    width: int = 128
    network_samples: int = 1024
    steps: int = 4000
    batch_size: int = 32
    seed: int = 0

    @classmethod
    def quick(cls) -> AdditiveLengthSettings:
        """The small setting."""
        return cls(
            lengths=(4, 6, 8, 12), seeds=3, samples=1024, test=300, form_samples=512, width=64,
            network_samples=256, steps=600,
        )  # fmt: skip


def measure(settings: AdditiveLengthSettings, length: int, seed: int) -> Piece:
    """For degrees 1 to 3: the quadratic form, its bound, the learning curve, a network's error.

    The target of the form is a function of the middle token; that of the learning curve and the
    network a sum over all tokens.
    """
    task = MarkedTask.draw(
        settings, seed, length=length, dim=2, samples=settings.samples, width=settings.width,
        regime="small",
    )  # fmt: skip
    at, steps, norm = task.seed, length - 1, task.norm
    norms = np.r_[1.0, np.full(steps, norm)]
    sizes, few, form = sizes_up_to(task.n), settings.network_samples, settings.form_samples
    keys = ("form", "bound", "needed", "network", "regression", "curves")
    rows: list[tuple[object, ...]] = []
    for degree, series in SERIES.items():
        middle = AdditiveTarget.sample(at, steps, 2, series=series, positions=(steps // 2,))
        cost = kernel_complexity(task.kernel[:form, :form], middle(task.tokens[:form])).quadratic ** 0.5
        # Of the raw tokens the target is a function with longer directions.
        directions = np.concatenate([np.zeros((1, 2)), middle.directions]) / norm
        bound = additive_schur_bound((None, *middle.series), directions, norms, shared=(0,))
        target = AdditiveTarget.sample(at + degree, steps, 2, series=series)
        y = target(task.tokens) / np.sqrt(steps / 2)  # of variance 1
        curve = task.regression(y, sizes)
        needed = samples_needed(sizes, curve, settings.level)
        error = task.network(y, few).test_error[0]
        rows.append((cost, bound, needed, error, curve[sizes.index(few)], curve))
    return {
        key: np.array(column, float) for key, column in zip(keys, zip(*rows, strict=True), strict=True)
    }


def conclude(settings: AdditiveLengthSettings, measured: Measured) -> Conclusion:
    """Exponents in the length, for each degree."""
    form, bound, needed, network, regression = values = [
        np.moveaxis(measured(key), 2, 0) for key in ("form", "bound", "needed", "network", "regression")
    ]  # [degrees, L, S]
    shown = table(
        f"form and bound of one token's target, samples for a test error of {settings.level:g} of the "
        f"variance, and errors from {settings.network_samples} sequences; mean ± std over seeds",
        {"degree": [*SERIES], "L": settings.lengths},
        {
            "form": form,
            "bound": bound[:, :, 0],
            "samples needed": [
                spread(runs, otherwise="outside the sizes") for of in needed for runs in of
            ],
            "regression error": regression,
            "network error": network,
        },
    )
    findings = [
        one
        for i, degree in enumerate(SERIES)
        for one in _exponents(np.array(settings.lengths) - 1, degree, form[i], needed[i])
    ]
    findings.append(
        finding(
            "largest ratio of quadratic form and Schur bound", *exactly((form / bound).max()),
            "at most", 1.0,
            "The inequality is proven; a ratio above 1 is an error of computation.",
        )
    )  # fmt: skip
    arrays = {"sizes": np.array(sizes_up_to(settings.samples))}
    return Conclusion(shown, tuple(findings), _figure(settings, *values), arrays)


def _exponents(steps: np.ndarray, degree: int, form: np.ndarray, needed: np.ndarray) -> list[Finding]:
    """Of form and samples ``[L, S]`` of one degree."""
    found = [
        finding(
            f"exponent of the quadratic form in L − 1, degree {degree}, one token",
            *exponent(steps, form), "at most", (degree - 1) / 2,
            "The bound is asymptotic in L; these lengths are short.", margin=0.1,
        )
    ]  # fmt: skip
    if np.isfinite(needed).all(axis=1).sum() >= 3:
        found.append(
            finding(
                f"exponent of the samples needed in L − 1, degree {degree}, all tokens",
                *exponent(steps, needed), "at most", float(degree),
                "The square of the form of all tokens grows as L^q; the bound holds up to further "
                "powers of L.", margin=0.25,
            )
        )  # fmt: skip
    return found


def _figure(
    settings: AdditiveLengthSettings,
    form: np.ndarray,
    bound: np.ndarray,
    needed: np.ndarray,
    network: np.ndarray,
    regression: np.ndarray,
) -> Figure:
    lengths = np.array(settings.lengths)
    costs, samples, errors = [], [], []
    for i, degree in enumerate(SERIES):
        costs += [
            Line(f"degree {degree}", lengths, form[i], colour=i),
            Line(f"bound, degree {degree}", lengths, bound[i], True, i),
        ]
        start = np.isfinite(needed[i]).all(axis=1).argmax()  # the first length that has them
        power = needed[i, start].mean() * ((lengths - 1) / (lengths[start] - 1)) ** degree
        samples += [
            Line(f"degree {degree}", lengths, needed[i], colour=i),
            Line(f"(L − 1)^{degree}", lengths, power, True, i),
        ]
        errors += [
            Line(f"network, degree {degree}", lengths, network[i], colour=i),
            Line(f"kernel regression, degree {degree}", lengths, regression[i], True, i),
        ]
    return plots(
        [
            Plot("Cost of one token's function", "L", "√(yᵀH⁻¹y)", costs, ticks=lengths),
            Plot("Samples for a sum over all tokens", "L", "samples", samples, ticks=lengths),
            Plot(
                f"From {settings.network_samples} sequences", "L", "test error / variance", errors,
                log="x", ticks=lengths,
            ),
        ],
        title="Additive targets of degree 1, 2, 3 as sequences get longer",
        subtitle=f"tokens of norm L^(-3/2) on the circle behind a shared marker, {settings.seeds} "
        f"seeds, networks of width {settings.width}",
    )  # fmt: skip


EXPERIMENT = Experiment(
    "additive-length",
    "Additive targets cost a power of the length",
    "For tokens of norm L^(-3/2), sqrt(y'H^-1 y) of a degree-q function of one token grows at most as "
    "L^((q-1)/2).\nMeasured: the form, its Schur bound, samples for a fixed error, degrees 1 to 3.",
    "WSHC21 (arXiv 2109.14142), up to constants and powers of L; docs/theory-al19-wshc21.md",
    AdditiveLengthSettings,
    grid(measure, length="lengths", seed="seeds"),
    conclude,
)

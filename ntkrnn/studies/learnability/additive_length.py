"""What an additive target costs, and how many samples it takes, as sequences get longer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ntkrnn.report import Line, Plot, plots
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._data import marked, sizes_up_to, split_tokens, token_norm
from ntkrnn.studies.learnability._experiment import (
    Conclusion,
    Experiment,
    Finding,
    Job,
    Table,
    exact,
    slope_finding,
    spread,
    spread_or,
    stacked,
)
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64, samples_needed
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._train import fit_networks, stable_rate
from ntkrnn.studies.piece_form import Piece
from ntkrnn.theory import (
    AdditiveTarget,
    PowerSeries,
    additive_schur_bound,
    kernel_complexity,
    wshc21_network,
)

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


def _name(length: int, seed: int) -> str:
    return f"length-{length}-seed-{seed}"


def jobs(settings: AdditiveLengthSettings) -> Sequence[Job]:
    """One for each length and seed."""
    return [
        Job(_name(length, seed), functools.partial(measure, settings, length, seed))
        for length in settings.lengths
        for seed in range(settings.seeds)
    ]


def measure(settings: AdditiveLengthSettings, length: int, seed: int) -> Piece:
    """For degrees 1 to 3: the quadratic form, its bound, the learning curve, a network's error.

    The target of the form is a function of the middle token; that of the learning curve and the
    network a sum over all tokens.
    """
    at = 1000 * settings.seed + seed
    steps, n = length - 1, settings.samples
    tokens, n = split_tokens(at, n, settings.test, steps, 2)
    norm = token_norm("small", length)
    x = marked(tokens, norm)
    arch = wshc21_network(settings.width, 3)
    kernel = ntk64(arch, x[:n])
    cross = ntk64(arch, x[n:], x[:n])
    norms = np.r_[1.0, np.full(steps, norm)]
    sizes = sizes_up_to(n)
    found: dict[str, list[float]] = {"form": [], "bound": [], "needed": [], "network": []}
    curves = []
    for degree, series in SERIES.items():
        middle = AdditiveTarget.sample(at, steps, 2, series=series, positions=(steps // 2,))
        form = settings.form_samples
        y = middle(tokens[:form])
        found["form"].append(kernel_complexity(kernel[:form, :form], y).quadratic ** 0.5)
        # Of the raw tokens the target is a function with longer directions.
        directions = np.concatenate([np.zeros((1, 2)), middle.directions]) / norm
        found["bound"].append(
            additive_schur_bound((None, *middle.series), directions, norms, shared=(0,))
        )
        target = AdditiveTarget.sample(at + degree, steps, 2, series=series)
        y = target(tokens) / np.sqrt(steps / 2)  # of variance 1
        curve = learning_curve(kernel, y[:n], cross, y[n:], sizes)
        curves.append(curve)
        found["needed"].append(samples_needed(sizes, curve, settings.level))
        few = settings.network_samples
        fitted = fit_networks(
            arch, x[:few], y[:few], x[n:], y[n:],
            learning_rate=stable_rate(kernel[:few, :few]), steps=settings.steps,
            batch_size=settings.batch_size, seed=at, seeds=1,
        )  # fmt: skip
        found["network"].append(float(fitted.test_error[0]))
        found.setdefault("regression", []).append(float(curve[sizes.index(few)]))
    return {**{key: np.array(value) for key, value in found.items()}, "curves": np.array(curves)}


def conclude(settings: AdditiveLengthSettings, pieces: Mapping[str, Piece]) -> Conclusion:
    """Exponents in the length, for each degree."""
    lengths = np.array(settings.lengths)
    names = [[_name(length, s) for s in range(settings.seeds)] for length in settings.lengths]
    form, bound, needed, network, regression = (
        stacked(pieces, names, key) for key in ("form", "bound", "needed", "network", "regression")
    )  # [L, S, degrees]
    findings: list[Finding] = []
    for i, degree in enumerate(SERIES):
        findings.append(
            slope_finding(
                f"exponent of the quadratic form in L − 1, degree {degree}, one token",
                lengths - 1,
                form[:, :, i],
                relation="at most",
                predicted=(degree - 1) / 2,
                otherwise="The bound is asymptotic in L; these lengths are short.",
            )
        )
        if np.isfinite(needed[:, :, i]).all(axis=1).sum() >= 3:
            findings.append(
                slope_finding(
                    f"exponent of the samples needed in L − 1, degree {degree}, all tokens",
                    lengths - 1,
                    needed[:, :, i],
                    relation="at most",
                    predicted=float(degree),
                    margin=0.25,
                    otherwise="The square of the form of all tokens grows as L^q; the bound holds up "
                    "to further powers of L.",
                )
            )
    ratio = form / bound
    worst = float(ratio.max())
    findings.append(
        exact(
            "largest ratio of quadratic form and Schur bound",
            worst,
            relation="at most",
            predicted=1.0,
            otherwise="The inequality is proven; a ratio above 1 is an error of computation.",
        )
    )
    rows = [
        (
            str(length),
            str(degree),
            spread(form[k, :, i]),
            f"{bound[k, 0, i]:.3g}",
            spread_or(needed[k, :, i], "outside the sizes"),
            spread(regression[k, :, i]),
            spread(network[k, :, i]),
        )
        for i, degree in enumerate(SERIES)
        for k, length in enumerate(settings.lengths)
    ]
    figure = _figure(settings, lengths, form, bound, needed, network, regression)
    arrays = {
        "lengths": lengths, "form": form, "bound": bound, "needed": needed, "network": network,
        "regression": regression, "curves": stacked(pieces, names, "curves"),
        "sizes": sizes_up_to(settings.samples),
    }  # fmt: skip
    columns = ("L", "degree", "form", "bound", "samples needed", "regression error", "network error")
    title = (
        f"form and bound of one token's target, samples for a test error of {settings.level:g} of the "
        f"variance, and errors from {settings.network_samples} sequences; mean ± std over seeds"
    )
    return Conclusion(Table(title, columns, tuple(rows)), tuple(findings), arrays, figure)


def _figure(settings, lengths, form, bound, needed, network, regression):
    costs, samples, errors = [], [], []
    for i, degree in enumerate(SERIES):
        costs += [
            Line(f"degree {degree}", lengths, form[:, :, i], colour=i),
            Line(f"bound, degree {degree}", lengths, bound[:, :, i], True, i),
        ]
        start = np.isfinite(needed[:, :, i]).all(axis=1).argmax()  # the first length that has them
        guide = needed[start, :, i].mean() * ((lengths - 1) / (lengths[start] - 1)) ** degree
        samples += [
            Line(f"degree {degree}", lengths, needed[:, :, i], colour=i),
            Line(
                f"(L − 1)^{degree}",
                lengths,
                guide,
                True,
                i,
            ),
        ]
        errors += [
            Line(f"network, degree {degree}", lengths, network[:, :, i], colour=i),
            Line(f"kernel regression, degree {degree}", lengths, regression[:, :, i], True, i),
        ]
    return plots(
        [
            Plot("Cost of one token's function", "L", "√(yᵀH⁻¹y)", costs, ticks=lengths),
            Plot("Samples for a sum over all tokens", "L", "samples", samples, ticks=lengths),
            Plot(
                f"From {settings.network_samples} sequences",
                "L",
                "test error / variance",
                errors,
                log="x",
                ticks=lengths,
            ),
        ],
        title="Additive targets of degree 1, 2, 3 as sequences get longer",
        subtitle=f"tokens of norm L^(-3/2) on the circle behind a shared marker, {settings.seeds} "
        f"seeds, networks of width {settings.width}",
    )


EXPERIMENT = Experiment(
    "additive-length",
    "Additive targets cost a power of the length",
    "For tokens of norm L^(-3/2), sqrt(y'H^-1 y) of a degree-q function of one token grows at most as "
    "L^((q-1)/2).\nMeasured: the form, its Schur bound, samples for a fixed error, degrees 1 to 3.",
    "WSHC21 (arXiv 2109.14142), up to constants and powers of L; docs/theory-al19-wshc21.md",
    AdditiveLengthSettings,
    jobs,
    conclude,
)

"""Classes of real sequences, by kernels of LSTM, GRU and Elman networks and by the networks."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy import linalg

from ntkrnn import _checks, dynamics
from ntkrnn._network import network
from ntkrnn.architectures import Elman
from ntkrnn.data import load
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._gated import CELLS, default_float, gated
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import Table, table
from ntkrnn.studies.learnability._train import draw, halved_until_stable
from ntkrnn.studies.piece_form import Piece

SETS = ("japanese_vowels", "digits")
NEEDS_AEON = ("japanese_vowels",)
"""They come with the extra ``data``, and are left out where it is not installed."""
STANDARDIZE = {"japanese_vowels": "channel", "digits": "global"}
"""Outer columns of digits are nearly constant: a scale of their own would blow them up."""
PLAIN = "Elman"
LEARNERS = ("NTK", "NNGP", "network")
RIDGES = tuple(10.0 ** (-k / 2) for k in range(2, 13))
"""To choose from, in units of the largest eigenvalue."""
MOMENTUM = 0.9
_RECORDS = 40
_REPLICATES = 8


@dataclasses.dataclass(frozen=True)
class GatedRealSequencesSettings(Sizes):
    """Sizes of the experiment. Inputs have mean 0 and variance 1, and w_std = u_std = v_std = 1.

    Args:
        sets: names out of ``SETS``.
        cells: with gates, names out of ``CELLS``; Elman networks come with them.
        repetitions: subsets of each set, which may overlap, each with networks of its own.
        train: sequences to fit.
        validation: further sequences, by which ridge and number of steps are chosen.
        test: further sequences.
        longest: sequences of more steps are left out.
        readout: of all cells.
        b_std: of the biases; the mean of the LSTM's forget gate's is 1.
        samples: neurons of a network of the sampled kernels; there are eight.
        width: of the networks.
        steps: of full-batch descent with momentum.
        margin: differences in the share of wrong classes that do not count.
        seed: from which all draws derive.
    """

    sets: tuple[str, ...] = axis(SETS)
    cells: tuple[str, ...] = axis(CELLS)
    repetitions: int = axis(5)
    train: int = 140
    validation: int = 40
    test: int = 80
    longest: int = 16
    readout: str = "last"
    b_std: float = 0.3
    samples: int = 1024
    width: int = 128
    steps: int = 400
    margin: float = 0.05
    seed: int = 0

    @classmethod
    def quick(cls) -> GatedRealSequencesSettings:
        """The small setting."""
        return cls(
            sets=("digits",),
            repetitions=4,
            train=80,
            validation=20,
            test=80,
            width=64,
            steps=200,
            margin=0.15,
        )


def _present(settings: GatedRealSequencesSettings) -> list[str]:
    for name in settings.sets:
        _checks.choice("sets", name, SETS)
    return [name for name in settings.sets if name not in NEEDS_AEON or _aeon()]


def _kinds(settings: GatedRealSequencesSettings) -> tuple[str, ...]:
    return (*settings.cells, PLAIN)


def _aeon() -> bool:
    return importlib.util.find_spec("aeon") is not None


class Split(NamedTuple):
    """Sequences of one repetition: ``train`` to fit, ``validation`` after them, the others to test."""

    x: np.ndarray
    """``[N, T, d]``"""
    lengths: np.ndarray | None
    classes: np.ndarray
    """``[N]``"""
    targets: np.ndarray
    """``[N, O]``: one-hot, less ``mean``."""
    mean: np.ndarray
    """``[O]``, of the training sequences."""


@functools.cache
def _whole(name: str) -> Any:
    return load(name, standardize=STANDARDIZE[name])


def split(settings: GatedRealSequencesSettings, name: str, repetition: int) -> Split:
    """A random subset, in random order."""
    whole = _whole(name)
    n, steps, _ = whole.x.shape
    lengths = np.full(n, steps) if whole.lengths is None else np.asarray(whole.lengths)
    usable = np.flatnonzero(lengths <= settings.longest)
    count = settings.train + settings.validation + settings.test
    if count > len(usable):
        raise ValueError(
            f"train, validation, test: got {count} sequences in all, expected at most the "
            f"{len(usable)} of {name} that have up to {settings.longest} steps."
        )
    rows = np.random.default_rng([settings.seed, repetition]).permutation(usable)[:count]
    lengths = lengths[rows]
    longest = int(lengths.max())
    names, labels = np.unique(np.asarray(whole.labels), return_inverse=True)
    classes = labels[rows]
    hot = np.eye(len(names))[classes]
    mean = hot[: settings.train].mean(axis=0)
    return Split(
        whole.x[rows, :longest],
        None if int(lengths.min()) == longest else lengths.astype(np.int32),
        classes,
        hot - mean,
        mean,
    )


def measure(settings: GatedRealSequencesSettings, name: str, kind: str, repetition: int) -> Piece:
    """``error [3]`` of the learners: shares of wrong classes; what was chosen; error of the kernel."""
    data = split(settings, name, repetition)
    fields: dict[str, Any] = {"b_std": settings.b_std, "readout": settings.readout}
    outputs = data.targets.shape[1]
    x = default_float(data.x)
    if kind == PLAIN:
        arch = Elman(settings.width, "tanh", out_dim=outputs, **fields)
        kernels = network(arch).kernel_fn(x, None, ("ntk", "nngp"), data.lengths)
        relative = 0.0
    else:
        arch = gated(kind, settings.width, out_dim=outputs, **fields)
        found = network(arch).kernel_fn(
            x,
            None,
            None,
            data.lengths,
            samples=settings.samples,
            replicates=_REPLICATES,
            key=settings.seed + repetition,
        )
        kernels = found.ntk, found.nngp
        relative = float(jnp.linalg.norm(found.ntk_error) / jnp.linalg.norm(found.ntk))
    regressions = [regress(np.asarray(k, float), data.targets, settings) for k in kernels]
    ntk = np.asarray(kernels[0], float)[: settings.train, : settings.train]
    # Between a quarter and a half of what is stable; powers of 2, so that subsets share a program.
    rate = 2.0 ** np.floor(np.log2(0.5 * dynamics.largest_stable_step(ntk)))
    fitted = fit(arch, data, settings, float(rate), repetition)
    learned = [*regressions, fitted]
    return {
        "error": np.array([wrong(one.outputs, data, settings) for one in learned]),
        "chosen": np.array([one.chosen for one in learned]),
        "relative": np.array(relative),
    }


class Learned(NamedTuple):
    """Outputs on the validation and test sequences, and the ridge or number of steps."""

    outputs: np.ndarray
    """``[V + M, O]``"""
    chosen: float


def regress(kernel: np.ndarray, y: np.ndarray, settings: GatedRealSequencesSettings) -> Learned:
    """Kernel ridge regression with the ridge of the least squared error in validation."""
    n = settings.train
    values, vectors = linalg.eigh(kernel[:n, :n])
    inside, across = vectors.T @ y[:n], kernel[n:, :n] @ vectors
    found = [
        Learned(across @ (inside / (values + ridge * values[-1])[:, None]), ridge) for ridge in RIDGES
    ]
    return _best(found, y, settings)


def _best(found: Sequence[Learned], y: np.ndarray, settings: GatedRealSequencesSettings) -> Learned:
    v, n = settings.validation, settings.train
    return min(found, key=lambda one: float(((one.outputs[:v] - y[n : n + v]) ** 2).sum()))


@functools.cache
def _descent(rate: float) -> optax.GradientTransformation:
    """One object for each rate: programs are compiled for the object."""
    return optax.sgd(rate, momentum=MOMENTUM)


@functools.cache
def _apply_fn(arch: Any) -> Any:
    """One for each architecture, with one program for subsets of equal sizes."""
    return jax.jit(network(arch).apply_fn)


def fit(
    arch: Any, data: Split, settings: GatedRealSequencesSettings, rate: float, repetition: int
) -> Learned:
    """A network, as it was at the record with the least squared error in validation.

    Its outputs at the start are taken off. A run that diverges is done again at half the rate.
    """
    n, steps = settings.train, settings.steps
    x, lengths = default_float(data.x), data.lengths
    part = lambda rows: None if lengths is None else lengths[rows]  # noqa: E731
    params = jax.tree.map(lambda a: a[0], draw(arch, settings.seed + 1 + repetition, 1, data.x.shape))
    shift = np.asarray(_apply_fn(arch)(params, x, lengths), float)
    at = np.unique(np.linspace(0, steps, min(_RECORDS, steps) + 1).astype(int)[1:])

    def run(rate: float) -> tuple[float, list[Learned]]:
        run = dynamics.train(
            arch, params, x[:n], data.targets[:n] + shift[:n], optimizer=_descent(rate), steps=steps,
            lengths=part(slice(n)), x_test=x[n:], lengths_test=part(slice(n, None)),
            record=("loss", "test_outputs"), at=tuple(int(k) for k in at),
        )  # fmt: skip
        outputs = np.asarray(run.test_outputs, float) - shift[n:]
        # The loss of a sequence is half the sum over its outputs.
        left = 2 * float(np.asarray(run.loss)[-1]) / (data.targets[:n] ** 2).sum(axis=1).mean()
        return left, [Learned(outputs[i], float(k)) for i, k in enumerate(at)]

    return _best(halved_until_stable(rate, run), data.targets, settings)


def wrong(outputs: np.ndarray, data: Split, settings: GatedRealSequencesSettings) -> float:
    """The share of test sequences whose largest output, the mean put back, is of another class."""
    guessed = (outputs[settings.validation :] + data.mean).argmax(axis=1)
    return float(np.mean(guessed != data.classes[settings.train + settings.validation :]))


def conclude(settings: GatedRealSequencesSettings, measured: Measured) -> Conclusion:
    """Differences between cells, and between kernel and network, over the same subsets."""
    present, kinds = _present(settings), _kinds(settings)
    missing = [name for name in settings.sets if name not in present]
    if not present:
        raise StudyError(f"{', '.join(missing)} needs the extra: pip install 'ntkrnn[aeon]'.")
    error = np.asarray(measured("error"), float)  # [sets, cells, R, learners]
    differences = []
    for s, name in enumerate(present):
        for c, kind in enumerate(kinds):
            if kind != PLAIN:
                differences.append(
                    (
                        f"{name}: error of the {kind} NTK less that of the Elman NTK",
                        error[s, c, :, 0] - error[s, -1, :, 0],
                        "At these sizes the cell matters to the kernel; its sign says which is better.",
                    )
                )
            differences.append(
                (
                    f"{name}: error of the {kind} network less that of its NTK",
                    error[s, c, :, 2] - error[s, c, :, 0],
                    "A network of this width leaves its tangent space in so many steps, or has not yet "
                    "come to the end of it.",
                )
            )
    findings = tuple(
        finding(words, *mean_interval(of), "equals", 0.0, otherwise, margin=settings.margin)
        for words, of, otherwise in differences
    )
    figure = _figure(settings, present, error)
    return Conclusion(
        _table(present, missing, kinds, error), findings, figure, {"learners": np.array(LEARNERS)}
    )


def _table(
    present: Sequence[str], missing: Sequence[str], kinds: Sequence[str], error: np.ndarray
) -> Table:
    shown = table(
        "share of wrong classes on test sequences; mean ± std over subsets",
        {"set": present, "cell": kinds},
        {learner: error[..., i] for i, learner in enumerate(LEARNERS)},
    )
    left_out = tuple((name, "left out:", "needs", "the extra", "[aeon]") for name in missing)
    return shown._replace(rows=shown.rows + left_out)


def _figure(settings: GatedRealSequencesSettings, present: Sequence[str], error: np.ndarray) -> Figure:
    kinds = _kinds(settings)
    places = np.arange(len(kinds))
    return plots(
        [
            Plot(
                name.replace("_", " "), "cell", "share of wrong classes",
                [
                    Line(learner, places + 0.15 * (i - 1), error[s, :, :, i], points=True)
                    for i, learner in enumerate(LEARNERS)
                ],
                log="", words=kinds,
            )
            for s, name in enumerate(present)
        ],
        title="Real sequences, by kernels of gated and plain cells and by networks",
        subtitle=f"{settings.train} training sequences of at most {settings.longest} steps, readout "
        f"{settings.readout}, b_std = {settings.b_std:g}, width {settings.width}, {settings.steps} "
        f"steps with momentum {MOMENTUM:g}; mean and standard deviation of {settings.repetitions} "
        "subsets",
    )  # fmt: skip


EXPERIMENT = Experiment(
    "gated-real-sequences",
    "What gates buy on real sequences",
    "Kernels of gated cells classify real sequences about as well as networks of the same cell.\n"
    "Measured: errors of kernel ridge regression and of trained networks, for LSTM, GRU and Elman.",
    "theory",
    GatedRealSequencesSettings,
    grid(measure, name=_present, kind=_kinds, repetition="repetitions"),
    conclude,
)

"""Classes of real sequences, by kernels of LSTM, GRU and Elman networks and by the networks."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from ntkrnn import _checks, dynamics
from ntkrnn._network import network
from ntkrnn.architectures import Elman
from ntkrnn.report import Line, Plot, plots
from ntkrnn.report.statistics import mean_interval
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.fingerprint import axis
from ntkrnn.studies.learnability._experiment import Conclusion, Experiment, finding
from ntkrnn.studies.learnability._gated import CELLS, default_float, gated
from ntkrnn.studies.learnability._grid import Measured, grid
from ntkrnn.studies.learnability._real_learners import MOMENTUM, fit, regress, split, wrong
from ntkrnn.studies.learnability._settings import Sizes
from ntkrnn.studies.learnability._table import Table, table
from ntkrnn.studies.piece_form import Piece

SETS = ("japanese_vowels", "digits")
NEEDS_AEON = ("japanese_vowels",)
"""They come with the extra ``data``, and are left out where it is not installed."""
PLAIN = "Elman"
LEARNERS = ("NTK", "NNGP", "network")
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

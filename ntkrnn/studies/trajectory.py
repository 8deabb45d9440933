"""Training runs at several widths, against what the kernels predict for them."""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

from ntkrnn._progress import Progress, listening
from ntkrnn.data import Dataset
from ntkrnn.studies.compare import LIMIT
from ntkrnn.studies.contrast import contrast, contrast_cases
from ntkrnn.studies.piece_form import Piece
from ntkrnn.studies.pieces import Store, kept
from ntkrnn.studies.trajectory_run import NEEDS, prepare, run
from ntkrnn.studies.trajectory_settings import TrajectorySettings


class TrajectoryResult(NamedTuple):
    """Everything that was measured."""

    settings: TrajectorySettings
    """With the batch size in numbers."""
    dataset: Dataset
    outputs: tuple[str, ...]
    """What each output of the network stands for."""
    learning_rate: float
    largest_step: float
    """The largest stable one of full-batch descent in infinite width."""
    pieces: list[list[Piece]]
    """``[width][seed]``."""
    contrast: list[Piece]
    """Runs that agree with the linearised network and runs that part from it."""
    seconds: float


def trajectory(
    settings: TrajectorySettings,
    dataset: Dataset,
    store: Store | None = None,
    progress: Progress | None = None,
) -> TrajectoryResult:
    r"""Train networks and follow each by its linearisation and by the infinite-width kernel.

    For every width and seed a network is drawn and trained by SGD on the first part of the data. From
    the same initial outputs and with the same batches two predictions are followed in function space:
    that of the empirical kernel at initialisation and that of the infinite-width kernel. The
    deviation is the root mean square over sequences and outputs of what the network says minus what
    is predicted, and its supremum over the recorded steps is fitted against width. A run or a
    prediction that diverges stays in the result as it is, not finite, and out of the fits.

    Args:
        settings: what to train.
        dataset: the sequences, with labels.
        store: finished runs are loaded from it and saved to it.
        progress: called as ``progress(done, total, what)``; with a total of 0 where it is not known.

    Returns:
        A :class:`TrajectoryResult`.

    Raises:
        StudyError: if the data have no labels or are too few, or a kernel or the widest network does
            not fit into memory.

    Cost: a training run, O(steps B T m^2), and two empirical kernels for each width and seed, one
    after the other; one compilation for each width.

    Source: Lee et al. 2019 (arXiv 1902.06720) for linearised networks; docs/conventions.md.

    Example:
        >>> import ntkrnn
        >>> from ntkrnn.data import load
        >>> settings = TrajectorySettings(ntkrnn.Elman(), (4, 8), 2, steps=5, contrast=False)
        >>> result = trajectory(settings, load("digits", n=24))
        >>> result.pieces[0][0]["deviation_train"].shape
        (6,)
    """
    start = time.perf_counter()
    report = progress or (lambda done, total, what: None)
    settings = settings.for_sequences(len(dataset.x))
    cases = contrast_cases(settings) if settings.contrast else []
    total = len(settings.widths) * settings.seeds + len(cases)
    report(0, 0, LIMIT)
    with listening(lambda done, total, what: report(done, total, f"{LIMIT}: {what}")):
        problem, names = prepare(settings, dataset)
    pieces: list[list[Piece]] = []
    done = 0
    for width in settings.widths:
        row = []
        for seed in range(settings.seeds):
            report(done, total, f"width {width}, seed {seed + 1}/{settings.seeds}")
            measure = functools.partial(run, settings, problem, width, seed)
            piece = kept(store, f"width-{width}-seed-{seed}", NEEDS, measure)
            row.append(piece)
            done += 1
            loss = float(piece["loss"][-1])
            report(done, total, f"width {width}, seed {seed + 1}: loss {loss:.3g}")
        pieces.append(row)
    parted = []
    for case in cases:
        report(done, total, f"contrast: {case[0]}")
        parted.append(contrast(settings, problem, *case))
        done += 1
    report(total, total, "done")
    return TrajectoryResult(
        settings,
        dataset,
        names,
        problem.learning_rate,
        problem.largest_step,
        pieces,
        parted,
        time.perf_counter() - start,
    )

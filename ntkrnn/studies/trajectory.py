"""Training runs at several widths, against what the kernels predict for them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ntkrnn
from ntkrnn import _checks, dynamics
from ntkrnn.architectures import Elman
from ntkrnn.data import Dataset
from ntkrnn.studies.engines import StudyError
from ntkrnn.studies.targets import TARGETS, targets_of

RECORDS = 20
"""Parts that a run is cut into: something is recorded at the end of each, and at the start."""
CONTRAST_STEPS = 60
CONTRAST_WIDTH = 16
CONTRAST_STEP = 2.0
"""In units of the largest stable step."""

Piece: TypeAlias = dict[str, Any]
"""What is kept of one run: arrays by name."""
Progress: TypeAlias = Callable[[int, int, str], None]


@dataclasses.dataclass(frozen=True)
class TrajectorySettings:
    """What to train and for how long.

    Args:
        architecture: the network; width and number of outputs are replaced.
        widths: at least two different ones; kept in increasing order.
        seeds: runs at each width, at least 2.
        seed: from which all keys derive.
        target: "one-vs-rest" or "regression", see :func:`ntkrnn.studies.targets.targets_of`.
        learning_rate: of plain SGD, None to choose, see :func:`automatic_step`.
        momentum: heavy-ball.
        batch_size: None for all sequences at every step.
        steps: number of them.
        train_share: the part of the sequences that is trained on; the rest is the test set.
        resamples: bootstrap resamples behind the slopes' intervals.

    Raises:
        ValueError, TypeError: naming the field, what came and what was expected.

    Example:
        >>> TrajectorySettings(Elman(), widths=(128, 64)).widths
        (64, 128)
    """

    architecture: Elman
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    seeds: int = 5
    seed: int = 0
    target: str = "one-vs-rest"
    learning_rate: float | None = None
    momentum: float = 0.0
    batch_size: int | None = 16
    steps: int = 300
    train_share: float = 2 / 3
    resamples: int = 2000

    def __post_init__(self) -> None:
        """Normalise and validate."""
        widths = tuple(sorted(_checks.positive_integer("widths", width) for width in self.widths))
        if len(widths) < 2 or len(set(widths)) < len(widths):
            raise ValueError(
                f"widths: got {list(widths)}, expected at least two widths, every one once; a slope "
                "needs two."
            )
        object.__setattr__(self, "widths", widths)
        if _checks.positive_integer("seeds", self.seeds) < 2:
            raise ValueError("seeds: got 1, expected at least 2; the interval over seeds needs two.")
        _checks.choice("target", self.target, TARGETS)
        _checks.positive_integer("steps", self.steps)
        if self.batch_size is not None:
            _checks.positive_integer("batch_size", self.batch_size)
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate: got {self.learning_rate}, expected a number above 0.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: got {self.momentum}, expected at least 0 and below 1.")
        if not 0 < self.train_share < 1:
            raise ValueError(f"train_share: got {self.train_share}, expected a number between 0 and 1.")


class Store(Protocol):
    """Where finished runs are kept."""

    def load(self, width: int, seed: int) -> Piece | None:
        """A run that was kept, or None."""
        ...

    def save(self, width: int, seed: int, piece: Piece) -> None:
        """Keep a run."""
        ...


class Problem(NamedTuple):
    """Data, targets and infinite-width kernels of a study."""

    arch: Elman
    x: Any
    y: Any
    lengths: Any
    x_test: Any
    lengths_test: Any
    ntk: Any
    ntk_test: Any
    learning_rate: float
    largest_step: float


class TrajectoryResult(NamedTuple):
    """Everything that was measured."""

    settings: TrajectorySettings
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


def automatic_step(ntk: Any, batch_size: int | None, momentum: float) -> float:
    """Half of the largest learning rate that the infinite kernel allows.

    That is ``2n/lambda_max`` for full batches, and at most ``2/max_i Theta_ii`` for mini-batches,
    which no batch exceeds; with momentum ``1 - momentum`` times as much, for the same speed.
    """
    largest = dynamics.largest_stable_step(ntk)
    if batch_size is not None:
        array = np.asarray(ntk)
        n = array.shape[0]
        # The trace of the block of one sequence bounds its eigenvalues.
        blocks = array[np.arange(n), np.arange(n)]
        tops = blocks if blocks.ndim == 1 else np.trace(blocks, axis1=-2, axis2=-1)
        largest = min(largest, 2 / float(tops.max()))
    return 0.5 * largest * (1 - momentum)


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
    is predicted, and its supremum over the recorded steps is fitted against width.

    Args:
        settings: what to train.
        dataset: the sequences, with labels.
        store: finished runs are loaded from it and saved to it.
        progress: called as ``progress(done, total, what)``.

    Returns:
        A :class:`TrajectoryResult`.

    Raises:
        StudyError: if the data have no labels, or a run is not finite.

    Cost: a training run, O(steps B T m^2), and two empirical kernels for each width and seed, one
    after the other; one compilation for each width.

    Source: Lee et al. 2019 (arXiv 1902.06720) for linearised networks; docs/conventions.md.

    Example:
        >>> from ntkrnn.data import load
        >>> settings = TrajectorySettings(Elman(), widths=(8, 16), seeds=2, steps=20)
        >>> result = trajectory(settings, load("digits", n=12))
        >>> result.pieces[0][0]["deviation_train"].shape
        (21,)
    """
    start = time.perf_counter()
    report = progress or (lambda done, total, what: None)
    total = len(settings.widths) * settings.seeds + 3
    report(0, total, "infinite width")
    problem, names = prepare(settings, dataset)
    optimizer = _optimizer(settings, problem)
    pieces: list[list[Piece]] = []
    done = 0
    for width in settings.widths:
        row = []
        for seed in range(settings.seeds):
            report(done, total, f"width {width}, seed {seed + 1}/{settings.seeds}")
            piece = None if store is None else store.load(width, seed)
            if piece is None:
                piece = run(settings, problem, optimizer, width, seed)
                if store is not None:
                    store.save(width, seed, piece)
            row.append(piece)
            done += 1
            loss = float(piece["loss"][-1])
            report(done, total, f"width {width}, seed {seed + 1}: loss {loss:.3g}")
        pieces.append(row)
    contrast = []
    for case in _contrast_cases(settings):
        report(done, total, f"contrast: {case[0]}")
        contrast.append(_contrast(settings, problem, *case))
        done += 1
    report(total, total, "done")
    return TrajectoryResult(
        settings,
        dataset,
        names,
        problem.learning_rate,
        problem.largest_step,
        pieces,
        contrast,
        time.perf_counter() - start,
    )


def prepare(settings: TrajectorySettings, dataset: Dataset) -> tuple[Problem, tuple[str, ...]]:
    """Split the data, make targets, and compute the infinite-width kernel of all of it."""
    n = round(settings.train_share * len(dataset.x))
    if not 0 < n < len(dataset.x):
        raise StudyError(
            f"train_share: {settings.train_share:g} of {len(dataset.x)} sequences leaves nothing to "
            "train on or to test with; take more sequences."
        )
    if settings.batch_size is not None and settings.batch_size > n:
        raise StudyError(
            f"batch_size: got {settings.batch_size}, expected at most the {n} training sequences."
        )
    y, names = targets_of(settings.target, dataset.labels)
    arch = dataclasses.replace(settings.architecture, out_dim=y.shape[1])
    x = jnp.asarray(dataset.x, jnp.result_type(float))
    lengths = None if dataset.lengths is None else jnp.asarray(dataset.lengths)
    ends = (None, None) if lengths is None else (lengths[:n], lengths[n:])
    if arch.readout == "sequence":
        y = np.broadcast_to(y[:, None, :], (*x.shape[:2], y.shape[1]))
    kernel_fn = ntkrnn.network(arch).kernel_fn
    ntk = kernel_fn(x[:n], None, "ntk", ends[0])
    ntk_test = kernel_fn(x[n:], x[:n], "ntk", ends[1], ends[0])
    if not (np.isfinite(np.asarray(ntk)).all() and np.asarray(ntk).any()):
        raise StudyError(
            "the infinite-width NTK is zero or not finite; change the scales, the trainable blocks "
            "or the standardisation of the data."
        )
    largest = dynamics.largest_stable_step(ntk, momentum=settings.momentum)
    rate = settings.learning_rate
    if rate is None:
        rate = automatic_step(ntk, settings.batch_size, settings.momentum)
    sides = (x[:n], jnp.asarray(y[:n], x.dtype), ends[0], x[n:], ends[1])
    return Problem(arch, *sides, ntk, ntk_test, rate, largest), names


def _optimizer(settings: TrajectorySettings, problem: Problem) -> Any:
    return optax.sgd(problem.learning_rate, momentum=settings.momentum or None)


def _parameters(settings: TrajectorySettings, problem: Problem, width: int, seed: int) -> Any:
    arch = dataclasses.replace(problem.arch, width=width)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), width), seed)
    return arch, ntkrnn.network(arch).init_fn(key, problem.x.shape)[1]


def deviation(a: Any, b: Any) -> np.ndarray:
    """``[R]``: root mean square over everything but the leading axis."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return np.sqrt(np.mean(np.square(difference.reshape(len(difference), -1)), axis=1))


def run(settings: TrajectorySettings, problem: Problem, optimizer: Any, width: int, seed: int) -> Piece:
    """One network: its training run, and both predictions for it."""
    arch, params = _parameters(settings, problem, width, seed)
    # Width 0 is nobody's: the same batches at every width, in an order of their own for every seed.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 0), seed)
    at = np.unique(np.linspace(0, settings.steps, RECORDS + 1).round().astype(int))
    found = dynamics.train(
        arch,
        params,
        problem.x,
        problem.y,
        optimizer=optimizer,
        steps=settings.steps,
        batch_size=settings.batch_size,
        key=key,
        lengths=problem.lengths,
        x_test=problem.x_test,
        lengths_test=problem.lengths_test,
        record=("loss", "outputs", "test_outputs", "movement", "signs", "drift"),
        at=at,
    )
    if not np.isfinite(np.asarray(found.loss)).all():
        raise StudyError(
            f"the run at width {width}, seed {seed} is not finite; the learning rate "
            f"{problem.learning_rate:g} is too large. The largest stable one of the infinite kernel is "
            f"{problem.largest_step:g}."
        )
    apply_fn = ntkrnn.network(arch).apply_fn
    f0 = apply_fn(params, problem.x, problem.lengths)
    f0_test = apply_fn(params, problem.x_test, problem.lengths_test)
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, trace_axes=())
    sides = (problem.x_test, problem.x, params, problem.lengths_test, problem.lengths)
    own = ntk_fn(problem.x, None, params, problem.lengths), ntk_fn(*sides)
    piece: Piece = {
        "steps": found.steps,
        "loss": np.asarray(found.loss),
        "test_loss": _test_loss(found.test_outputs),
        "drift": np.asarray(found.drift),
        "signs": np.asarray(found.signs),
    }
    for name, (ntk, ntk_test) in (("linear", own), ("infinite", (problem.ntk, problem.ntk_test))):
        predicted = dynamics.linearized(
            ntk,
            f0,
            problem.y,
            learning_rate=problem.learning_rate,
            steps=settings.steps,
            batches=found.batches,
            momentum=settings.momentum,
            ntk_test=ntk_test,
            f0_test=f0_test,
            lengths=problem.lengths,
            at=at,
            unstable="ignore",
        )
        suffix = "" if name == "linear" else "_infinite"
        piece[f"loss_{name}"] = np.asarray(predicted.loss)
        piece[f"deviation_train{suffix}"] = deviation(found.outputs, predicted.outputs)
        piece[f"deviation_test{suffix}"] = deviation(found.test_outputs, predicted.test_outputs)
        if name == "linear":
            difference = np.asarray(found.test_outputs[-1]) - np.asarray(predicted.test_outputs[-1])
            piece["difference_test"] = difference
    assert found.movement is not None
    for block, values in _by_block(found.movement).items():
        piece[f"movement_{block}"] = values
    return piece


def _test_loss(outputs: Any) -> np.ndarray:
    """Spread of the test outputs along the run: ``mean f^2``, which needs no targets."""
    return np.mean(np.square(np.asarray(outputs, np.float64)), axis=tuple(range(1, outputs.ndim)))


def _by_block(movement: Any) -> dict[str, np.ndarray]:
    """Frobenius norm and largest neuron of each kind of block, over layers and directions."""
    found: dict[str, np.ndarray] = {}
    for kind in ("frobenius", "neuron"):
        leaves = jax.tree_util.tree_leaves_with_path(getattr(movement, kind))
        for block in sorted({path[-1].key for path, _ in leaves}):
            rows = np.stack([np.asarray(leaf) for path, leaf in leaves if path[-1].key == block])
            joined = np.sqrt(np.sum(rows**2, axis=0)) if kind == "frobenius" else rows.max(axis=0)
            found[f"{kind}_{block}"] = joined
    return found


def _contrast_cases(settings: TrajectorySettings) -> list[tuple[str, int, float]]:
    """Title, width, and step in units of the largest stable one."""
    wide, middle = settings.widths[-1], settings.widths[len(settings.widths) // 2]
    return [
        (f"width {wide}, half the largest stable step", wide, 0.5),
        (f"width {CONTRAST_WIDTH}, half the largest stable step", CONTRAST_WIDTH, 0.5),
        (f"width {middle}, {CONTRAST_STEP:g} times the largest stable step", middle, CONTRAST_STEP),
    ]


def _contrast(
    settings: TrajectorySettings, problem: Problem, title: str, width: int, factor: float
) -> Piece:
    """Full-batch descent, and its linearisation, with a step measured by the network's own kernel."""
    arch, params = _parameters(settings, problem, width, 0)
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, trace_axes=())
    kernel = ntk_fn(problem.x, None, params, problem.lengths)
    largest = dynamics.largest_stable_step(kernel)
    rate = factor * largest
    found = dynamics.train(
        arch,
        params,
        problem.x,
        problem.y,
        optimizer=optax.sgd(rate),
        steps=CONTRAST_STEPS,
        lengths=problem.lengths,
        record=("loss", "drift"),
        at=1,
    )
    predicted = dynamics.linearized(
        kernel,
        ntkrnn.network(arch).apply_fn(params, problem.x, problem.lengths),
        problem.y,
        learning_rate=rate,
        steps=CONTRAST_STEPS,
        lengths=problem.lengths,
        at=1,
        unstable="ignore",
    )
    final = ntk_fn(problem.x, None, found.params, problem.lengths)
    return {
        "title": title,
        "width": width,
        "learning_rate": rate,
        "largest_step_before": largest,
        "largest_step_after": dynamics.largest_stable_step(final),
        "steps": found.steps,
        "loss": np.asarray(found.loss),
        # A prediction that has left the floats is as large as they go.
        "loss_linear": np.minimum(np.nan_to_num(predicted.loss, nan=np.inf), 1e30),
        "drift": np.asarray(found.drift),
    }

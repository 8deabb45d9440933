"""One training run, and what both kernels predict for it."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.architectures import Architecture
from ntkrnn.data import Dataset
from ntkrnn.studies.engines import StudyError, as_study_errors
from ntkrnn.studies.memory import check_memory
from ntkrnn.studies.piece_form import Piece
from ntkrnn.studies.targets import targets_of
from ntkrnn.studies.trajectory_settings import TrajectorySettings

NEEDS = (
    "steps",
    "loss",
    "test_loss",
    "drift",
    "signs",
    "loss_linear",
    "loss_infinite",
    *(f"deviation_{side}{of}" for side in ("train", "test") for of in ("", "_infinite")),
    "difference_test",
)
"""Arrays of a run that are there whatever the network."""

RECORDS = 20
"""Parts that a run is cut into: something is recorded at the end of each, and at the start."""


class Problem(NamedTuple):
    """Data, targets and infinite-width kernels of a study."""

    arch: Architecture
    x: Any
    y: Any
    lengths: Any
    x_test: Any
    y_test: Any
    lengths_test: Any
    ntk: Any
    ntk_test: Any
    learning_rate: float
    largest_step: float


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


def prepare(settings: TrajectorySettings, dataset: Dataset) -> tuple[Problem, tuple[str, ...]]:
    """Split the data, make targets, and compute the infinite-width kernel of all of it."""
    settings = settings.for_sequences(len(dataset.x))
    n = settings.training(len(dataset.x))
    assert settings.batch_size != "auto"
    y, names = targets_of(settings.target, dataset.labels)
    arch = dataclasses.replace(settings.architecture, out_dim=y.shape[1])
    x = jnp.asarray(dataset.x, jnp.result_type(float))
    check_memory(arch, settings.widths, x.shape)
    lengths = None if dataset.lengths is None else jnp.asarray(dataset.lengths)
    ends = (None, None) if lengths is None else (lengths[:n], lengths[n:])
    if arch.reading.stepwise:
        y = np.broadcast_to(y[:, None, :], (*x.shape[:2], y.shape[1]))
        if dataset.lengths is not None:  # outputs in the padding are 0, and so is their error
            y = np.where((np.arange(x.shape[1]) < dataset.lengths[:, None])[..., None], y, 0)
    kernel_fn = ntkrnn.network(arch).kernel_fn
    with as_study_errors():
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
    y = jnp.asarray(y, x.dtype)
    sides = (x[:n], y[:n], ends[0], x[n:], y[n:], ends[1])
    return Problem(arch, *sides, ntk, ntk_test, rate, largest), names


@functools.lru_cache(maxsize=16)
def sgd(learning_rate: float, momentum: float = 0.0) -> Any:
    """Plain SGD; one object for one step, because programs are compiled for the object."""
    return optax.sgd(learning_rate, momentum=momentum or None)


def parameters_of(settings: TrajectorySettings, problem: Problem, width: int, seed: int) -> Any:
    """A network and its start; neither the list of widths nor the number of seeds changes it."""
    arch = dataclasses.replace(problem.arch, width=width)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), width), seed)
    return arch, ntkrnn.network(arch).init_fn(key, problem.x.shape)[1]


def deviation(a: Any, b: Any) -> np.ndarray:
    """``[R]``: root mean square over everything but the leading axis."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return np.sqrt(np.mean(np.square(difference.reshape(len(difference), -1)), axis=1))


@np.errstate(over="ignore", invalid="ignore")
def run(settings: TrajectorySettings, problem: Problem, width: int, seed: int) -> Piece:
    """One network: its training run, and both predictions for it; what diverges is not finite."""
    assert settings.batch_size != "auto"
    arch, params = parameters_of(settings, problem, width, seed)
    # Width 0 is nobody's: the same batches at every width, in an order of their own for every seed.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 0), seed)
    at = np.unique(np.linspace(0, settings.steps, RECORDS + 1).round().astype(int))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dynamics.DivergedWarning)  # the study says it of all runs
        found = dynamics.train(
            arch,
            params,
            problem.x,
            problem.y,
            optimizer=sgd(problem.learning_rate, settings.momentum),
            steps=settings.steps,
            batch_size=settings.batch_size,
            key=key,
            lengths=problem.lengths,
            x_test=problem.x_test,
            lengths_test=problem.lengths_test,
            record=("loss", "outputs", "test_outputs", "movement", "signs", "drift"),
            at=at,
        )
    assert found.outputs is not None and found.test_outputs is not None
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, trace_axes=())
    sides = (problem.x_test, problem.x, params, problem.lengths_test, problem.lengths)
    with as_study_errors():
        own = ntk_fn(problem.x, None, params, problem.lengths), ntk_fn(*sides)
    piece: dict[str, Any] = {
        "steps": found.steps,
        "loss": np.asarray(found.loss),
        "test_loss": _loss(found.test_outputs, problem.y_test),
        "drift": np.asarray(found.drift),
        "signs": np.asarray(found.signs),
    }
    for name, (ntk, ntk_test) in (("linear", own), ("infinite", (problem.ntk, problem.ntk_test))):
        predicted = dynamics.linearized(
            ntk,
            found.outputs[0],
            problem.y,
            learning_rate=problem.learning_rate,
            steps=settings.steps,
            batches=found.batches,
            momentum=settings.momentum,
            ntk_test=ntk_test,
            f0_test=found.test_outputs[0],
            lengths=problem.lengths,
            at=at,
            unstable="ignore",
        )
        suffix = "" if name == "linear" else "_infinite"
        piece[f"loss_{name}"] = np.asarray(predicted.loss)
        piece[f"deviation_train{suffix}"] = deviation(found.outputs, predicted.outputs)
        piece[f"deviation_test{suffix}"] = deviation(found.test_outputs, predicted.test_outputs)
        if name == "linear":
            ends = (np.asarray(side.test_outputs)[-1] for side in (found, predicted))
            piece["difference_test"] = np.subtract(*ends)
    assert found.movement is not None
    for block, values in _by_block(found.movement).items():
        piece[f"movement_{block}"] = values
    return piece


def _loss(outputs: Any, y: Any) -> np.ndarray:
    """``[R]``: mean over sequences of half the squared distance to the targets."""
    squares = np.square(np.asarray(outputs, np.float64) - np.asarray(y, np.float64))
    return 0.5 * squares.reshape(*squares.shape[:2], -1).sum(axis=2).mean(axis=1)


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

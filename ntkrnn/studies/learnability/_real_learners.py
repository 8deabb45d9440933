"""Subsets of real sets, and who learns them: kernel ridge regression and trained networks.

``settings`` are those of the experiment ``gated-real-sequences``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from scipy import linalg

from ntkrnn import dynamics
from ntkrnn._network import network
from ntkrnn.data import load
from ntkrnn.studies.learnability._gated import default_float
from ntkrnn.studies.learnability._train import draw, halved_until_stable

STANDARDIZE = {"japanese_vowels": "channel", "digits": "global"}
"""Outer columns of digits are nearly constant: a scale of their own would blow them up."""
RIDGES = tuple(10.0 ** (-k / 2) for k in range(2, 13))
"""To choose from, in units of the largest eigenvalue."""
MOMENTUM = 0.9
_RECORDS = 40


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


def split(settings: Any, name: str, repetition: int) -> Split:
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


class Learned(NamedTuple):
    """Outputs on the validation and test sequences, and the ridge or number of steps."""

    outputs: np.ndarray
    """``[V + M, O]``"""
    chosen: float


def regress(kernel: np.ndarray, y: np.ndarray, settings: Any) -> Learned:
    """Kernel ridge regression with the ridge of the least squared error in validation."""
    n = settings.train
    values, vectors = linalg.eigh(kernel[:n, :n])
    inside, across = vectors.T @ y[:n], kernel[n:, :n] @ vectors
    found = [
        Learned(across @ (inside / (values + ridge * values[-1])[:, None]), ridge) for ridge in RIDGES
    ]
    return _best(found, y, settings)


def _best(found: Sequence[Learned], y: np.ndarray, settings: Any) -> Learned:
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


def fit(arch: Any, data: Split, settings: Any, rate: float, repetition: int) -> Learned:
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


def wrong(outputs: np.ndarray, data: Split, settings: Any) -> float:
    """The share of test sequences whose largest output, the mean put back, is of another class."""
    guessed = (outputs[settings.validation :] + data.mean).argmax(axis=1)
    return float(np.mean(guessed != data.classes[settings.train + settings.validation :]))

"""What experiments do with finite networks: an ensemble, plain SGD, test errors."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from ntkrnn import dynamics
from ntkrnn._network import network


class Fitted(NamedTuple):
    """What an ensemble came to; S runs."""

    train_error: np.ndarray
    """``[S]``: mean squared error over the variance of the targets."""
    test_error: np.ndarray
    """``[S]``: the same on the test sequences."""


@functools.cache
def sgd(learning_rate: float) -> optax.GradientTransformation:
    """One object for each rate: programs are compiled for the object."""
    return optax.sgd(learning_rate)


def draw(arch: Any, seed: int, seeds: int, shape: tuple[int, ...]) -> Any:
    """Parameters of S networks, the first of them the same for every S."""
    keys = [jax.random.fold_in(jax.random.key(seed), s) for s in range(seeds)]
    init_fn = network(arch).init_fn
    return jax.vmap(lambda key: init_fn(key, (-1, *shape[1:]))[1])(jax.numpy.stack(keys))


def stable_rate(kernel: np.ndarray, share: float = 0.25) -> float:
    """A learning rate of SGD that no batch makes unstable, from the kernel of the training set."""
    top = min(dynamics.largest_stable_step(kernel), 2 / float(np.max(np.diag(kernel))))
    return float(f"{share * top:.3g}")  # few digits: equal problems share a program


def fit_networks(
    arch: Any,
    x: np.ndarray,
    y: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    learning_rate: float,
    steps: int,
    batch_size: int,
    seed: int,
    seeds: int,
) -> Fitted:
    """Train an ensemble by plain SGD on centred outputs, and give its errors at the end.

    The outputs at the start are taken off, so that every run starts from 0 as the theory has it.
    """
    params = draw(arch, seed, seeds, x.shape)
    apply_fn = network(arch).apply_fn
    start = jax.jit(jax.vmap(apply_fn, (0, None)))
    shift, shift_test = np.asarray(start(params, x)), np.asarray(start(params, x_test))
    errors = []
    for s in range(seeds):  # every run has targets of its own
        run = dynamics.train(
            arch,
            jax.tree.map(lambda a, s=s: a[s], params),
            x,
            y[:, None] + shift[s],
            optimizer=sgd(learning_rate),
            steps=steps,
            batch_size=batch_size,
            key=jax.random.fold_in(jax.random.key(seed + 1), s),
            x_test=x_test,
            record=("outputs", "test_outputs"),
            at=(steps,),
        )
        train = np.asarray(run.outputs)[-1] - shift[s]
        test = np.asarray(run.test_outputs)[-1] - shift_test[s]
        errors.append(
            (
                np.mean((train[:, 0] - y) ** 2) / np.var(y),
                np.mean((test[:, 0] - y_test) ** 2) / np.var(y_test),
            )
        )
    train_error, test_error = np.array(errors).T
    return Fitted(train_error, test_error)

"""What experiments do with finite networks: an ensemble, plain SGD, test errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
import optax

from ntkrnn import dynamics
from ntkrnn._network import network

_TRIES = 5
_DIVERGED = 2.0
"""Training error, over the variance, that no stable run ends with."""

_Run = TypeVar("_Run")


def halved_until_stable(rate: float, run: Callable[[float], tuple[float, _Run]]) -> _Run:
    """Train at ``rate``, and at half of it as long as that diverges, at most five times.

    A narrow network's kernel can be far above its limit, from which the rate was taken.

    Args:
        rate: of learning.
        run: trains at a rate; gives the training error over the variance of the targets, and the run.

    Returns:
        The first run that is stable, or the last one.

    Example:
        >>> halved_until_stable(1.0, lambda rate: (8 * rate, rate))
        0.25
    """
    found = None
    for halvings in range(_TRIES):
        left, found = run(rate / 2**halvings)
        if left <= _DIVERGED:
            break
    assert found is not None
    return found


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

    The outputs at the start are taken off, so that every run starts from 0 as the theory has it. A run
    that diverges is done again at half the rate.
    """
    params = draw(arch, seed, seeds, x.shape)
    apply_fn = network(arch).apply_fn
    start = jax.jit(jax.vmap(apply_fn, (0, None)))
    shift, shift_test = np.asarray(start(params, x)), np.asarray(start(params, x_test))
    errors = []
    for s in range(seeds):  # every run has targets of its own
        one = jax.tree.map(lambda a, s=s: a[s], params)
        key = jax.random.fold_in(jax.random.key(seed + 1), s)

        def run(rate: float, s: int = s, one: Any = one, key: Any = key) -> tuple[float, Any]:
            run = dynamics.train(
                arch,
                one,
                x,
                y[:, None] + shift[s],
                optimizer=sgd(rate),
                steps=steps,
                batch_size=batch_size,
                key=key,
                x_test=x_test,
                record=("outputs", "test_outputs"),
                at=(steps,),
            )
            train = np.asarray(run.outputs)[-1, :, 0] - shift[s][:, 0]
            test = np.asarray(run.test_outputs)[-1, :, 0] - shift_test[s][:, 0]
            left = float(np.mean((train - y) ** 2) / np.var(y))
            return left, (left, np.mean((test - y_test) ** 2) / np.var(y_test))

        errors.append(halved_until_stable(learning_rate, run))
    train_error, test_error = np.array(errors).T
    return Fitted(train_error, test_error)

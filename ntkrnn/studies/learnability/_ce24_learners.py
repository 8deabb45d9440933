"""Learners of a dynamical system: networks trained by descent, and regression with their kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg

from ntkrnn import dynamics
from ntkrnn._network import network
from ntkrnn.architectures import Diagonal
from ntkrnn.studies.learnability._train import draw, halved_until_stable, sgd

LEARNERS = ("diagonal network", "Elman network", "diagonal kernel", "Elman kernel")
_NODES = 1024
"""Points of a replicate for the diagonal kernel; with 256 its error at d = 2 is above the ridge."""


def kernels(arch: Any, x: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, float]:
    """``[n, n, T, T]`` of the first n, ``[M, n, T, T]`` of the others; a bound on the first's error.

    One call, for one program is compiled for it; JAX's default precision, which the ridge is far above.
    """
    kernel_fn, floor = network(arch).kernel_fn, 0.0
    if isinstance(arch, Diagonal):
        found = kernel_fn(x, x[:n], get=("ntk", "ntk_error"), samples=_NODES)
        kernel = np.asarray(found[0], float)
        floor = float(np.linalg.norm(found[1][:n]))  # Frobenius, which is above the operator norm
    else:
        kernel = np.asarray(kernel_fn(x, x[:n], get="ntk"), float)
    return kernel[:n], kernel[n:], floor


def regress(
    kernel: np.ndarray, y: np.ndarray, cross: np.ndarray, floor: float, steps: int
) -> np.ndarray:
    """Outputs ``[M, T]`` of kernel ridge regression on all steps of all sequences.

    Descent of k steps at half the stable rate passes an eigenvalue s by 1 - (1 - s/top)^k, about
    s k/top where it is small; so does the ridge top/k. That is the ridge here, unless the kernel is
    less exact.
    """
    n, _, length, _ = kernel.shape
    rows = lambda k: k.transpose(0, 2, 1, 3).reshape(len(k) * length, n * length)  # noqa: E731
    whole = rows(kernel)
    top = 2 * n / dynamics.largest_stable_step(kernel)
    ridge = max(top / steps, floor)
    weights = linalg.solve(whole + ridge * np.eye(n * length), y.reshape(-1), assume_a="pos")
    return (rows(cross) @ weights).reshape(-1, length)


def fit(
    arch: Any,
    draws: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    samples: int,
    steps: int,
    rate: float,
    seed: int,
) -> list[np.ndarray]:
    """Held-out outputs ``[M, T]`` of each repetition, at the last iterate of full-batch descent.

    Its outputs at the start are taken off. A run that diverges is done again at half the rate.
    """
    n, learned = samples, []
    params = draw(arch, seed, len(draws), draws[0][0].shape)
    apply_fn = jax.jit(network(arch).apply_fn)
    for s, (x, y) in enumerate(draws):
        one = jax.tree.map(lambda a, s=s: a[s], params)
        shift = np.asarray(apply_fn(one, jnp.asarray(x)), float)

        def run(
            rate: float, one: Any = one, x: Any = x, y: Any = y, shift: Any = shift
        ) -> tuple[float, np.ndarray]:
            run = dynamics.train(
                arch,
                one,
                x[:n],
                y[:n, :, None] + shift[:n],
                optimizer=sgd(rate),
                steps=steps,
                x_test=x[n:],
                record=("loss", "test_outputs"),
                at=(steps,),
            )
            # The loss of a sequence is half the sum over its steps.
            left = 2 * float(np.asarray(run.loss)[-1]) / y.shape[1] / np.var(y[:n])
            return left, (np.asarray(run.test_outputs, float)[-1] - shift[n:])[:, :, 0]

        learned.append(halved_until_stable(rate, run))
    return learned


def relative_error(outputs: np.ndarray, y: np.ndarray) -> float:
    """Mean squared error over sequences and steps, over the variance of y: the best constant has 1."""
    return float(np.mean((outputs - y) ** 2) / np.var(y))

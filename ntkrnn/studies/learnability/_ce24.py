"""What the experiments on diagonal networks share: a system to learn, descent, linearised states."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntkrnn import dynamics
from ntkrnn._network import network
from ntkrnn.architectures import Diagonal
from ntkrnn.dual._value import scalar_function
from ntkrnn.studies.learnability._train import draw
from ntkrnn.theory import max_norm_projection


class Descent(NamedTuple):
    """Full-batch runs of S networks."""

    start: Any
    end: Any
    loss: np.ndarray
    """``[S, 2]``: at the start and at the end."""


def unit_sphere(rng: np.random.Generator, n: int, steps: int, dim: int) -> np.ndarray:
    """Sequences of tokens uniform on the unit sphere."""
    x = rng.standard_normal((n, steps, dim))
    return x / np.linalg.norm(x, axis=2, keepdims=True)


@functools.cache
def projected(rate: float, rho_w: float | None, rho_u: float | None) -> Any:
    """Descent, projected if there are radii: one object for each, for which programs are compiled."""
    if rho_w is None or rho_u is None:
        return optax.sgd(rate)
    return optax.chain(optax.sgd(rate), max_norm_projection(rho_w, rho_u))


def half_of_stable(arch: Diagonal, x: np.ndarray) -> float:
    """Half of the largest stable step of full-batch descent on all outputs of all steps."""
    kernel = np.asarray(network(arch).kernel_fn(x, get="ntk", samples=256), float)
    n, _, steps, _ = kernel.shape
    whole = kernel.transpose(0, 2, 1, 3).reshape(n * steps, n * steps)
    return float(f"{n / np.linalg.eigvalsh(whole)[-1]:.3g}")


def descend(
    arch: Diagonal,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    seeds: int,
    steps: int,
    rate: float,
    radii: tuple[float, float] | None = None,
) -> Descent:
    """Train S networks on all sequences at every step."""
    params = draw(arch, seed, seeds, x.shape)
    run = dynamics.train(
        arch,
        params,
        x,
        y,
        optimizer=projected(rate, *(radii or (None, None))),
        steps=steps,
        record=("loss",),
        at=(0, steps),
        ensemble=True,
    )
    return Descent(params, run.params, np.asarray(run.loss, float))


def moves(descent: Descent) -> tuple[np.ndarray, np.ndarray]:
    """``[S, m]`` each: how far w and u of every neuron are from the start."""
    w = np.asarray(descent.end["w"], float) - np.asarray(descent.start["w"], float)
    u = np.asarray(descent.end["u"], float) - np.asarray(descent.start["u"], float)
    return np.abs(w), np.linalg.norm(u, axis=2)


class Deviations(NamedTuple):
    """``[T, N, m]`` each: of the states at moved parameters."""

    hidden: np.ndarray
    """``h(theta) - h(theta_0)``"""
    remainder: np.ndarray
    """What of it is not linear in the move."""


def deviations(nonlinearity: Any, start: Any, end: Any, x: np.ndarray) -> Deviations:
    """In float64, from two forward passes; ``w [m]``, ``u [m, d]``, ``x [N, T, d]``."""
    with jax.enable_x64(True):
        arrays = [jnp.asarray(np.asarray(a, float)) for a in (*start, *end, x)]
        return Deviations(*(np.asarray(a) for a in _deviations(nonlinearity, *arrays)))


@functools.partial(jax.jit, static_argnums=0)
def _deviations(nonlinearity: Any, w: Any, u: Any, w2: Any, u2: Any, x: Any) -> Any:
    phi = scalar_function(nonlinearity)
    product = functools.partial(jnp.einsum, "ntd,md->tnm", precision="highest")

    def step(carry: Any, drives: Any) -> Any:
        h, linear, moved = carry
        by_start, by_move = drives
        tangent = (w2 - w) * h + by_move + w * linear
        h_new, linear = jax.jvp(phi, (w * h + by_start,), (tangent,))
        moved = phi(w2 * moved + by_start + by_move)
        return (h_new, linear, moved), (moved - h_new, moved - h_new - linear)

    zero = jnp.zeros((x.shape[0], w.shape[0]), x.dtype)
    return jax.lax.scan(step, (zero, zero, zero), (product(x, u), product(x, u2 - u)))[1]

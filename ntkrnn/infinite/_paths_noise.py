"""Noise that the paths are driven by: Gaussian forwards, signs backwards.

What is estimated are second moments of functions of the noise. Sample moments of the noise that are
exact take their own error out of that:

- the samples of every gate are made uncorrelated and of variance 1 as a set (white), so that what is
  linear in the noise has the covariance that it should have, to the last digit;
- they come in pairs of opposite sign, which cancels whatever is of odd order: of no use alone, since
  the squares of a pair are equal, but of some beside the whitening, which cares for the squares;
- backwards the noise enters linearly, so that nothing but its covariance matters: signs +-1 out of
  the columns of a Hadamard matrix have the smallest fourth moment, and are orthogonal as a set.

Random numbers come from NumPy: the same on every device, and nothing to compile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._compile import compiled
from ntkrnn._types import Array
from ntkrnn.infinite._nodes import HALF_STEP, sobol_engine

KINDS = ("plain", "pairs", "white", "white pairs", "sobol")
SAMPLES_PER_COORDINATE = 4
"""Samples for each coordinate of the noise from which whitening it leaves enough of it random."""


class Noise(NamedTuple):
    """Standard normals, as they are drawn; with pairs they stand for twice as many samples."""

    z: Array
    """``[gates, T, N, D]``"""
    white: Array | None
    """``[gates, T N, T N]``, lower triangular: what makes the samples of a gate white."""


@compiled()
def _whitening(z: Array) -> Array:
    """``[gates, n, n]``: the inverse Cholesky factors of ``z z^T/D`` for ``[gates, n, D]``."""

    def of(one: Array) -> Array:
        gram = jax.lax.dot_general(one, one, (((1,), (1,)), ((), ())), precision="highest")
        root = jnp.linalg.cholesky(gram / one.shape[1])
        return jax.scipy.linalg.solve_triangular(root, jnp.eye(len(root), dtype=one.dtype), lower=True)

    return jax.lax.map(of, z)


def _sobol(random: np.random.Generator, gates: int, steps: int, n: int, samples: int) -> np.ndarray:
    """Points of a scrambled Sobol net, the first steps in its first dimensions."""
    from scipy.special import ndtri

    points = sobol_engine(steps * n * gates, random).random(samples)
    z = ndtri(points + HALF_STEP).reshape(samples, steps, n, gates)
    return np.moveaxis(z, (0, 3), (3, 0))


def forward_noise(
    random: np.random.Generator, gates: int, steps: int, n: int, samples: int, kind: str, dtype: Any
) -> Noise:
    """What paths are drawn with.

    Args:
        random: where it comes from.
        gates: number of gates.
        steps: T.
        n: N.
        samples: S, even.
        kind: one of :data:`KINDS`; "sobol" is a scrambled net in as many dimensions, for comparison.
        dtype: floating dtype.

    Cost: gates S (N T)^2/2 multiply-adds for white pairs.
    """
    if kind == "sobol":
        return Noise(jnp.asarray(_sobol(random, gates, steps, n, samples), dtype), None)
    drawn = samples // 2 if "pairs" in kind else samples
    z = jnp.asarray(random.standard_normal((gates, steps * n, drawn), np.dtype(dtype)))
    white = _whitening(z) if "white" in kind else None
    return Noise(z.reshape(gates, steps, n, drawn), white)


def drawn_with(rows: Array, noise: Noise, gates: tuple[int, ...]) -> Array:
    """``[gates, N, D]``: a step of some gates that have the same covariance.

    Args:
        rows: ``[N, p, N]`` rows of the factor of the covariance.
        noise: of all gates.
        gates: which of them.
    """
    n, p, _ = rows.shape
    flat = rows.reshape(n, p * n)
    z = noise.z[jnp.asarray(gates), :p].reshape(len(gates), p * n, -1)
    if noise.white is None:
        return jnp.einsum("nk,gkd->gnd", flat, z, precision="highest")
    # The rows are whitened rather than the noise: there are fewer of them than samples.
    white = noise.white[jnp.asarray(gates), : p * n, : p * n]
    return jnp.matmul(jnp.matmul(flat, white, precision="highest"), z, precision="highest")


def with_opposites(a: Array, samples: int) -> Array:
    """``[..., S]`` of ``[..., D]``: with pairs, the same with the opposite sign behind it."""
    return a if a.shape[-1] == samples else jnp.concatenate([a, -a], axis=-1)


def backward_noise(random: np.random.Generator, sets: int, count: int, samples: int) -> Array:
    """``[sets, count, S]`` of +-1, each orthogonal as a set and of mean 0 while ``count`` is below S.

    Args:
        random: where they come from.
        sets: how many.
        count: number of coordinates.
        samples: S, a power of 2.
    """
    if count >= samples:
        flips = random.integers(0, 2, (sets, count, samples), np.int8)
        return jnp.asarray(1 - 2 * flips)
    found = np.empty((sets, count, samples), np.int8)
    for one in found:
        columns = 1 + random.permutation(samples - 1)[:count].astype(np.uint32)
        rows = random.permutation(samples).astype(np.uint32)
        bits = columns[:, None] & rows[None, :]
        for shift in (16, 8, 4, 2, 1):
            bits ^= bits >> np.uint32(shift)
        one[:] = 1 - 2 * (bits & 1).astype(np.int8)
    return jnp.asarray(found)

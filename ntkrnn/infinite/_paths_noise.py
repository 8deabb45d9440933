"""Noise that the paths are driven by: Gaussian forwards, signs backwards.

What is estimated are second moments of functions of the noise. Sample moments of the noise that are
exact take their own error out of that:

- samples come in pairs of opposite sign, which cancels whatever is of odd order;
- the samples of every gate are made uncorrelated and of variance 1 as a set (whitened), so that what
  is linear in the noise has the covariance that it should have, to the last digit;
- backwards the noise enters linearly, so that nothing but its covariance matters: signs +-1 out of
  the columns of a Hadamard matrix have the smallest fourth moment, and are orthogonal as a set.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array

KINDS = ("plain", "antithetic", "whitened")
SAMPLES_PER_COORDINATE = 4
"""Samples for each coordinate of the noise from which whitening it leaves enough of it random."""


@functools.partial(jax.jit, static_argnames=("gates", "steps", "n", "samples", "kind", "dtype"))
def forward_noise(
    key: Array, gates: int, steps: int, n: int, samples: int, kind: str, dtype: Any
) -> Array:
    """Standard normals ``[gates, T, N, S]``, functions of the key and of (gate, t, i) until whitened.

    Args:
        key: a JAX random key.
        gates: number of gates.
        steps: T.
        n: N.
        samples: S, even.
        kind: one of :data:`KINDS`, each of which has what the one before it has.
        dtype: floating dtype.

    Cost: gates S (N T)^2 multiply-adds for "whitened".
    """
    half = samples if kind == "plain" else samples // 2
    of = lambda *shape: jnp.arange(shape[0], dtype=jnp.uint32)  # noqa: E731

    def along(axis_size: int, inner: Any) -> Any:
        return lambda k: jax.vmap(lambda i: inner(jax.random.fold_in(k, i)))(of(axis_size))

    draw = along(gates, along(steps, along(n, lambda k: jax.random.normal(k, (half,), dtype))))
    z = draw(key)
    if kind == "plain":
        return z
    if kind == "whitened":
        flat = z.reshape(gates, steps * n, half)

        def white(one: Array) -> Array:
            gram = jax.lax.dot_general(one, one, (((1,), (1,)), ((), ())), precision="highest")
            root = jnp.linalg.cholesky(gram / half)
            return jax.scipy.linalg.solve_triangular(root, one, lower=True)

        z = jax.lax.map(white, flat).reshape(z.shape)
    return jnp.concatenate([z, -z], axis=-1)


def signs(key: Array, count: int, samples: int, dtype: Any) -> Array:
    """``[count, S]`` of +-1 with mean 0, orthogonal as a set while ``count`` is below S.

    Args:
        key: a JAX random key.
        count: number of coordinates.
        samples: S, a power of 2.
        dtype: floating dtype.
    """
    if count >= samples:
        return jax.random.rademacher(key, (count, samples), dtype)
    columns_key, rows_key = jax.random.split(key)
    columns = 1 + jax.random.permutation(columns_key, jnp.arange(samples - 1, dtype=jnp.uint32))
    rows = jax.random.permutation(rows_key, jnp.arange(samples, dtype=jnp.uint32))
    parity = jax.lax.population_count(columns[:count, None] & rows[None, :]) & 1
    return 1 - 2 * parity.astype(dtype)

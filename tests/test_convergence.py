"""Finite networks converge to the infinite-width kernels, at the rate the theory says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked

import ntkrnn

X = jax.random.normal(jax.random.key(0), (4, 5, 3))
LENGTHS = jnp.array([5, 3, 1, 4])
ARCHS = {
    "erf": {},
    "relu-bias-critical": {"nonlinearity": "relu", "w_std": 2**0.5, "b_std": 0.2},
    "tanh-mean": {"nonlinearity": "tanh", "readout": "mean", "w_std": 1.3},
    "erf-deep-bidirectional": {"depth": 2, "bidirectional": True},
    "erf-sequence-only-w": {"readout": "sequence", "trainable": ("w",)},
    "abs-deep-mean": {"nonlinearity": "abs", "depth": 2, "readout": "mean", "u_std": 0.7},
}


def _draw(arch, seeds):
    """Empirical NTK and NNGP of independent networks, ``[seeds, ...]`` each."""
    init_fn, _, _ = ntkrnn.network(arch)
    ntk_fn, nngp_fn = ntkrnn.empirical_ntk_fn(arch), ntkrnn.empirical_nngp_fn(arch)

    def one(key):
        _, params = init_fn(key, X.shape)
        return ntk_fn(X, None, params, LENGTHS), nngp_fn(X, None, params, LENGTHS)

    return jax.lax.map(jax.jit(one), jax.random.split(jax.random.key(arch.width), seeds))


@pytest.mark.parametrize("name", marked(ARCHS, ("erf", "tanh-mean")))
def test_mean_over_networks_is_the_limit(name):
    """Every entry within 5 standard errors, plus a bias of order 1/width."""
    arch = ntkrnn.Elman(width=512, **ARCHS[name])
    limit = ntkrnn.network(arch).kernel_fn(X, lengths1=LENGTHS)
    seeds = 20
    for draws, want in zip(_draw(arch, seeds), (limit.ntk, limit.nngp), strict=True):
        error = jnp.std(draws, axis=0, ddof=1) / np.sqrt(seeds)
        scale = jnp.max(jnp.abs(want)) / arch.width
        assert float(jnp.max(jnp.abs(jnp.mean(draws, 0) - want) / (error + scale))) < 5


@pytest.mark.parametrize("name", marked(("erf", "erf-deep-bidirectional"), ("erf",)))
def test_error_falls_as_one_over_root_width(name):
    """Slope of log mean error against log width; the interval of 95% over seeds holds -1/2."""
    widths, seeds = np.array([32, 128, 512]), 24
    limit = ntkrnn.network(ntkrnn.Elman(**ARCHS[name])).kernel_fn(X, lengths1=LENGTHS)
    drawn = [_draw(ntkrnn.Elman(width=int(width), **ARCHS[name]), seeds) for width in widths]
    for draws, want in zip(zip(*drawn, strict=True), (limit.ntk, limit.nngp), strict=True):
        errors = np.array([np.linalg.norm((d - want).reshape(seeds, -1), axis=1) for d in draws])
        rng = np.random.default_rng(0)
        resampled = [
            np.take_along_axis(errors, rng.integers(seeds, size=errors.shape), axis=1).mean(1)
            for _ in range(1000)
        ]
        slopes = np.polyfit(np.log(widths), np.log(np.array(resampled)).T, 1)[0]
        low, high = np.mean(slopes) + np.array([-3, 3]) * np.std(slopes)
        # Three standard deviations, and the next order in 1/width, which bends the line at width 32.
        assert low - 1 / 32 <= -0.5 <= high + 1 / 32, (low, high)
        assert high < -0.25  # and it does fall

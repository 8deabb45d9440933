"""The recurrent layer inside neural_tangents.stax, and our kernels inside neural_tangents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked

import ntkrnn
from ntkrnn._compat import neural_tangents

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
nt = neural_tangents()
stax = nt.stax
X1 = jax.random.normal(jax.random.key(0), (3, 5, 2))
X2 = jax.random.normal(jax.random.key(1), (2, 5, 2))
ARCHS = {
    "erf": ntkrnn.Elman(width=64, readout="mean", b_std=0.3),
    "relu-deep": ntkrnn.Elman(width=64, nonlinearity="relu", readout="mean", depth=2),
    "gelu-bidirectional": ntkrnn.Elman(
        width=64, nonlinearity="gelu", readout="mean", bidirectional=True
    ),
    "tanh-partly-trained": ntkrnn.Elman(
        width=64, nonlinearity="tanh", readout="mean", trainable=("u", "v"), w_std=1.2
    ),
}


def _serial(arch, *more):
    return stax.serial(
        ntkrnn.stax.Recurrent(arch), *more, stax.GlobalAvgPool(), stax.Dense(1, b_std=None)
    )


def _close(got, want, times=100):
    return float(jnp.linalg.norm(got - want)) <= times * EPS * float(jnp.linalg.norm(want))


@pytest.mark.parametrize("name", marked(ARCHS, ()))
def test_agrees_with_network(name):
    arch = ARCHS[name]
    init_fn, apply_fn, kernel_fn = _serial(arch)
    k, ours = kernel_fn(X1, X2), ntkrnn.network(arch).kernel_fn(X1, X2)
    assert _close(k.nngp, ours.nngp)
    assert _close(k.ntk, ours.ntk)
    _, params = init_fn(jax.random.key(2), X1.shape)
    dense = params[2][0] if isinstance(params[2], tuple) else params[2]
    both = {"cells": params[0]["cells"], "v": jnp.reshape(dense, (1, -1))}
    assert _close(apply_fn(params, X1), ntkrnn.network(arch).apply_fn(both, X1))


def test_masked_sequences_agree_with_lengths():
    arch, lengths = ARCHS["erf"], np.array([5, 2, 4])
    x = np.array(X1)
    for row, length in enumerate(lengths):
        x[row, length:] = np.nan
    init_fn, apply_fn, kernel_fn = _serial(arch)
    k = kernel_fn(x, None, mask_constant=np.nan)
    ours = ntkrnn.network(arch).kernel_fn(x, lengths1=lengths)
    assert _close(k.ntk, ours.ntk)
    assert _close(k.nngp, ours.nngp)
    _, params = init_fn(jax.random.key(2), x.shape)
    y = apply_fn(params, x, mask_constant=np.nan)
    y = getattr(y, "masked_value", y)
    trimmed = jnp.stack([apply_fn(params, X1[i : i + 1, :n])[0] for i, n in enumerate(lengths)])
    assert _close(y, trimmed)


def test_stack_of_two_layers_is_a_deep_network():
    """Two layers of one network as two layers of stax: the same weights sharing, the same kernels."""
    arch = ARCHS["relu-deep"]
    one = ntkrnn.Elman(width=64, nonlinearity="relu", readout="mean")
    _, _, kernel_fn = _serial(one, ntkrnn.stax.Recurrent(one))
    ours = ntkrnn.network(arch).kernel_fn(X1, X2)
    k = kernel_fn(X1, X2)
    assert _close(k.ntk, ours.ntk)
    assert _close(k.nngp, ours.nngp)


@pytest.mark.slow
def test_agrees_with_monte_carlo():
    """Two different layers, pooled: each entry of the mean over networks within 5 standard errors."""
    lower, upper = ntkrnn.Elman(width=256), ntkrnn.Elman(width=256, nonlinearity="relu", b_std=0.2)
    init_fn, apply_fn, kernel_fn = stax.serial(
        ntkrnn.stax.Recurrent(lower), ntkrnn.stax.Recurrent(upper),
        stax.GlobalAvgPool(), stax.Dense(1),
    )  # fmt: skip
    samples = 24
    draws = nt.monte_carlo_kernel_fn(init_fn, apply_fn, jax.random.key(3), range(1, samples + 1))
    means = jnp.stack(list(draws(X1, None, "ntk")))
    counts = jnp.arange(1, samples + 1)[:, None, None]
    single = jnp.diff(means * counts, axis=0, prepend=0)
    error = jnp.std(single, axis=0, ddof=1) / np.sqrt(samples)
    limit = kernel_fn(X1, None, "ntk")
    # At width 256 the finite-width bias is of order 1/256, below the standard error of 24 networks.
    assert float(jnp.max(jnp.abs(means[-1] - limit) / (error + limit / 256))) < 5


def test_drops_into_ensemble_prediction():
    """Means and covariances of gradient_descent_mse_ensemble against their formulas."""
    kernel_fn = ntkrnn.network(ARCHS["erf"]).kernel_fn
    y = jnp.sin(jnp.arange(3.0))[:, None]
    predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, X1, y, diag_reg=0.0)
    gaussian = predict(x_test=X2, get="nngp", compute_cov=True)
    k, cross, test = kernel_fn(X1).nngp, kernel_fn(X2, X1).nngp, kernel_fn(X2).nngp
    solve = jnp.linalg.solve(k, cross.T).T
    condition = float(jnp.linalg.cond(k))
    np.testing.assert_allclose(gaussian.mean, solve @ y, atol=50 * EPS * condition)
    np.testing.assert_allclose(gaussian.covariance, test - solve @ cross.T, atol=50 * EPS * condition)
    both = predict(t=3.0, x_test=X2, get=("nngp", "ntk"), compute_cov=True)
    assert both.ntk.mean.shape == (2, 1)
    assert both.ntk.covariance.shape == (2, 2)


def test_drops_into_batch():
    x = jax.random.normal(jax.random.key(5), (4, 5, 2))
    kernel_fn = ntkrnn.network(ARCHS["erf"]).kernel_fn
    batched = nt.batch(kernel_fn, batch_size=2)
    assert _close(batched(x, None, "ntk"), kernel_fn(x, get="ntk"))
    both = batched(x, x[:2], ("nngp", "ntk"))
    assert both._fields == ("nngp", "ntk")
    assert _close(both.ntk, kernel_fn(x, x[:2]).ntk)


def test_network_drops_into_monte_carlo_and_linearize():
    init_fn, apply_fn, kernel_fn = ntkrnn.network(ntkrnn.Elman(width=32, readout="mean"))
    sampled = nt.monte_carlo_kernel_fn(init_fn, apply_fn, jax.random.key(1), n_samples=2)
    assert sampled(X1, X2, "ntk").shape == kernel_fn(X1, X2, "ntk").shape
    _, params = init_fn(jax.random.key(0), X1.shape)
    linear = nt.linearize(apply_fn, params)
    assert _close(linear(params, X1), apply_fn(params, X1))


def test_only_nngp_is_asked_for():
    _, _, kernel_fn = _serial(ARCHS["erf"])
    assert _close(kernel_fn(X1, X2, "nngp"), ntkrnn.network(ARCHS["erf"]).kernel_fn(X1, X2, "nngp"))

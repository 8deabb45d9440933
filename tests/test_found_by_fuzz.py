"""Calls that the long fuzz (``make fuzz``) found: each ended in JAX's own words, or in a silent NaN."""

import jax
import numpy as np
import pytest

import ntkrnn
from ntkrnn import dual, dynamics, theory

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
EYE, Y = np.eye(4), np.arange(4.0)
SERIES = theory.PowerSeries((0.0, 1.0, 0.5))
TARGET = theory.AdditiveTarget((SERIES, SERIES), np.array([[0.6, 0.8], [1.0, 0.0]]))

CALLS = {
    "samples": lambda: ntkrnn.network(ntkrnn.LSTM()).kernel_fn(X, samples=10**79),
    "v_std": lambda: ntkrnn.Elman(v_std=KEY),
    "w_std": lambda: ntkrnn.LSTM(w_std=KEY),
    "weight_decay": lambda: dynamics.gradient_flow(EYE, Y, Y + 1, [1.0], weight_decay=KEY),
    "ntk": lambda: dynamics.gradient_flow([[1.0], [1.0, 2.0]], Y, Y + 1, [1.0]),
    "y": lambda: dynamics.gradient_flow(EYE, Y, 1e199 * (Y + 1), [1.0]),
    "x1": lambda: ntkrnn.network(ntkrnn.Diagonal(nonlinearity="identity")).kernel_fn(
        np.full((1, 4, 2), 1e15), samples=16, replicates=2
    ),
    "q1": lambda: dual.dual_activation("gelu", 0.7, 1e30, 0.8),
    "max_variance": lambda: dual.nonlinearity("tanh", max_variance=1e13),
    "x": lambda: TARGET(np.full((2, 2, 2), 1e199)),
    "learning_rate": lambda: dynamics.gradient_flow(
        np.cov(X.reshape(4, 6)), Y, Y + 1, [1.0, 3.0], learning_rate=1e159
    ),
    "nesterov": lambda: dynamics.largest_stable_step(EYE, nesterov=np.array([0, 1])),
    "arch": lambda: dynamics.train(np.tanh, {}, X, Y[:3], optimizer=None, steps=1),
    "token_dim": lambda: theory.al19_network(width=4, token_dim=10**400, out_dim=1),
    "ntk.": lambda: dynamics.gradient_flow(1e200 * EYE, Y, Y + 1, [1.0]),
    "readout_std": lambda: theory.relu_recurrent_ntk(X, readout_std=1e160),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_refused_by_name(name):
    with pytest.raises((TypeError, ValueError), match=rf"^{name.rstrip('.')}\b.*: "):
        CALLS[name]()


def test_a_learning_rate_that_no_float32_holds_is_refused():
    arch = ntkrnn.Elman(width=4)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(KEY, X.shape)
    kernel = ntkrnn.empirical_ntk_fn(arch)(X, None, params)
    with pytest.raises(ValueError, match="learning_rate: got 1e"):
        dynamics.linearized(kernel, apply_fn(params, X)[:, 0], np.ones(3), steps=2, learning_rate=1e159)


def test_a_linearised_network_asks_for_its_channels():
    arch = ntkrnn.Elman(width=4)
    _, params = ntkrnn.network(arch).init_fn(KEY, X.shape)
    with pytest.raises(ValueError, match="x: "):
        dynamics.linearize(arch, params)(params, X[:, :, :1])

"""Sampled kernels of gated cells: against a plain sampler of their law, and means of networks."""

import dataclasses

import jax
import numpy as np
import path_sampler
import pytest
from marking import marked
from test_sampled_kernels import sequences

import ntkrnn

PATHS = {
    "lstm": ntkrnn.LSTM(w_std=(1.0, 0.6, 1.5, 1.2), u_std=1.1, b_std=0.3, b_mean=(0.3, 0.5, 0.7, -0.2)),
    "gru-after": ntkrnn.GRU(w_std=1.3, b_std=(0.3, 0.2, 0.4, 0.5), readout="mean"),
    "gru-before": ntkrnn.GRU(
        reset="before", w_std=1.3, u_std=(1.0, 0.8, 1.2), b_std=0.3, readout="mean"
    ),
    "minimal": ntkrnn.MinimalGRU(w_std=1.3, b_std=0.3, v_std=0.7, trainable=("w", "b")),
}


@pytest.mark.parametrize("name", marked(PATHS, ("lstm",)))
def test_the_law_of_one_neuron_gives_the_same(name):
    """Sampled step by step, without the matrices of any network."""
    arch, x = PATHS[name], sequences(7)
    gates = path_sampler.gates_of(name, arch.w_std, arch.u_std, arch.b_std, arch.b_mean)
    options = {"readout": arch.readout, "v": arch.v_std, "trainable": arch.trainable}
    means, errors = path_sampler.estimate(name, gates, x, 10000, 12, **options)
    found = ntkrnn.network(arch).kernel_fn(x, replicates=96)
    for kind, mean, error in zip(("nngp", "ntk"), means, errors, strict=True):
        got = np.asarray(getattr(found, kind), np.float64)
        both = np.hypot(error, np.asarray(getattr(found, f"{kind}_error")))
        # Student's law with at least 11 degrees of freedom: 1 in 10^4 is beyond 5.9.
        assert np.abs((got - mean) / both).max() < 6, kind
        # And the errors are no excuse.
        assert np.linalg.norm(both) < 0.015 * np.linalg.norm(got)


NETWORKS = {
    "lstm": ntkrnn.LSTM(b_std=0.3),
    "lstm-deep-sequence": ntkrnn.LSTM(depth=2, readout="sequence", trainable=("w", "u")),
    "gru-deep": ntkrnn.GRU(depth=2, w_std=1.2),
    "gru-before-both-ways": ntkrnn.GRU(reset="before", bidirectional=True),
    "gru-before-deep-both-ways-mean": ntkrnn.GRU(
        reset="before", depth=2, bidirectional=True, readout="mean", b_std=0.3
    ),
    "minimal-gru-mean": ntkrnn.MinimalGRU(readout="mean", b_std=0.3),
}
LENGTHS = np.array([4, 2, 3], np.int32)


@pytest.mark.parametrize("name", marked(NETWORKS, ("lstm",)))
def test_the_mean_of_finite_networks_is_the_sampled_kernel(name):
    arch = dataclasses.replace(NETWORKS[name], width=256)
    x, seeds = sequences(6), 24
    want = ntkrnn.network(arch).kernel_fn(x, None, None, LENGTHS, replicates=64)
    init_fn = ntkrnn.network(arch).init_fn
    params = jax.vmap(lambda key: init_fn(key, x.shape)[1])(jax.random.split(jax.random.key(0), seeds))
    for k, fn in (("nngp", ntkrnn.empirical_nngp_fn(arch)), ("ntk", ntkrnn.empirical_ntk_fn(arch))):
        one = lambda p, fn=fn: fn(x, None, p, lengths1=LENGTHS)  # noqa: E731
        each = np.asarray(jax.lax.map(one, params), np.float64)
        limit, error = (np.asarray(getattr(want, name)) for name in (k, f"{k}_error"))
        own = each.std(axis=0, ddof=1) / seeds**0.5
        # Student's law with 23 degrees of freedom: 1 in 10^4 is beyond 5. What 256 units are off by on
        # average, of order 1/256, is small against errors of some 2%.
        spread = np.hypot(own, error)
        off = np.abs(each.mean(axis=0) - limit)
        assert np.all(off <= 5 * spread), off / np.where(spread > 0, spread, 1)
        assert np.linalg.norm(own) < 0.1 * np.linalg.norm(limit)  # and the errors are no excuse

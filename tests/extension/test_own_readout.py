"""A linear readout of one's own, outside of the package: what changes between two parts.

The weights are those of the difference of two means. Everything that the package computes of it is
compared with what follows from the states at every step: ``sum_{t,t'} p_t p'_t' K_{t,t'}``.
"""

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ntkrnn

F32 = float(jnp.finfo(jnp.float32).eps)


@dataclasses.dataclass(frozen=True)
class Change(ntkrnn.readouts.Readout):
    """The mean of the second part less that of the first."""

    share: float = 0.5
    """Of the steps that are the first part."""

    def weights(self, times, lengths, backward):
        del backward
        first = jnp.maximum(jnp.floor(self.share * lengths), 1)
        second = jnp.maximum(lengths - first, 1)
        return jnp.where(times < first, -1 / first, 1 / second)


T, N1, N2 = 6, 4, 3
X1 = np.random.default_rng(0).standard_normal((N1, T, 2)).astype(np.float32)
X2 = np.random.default_rng(1).standard_normal((N2, T, 2)).astype(np.float32)
LENGTHS1, LENGTHS2 = np.array([6, 3, 1, 5]), np.array([4, 6, 2])

CELLS = {
    "elman": ntkrnn.Elman(width=16, nonlinearity="erf", b_std=0.3),
    "deep": ntkrnn.Elman(width=16, nonlinearity="relu", depth=2, b_std=0.2),
    "leaky": ntkrnn.Leaky(width=16, nonlinearity="erf", rate=0.4, b_std=0.3),
    "diagonal": ntkrnn.Diagonal(width=16, nonlinearity="erf", symmetric=False),
    "gru": ntkrnn.GRU(width=16, b_std=0.2),
    "both ways": ntkrnn.LSTM(width=16, bidirectional=True),
}
SMALL = {"diagonal": {"samples": 64}, "gru": {"samples": 256, "replicates": 8}}


def weights(lengths):
    """``[N, T]``, written once more."""
    rows = np.zeros((len(lengths), T))
    for row, length in zip(rows, lengths, strict=True):
        first = max(length // 2, 1)
        row[first:length] = 1 / max(length - first, 1)
        row[:first] = -1 / first
    return rows


def contracted(kernel, of=lambda weights: weights):
    """From ``[N1, N2, T, T]`` at every pair of steps."""
    sides = (of(weights(lengths)) for lengths in (LENGTHS1, LENGTHS2))
    return np.einsum("abts,at,bs->ab", np.float64(kernel), *sides)


@pytest.mark.parametrize("cell", ["elman", "deep", "leaky", "diagonal", "gru"])
def test_the_limit_is_the_sum_over_pairs_of_steps(cell):
    own = dataclasses.replace(CELLS[cell], readout=Change())
    steps = dataclasses.replace(CELLS[cell], readout="sequence")
    options = SMALL.get(cell, {})
    got, every = (
        ntkrnn.network(arch).kernel_fn(X1, X2, None, LENGTHS1, LENGTHS2, **options)
        for arch in (own, steps)
    )
    for kind in ("nngp", "ntk"):
        want, tolerance = (
            contracted(getattr(every, kind)),
            64 * F32 * np.max(np.abs(getattr(every, kind))),
        )
        if (cell, kind) == ("gru", "ntk"):
            # A way back is drawn for each output: the same expectation from other samples. Errors of a
            # sum are at most the sum of errors; 12 entries of 8 networks are within 8 of both.
            tolerance = 8 * (got.ntk_error + contracted(every.ntk_error, np.abs))
        assert np.all(np.abs(getattr(got, kind) - want) <= tolerance)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_limit_is_that_of_random_networks(bidirectional):
    arch = ntkrnn.Elman(nonlinearity="erf", b_std=0.3, bidirectional=bidirectional, readout=Change())
    exact = ntkrnn.network(arch).kernel_fn(X1, X2, None, LENGTHS1, LENGTHS2)
    sampling = ntkrnn.Sampling(samples=256, replicates=32)
    sampled = ntkrnn.network(arch, sampling).kernel_fn(X1, X2, None, LENGTHS1, LENGTHS2)
    for kind in ("nngp", "ntk"):
        error = getattr(sampled, f"{kind}_error")
        # 12 entries with 31 degrees of freedom: 6 standard errors have odds of 1e-5 in all.
        assert np.max(np.abs(getattr(exact, kind) - getattr(sampled, kind)) / error) < 6


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_finite_networks_read_it_in_both_directions(cell):
    arch = dataclasses.replace(CELLS[cell], readout=Change())
    steps = dataclasses.replace(CELLS[cell], readout="sequence")
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(2), X1.shape)
    outputs = apply_fn(params, X1, LENGTHS1)
    each = ntkrnn.network(steps).apply_fn(params, X1, LENGTHS1)
    want = np.einsum("ant,at->an", np.swapaxes(np.float64(each), 1, 2), weights(LENGTHS1))
    np.testing.assert_allclose(outputs, want, atol=64 * F32 * np.max(np.abs(each)), rtol=0)

    fast = ntkrnn.empirical_ntk_fn(arch)(X1, X2, params, LENGTHS1, LENGTHS2)
    trained = params if cell == "diagonal" else {k: params[k] for k in ("cells", "v")}

    def function(params, x, lengths):
        return apply_fn(params, x, lengths)

    jacobians = [
        jax.jacobian(function)(trained, x, lengths) for x, lengths in ((X1, LENGTHS1), (X2, LENGTHS2))
    ]
    if cell == "diagonal":
        jacobians = [{block: j[block] for block in ("w", "u")} for j in jacobians]
    flat = [
        np.concatenate([np.float64(a).reshape(len(x), -1) for a in jax.tree.leaves(j)], axis=1)
        for j, x in zip(jacobians, (X1, X2), strict=True)
    ]
    slow = flat[0] @ flat[1].T
    np.testing.assert_allclose(fast, slow, atol=64 * F32 * T * np.max(np.abs(slow)), rtol=0)


def test_it_trains_and_what_stands_in_the_padding_never_matters():
    arch = dataclasses.replace(CELLS["both ways"], readout=Change(0.3))
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(2), X1.shape)
    padded = np.where(np.arange(T)[None, :, None] < LENGTHS1[:, None, None], X1, np.nan)
    np.testing.assert_array_equal(apply_fn(params, padded, LENGTHS1), apply_fn(params, X1, LENGTHS1))
    y = np.array([1.0, -1.0, 1.0, -1.0], np.float32)
    run = ntkrnn.dynamics.train(
        arch, params, padded, y, lengths=LENGTHS1, steps=20, optimizer=optax.sgd(0.05)
    )
    assert run.loss[-1] < run.loss[0]


def test_it_pickles_prints_and_is_a_static_value():
    arch = dataclasses.replace(CELLS["elman"], readout=Change(0.25))
    assert pickle.loads(pickle.dumps(ntkrnn.network(arch))).kernel_fn.arch == arch
    assert "Change(share=0.25)" in repr(arch) and hash(arch) == hash(dataclasses.replace(arch))
    assert arch != dataclasses.replace(arch, readout=Change(0.5))
    with pytest.raises(ValueError, match="pass the value of one of your own"):
        ntkrnn.Elman(**dataclasses.asdict(arch))

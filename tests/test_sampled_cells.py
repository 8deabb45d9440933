"""Sampled kernels of gated cells: what is exact in them, and means over finite networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked
from test_sampled_kernels import DTYPE, sequences

import ntkrnn
from ntkrnn.infinite import Exact, SampleOptions, sampled_kernel_fn
from ntkrnn.infinite._paths_forward import forward
from ntkrnn.infinite._paths_noise import forward_noise

SINGLE = np.dtype(DTYPE).itemsize == 4
PLAIN = SampleOptions(kind="plain", exact=Exact(factor=False, memory=False))
FACTOR = SampleOptions(exact=Exact(factor=True, memory=False))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


NODES = np.linspace(-8, 8, 101)
WEIGHTS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()


def expected(function, c):
    """``E f(a) f(a')`` for every pair of a Gaussian vector, by the trapezoidal rule."""
    q = np.diagonal(c)
    one = np.sqrt(q)[:, None] * NODES
    rest = np.sqrt(np.maximum(q[None] - c**2 / q[:, None], 0))
    slope = c / np.sqrt(q)[:, None]
    two = slope[:, :, None, None] * NODES[:, None] + rest[:, :, None, None] * NODES
    return np.einsum("k,ik,ijk->ij", WEIGHTS, function(one), function(two) @ WEIGHTS)


def paths_of(arch, x, samples, memory, seeds=(0,)):
    """For each seed one layer forwards, and what gives the covariance ``[T N, T N]`` of a gate."""
    n, steps, d = x.shape
    below = np.einsum("itc,jsc->tisj", x, x) / d
    exact = Exact(factor=True, memory=memory)
    valid, last = jnp.ones((steps, n), bool), jnp.asarray(steps, jnp.int32)
    run = jax.jit(lambda noise: forward(arch, jnp.asarray(below), valid, last, noise, samples, exact))
    for seed in seeds:
        random = np.random.default_rng(seed)
        paths = run(forward_noise(random, 4, steps, n, samples, "white pairs", DTYPE))
        states = np.asarray(paths.covariance["state"], np.float64)

        def covariance(w, u, states=states):
            total = u**2 * below.astype(np.float64)
            total[1:, :, 1:] += w**2 * states[:-1, :, :-1]
            return total.reshape(steps * n, -1)

        yield paths, covariance


def of_samples(array):
    """``[T N, T N]`` averages of products of ``[T, N, S]``."""
    flat = np.asarray(array, np.float64).reshape(-1, array.shape[-1])
    return flat @ flat.T / flat.shape[1]


def relative(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def test_the_memory_of_a_constant_forget_gate_has_its_exact_covariance():
    """Then ``c_t = sum_s f^(t-s) i_s g_s`` has a covariance that quadrature gives, to rounding."""
    n, steps = 3, 5
    arch = ntkrnn.LSTM(w_std=(1.1, 0.0, 0.9, 1.0), u_std=(1.3, 0.0, 1.0, 1.0), b_std=0.0)
    x = sequences(1, n, steps)
    off = {}
    for memory in (False, True):
        ((paths, covariance),) = paths_of(arch, x, 512, memory)
        written = expected(sigmoid, covariance(1.1, 1.3)) * expected(np.tanh, covariance(0.9, 1.0))
        keep = sigmoid(1.0) ** np.clip(np.subtract.outer(range(steps), range(steps)), 0, None)
        whole = np.kron(np.tril(keep), np.eye(n))
        off[memory] = relative(of_samples(paths.carries[1]), whole @ written @ whole.T)
    # The increments have condition 1e4, in which float32 keeps three digits at worst; and so do the
    # expansions of the gates at least.
    assert off[True] < (1e-3 if SINGLE else 1e-5), off
    assert off[False] > 0.01, off  # what samples alone make of it


def test_the_memory_is_exact_to_first_order_in_the_forget_gate():
    """What is missing from the known covariance falls as the square of the gate's spread.

    That is the covariance of the linear memory and of its first variation, by quadrature.
    """
    x, off = sequences(2, 3, 5), {}
    keeps = np.tril(np.ones((5, 5)))
    for spread in (0.25, 0.5, 1.0):
        arch = ntkrnn.LSTM(w_std=(1.0, 0.0, 1.0, 1.0), u_std=(1.0, spread, 1.0, 1.0), b_std=0.0)
        found = []
        for paths, covariance in paths_of(arch, x, 512, True, range(4)):
            written = expected(sigmoid, covariance(1.0, 1.0)) * expected(np.tanh, covariance(1.0, 1.0))
            forget = covariance(0.0, spread)
            means = np.array(
                [WEIGHTS @ sigmoid(1 + np.sqrt(q) * NODES) for q in np.diagonal(forget)]
            ).reshape(5, 3)
            whole = np.zeros((5, 3, 5, 3))
            for t, s in zip(*np.nonzero(keeps), strict=True):
                for i in range(3):
                    whole[t, i, s, i] = np.prod(means[s + 1 : t + 1, i])
            whole = whole.reshape(15, 15)
            linear = whole @ written @ whole.T
            moved = np.zeros_like(linear)
            flat = means.reshape(-1)
            spreads = expected(lambda a: sigmoid(1 + a), forget) - np.outer(flat, flat)
            moved[3:, 3:] = spreads[3:, 3:] * linear[:-3, :-3]
            known = linear + whole @ moved @ whole.T
            found.append(of_samples(paths.carries[1]) - known)
        off[spread] = np.linalg.norm(np.mean(np.square(found), axis=0)) ** 0.5
    # Slope 1 if the first order were missing, 2 for small spreads; that of 1 is not small.
    assert np.log(off[1.0] / off[0.25]) / np.log(4) > 1.5, off
    assert np.log(off[0.5] / off[0.25]) / np.log(2) > np.log(off[1.0] / off[0.5]) / np.log(2), off


SETTINGS = {
    "candidate-bias": (ntkrnn.LSTM(b_mean=(0.3, 0.5, 0.7, -0.2), b_std=0.3), [4, 4, 4]),
    "lengths-and-depth": (ntkrnn.LSTM(depth=2, w_std=1.3), [4, 2, 3]),
    "per-gate-mean-both-ways": (
        ntkrnn.LSTM(u_std=(1.0, 0.5, 1.5, 2.0), readout="mean", bidirectional=True),
        [3, 4, 1],
    ),
    "gates-of-both-signs": (ntkrnn.LSTM(gate_nonlinearity="erf"), [4, 4, 4]),
}


@pytest.mark.parametrize("name", marked(SETTINGS, slow=("gates-of-both-signs", "lengths-and-depth")))
def test_what_is_exact_agrees_with_samples(name):
    arch, lengths = SETTINGS[name]
    x, lengths = sequences(3), np.array(lengths, np.int32)
    x[2, 0] = x[1, 0]  # the first steps of two sequences are one
    found = sampled_kernel_fn(arch)(x, None, None, lengths, samples=1024, replicates=24, key=1)
    plain = sampled_kernel_fn(arch, PLAIN)(x, None, None, lengths, samples=4096, replicates=24, key=2)
    for k in ("nngp", "ntk"):
        error = np.hypot(getattr(found, f"{k}_error"), getattr(plain, f"{k}_error"))
        off = np.abs(np.asarray(getattr(found, k), np.float64) - np.asarray(getattr(plain, k)))
        # Student's law with at least 23 degrees of freedom: 1 in 10^4 is beyond 5.
        assert np.all(off <= 5 * error), (k, off / error)


def test_what_is_exact_pays():
    """Half the error in the NNGP kernel by the memory, beside what the output gate gives."""
    x, errors = sequences(4, 4, 6, 3), {}
    for name, options in (("factor", FACTOR), ("both", SampleOptions())):
        found = sampled_kernel_fn(ntkrnn.LSTM(), options)(x, samples=1024, replicates=24)
        errors[name] = np.linalg.norm(found.nngp_error)
    assert errors["both"] < 0.6 * errors["factor"], errors


def test_without_samples_enough_nothing_is_corrected():
    """Fewer than four for each of 48 coordinates: the same as when it is not asked for."""
    x = sequences(5, 6, 8)
    found, want = (
        sampled_kernel_fn(ntkrnn.LSTM(), o)(x, samples=64) for o in (SampleOptions(), FACTOR)
    )
    for one, two in zip(found, want, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, two)


NETWORKS = {
    "lstm": ntkrnn.LSTM(b_std=0.3),
    "gru-deep": ntkrnn.GRU(depth=2, w_std=1.2),
    "gru-before-both-ways": ntkrnn.GRU(reset="before", bidirectional=True),
    "minimal-gru-mean": ntkrnn.MinimalGRU(readout="mean", b_std=0.3),
}


@pytest.mark.parametrize("name", marked(NETWORKS, ("lstm", "gru-deep")))
def test_the_mean_of_finite_networks_is_the_sampled_kernel(name):
    arch = dataclasses.replace(NETWORKS[name], width=256)
    x, seeds = sequences(6), 24
    want = ntkrnn.network(arch).kernel_fn(x, samples=4096, replicates=16)
    init_fn = ntkrnn.network(arch).init_fn
    params = jax.vmap(lambda key: init_fn(key, x.shape)[1])(jax.random.split(jax.random.key(0), seeds))
    for k, fn in (("nngp", ntkrnn.empirical_nngp_fn(arch)), ("ntk", ntkrnn.empirical_ntk_fn(arch))):
        each = np.asarray(jax.lax.map(lambda p, fn=fn: fn(x, None, p), params), np.float64)
        limit, error = (np.asarray(getattr(want, name)) for name in (k, f"{k}_error"))
        own = each.std(axis=0, ddof=1) / seeds**0.5
        # Student's law with 23 degrees of freedom: 1 in 10^4 is beyond 5. What 256 units are off by on
        # average, of order 1/256, is small against errors of some 2%.
        off = np.abs(each.mean(axis=0) - limit) / np.hypot(own, error)
        assert np.all(off <= 5), off
        assert np.linalg.norm(own) < 0.1 * np.linalg.norm(limit)  # and the errors are no excuse

"""Kernels of infinite width by sampling one neuron: against closed forms, and against orthants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked
from scipy.stats import multivariate_normal

import ntkrnn
from ntkrnn.infinite import AccuracyWarning, sampled_kernel_fn
from ntkrnn.infinite._blocks import blocks_of
from ntkrnn.infinite._paths_noise import (
    Noise,
    backward_noise,
    drawn_with,
    forward_noise,
    with_opposites,
)
from ntkrnn.infinite._paths_process import draw, grow, nothing

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)


def sequences(seed, n=3, steps=4, d=2):
    return np.random.default_rng(seed).normal(size=(n, steps, d)).astype(DTYPE)


# The noise and the process


def test_whitened_noise_has_the_moments_of_a_normal_as_a_set():
    noise = forward_noise(np.random.default_rng(0), 2, 3, 4, 256, "white pairs", DTYPE)
    rows = jnp.eye(12, dtype=DTYPE).reshape(12, 1, 12)  # of a covariance that is the identity
    flat = Noise(noise.z.reshape(2, 1, 12, 128), noise.white)
    z = np.asarray(with_opposites(drawn_with(rows, flat, (0, 1)), 256), np.float64)
    for gate in z:
        # A Cholesky factor, its inverse and two products of 12 rows, of condition below 2.
        np.testing.assert_allclose(gate @ gate.T / 256, np.eye(12), atol=100 * EPS)
        np.testing.assert_array_equal(gate[:, :128], -gate[:, 128:])
    fourth = (z**4).mean()
    # E z^4 = 3 and Var z^4 = 96, over 2 * 12 * 128 values that are independent but for 12 of 128.
    assert abs(fourth - 3) < 4 * (96 / (2 * 12 * 128)) ** 0.5 + 3 * 12 / 128


def test_signs_are_orthogonal_as_a_set_and_not_in_the_order_of_anything():
    one, two = np.asarray(backward_noise(np.random.default_rng(0), 2, 20, 64), int)
    np.testing.assert_array_equal(one @ one.T, 64 * np.eye(20))
    np.testing.assert_array_equal(one.sum(1), 0)
    assert np.abs(one @ two.T).max() < 64
    many = np.asarray(backward_noise(np.random.default_rng(0), 1, 64, 64))
    np.testing.assert_array_equal(np.abs(many), 1)


@pytest.mark.parametrize("singular", [False, True])
def test_a_process_grows_into_a_factor_of_its_covariance(singular):
    """Against the covariance itself: duplicates, zeros and a first step without a state included."""
    rng = np.random.default_rng(0)
    steps, n = 4, 3
    rows = rng.normal(size=(steps, n, 20))
    if singular:
        rows[:, 1] = rows[:, 0]
        rows[0] = 0
        rows[2, 2] = rows[1, 2] + rows[1, 0]
    c = np.einsum("tik,sjk->tisj", rows, rows).astype(DTYPE)
    factor = nothing(steps, n, DTYPE)
    for t in range(steps):
        factor, last = grow(factor, jnp.asarray(t, jnp.int32), jnp.asarray(c[t]))
    root = np.asarray(factor.root, np.float64).reshape(steps * n, -1)
    want = c.reshape(steps * n, -1).astype(np.float64)
    # Directions below 1e-5 (1e-12) of the variance are left out, and rounding is amplified by the
    # square root of the inverse of that at most.
    tolerance = {4: 1e-3, 8: 1e-8}[np.dtype(DTYPE).itemsize]
    assert np.abs(root @ root.T - want).max() <= tolerance * np.abs(want).max()
    if singular:
        ranks = np.linalg.matrix_rank(root, tol=1e-2 if np.dtype(DTYPE).itemsize == 4 else 1e-5)
        assert ranks == np.linalg.matrix_rank(rows.reshape(steps * n, -1))
    noise = rng.normal(size=(steps, n, 5)).astype(DTYPE)
    drawn = np.asarray(draw(last, jnp.asarray(noise)))
    want = root.reshape(steps, n, -1)[-1] @ noise.reshape(steps * n, 5)
    np.testing.assert_allclose(drawn, want, atol=100 * EPS * np.abs(want).max())


def test_blocks_hold_every_pair_once():
    for n1, n2, symmetric in ((7, 7, True), (5, 9, False), (3, 3, True)):
        seen = np.zeros((n1, n2), int)
        for block in blocks_of(n1, n2, symmetric, 4):
            seen[np.ix_(block.one, block.two)] += 1
            if block.diagonal:
                seen[np.ix_(block.one, block.one)] += 1
            if symmetric:
                seen[np.ix_(block.two, block.one)] += 1
        np.testing.assert_array_equal(seen, 1)


# Against the closed form of an Elman network

CLOSED = {
    "last": {},
    "relu-mean": {"nonlinearity": "relu", "readout": "mean"},
    "deep": {"depth": 2},
    "bidirectional": {"bidirectional": True},
    "deep-bidirectional-mean-some": {
        "depth": 2,
        "bidirectional": True,
        "readout": "mean",
        "trainable": ("u", "b"),
    },
    "sequence": {"readout": "sequence", "trainable": ("w", "v")},
    "bidirectional-sequence": {"readout": "sequence", "bidirectional": True},
}
LENGTHS = np.array([4, 2, 3], np.int32)


def z_scores(got, want):
    scores = []
    for name in ("nngp", "ntk"):
        error = np.asarray(getattr(got, f"{name}_error"), np.float64)
        off = np.asarray(getattr(got, name), np.float64) - np.asarray(getattr(want, name), np.float64)
        scores.append((off / np.where(error > 0, error, 1))[error > 0])
        assert not np.any(off[error == 0])
    return scores


# A compilation each; the quick ones have both directions, depth, lengths and two readouts.
LONG = ("relu-mean", "bidirectional", "sequence", "deep-bidirectional-mean-some")


@pytest.mark.parametrize("name", marked(CLOSED, slow=LONG))
def test_elman_reproduces_its_closed_form_within_the_errors(name):
    arch = ntkrnn.Elman(w_std=1.2, u_std=0.9, b_std=0.3, **CLOSED[name])
    x = sequences(1)
    want = ntkrnn.network(arch).kernel_fn(x, None, None, LENGTHS)
    got = sampled_kernel_fn(arch)(x, None, None, LENGTHS, samples=1024, replicates=16)
    assert got.ntk.shape == want.ntk.shape and got.ntk.dtype == DTYPE
    for scores in z_scores(got, want):
        # Scores follow Student's law with 15 degrees of freedom: 1 in 10^5 is beyond 6.
        assert np.abs(scores).max() < 6
    size = np.linalg.norm(want.ntk)
    assert np.linalg.norm(got.ntk - want.ntk) < 0.05 * size  # and the errors are no excuse
    np.testing.assert_array_equal(
        got.ntk,
        np.asarray(got.ntk).swapaxes(0, 1).swapaxes(-1, -2)
        if got.ntk.ndim == 4
        else np.asarray(got.ntk).T,
    )


def test_errors_are_calibrated_over_fifty_settings():
    """The scores' standard deviation is that of Student's law, 1.03 with 31 degrees of freedom."""
    rng = np.random.default_rng(3)
    scores = []
    for setting in range(50):
        stds = dict(zip(("w_std", "u_std", "b_std"), rng.uniform(0.3, 1.5, size=3), strict=True))
        arch = ntkrnn.Elman(**stds)
        x, lengths = sequences(100 + setting), rng.integers(1, 5, size=3).astype(np.int32)
        want = ntkrnn.network(arch).kernel_fn(x, None, None, lengths)
        got = sampled_kernel_fn(arch)(x, None, None, lengths, samples=512, replicates=32, key=setting)
        # Entries of one kernel are dependent: one of each.
        for name in ("nngp", "ntk"):
            i, j = rng.choice(3, size=2, replace=False)
            error = float(getattr(got, f"{name}_error")[i, j])
            scores.append(float(getattr(got, name)[i, j] - getattr(want, name)[i, j]) / error)
    assert 0.8 < np.std(scores) < 1.25, np.std(scores)
    assert abs(np.mean(scores)) < 4 / 50**0.5


@pytest.mark.slow
def test_the_bias_falls_as_the_samples_grow():
    """With so few samples that it shows: a fraction of a percent at 64, and gone at 1024."""
    arch = ntkrnn.Elman(w_std=1.4, u_std=0.9, b_std=0.3)
    x = sequences(2)
    want = np.asarray(ntkrnn.network(arch).kernel_fn(x, get="ntk"), np.float64)
    bias, error = {}, {}
    for samples in (32, 512):
        got = sampled_kernel_fn(arch)(x, samples=samples, replicates=400)
        bias[samples] = np.linalg.norm(np.asarray(got.ntk, np.float64) - want) / np.linalg.norm(want)
        error[samples] = np.linalg.norm(got.ntk_error) / np.linalg.norm(want)
    # O(1/S): a 16th of it is left. At 512 nothing is to be seen beyond the errors.
    assert bias[512] < bias[32] / 16 + 4 * error[512]
    assert bias[32] < 0.1


# Against an independent evaluation for a GRU


def gate(a):
    return 0.5 * (1 + jax.lax.erf(a))


@functools.cache
def erf_gate():
    return ntkrnn.dual.nonlinearity(gate, name="erf gate")


def orthant(c):
    """``P(all u >= 0)`` of a Gaussian vector with covariance c."""
    if len(c) == 0:
        return 1.0
    if len(c) == 1:
        return 0.5
    if len(c) == 2:
        return 0.25 + np.arcsin(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1])) / (2 * np.pi)
    law = multivariate_normal(cov=c, allow_singular=True)
    law.maxpts, law.abseps, law.releps = 10**6, 1e-6, 1e-6
    return law.cdf(np.zeros(len(c)), rng=np.random.default_rng(0))


def erf_gru_nngp(arch, x):
    """Covariance of the states, by orthant probabilities: E prod_j gate(s_j a_j) is P(all u_j >= 0)
    with u_j = sqrt(2) s_j a_j + a standard normal, and gates are independent of each other."""
    n, steps, d = x.shape
    w, u, b = arch.w_std**2, arch.u_std**2, arch.b_std**2
    inputs = u * np.einsum("itc,jsc->itjs", x, x) / d + b
    k = np.zeros((n, steps + 1, n, steps + 1))  # of the state after so many steps
    candidate = np.zeros((n, steps, n, steps))
    update = np.zeros((n, steps, n, steps))  # covariance of the update gate

    def weight(i, t, a, j, s, c):
        """E prod of update gates after a, times 1 - that at a, for both sequences."""
        places = [(i, a, -1)] + [(i, r, 1) for r in range(a + 1, t + 1)]
        places += [(j, c, -1)] + [(j, r, 1) for r in range(c + 1, s + 1)]
        rows = [(p, q) for p, q, _ in places]
        signs = np.array([sign for _, _, sign in places])
        cov = np.array([[update[p, q, r, v] for r, v in rows] for p, q in rows])
        return orthant(2 * cov * np.outer(signs, signs) + np.eye(len(rows)))

    for t in range(steps):
        for s in range(t + 1):
            for i in range(n):
                for j in range(n):
                    update[i, t, j, s] = w * k[i, t, j, s] + inputs[i, t, j, s]
                    update[j, s, i, t] = update[i, t, j, s]
        for s in range(t + 1):
            for i in range(n):
                for j in range(n):
                    both = np.array(
                        [[update[p, q, r, v] for r, v in ((i, t), (j, s))] for p, q in ((i, t), (j, s))]
                    )  # the reset gate has the same covariance
                    reset = orthant(2 * both + np.eye(2))
                    own = [w * k[p, q, p, q] for p, q in ((i, t), (j, s))]
                    of_reset = [
                        orthant(2 * update[p, q, p, q] * np.ones((2, 2)) + np.eye(2))
                        for p, q in ((i, t), (j, s))
                    ]
                    c = w * k[i, t, j, s] * reset + inputs[i, t, j, s]
                    v1, v2 = (
                        o * r + inputs[p, q, p, q]
                        for o, r, (p, q) in zip(own, of_reset, ((i, t), (j, s)), strict=True)
                    )
                    if (i, t) == (j, s):
                        c = v1
                    ratio = 2 * c / np.sqrt((1 + 2 * v1) * (1 + 2 * v2))
                    candidate[i, t, j, s] = candidate[j, s, i, t] = 2 / np.pi * np.arcsin(ratio)
        for s in range(t + 1):
            for i in range(n):
                for j in range(n):
                    total = sum(
                        weight(i, t, a, j, s, c) * candidate[i, a, j, c]
                        for a in range(t + 1)
                        for c in range(s + 1)
                    )
                    k[i, t + 1, j, s + 1] = k[j, s + 1, i, t + 1] = total
    return k[:, 1:, :, 1:]


@pytest.mark.parametrize("steps", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_erf_gru_against_orthant_probabilities(steps):
    arch = ntkrnn.GRU(
        reset="before",
        nonlinearity="erf",
        gate_nonlinearity=erf_gate(),
        w_std=1.3,
        u_std=1.1,
        b_std=0.4,
    )
    x = sequences(5, n=2, steps=steps)
    x[1] = 0.7 * x[0] + 0.3 * x[1]  # a kernel without small entries
    want = erf_gru_nngp(arch, x.astype(np.float64))[:, -1, :, -1]
    got = sampled_kernel_fn(arch)(x, samples=8192, replicates=48)
    error = np.asarray(got.nngp_error) / want
    assert error.max() < 0.003
    assert np.abs(np.asarray(got.nngp) / want - 1).max() < 0.003 + 3 * error.max()
    assert np.abs((np.asarray(got.nngp) - want) / np.asarray(got.nngp_error)).max() < 5


# Properties

CELLS = {
    "lstm": ntkrnn.LSTM(b_std=0.2),
    "gru": ntkrnn.GRU(w_std=1.2),
    "gru-before-mean": ntkrnn.GRU(reset="before", readout="mean"),
    "minimal-deep": ntkrnn.MinimalGRU(depth=2),
    "lstm-per-gate-bidirectional": ntkrnn.LSTM(
        w_std=(1.0, 0.5, 1.5, 1.0), b_mean=(0.0, 1.0, 0.0, 0.5), bidirectional=True
    ),
}


LONG_CELLS = ("gru", "lstm-per-gate-bidirectional")


def cells(*slow):
    """Which of the cells that the quick suite has are slow in one test."""
    return pytest.mark.parametrize("cell", marked(CELLS, slow=(*LONG_CELLS, *slow)), indirect=True)


@pytest.fixture(scope="module", params=marked(CELLS, slow=LONG_CELLS))
def cell(request):
    arch = CELLS[request.param]
    x = sequences(7, n=5)
    x[2] = x[1]
    x[4] = 0
    lengths = np.array([4, 3, 3, 4, 2], np.int32)
    kernel_fn = ntkrnn.network(arch).kernel_fn
    return kernel_fn, x, lengths, kernel_fn(x, None, None, lengths, samples=512)


def test_symmetric_positive_and_equal_for_duplicates(cell):
    _, _, _, kernels = cell
    assert isinstance(kernels, ntkrnn.SampledKernels)
    for kernel in (kernels.nngp, kernels.ntk):
        kernel = np.asarray(kernel)
        assert np.isfinite(kernel).all()
        np.testing.assert_array_equal(kernel, kernel.T)
        values = np.linalg.eigvalsh(kernel.astype(np.float64))
        # One block: averages of outer products, and duplicates without noise of their own, to the
        # rounding of sums over steps and gates.
        assert values[0] > -100 * EPS * values[-1]
        assert np.abs(kernel[1] - kernel[2]).max() < 100 * EPS * np.abs(kernel).max()
    assert (np.asarray(kernels.ntk_error) >= 0).all()


def test_a_function_of_the_sequences_and_the_key(cell):
    kernel_fn, x, lengths, kernels = cell
    again = kernel_fn(x, None, None, lengths, samples=512, key=jax.random.key(0))
    for one, two in zip(again, kernels, strict=True):
        np.testing.assert_array_equal(one, two)
    other = kernel_fn(x, None, "ntk", lengths, samples=512, key=1)
    assert np.any(np.asarray(other) != np.asarray(kernels.ntk))
    filled = np.full((5, 6, 2), np.nan, x.dtype)
    for row, length in enumerate(lengths):
        filled[row, :length] = x[row, :length]
    padded = kernel_fn(filled, None, "ntk", lengths, samples=512)
    np.testing.assert_array_equal(padded, kernels.ntk)


@cells("lstm")
def test_tiles_sides_and_order_change_the_noise_only(cell):
    kernel_fn, x, lengths, kernels = cell
    order = np.array([3, 1, 4, 0, 2])
    tiled = kernel_fn(x, None, None, lengths, samples=512, tile=2, key=5)
    sides = kernel_fn(x, x[:2], None, lengths, lengths[:2], samples=512, key=6)
    permuted = kernel_fn(x[order], None, None, lengths[order], samples=512, key=7)
    inverse = np.argsort(order)
    views = {
        "tiled": (tiled, lambda a: a, lambda a: a),
        "sides": (sides, lambda a: a, lambda a: a[:, :2]),
        "permuted": (permuted, lambda a: a[inverse][:, inverse], lambda a: a),
    }
    for kind, (found, turn, part) in views.items():
        for name in ("nngp", "ntk"):
            one, two = (np.asarray(getattr(k, name), np.float64) for k in (found, kernels))
            e1, e2 = (np.asarray(getattr(k, f"{name}_error")) for k in (found, kernels))
            error = np.sqrt(turn(e1) ** 2 + part(e2) ** 2)
            off = np.abs(turn(one) - part(two))
            # Student's law with 7 degrees of freedom each: beyond 8 once in 10^4.
            assert (off[error > 0] / error[error > 0]).max() < 8, (kind, name)


@cells("gru-before-mean", "minimal-deep")
def test_a_tolerance_is_met(cell):
    kernel_fn, x, lengths, _ = cell
    found = kernel_fn(x, None, None, lengths, samples=256, replicates=4, tolerance=0.01)
    for name in ("nngp", "ntk"):
        largest = np.abs(getattr(found, name)).max()
        assert np.asarray(getattr(found, f"{name}_error")).max() <= 0.01 * largest


def test_what_is_asked_for_is_what_comes():
    kernel_fn = ntkrnn.network(ntkrnn.GRU()).kernel_fn
    x = sequences(0)
    nngp = kernel_fn(x, get="nngp", samples=256)
    pair = kernel_fn(x, get=("nngp_error", "nngp"), samples=256)
    assert pair._fields == ("nngp_error", "nngp")
    np.testing.assert_array_equal(pair.nngp, nngp)


def test_more_replicates_than_a_tolerance_would_have():
    """As many as asked for; and a tolerance that cannot be met is told."""
    kernel_fn, x = ntkrnn.network(ntkrnn.GRU()).kernel_fn, sequences(0, n=2, steps=2)
    few = kernel_fn(x, samples=16, replicates=32)
    many = kernel_fn(x, samples=16, replicates=600)
    # The errors fall as the root: by 4.3; they are known to 1 in 8 with 32 replicates.
    assert np.linalg.norm(many.ntk_error) < np.linalg.norm(few.ntk_error) / 2
    with pytest.warns(AccuracyWarning, match="with 600 replicates, and tolerance=1e-09"):
        kernel_fn(x, samples=16, replicates=600, tolerance=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"replicates": 1}, ValueError, "replicates: got 1"),
        ({"samples": 0}, ValueError, "samples: got 0"),
        ({"tolerance": 0.0}, ValueError, "tolerance: got 0.0"),
        ({"tile": -1}, ValueError, "tile: got -1"),
        ({"key": "a"}, TypeError, "key: got 'a'"),
        ({"get": "kernel"}, ValueError, "get: got 'kernel'"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        ntkrnn.network(ntkrnn.LSTM()).kernel_fn(sequences(0), **options)


def test_tracing_is_refused():
    kernel_fn = ntkrnn.network(ntkrnn.LSTM()).kernel_fn
    with pytest.raises(TypeError, match="x1: kernel_fn of LSTM was called while JAX is tracing"):
        jax.jit(lambda x: kernel_fn(x, get="nngp"))(sequences(0))

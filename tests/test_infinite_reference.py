"""Infinite-width kernels against the recursion transcribed entry by entry in mpmath."""

import functools
import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import reference
from architectures import DENSE

import ntkrnn

mp.mp.dps = 40
X64 = jax.config.jax_enable_x64
EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)


def _single(x):
    """Numbers that float32 holds exactly, in NumPy's float64: the same input in both precisions."""
    return x.astype(np.float32).astype(np.float64)


EXTRA = {
    "cos": ntkrnn.Elman(nonlinearity="cos", readout="mean"),
    "sign": ntkrnn.Elman(nonlinearity="sign", readout="sequence", b_std=0.1),
    "step": ntkrnn.Elman(nonlinearity="step", b_std=0.1),
    "identity-deep-bidirectional": ntkrnn.Elman(
        nonlinearity="identity", depth=2, bidirectional=True, b_std=0.3, trainable=("u", "v")
    ),
    "relu-deep-bidirectional-last": ntkrnn.Elman(
        nonlinearity="relu", depth=3, bidirectional=True, w_std=1.3, trainable=("w", "b")
    ),
    "erf-deep-bidirectional-sequence": ntkrnn.Elman(
        depth=2, bidirectional=True, readout="sequence", trainable=("w", "u")
    ),
}
CASES = {
    name: arch
    for name, arch in {**DENSE, **EXTRA}.items()
    if arch.limit == "recursion" and arch.nonlinearity in reference.DUALS
}


def _expected(arch, x1, x2, lengths1, lengths2):
    """Reference matrices; zero at padded steps for "sequence"."""
    n1, n2 = len(x1), len(x2)
    shape = (n1, n2) if arch.readout != "sequence" else (n1, n2, x1.shape[1], x2.shape[1])
    both = np.zeros((2, *shape))
    for i, j in itertools.product(range(n1), range(n2)):
        pair = reference.output_kernels(arch, x1[i, : lengths1[i]], x2[j, : lengths2[j]])
        for which, value in enumerate(pair):
            if arch.readout == "sequence":
                for (t, s), entry in value.items():
                    both[which, i, j, t, s] = entry
            else:
                both[which, i, j] = value
    return both


@pytest.mark.parametrize("name", CASES)
def test_every_combination_of_lengths_and_sides(name):
    """N1 != N2, T1 != T2, unequal lengths, depth, directions, readouts and trainable blocks."""
    arch = CASES[name]
    rng = np.random.default_rng(3)
    x1 = _single(rng.normal(size=(2, 3, 2)))
    x2 = _single(rng.normal(size=(3, 4, 2)))
    x2[2, :3] = x1[0]
    lengths1, lengths2 = np.array([3, 2]), np.array([4, 1, 3])
    got = ntkrnn.network(arch).kernel_fn(x1, x2, None, lengths1, lengths2)
    for value, want in zip(got, _expected(arch, x1, x2, lengths1, lengths2), strict=True):
        # A few dozen roundings per step and layer, at most 4 steps and 3 layers.
        error = np.linalg.norm(value - want) / max(np.linalg.norm(want), 1e-30)
        assert error <= 200 * EPS, error


def _long(d=16, steps=200, seed=0):
    """Two sequences, a duplicate of the first, and two very near it."""
    rng = np.random.default_rng(seed)
    x = _single(rng.normal(size=(2, steps, d)))
    near = [_single(x[:1] + e * rng.normal(size=(1, steps, d))) for e in NEAR]
    return np.concatenate([x, x[:1], *near])


NEAR = (1e-3, 1e-6)
LONG = {
    "relu": ntkrnn.Elman(nonlinearity="relu", w_std=2**0.5),
    "relu-half": ntkrnn.Elman(nonlinearity="relu", w_std=1.0, b_std=0.3),
    "abs": ntkrnn.Elman(nonlinearity="abs", w_std=1.0),
    "leaky": ntkrnn.Elman(nonlinearity="leaky_relu(0.2)", w_std=1.3, b_std=0.1),
    "erf": ntkrnn.Elman(b_std=0.1),
    "erf-wide": ntkrnn.Elman(w_std=1.5, u_std=0.5),
    "sin": ntkrnn.Elman(nonlinearity="sin", w_std=1.2),
    "gelu": ntkrnn.Elman(nonlinearity="gelu", w_std=1.4),
    "step": ntkrnn.Elman(nonlinearity="step", u_std=1.0),
}


@pytest.mark.parametrize("name", LONG)
def test_long_sequences_with_duplicates(name):
    """T = 200, d = 16: 2e-5 in float32 and 1e-10 in float64, nearly equal sequences included."""
    arch = LONG[name]
    x = _long()
    got = ntkrnn.network(arch).kernel_fn(x)
    assert np.array_equal(x[2], x[0])
    own = [0, 1, 0, 3, 4]  # which of the different sequences each row is
    steps = {i: x[i].tolist() for i in set(own)}
    q = {i: _variances(arch, steps[i]) for i in steps}
    pairs = itertools.combinations_with_replacement(steps, 2)
    pairs = {(i, j): _last(arch, steps[i], steps[j], q[i], q[j]) for i, j in pairs}
    expected = np.array([[pairs[min(i, j), max(i, j)] for j in own] for i in own]).transpose(2, 0, 1)
    for value, want in zip(got, expected, strict=True):
        error = np.linalg.norm(value - want) / np.linalg.norm(want)
        assert error <= (1e-10 if X64 else 2e-5), error


def _variances(arch, x):
    """q of every step of one sequence."""
    dual = reference.DUALS[arch.nonlinearity]
    w, u, b = (mp.mpf(s) ** 2 for s in (arch.w_std, arch.u_std, arch.b_std))
    found, state = [], mp.mpf(0)
    for token in x:
        found.append(w * state + u * mp.fdot(token, token) / len(token) + b)
        state = dual(found[-1], found[-1], found[-1])[0]
    return found


def _last(arch, x1, x2, q1, q2):
    """The diagonal t = t' alone, which is all that "last" needs."""
    dual = reference.DUALS[arch.nonlinearity]
    w, u, b = (mp.mpf(s) ** 2 for s in (arch.w_std, arch.u_std, arch.b_std))
    cov = ntk = mp.mpf(0)
    for a, c, one, two in zip(x1, x2, q1, q2, strict=True):
        here = w * cov + u * mp.fdot(a, c) / len(a) + b
        k, kdot = dual(here, one, two)
        ntk = kdot * (here + w * ntk)
        cov = k
    return float(cov), float(ntk + cov)


def test_chaotic_network_keeps_duplicates_together():
    """w_std = 2: distances grow by some 40% a step, and only an exact zero survives 100 steps."""
    arch = ntkrnn.Elman(w_std=2.0, u_std=0.3)
    x = _long(steps=100)
    k = ntkrnn.network(arch).kernel_fn(x)
    duplicate, near = (np.asarray(k.ntk)[0, j] / np.asarray(k.ntk)[0, 0] for j in (2, 4))
    # The tangent kernel is a product of 100 factors, of a few roundings each, either way.
    assert abs(duplicate - 1) <= 100 * 8 * EPS
    assert near < 0.5  # the one at a distance of 1e-6 has left


def test_tanh_agrees_with_a_direct_double_sum():
    """Mehler's series in float64 NumPy with 800 terms and no distances, T = 6, variances near 2."""
    arch = ntkrnn.Elman(nonlinearity="tanh", w_std=1.2, b_std=0.2)
    rng = np.random.default_rng(0)
    x = _single(rng.normal(size=(3, 6, 2)))
    x[2] = _single(x[0] + 1e-3)
    z = np.linspace(-13, 13, 4001)
    weight = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    he = [np.ones_like(z), z]
    for k in range(1, 799):
        he.append((z * he[k] - np.sqrt(k) * he[k - 1]) / np.sqrt(k + 1))
    he = np.array(he)

    @functools.cache
    def coefficients(fn, q):
        return he @ (weight * fn(np.sqrt(q) * z))

    def dual(c, q1, q2):
        powers = (c / np.sqrt(q1 * q2)) ** np.arange(800)
        return [
            float(np.sum(coefficients(f, q1) * coefficients(f, q2) * powers)) for f in (np.tanh, slope)
        ]

    def slope(v):
        return 1 / np.cosh(v) ** 2

    got = ntkrnn.network(arch).kernel_fn(x)
    w, b = arch.w_std**2, arch.b_std**2
    for i, j in itertools.combinations_with_replacement(range(3), 2):
        cov = ntk = v1 = v2 = 0.0
        for a, c in zip(x[i].astype(float), x[j].astype(float), strict=True):
            q1, q2 = w * v1 + a @ a / 2 + b, w * v2 + c @ c / 2 + b
            h = w * cov + a @ c / 2 + b
            k, kdot = dual(h, q1, q2)
            ntk = kdot * (h + w * ntk)
            cov, v1, v2 = k, dual(q1, q1, q1)[0], dual(q2, q2, q2)[0]
        tolerance = 1e-10 if X64 else 6 * 40 * EPS  # 6 steps of a sum of some hundred terms
        assert abs(float(got.nngp[i, j]) - cov) <= tolerance * abs(v1 * v2) ** 0.5
        assert abs(float(got.ntk[i, j]) - ntk - cov) <= 10 * tolerance


@pytest.mark.float32
def test_variances_beyond_the_expansion_are_reported():
    """Raw digits have variances near 60: the kernel says how far off tanh is, and what to write."""
    x = 12.0 * np.ones((2, 3, 2))
    with pytest.warns(UserWarning, match=r"variance reaches 14\d.*max_variance=14\d") as record:
        ntkrnn.network(ntkrnn.Elman(nonlinearity="tanh")).kernel_fn(x)
    assert len(record) == 1

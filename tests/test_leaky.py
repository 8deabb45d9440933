"""Kernels of leaky networks at infinite width against loops and finite networks."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
import reference
from marking import marked

import ntkrnn
from ntkrnn.infinite.leaky import _rows as leaky_rows

X64 = jax.config.jax_enable_x64
DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)


def erf_dual(c, q1, q2):
    p = (1 + 2 * q1) * (1 + 2 * q2)
    return 2 / np.pi * np.arcsin(2 * c / np.sqrt(p)), 4 / np.pi / np.sqrt(p - 4 * c * c)


def relu_dual(c, q1, q2):
    s = np.sqrt(q1 * q2)
    rho = np.clip(c / s, -1, 1)
    theta = np.arccos(rho)
    k = s / (2 * np.pi) * (np.sin(theta) + (np.pi - theta) * rho)
    return k, (np.pi - theta) / (2 * np.pi)


DUALS = {"erf": erf_dual, "relu": relu_dual}


class Loop:
    """One layer and direction of one pair of sequences, in covariances, by explicit double sums."""

    def __init__(self, arch):
        self.arch, self.dual = arch, DUALS[arch.nonlinearity]
        self.w, self.u, self.b = arch.w_std**2, arch.u_std**2, arch.b_std**2
        self.on = {block: float(block in arch.trainable) for block in "wub"}

    def weights(self, steps):
        """F, ``[T, T]``."""
        a, t = self.arch.rate, np.arange(steps)
        lag = t[:, None] - t
        return np.where(lag >= 0, a * (1 - a) ** np.maximum(lag, 0).astype(float), 0)

    def variances(self, low):
        """q of every step and K of all pairs of states, of one sequence with itself."""
        steps = len(low)
        f, q = self.weights(steps), np.zeros(steps)
        p, k = np.zeros((steps, steps)), np.zeros((steps, steps))
        for t in range(steps):
            last = k[t - 1, t - 1] if t else 0.0
            q[t] = self.w * last + self.u * low[t, t] + self.b
            for s in range(t + 1):
                last = k[t - 1, s - 1] if s else 0.0
                p[t, s] = p[s, t] = self.dual(self.w * last + self.u * low[t, s] + self.b, q[t], q[s])[
                    0
                ]
            here = slice(t + 1)
            k[here, here] = f[here, here] @ p[here, here] @ f[here, here].T
        return q, k

    def plane(self, low, low_ntk, q1, q2):
        """K and Theta at every pair of steps."""
        t1, t2 = low.shape
        f1, f2 = self.weights(t1), self.weights(t2)
        p, drive, k, theta = (np.zeros((t1, t2)) for _ in range(4))
        for t, s in itertools.product(range(t1), range(t2)):
            last, slope = (k[t - 1, s - 1], theta[t - 1, s - 1]) if t and s else (0.0, 0.0)
            p[t, s], kdot = self.dual(self.w * last + self.u * low[t, s] + self.b, q1[t], q2[s])
            trained = self.on["w"] * self.w * last + self.on["u"] * self.u * low[t, s]
            trained += self.on["b"] * self.b
            drive[t, s] = kdot * (trained + self.w * slope + self.u * low_ntk[t, s])
            for matrix, source in ((k, p), (theta, drive)):
                matrix[t, s] = f1[t, : t + 1] @ source[: t + 1, : s + 1] @ f2[s, : s + 1]
        return k, theta


def loop_kernels(arch, x1, x2):
    """``(nngp, ntk)`` of two sequences."""
    loop, flip = Loop(arch), lambda a: a[::-1, ::-1]
    low = x1 @ x2.T / x1.shape[1]
    own = [x @ x.T / x.shape[1] for x in (x1, x2)]
    ntk = np.zeros_like(low)
    for _ in range(arch.depth):
        tops = {}
        for direction in arch.directions:
            turn = flip if direction == "backward" else lambda a: a
            (q1, k1), (q2, k2) = (loop.variances(turn(a)) for a in own)
            planes = loop.plane(turn(low), turn(ntk), q1, q2)
            tops[direction] = [turn(a) for a in (*planes, k1, k2)]
        low, ntk, *own = (sum(parts) / len(parts) for parts in zip(*tops.values(), strict=True))

    def read(direction, a):
        if arch.readout == "last":
            return a[-1, -1] if direction == "forward" else a[0, 0]
        return a.mean() if arch.readout == "mean" else a

    k, theta = (
        sum(read(d, planes[which]) for d, planes in tops.items()) / len(tops) for which in (0, 1)
    )
    return arch.v_std**2 * k, arch.v_std**2 * (theta + ("v" in arch.trainable) * k)


def single(x):
    """Numbers that float32 holds exactly, in float64."""
    return x.astype(np.float32).astype(np.float64)


CASES = {
    "last-bidirectional": ntkrnn.Leaky(bidirectional=True, w_std=1.3, b_std=0.1, v_std=0.8),
    "mean-deep-bidirectional": ntkrnn.Leaky(
        nonlinearity="relu", readout="mean", depth=2, bidirectional=True, w_std=1.4, b_std=0.2
    ),
    "mean-deep": ntkrnn.Leaky(readout="mean", depth=3, b_std=0.5, trainable=("u", "b")),
    "sequence-deep-bidirectional": ntkrnn.Leaky(
        readout="sequence", depth=2, bidirectional=True, w_std=1.2, trainable=("w", "v")
    ),
}


def batch():
    """Two sides of unequal sizes and lengths; a duplicate of one row in the other side."""
    rng = np.random.default_rng(3)
    x1, x2 = single(rng.normal(size=(2, 4, 2))), single(rng.normal(size=(3, 5, 2)))
    x2[2, :4] = x1[0]
    return x1, x2, np.array([4, 2]), np.array([5, 1, 4])


def table(arch, entry):
    """A reference for every pair of the batch; 0 at padded steps."""
    x1, x2, lengths1, lengths2 = batch()
    n1, n2 = len(x1), len(x2)
    shape = (n1, n2) if arch.readout != "sequence" else (n1, n2, x1.shape[1], x2.shape[1])
    both = np.zeros((2, *shape))
    for i, j in itertools.product(range(n1), range(n2)):
        pair = entry(x1[i, : lengths1[i]], x2[j, : lengths2[j]])
        for which, value in enumerate(pair):
            where = (which, i, j)
            if arch.readout == "sequence":
                where = (*where, slice(lengths1[i]), slice(lengths2[j]))
            both[where] = value
    return both


def assert_near(got, want, roundings):
    for one, other in zip(got, want, strict=True):
        error = np.linalg.norm(one - other) / np.linalg.norm(other)
        assert error <= roundings * EPS, error / EPS


@pytest.mark.parametrize("name", marked(CASES, ("last-bidirectional", "mean-deep")))
def test_equals_a_loop_over_steps(name):
    """Readouts, depth, directions, unequal lengths and sides, trainable blocks, two rates."""
    for rate in (0.3, 0.02):
        arch = dataclasses.replace(CASES[name], rate=rate)
        x1, x2, lengths1, lengths2 = batch()
        got = ntkrnn.network(arch).kernel_fn(x1, x2, None, lengths1, lengths2)
        want = table(arch, lambda a, b, arch=arch: loop_kernels(arch, a, b))
        # A few dozen roundings per step and layer, 5 steps and 3 layers. K is off by roundings of the
        # drive, which a slow filter makes larger than it by the number of steps; and a kinked
        # nonlinearity passes the square root of the distances of the duplicate's shifted steps.
        assert_near(got, want, 200)


@pytest.mark.parametrize("name", marked(CASES, slow=("mean-deep-bidirectional",)))
def test_rate_one_is_the_elman_network(name):
    arch = dataclasses.replace(CASES[name], rate=1.0)
    x1, x2, lengths1, lengths2 = batch()
    got = ntkrnn.network(arch).kernel_fn(x1, x2, None, lengths1, lengths2)

    def entry(a, b):
        with mp.workdps(25):
            found = reference.output_kernels(arch, a, b)
        if arch.readout != "sequence":
            return [float(value) for value in found]
        return [[[float(value[t, s]) for s in range(len(b))] for t in range(len(a))] for value in found]

    assert_near(got, table(arch, entry), 200)


def test_rate_one_has_the_numbers_of_elman():
    """Near duplicates keep their digits at rate 1, as the distances are carried in the same way."""
    fields = {"nonlinearity": "relu", "w_std": 2**0.5, "readout": "mean"}
    x = single(np.random.default_rng(0).normal(size=(3, 12, 2)))
    x[1], x[2] = x[0], single(x[0] + 1e-4 * x[2])
    leaky = ntkrnn.network(ntkrnn.Leaky(rate=1.0, **fields)).kernel_fn(x)
    elman = ntkrnn.network(ntkrnn.Elman(**fields)).kernel_fn(x)
    assert_near(leaky, elman, 32)


@functools.cache
def finite_networks(m=384, seeds=24):
    """Outputs' covariances and tangent kernels of networks written out by hand, ``[seeds, N, N]``."""
    x, rate, w_std, b_std = finite_inputs(), 0.4, 1.2, 0.3

    def output(params, x):
        w, u, b, v = params

        def step(s, now):
            h = w_std * w @ s / jnp.sqrt(m) + u @ now / jnp.sqrt(x.shape[1]) + b_std * b
            return (1 - rate) * s + rate * jax.scipy.special.erf(h), None

        state, _ = jax.lax.scan(step, jnp.zeros(m), x)
        return v @ state / jnp.sqrt(m), state

    def kernels(key):
        shapes = ((m, m), (m, x.shape[2]), (m,), (m,))
        keys = jax.random.split(key, 4)
        params = [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
        states = jax.vmap(lambda one: output(params, one)[1])(x)
        jacobian = jax.jacobian(lambda p: jax.vmap(lambda one: output(p, one)[0])(x))(params)
        flat = jnp.concatenate([j.reshape(len(x), -1) for j in jacobian], axis=1)
        return states @ states.T / m, flat @ flat.T

    return jax.jit(lambda keys: jax.lax.map(kernels, keys))(jax.random.split(jax.random.key(5), seeds))


def finite_inputs():
    return jnp.asarray(single(np.random.default_rng(1).normal(size=(3, 4, 2))), DTYPE)


@pytest.mark.parametrize("which", ["nngp", "ntk"])
def test_finite_networks_approach_the_kernels(which):
    samples = np.asarray(finite_networks()[("nngp", "ntk").index(which)], np.float64)
    arch = ntkrnn.Leaky(rate=0.4, w_std=1.2, b_std=0.3)
    want = ntkrnn.network(arch).kernel_fn(finite_inputs(), None, which)
    error = samples.std(axis=0, ddof=1) / len(samples) ** 0.5
    assert np.all(error < 0.05 * np.abs(want).max())  # the comparison says something
    score = np.abs(samples.mean(axis=0) - want) / error
    assert score.max() < 4, score


ARCH = ntkrnn.Leaky(nonlinearity="relu", rate=0.3, w_std=1.3, b_std=0.2, readout="mean")
N, T, D = 5, 5, 3


def hard_batch():
    """A duplicate, a near duplicate, a zero sequence, unequal lengths, and NaN in the padding."""
    x = single(np.random.default_rng(7).normal(size=(N, T, D)))
    lengths = np.array([5, 3, 3, 5, 2])
    x[2], x[3], x[4] = x[1], single(x[0] + 1e-3 * x[3]), 0
    x[np.arange(T) >= lengths[:, None]] = np.nan
    return x, lengths


def test_invariances():
    """To the last bit: symmetry, padding. To rounding: order of the rows, tile, more padding."""
    x, lengths = hard_batch()
    kernel_fn = ntkrnn.network(ARCH).kernel_fn
    kernels = np.asarray(kernel_fn(x, None, None, lengths))
    np.testing.assert_array_equal(kernels, kernels.swapaxes(1, 2))
    filled = np.where(np.isnan(x), 7.0, x)
    np.testing.assert_array_equal(kernel_fn(filled, None, None, lengths), kernels)
    for kernel in kernels:
        values = np.linalg.eigvalsh(kernel.astype(np.float64))
        # Entries are off by some roundings of the largest, eigenvalues by N times as much.
        assert values[0] >= -32 * N * EPS * values[-1]
    atol = 32 * T * EPS * np.abs(kernels).max()
    order = np.array([3, 1, 4, 0, 2])
    turned = kernel_fn(x[order], None, None, lengths[order])
    np.testing.assert_allclose(turned, kernels[:, order][:, :, order], rtol=0, atol=atol)
    longer = np.concatenate([x, np.full((N, 2, D), np.nan)], axis=1)
    for other in (
        kernel_fn(x, None, None, lengths, tile=2),
        kernel_fn(x, longer, None, lengths, lengths),
    ):
        np.testing.assert_allclose(other, kernels, rtol=0, atol=atol)
    np.testing.assert_allclose(kernels[:, 1], kernels[:, 2], rtol=0, atol=atol)


@functools.cache
def derivative():
    """``(w, u, b, v, rate, x) -> (number, kernels), gradients``."""
    lengths = hard_batch()[1]
    weights = np.random.default_rng(1).normal(size=(2, N, N)).astype(DTYPE)

    def objective(variables):
        *scales, x = variables
        kernels = ntkrnn.network(ARCH.with_scales(scales)).kernel_fn(x, None, None, lengths)
        return sum(jnp.sum(a * k) for a, k in zip(weights, kernels, strict=True)), kernels

    return jax.jit(jax.value_and_grad(objective, has_aux=True))


def variables(**changes):
    x = np.nan_to_num(hard_batch()[0])
    scales = dataclasses.replace(ARCH, **changes).scales
    return [*(jnp.asarray(s, DTYPE) for s in scales), jnp.asarray(x, DTYPE)]


@pytest.mark.parametrize("rate", [0.3, 0.0, 1.0])
def test_gradients_are_finite(rate):
    """Duplicates, near duplicates and zeros included; the values are those of the plain call."""
    (value, kernels), gradient = derivative()(variables(rate=rate))
    x, lengths = hard_batch()
    plain = ntkrnn.network(dataclasses.replace(ARCH, rate=rate)).kernel_fn(x, None, None, lengths)
    for one, other in zip(kernels, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=32 * T * EPS * np.abs(other).max())
    assert all(np.isfinite(g).all() for g in gradient)
    if rate == 0:
        assert value == 0 and not any(np.any(k) for k in kernels)
        assert all(not np.any(g) for g in gradient)
    else:
        assert all(np.any(g) for g in gradient)


@pytest.mark.skipif(not X64, reason="differences of float32 numbers say nothing")
@pytest.mark.parametrize("which", range(6))
def test_gradients_match_central_differences(which):
    at = variables()
    direction = np.zeros(at[which].shape)
    if which < 5:
        direction = np.ones(())
    else:
        direction[[0, 3]] = np.random.default_rng(2).normal(size=(2, T, D))  # off the kinks
    step = 1e-5

    def moved(sign):
        return [v + sign * step * direction if i == which else v for i, v in enumerate(at)]

    (up, down) = (derivative()(moved(sign))[0][0] for sign in (1, -1))
    _, gradient = derivative()(at)
    slope, difference = np.sum(gradient[which] * direction), (up - down) / (2 * step)
    size = sum(np.abs(k).sum() for k in derivative()(at)[0][1])
    # Rounding is amplified by 1/step. Third derivatives are some 100 times the values by the scales,
    # and by the inputs as large as the near duplicate is near, (1/1e-3)^2.
    tolerance = (100 if which < 5 else 1e6) * step**2 + 32 * T * EPS / step
    assert abs(slope - difference) <= tolerance * size, (slope, difference, size)


@pytest.mark.slow
def test_sides_in_groups_are_the_whole(monkeypatch):
    """Deep networks take the kernels of sequences with themselves some at a time, to bound memory."""
    x, lengths = hard_batch()
    x = x.astype(DTYPE)
    arch = ntkrnn.Leaky(depth=2, bidirectional=True, readout="mean", rate=0.4)

    def kernels():
        return jax.jit(lambda x: ntkrnn.network(arch).kernel_fn(x, None, None, lengths))(x)

    whole = kernels()
    monkeypatch.setattr(leaky_rows, "_PLANE_BYTES", 2 * T**2 * DTYPE.itemsize)
    for one, other in zip(kernels(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=32 * T * EPS * np.abs(other).max())


def test_strict_promotion_of_dtypes_and_ranks(strict):
    x, lengths = hard_batch()
    x = x.astype(DTYPE)
    for arch in (ARCH, CASES["sequence-deep-bidirectional"]):
        kernel_fn = ntkrnn.network(arch).kernel_fn
        kernels = jax.eval_shape(lambda x, f=kernel_fn: f(x, x[:3], None, lengths, lengths[:3]), x)
        assert kernels.ntk.shape == ((N, 3) if arch is ARCH else (N, 3, T, T))
        assert kernels.ntk.dtype == DTYPE


BAD = {
    "rank": (lambda f: f(np.zeros((3, 4))), "x1: got rank 2"),
    "nan": (lambda f: f(np.full((2, 3, 1), np.nan)), "x1: got nan at row 0, step 0"),
    "channels": (lambda f: f(np.zeros((2, 3, 1)), np.zeros((2, 3, 2))), "x2: got d=2"),
    "lengths": (lambda f: f(np.zeros((2, 3, 1)), None, None, [1, 4]), "lengths1: got 4"),
    "get": (lambda f: f(np.zeros((2, 3, 1)), None, "both"), "get: got 'both'"),
    "tile": (lambda f: f(np.zeros((2, 3, 1)), tile=0), "tile: got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call(ntkrnn.network(ARCH).kernel_fn)


@pytest.mark.slow
def test_variances_beyond_the_expansion_are_reported():
    x = 12.0 * np.ones((2, 2, 2))
    with pytest.warns(UserWarning, match=r"variance reaches 144.*max_variance=144"):
        ntkrnn.network(ntkrnn.Leaky(nonlinearity="tanh")).kernel_fn(x)

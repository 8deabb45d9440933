"""Derivatives of the exact limits: both modes of differentiation, and differences of a reference."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from marking import marked

import ntkrnn
from ntkrnn import dual
from ntkrnn._derivatives import opaque, transposable

X64 = jax.config.jax_enable_x64
DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
SCALES = np.array([1.1, 0.9, 0.3, 1.2])
FIELDS = ("w_std", "u_std", "b_std", "v_std")


def sequences(n, steps, seed=0, d=2):
    """A duplicate and a sequence of zeros among others."""
    x = np.random.default_rng(seed).standard_normal((n, steps, d))
    x[1], x[2] = x[0], 0
    return x


def objective(arch, x2=None, lengths1=None, lengths2=None, **options):
    """One number of both kernels: a sum with weights that differ from entry to entry."""

    def f(scales, x):
        scaled = dataclasses.replace(arch, **dict(zip(FIELDS, scales, strict=True)))
        kernel_fn = ntkrnn.network(scaled)[2]
        other = None if x2 is None else jnp.asarray(x2, x.dtype)
        k = kernel_fn(x, other, lengths1=lengths1, lengths2=lengths2, **options)
        at = jnp.arange(k.nngp.size, dtype=x.dtype).reshape(k.nngp.shape)
        return jnp.sum(jnp.cos(at) * k.nngp) + jnp.sum(jnp.sin(1 + at) * k.ntk)

    return f


RAGGED = np.array([3, 9, 5, 2, 9])
OTHER = sequences(4, 11, seed=1)
CASES = {
    "last": (ntkrnn.Elman(nonlinearity="erf"), {}),
    "last-deep": (ntkrnn.Elman(nonlinearity="relu", depth=3), {}),
    "last-both-ways": (
        ntkrnn.Elman(nonlinearity="erf", depth=2, bidirectional=True),
        {"lengths1": RAGGED},
    ),
    "last-some": (ntkrnn.Elman(nonlinearity="erf", trainable=("u", "v")), {"x2": OTHER}),
    "mean-ragged": (ntkrnn.Elman(nonlinearity="erf", depth=2, readout="mean"), {"lengths1": RAGGED}),
    "mean-some": (ntkrnn.Elman(nonlinearity="relu", trainable=("w",), readout="mean"), {"x2": OTHER}),
    "sequence": (ntkrnn.Elman(nonlinearity="erf", readout="sequence"), {"x2": OTHER}),
    "series": (ntkrnn.Elman(nonlinearity="tanh"), {}),
    "jumps": (ntkrnn.Elman(nonlinearity="sign", readout="mean"), {}),
    "leaky": (ntkrnn.Leaky(nonlinearity="erf", rate=0.4, readout="mean"), {"lengths1": RAGGED}),
    "diagonal-last": (ntkrnn.Elman(nonlinearity="erf"), {"diagonal": True}),
    "diagonal-sequence": (ntkrnn.Elman(nonlinearity="relu", readout="sequence"), {"diagonal": True}),
    "diagonal-leaky": (ntkrnn.Leaky(nonlinearity="erf", rate=0.4), {"diagonal": True}),
}
SLOW = ("last-both-ways", "series", "diagonal-leaky", "diagonal-sequence", "mean-some", "jumps")


@pytest.mark.parametrize("name", marked(CASES, slow=SLOW))
def test_both_modes_give_the_same_derivative(name):
    """Forward mode runs the recursion with tangents, reverse mode retraces it: nothing in common."""
    arch, options = CASES[name]
    f = objective(arch, **options)
    at = (jnp.asarray(SCALES, DTYPE), jnp.asarray(sequences(5, 9), DTYPE))
    along = (jnp.asarray([0.3, -1.0, 0.7, 0.2], DTYPE), jnp.cos(3 * at[1]))
    gradient = jax.jit(jax.grad(f, (0, 1)))(*at)
    _, slope = jax.jit(lambda at, along: jax.jvp(f, at, along))(at, along)
    parts = [float(jnp.sum(g * a)) for g, a in zip(gradient, along, strict=True)]
    # Sums of products of either sign: rounded relative to their sizes.
    size = sum(float(jnp.sum(jnp.abs(g * a))) for g, a in zip(gradient, along, strict=True))
    assert abs(sum(parts) - float(slope)) <= 100 * EPS * size
    assert all(np.isfinite(np.asarray(g)).all() for g in gradient)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_gradient_matches_differences_of_the_reference(name):
    """Of the recursion in covariances, written independently; duplicates and zeros included."""
    x, direction = sequences(4, 6), 0.3 * np.random.default_rng(2).standard_normal((4, 6, 2))
    direction[1] = direction[0]  # they stay duplicates: at a coincidence relu has a kink
    direction[2] = 0
    arch, along = ntkrnn.Elman(nonlinearity=name), np.array([0.3, -0.5, 0.7, 0.2])

    def terms(step):
        w, u, b, v = SCALES + step * along
        scaled = dataclasses.replace(arch, w_std=w, u_std=u, b_std=b, v_std=v)
        moved = x + step * direction
        found, at = [], 0
        for one in moved:
            for two in moved:
                nngp, ntk = (float(k) for k in reference.output_kernels(scaled, one, two))
                found += [np.cos(at) * nngp, np.sin(1 + at) * ntk]
                at += 1
        return found

    h = 1e-4
    ahead, behind, far_ahead, far_behind = (math.fsum(terms(k * h)) for k in (1, -1, 2, -2))
    want = (8 * (ahead - behind) - (far_ahead - far_behind)) / (12 * h)  # but for some h^4
    at = (jnp.asarray(SCALES, DTYPE), jnp.asarray(x, DTYPE))
    slopes = [np.asarray(g, np.float64) for g in jax.jit(jax.grad(objective(arch), (0, 1)))(*at)]
    products = [g * a for g, a in zip(slopes, (along, direction), strict=True)]
    got = sum(math.fsum(p.ravel()) for p in products)
    size = sum(np.abs(p).sum() for p in products)
    # Arguments and terms of the reference are rounded to float64; what that changes is divided by h.
    moved = sum(np.abs(g * a).sum() for g, a in zip(slopes, (SCALES, x), strict=True))
    rounding = 1.5 * np.finfo(np.float64).eps * (moved + 2 * np.abs(terms(0)).sum()) / h
    assert abs(got - want) <= rounding + 10 * h**4 * size + 100 * EPS * size


def marginal_likelihood(arch, x):
    """Of targets sin(i) under a Gaussian process with noise 0.1, as a function of three scales."""
    y = jnp.sin(jnp.arange(len(x), dtype=x.dtype))

    def f(scales):
        scaled = dataclasses.replace(arch, **dict(zip(FIELDS, scales, strict=False)))
        k = ntkrnn.network(scaled)[2](x, get="nngp") + 0.1 * jnp.eye(len(x), dtype=x.dtype)
        factor = jnp.linalg.cholesky(k)
        solved = jax.scipy.linalg.cho_solve((factor, True), y)
        return 0.5 * y @ solved + jnp.sum(jnp.log(jnp.diagonal(factor)))

    return f


@pytest.mark.parametrize(
    "arch",
    [
        ntkrnn.Elman(nonlinearity="erf"),
        pytest.param(ntkrnn.Elman(nonlinearity="relu", readout="mean"), marks=pytest.mark.slow),
        pytest.param(ntkrnn.Leaky(nonlinearity="erf", rate=0.5), marks=pytest.mark.slow),
    ],
    ids=["erf", "relu-mean", "leaky"],
)
def test_hessian_of_a_marginal_likelihood(arch):
    """Forward over reverse mode equals forward over forward mode, which never retraces anything."""
    f = marginal_likelihood(arch, jnp.asarray(sequences(5, 6)[3:], DTYPE))
    scales = jnp.asarray(SCALES[:3], DTYPE)
    got, want = jax.jit(jax.hessian(f))(scales), jax.jit(jax.jacfwd(jax.jacfwd(f)))(scales)
    size = float(jnp.abs(want).max())
    assert float(jnp.abs(got - want).max()) <= 1000 * EPS * size
    assert float(jnp.abs(got - got.T).max()) <= 1000 * EPS * size


def test_memory_of_a_gradient_does_not_grow_with_the_pairs():
    """Beside the kernels and their cotangents, which do, tiles are held one group at a time."""
    f = objective(ntkrnn.Elman(nonlinearity="erf"))

    def temporaries(n):
        shapes = jax.ShapeDtypeStruct((4,), DTYPE), jax.ShapeDtypeStruct((n, 16, 1), DTYPE)
        memory = jax.jit(jax.grad(f, (0, 1))).lower(*shapes).compile().memory_analysis()
        return memory.temp_size_in_bytes

    few, many = temporaries(256), temporaries(512)
    kernels = 8 * (512**2 - 256**2) * DTYPE.itemsize
    assert many - few <= kernels + few


@pytest.mark.parametrize("name", dual.names())
def test_slopes_of_a_step_are_those_of_the_independent_forms(name):
    """Which JAX differentiates, at pairs that are neither equal nor opposite."""
    step, pair = dual.stepper(name), dual.pair_function(name)
    at = np.array([(0.4, 1.0, 1.3), (1.1, 0.3, 2.0), (0.05, 0.7, 0.6)]).T

    def form(distance, q1, q2):
        result = pair(0.5 * (q1 + q2) - distance, distance, q1, q2)
        return result.distance, result.kdot

    point = tuple(jnp.asarray(a, DTYPE) for a in at)
    own = [step.features(q) for q in point[1:]]
    _, kdot = step.advance(point[0], *own)
    slopes = jax.jit(step.slopes)(point[0], kdot, *map(step.slope_features, own))
    for k in range(3):
        unit = tuple(jnp.full_like(a, float(i == k)) for i, a in enumerate(point))
        _, wanted = jax.jit(lambda point, unit: jax.jvp(form, point, unit))(point, unit)
        for got, want in zip((slopes.distance[k], slopes.kdot[k]), wanted, strict=True):
            # As in test_steppers: some ten roundings of terms of the size of the largest.
            size = np.abs(np.asarray(want)) + np.abs(np.asarray(want)).max()
            assert (np.abs(np.asarray(got - want)) <= 64 * EPS * size).all(), (got, want)


def test_a_transposable_function_under_every_composition():
    power = transposable(lambda n, x: (x**n,), lambda n, x, ct: (n * x[0] ** (n - 1) * ct[0],))
    x = jnp.asarray([0.5, 2.0], DTYPE)

    def f(x):
        return jnp.sum(power(3, x)[0])

    cases = {
        "grad": (jax.grad(f), 3 * x**2),
        "jit": (jax.jit(jax.grad(f)), 3 * x**2),
        "hessian": (jax.hessian(f), jnp.diag(6 * x)),
        "reverse over reverse": (jax.jacrev(jax.grad(f)), jnp.diag(6 * x)),
        "reverse over forward": (jax.grad(lambda x: jax.jvp(f, (x,), (x,))[1]), 9 * x**2),
        "vmap": (jax.vmap(jax.grad(lambda x: power(3, x)[0])), 3 * x**2),
    }
    for name, (got, want) in cases.items():
        np.testing.assert_allclose(got(x), want, rtol=8 * EPS, err_msg=name)


def test_an_opaque_function_keeps_its_derivative_within_a_loop():
    """The case in which ``jax.custom_jvp`` is dropped: its value alone would be differentiated."""

    def rule(args, along):
        return tied(*args), along[0][0] / (1 + args[0][0] ** 2)

    tied = opaque(lambda own: jnp.arctan(own[1]), rule)

    def f(x):
        def step(total, _):
            q = x * (1 + total)
            return tied((q, jax.lax.stop_gradient(q))), None

        return jax.lax.scan(step, jnp.zeros((), DTYPE), None, length=3)[0]

    x = jnp.asarray(0.7, DTYPE)
    got, want = jax.hessian(f)(x), jax.jacfwd(jax.jacfwd(f))(x)
    assert math.isclose(float(got), float(want), rel_tol=100 * EPS)

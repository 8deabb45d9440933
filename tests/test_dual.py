"""Dual activations against quadrature in two dimensions, and their limits and derivatives."""

import dataclasses
import itertools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import ntkrnn
from ntkrnn import dual

X64 = jax.config.jax_enable_x64
DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)

# Written out independently in NumPy: (function, derivative).
SMOOTH = {
    "erf": (scipy.special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
    "gelu": (
        lambda x: x * scipy.stats.norm.cdf(x),
        lambda x: scipy.stats.norm.cdf(x) + x * scipy.stats.norm.pdf(x),
    ),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "sigmoid": (scipy.special.expit, lambda x: scipy.special.expit(x) * scipy.special.expit(-x)),
    "softplus": (lambda x: np.logaddexp(0, x), scipy.special.expit),
    "silu": (
        lambda x: x * scipy.special.expit(x),
        lambda x: scipy.special.expit(x) * (1 + x * scipy.special.expit(-x)),
    ),
}
KINKED = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu(0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
    "abs": np.abs,
    "sign": np.sign,
    "step": lambda x: (x > 0).astype(float),
}
Q1 = np.array([1.0, 1.0, 3.9, 0.3, 4.0, 2.0, 1e-4, 4.0])
Q2 = np.array([1.0, 1.2, 3.95, 4.0, 4.0, 2.0, 2e-4, 0.01])
THETA = np.array([0.5, 1e-3, 1e-3, 2.5, 0.0, np.pi, 0.7, 3.0])

# The nearest poles are those of tanh at variance 4, 0.78 off the axis: exp(-2 pi 0.78/0.1) = 1e-21.
_STEP = 0.1
_Z = np.arange(-9, 9.01, _STEP)
_U, _V = np.meshgrid(_Z, _Z)
_W = np.exp(-(_U**2 + _V**2) / 2) / (2 * np.pi) * _STEP**2


def _plane(fn, q1, q2, theta):
    """fn at both ends of the pair on the grid: trapezoidal in two dimensions, spectrally accurate."""
    return fn(np.sqrt(q1) * _U), fn(np.sqrt(q2) * (np.cos(theta) * _U + np.sin(theta) * _V))


def _arguments(q1, q2, theta):
    c = np.sqrt(q1 * q2) * np.cos(theta)
    distance = (np.sqrt(q1) - np.sqrt(q2)) ** 2 / 2 + 2 * np.sqrt(q1 * q2) * np.sin(theta / 2) ** 2
    return c, distance


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_against_quadrature(name):
    fn, slope = SMOOTH[name]
    c, distance = _arguments(Q1, Q2, THETA)
    got = dual.dual_activation(name, c, Q1, Q2, distance=distance)
    for i, (q1, q2, theta) in enumerate(zip(Q1, Q2, THETA, strict=True)):
        a, b = _plane(fn, q1, q2, theta)
        da, db = _plane(slope, q1, q2, theta)
        size = np.sqrt((_W * a * a).sum() * (_W * b * b).sum())
        slopes = np.sqrt((_W * da * da).sum() * (_W * db * db).sum())
        # Sums of up to some two hundred terms; 1e-12 is the truncation allowed in float64.
        tolerance = 32 * EPS + (1e-12 if X64 else 0)
        assert abs(float(got.k[i]) - (_W * a * b).sum()) <= tolerance * size
        assert abs(float(got.kdot[i]) - (_W * da * db).sum()) <= 2 * tolerance * slopes
        # The variances themselves are rounded: their difference, and with it the radial part of the
        # distance, is known to eps * sqrt(q), times the slope.
        want = (_W * (a - b) ** 2).sum() / 2
        rounding = 8 * EPS * slopes * (q1 + q2) * (abs(q1 - q2) / (q1 + q2) + np.sin(theta / 2))
        assert abs(float(got.distance[i]) - want) <= tolerance * 10 * want + 8 * rounding


@pytest.mark.parametrize("name", KINKED)
def test_kinked_against_sampling_of_the_angle(name):
    """In polar coordinates the radius integrates out and the angle is one smooth integral a piece."""
    fn = KINKED[name]
    homogeneous = name not in ("sign", "step")
    c, distance = _arguments(Q1, Q2, THETA)
    got = dual.dual_activation(name, c, Q1, Q2, distance=distance)
    for i, (q1, q2, theta) in enumerate(zip(Q1, Q2, THETA, strict=True)):
        # Both factors change branch where cos(w) = 0 or cos(w - theta) = 0.
        edges = np.sort(
            np.mod([np.pi / 2, -np.pi / 2, theta + np.pi / 2, theta - np.pi / 2], 2 * np.pi)
        )
        edges = np.append(edges, edges[0] + 2 * np.pi)
        nodes, weights = np.polynomial.legendre.leggauss(40)
        k = d = 0.0
        for low, high in itertools.pairwise(edges):
            w = 0.5 * (low + high) + 0.5 * (high - low) * nodes
            a, b = fn(np.sqrt(q1) * np.cos(w)), fn(np.sqrt(q2) * np.cos(w - theta))
            weight = 0.5 * (high - low) * weights / (2 * np.pi) * (2 if homogeneous else 1)
            k += np.sum(weight * a * b)
            d += np.sum(weight * (a - b) ** 2) / 2
        size = np.sqrt(q1 * q2) if homogeneous else 1.0
        # A jump turns a rounding of the variances into one of the angle: d theta = d rho/sin(theta).
        spread = abs(np.sqrt(q1) - np.sqrt(q2))
        known = EPS * (spread / np.sqrt(max(q1, q2)) + np.sin(theta / 2) ** 2)
        angle = 0.0 if homogeneous else min(16 * known / max(np.sin(theta), 1e-30), 4 * np.sqrt(EPS))
        assert abs(float(got.k[i]) - k) <= (16 * EPS + angle + 1e-14) * size
        near = 16 * EPS * d + 32 * EPS * size * np.sin(theta / 2) * (2 if theta > 0 else 0)
        tight = 64 * EPS * d + 64 * EPS * abs(q1 - q2) * np.sqrt(d)
        assert abs(float(got.distance[i]) - d) <= (near if theta > 0.1 else tight) + angle + 1e-14


def test_relu_and_erf_at_textbook_values():
    k, _, kdot = dual.dual_activation("relu", 0.0, 1.0, 1.0)
    np.testing.assert_allclose([k, kdot], [1 / (2 * np.pi), 0.25], rtol=4 * EPS)
    k, _, kdot = dual.dual_activation("erf", 0.5, 1.0, 1.0)
    np.testing.assert_allclose(
        [k, kdot], [2 / np.pi * np.arcsin(1 / 3), 4 / np.pi / np.sqrt(8)], rtol=4 * EPS
    )


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "erf", "relu", "abs"])
def test_no_nan_at_the_ends(name):
    """rho = +-1, zero variance on one or both sides: finite values and derivatives of both orders."""
    c = jnp.array([1.0, -1.0, 0.0, 0.0, 2.0])
    q1 = jnp.array([1.0, 1.0, 0.0, 0.0, 4.0])
    q2 = jnp.array([1.0, 1.0, 0.0, 1.0, 1.0])

    def total(c, q1, q2):
        return sum(jnp.sum(part) for part in dual.dual_activation(name, c, q1, q2))

    first = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(c, q1, q2)
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in first)
    second = jax.jit(lambda *a: jax.jvp(jax.grad(total), a, (jnp.ones(5),) * 3)[1])(c, q1, q2)
    assert bool(jnp.all(jnp.isfinite(second)))


IN_JAX = {
    "tanh": jnp.tanh,
    "erf": jax.lax.erf,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "sin": jnp.sin,
}


@pytest.mark.parametrize("name", IN_JAX)
def test_derivatives_have_the_right_limits(name):
    """Price's theorem at zero variance and at rho = 1: dk/dc = kdot, dk/dq1 = E phi''(a) phi(b)/2."""

    def k(c, q1, q2):
        return dual.dual_activation(name, c, q1, q2).k

    phi, slope = IN_JAX[name], jax.vmap(jax.grad(IN_JAX[name]))
    bend = jax.vmap(jax.grad(jax.grad(IN_JAX[name])))
    z = jnp.linspace(-9, 9, 601)
    weight = jnp.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    for q in (0.0, 1.0):
        got = jax.jit(jax.grad(k, argnums=(0, 1)))(q, q, q)
        at = jnp.sqrt(q) * z
        want_c = jnp.sum(weight * slope(at) ** 2)
        want_q = 0.5 * jnp.sum(weight * bend(at) * phi(at))
        np.testing.assert_allclose(got, [want_c, want_q], rtol=200 * EPS, atol=200 * EPS)


def test_erf_at_huge_variances():
    """erf saturates to a sign: k -> 1 - 2 theta/pi, and nothing overflows."""
    q = 1e12
    k, distance, kdot = dual.dual_activation("erf", 0.5 * q, q, q)
    np.testing.assert_allclose(k, 1 - 2 * np.arccos(0.5) / np.pi, rtol=1e-5)
    np.testing.assert_allclose(distance, 1 - k, rtol=1e-5)
    assert 0 < float(kdot) < 1e-11


def test_stated_error_of_the_expansion_is_kept():
    """tanh at variances up to 4: 1e-6 in float64 would be allowed; what is stated is far less."""
    assert dual.truncation_error("tanh", 4.0) <= (1e-13 if X64 else 3e-8)
    assert dual.truncation_error("tanh", 1.0) <= dual.truncation_error("tanh", 4.0) + 1e-14
    wide = dual.nonlinearity("tanh", max_variance=9.0)
    assert dual.truncation_error(wide, 9.0) <= 3e-8 < dual.truncation_error("tanh", 100.0)
    fn, _ = SMOOTH["tanh"]
    for theta in (0.0, 0.01, 0.3):
        a, b = _plane(fn, 9.0, 9.0, theta)
        c, distance = _arguments(9.0, 9.0, theta)
        got = dual.dual_activation(wide, c, 9.0, 9.0, distance=distance).k
        assert abs(float(got) - (_W * a * b).sum()) <= 32 * EPS + 1e-10


def test_any_smooth_function():
    algebraic = dual.nonlinearity(lambda x: x / jnp.sqrt(1 + x * x), name="algebraic")
    fn = lambda x: x / np.sqrt(1 + x * x)  # noqa: E731
    a, b = _plane(fn, 2.0, 1.0, 0.4)
    c, _ = _arguments(2.0, 1.0, 0.4)
    assert (
        abs(float(dual.dual_activation(algebraic, c, 2.0, 1.0).k) - (_W * a * b).sum())
        < 32 * EPS + 1e-12
    )
    assert "algebraic" in repr(algebraic)
    arch = ntkrnn.Elman(nonlinearity=algebraic)
    assert hash(arch) == hash(ntkrnn.Elman(nonlinearity=algebraic))


def test_two_routes_to_erf():
    """The closed form against the expansion of the same function."""
    expanded = dual.nonlinearity(jax.lax.erf, max_variance=1.0)
    c, distance = _arguments(0.9, 0.8, 0.2)
    one, two = (dual.dual_activation(f, c, 0.9, 0.8, distance=distance) for f in ("erf", expanded))
    np.testing.assert_allclose(one, two, rtol=64 * EPS + 1e-12)


def test_every_name_is_usable():
    assert set(dual.names()) == {*SMOOTH, *KINKED} - {"leaky_relu(0.2)"} | {"leaky_relu"}
    for name in dual.names():
        k = dual.dual_activation(name, 0.3, 1.0, 1.0)
        assert all(bool(jnp.isfinite(part)) for part in k)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: dual.nonlinearity("thanh"), "Did you mean 'tanh'"),
        (lambda: dual.nonlinearity("leaky_relu(x)"), "slope 'x' is not a finite number"),
        (lambda: dual.nonlinearity(jnp.floor), "not smooth"),
        (lambda: dual.nonlinearity("tanh", max_variance=400.0), "too steep for that variance"),
        (lambda: dual.nonlinearity(jnp.sum), "expected an elementwise function"),
        (lambda: dual.nonlinearity(lambda x: x.nope), "raised AttributeError"),
        (lambda: dual.nonlinearity(jnp.log), "not finite"),
        (lambda: dual.nonlinearity("tanh", max_variance=0), "a finite number above 0"),
        (lambda: dual.truncation_error("tanh", -1.0), "variance: got -1.0"),
        (lambda: dual.dual_activation("swoosh", 0.0, 1.0, 1.0), "expected one of"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(")", r"\)")):
        build()


def test_not_a_function():
    with pytest.raises(TypeError, match="expected a scalar function"):
        dual.nonlinearity(3)


@pytest.mark.parametrize("slope", [-0.5, 0.1, 1, 1e-20])
def test_leaky_relu_of_a_slope_is_its_name(slope):
    made = dual.leaky_relu(slope)
    arch = ntkrnn.Elman(nonlinearity=made)
    assert arch == ntkrnn.Elman(nonlinearity=f"leaky_relu({float(slope)!r})")
    assert arch == ntkrnn.Elman(**json.loads(json.dumps(dataclasses.asdict(arch))))
    assert dual.has_closed_form(made) and pickle.loads(pickle.dumps(made)) == made
    q = jnp.float32(1.7)
    # Two half-lines: E phi^2 = (1 + slope^2) q/2, by hand.
    k = dual.dual_activation(made, q, q, q).k
    assert float(k) == pytest.approx(0.5 * (1 + slope**2) * 1.7, rel=1e-6)


@pytest.mark.parametrize("slope", [float("nan"), float("inf"), "0.1", None, 1j])
def test_a_slope_is_a_finite_number(slope):
    with pytest.raises((TypeError, ValueError), match=r"^slope: got"):
        dual.leaky_relu(slope)

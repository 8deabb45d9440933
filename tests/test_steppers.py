"""What the recursion passes a nonlinearity with, against the independent forms of the same function."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from marking import marked

from ntkrnn import dual
from ntkrnn.dual import _hermite, _thinning
from ntkrnn.dual._tables import series_of

X64 = jax.config.jax_enable_x64
DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
NAMES = (*dual.names(), "leaky_relu(0.2)")
SERIES = ("tanh", "sigmoid", "softplus", "silu")
KINKED = ("relu", "leaky_relu", "leaky_relu(0.2)", "abs", "sign", "step")
# What the series leave out of E phi^2 and E phi'^2, and what thinning them adds.
TAILS = (1e-13, 1e-13) if X64 else tuple(3e-8 + bound for bound in _thinning.BOUNDS)

# Pairs of two variances and an angle: far, near, opposite, and with zero variances.
PAIRS = np.array(
    [
        (1.0, 1.0, 0.5),
        (0.3, 4.0, 2.5),
        (1e-4, 2e-4, 0.7),
        (4.0, 0.01, 3.0),
        (1.0, 1.2, 1e-3),
        (3.9, 3.95, 1e-3),
        (2.0, 2.0001, 1e-3),
        (1.0, 1.0, 1e-3),
        (4.0, 4.0, 1e-3),
        (1e-2, 1e-2, 1e-3),
        (2.0, 2.0, np.pi),
        (0.5, 2.0, np.pi),
        (2.0, 0.5, 0.0),
        (0.0, 1.0, 0.0),
        (0.7, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (3.0, 3.0, 0.0),
    ]
)
Q1, Q2 = (column.astype(DTYPE).astype(np.float64) for column in PAIRS.T[:2])
THETA = PAIRS[:, 2]
SCALE = np.sqrt(Q1 * Q2)
BELOW = 2 * np.sin(THETA / 2) ** 2  # 1 - rho
DISTANCE = (np.sqrt(Q1) - np.sqrt(Q2)) ** 2 / 2 + SCALE * BELOW
POSITIVE = SCALE > 0
ARGUMENTS = tuple(jnp.asarray(a, DTYPE) for a in (DISTANCE, Q1, Q2))


@functools.cache
def compiled(name):
    """Features and the step as two programs, as the engine has them."""
    stepper = dual.stepper(name)
    return jax.jit(stepper.features), jax.jit(stepper.advance)


def advance(name, distance, q1, q2):
    features, step = compiled(name)
    return tuple(np.asarray(a, np.float64) for a in step(distance, features(q1), features(q2)))


def joined(name):
    """``(D, q1, q2) -> (D', kdot)`` by the stepper, and by the independent forms."""
    stepper, pair = dual.stepper(name), dual.pair_function(name)

    def by_stepper(distance, q1, q2):
        return stepper.advance(distance, stepper.features(q1), stepper.features(q2))

    def by_pair(distance, q1, q2):
        result = pair(0.5 * (q1 + q2) - distance, distance, q1, q2)
        return result.distance, result.kdot

    return by_stepper, by_pair


class Expected(NamedTuple):
    """The independent forms at the pairs."""

    distance: np.ndarray
    kdot: np.ndarray
    own: np.ndarray
    """``E phi^2`` of both sides, ``[2, pairs]``."""
    size: np.ndarray
    """The larger ``E phi^2``, and the larger ``E phi'^2``: what errors are relative to."""
    slopes: np.ndarray


@functools.cache
def expected(name):
    """In one program: the pairs, and each side with itself."""
    c = jnp.asarray(SCALE * np.cos(THETA), DTYPE)
    distance, q1, q2 = ARGUMENTS
    rows = ((c, q1, q2), (distance, 0 * q1, 0 * q2), (q1, q1, q2), (q2, q1, q2))
    k, apart, kdot = (
        np.asarray(part, np.float64)
        for part in jax.jit(dual.pair_function(name))(*(jnp.stack(row) for row in rows))
    )
    own = k[1:]
    return Expected(apart[0], kdot[0], own, own.max(axis=0), kdot[1:].max(axis=0))


def angle_error():
    """Rounding of D is one of rho, relative to the scale; and of theta, which is rho's arccosine."""
    rho = EPS * DISTANCE / np.where(POSITIVE, SCALE, 1)
    return rho, np.minimum(rho / np.maximum(np.sin(THETA), 1e-30), np.sqrt(4 * rho))


@pytest.mark.parametrize("name", NAMES)
def test_distances_equal_the_independent_forms(name):
    got, _ = advance(name, *ARGUMENTS)
    want = expected(name)
    rho, angle = angle_error()
    # Roots and coefficients are rounded, each to eps of its size: the radial part is the square of
    # a difference of them (exactly 0 at equal variances), the angular part their product with 1 - rho.
    root = np.sqrt(np.maximum(want.distance, 0) * want.size)
    tolerance = 16 * EPS * (want.distance + root * (np.sqrt(BELOW) + (Q1 != Q2)))
    # Past the right angle the distance is no longer small against the moments.
    tolerance += np.where(BELOW > 0.5, 16 * (EPS + rho) * want.size, 0)
    if name in ("sign", "step"):  # the distance is the angle itself
        tolerance += 4 * angle
    if name in SERIES:
        tolerance += TAILS[1] * want.distance + np.where(BELOW > 0.5, TAILS[0] * want.size, 0)
        tolerance += (16 * EPS) ** 2 * want.size  # squares of rounded coefficients that should be 0
    wrong = np.abs(got - want.distance)
    assert (wrong <= tolerance).all(), (PAIRS[wrong > tolerance], wrong, tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_equal_the_independent_forms(name):
    """Where both variances are positive: elsewhere the recursion multiplies kdot by 0."""
    _, got = advance(name, *ARGUMENTS)
    want = expected(name)
    rho, angle = angle_error()
    tolerance = 32 * (EPS + rho) * want.slopes
    if name in KINKED:
        tolerance += angle * want.slopes
    if name in SERIES:
        # By Price's theorem from coefficients of phi, which are known to eps of the whole.
        narrow = np.where(POSITIVE, np.minimum(Q1, Q2), 1)
        tolerance += 2 * TAILS[1] * want.slopes
        tolerance += 16 * EPS * np.sqrt(want.size * want.slopes / narrow)
    wrong = np.abs(got - want.kdot)[POSITIVE]
    assert (wrong <= tolerance[POSITIVE]).all(), wrong / tolerance[POSITIVE]


@pytest.mark.parametrize("name", NAMES)
def test_near_duplicates_keep_their_digits(name):
    """At equal variances, a milliradian apart: relative to D' itself, some tens of eps."""
    near = (Q1 == Q2) & (THETA == 1e-3)
    got, want = advance(name, *ARGUMENTS)[0][near], expected(name).distance[near]
    # A series adds its tail; and at variance 0.01 the first coefficient is a tenth of the function.
    tail = 2 * TAILS[1] + 64 * EPS if name in SERIES else 0
    np.testing.assert_allclose(got, want, rtol=32 * EPS + tail)
    assert len(got) == 3 and (got > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_equal_sequences_stay_equal_to_the_last_bit(name):
    for q in ARGUMENTS[1:]:
        distance, kdot = advance(name, jnp.zeros_like(q), q, q)
        np.testing.assert_array_equal(distance, 0)
        assert np.isfinite(kdot).all()


PLAIN = {
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "silu": lambda x: x * scipy.special.expit(x),
}


def second_moment(name, q):
    """``E phi(sqrt q z)^2`` by a quadrature of positive terms, whose sum is rounded once."""
    z = np.linspace(-13, 13, 1025)
    density = np.exp(-z * z / 2)
    return math.fsum(density * PLAIN[name](np.sqrt(q) * z) ** 2) / math.fsum(density)


@pytest.mark.parametrize("name", NAMES)
def test_second_moments_equal_the_independent_forms(name):
    """Relative to themselves. Thinning keeps the sum of squares, of at most some hundred terms.

    Coefficients of a series are sums over a thousand nodes, and so are those of its independent form:
    two such sums may be twice as far apart as either is from what it stands for, which is at hand.
    """
    features, _ = compiled(name)
    for q, want in zip(ARGUMENTS[1:], expected(name).own, strict=True):
        if name in SERIES:
            want = [second_moment(name, variance) for variance in np.asarray(q, np.float64)]
        got = dual.stepper(name).second_moment(features(q))
        np.testing.assert_allclose(got, want, rtol=16 * EPS)


@functools.cache
def derivatives(name):
    """Gradients of one number of (D', kdot) over all pairs, by the stepper and by the forms."""
    weights = np.random.default_rng(0).normal(size=(2, len(PAIRS))).astype(DTYPE)

    def objective(fn):
        def total(distance, q1, q2):
            parts = fn(distance, q1, q2)
            return sum(jnp.sum(w * part) for w, part in zip(weights, parts, strict=True)), parts

        return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True))(*ARGUMENTS)

    return [objective(fn) for fn in joined(name)]


def of_a_series(name):
    """What second derivatives of series are off by beside the rounding of sums: coefficients of phi are
    known to eps of the whole, and those of second order are divided by the variance."""
    q = np.stack([Q1, Q2])
    z = np.linspace(-8, 8, 1025)
    density = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    at, h = np.sqrt(q)[..., None] * z, 1e-3
    bent = (PLAIN[name](at + h) - 2 * PLAIN[name](at) + PLAIN[name](at - h)) / h**2
    size, bend = (np.sqrt((a**2 @ density).max(axis=0)) for a in (PLAIN[name](at), bent))
    weight = np.abs(np.random.default_rng(0).normal(size=(2, len(PAIRS)))).max()
    return weight * EPS * size * bend / np.where(POSITIVE, np.minimum(Q1, Q2), 1)


QUICK_TO_DIFFERENTIATE = ("relu", "leaky_relu(0.2)", "erf", "tanh", "sigmoid")
DIFFERENTIATED = marked(NAMES, QUICK_TO_DIFFERENTIATE)


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradients_are_those_of_the_independent_forms_and_finite(name):
    (_, got), (_, want) = derivatives(name)
    # At a kink 1/sin(theta) has the relative error of sin(theta)^2. At angles 0 and pi, up to their
    # rounding, there is no derivative: the stepper has Price's theorem, the forms what a clip has.
    rho, _ = angle_error()
    sine = np.sin(THETA)
    between = (sine > 1e-6) | ~POSITIVE if name in KINKED else np.full(len(THETA), True)
    error = 64 * EPS + (4 * rho / np.maximum(sine, 1e-6) ** 2 if name in KINKED else 0)
    more = of_a_series(name) if name in SERIES and not X64 else 0
    for one, other in zip(got, want, strict=True):
        assert bool(jnp.isfinite(one).all())
        assert bool(np.any(one)) or name == "identity"
        off, size = np.abs(np.asarray(one - other)), np.abs(np.asarray(other))
        tolerance = error * size + 64 * EPS * size[between].max() + more
        assert (off <= tolerance)[between].all(), (off, tolerance)


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_slopes_at_zero_variance_are_the_independent_ones_where_it_is_differentiated(name):
    """A zero sequence multiplies kdot by 0, but the derivative of that 0 is not 0."""
    ((_, got), _), ((_, want), _) = derivatives(name)
    want_sizes = expected(name)
    tolerance = 32 * EPS * np.maximum(want_sizes.size, want_sizes.slopes)[~POSITIVE]
    assert (np.abs(got[1] - want[1])[~POSITIVE] <= tolerance).all(), (got[1], want[1])


@pytest.mark.parametrize("name", ("relu", "erf", "tanh", "sigmoid"))
def test_gradients_of_second_moments(name):
    """dV/dq, finite at zero. relu has ``V = q/2``; the pair takes the mean over directions at zero."""
    stepper, pair = dual.stepper(name), dual.pair_function(name)
    q = jnp.asarray([0.0, 0.01, 1.0, 4.0], DTYPE)
    got = jax.jit(jax.grad(lambda q: jnp.sum(stepper.second_moment(stepper.features(q)))))(q)
    want = jax.jit(jax.grad(lambda q: jnp.sum(pair(q, jnp.zeros_like(q), q, q).k)))(q)
    want = jnp.full_like(q, 0.5) if name == "relu" else want
    assert bool(jnp.isfinite(got).all())
    np.testing.assert_allclose(got, want, rtol=64 * EPS, atol=64 * EPS)


# Series


@pytest.mark.parametrize("name", marked(SERIES, ("softplus",)))
def test_tables_hold_what_the_search_finds(name):
    known = series_of(name, DTYPE.name)
    found = _hermite.searched_expansion(name, DTYPE.name)
    assert (known.orders, known.nodes) == (found.orders, found.nodes)
    # What is left out is a sum of squares of coefficients, each known to the rounding of the function.
    assert known.tail == pytest.approx(found.tail, rel=0.1)
    if not X64:  # where nothing is thinned
        assert known.powers == _thinning.searched_powers(name, DTYPE.name, found)


def test_tables_are_for_the_default_variance_alone():
    assert series_of(dual.nonlinearity("tanh"), "float32") == series_of("tanh", "float32")
    assert series_of(dual.nonlinearity("tanh", max_variance=2.0), "float32") is None
    assert series_of(dual.nonlinearity(jnp.tanh), "float32") is None


# Thinned series

RHO = np.cos(np.concatenate([[0], np.geomspace(1e-4, np.pi - 1e-4, 60), [np.pi]]))
VARIANCES = (4.0, 3.7, 2.0, 0.6, 0.1, 0.01)


@functools.cache
def whole_series(name):
    """Orders and coefficients ``[variances, orders]`` of the untrimmed series, by NumPy alone."""
    orders = np.arange(*_hermite.expansion(name, DTYPE.name).orders)
    z = np.linspace(-13, 13, 4097)
    weights = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    hermite = [weights, z * weights]
    for k in range(1, orders[-1]):
        hermite.append((z * hermite[k] - np.sqrt(k) * hermite[k - 1]) / np.sqrt(k + 1))
    rows = [np.stack(hermite)[orders] @ PLAIN[name](np.sqrt(q) * z) for q in VARIANCES]
    return orders, np.array(rows)


def both_moments(products, orders):
    """k and kdot times sqrt(q1 q2) at every :data:`RHO` from the terms of a series."""
    lower = np.where(orders > 0, orders * RHO[:, None] ** np.maximum(orders - 1, 0), 0)
    return RHO[:, None] ** orders @ products, lower @ products


def sizes(one, two, orders):
    return [np.sqrt((w * one**2).sum() * (w * two**2).sum()) for w in (np.ones(len(orders)), orders)]


@pytest.mark.skipif(X64, reason="nothing is thinned in float64")
@pytest.mark.parametrize("name", SERIES)
def test_thinning_stays_within_the_bounds(name):
    """Also at variances and correlations that it was not chosen by."""
    orders, rows = whole_series(name)
    thin = _thinning.thinned(name, "float32")
    assert len(thin.powers) < 0.6 * len(orders)
    head, tail = rows[:, : thin.single], rows[:, thin.single :]
    short = np.concatenate([head, np.sqrt(tail**2 @ thin.weights)], axis=1)
    for i, one in enumerate(rows):
        for j, two in enumerate(rows):
            want = both_moments(one * two, orders)
            got = both_moments(short[i] * short[j], np.array(thin.powers))
            for a, b, size, bound in zip(
                got, want, sizes(one, two, orders), _thinning.BOUNDS, strict=True
            ):
                assert np.abs(a - b).max() <= bound * size
    # Second moments and slopes at rho = 1 are kept.
    np.testing.assert_allclose((short**2).sum(axis=1), (rows**2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(short**2 @ np.array(thin.powers), rows**2 @ orders, rtol=1e-12)


@pytest.mark.parametrize("name", SERIES)
def test_the_step_is_the_whole_series(name):
    """What ``advance`` computes, against the untrimmed series in NumPy."""
    orders, rows = whole_series(name)
    i, j = (index.ravel() for index in np.meshgrid(*(np.arange(len(VARIANCES)),) * 2))
    q = np.array(VARIANCES).astype(DTYPE).astype(np.float64)
    scale = np.sqrt(q[i] * q[j])[None, :]
    distance = (np.sqrt(q[i]) - np.sqrt(q[j])) ** 2 / 2 + scale * (1 - RHO[:, None])
    near, kdot = advance(name, *(jnp.asarray(a, DTYPE) for a in (distance, q[i], q[j])))
    moments = (rows**2).sum(axis=1)
    for column, (a, b) in enumerate(zip(i, j, strict=True)):
        one, two = rows[a], rows[b]
        k, slope = both_moments(one * two, orders)
        size, steep = sizes(one, two, orders)
        # Rounding of D is one of rho, times the slope; and tens of roundings of sums of positive terms.
        rho = EPS * distance[:, column] / scale[0, column]
        rounding = (8 * EPS * (moments[a] + moments[b]), 32 * EPS * steep)
        bounds = (0, 0) if X64 else _thinning.BOUNDS
        wrong = np.abs(near[:, column] - (0.5 * (moments[a] + moments[b]) - k))
        assert (wrong <= bounds[0] * size + rounding[0] + 4 * rho * steep).all()
        # The rounding of a coefficient is relative to the largest; the derivative of kdot is at most
        # the order of the series times its value.
        wrong = np.abs(kdot[:, column] * scale[0, column] - slope)
        known = 16 * EPS * np.sqrt(size * steep) + 4 * rho * steep * orders[-1]
        assert (wrong <= bounds[1] * steep + rounding[1] + known).all()


@pytest.mark.parametrize("name", SERIES)
def test_nothing_is_thinned_in_float64(name):
    if not X64:
        pytest.skip("an expansion in float64 needs float64")
    thin = _thinning.thinned(name, "float64")
    assert thin.powers == tuple(range(*_hermite.expansion(name, "float64").orders))
    assert thin.single == len(thin.powers)
    assert set(thin.gaps) <= {1}

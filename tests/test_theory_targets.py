"""Power series, concept classes, their complexities and their distance from additive functions."""

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from ntkrnn import theory
from ntkrnn.theory import (
    AdditiveTarget,
    ExactlyOneTarget,
    NVariableTarget,
    PowerSeries,
    TokenTarget,
)

EPS = np.finfo(float).eps
JAX_EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)


# Power series.


def test_series_values_and_derivatives(strict):
    series = PowerSeries((0.5, -1.0, 0.0, 2.0))
    z = np.linspace(-2, 2, 7).reshape(7, 1)
    want = np.polynomial.polynomial.polyval(z, series.coefficients)
    slope = -1 + 6 * z**2
    np.testing.assert_allclose(series(z), want, rtol=8 * EPS, atol=8 * EPS)
    np.testing.assert_allclose(series.derivative()(z), slope, rtol=8 * EPS, atol=8 * EPS)
    assert series(z).dtype == np.float64
    x = jnp.asarray(z)
    at = jax.jit(series)(x)
    assert at.dtype == x.dtype
    np.testing.assert_allclose(at, want, rtol=8 * JAX_EPS, atol=16 * JAX_EPS)
    got = jax.vmap(jax.grad(series))(x[:, 0])
    np.testing.assert_allclose(got, slope[:, 0], rtol=16 * JAX_EPS, atol=16 * JAX_EPS)
    assert isinstance(series(2), float)
    assert series(2) == 14.5


def test_series_are_values():
    assert PowerSeries((0, 1), "z") == PowerSeries([0.0, 1.0], "other") == PowerSeries.monomial(1)
    assert len({PowerSeries.monomial(2), PowerSeries.monomial(2), PowerSeries.monomial(3)}) == 2
    assert PowerSeries((1.0, 0.0)).degree == 0
    assert PowerSeries((3.0,)).derivative() == PowerSeries((0.0,))
    assert PowerSeries((3.0, 1.0)).without_constant() == PowerSeries.monomial(1)


@pytest.mark.parametrize("name", ["sin", "cos", "exp"])
def test_named_series_are_exact_to_rounding(name):
    z = np.linspace(-1, 1, 101)
    np.testing.assert_allclose(getattr(PowerSeries, name)()(z), getattr(np, name)(z), atol=8 * EPS)
    assert len([c for c in getattr(PowerSeries, name)(3).coefficients if c]) == 3


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_chebyshev_fit_of_exp_meets_its_remainder(radius):
    """Interpolation at the Chebyshev points: max |f^(n+1)| r^(n+1)/(2^n (n+1)!)."""
    for degree in (2, 5, 8):
        series = PowerSeries.fit(np.exp, degree, radius)
        bound = math.exp(radius) * radius ** (degree + 1) / 2**degree / math.factorial(degree + 1)
        z = np.linspace(-radius, radius, 777)
        found = abs(series(z) - np.exp(z)).max()
        assert found <= bound + 100 * EPS
        # The grid of the fit is 2001 points: it may miss a fraction (degree h/r)^2 of the maximum.
        assert found == pytest.approx(series.fit_error, rel=1e-2)
        assert series.fit_error >= bound / math.exp(2 * radius)  # and no polynomial does better
        assert series.degree == degree


def test_fits_keep_parity_and_drop_rounding():
    for method in ("chebyshev", "taylor"):
        series = PowerSeries.fit(np.tanh, 15, method=method)
        assert not any(series.coefficients[::2])
        assert len(series.coefficients) == 16
    cubic = PowerSeries.fit(lambda z: 4 * z**3 - z, 40)
    np.testing.assert_allclose(cubic.coefficients[:4], [0, -1, 0, 4], atol=1e-13)
    assert cubic.degree == 3
    assert cubic.fit_error <= 1e-13


def test_taylor_fit():
    got = PowerSeries.fit(np.exp, 12, method="taylor")
    want = [1 / math.factorial(i) for i in range(13)]
    np.testing.assert_allclose(got.coefficients, want, atol=8 * EPS)
    # The remainder at 1, and no more.
    assert 1 / math.factorial(13) <= got.fit_error <= 1.1 / math.factorial(13)
    tanh = PowerSeries.fit(np.tanh, 7, radius=0.5, method="taylor")
    np.testing.assert_allclose(
        tanh.coefficients, [0, 1, 0, -1 / 3, 0, 2 / 15, 0, -17 / 315], atol=0.5**-7 * 8 * EPS
    )
    with pytest.raises(ValueError, match=r"^function: .*not analytic.*radius"):
        PowerSeries.fit(np.tanh, 7, radius=2.0, method="taylor")
    with pytest.raises(ValueError, match=r"^function: .*not real"):
        PowerSeries.fit(lambda z: 1j * np.asarray(z), 3, method="taylor")


def _complexity(series, radius, eps, c_star):
    """As the formula stands, in mpmath."""
    total = mp.mpf(0)
    for i, c in enumerate(series.coefficients):
        r = mp.mpf(c_star) * mp.mpf(radius)
        second = (r * mp.sqrt(mp.log(1 / mp.mpf(eps)) / i)) ** i if i else 1
        total += (r**i + second) * abs(mp.mpf(c))
    return total


def _sample_complexity(series, radius, c_star):
    terms = (
        (i + 1) ** mp.mpf(1.75) * mp.mpf(radius) ** i * abs(mp.mpf(c))
        for i, c in enumerate(series.coefficients)
    )
    return mp.mpf(c_star) * sum(terms)


SERIES = {
    "monomial": PowerSeries.monomial(3),
    "sin": PowerSeries.sin(30),
    "exp": PowerSeries.exp(60),
    "signs": PowerSeries((-2.0, 0.0, 3.0, -1e-3)),
}


@pytest.mark.parametrize("name", SERIES)
def test_complexities_are_the_sums(name):
    series = SERIES[name]
    radius, eps = np.array([0.0, 0.3, 4.0, 50.0])[:, None], np.array([1.0, 0.1, 1e-12])
    for c_star in (1.0, 1e4):
        got = series.complexity(radius, eps, c_star)
        log = series.log_complexity(radius, eps, c_star)
        samples = series.sample_complexity(radius[:, 0], c_star)
        assert got.shape == (4, 3)
        for (i, r), (j, e) in itertools.product(enumerate(radius[:, 0]), enumerate(eps)):
            want = _complexity(series, r, e, c_star)
            if not want:
                assert got[i, j] == 0
                assert log[i, j] == -np.inf
                continue
            # An exponential magnifies the roundings of its argument by it, and the argument sums
            # up to 60 terms of that size.
            size = 1 + abs(float(mp.log(want)))
            assert abs(got[i, j] / want - 1) <= 8 * EPS * (size + 60)
            assert abs(log[i, j] - mp.log(want)) <= 8 * EPS * (size + 60)
            want = _sample_complexity(series, r, c_star)
            assert abs(samples[i] - want) <= 8 * EPS * (size + 60) * want
    assert isinstance(series.complexity(2.0, 0.1), float)
    assert isinstance(series.sample_complexity(2.0), float)


def test_complexity_beyond_the_largest_float():
    series = PowerSeries.monomial(200)
    assert series.complexity(1.0, 0.5, 1e4) == np.inf
    assert series.sample_complexity(1e4) == np.inf
    # (log(2)/200)^100 of the second term is nothing beside the first.
    assert series.log_complexity(1.0, 0.5, 1e4) == pytest.approx(200 * math.log(1e4), rel=4 * EPS)
    want = 200 * math.log(1e4) + 1.75 * math.log(201)
    assert series.log_sample_complexity(1e4) == pytest.approx(want, rel=4 * EPS)
    assert PowerSeries((0.0,)).complexity(1.0, 0.5) == 0
    assert PowerSeries((0.0,)).log_sample_complexity(1.0) == -np.inf


def test_series_refuse_bad_input():
    for bad in ((), (np.nan,), (1.0, np.inf)):
        with pytest.raises(ValueError, match=r"^coefficients: got"):
            PowerSeries(bad)
    for bad in (3.0, "ab", (None,)):
        with pytest.raises(TypeError, match=r"^coefficients: got"):
            PowerSeries(bad)
    with pytest.raises(ValueError, match=r"^q: got 0"):
        PowerSeries.monomial(0)
    with pytest.raises(ValueError, match=r"^terms: got 0"):
        PowerSeries.sin(0)
    z = PowerSeries.monomial(1)
    for bad in (0, -0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match=r"^eps: got"):
            z.complexity(1.0, bad)
    for bad in (-1, np.inf, [1.0, np.nan]):
        with pytest.raises(ValueError, match=r"^radius: got"):
            z.complexity(bad, 0.1)
        with pytest.raises(ValueError, match=r"^radius: got"):
            z.sample_complexity(bad)
    with pytest.raises(TypeError, match=r"^radius: got dtype <U3 for 'one'"):
        z.complexity("one", 0.1)
    with pytest.raises(ValueError, match=r"^c_star: got 0"):
        z.complexity(1.0, 0.1, c_star=0)
    with pytest.raises(TypeError, match=r"^function: got 3"):
        PowerSeries.fit(3, 2)
    with pytest.raises(ValueError, match=r"^method: got 'remez'"):
        PowerSeries.fit(np.exp, 2, method="remez")
    with pytest.raises(ValueError, match=r"^function: got values of shape \(\)"):
        PowerSeries.fit(lambda z: 1.0, 2)
    with pytest.raises(ValueError, match=r"^function: got nan"):
        PowerSeries.fit(lambda z: z * np.nan, 2)


# Targets.

LENGTH, DIM = 4, 3
CUBIC = PowerSeries((0.0, 0.5, -1.0, 2.0), "cubic")
X = theory.sample_tokens(7, 5, LENGTH, DIM)
TARGETS = {
    "additive": AdditiveTarget.sample(0, LENGTH, DIM, series=CUBIC, norm=1.5),
    "additive-mixed": AdditiveTarget.sample(
        1, LENGTH, DIM, series=[PowerSeries.sin(), PowerSeries((1.0, 2.0))], positions=(1, 3)
    ),
    "n-variable": NVariableTarget.sample(2, LENGTH, DIM, series=CUBIC, positions=(0, 1, 3), norm=2.0),
    "token": TokenTarget.sample(3, LENGTH, DIM, 2, 2, (CUBIC, PowerSeries.monomial(2))),
    "token-reach": TokenTarget.sample(4, LENGTH, DIM, series=CUBIC, reach=2),
    "exactly-one": ExactlyOneTarget.sample(5, LENGTH, DIM),
}


def _additive(target, x):
    return sum(f(float(b @ t)) for f, b, t in zip(target.series, target.directions, x, strict=True))


def _n_variable(target, x):
    rows = zip(target.positions, target.directions, strict=True)
    return target.series(sum(float(b @ x[p]) for p, b in rows))


def _token(target, x):
    out = np.zeros((target.length, target.out_dim))
    terms = (target.series, target.directions, target.inputs, target.outputs, target.channels)
    for f, w, i, j, o in zip(*terms, strict=True):
        out[j, o] += f(float(w @ x[i]))
    return out


def _exactly_one(target, x):
    return 1.0 if sum(float(target.direction @ t) > 0 for t in x) == 1 else -1.0


LOOPS = {
    AdditiveTarget: _additive,
    NVariableTarget: _n_variable,
    TokenTarget: _token,
    ExactlyOneTarget: _exactly_one,
}


@pytest.mark.parametrize("name", TARGETS)
def test_values_are_the_definition_s(name):
    target = TARGETS[name]
    assert (target.length, target.dim) == (LENGTH, DIM)
    want = np.array([LOOPS[type(target)](target, x) for x in X])
    got = target(X)
    assert got.dtype == np.float64
    assert got.shape == want.shape
    # Some hundred roundings of numbers of order 10.
    np.testing.assert_allclose(got, want, atol=100 * 10 * EPS)
    assert np.array_equal(got, target(X.tolist()))


@pytest.mark.parametrize("name", TARGETS)
def test_values_in_jax(name, strict):
    target, x = TARGETS[name], jnp.asarray(X)
    got = target(x)
    assert isinstance(got, jax.Array)
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got, target(np.asarray(x)), atol=100 * 10 * JAX_EPS)
    np.testing.assert_allclose(jax.jit(target)(x), got, atol=100 * 10 * JAX_EPS)
    if name in ("additive", "n-variable", "token", "token-reach"):
        # Cubic in the input: five points give the derivative exactly.
        slope = jax.grad(lambda x: target(x).sum())(x)
        shift = np.random.default_rng(0).normal(size=X.shape)
        at = {k: target(X + k * shift).sum() for k in (-2, -1, 1, 2)}
        want = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / 12
        size = max(map(abs, at.values()))
        assert abs(float(np.sum(np.asarray(slope) * shift)) - want) <= 100 * JAX_EPS * size


def test_token_targets_are_causal():
    """Output j hears of the tokens before it alone, all of them, and with ``reach`` of the last."""
    for name, reach in (("token", LENGTH), ("token-reach", 2)):
        target = TARGETS[name]
        for i in range(LENGTH):
            x = X.copy()
            x[:, i] *= -0.5
            heard = (target(x) != target(X)).any(axis=(0, 2))
            assert heard.tolist() == [i < j <= i + reach for j in range(LENGTH)]
    target = TARGETS["token"]
    assert len(target.series) == 2 * 2 * math.comb(LENGTH, 2)
    assert len(np.unique(target.directions, axis=0)) == len(target.series)


def test_samples():
    additive, mixed, n_variable = (TARGETS[k] for k in ("additive", "additive-mixed", "n-variable"))
    np.testing.assert_allclose(np.linalg.norm(additive.directions, axis=1), 1.5, rtol=8 * EPS)
    assert [s.degree for s in mixed.series] == [0, 19, 0, 1]
    assert n_variable.norm == pytest.approx(2.0, rel=8 * EPS)
    assert (n_variable.n_variables, n_variable.span) == (3, 3)
    assert NVariableTarget.sample(0, 6, 2).positions == (4, 5)
    assert NVariableTarget.sample(0, 1, 2).positions == (0,)
    again = AdditiveTarget.sample(0, LENGTH, DIM, series=CUBIC, norm=1.5)
    assert np.array_equal(again.directions, additive.directions)
    key = AdditiveTarget.sample(jax.random.key(0), LENGTH, DIM)
    assert not np.array_equal(key.directions, AdditiveTarget.sample(0, LENGTH, DIM).directions)
    with pytest.raises(ValueError, match="read-only"):
        additive.directions[0] = 0


def test_complexities_are_those_of_the_series_at_root_length():
    eps, c = np.array([0.1, 1e-3]), 2.0
    scaled = PowerSeries(tuple(a * 1.5**i for i, a in enumerate(CUBIC.coefficients)))
    np.testing.assert_allclose(
        TARGETS["additive"].complexity(eps, c), 4 * scaled.complexity(2.0, eps, c), rtol=100 * EPS
    )
    assert TARGETS["additive"].sample_complexity(c) == pytest.approx(
        4 * scaled.sample_complexity(2.0, c), rel=100 * EPS
    )
    both = PowerSeries.sin(), PowerSeries((1.0, 2.0))
    assert TARGETS["additive-mixed"].complexity(0.1) == pytest.approx(
        sum(s.complexity(2.0, 0.1) for s in both), rel=100 * EPS
    )
    assert TARGETS["n-variable"].complexity(0.1) == pytest.approx(
        CUBIC.complexity(4.0, 0.1), rel=100 * EPS
    )
    assert TARGETS["n-variable"].sample_complexity() == pytest.approx(
        CUBIC.sample_complexity(4.0), rel=100 * EPS
    )
    token = TARGETS["token"]
    want = sum(s.sample_complexity(2.0) for s in token.series)
    assert token.sample_complexity() == pytest.approx(want, rel=100 * EPS)
    want = sum(s.complexity(2.0, eps) for s in token.series)
    np.testing.assert_allclose(token.complexity(eps), want, rtol=100 * EPS)
    assert TARGETS["exactly-one"].complexity(0.1) == math.inf
    assert TARGETS["exactly-one"].complexity(eps).tolist() == [math.inf, math.inf]
    assert AdditiveTarget((None,), [[1.0]]).sample_complexity() == 0


# Distance from additive functions.


def _agrees(estimate, want, standard_errors=4):
    assert estimate.standard_error > 0
    assert abs(estimate.value - want) <= standard_errors * estimate.standard_error, (estimate, want)


def test_additive_targets_are_at_distance_zero():
    assert TARGETS["additive"].additive_error(0) == (0.0, 0.0)
    assert TARGETS["token"].additive_error(0) == (0.0, 0.0)
    # By sampling too: the roundings are not taken for a distance.
    assert theory.Target.additive_error(TARGETS["additive"], 0, n=200) == (0.0, 0.0)
    linear = NVariableTarget.sample(0, 5, 3, PowerSeries((2.0, 3.0)), positions=(0, 2, 4))
    assert linear.additive_error(0, n=200) == (0.0, 0.0)
    single = NVariableTarget.sample(0, 5, 3, CUBIC, positions=(2,))
    assert single.additive_error(0, n=200) == (0.0, 0.0)


def test_distance_of_a_square_of_several_tokens():
    """The cross terms 2 (b_k.x_k)(b_l.x_l) remain, of variance 4 |b_k|^2 |b_l|^2/d^2 each."""
    directions = np.random.default_rng(0).normal(size=(3, DIM))
    target = NVariableTarget(PowerSeries.monomial(2), (0, 1, 3), directions, LENGTH)
    square = np.linalg.norm(directions, axis=1) ** 2
    want = math.sqrt(sum(4 * a * b / DIM**2 for a, b in itertools.combinations(square, 2)))
    estimate = target.additive_error(jax.random.key(1), n=20_000)
    _agrees(estimate, want)
    assert estimate.standard_error < 0.03 * want


@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("p", [0.5, 0.2, 1 / 3])
def test_exactly_one_s_distance_is_the_projection_s(length, p):
    """Against weighted least squares over all patterns of classes."""
    patterns = np.array(list(itertools.product([0, 1], repeat=length)))
    weight = np.prod(np.where(patterns, p, 1 - p), axis=1)
    value = np.where(patterns.sum(axis=1) == 1, 1.0, -1.0)
    root = np.sqrt(weight)[:, None]
    design = np.column_stack([np.ones(len(patterns)), patterns])
    fit = np.linalg.lstsq(root * design, root[:, 0] * value, rcond=None)[0]
    want = math.sqrt(np.sum(weight * (value - design @ fit) ** 2))
    got = ExactlyOneTarget.sample(0, length, 2).exact_additive_error(p)
    assert got == pytest.approx(want, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_exactly_one_s_distance_is_estimated(length):
    target = ExactlyOneTarget.sample(0, length, DIM)
    estimate = target.additive_error(2, n=4000)
    if length == 1:
        assert estimate == (0.0, 0.0)
    else:
        _agrees(estimate, target.exact_additive_error())


def test_exactly_one_s_distance_under_another_law():
    """A quarter of the tokens in class 1, by the caller's own sampler."""
    target = ExactlyOneTarget([1.0, 0.0], 3)

    def draw(key, count):
        one = jax.random.bernoulli(key, 0.25, (count, 3, 1))
        return jnp.where(one, jnp.array([1.0, 0.0]), jnp.array([-1.0, 0.0]))

    estimate = target.additive_error(jax.random.key(0), n=4000, draw=draw)
    _agrees(estimate, target.exact_additive_error(0.25))


@pytest.mark.float32
def test_standard_errors_are_calibrated():
    """Over 200 seeds the deviations are as large as they are said to be: chi-square, 1 in 1000."""
    target = ExactlyOneTarget.sample(0, 3, 2)
    want, seeds = target.exact_additive_error(), 200
    drawn = [target.additive_error(seed, n=500) for seed in range(seeds)]
    z = np.array([(e.value - want) / e.standard_error for e in drawn])
    low, high = stats.chi2.ppf([5e-4, 1 - 5e-4], seeds)
    assert low <= np.sum(z**2) <= high
    assert abs(z.mean()) <= 3.3 / seeds**0.5


def test_distances_refuse_bad_input():
    target = TARGETS["n-variable"]
    with pytest.raises(ValueError, match=r"^n: got 1"):
        target.additive_error(0, n=1)
    with pytest.raises(TypeError, match=r"^key: got None"):
        target.additive_error(None)
    with pytest.raises(ValueError, match=r"^draw: got sequences of shape \(4, 4, 2\)"):
        target.additive_error(0, n=2, draw=lambda key, n: np.ones((n, LENGTH, 2)))
    with pytest.raises(ValueError, match=r"^class_probability: got 2"):
        ExactlyOneTarget([1.0], 2).exact_additive_error(2)


# What targets refuse.

Z = PowerSeries.monomial(1)
UNIT = [[1.0, 0.0], [0.0, 1.0]]
BAD = {
    "few-series": (lambda: AdditiveTarget((Z,), UNIT), ValueError, r"^series: got 1 of them"),
    "one-series": (lambda: AdditiveTarget(Z, UNIT), TypeError, r"^series: .*for each position"),
    "no-series": (lambda: AdditiveTarget((Z, "z"), UNIT), TypeError, r"^series: got 'z'"),
    "flat": (lambda: AdditiveTarget((Z, Z), [1.0, 0.0]), ValueError, r"^directions: got shape \(2,\)"),
    "nan": (lambda: AdditiveTarget((Z,), [[np.nan]]), ValueError, r"^directions: got nan"),
    "ragged": (lambda: AdditiveTarget((Z,), [[1.0], [1.0, 2.0]]), ValueError, r"^directions: "),
    "norm": (lambda: AdditiveTarget.sample(0, 2, 2, norm=0), ValueError, r"^norm: got 0"),
    "sample-series": (
        lambda: AdditiveTarget.sample(0, 3, 2, [Z, Z], positions=(1,)),
        ValueError,
        r"^series: got 2 of them.*1 positions",
    ),
    "outside": (lambda: AdditiveTarget.sample(0, 2, 2, positions=(2,)), ValueError, r"^positions: got"),
    "order": (lambda: NVariableTarget(Z, (1, 0), UNIT), ValueError, r"^positions: got \(1, 0\)"),
    "twice": (lambda: NVariableTarget(Z, (1, 1), UNIT), ValueError, r"^positions: got \(1, 1\)"),
    "half": (lambda: NVariableTarget(Z, (0.5, 1), UNIT), TypeError, r"^positions: got"),
    "short": (lambda: NVariableTarget(Z, (0, 4), UNIT, length=4), ValueError, r"^positions: got"),
    "rows": (lambda: NVariableTarget(Z, (0,), UNIT), ValueError, r"^directions: .*expected \(1, d\)"),
    "no-length": (lambda: NVariableTarget.sample(0, 0, 2), ValueError, r"^length: got 0"),
    "constant": (
        lambda: TokenTarget((PowerSeries.cos(),), UNIT[:1], [0], [1], 2),
        ValueError,
        r"^series: got phi\(0\) = 1.*without_constant",
    ),
    "not-unit": (
        lambda: TokenTarget((Z,), [[2.0]], [0], [1], 2),
        ValueError,
        r"^directions: got norm 2",
    ),
    "acausal": (
        lambda: TokenTarget((Z, Z), UNIT, [0, 1], [1, 1], 2),
        ValueError,
        r"^outputs: got output token 1 from input token 1",
    ),
    "late": (lambda: TokenTarget((Z,), UNIT[:1], [0], [2], 2), ValueError, r"^outputs: got 2"),
    "real": (
        lambda: TokenTarget((Z,), UNIT[:1], [0.0], [1], 2),
        TypeError,
        r"^inputs: got dtype float64",
    ),
    "channel": (
        lambda: TokenTarget((Z,), UNIT[:1], [0], [1], 2, channels=[1]),
        ValueError,
        r"^channels: got 1, expected whole numbers between 0 and 0",
    ),
    "alone": (lambda: TokenTarget.sample(0, 1, 2), ValueError, r"^length: got 1"),
    "no-choice": (lambda: TokenTarget.sample(0, 2, 2, series=()), ValueError, r"^series: got none"),
    "zero": (lambda: ExactlyOneTarget([0.0], 2), ValueError, r"^direction: got the zero vector"),
    "matrix": (lambda: ExactlyOneTarget(UNIT, 2), ValueError, r"^direction: got shape \(2, 2\)"),
    "no-tokens": (lambda: ExactlyOneTarget([1.0], 0), ValueError, r"^length: got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_targets_are_refused(name):
    build, error, message = BAD[name]
    with pytest.raises(error, match=message):
        build()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
def test_bad_sequences_are_refused(name, kind):
    target, x = TARGETS[name], kind(X)
    with pytest.raises(ValueError, match=r"^x: got 3 tokens of 3 channels.*\[N, 4, 3\]"):
        target(x[:, 1:])
    with pytest.raises(ValueError, match=r"^x: got 4 tokens of 2 channels"):
        target(x[:, :, 1:])
    with pytest.raises(ValueError, match=r"^x: got rank 2"):
        target(x[0])
    with pytest.raises(ValueError, match=r"^x: got nan at row 0"):
        target(x * kind(np.nan).astype(x.dtype))

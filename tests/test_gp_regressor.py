"""Gaussian processes on series: the likelihood and its gradient, the posterior, and long records."""

import jax
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import ntkrnn
from ntkrnn import Elman
from ntkrnn.dynamics import nngp_posterior
from ntkrnn.estimators import RecurrentGPRegressor
from ntkrnn.estimators._gp_calibration import block_errors, blocks_of
from ntkrnn.estimators._gp_search import BOUNDS

SHORT = Elman(nonlinearity="erf", w_std=0.7, u_std=0.8, b_std=0.3)
STEPS = Elman(nonlinearity="erf", w_std=0.7, u_std=0.8, b_std=0.3, readout="sequence")


def _series(n=14, steps=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, steps))
    return x, np.tanh(x[:, -1] + 0.5 * x[:, -2]) + 0.05 * rng.normal(size=n)


def _record(steps, seed=0):
    """A first-order lag with a saturating input: ``y' = 0.9 y + 0.1 tanh(2 u)``."""
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.normal(size=steps // 5 + 1), 5)[:steps]
    y = np.zeros(steps)
    for t in range(1, steps):
        y[t] = 0.9 * y[t - 1] + 0.1 * np.tanh(2 * u[t])
    return u[None], y[None]


def _kernel(arch, x):
    """float64, of standardised series, from public functions alone."""
    z = (x - x.mean()) / x.std()
    with jax.enable_x64(True):
        return np.asarray(ntkrnn.network(arch).kernel_fn(z[:, :, None], get="nngp"))


def test_the_likelihood_is_a_density_and_its_gradient_a_slope():
    x, y = _series()
    model = RecurrentGPRegressor(SHORT).fit(x, y)
    kernel = _kernel(model.architecture_, x)
    covariance = model.output_scale_**2 * kernel + model.noise_ * np.eye(len(x))
    z = (y - y.mean()) / y.std()
    density = multivariate_normal(np.zeros(len(x)), covariance).logpdf(z)
    np.testing.assert_allclose(model.log_marginal_likelihood_value_, density, rtol=1e-8)
    theta = np.log([0.6, 0.9, 0.2, 3.0, 0.05])
    value, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
    assert value == pytest.approx(model.log_marginal_likelihood(theta), rel=1e-10)
    for i in range(5):
        step = 1e-5 * np.eye(5)[i]
        up, down = (model.log_marginal_likelihood(theta + s) for s in (step, -step))
        # Central differences: third derivatives times 1e-10, and rounding over 1e-5.
        np.testing.assert_allclose(gradient[i], (up - down) / 2e-5, rtol=1e-5, atol=1e-5)


def test_the_search_ends_where_the_gradient_is_zero_or_a_bound_is_met():
    x, y = _series(30)
    model = RecurrentGPRegressor(SHORT).fit(x, y)
    _, gradient = model.log_marginal_likelihood(model.theta_, eval_gradient=True)
    bounds = np.log([BOUNDS["w_std"], BOUNDS["u_std"], BOUNDS["b_std"], (1e-4, 1e6), BOUNDS["noise"]])
    # The search ends where a step gains less than 2e-9 of a likelihood of order 10: a gradient of at
    # most the root of twice that times a curvature of order 100.
    tolerance = 1e-2
    for at, slope, (low, high) in zip(model.theta_, gradient, bounds, strict=True):
        if at - low < 1e-6:
            assert slope < tolerance
        elif high - at < 1e-6:
            assert slope > -tolerance
        else:
            assert abs(slope) < tolerance


def test_restarts_find_nothing_worse():
    x, y = _series(20)
    once = RecurrentGPRegressor(SHORT).fit(x, y).log_marginal_likelihood_value_
    more = RecurrentGPRegressor(SHORT, n_restarts=2).fit(x, y).log_marginal_likelihood_value_
    assert more >= once - 1e-9


def test_predictions_are_those_of_the_posterior():
    x, y = _series(20)
    model = RecurrentGPRegressor(SHORT).fit(x[:14], y[:14])
    mean, std = model.predict(x[14:], return_std=True)
    z = (x - x[:14].mean()) / x[:14].std()
    with jax.enable_x64(True):
        kernel = np.asarray(ntkrnn.network(model.architecture_).kernel_fn(z[:, :, None], get="nngp"))
    kernel = model.output_scale_**2 * kernel
    spread = y[:14].std()
    own = nngp_posterior(
        kernel[:14, :14], (y[:14] - y[:14].mean()) / spread, kernel[14:, :14], kernel[14:, 14:],
        noise=model.noise_,
    )  # fmt: skip
    np.testing.assert_allclose(mean, own.mean[:, 0] * spread + y[:14].mean(), rtol=1e-6, atol=1e-8)
    covariance = (own.covariance + model.noise_ * np.eye(6)) * spread**2
    np.testing.assert_allclose(std**2, np.diagonal(covariance), rtol=1e-5)
    np.testing.assert_allclose(
        model.predict(x[14:], return_cov=True)[1], covariance, rtol=1e-5, atol=1e-9
    )


def test_intervals_cover_draws_from_the_prior():
    """Targets drawn from the process itself, its scales known: 95% intervals cover 95%."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5))
    covariance = 4 * _kernel(SHORT, x) + 0.01 * np.eye(60)
    root = np.linalg.cholesky(covariance)
    fixed = {name: (value, value) for name, value in (("output_scale", 2.0), ("noise", 0.01))}
    model = RecurrentGPRegressor(SHORT, fitted=(), bounds=fixed, normalize_y=False, standardize="none")
    z, inside = (x - x.mean()) / x.std(), []
    for _ in range(40):
        y = root @ rng.normal(size=60)
        mean, std = model.fit(z[:30], y[:30]).predict(z[30:], return_std=True)
        inside.append(np.mean(np.abs(mean - y[30:]) < 1.959964 * std))
    error = np.std(inside) / np.sqrt(len(inside))
    assert abs(np.mean(inside) - 0.95) < 3 * error


def test_samples_have_the_moments_of_the_posterior():
    x, y = _series(16)
    model = RecurrentGPRegressor(SHORT).fit(x[:12], y[:12])
    mean, covariance = model.predict(x[12:], return_cov=True)
    draws = model.sample_y(x[12:], 4000, random_state=1)
    assert draws.shape == (4, 4000)
    spread = np.sqrt(np.diagonal(covariance))
    assert (np.abs(draws.mean(axis=1) - mean) < 4 * spread / np.sqrt(4000)).all()
    # The variance of a sample covariance of Gaussians: (c_ij^2 + c_ii c_jj)/S.
    error = np.sqrt((covariance**2 + np.outer(spread, spread) ** 2) / 4000)
    assert (np.abs(np.cov(draws) - covariance) < 4 * error).all()


def test_a_record_is_predicted_step_by_step():
    u, y = _record(160)
    model = RecurrentGPRegressor(STEPS).fit(u[:, :100], y[:, :100])
    later, truth = _record(130, seed=1)
    mean, std = model.predict(later[:, :, None], return_std=True)
    assert mean.shape == std.shape == (1, 130)
    # Better than the linear response to the last 30 inputs, which does not know of the saturation.
    lags = lambda u: np.stack([np.pad(u[0], (k, 0))[: u.shape[1]] for k in range(30)], axis=1)  # noqa: E731
    response = np.linalg.lstsq(lags(u[:, :100]), y[0, :100], rcond=None)[0]
    linear = np.sqrt(np.mean((lags(later) @ response - truth[0]) ** 2))
    assert np.sqrt(np.mean((mean - truth) ** 2)) < linear
    assert model.score(later[:, :, None], truth) > 0.9


def test_ragged_records_are_those_without_padding():
    u, y = _record(40)
    other, more = _record(25, seed=1)
    model = RecurrentGPRegressor(STEPS, fitted=("u_std",))
    listed = model.fit([u[0], other[0]], [y[0], more[0]])
    padded, targets = np.full((2, 40), np.nan), np.zeros((2, 40))
    padded[0], padded[1, :25], targets[0], targets[1, :25] = u[0], other[0], y[0], more[0]
    again = RecurrentGPRegressor(STEPS, fitted=("u_std",)).fit(padded[:, :, None], targets)
    np.testing.assert_allclose(listed.theta_, again.theta_, rtol=1e-6, atol=1e-8)
    mean = again.predict(padded[:, :, None])
    assert np.isnan(mean[1, 25:]).all() and np.isfinite(mean[1, :25]).all()
    assert listed.sample_y([u[0], other[0]], 3).shape == (65, 3)


def test_several_outputs_and_the_tangent_kernel():
    x, y = _series(12)
    both = np.stack([y, -2 * y + 1], axis=1)
    model = RecurrentGPRegressor(SHORT, kernel="ntk", fitted=("w_std",)).fit(x, both)
    mean, std = model.predict(x[:3], return_std=True)
    assert mean.shape == std.shape == (3, 2)
    np.testing.assert_allclose(mean[:, 1], -2 * mean[:, 0] + 1, atol=1e-6)
    np.testing.assert_allclose(std[:, 1], 2 * std[:, 0], rtol=1e-6)
    assert model.predict(x[:3], return_cov=True)[1].shape == (3, 3, 2)
    assert model.sample_y(x[:3], 5).shape == (3, 2, 5)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.arange(4.0)[:, None], np.arange(4.0)),  # one step
        (np.ones((3, 5)), np.arange(3.0)),  # constant series
        (np.arange(10.0).reshape(2, 5), np.ones(2)),  # constant targets
    ],
)
def test_extremes_are_fitted(x, y):
    mean, std = RecurrentGPRegressor(SHORT).fit(x, y).predict(x, return_std=True)
    assert np.isfinite(mean).all() and np.isfinite(std).all()


X, Y = _series(6)


@pytest.mark.parametrize(
    ("change", "x", "y", "message"),
    [
        ({}, X, Y[:5], "y: got 5 targets, expected 6"),
        ({}, np.where(X > 1, np.nan, X), Y, "X: got NaN"),
        ({"fitted": ("rate",)}, X, Y, "fitted: got 'rate'"),
        ({"bounds": {"rate": (1, 2)}}, X, Y, r"bounds: got \['rate'\]"),
        ({"bounds": {"noise": (0.0, 1.0)}}, X, Y, "bounds: got"),
        ({"bounds": {"noise": "low"}}, X, Y, "bounds: got"),
        ({"bounds": 3}, X, Y, "bounds: got 3, expected a mapping"),
        ({"fitted": 3}, X, Y, "fitted: got 3"),
        ({"kernel": "rbf"}, X, Y, "kernel: got 'rbf'"),
        ({"architecture": "erf"}, X, Y, "arch: got 'erf'"),
        ({"architecture": Elman(b_std=0.0)}, X, Y, "architecture: got b_std=0"),
        ({"architecture": STEPS}, X, Y, r"y: got shape \(\) for series 0"),
        ({"architecture": STEPS}, X, X[:, :5], r"y: got shape \(5,\) for series 0"),
        ({"n_restarts": -1}, X, Y, "n_restarts: got -1"),
        ({"standardize": "rows"}, X, Y, "standardize: got 'rows'"),
    ],
)
def test_bad_input_is_named(change, x, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RecurrentGPRegressor(**change).fit(x, y)


def test_bad_questions_are_named():
    model = RecurrentGPRegressor(SHORT, fitted=("w_std",)).fit(X, Y)
    with pytest.raises(ValueError, match="return_cov: got True beside return_std"):
        model.predict(X, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match=r"theta: got shape \(2,\), expected \(3,\)"):
        model.log_marginal_likelihood([0.0, 0.0])


def test_left_out_blocks_are_those_of_processes_without_them():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(9, 9))
    covariance, y = root @ root.T + np.eye(9), rng.normal(size=(9, 2))
    factor, blocks = np.linalg.cholesky(covariance), blocks_of(np.array([6, 3]))
    found = block_errors(factor, np.linalg.solve(covariance, y), blocks)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(9)) and len(blocks) == 8
    for block in blocks:
        rest = np.setdiff1d(np.arange(9), block)
        gain = covariance[np.ix_(block, rest)] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
        own = covariance[np.ix_(block, block)] - gain @ covariance[np.ix_(rest, block)]
        expected = (y[block] - gain @ y[rest]) / np.sqrt(np.diagonal(own))[:, None]
        np.testing.assert_allclose(found[block], expected, rtol=1e-10, atol=1e-12)


def test_errors_of_blocks_of_a_draw_have_unit_size():
    rng = np.random.default_rng(0)
    at = np.arange(60)
    covariance = np.exp(-np.square(at[:, None] - at) / 50) + 0.01 * np.eye(60)
    factor = np.linalg.cholesky(covariance)
    y = factor @ rng.normal(size=(60, 400))
    errors = block_errors(factor, np.linalg.solve(covariance, y), blocks_of(np.array([60])))
    sizes = np.square(errors).mean(axis=0)
    assert abs(sizes.mean() - 1) < 4 * sizes.std() / 20


def test_calibration_multiplies_every_deviation():
    u, y = (one[0].ravel() for one in _record(120))
    # The second half follows another law: one process is wrong about them both.
    y = np.where(np.arange(120) < 60, y, -2 * y)
    x, later = u[None, :60, None], u[None, 60:, None]
    known = RecurrentGPRegressor(STEPS, fitted=()).fit(u[None, :, None], y[None])
    plain = RecurrentGPRegressor(STEPS, fitted=(), calibrate=False).fit(u[None, :, None], y[None])
    assert plain.calibration_ == 1 and known.calibration_ > 1.05
    (mean, std), (same, unit) = (m.predict(later, return_std=True) for m in (known, plain))
    np.testing.assert_array_equal(mean, same)
    np.testing.assert_allclose(std, known.calibration_ * unit, rtol=1e-12)
    _, covariance = known.predict(x, return_cov=True)
    _, std = known.predict(x, return_std=True)
    np.testing.assert_allclose(np.sqrt(np.diagonal(covariance)), std[0], rtol=1e-6)


def test_bands_never_become_narrower():
    """Standardised targets in which twice their deviation is held to be noise: errors are too small."""
    u, y = (one[0].ravel() for one in _record(60))
    model = RecurrentGPRegressor(STEPS, bounds={"noise": (4.0, 9.0)}).fit(u[None, :, None], y[None])
    errors = block_errors(model._factor, model.dual_coef_, blocks_of(np.array([60])))
    assert np.mean(np.square(errors)) < 0.7 and model.calibration_ == 1

"""Pieces of the experiments on diagonal networks: deviations, projections, fits."""

import math

import numpy as np
import pytest
from scipy import optimize

from ntkrnn.studies.learnability import EXPERIMENTS, learnability
from ntkrnn.studies.learnability import _ce24_learners as learners
from ntkrnn.studies.learnability import ce24_dynamical_systems as dynamical
from ntkrnn.studies.learnability import ce24_log_samples as log_samples
from ntkrnn.studies.learnability._ce24 import deviations, unit_sphere


def test_deviations_are_those_of_two_loops():
    """States by a loop, and the linear part by a centred difference of two more."""
    rng = np.random.default_rng(0)
    m, d, n, steps = 7, 2, 3, 5
    x = unit_sphere(rng, n, steps, d)
    w, u = 0.8 * rng.normal(size=m), rng.normal(size=(m, d))
    dw, du = 0.1 * rng.normal(size=m), 0.1 * rng.normal(size=(m, d))

    def run(share):
        h, found = np.zeros((n, m)), []
        for t in range(steps):
            h = np.sin((w + share * dw) * h + x[:, t] @ (u + share * du).T)
            found.append(h)
        return np.stack(found)

    found = deviations("sin", (w, u), (w + dw, u + du), x)
    np.testing.assert_allclose(found.hidden, run(1.0) - run(0.0), atol=1e-14)
    small = 1e-4
    linear = (run(small) - run(-small)) / (2 * small)
    # Third derivatives along the move are below 1 here: an error of small^2/6, and 1e-16/small.
    np.testing.assert_allclose(found.hidden - found.remainder, linear, atol=1e-8)


def test_a_logarithm_and_a_power_are_told_apart():
    counts = np.array([8, 64, 512, 4096])
    bend = 1e-3 * np.array([1, -1, -1, 1])
    assert log_samples._advantage(counts, 1 + 0.3 * np.log(counts) + bend) > 2
    assert log_samples._advantage(counts, 0.3 * counts**0.5 + bend) < -2


def test_the_power_of_the_figure_is_that_of_the_finding():
    counts = np.array([8, 64, 512, 4096])
    needed = 0.4 + 0.07 * np.log(counts)
    fit = log_samples._best_power(counts, needed)
    # scipy's own least squares, from the fit to the logarithms
    found, _ = optimize.curve_fit(lambda n, a, b: a * n**b, counts, needed, p0=(0.4, 0.1))
    np.testing.assert_allclose(fit, found[0] * counts ** found[1], rtol=2e-3)  # a grid of 1/2000 in b
    left = [((one - needed) ** 2).sum() for one in (fit, np.exp(np.polyval(
        np.polyfit(np.log(counts), np.log(needed), 1), np.log(counts))))]  # fmt: skip
    assert left[0] < left[1]


def test_regression_is_descent_in_the_directions_that_matter():
    """Rows by a loop; the ridge is top/steps, or the error of the kernel where that is larger."""
    rng = np.random.default_rng(1)
    n, m, steps, k = 3, 2, 4, 50
    features = rng.normal(size=(n + m, steps, 20))
    whole = np.einsum("atf,bsf->abts", features, features)
    y = rng.normal(size=(n, steps))
    rows, others = features[:n].reshape(-1, 20), features[n:].reshape(-1, 20)
    top = np.linalg.eigvalsh(rows @ rows.T)[-1]
    for floor, ridge, slack in ((0.0, top / k, 1e-5), (top, top, 1e-12)):
        found = learners.regress(whole[:n, :n], y, whole[n:, :n], floor, k)
        weights = np.linalg.solve(rows.T @ rows + ridge * np.eye(20), rows.T @ y.reshape(-1))
        # The largest eigenvalue is Lanczos', an outcome is 1/k as sensitive to it as y is large.
        np.testing.assert_allclose(found, (others @ weights).reshape(m, steps), atol=10 * slack)


def test_errors_are_those_over_the_best_constant():
    y = np.array([[1.0, 3.0], [5.0, 7.0]])
    assert learners.relative_error(np.full((2, 2), 4.0), y) == 1.0
    assert learners.relative_error(y, y) == 0.0
    found = dynamical.ratio(
        "q", np.array([2.0, 8.0]), np.array([1.0, 1.0]), relation="at most", predicted=1.0
    )
    assert found.value == pytest.approx(4.0) and found.interval[0] * found.interval[1] == pytest.approx(
        16
    )


def test_narma_needs_its_lag():
    settings = dynamical.Ce24DynamicalSystemsSettings(length=10)
    with pytest.raises(ValueError, match="length: got 10, expected more than 10"):
        dynamical.measure(settings, "narma10")
    with pytest.raises(ValueError, match="systems"):
        dynamical.sequences(settings, "lorenz", 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.startswith("ce24")])
def test_quick_settings_conclude(name):
    found = learnability(EXPERIMENTS[name], EXPERIMENTS[name].settings.quick()).conclusion
    assert found.findings and found.table.rows
    assert all(len(row) == len(found.table.columns) for row in found.table.rows)


def test_the_cutoff_in_a_tiny_setting():
    """The identity: the remainder of the move of w is quadratic in it, and grows as alpha^t."""
    experiment = EXPERIMENTS["ce24-cutoff"]
    tiny = experiment.settings(("identity",), (0.5, 3.0), length=12, width=64, samples=1, seeds=2)
    found = learnability(experiment, tiny).conclusion
    assert [one.relation for one in found.findings] == ["at most", "at least"]
    assert found.findings[1].value > math.log(3.0) / 2

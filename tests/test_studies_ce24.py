"""Pieces of the experiments on diagonal networks: deviations, projections, fits."""

import math

import numpy as np
import pytest

from ntkrnn.studies.learnability import EXPERIMENTS, learnability
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

"""Pieces of the experiments on gated cells: extrapolation, copies, rates, regression, subsets."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import ntkrnn
from ntkrnn.studies import StudyError
from ntkrnn.studies.learnability import EXPERIMENTS, learnability
from ntkrnn.studies.learnability import _real_learners as learners
from ntkrnn.studies.learnability import gated_finite_width as finite
from ntkrnn.studies.learnability import gated_memory as memory
from ntkrnn.studies.learnability import gated_real_sequences as real

EPS = np.finfo(float).eps

# Finite width


def test_extrapolation_is_a_weighted_fit_with_propagated_errors():
    rng = np.random.default_rng(0)
    widths = np.array([32, 64, 256, 1024])
    means, errors = rng.normal(size=(4, 2, 3)), rng.uniform(0.1, 1.0, size=(4, 2, 3))
    found = finite.extrapolate(widths, means, errors)
    for index in np.ndindex(2, 3):
        at = (slice(None), *index)
        line = lambda y: np.polyfit(1 / widths, y, 1, w=np.sqrt(widths))  # noqa: E731
        want = line(means[at])
        # What one standard error of one mean changes, for all means in turn.
        moves = np.array([line(means[at] + errors[at] * row) - want for row in np.eye(4)])
        both = np.sqrt((moves**2).sum(axis=0))
        # The condition of the normal equations is that of (1, 1/m), about (32 * 5)^2.
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=100 * 160**2 * EPS)  # noqa: E731
        close([found.slope[index] / 32, found.value[index]], want / [32, 1])
        close([found.slope_error[index] / 32, found.error[index]], both / [32, 1])


def networks_around(limit, slope, widths, seeds):
    """Kernels ``limit + slope/m`` with symmetric noise of size ``1/sqrt m``."""
    rng = np.random.default_rng(1)
    noise = 0.5 * rng.normal(size=(len(widths), seeds, *limit.shape))
    noise = noise + np.swapaxes(noise, -1, -2)
    m = np.array(widths)[:, None, None, None]
    return limit + slope / m + noise / np.sqrt(m)


def test_a_bias_of_order_1_over_m_is_told_from_a_wrong_limit():
    widths, seeds = (16, 32, 64, 128), 400
    limit = np.array([[2.0, 0.5, 0.3], [0.5, 1.5, 0.2], [0.3, 0.2, 1.0]])
    error = np.full_like(limit, 1e-4)
    kernels = networks_around(limit, 4 * limit, widths, seeds)
    row = finite.compared("x", widths, kernels, limit, error)
    # At m = 128 the bias is 3% of entries, whose errors are 0.5/sqrt(128 * 400) to 1/sqrt(...).
    assert row.z > 4
    # Six entries: one in 3000 of such tests has a |z| above 4 where nothing is wrong.
    assert row.z_limit < 4
    assert abs(row.size[0] - 1) < 4 * row.size[1]
    assert abs(row.bias[0] - 4 / 128) < 4 * row.bias[1] < 4 / 128
    # Errors of 1e-4 that go together: sum |K| 1e-4/||K||^2, far below those of the networks here.
    assert row.precision > 1e-4
    wrong = finite.compared("x", widths, kernels, 1.05 * limit, error)
    assert wrong.z_limit > 4 and abs(wrong.size[0] - 1) > 4 * wrong.size[1]
    # Relative errors of one network, by a loop.
    for w, s in ((0, 0), (3, 7)):
        by_hand = np.linalg.norm(kernels[w, s] - limit) / np.linalg.norm(limit)
        assert row.errors[w, s] == pytest.approx(by_hand, rel=100 * EPS)


def test_errors_of_the_size_know_that_entries_go_together():
    """All entries of a network times one factor: the size errs as the factor does."""
    limit, widths = np.array([[2.0, 1.0], [1.0, 2.0]]), (16, 64)
    factors = 1 + np.random.default_rng(2).normal(size=(2, 200)) / np.sqrt([[16], [64]])
    row = finite.compared("x", widths, factors[:, :, None, None] * limit, limit, 0 * limit)
    line = finite.extrapolate(widths, factors.mean(axis=1), stats.sem(factors, axis=1))
    assert row.size == pytest.approx((float(line.value), float(line.error)), rel=1e4 * EPS)


# Memory


def test_copies_differ_in_one_token_each():
    settings = memory.GatedMemorySettings(length=7, dim=3)
    x = memory.copies(settings, 2)
    assert x.shape == (8, 7, 3)
    for lag in range(7):
        differs = (x[1 + lag] != x[0]).all(axis=-1)
        assert differs.tolist() == [t == 6 - lag for t in range(7)]
    assert not np.array_equal(memory.copies(settings, 3), x)
    np.testing.assert_array_equal(memory.copies(settings, 2), x)


def test_distances_are_those_of_unit_vectors():
    """``1 - cos`` is half of the squared distance of the features over their lengths."""
    features = np.random.default_rng(3).normal(size=(5, 9))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    want = [0.5 * np.sum((unit[0] - one) ** 2) for one in unit[1:]]
    np.testing.assert_allclose(memory.distance(features @ features.T), want, atol=20 * EPS)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.1), (2.0, 1.3), (-1.0, 0.2)])
def test_what_the_gate_passes(mean, variance):
    size = np.sqrt(variance)
    value, _ = integrate.quad(
        lambda a: stats.norm.pdf(a, mean, size) / (1 + np.exp(-a)) ** 2,
        mean - 12,
        mean + 12,
        epsabs=1e-13,
    )
    # Poles of the sigmoid at a distance of pi slow the quadrature of 64 nodes down to this.
    assert memory.carried(mean, variance) == pytest.approx(np.log(value), abs=1e-8)


def test_rates_are_least_squares_up_to_the_floor():
    rng = np.random.default_rng(4)
    lags = np.arange(12)
    distances = np.exp(-0.8 * lags + 0.1 * rng.normal(size=(3, 12)))
    distances[1, 9] = 1e-9  # one of them is below the floor: the fit of all ends before it
    found = memory.rates(distances, 2, 1e-5)
    assert found.last == 8
    for row, rate in zip(distances, found.values, strict=True):
        assert rate == pytest.approx(np.polyfit(lags[2:9], np.log(row[2:9]), 1)[0], rel=1e3 * EPS)
    with pytest.raises(ValueError, match="got 2 lags with distances above"):
        memory.rates(distances, 7, 1e-5)


def test_memory_says_which_floor_is_too_high():
    experiment = EXPERIMENTS["gated-memory"]
    settings = dataclasses.replace(experiment.settings.quick(), biases=(0.0, 1.0), cells=("LSTM",))
    pieces = {
        job.name: {"distance": np.full((2, 2, 12), 1e-6), "carry": np.zeros(2)}
        for job in experiment.jobs(settings)
    }
    with pytest.raises(ValueError, match="got 0 lags with distances above"):
        experiment.concluded(settings, pieces)


# Real sequences

SMALL = dataclasses.replace(
    real.GatedRealSequencesSettings.quick(), train=30, validation=10, test=12, repetitions=2
)


def test_subsets_are_disjoint_and_centred():
    data = learners.split(SMALL, "digits", 0)
    assert data.x.shape == (52, 8, 8) and data.lengths is None
    assert len(np.unique(data.x.reshape(52, -1), axis=0)) == 52
    hot = data.targets + data.mean
    np.testing.assert_allclose(hot, np.eye(10)[data.classes], atol=4 * EPS)
    np.testing.assert_allclose(data.targets[:30].sum(axis=0), 0, atol=30 * 4 * EPS)
    assert not np.array_equal(learners.split(SMALL, "digits", 1).classes, data.classes)
    with pytest.raises(ValueError, match=re.escape("got 2000 sequences in all, expected at most the")):
        learners.split(dataclasses.replace(SMALL, train=1978), "digits", 0)


def test_vowels_are_no_longer_than_asked():
    pytest.importorskip("aeon")
    data = learners.split(SMALL, "japanese_vowels", 0)
    assert data.lengths is not None
    assert data.lengths.max() == data.x.shape[1] <= SMALL.longest
    padding = np.arange(data.x.shape[1]) >= data.lengths[:, None]
    assert padding.any() and (data.x[padding] == 0).all()


def test_the_ridge_is_the_best_in_validation():
    rng = np.random.default_rng(5)
    n, v, m = 20, 8, 6
    settings = dataclasses.replace(SMALL, train=n, validation=v, test=m)
    features = rng.normal(size=(n + v + m, 15))
    kernel = features @ features.T
    y = np.tanh(features[:, :3]) + 0.3 * rng.normal(size=(n + v + m, 3))
    found = learners.regress(kernel, y, settings)
    top = np.linalg.eigvalsh(kernel[:n, :n])[-1]
    tried = {}
    for ridge in learners.RIDGES:
        weights = np.linalg.solve(kernel[:n, :n] + ridge * top * np.eye(n), y[:n])
        outputs = kernel[n:, :n] @ weights
        tried[ridge] = (np.sum((outputs[:v] - y[n : n + v]) ** 2), outputs)
    best = min(tried, key=lambda ridge: tried[ridge][0])
    assert found.chosen == best and learners.RIDGES[-1] < best  # there is something to choose
    # A solve with condition 1/ridge.
    np.testing.assert_allclose(found.outputs, tried[best][1], atol=1e3 * EPS / best)


def test_errors_count_classes():
    settings = dataclasses.replace(SMALL, train=2, validation=1, test=4)
    classes = np.array([0, 1, 0, 0, 1, 1, 0])
    mean = np.array([0.5, 0.5])
    data = learners.Split(np.zeros((7, 1, 1)), None, classes, np.eye(2)[classes] - mean, mean)
    outputs = np.eye(2)[[1, 0, 1, 0, 0]] - mean  # of the rows to validate and to test
    assert learners.wrong(outputs, data, settings) == 0.25


def test_vowels_are_left_out_with_a_note_where_they_are_not_installed(monkeypatch):
    experiment = EXPERIMENTS["gated-real-sequences"]
    settings = dataclasses.replace(SMALL, sets=real.SETS, cells=("GRU",))
    monkeypatch.setattr(real, "_aeon", lambda: False)
    jobs = experiment.jobs(settings)
    assert {job.name.split("-")[0] for job in jobs} == {"digits"}
    rng = np.random.default_rng(6)
    pieces = {
        job.name: {
            "error": rng.uniform(size=3), "chosen": np.ones(3), "relative": np.array(0.0),
        }
        for job in jobs
    }  # fmt: skip
    found = experiment.concluded(settings, pieces)
    assert ("japanese_vowels", "left out:", "needs", "the extra", "[aeon]") in found.table.rows
    assert not any("vowels" in one.quantity for one in found.findings)
    with pytest.raises(StudyError, match=re.escape("pip install 'ntkrnn[aeon]'")):
        learnability(experiment, dataclasses.replace(settings, sets=("japanese_vowels",)))


@pytest.mark.slow
def test_a_network_is_taken_where_it_did_best_in_validation():
    """By a loop over steps of descent with momentum, written out."""
    settings = dataclasses.replace(SMALL, train=10, validation=5, test=4, steps=4, width=8)
    data, rate = learners.split(settings, "digits", 0), 0.5
    arch = ntkrnn.GRU(8, out_dim=10)
    found = learners.fit(arch, data, settings, rate, 0)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    start = init_fn(jax.random.fold_in(jax.random.key(1), 0), (-1, 8, 8))[1]
    x = jnp.asarray(data.x, jnp.result_type(float))
    shift = apply_fn(start, x)

    def loss(params):
        outputs = apply_fn(params, x[:10]) - shift[:10]
        return 0.5 * jnp.sum((outputs - data.targets[:10].astype(x.dtype)) ** 2) / 10

    params, speed, tried = start, jax.tree.map(jnp.zeros_like, start), {}
    for step in range(1, 5):
        speed = jax.tree.map(lambda v, g: learners.MOMENTUM * v + g, speed, jax.grad(loss)(params))
        params = jax.tree.map(lambda p, v: p - rate * v, params, speed)
        outputs = np.asarray(apply_fn(params, x) - shift, float)[10:]
        tried[step] = (np.sum((outputs[:5] - data.targets[10:15]) ** 2), outputs)
    best = min(tried, key=lambda step: tried[step][0])
    assert found.chosen == best
    # Sums of eight steps and eight neurons, four times; outputs of size 1.
    eps = float(jnp.finfo(x.dtype).eps)
    np.testing.assert_allclose(found.outputs, tried[best][1], atol=4 * 8 * 8 * eps)

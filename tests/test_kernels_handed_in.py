"""Kernels that callers hand in: judged alike, solved in float64, sampled ones like exact ones."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
from refusals import refused

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.dynamics import nngp_posterior

DTYPE = jnp.zeros(()).dtype
N = 5
RNG = np.random.default_rng(0)
GRAM = (lambda a: a @ a.T)(RNG.normal(size=(N, N + 1)))
Y, ZERO = RNG.normal(size=N), np.zeros(N)

JUDGES = {
    "step": (lambda k: dynamics.largest_stable_step(k), "ntk"),
    "flow": (lambda k: dynamics.gradient_flow(k, ZERO, Y, 1.0), "ntk"),
    "linearized": (lambda k: dynamics.linearized(k, ZERO, Y, learning_rate=0.1, steps=1), "ntk"),
    "ensemble-nngp": (
        lambda k: dynamics.trained_ensemble(ntkrnn.Kernels(k, GRAM), Y, 1.0),
        "train.nngp",
    ),
    "ensemble-ntk": (
        lambda k: dynamics.trained_ensemble(ntkrnn.Kernels(GRAM, k), Y, 1.0),
        "train.ntk",
    ),
    "posterior": (lambda k: nngp_posterior(k, Y, GRAM), "nngp"),
}
INDEFINITE = np.eye(N) - 0.9 * np.ones((N, N)) + 0.9 * np.eye(N)
NO_KERNELS = {
    "asymmetric": (GRAM + np.triu(np.ones((N, N)), 1), "not symmetric"),
    "negative": (-np.eye(N), r"got -1 at \[0, 0\]"),
    "indefinite": (INDEFINITE, "eigenvalue"),
    "boolean": (np.eye(N) > 0, "dtype bool"),
    "complex": (GRAM + 0j, "dtype complex"),
    "nan": (np.where(np.eye(N) > 0, np.nan, GRAM), "nan"),
    "of-others": (GRAM[:3], "shape"),
}


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("kind", NO_KERNELS)
def test_what_is_no_kernel_is_refused(judge, kind):
    call, name = JUDGES[judge]
    kernel, pattern = NO_KERNELS[kind]
    refused(lambda: call(kernel), name, pattern)


@pytest.mark.parametrize("judge", JUDGES)
def test_rounding_makes_no_difference(judge):
    """A singular kernel in float32, with an asymmetry and a negative eigenvalue of its rounding."""
    call, _ = JUDGES[judge]
    low = RNG.normal(size=(N, 2)).astype(np.float32)
    kernel = low @ low.T
    kernel[0, 1] = np.nextafter(kernel[0, 1], np.float32(9))
    if judge == "posterior":
        refused(lambda: call(kernel), "nngp", "least eigenvalue", "noise of at least")
    else:
        call(kernel)


# A recording of windows: neighbours are nearly equal, and the kernel is nearly singular.


def windows(n, steps):
    t = np.arange(n + steps)
    record = np.sin(t / 9) + 0.5 * np.sin(t / 23) + 0.1 * np.random.default_rng(1).normal(size=t.size)
    x = np.stack([record[k : k + steps] for k in range(n)])[:, :, None]
    return x, record[steps : n + steps]


@pytest.fixture(scope="module")
def recording():
    x, y = windows(500, 24)
    arch = ntkrnn.Elman(nonlinearity="erf", w_std=1.2, b_std=0.1)
    kernel = np.asarray(ntkrnn.network(arch).kernel_fn(x.astype(np.float32), get="nngp"))
    return kernel[:400, :400], y[:400], kernel[400:, :400], kernel[400:, 400:], y[400:]


def test_a_healthy_problem_of_float32_is_solved(recording):
    """The least eigenvalue is the noise, the largest 10^5 times as large."""
    nngp, y, test, both, truth = recording
    found = nngp_posterior(nngp, y, test, both, noise=1e-3)
    host = nngp.astype(np.float64) + 1e-3 * np.eye(400)
    mean = test.astype(np.float64) @ np.linalg.solve(host, y)
    np.testing.assert_allclose(found.mean[:, 0], mean, rtol=0, atol=1e-8 * np.abs(mean).max())
    spread = np.sqrt(np.diag(found.covariance) + 1e-3)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.2  # the noise of the recording is 0.1
    assert spread.min() > np.sqrt(1e-3)


def test_noise_that_a_refusal_proposes_works(recording):
    """For a kernel that is singular to its rounding, and for an indefinite one."""
    nngp, y, test, _, _ = recording
    twice = np.block([[nngp, nngp], [nngp, nngp]])
    for kernel, rows in ((twice, np.hstack([test, test])), (INDEFINITE, INDEFINITE)):
        targets = np.resize(y, len(kernel))
        with pytest.raises(ValueError, match=r"noise of at least (\S+?)[,.]? ?(or|$)") as caught:
            nngp_posterior(kernel, targets, rows)
        words = str(caught.value).split("noise of at least ")[1]
        noise = float(words.split()[0].rstrip(",."))
        assert np.isfinite(nngp_posterior(kernel, targets, rows, noise=noise).mean).all()


def test_the_least_eigenvalue_decides_and_not_the_largest(recording):
    """The threshold N eps lambda_max would ask for a noise hundreds of times too large."""
    nngp, y, test, _, _ = recording
    old = len(nngp) * np.finfo(np.float32).eps * np.linalg.eigvalsh(nngp.astype(np.float64))[-1]
    noise = old / 100
    found = nngp_posterior(nngp, y, test, noise=noise)
    factor = scipy.linalg.cho_factor(nngp.astype(np.float64) + noise * np.eye(len(nngp)))
    np.testing.assert_allclose(
        found.mean[:, 0], test.astype(np.float64) @ scipy.linalg.cho_solve(factor, y), rtol=0, atol=1e-7
    )


def test_variances_without_covariances_and_means_without_either(recording):
    nngp, y, test, both, _ = recording
    whole = nngp_posterior(nngp, y, test, both, noise=0.1)
    for given in (both, np.diag(both)):
        found = nngp_posterior(nngp, y, test, given, noise=0.1, diagonal=True)
        np.testing.assert_allclose(found.covariance, np.diag(whole.covariance), rtol=0, atol=1e-12)
        np.testing.assert_array_equal(found.mean, whole.mean)
    alone = nngp_posterior(nngp, y, test, noise=0.1)
    np.testing.assert_array_equal(alone.mean, whole.mean)
    assert alone.covariance is None
    refused(lambda: nngp_posterior(nngp, y, test, np.diag(both)), "nngp_test_test", "diagonal=True")
    refused(
        lambda: nngp_posterior(nngp, y, test, -np.diag(both), diagonal=True),
        "nngp_test_test",
        "at least 0",
    )
    refused(lambda: nngp_posterior(nngp, y, test[:, :3]), "nngp_test", r"expected \[M, 400\]")


def test_an_ensemble_s_variances_and_means_alone():
    a = RNG.normal(size=(8, 9))
    nngp, ntk = a @ a.T, GRAM[:3, :3]
    train = ntkrnn.Kernels(nngp[:5, :5], GRAM)
    test = ntkrnn.Kernels(nngp[5:, :5], RNG.normal(size=(3, 5)))
    given = (train, Y, [0.5, np.inf])
    whole = dynamics.trained_ensemble(*given, test=test, nngp_test_test=nngp[5:, 5:])
    for prior in (nngp[5:, 5:], np.diag(nngp[5:, 5:])):
        found = dynamics.trained_ensemble(*given, test=test, nngp_test_test=prior, diagonal=True)
        want = np.diagonal(whole.covariance, axis1=1, axis2=2)
        np.testing.assert_allclose(found.covariance, want, rtol=0, atol=1e-9 * np.abs(want).max())
    alone = dynamics.trained_ensemble(*given, test=test)
    np.testing.assert_array_equal(alone.mean, whole.mean)
    assert alone.covariance is None and ntk is not None


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        (ntkrnn.GRU(width=4), {"samples": 256, "replicates": 2}),
        (ntkrnn.Diagonal(width=4, readout="last"), {"samples": 64, "replicates": 2}),
    ],
    ids=["gru", "diagonal"],
)
def test_sampled_kernels_go_where_kernels_go(arch, options):
    x = RNG.normal(size=(6, 3, 2)).astype(DTYPE)
    kernel_fn = ntkrnn.network(arch).kernel_fn
    train, test = kernel_fn(x[:4], **options), kernel_fn(x[4:], x[:4], **options)
    y = np.array([1.0, -1.0, 0.5, 0.0])
    found = dynamics.trained_ensemble(train, y, [0.0, 1.0], test=test)
    plain = dynamics.trained_ensemble(
        ntkrnn.Kernels(train.nngp, train.ntk), y, [0.0, 1.0], test=ntkrnn.Kernels(test.nngp, test.ntk)
    )
    np.testing.assert_array_equal(found.mean, plain.mean)
    assert dynamics.largest_stable_step(train.ntk) > 0
    refused(
        lambda: dynamics.trained_ensemble(train.ntk, y, 1.0), "train", "both kernels", error=TypeError
    )


def test_a_run_that_diverges_warns_whatever_it_records():
    arch = ntkrnn.Elman(width=8, nonlinearity="identity", readout="mean")
    x = RNG.normal(size=(4, 6, 2)).astype(DTYPE)
    params = ntkrnn.network(arch).init_fn(jax.random.key(0), x.shape)[1]
    settings = {"optimizer": optax.sgd(1e6), "steps": 60, "at": [60]}
    for record in ("loss", "outputs"):
        with pytest.warns(dynamics.DivergedWarning, match="not finite"):
            dynamics.train(arch, params, x, x[:, 0, 0], record=record, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calm = {**settings, "optimizer": optax.sgd(1e-3), "steps": 2, "at": [2]}
        dynamics.train(arch, params, x, x[:, 0, 0], record="outputs", **calm)

"""Solves with kernels: against dense solves, refits without a row, and the theory of the iterations."""

import numpy as np
import pytest

from ntkrnn.solvers import auto, cholesky, leave_one_out, nystrom, pcg

N = 150


def _kernel(n=N, seed=0, scale=0.7):
    """A Gaussian kernel, whose eigenvalues fall fast."""
    x = np.random.default_rng(seed).normal(size=(n, 2))
    return np.exp(-((x[:, None] - x) ** 2).sum(axis=2) / (2 * scale**2))


def _targets(n=N, outputs=3):
    return np.random.default_rng(1).normal(size=(n, outputs))


def _condition(matrix):
    values = np.linalg.eigvals(matrix).real
    return values.max() / values.min()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [None, 3])
def test_cholesky_solves_in_float64_and_leaves_the_kernel_alone(dtype, outputs):
    kernel, ridge = _kernel().astype(dtype), 1e-3
    y = _targets()[:, 0] if outputs is None else _targets()
    before = kernel.copy()
    found = cholesky(kernel, y, ridge)
    exact = np.linalg.solve(kernel.astype(np.float64) + ridge * np.eye(N), y)
    assert found.coefficients.shape == y.shape
    # Backward stable: the error is the rounding of float64 times the condition.
    tolerance = N * np.finfo(np.float64).eps * np.linalg.cond(kernel + ridge * np.eye(N))
    np.testing.assert_allclose(found.coefficients, exact, rtol=0, atol=tolerance * np.abs(exact).max())
    assert found.method == "cholesky" and found.converged and found.residual < 1e-9
    np.testing.assert_array_equal(kernel, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conjugate_gradients_agree_with_cholesky(dtype):
    kernel, y, ridge = _kernel().astype(dtype), _targets(), 1e-3
    found = pcg(kernel, y, ridge, preconditioner=nystrom(kernel, ridge, 40), tolerance=1e-10)
    exact = cholesky(kernel, y, ridge).coefficients
    # |x - x*| <= |r| / ridge, and the residual is at most ten times the tolerance.
    bound = 1e-9 * np.linalg.norm(y, axis=0) / ridge
    assert (np.linalg.norm(found.coefficients - exact, axis=0) <= bound).all()
    assert found.converged and found.method == "pcg"


def test_a_preconditioner_saves_iterations_and_both_keep_the_bound_of_theory():
    kernel, y, ridge = _kernel(), _targets(), 1e-4
    matrix = kernel + ridge * np.eye(N)
    identity = lambda vectors: vectors  # noqa: E731
    counts = []
    for precondition in (nystrom(kernel, ridge, 60), identity):
        inverse = precondition(np.eye(N))
        condition = _condition(inverse @ matrix)
        found = pcg(kernel, y, ridge, preconditioner=precondition, tolerance=1e-6)
        # In the energy norm the error falls by (sqrt c - 1)/(sqrt c + 1); of residuals that is known up
        # to the condition of the matrix and of the preconditioner.
        rate = (np.sqrt(condition) - 1) / (np.sqrt(condition) + 1)
        start = 2 * np.sqrt(_condition(matrix))
        most = np.log(1e-6 / start) / np.log(rate) if rate > 0 else 1
        assert found.iterations <= np.ceil(most) + 1
        counts.append(found.iterations)
    assert counts[0] < counts[1] / 3


def test_the_preconditioner_is_the_inverse_where_it_has_full_rank():
    kernel, ridge = _kernel(30), 0.1
    precondition = nystrom(kernel, ridge, 30)
    product = precondition(kernel + ridge * np.eye(30))
    # Up to the factor that the definition has, and the directions that the factor left out.
    np.testing.assert_allclose(product / product[0, 0], np.eye(30), atol=1e-5)


def test_the_factor_draws_what_uniform_draws_miss():
    """One cluster of many points and ten points apart, which uniform draws rarely meet."""
    rng = np.random.default_rng(0)
    x = np.concatenate([1e-3 * rng.normal(size=(500, 1)), 10.0 + 10 * np.arange(10)[:, None]])
    kernel = np.exp(-((x - x.T) ** 2) / 2)
    precondition = nystrom(kernel, 1e-3, 11 * 64)
    assert precondition.values[10] > 0.9  # ten points of variance 1, and the cluster
    assert _condition(precondition(kernel + 1e-3 * np.eye(len(x)))) < 2


def test_the_same_seed_draws_the_same_columns():
    one, two, other = (nystrom(_kernel(), 1e-3, 20, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.values, two.values)
    assert not np.array_equal(one.values, other.values)


def test_auto_is_exact_for_what_fits(monkeypatch):
    assert auto(_kernel(), _targets(), 1e-3).method == "cholesky"
    monkeypatch.setattr("ntkrnn.solvers._auto.EXACT", N - 1)
    found = auto(_kernel(), _targets(), 1e-3)
    assert found.method == "pcg" and found.converged


@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 1.0])
def test_leave_one_out_is_that_of_refits(ridge):
    n = 40
    kernel, y = _kernel(n), _targets(n)
    path = leave_one_out(kernel, y, [ridge, 10.0])
    refits = np.empty_like(y)
    for i in range(n):
        rest = np.arange(n) != i
        inner = kernel[np.ix_(rest, rest)] + ridge * np.eye(n - 1)
        refits[i] = kernel[i, rest] @ np.linalg.solve(inner, y[rest])
    tolerance = n * np.finfo(np.float64).eps * np.linalg.cond(kernel + ridge * np.eye(n))
    np.testing.assert_allclose(path.predictions(0), refits, atol=100 * tolerance * np.abs(y).max())
    np.testing.assert_allclose(
        path.mean_squared_errors()[0], np.mean((refits - y) ** 2), rtol=200 * tolerance
    )
    counted = np.arange(n) % 3 == 0
    np.testing.assert_allclose(
        path.mean_squared_errors(counted)[0],
        np.mean((refits - y)[counted] ** 2),
        rtol=200 * tolerance,
    )


def test_coefficients_gcv_and_likelihood_are_those_of_their_definitions():
    n = 30
    kernel, y, ridges = _kernel(n), _targets(n), np.array([0.1, 2.0])
    path = leave_one_out(kernel, y, ridges)
    for i, ridge in enumerate(ridges):
        inverse = np.linalg.inv(kernel + ridge * np.eye(n))
        np.testing.assert_allclose(path.coefficients(i), inverse @ y, rtol=1e-9)
        hat = kernel @ inverse
        rest = np.eye(n) - hat
        gcv = np.mean((rest @ y) ** 2) / (np.trace(rest) / n) ** 2
        np.testing.assert_allclose(path.gcv[i], gcv, rtol=1e-9)
    # Profiled over s: the maximum over a fine grid of s of the density of y.
    scales = np.geomspace(1e-2, 1e2, 4001)
    for i, ridge in enumerate(ridges):
        spectrum = kernel + ridge * np.eye(n)
        quadratic = np.trace(y.T @ np.linalg.solve(spectrum, y))
        size = n * y.shape[1]
        density = -0.5 * (quadratic / scales + size * np.log(scales))
        density -= 0.5 * y.shape[1] * np.linalg.slogdet(spectrum)[1]
        # Constants in s apart: at the best s the quadratic form is the number of targets.
        np.testing.assert_allclose(
            path.log_marginal_likelihood[i], density.max() + 0.5 * size, atol=size * 1e-5
        )


def test_nothing_counts_and_every_ridge_is_alike():
    path = leave_one_out(_kernel(5), _targets(5), [0.1, 1.0])
    assert path.mean_squared_errors(np.zeros(5, bool)).tolist() == [0.0, 0.0]


def test_eigenvalues_of_rounding_below_zero_do_no_harm():
    kernel = np.ones((20, 20), np.float32)
    kernel[3, 4] = kernel[4, 3] = 1 + 2e-7
    path = leave_one_out(kernel, np.arange(20.0), [1e-9])
    assert np.isfinite(path.predictions(0)).all() and path.values.min() >= 0


INDEFINITE = np.diag([1.0, -0.5, 1.0])


def test_the_ridge_that_is_proposed_works():
    with pytest.raises(
        ValueError, match=r"kernel: .*least eigenvalue.*ridge of at least ([\d.e+-]+)"
    ) as e:
        cholesky(INDEFINITE, np.ones(3), 0.1)
    proposed = float(str(e.value).split("at least ")[1].split(",")[0])
    assert cholesky(INDEFINITE, np.ones(3), proposed).converged


def test_the_ridge_that_is_proposed_for_a_large_matrix_works():
    kernel = _kernel(80) - 0.3 * np.eye(80)
    with pytest.raises(ValueError, match="kernel: ") as e:
        cholesky(kernel, np.ones(80), 1e-3)
    proposed = float(str(e.value).split("at least ")[1].split(",")[0])
    assert cholesky(kernel, np.ones(80), proposed).converged


def test_conjugate_gradients_tell_an_indefinite_matrix():
    with pytest.raises(ValueError, match=r"kernel: got a direction of curvature"):
        pcg(INDEFINITE, np.ones(3), 0.1, preconditioner=lambda v: v)


def test_giving_up_is_said():
    kernel = _kernel()
    with pytest.warns(UserWarning, match=r"pcg: the residual is .* after 2 iterations"):
        found = pcg(kernel, _targets(), 1e-6, preconditioner=lambda v: v, max_iterations=2)
    assert not found.converged and found.iterations == 2


ASYMMETRIC = np.array([[1.0, 0.5], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("kernel", "y", "ridge", "error", "message"),
    [
        (ASYMMETRIC, np.ones(2), 1.0, ValueError, r"kernel: .*not symmetric, 0.5 at \[0, 1\]"),
        (np.ones((2, 3)), np.ones(2), 1.0, ValueError, r"kernel: got shape \(2, 3\)"),
        (np.full((2, 2), np.nan), np.ones(2), 1.0, ValueError, r"kernel: got nan at \[0, 0\]"),
        (np.eye(2) * 1j, np.ones(2), 1.0, TypeError, "kernel: got dtype complex128"),
        (np.eye(2), np.ones(3), 1.0, ValueError, r"y: got shape \(3,\)"),
        (np.eye(2), np.array([1.0, np.inf]), 1.0, ValueError, "y: "),
        (np.eye(2), np.ones(2), 0.0, ValueError, "ridge: got 0"),
        (np.eye(2), np.ones(2), "a", TypeError, "ridge: got 'a'"),
        (np.eye(2), np.ones(2), np.nan, ValueError, "ridge: got nan"),
    ],
)
def test_bad_input_is_named(kernel, y, ridge, error, message):
    for solve in (cholesky, auto):
        with pytest.raises(error, match=message):
            solve(kernel, y, ridge)
    with pytest.raises(error, match=message):
        pcg(kernel, y, ridge, preconditioner=lambda v: v)


def test_bad_ridges_and_ranks_are_named():
    with pytest.raises(ValueError, match="ridges: got "):
        leave_one_out(np.eye(2), np.ones(2), [0.0])
    with pytest.raises(ValueError, match="rank: got 0"):
        nystrom(np.eye(2), 1.0, 0)


def test_memory_is_asked_for_before_any_work(monkeypatch):
    monkeypatch.setenv("NTKRNN_MEMORY_LIMIT", "1K")
    kernel = np.eye(3000, dtype=np.float32)
    with pytest.raises(ValueError, match=r"kernel: .*N=3000.*pcg"):
        cholesky(kernel, np.ones(3000), 1.0)
    with pytest.raises(ValueError, match=r"kernel: .*eigendecomposition of N=3000"):
        leave_one_out(kernel, np.ones(3000), [1.0])

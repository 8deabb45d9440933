"""Solves with kernels in stores, and with kernels that are computed anew, against dense float64."""

import numpy as np
import pytest
import scipy.linalg
from test_gram_store import Stopped

import ntkrnn
from ntkrnn import _progress, gram, solvers

pytest.importorskip("zarr")
ARCH = ntkrnn.Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3)
N, RIDGE = 400, 0.1
X = np.random.default_rng(0).normal(size=(N, 8, 2)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(N, 3))


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    stored = gram.compute(
        ARCH, X, store=tmp_path_factory.mktemp("gram") / "g", get="ntk", tile=128, progress=False
    )
    return {"stored": stored, "lazy": gram.lazy(ARCH, X, tile=128), "array": np.asarray(stored)}


@pytest.fixture(scope="module")
def exact(kernels):
    system = kernels["array"].astype(np.float64) + RIDGE * np.eye(N)
    return system, np.linalg.solve(system, Y)


def error(found, exact):
    return np.abs(found - exact).max() / np.abs(exact).max()


def rounding(system):
    """What rounding of float64 makes of a solution at most, up to a small factor."""
    return 16 * N * np.finfo(np.float64).eps * np.linalg.cond(system)


@pytest.mark.parametrize("kind", ["stored", "lazy", "array"])
def test_cholesky(kernels, exact, kind):
    system, x = exact
    found = solvers.cholesky(kernels[kind], Y, RIDGE)
    assert error(found.coefficients, x) < rounding(system)
    determinant = np.linalg.slogdet(system)[1]
    assert abs(found.log_determinant - determinant) < 1e-10 * abs(determinant)


@pytest.mark.parametrize("kind", ["stored", "lazy"])
def test_a_factor_in_a_store(kernels, exact, kind, tmp_path):
    system, x = exact
    found = solvers.cholesky(kernels[kind], Y, RIDGE, store=tmp_path / "factor")
    assert error(found.coefficients, x) < rounding(system)
    factor = solvers.factor(kernels[kind], RIDGE, store=tmp_path / "factor")
    assert found.log_determinant == factor.log_determinant
    determinant = np.linalg.slogdet(system)[1]
    assert abs(factor.log_determinant - determinant) < 1e-10 * abs(determinant)
    new = np.random.default_rng(2).normal(size=(5, 8, 2)).astype(np.float32)
    kernel_fn = ntkrnn.network(ARCH).kernel_fn
    cross = np.asarray(kernel_fn(X, new, "ntk"), np.float64)
    own = np.asarray(kernel_fn(new, get="ntk", diagonal=True), np.float64)
    expected = own - np.einsum("nm,nm->m", cross, np.linalg.solve(system, cross))
    assert error(factor.variances(cross, own), expected) < rounding(system)
    with pytest.raises(ValueError, match=r"cross: got shape \(5, 400\)"):
        factor.variances(cross.T, own)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_a_factorisation_that_was_ended_is_continued(kernels, tmp_path, count):
    def stop(done, total, what):
        if done == count:
            raise Stopped

    with pytest.raises(Stopped), _progress.listening(stop):
        solvers.factor(kernels["stored"], RIDGE, store=tmp_path / "f")
    said = []
    with _progress.listening(lambda done, total, what: said.append(done)):
        continued = solvers.factor(kernels["stored"], RIDGE, store=tmp_path / "f")
    assert said == list(range(count + 1, 11))
    whole = solvers.factor(kernels["stored"], RIDGE, store=tmp_path / "w")
    assert (continued.solve(Y) == whole.solve(Y)).all()


def test_a_factor_of_something_else_is_refused(kernels, tmp_path):
    solvers.factor(kernels["stored"], RIDGE, store=tmp_path / "f")
    with pytest.raises(gram.StoreError, match=r"ridge = 0\.1, and this call has ridge = 0\.2"):
        solvers.factor(kernels["stored"], 0.2, store=tmp_path / "f")
    other = gram.lazy(ARCH, X + 1, tile=128)
    with pytest.raises(gram.StoreError, match="kernel = "):
        solvers.factor(other, RIDGE, store=tmp_path / "f")
    with pytest.raises(TypeError, match=r"kernel: got ndarray, expected one of ntkrnn\.gram"):
        solvers.factor(kernels["array"], RIDGE, store=tmp_path / "g")
    with pytest.raises(ValueError, match=r"expected one number for a pair of sequences, and x2=None"):
        solvers.auto(gram.lazy(ARCH, X[:9], X[:9]), np.ones(9), RIDGE)


def test_duplicates_with_too_small_a_ridge_have_a_message(tmp_path):
    twice = gram.lazy(ARCH, np.concatenate([X[:100]] * 3), tile=128)
    with pytest.raises(ValueError, match=r"not positive definite with ridge=1e-12 within rows"):
        solvers.factor(twice, 1e-12, store=tmp_path / "f")


@pytest.mark.parametrize("kind", ["stored", "lazy"])
def test_conjugate_gradients(kernels, exact, kind):
    system, x = exact
    precondition = solvers.nystrom(kernels[kind], RIDGE, rank=100)
    found = solvers.pcg(kernels[kind], Y, RIDGE, preconditioner=precondition, tolerance=1e-10)
    # |x - x*| <= |residual| / least eigenvalue
    least = float(scipy.linalg.eigvalsh(system)[0])
    assert found.converged
    gap = np.linalg.norm(found.coefficients - x, axis=0)
    assert (gap <= 2e-9 * np.linalg.norm(Y, axis=0) / least).all()


def test_conjugate_gradients_that_were_ended_go_on(kernels, tmp_path):
    file = tmp_path / "state.npz"
    precondition = solvers.nystrom(kernels["array"], RIDGE, rank=10)
    calls = []

    def ended(vectors):
        calls.append(len(vectors))
        if len(calls) == 26:
            raise Stopped
        return precondition(vectors)

    whole = solvers.pcg(kernels["array"], Y, RIDGE, preconditioner=precondition)
    assert whole.iterations > 30
    with pytest.raises(Stopped):
        solvers.pcg(kernels["array"], Y, RIDGE, preconditioner=ended, checkpoint=file)
    with pytest.raises(
        ValueError, match=r"checkpoint: .* is of a diagonal, targets and ridge with digest"
    ):
        solvers.pcg(kernels["array"], Y, 2.0, preconditioner=precondition, checkpoint=file)
    with pytest.raises(ValueError, match=r"checkpoint: .* is of a diagonal"):
        solvers.pcg(2 * kernels["array"], Y, RIDGE, preconditioner=precondition, checkpoint=file)
    calls.clear()

    def counted(vectors):
        calls.append(len(vectors))
        return precondition(vectors)

    found = solvers.pcg(kernels["array"], Y, RIDGE, preconditioner=counted, checkpoint=file)
    assert (found.coefficients == whole.coefficients).all()
    assert found.iterations == whole.iterations and len(calls) == whole.iterations - 20 + 1
    assert not file.exists()
    file.write_text("no archive")
    with pytest.raises(ValueError, match="is no checkpoint"):
        solvers.pcg(kernels["array"], Y, RIDGE, preconditioner=precondition, checkpoint=file)


@pytest.mark.parametrize("kind", ["stored", "lazy", "array"])
def test_the_error_of_a_preconditioner_is_what_its_columns_leave(kernels, kind):
    """Against the nuclear norm of the difference, from its eigenvalues."""
    dense, found = kernels["array"].astype(np.float64), solvers.nystrom(kernels[kind], RIDGE, rank=100)
    left = dense - (found.vectors * found.values) @ found.vectors.T
    norm = np.abs(scipy.linalg.eigvalsh(left)).sum()
    # Entries of float32 have rounding of N eps of the trace at most.
    assert abs(found.error - norm / np.trace(dense)) < N * np.finfo(np.float32).eps
    assert 0.01 < found.error < 0.9


def test_a_path_of_ridges_reads_the_store_once(kernels):
    found = solvers.leave_one_out(kernels["stored"], Y, [0.1, 1.0])
    expected = solvers.leave_one_out(kernels["array"], Y, [0.1, 1.0])
    assert (found.coefficients(1) == expected.coefficients(1)).all()

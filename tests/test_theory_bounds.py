"""Complexities, alignment, Schur bounds and scalings: against second routes and proven properties."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import ntkrnn
from ntkrnn import theory

EPS64 = float(np.finfo(np.float64).eps)
DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
N = 24


def sphere_tokens(seed, n, norms, d, shared=()):
    """``[n, L, d]``: tokens of these norms in uniform directions, equal in all rows where shared."""
    x = np.random.default_rng(seed).normal(size=(n, len(norms), d))
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    x[:, list(shared)] = x[:1, list(shared)]
    return x * np.asarray(norms)[:, None]


def kernel(x):
    """The tangent kernel of the ReLU network with W trained, last step, in float64."""
    distance, state, ntk, size = 0.0, 0.0, 0.0, 0.0
    for step in range(x.shape[1]):
        size = size + np.mean(np.sum(x[:, step] ** 2, axis=1))  # tokens have the same norms
        apart = ((x[:, None, step] - x[None, :, step]) ** 2).sum(-1) / 2
        cosine = 1 - (distance + apart) / size
        angle = 2 * np.arcsin(np.sqrt((1 - cosine) / 2))  # exactly 0 on the diagonal
        ntk = (1 - angle / np.pi) * (state + ntk)
        distance = size * (1 - cosine - (np.sin(angle) - angle * cosine) / np.pi)
        state = size - distance
    return ntk


H = kernel(sphere_tokens(0, N, np.ones(4), 3))
RNG = np.random.default_rng(1)
Y, LABELS = RNG.normal(size=(N, 2)), RNG.choice([-1.0, 1.0], N)


def test_the_kernel_of_these_tests_is_the_architecture_s():
    x = sphere_tokens(0, N, np.ones(4), 3)
    arch = ntkrnn.Elman(nonlinearity="relu", w_std=2**0.5, u_std=6**0.5, trainable=("w",))
    got = ntkrnn.network(arch).kernel_fn(jnp.asarray(x), get="ntk")
    np.testing.assert_allclose(got, H, rtol=0, atol=4 * 8 * EPS * H.max())


# Kernel complexity


def test_complexity_is_the_quadratic_form():
    found = theory.kernel_complexity(H, Y)
    values, vectors = np.linalg.eigh(H)
    want = np.sum((vectors.T @ Y) ** 2 / values[:, None], axis=0)
    condition = np.abs(H).sum(0).max() * np.abs(np.linalg.inv(H)).sum(0).max()
    rtol = N * EPS64 * condition
    np.testing.assert_allclose(found.quadratic, want, rtol=rtol)
    np.testing.assert_allclose(found.value, np.sqrt(want / N), rtol=rtol)
    # LAPACK's estimate is a lower bound, and hardly ever below a third of the condition.
    assert condition / 3 <= found.condition <= condition * (1 + rtol)
    assert found.error == found.condition * EPS64
    one = theory.kernel_complexity(H, Y[:, 0])
    assert np.shape(one.value) == () and one.value == pytest.approx(found.value[0], rel=rtol)


def test_complexity_is_the_norm_of_the_ridge_machine():
    """scikit-learn's dual coefficients a = (H + ridge I)^{-1} y have ``y^T a``."""
    from sklearn.kernel_ridge import KernelRidge

    ridge = 0.3
    dual = KernelRidge(alpha=ridge, kernel="precomputed").fit(H, Y).dual_coef_
    found = theory.kernel_complexity(H, Y, ridge=ridge)
    np.testing.assert_allclose(
        found.quadratic, np.sum(Y * dual, axis=0), rtol=N * EPS64 * found.condition
    )


def test_complexity_scales_and_shrinks_with_the_ridge():
    found = theory.kernel_complexity(4 * H, 3 * Y[:, 0])
    assert found.value == pytest.approx(1.5 * theory.kernel_complexity(H, Y[:, 0]).value, rel=1e-12)
    values = [theory.kernel_complexity(H, Y[:, 0], ridge=r).value for r in (0, 0.1, 1, 10)]
    assert (np.diff(values) < 0).all()


def test_float32_kernels_lose_what_the_error_says():
    exact = theory.kernel_complexity(H, Y)
    found = theory.kernel_complexity(H.astype(np.float32), Y)
    assert found.error == pytest.approx(exact.condition * np.finfo(np.float32).eps, rel=1e-3)
    # Entries are off by eps |H|; in the quadratic form that is at most eps |a|^T |H| |a|, a = H^{-1} y.
    difference = np.abs(found.quadratic / exact.quadratic - 1)
    assert (difference < N * found.error).all() and (difference > EPS64 * exact.condition).any()
    same = theory.kernel_complexity(jnp.asarray(H, jnp.float32), Y)
    np.testing.assert_array_equal(same.quadratic, found.quadratic)


def test_duplicates_are_named_with_the_remedy():
    twice = np.r_[0:5, 2]
    with pytest.raises(theory.SingularKernelError) as caught:
        theory.kernel_complexity(H[np.ix_(twice, twice)], np.ones(6))
    message = str(caught.value)
    assert message.startswith("ntk: got n=6 rows with eigenvalues from ")
    assert (
        "1 pairs of equal rows, the first (2, 5)" in message and "drop duplicate sequences" in message
    )
    ridge = float(message.rsplit("ridge of at least ", 1)[1].rstrip("."))
    found = theory.kernel_complexity(H[np.ix_(twice, twice)], np.ones(6), ridge=ridge)
    assert np.isfinite(found.value)


def test_a_kernel_beyond_its_own_precision_is_refused():
    near = np.array([[1.0, 1 - 1e-7], [1 - 1e-7, 1.0]])
    assert theory.kernel_complexity(near, [1, 2]).condition > 1e6
    with pytest.raises(theory.SingularKernelError, match="compute the kernel in float64"):
        theory.kernel_complexity(near.astype(np.float32), [1, 2])
    with pytest.raises(theory.SingularKernelError, match=r"eigenvalues from -1\.0e"):
        theory.margin_complexity(np.diag([1.0, -1.0]), [1, 1])


# Margins


def test_margin_complexity_is_the_constrained_minimum():
    """SciPy's trust-region solver on the primal, which the library never forms."""
    h, y = H[:7, :7], LABELS[:7]
    inverse = np.linalg.inv(h)
    want = scipy.optimize.minimize(
        lambda t: t @ inverse @ t,
        y,
        jac=lambda t: 2 * inverse @ t,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda t: y * t - 1, "jac": lambda t: np.diag(y)},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert want.success
    found = theory.margin_complexity(h, y)
    assert found.quadratic == pytest.approx(want.fun, rel=1e-7)  # SLSQP's own accuracy
    np.testing.assert_allclose(found.labels_tilde, want.x, atol=1e-4)


@pytest.mark.parametrize("labels", ["random", "easy"])
def test_margin_complexity_is_the_support_vector_machine_without_bias(labels):
    """Every row twice, as (x, y) and (-x, -y): by symmetry the machine with a bias has bias 0."""
    from sklearn.svm import SVC

    x = sphere_tokens(2, 60, np.ones(3), 2)
    h = kernel(x)
    y = np.sign(x[:, -1, 0]) if labels == "easy" else np.random.default_rng(3).choice([-1.0, 1.0], 60)
    both = np.block([[h, -h], [-h, h]])
    machine = SVC(kernel="precomputed", C=1e10, tol=1e-10).fit(both, np.r_[y, -y])
    found = theory.margin_complexity(h, y)
    # libsvm keeps kernels in float32.
    atol = np.finfo(np.float32).eps * found.condition
    np.testing.assert_allclose(machine.decision_function(both)[:60], found.labels_tilde, atol=atol)
    if labels == "easy":
        assert len(found.support) < 60
        assert found.value < theory.kernel_complexity(h, y).value


def test_margin_conditions_hold():
    x = sphere_tokens(4, 80, np.ones(3), 2)
    h, y = kernel(x), np.sign(x[:, 0, 0] + x[:, 1, 1])
    found = theory.margin_complexity(h, y)
    rounding = 80 * EPS64 * found.condition
    off = np.setdiff1d(np.arange(80), found.support)
    margins = y * found.labels_tilde
    assert margins.min() >= 1 and (found.weights[off] == 0).all() and (found.weights >= 0).all()
    np.testing.assert_allclose(margins[found.support], 1, rtol=rounding)
    np.testing.assert_allclose(h @ (y * found.weights), found.labels_tilde, rtol=rounding)
    assert found.quadratic == pytest.approx(found.weights.sum(), rel=rounding)
    assert found.quadratic == pytest.approx(
        theory.kernel_complexity(h, found.labels_tilde).quadratic, rel=rounding
    )
    assert 0 <= found.gap < rounding
    assert found.value <= theory.kernel_complexity(h, y).value * (1 + rounding)


def test_margin_complexity_of_an_independent_kernel_is_the_labels_own():
    found = theory.margin_complexity(np.diag([4.0, 1.0]), [1, -1])
    assert found.quadratic == pytest.approx(1.25, rel=4 * EPS64)
    np.testing.assert_allclose(found.labels_tilde, [1, -1], rtol=4 * EPS64)


# Spectrum


def test_cumulative_power():
    values, vectors = np.linalg.eigh(H)
    power = theory.cumulative_power(H, Y)
    want = np.cumsum(np.sum((vectors.T[::-1] @ Y) ** 2, axis=1)) / np.sum(Y**2)
    np.testing.assert_allclose(power, want, rtol=0, atol=N * EPS64)
    assert power[-1] == 1 and (np.diff(power) >= 0).all()
    alone = theory.cumulative_power(H, vectors[:, -3])
    gap = np.min(np.diff(values))
    np.testing.assert_allclose(alone, np.arange(N) >= 2, rtol=0, atol=N * EPS64 * values[-1] / gap)


def test_alignment_is_the_definition():
    centre = np.eye(N) - 1 / N
    for centred, c in ((True, centre), (False, np.eye(N))):
        k, t = c @ H @ c, c @ Y @ Y.T @ c
        want = np.sum(k * t) / np.sqrt(np.sum(k**2) * np.sum(t**2))
        assert theory.alignment(H, Y, centred=centred) == pytest.approx(want, rel=N**2 * EPS64)
    y = Y[:, 0]
    assert theory.alignment(np.outer(y, y), 2 * y, centred=False) == pytest.approx(1, rel=N * EPS64)
    shifted = theory.alignment(H + 7, Y + 3)
    assert shifted == pytest.approx(theory.alignment(H, Y), rel=N**2 * EPS64 * 10)


# Schur bounds


def series(*coefficients):
    return types.SimpleNamespace(coefficients=coefficients)


def additive(parts, directions):
    return types.SimpleNamespace(series=tuple(parts), directions=directions)


REGIMES = {
    "unit": (np.ones(6), ()),
    "rescaled": (np.r_[1.0, np.full(5, 6**-1.5)], (0,)),
    "uneven": (np.array([0.5, 2.0, 0.2, 1.0, 0.7, 0.3]), ()),
}


def norm_of(h, y):
    return float(np.sqrt(theory.kernel_complexity(h, y).quadratic))


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_additive_targets_are_below_their_bound(regime, degree):
    norms, shared = REGIMES[regime]
    x = sphere_tokens(5, 120, norms, 3, shared)
    h, rng = kernel(x), np.random.default_rng(degree)
    # one position, and all at once with all degrees up to this one
    for target_positions in ([2], [5], range(6)):
        parts, beta = [None] * 6, rng.normal(size=(6, 3)) / norms[:, None]
        for p in target_positions:
            single = [0.0] * degree + [1.0]
            parts[p] = series(*(rng.normal(size=degree + 1) if len(target_positions) > 1 else single))
        y = np.zeros(120)
        for p, part in enumerate(parts):
            if part is not None:
                y += np.polynomial.polynomial.polyval(x[:, p] @ beta[p], part.coefficients)
        bound = theory.schur_bound(additive(parts, beta), norms, shared=shared)
        assert bound == theory.additive_schur_bound(parts, beta, norms, shared=shared)
        assert 0 < norm_of(h, y) <= bound < np.inf


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("positions", [(4, 5), (1, 5), (3, 5, 4)], ids=str)
def test_n_variable_targets_are_below_their_bound(regime, positions):
    norms, shared = REGIMES[regime]
    x = sphere_tokens(6, 120, norms, 2, shared)
    h, rng = kernel(x), np.random.default_rng(0)
    beta = rng.normal(size=(len(positions), 2)) / norms[list(positions), None]
    z = np.einsum("nkd,kd->n", x[:, list(positions)], beta)
    for c in ((0, 1), (0, 0, 1), (0, 0, 0, 1.0), (0.5, -1, 0, 0.2)):
        target = types.SimpleNamespace(series=series(*c), positions=positions, directions=beta)
        bound = theory.schur_bound(target, norms, shared=shared)
        again = theory.n_variable_schur_bound(target.series, positions, beta, norms, shared=shared)
        assert bound == again
        assert 0 < norm_of(h, np.polynomial.polynomial.polyval(z, c)) <= bound < np.inf


@pytest.mark.parametrize("eps_x", [1.0, 5**-1.5])
def test_token_targets_are_below_their_bounds_at_every_step(eps_x):
    choices = (theory.PowerSeries.monomial(1), theory.PowerSeries((0.0, 0.5, -1.0)))
    target = theory.TokenTarget.sample(3, 5, 3, out_dim=2, series=choices)
    raw = theory.sample_tokens(4, 120, 5, 2)
    kernel = theory.relu_recurrent_ntk(theory.al19_tokens(raw, eps_x))
    y = target(theory.true_tokens(raw))
    bounds = theory.token_schur_bounds(target, eps_x)
    assert (bounds[0] == 0).all() and (bounds[1:] > 0).all()
    for j in range(1, 5):
        for channel in range(2):
            found = theory.kernel_complexity(kernel[:, :, j + 1, j + 1], y[:, j, channel])
            assert 0.02 * bounds[j, channel] < found.quadratic**0.5 <= bounds[j, channel]


def test_the_bound_of_one_monomial_is_nearly_reached():
    """More samples come closer to the norm of the function: a tenth off the bound would be too much."""
    norms, shared = np.r_[1.0, np.full(2, 3**-1.5)], (0,)
    x = sphere_tokens(7, 200, norms, 2, shared)
    h, beta = kernel(x), np.array([[0.0, 0.0], [0.6, 0.8], [0.0, 0.0]])
    for c, least in (((1.0,), 0.98), ((0.0, 1.0), 0.9)):
        bound = theory.additive_schur_bound((None, series(*c), None), beta, norms, shared=shared)
        y = np.polynomial.polynomial.polyval(x[:, 1] @ beta[1], c)
        ratios = [norm_of(h[:n, :n], y[:n]) / bound for n in (25, 50, 100, 200)]
        assert (np.diff(ratios) > 0).all()  # adding rows adds to the norm
        assert least < ratios[-1] <= 1


def test_bounds_by_hand():
    """One token of each kind, with the coefficients of the series written out."""
    norms, beta = np.ones(3), np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]])
    a = [theory.monomial_coefficients(norms, 2, positions=[p]).coefficients for p in (0, 2)]
    parts = (series(1.0, -2.0, 0.5), None, series(0.5, 0.0, 3.0))
    want = 1.5 / a[0][0] ** 0.5 + 10 / a[0][1] ** 0.5 + 12.5 / a[0][2] ** 0.5 + 12 / a[1][2] ** 0.5
    assert theory.additive_schur_bound(parts, beta, norms) == pytest.approx(want, rel=1e-9)
    pair = theory.monomial_coefficients(norms, 2, positions=[0, 2]).coefficients
    worst = max(1 / pair[2, 0], 2 / pair[1, 1], 1 / pair[0, 2]) ** 0.5
    found = theory.n_variable_schur_bound(series(0, 0, 3.0), [0, 2], beta[[0, 2]], norms)
    assert found == pytest.approx(3 * 29 * worst, rel=1e-9)


def test_a_shared_token_counts_as_a_constant():
    norms, shared = np.array([2.0, 1.0, 1.0]), (0,)
    beta = np.array([[0.5, 0.0], [0.0, 0.0], [0.0, 0.0]])
    found = theory.additive_schur_bound((series(0.0, 2.0, 1.0), None, None), beta, norms, shared=shared)
    a = theory.monomial_coefficients(norms, 0, positions=[1], shared=shared).coefficients[0]
    assert found == pytest.approx((2 * 1 + 1) / a**0.5, rel=1e-9)


def test_bounds_of_both_regimes_grow_as_the_theory_says():
    """Degree q at a middle token: ``L^{(q-1)/2}`` rescaled; unit norms lose an early token."""
    lengths = np.array([16, 32, 64])
    for q in (1, 2, 3):
        bounds = []
        for n in lengths:
            norms, parts = np.r_[1.0, np.full(n - 1, n**-1.5)], [None] * n
            parts[n // 2] = series(*[0.0] * q, 1.0)
            beta = np.full((n, 1), n**1.5)  # unit in unit tokens
            bounds.append(theory.additive_schur_bound(parts, beta, norms, shared=(0,)))
        slopes = np.diff(np.log(bounds)) / np.log(2)
        np.testing.assert_allclose(slopes, (q - 1) / 2, atol=1 / 16)  # corrections are of order 1/L
    line = series(0.0, 1.0)
    early = [
        theory.additive_schur_bound((line,) + (None,) * (n - 1), np.ones((n, 1)), np.ones(n))
        for n in (32, 64)
    ]
    assert early[1] > 10 * early[0]


def test_what_rounding_hides_has_no_bound():
    parts = (series(0.0, 1.0),) + (None,) * 199
    assert theory.additive_schur_bound(parts, np.ones((200, 1)), np.ones(200)) == np.inf
    # ... and costs nothing where it is not used.
    parts = (series(0.0), *(None,) * 198, series(0.0, 1.0))
    assert theory.additive_schur_bound(parts, np.ones((200, 1)), np.ones(200)) < 2


# Scalings


def test_scalings_have_their_exponents():
    length, eps, width = np.array([8.0, 16.0]), np.array([0.1, 0.05]), np.array([1e2, 1e4])
    ratio = lambda a: float(a[1] / a[0])  # noqa: E731
    near = lambda value: pytest.approx(value, rel=1e-12)  # noqa: E731
    assert ratio(theory.al19_width(2.0, eps, 8, power_eps=3)) == near(8)
    assert ratio(theory.al19_width(2.0, 0.1, length, power_length=2)) == near(4)
    assert ratio(theory.al19_width(length, 0.1, 8, power_complexity=5)) == near(32)
    assert theory.al19_width(2.0, 0.1, 8, constant=7) == near(7 * 2 * 8 * 10)
    assert ratio(theory.al19_samples(2.0, 0.1, 8, width)) == near(2)  # logarithmic in the width
    assert ratio(theory.al19_samples(2.0, 0.1, 8, width, power_log=0)) == near(1)
    assert ratio(theory.al19_samples(length, 0.1, 8, 64)) == near(4)
    assert ratio(theory.wshc21_samples(length, eps, 8)) == near(16)
    assert ratio(theory.wshc21_samples(1.0, 0.1, length, power_length=2)) == near(4)
    extra = theory.wshc21_samples(1.0, 0.1, 8, delta=0.01) - theory.wshc21_samples(1.0, 0.1, 8)
    assert extra == near(100 * np.log(100))
    assert theory.al19_width(np.ones((3, 1)), eps, 8).shape == (3, 2)


# What is refused

GRAM = np.eye(3)
BAD = {
    "rank": (lambda: theory.kernel_complexity(np.ones(3), np.ones(3)), "ntk: got shape .3,."),
    "not-square": (
        lambda: theory.kernel_complexity(np.ones((3, 2)), np.ones(3)),
        "ntk: got shape .3, 2.",
    ),
    "empty": (lambda: theory.kernel_complexity(np.ones((0, 0)), np.ones(0)), "ntk: got shape .0, 0."),
    "nan": (lambda: theory.kernel_complexity(GRAM * np.nan, np.ones(3)), r"ntk: got nan at \[0, 0\]"),
    "complex": (lambda: theory.kernel_complexity(GRAM * 1j, np.ones(3)), "ntk: got dtype complex"),
    "strings": (lambda: theory.kernel_complexity([["a"]], np.ones(1)), "ntk: got dtype"),
    "zeros": (lambda: theory.kernel_complexity(0 * GRAM, np.ones(3)), "ntk: got zeros only"),
    "ragged": (
        lambda: theory.kernel_complexity([[1, 2], [1]], np.ones(2)),
        "ntk: got nested sequences",
    ),
    "asymmetric": (
        lambda: theory.kernel_complexity(np.triu(np.ones((3, 3))), np.ones(3)),
        "ntk: got a matrix that differs from its transpose",
    ),
    "traced": (
        lambda: jax.jit(lambda k: theory.kernel_complexity(k, np.ones(3)).value)(jnp.eye(3)),
        "ntk: got an array that is being traced",
    ),
    "labels": (lambda: theory.kernel_complexity(GRAM, np.ones(2)), "y: got shape .2,., expected .3."),
    "label-nan": (lambda: theory.kernel_complexity(GRAM, [1, np.inf, 1]), "y: got inf"),
    "ridge": (lambda: theory.kernel_complexity(GRAM, np.ones(3), ridge=-1), "ridge: got -1"),
    "margin-classes": (
        lambda: theory.margin_complexity(GRAM, [0, 1, 1]),
        "labels: got values .0.0, 1.0.",
    ),
    "margin-two": (lambda: theory.margin_complexity(GRAM, np.ones((3, 2))), "labels: got shape .3, 2."),
    "power-zero": (lambda: theory.cumulative_power(GRAM, np.zeros(3)), "y: got zeros only"),
    "alignment-constant": (lambda: theory.alignment(GRAM, 0.1 * np.ones(3)), "y: got zeros only after"),
    "alignment-kernel": (
        lambda: theory.alignment(np.ones((3, 3)), [1, 0, 0]),
        "ntk: got zeros only after",
    ),
    "alignment-centred": (lambda: theory.alignment(GRAM, [1, 0, 0], centred=None), "centred: got None"),
    "target": (lambda: theory.schur_bound(3, np.ones(2)), "target: got 3 of type int"),
    "series-count": (
        lambda: theory.additive_schur_bound((None,), np.ones((2, 1)), np.ones(2)),
        "series: got 1 of them, expected 2",
    ),
    "series-kind": (
        lambda: theory.additive_schur_bound((3.0, None), np.ones((2, 1)), np.ones(2)),
        r"series\[0\]: got 3.0 of type float",
    ),
    "directions": (
        lambda: theory.additive_schur_bound((None, None), np.ones((3, 1)), np.ones(2)),
        "directions: got shape .3, 1.",
    ),
    "shared-variable": (
        lambda: theory.n_variable_schur_bound(series(0, 1), [0], [[1]], np.ones(2), shared=[0]),
        "positions: got 0, which is shared",
    ),
    "outside": (
        lambda: theory.n_variable_schur_bound(series(0, 1), [2], [[1]], np.ones(2)),
        "positions: got 2 for L=2",
    ),
    "all-shared": (
        lambda: theory.additive_schur_bound((series(1.0),), [[1.0]], [1.0], shared=[0]),
        "shared: got every position",
    ),
    "eps": (lambda: theory.al19_width(1.0, 0.0, 3), "eps: got 0, expected positive"),
    "width": (lambda: theory.al19_samples(1.0, 0.1, 3, 1), "width: got 1"),
    "delta": (lambda: theory.wshc21_samples(1.0, 0.1, 3, delta=2.0), "delta: got 2"),
    "power": (lambda: theory.al19_width(1.0, 0.1, 3, power_eps=-1), "power_eps: got -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused_by_name(case):
    call, message = BAD[case]
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        call()

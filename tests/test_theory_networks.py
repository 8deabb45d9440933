"""Networks, inputs and the closed-form kernel of the learning theories."""

import itertools

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import ntkrnn
from ntkrnn import theory

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
LAMBDA = 0.1


def _tokens(n, length, dim, seed=0):
    """Tokens of different norms that float32 holds exactly, in NumPy's float64."""
    x = np.random.default_rng(seed).normal(size=(n, length, dim))
    return x.astype(np.float32).astype(np.float64)


def _paper_states(weights, x):
    """The papers' recursion as it stands on paper, for one sequence: h_t for every t."""
    w, a, _ = (np.asarray(block, np.float64) for block in weights)
    h, states = np.zeros(len(w)), []
    for token in x:
        h = np.maximum(w @ h + a @ token, 0)
        states.append(h)
    return np.array(states)


NETWORKS = {
    "al19": theory.al19_network(24, 3, out_dim=2, output_scale=LAMBDA),
    "wshc21": theory.wshc21_network(24, 3, output_scale=LAMBDA),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_paper_s_recursion(name):
    arch, x = NETWORKS[name], _tokens(4, 5, 3)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(0), x.shape)
    weights = theory.paper_weights(arch, params)
    states = np.array([_paper_states(weights, row) for row in x])
    want = LAMBDA * states @ np.asarray(weights.B, np.float64).T
    want = want if name == "al19" else want[:, -1]
    # T products of m terms each, whose roundings add up at most.
    got = apply_fn(params, x)
    assert got.shape == want.shape
    assert np.linalg.norm(got - want) <= 5 * 24 * EPS * np.linalg.norm(want)
    back = apply_fn(theory.params_from_paper(arch, weights), x)
    assert np.linalg.norm(back - want) <= 5 * 24 * EPS * np.linalg.norm(want)


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_have_the_paper_s_variances(name):
    m, out = 400, NETWORKS[name].out_dim
    make = theory.al19_network if name == "al19" else theory.wshc21_network
    arch = make(m, 3, 2) if name == "al19" else make(m, 3)
    _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), (-1, 5, 3))
    weights = theory.paper_weights(arch, params)
    for block, variance in zip(weights, (2 / m, 2 / m, 1 / out), strict=True):
        ratio = float(jnp.mean(jnp.square(block))) / variance
        assert abs(ratio - 1) <= 5 * (2 / block.size) ** 0.5  # the standard error of a variance


@pytest.mark.parametrize("readout", ["sequence", "last"])
def test_the_paper_s_tangent_kernel_is_m_over_2_times_ours(readout):
    m, x = 8, _tokens(3, 4, 2)
    make = theory.al19_network if readout == "sequence" else theory.wshc21_network
    arch = make(m, 2, output_scale=LAMBDA)
    _, params = ntkrnn.network(arch).init_fn(jax.random.key(2), x.shape)
    weights = theory.paper_weights(arch, params)

    def outputs(w):
        def one(tokens):
            def step(h, token):
                h = jax.nn.relu(w @ h + weights.A @ token)
                return h, LAMBDA * (weights.B @ h)[0]

            return jax.lax.scan(step, jnp.zeros(m, w.dtype), tokens)[1]

        y = jax.vmap(one)(jnp.asarray(x, w.dtype))
        return y if readout == "sequence" else y[:, -1]

    jacobian = np.asarray(jax.jacobian(outputs)(weights.W), np.float64)
    jacobian = jacobian.reshape(*jacobian.shape[:-2], -1)
    want = np.tensordot(jacobian, jacobian, (-1, -1))
    if readout == "sequence":
        want = want.transpose(0, 2, 1, 3)
    got = m / 2 * np.asarray(ntkrnn.empirical_ntk_fn(arch)(x, None, params), np.float64)
    # Forward and backward through T steps of m terms, twice.
    assert np.linalg.norm(got - want) <= 4 * 4 * m * EPS * np.linalg.norm(want)


def test_the_maps_refuse_what_does_not_fit():
    arch = theory.wshc21_network(4, 2)
    _, params = ntkrnn.network(arch).init_fn(jax.random.key(0), (-1, 3, 2))
    weights = theory.paper_weights(arch, params)
    with pytest.raises(ValueError, match=r"^arch: .*w_std=sqrt\(2\)"):
        theory.paper_weights(ntkrnn.Elman(width=4, nonlinearity="relu"), params)
    with pytest.raises(ValueError, match=r"^arch: .*d=2"):
        theory.paper_weights(theory.wshc21_network(4, 3), params)
    with pytest.raises(ValueError, match=r"^params: got shapes"):
        theory.paper_weights(theory.wshc21_network(5, 2), params)
    with pytest.raises(ValueError, match=r"^params: .*init_fn"):
        theory.paper_weights(arch, {"w": 1})
    with pytest.raises(ValueError, match=r"^weights: got shapes"):
        theory.params_from_paper(arch, weights._replace(B=weights.B[0]))
    with pytest.raises(TypeError, match=r"^weights: "):
        theory.params_from_paper(arch, None)
    with pytest.raises(TypeError, match=r"^arch: "):
        theory.paper_weights("relu", params)
    for make in (theory.al19_network, theory.wshc21_network):
        with pytest.raises(ValueError, match=r"^width: got 0"):
            make(0, 2)
        with pytest.raises(ValueError, match=r"^token_dim: got 0"):
            make(4, 0)
        with pytest.raises(ValueError, match=r"^output_scale: got 0"):
            make(4, 2, output_scale=0)
    with pytest.raises(ValueError, match=r"^out_dim: got 0"):
        theory.al19_network(4, 2, out_dim=0)


# The kernel.


def _product_formula(x1, x2):
    """The sum of products of the formula, term by term, in mpmath."""
    x1, x2 = ([[mp.mpf(float(v)) for v in token] for token in x] for x in (x1, x2))
    own1, own2 = (list(itertools.accumulate(mp.fdot(t, t) for t in x)) for x in (x1, x2))
    k, rho = {}, {}
    for a, b in itertools.product(range(len(x1)), range(len(x2))):
        s = mp.sqrt(own1[a] * own2[b])
        c = k.get((a - 1, b - 1), mp.mpf(0)) + mp.fdot(x1[a], x2[b])
        r = rho[a, b] = min(max(c / s, -1), 1) if s else mp.mpf(0)
        k[a, b] = s * (mp.sqrt(1 - r * r) + r * (mp.pi - mp.acos(r))) / mp.pi
    kernel = np.zeros((len(x1), len(x2)))
    for j, jj in itertools.product(range(len(x1)), range(len(x2))):
        total, product = mp.mpf(0), mp.mpf(1)
        for step in range(min(j, jj)):
            product *= (mp.pi - mp.acos(rho[j - step, jj - step])) / mp.pi
            total += k[j - step - 1, jj - step - 1] * product
        kernel[j, jj] = total
    return kernel


def test_kernel_is_the_product_formula():
    """Unequal lengths, duplicates, opposites, parallels, near duplicates, an all-zero prefix."""
    x1, x2 = _tokens(4, 6, 2), _tokens(5, 4, 2, seed=1)
    x2[0], x2[1], x2[2] = x1[0, :4], -x1[1, :4], x1[2, :4] + 1e-9
    x2[3] = x1[3, :4] * (1 + 1e-3)
    x2[4] = x1[0, :4] * np.array([[1.0], [3.0], [-2.0], [1.0]])
    x1[1, :2] = 0
    x2[2, 2] = 0
    got = theory.relu_recurrent_ntk(x1, x2, readout_std=0.5)
    assert got.shape == (4, 5, 6, 4)
    assert got.dtype == np.float64
    with mp.workdps(40):
        want = 0.25 * np.array([[_product_formula(a, b) for b in x2] for a in x1])
    # A few dozen roundings at each of at most 6 steps; the angles are well conditioned.
    scale = np.linalg.norm(want, axis=(2, 3))
    error = np.linalg.norm(got - want, axis=(2, 3))
    assert (error <= 6 * 40 * np.finfo(float).eps * scale).all(), error / scale


def test_near_duplicates_keep_their_distance():
    """1 - kappa0 over 50 steps at distance 1e-8: arccos would have lost all of its digits."""
    x1 = theory.sample_tokens(0, 1, 50, 3)
    x2 = x1 + 1e-8 * np.random.default_rng(0).normal(size=x1.shape)
    near, same = theory.relu_recurrent_ntk(x1, x2), theory.relu_recurrent_ntk(x1)
    with mp.workdps(40):
        want = _product_formula(x1[0], x2[0])[-1, -1] / _product_formula(x1[0], x1[0])[-1, -1] - 1
    got = near[0, 0, -1, -1] / same[0, 0, -1, -1] - 1
    assert -1e-5 < want < -1e-8
    # The kernel itself is rounded, some dozen times a step.
    assert abs(got - want) <= 50 * 40 * np.finfo(float).eps


def test_kernel_is_the_architecture_s():
    x1, x2 = _tokens(3, 6, 4), _tokens(2, 4, 4, seed=1)
    x2[0] = x1[0, :4]
    arch = theory.al19_network(64, 4, out_dim=3, output_scale=LAMBDA)
    got = ntkrnn.network(arch).kernel_fn(x1, x2, get="ntk")
    want = theory.relu_recurrent_ntk(x1, x2, readout_std=arch.v_std)
    # A few dozen roundings a step on either side.
    assert np.linalg.norm(got - want) <= 200 * EPS * np.linalg.norm(want)
    last = theory.wshc21_network(64, 4, output_scale=LAMBDA)
    got = ntkrnn.network(last).kernel_fn(x1, x2, get="ntk")
    want = theory.relu_recurrent_ntk(x1, x2, readout_std=LAMBDA)[:, :, -1, -1]
    assert np.linalg.norm(got - want) <= 200 * EPS * np.linalg.norm(want)


def test_kernel_is_exactly_symmetric_and_positive():
    x = _tokens(4, 5, 2)
    x[3] = x[0]
    kernel = theory.relu_recurrent_ntk(x)
    assert np.array_equal(kernel, kernel.transpose(1, 0, 3, 2))
    assert np.array_equal(kernel, theory.relu_recurrent_ntk(x, x.copy()))
    assert not kernel[:, :, 0].any()  # W has not met the first state
    flat = kernel.transpose(0, 2, 1, 3).reshape(20, 20)
    values = np.linalg.eigvalsh(flat)
    assert values[0] >= -20 * np.finfo(float).eps * values[-1]
    # On the diagonal every kappa0 is 1: Theta_{j,j} is the sum of the Q before j.
    q = np.cumsum(np.sum(x[0] ** 2, axis=1))
    want = np.concatenate([[0], np.cumsum(q)[:-1]])
    np.testing.assert_allclose(kernel[0, 0].diagonal(), want, rtol=20 * np.finfo(float).eps)


def test_finite_networks_have_the_limit_s_tangent_kernel():
    """The mean of the empirical kernels of 24 networks of width 1024, at every pair of steps."""
    seeds, x = 24, theory.sample_tokens(0, 3, 4, 3)
    arch = theory.al19_network(1024, 3)
    init_fn, ntk_fn = ntkrnn.network(arch).init_fn, ntkrnn.empirical_ntk_fn(arch)
    keys = jax.random.split(jax.random.key(3), seeds)
    drawn = np.array([ntk_fn(x, None, init_fn(key, x.shape)[1]) for key in keys], np.float64)
    want = theory.relu_recurrent_ntk(x)
    inside = np.s_[:, :, 1:, 1:]
    assert not drawn[:, :, :, 0].any()
    error = drawn.std(axis=0, ddof=1)[inside] / seeds**0.5
    z = (drawn.mean(axis=0) - want)[inside] / error
    # Two chances in a thousand that any entry exceeds it (Bonferroni).
    assert abs(z).max() <= stats.t.ppf(1 - 1e-3 / z.size, seeds - 1)
    assert (error / abs(want[inside])).mean() < 0.05  # and the test can tell


def test_kernel_refuses_bad_input():
    x = _tokens(2, 3, 2)
    with pytest.raises(ValueError, match=r"^x2: got d=1 channels"):
        theory.relu_recurrent_ntk(x, x[:, :, :1])
    with pytest.raises(ValueError, match=r"^x1: got rank 2"):
        theory.relu_recurrent_ntk(x[0])
    with pytest.raises(ValueError, match=r"^x2: .*axis T is empty"):
        theory.relu_recurrent_ntk(x, x[:, :0])
    with pytest.raises(ValueError, match=r"^readout_std: got -1"):
        theory.relu_recurrent_ntk(x, readout_std=-1)
    x[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"^x1: got nan at row 1, step 2, channel 0"):
        theory.relu_recurrent_ntk(x)


# Tokens.


def test_unit_tokens_keep_directions_at_any_scale():
    x = _tokens(3, 4, 5)
    for scale in (1.0, 1e-200, 1e200):
        unit = theory.unit_tokens(scale * x)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=2), 1, rtol=1e-14)
        np.testing.assert_allclose(unit * np.linalg.norm(x, axis=2)[..., None], x, rtol=1e-13)
    assert theory.unit_tokens(jnp.asarray(x)).dtype == np.float64
    x[1, 2] = 0
    with pytest.raises(ValueError, match=r"^x: got a zero token at row 1, step 2"):
        theory.unit_tokens(x)


@pytest.mark.parametrize("first", [True, False])
def test_rescaled_tokens(first):
    x = theory.rescaled_tokens(_tokens(3, 9, 2), power=0.5, first=first)
    norms = np.linalg.norm(x, axis=2)
    np.testing.assert_allclose(norms[:, 1:], 1 / 3, rtol=1e-14)
    np.testing.assert_allclose(norms[:, 0], 1 if first else 1 / 3, rtol=1e-14)
    with pytest.raises(ValueError, match=r"^power: got -1"):
        theory.rescaled_tokens(x, power=-1)
    with pytest.raises(TypeError, match=r"^first: got 1"):
        theory.rescaled_tokens(x, first=1)


def test_al19_tokens():
    x = _tokens(2, 4, 3)
    true, actual = theory.true_tokens(x), theory.al19_tokens(x, 1e-3)
    assert true.shape == (2, 4, 4)
    assert actual.shape == (2, 5, 5)
    np.testing.assert_allclose(np.linalg.norm(true, axis=2), 1, rtol=1e-14)
    assert (true[:, :, -1] == 0.5).all()
    cosine = np.sum(true[:, :, :-1] * x, axis=2) / np.linalg.norm(x, axis=2)
    np.testing.assert_allclose(cosine, 0.75**0.5, rtol=1e-14)
    assert (actual[:, 0] == [0, 0, 0, 0, 1]).all()
    assert not actual[:, 1:, -1].any()
    assert np.array_equal(actual[:, 1:, :-1], 1e-3 * true)
    for bad in (0, -1.0, np.inf):
        with pytest.raises(ValueError, match=r"^eps_x: got"):
            theory.al19_tokens(x, bad)
    with pytest.raises(TypeError, match=r"^eps_x: got 'small'"):
        theory.al19_tokens(x, "small")


@pytest.mark.parametrize("distribution", ["sphere", "orthogonal", "signs"])
def test_sampled_tokens(distribution):
    n, length, dim = 4000, 3, 6
    x = theory.sample_tokens(jax.random.key(0), n, length, dim, distribution)
    assert x.shape == (n, length, dim)
    assert x.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(x, axis=2), 1, rtol=1e-14)
    # Second moments: isotropic (in its block), tokens uncorrelated. Products of coordinates have
    # variance below that of the squares, at most 1 (signs in blocks of one).
    flat = x.reshape(n, -1)
    block = dim // length
    want = np.kron(np.eye(length), np.eye(dim) / dim)
    if distribution == "orthogonal":
        on = np.zeros((length, dim))
        for t in range(length):
            on[t, t * block : (t + 1) * block] = 1 / block
        want = np.diag(on.ravel())
        assert not np.einsum("ntd,msd->tsnm", x[:50], x[50:90])[~np.eye(3, dtype=bool)].any()
    products = flat[:, :, None] * flat[:, None, :]
    error = products.std(axis=0) / n**0.5
    assert (abs(products.mean(axis=0) - want) <= 5 * error + 1e-14).all()
    assert (abs(flat.mean(axis=0)) <= 5 * flat.std(axis=0) / n**0.5).all()
    if distribution == "signs":
        np.testing.assert_allclose(abs(x), dim**-0.5, rtol=1e-15)


def test_samples_depend_on_the_key_alone():
    new, old = jax.random.key(5), jax.random.PRNGKey(5)
    x = theory.sample_tokens(new, 2, 3, 4)
    assert np.array_equal(x, theory.sample_tokens(old, 2, 3, 4))
    assert np.array_equal(theory.sample_tokens(5, 2, 3, 4), theory.sample_tokens(np.int64(5), 2, 3, 4))
    others = [theory.sample_tokens(key, 2, 3, 4) for key in (jax.random.key(6), 5, 6)]
    assert not any(np.intersect1d(a, b).size for a, b in itertools.combinations([x, *others], 2))
    np.testing.assert_allclose(x[0, 0], FIRST_TOKEN, rtol=1e-14)


# Of key 5 in NumPy's stream, in float32 and float64 alike.
FIRST_TOKEN = [-0.04282840247129356, 0.3083349509498625, 0.4531366256742998, 0.8353217849649394]


def test_sampling_refuses_bad_input():
    with pytest.raises(ValueError, match=r"^dim: got 5, expected a multiple of length=3.*dim=6"):
        theory.sample_tokens(0, 2, 3, 5, "orthogonal")
    with pytest.raises(ValueError, match=r"^distribution: got 'circle'"):
        theory.sample_tokens(0, 2, 3, 5, "circle")
    with pytest.raises(ValueError, match=r"^n: got 0"):
        theory.sample_tokens(0, 0, 3, 5)
    for key in ("seed", 1.5, True, None):
        with pytest.raises(TypeError, match=r"^key: got"):
            theory.sample_tokens(key, 1, 1, 1)
    with pytest.raises(TypeError, match=r"^key: got"):
        theory.sample_tokens(np.zeros(2), 1, 1, 1)
    with pytest.raises(ValueError, match=r"^key: got the seed -1"):
        theory.sample_tokens(-1, 1, 1, 1)

"""Diagonal networks: zero at the start, kernels against loops and closed forms, honest errors."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from marking import marked
from scipy.integrate import quad

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.infinite import AccuracyWarning
from ntkrnn.infinite.neurons import _kernels as neurons
from ntkrnn.report import loglog_slope

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)


def data(n, steps, d, seed=0):
    """Sequences of tokens of norm about 1."""
    x = np.random.default_rng(seed).normal(size=(n, steps, d)) / math.sqrt(d)
    return x.astype(DTYPE)


def moved(params, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "c": params["c"],
        **{b: params[b] + (0.3 * rng.normal(size=params[b].shape)).astype(DTYPE) for b in ("w", "u")},
    }


# The start


QUICK = [(1030, "tanh")]
ALL = list(itertools.product([2, 6, 34, 70, 1030], ["tanh", "sin", "sigmoid", "gelu", "relu"]))


@pytest.mark.parametrize(("width", "nonlinearity"), marked(ALL, QUICK, float64=()))
@pytest.mark.optimised
def test_the_output_at_the_start_is_zero_to_the_last_bit(width, nonlinearity):
    """Widths that fill no vector register and no block of a product, alone and in a batch."""
    arch = ntkrnn.Diagonal(width=width, nonlinearity=nonlinearity, out_dim=2)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    for n, steps, d in ((1, 3, 1), (3, 5, 7)):
        x = data(n, steps, d)
        params = init_fn(jax.random.key(width), x.shape)[1]
        assert not np.any(apply_fn(params, x))
        assert not np.any(apply_fn(params, x, np.full(n, 2)))
        assert not np.any(jax.vmap(lambda one, p=params: apply_fn(p, one[None])[0])(x))
        assert np.any(apply_fn(moved(params), x))


@pytest.mark.optimised
@pytest.mark.parametrize("readout", ["sequence", "mean", "last"])
def test_it_is_zero_where_products_may_be_fused(readout):
    """Compiled whole, ``a b - c d`` may become one fused multiply-add, with a rounding left.

    gelu ends in a product; so does the drive of one channel, in steps outside of a loop.
    """
    arch = ntkrnn.Diagonal(width=6, nonlinearity="gelu", readout=readout, out_dim=2)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    run, x = jax.jit(apply_fn), data(1, 3, 1)
    for seed in range(8):
        assert not np.any(run(init_fn(jax.random.key(seed), x.shape)[1], x))


@pytest.mark.float32
def test_weights_at_the_start():
    m, d = 4000, 3
    init_fn = ntkrnn.network(ntkrnn.Diagonal(width=m, alpha=0.7, out_dim=2)).init_fn
    params = {k: np.asarray(v) for k, v in init_fn(jax.random.key(0), (-1, -1, d))[1].items()}
    half = m // 2
    assert np.array_equal(np.unique(params["w"]), np.array([-0.7, 0.7], DTYPE))
    assert np.array_equal(np.unique(params["c"]), [-1, 1])
    for block in ("w", "u"):
        assert np.array_equal(params[block][:half], params[block][half:])
    assert np.array_equal(params["c"][:, :half], -params["c"][:, half:])
    # Means of signs and of Gaussians within 5 standard errors; signs of outputs and of w independent.
    signs = np.stack([params["w"][:half] / 0.7, *params["c"][:, :half]])
    pairs = [a * b for a, b in itertools.combinations(signs, 2)]
    assert np.abs(np.mean([*signs, *pairs], axis=1)).max() < 5 / math.sqrt(half)
    u = params["u"][:half]
    assert np.abs(u.mean(0)).max() < 5 / math.sqrt(half)
    assert np.abs(u.T @ u / half - np.eye(d)).max() < 5 * math.sqrt(2 / half)
    free = ntkrnn.network(ntkrnn.Diagonal(width=5, symmetric=False)).init_fn(
        jax.random.key(0), (1, 1, d)
    )
    assert len(np.unique(free[1]["u"])) == 5 * d


# Finite width


def loop(params, x):
    """States and forward sensitivities of one sequence in float64, ``[T, m]`` and ``[T, m, 1 + d]``."""
    w, u = (np.asarray(params[b], np.float64) for b in ("w", "u"))
    h, derivative = np.zeros(len(w)), np.zeros((len(w), 1 + u.shape[1]))
    states, derivatives = [], []
    for token in np.asarray(x, np.float64):
        pre = w * h + u @ token
        source = np.column_stack([h, np.broadcast_to(token, u.shape)])
        h = np.tanh(pre)
        derivative = (1 - h**2)[:, None] * (source + w[:, None] * derivative)
        states.append(h)
        derivatives.append(derivative)
    return np.stack(states), np.stack(derivatives)


def test_against_a_loop_over_sequences_and_steps():
    """More rows than a block and more neurons than a chunk, neither a multiple of it."""
    n, steps, d, m = 21, 9, 3, 150
    arch = ntkrnn.Diagonal(width=m, symmetric=False, out_dim=2)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    x = data(n, steps, d)
    params = moved(init_fn(jax.random.key(0), x.shape)[1])
    runs = [loop(params, one) for one in x]
    c = np.asarray(params["c"], np.float64)
    want = np.stack([states @ c.T for states, _ in runs]) / math.sqrt(m)
    # Each step rounds a few times, and contracts; the sums have 150 and 600 terms.
    tolerance = 32 * EPS * steps
    assert np.abs(apply_fn(params, x) - want).max() <= tolerance * np.abs(want).max()
    jacobian = np.stack([derivatives for _, derivatives in runs])
    full = np.einsum("itmp,jsmp,om,qm->ijtsoq", jacobian, jacobian, c, c, optimize=True) / m
    for trace, expected in (((), full), ((-1,), np.trace(full, axis1=-2, axis2=-1) / 2)):
        got = ntkrnn.empirical_ntk_fn(arch, trace)(x, None, params)
        assert np.abs(got - expected).max() <= tolerance * np.abs(expected).max()
    other = ntkrnn.empirical_ntk_fn(arch)(x, x[:2], params)
    assert np.abs(other - expected[:, :2]).max() <= tolerance * np.abs(expected).max()
    nngp = np.stack([states for states, _ in runs])
    nngp = np.einsum("itm,jsm->ijts", nngp, nngp) / m
    got = ntkrnn.empirical_nngp_fn(arch)(x, None, params)
    assert np.abs(got - nngp).max() <= tolerance * np.abs(nngp).max()


def test_half_of_the_neurons_at_the_start_is_the_same_kernel():
    """Concrete parameters at the start take half of the work; traced or moved ones all of it."""
    arch = ntkrnn.Diagonal(width=70)
    x = data(4, 5, 3)
    params = ntkrnn.network(arch).init_fn(jax.random.key(0), x.shape)[1]
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)
    half, whole = ntk_fn(x, None, params), jax.jit(lambda p: ntk_fn(x, None, p))(params)
    assert np.abs(half - whole).max() <= 32 * EPS * np.abs(whole).max()
    # One neuron away from its image: an exact kernel must see it.
    other = {**params, "w": params["w"].at[-1].add(1)}
    assert np.abs(ntk_fn(x, None, other) - half).max() > 1e-3 * np.abs(half).max()


def test_memory_holds_no_jacobian():
    """As compiled, with readout "last": the Jacobian would have 3.6e8 entries."""
    n, t, m, d = 100, 10, 400_000, 8
    arch = ntkrnn.Diagonal(width=m, readout="last")
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)
    params = jax.eval_shape(lambda: ntkrnn.network(arch).init_fn(jax.random.key(0), (1, 1, d))[1])
    x = jax.ShapeDtypeStruct((n, t, d), DTYPE)
    compiled = jax.jit(lambda p, x: ntk_fn(x, None, p)).lower(params, x).compile()
    held = compiled.memory_analysis().temp_size_in_bytes / DTYPE.itemsize
    assert held < 2**22 + 3 * m * (d + 2)  # a chunk of features, and parameters cut into chunks


# Infinite width


def identity_kernels(alpha, x1, x2):
    """``(nngp, ntk)`` at every pair of steps for sigma = identity, as sums on paper."""
    shape = (len(x1), len(x2), x1.shape[1], x2.shape[1])
    nngp, ntk = np.zeros(shape), np.zeros(shape)
    for i, j, t, s in itertools.product(*map(range, shape)):
        for k, l in itertools.product(range(t + 1), range(s + 1)):  # noqa: E741
            if (k - l) % 2 == 0:
                product = float(x1[i, t - k].astype(float) @ x2[j, s - l].astype(float))
                nngp[i, j, t, s] += alpha ** (k + l) * product
                ntk[i, j, t, s] += alpha ** (k + l) * (1 + k * l / alpha**2) * product
    return nngp, ntk


@pytest.mark.parametrize("readout", ["last", "mean", "sequence"])
def test_identity_has_a_closed_form(readout):
    arch = ntkrnn.Diagonal(nonlinearity="identity", alpha=0.8, readout=readout)
    for d in (2, 3):
        x1, x2 = data(2, 4, d), data(3, 5, d, seed=1)
        got = ntkrnn.network(arch).kernel_fn(x1, x2)
        for name, want in zip(("nngp", "ntk"), identity_kernels(0.8, x1, x2), strict=True):
            want = {"last": want[:, :, -1, -1], "mean": want.mean((2, 3)), "sequence": want}[readout]
            # A quadrature integrates squares exactly; the sums have 32,768 terms of either sign.
            rounding = 64 * EPS * np.abs(want).max()
            allowed = rounding if d == 2 else 7 * np.asarray(getattr(got, f"{name}_error")) + rounding
            assert np.all(np.abs(getattr(got, name) - want) <= allowed), (d, name)


def test_tanh_in_one_dimension_against_adaptive_quadrature():
    """Two steps written out, and SciPy's quad, for every pair of steps."""
    alpha, tokens, others = 0.7, (0.9, -0.6), (0.4, 1.1)

    def features(w, u, x):
        h1 = math.tanh(u * x[0])
        s1 = 1 - h1**2
        h2 = math.tanh(w * h1 + u * x[1])
        s2 = 1 - h2**2
        return (h1, 0.0, s1 * x[0]), (h2, s2 * h1, s2 * (x[1] + w * s1 * x[0]))

    def integrand(u, t, s, which):
        value = 0.0
        for w in (alpha, -alpha):
            (h, dw, du), (g, ew, eu) = features(w, u, tokens)[t], features(w, u, others)[s]
            value += h * g if which == "nngp" else dw * ew + du * eu
        return 0.5 * value * math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)

    arch = ntkrnn.Diagonal(alpha=alpha)
    x1, x2 = (np.array(tokens, DTYPE)[None, :, None], np.array(others, DTYPE)[None, :, None])
    got = ntkrnn.network(arch).kernel_fn(x1, x2)
    for name, (t, s) in itertools.product(("nngp", "ntk"), itertools.product(range(2), range(2))):
        want = quad(integrand, -12, 12, args=(t, s, name), epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        # float64 holds what quad promises; in float32 tokens and sums are rounded.
        assert abs(float(getattr(got, name)[0, 0, t, s]) - want) <= max(1e-11, 64 * EPS)


@pytest.mark.parametrize("nonlinearity", ["tanh", "sin", "relu"])
def test_points_and_quadrature_agree_within_their_errors(nonlinearity):
    arch = ntkrnn.Diagonal(nonlinearity=nonlinearity, alpha=0.6)
    kernel_fn = ntkrnn.network(arch).kernel_fn
    x = data(3, 4, 2)
    a, b = kernel_fn(x, method="qmc"), kernel_fn(x, method="quadrature")
    for name in ("nngp", "ntk"):
        error = np.hypot(getattr(a, f"{name}_error"), getattr(b, f"{name}_error"))
        difference = np.abs(getattr(a, name) - getattr(b, name))
        rounding = 64 * EPS * np.abs(getattr(b, name)).max()
        # 78 different entries, Student's t with 7 degrees of freedom: beyond 9 with odds 1e-3.
        assert np.all(difference <= 9 * error + rounding)
        assert np.max(getattr(a, f"{name}_error")) < 0.01 * np.abs(getattr(a, name)).max()


@pytest.mark.float32
def test_standard_errors_are_calibrated():
    """Distances to the truth of a quadrature, in standard errors, over 80 seeds of few points.

    They follow Student's t with 7 degrees of freedom: inside 1 with probability 0.649, and a mean
    square of 1.4 with standard deviation sqrt(7.84/80).
    """
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal(readout="last", alpha=0.9)).kernel_fn
    x1, x2 = data(1, 3, 2), data(1, 4, 2, seed=1)
    truth = kernel_fn(x1, x2)
    assert float(truth.ntk_error[0, 0]) < 1e-4
    scores = []
    for seed in range(80):
        got = kernel_fn(x1, x2, method="qmc", samples=32, key=seed)
        scores.append([float((got[k] - truth[k])[0, 0] / got[k + 2][0, 0]) for k in (0, 1)])
    scores = np.array(scores)
    inside = np.mean(np.abs(scores) < 1, axis=0)
    assert np.all(np.abs(inside - 0.649) < 4 * math.sqrt(0.649 * 0.351 / 80)), inside
    square = np.mean(scores**2, axis=0)
    assert np.all(np.abs(square - 1.4) < 4 * math.sqrt(7.84 / 80)), square


@pytest.mark.slow
def test_finite_width_converges_at_the_rate_of_one_over_the_root_of_the_width():
    x = data(3, 4, 2)
    limit = ntkrnn.network(ntkrnn.Diagonal()).kernel_fn(x)
    widths, seeds = np.array([64, 128, 256, 512, 1024]), 24
    errors = np.empty((2, len(widths), seeds))
    for i, width in enumerate(widths):
        arch = ntkrnn.Diagonal(width=int(width))
        init_fn = ntkrnn.network(arch).init_fn
        fns = ntkrnn.empirical_nngp_fn(arch), ntkrnn.empirical_ntk_fn(arch)

        @jax.jit
        def both(key, init_fn=init_fn, fns=fns):
            params = init_fn(key, x.shape)[1]
            return [fn(x, None, params) for fn in fns]

        for seed in range(seeds):
            got = both(jax.random.fold_in(jax.random.key(width), seed))
            errors[:, i, seed] = [
                np.linalg.norm(k - want) / np.linalg.norm(want)
                for k, want in zip(got, limit[:2], strict=True)
            ]
    for kind in errors:
        fit = loglog_slope(widths, kind, resamples=1000, seed=0)
        low, high = fit.interval
        assert low < -0.5 < high and high - low < 0.3, fit


def test_only_the_inner_products_of_tokens_matter():
    """Rotated tokens, and tokens with further channels of zeros, within 9 standard errors."""
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal(alpha=0.7)).kernel_fn
    x = data(2, 3, 3)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0].astype(DTYPE)
    first = kernel_fn(x)
    for other in (x @ rotation, np.pad(x, ((0, 0), (0, 0), (0, 2)))):
        second = kernel_fn(other, key=1)
        for value, again, e, f in zip(first[:2], second[:2], first[2:], second[2:], strict=True):
            assert np.all(np.abs(value - again) <= 9 * np.hypot(e, f) + 64 * EPS)
            assert np.any(value != again)


def test_an_entry_depends_on_its_two_sequences_and_the_seed_alone():
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal()).kernel_fn
    x, lengths = data(4, 6, 3), np.array([6, 4, 5, 2])
    whole = kernel_fn(x, None, "ntk", lengths)
    assert np.array_equal(whole, kernel_fn(x, None, "ntk", lengths))
    rows = [2, 1]
    part = kernel_fn(x[rows, :5], None, "ntk", lengths[rows])
    want = whole[np.ix_(rows, rows)][:, :, :5, :5]
    assert np.abs(part - want).max() <= 64 * EPS * np.abs(want).max()
    assert np.any(kernel_fn(x, None, "ntk", lengths, key=1) != whole)


def test_more_points_than_a_block_are_streamed(monkeypatch):
    """Blocks and one piece, of Sobol points and of a quadrature whose last block is filled up."""
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal(readout="last")).kernel_fn
    x = data(2, 3, 2)
    for options in ({"method": "qmc", "samples": 256}, {"samples": 700}):
        want = kernel_fn(x, **options)
        with monkeypatch.context() as patch:
            patch.setattr("ntkrnn.quadrature._nodes.BLOCK", 64)
            got = kernel_fn(x, **options)
        for a, b in zip(got[:2], want[:2], strict=True):
            assert np.abs(a - b).max() <= 64 * EPS * np.abs(b).max()


def test_a_tolerance_is_met_or_the_miss_is_reported(monkeypatch):
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal(readout="last", nonlinearity="relu")).kernel_fn
    x = data(2, 3, 3)
    rough, fine = kernel_fn(x, samples=16), kernel_fn(x, samples=16, tolerance=5e-3)
    largest = lambda k: float((k.ntk_error / k.ntk.max()).max())  # noqa: E731
    assert largest(rough) > 5e-3 >= largest(fine)
    assert float((fine.nngp_error / fine.nngp.max()).max()) <= 5e-3
    monkeypatch.setattr(neurons, "MOST_SAMPLES", 64)
    with pytest.warns(AccuracyWarning, match=r"with 64 points in each of 8.*tolerance=1e-05"):
        kernel_fn(x, samples=16, tolerance=1e-5)


X3 = data(2, 3, 3)
BAD = [
    ({"samples": 0}, ValueError, "samples: got 0"),
    ({"samples": 2.5}, TypeError, "samples: got 2.5"),
    ({"replicates": 1}, ValueError, "replicates: got 1, expected at least 2"),
    ({"key": -1}, ValueError, "key: got -1"),
    ({"key": 0.5}, TypeError, "key: got 0.5"),
    ({"method": "mc"}, ValueError, "method: got 'mc', expected one of"),
    ({"method": "quadrature"}, ValueError, "d=3 channels, expected d of at most 2"),
    ({"tolerance": 0}, ValueError, "tolerance: got 0"),
    ({"tolerance": "small"}, TypeError, "tolerance: got 'small'"),
    ({"get": "error"}, ValueError, "get: got 'error', expected 'nngp', 'ntk', 'nngp_error'"),
    ({"lengths1": [4, 1]}, ValueError, "lengths1: got 4 in row 0"),
]


@pytest.mark.float32
@pytest.mark.parametrize(("options", "error", "message"), BAD, ids=[m for _, _, m in BAD])
def test_options_that_cannot_be_used_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ntkrnn.network(ntkrnn.Diagonal()).kernel_fn(X3, **options)


def test_a_tolerance_under_jit_is_refused():
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal()).kernel_fn
    with pytest.raises(ValueError, match=r"tolerance: got 0\.1 while JAX is tracing"):
        jax.jit(lambda x: kernel_fn(x, tolerance=0.1))(X3)


# What else takes an architecture


def test_training_follows_the_linearised_network_of_its_kernel():
    """Sequence loss, unequal lengths: the linearisation as a network, and without parameters."""
    arch = ntkrnn.Diagonal(width=20)
    x, lengths = data(5, 4, 2), np.array([4, 2, 3, 4, 1])
    y = np.random.default_rng(1).normal(size=(5, 4)).astype(DTYPE)
    params = ntkrnn.network(arch).init_fn(jax.random.key(0), x.shape)[1]
    linear = dynamics.linearize(arch, params)
    ntk = ntkrnn.empirical_ntk_fn(arch)(x, None, params, lengths)
    rate = 0.5 * dynamics.largest_stable_step(ntk)
    optimizer, steps = optax.sgd(rate), 20
    trained = {b: params[b] for b in ("w", "u")}
    # c is no parameter of the function: it is never trained.
    apply_fn = lambda p, x, lengths=None: linear({**p, "c": params["c"]}, x, lengths)  # noqa: E731
    options = {"optimizer": optimizer, "steps": steps, "lengths": lengths}
    run = dynamics.train(apply_fn, trained, x, y, **options)
    want = dynamics.linearized(
        ntk, np.zeros((5, 4, 1), DTYPE), y, learning_rate=rate, steps=steps, lengths=lengths
    )
    scale = np.abs(want.outputs).max()
    assert np.abs(run.outputs - want.outputs).max() <= 200 * EPS * steps * scale

    record = ("loss", "outputs", "movement", "spectral", "signs", "drift")
    found = dynamics.train(arch, params, x, y, **options, record=record)
    assert not np.any(found.outputs[0]) and found.loss[-1] < 0.8 * found.loss[0]
    assert np.array_equal(found.params["c"], params["c"]) and found.movement.frobenius["c"] is None
    shift = {b: np.asarray(found.params[b] - params[b], np.float64) for b in ("w", "u")}
    got = jax.tree.map(lambda a: float(a[-1]), found.movement)
    largest = np.abs(shift["w"]).max()
    for value, expected in (
        (got.spectral["w"], largest),
        (got.neuron["w"], largest),
        (got.neuron["u"], np.linalg.norm(shift["u"], axis=1).max()),
        (got.frobenius["w"], np.linalg.norm(shift["w"])),
    ):
        assert abs(value - expected) <= 16 * EPS * expected
    assert float(found.drift[-1]) > 0


def test_one_step_of_training_is_the_gradient():
    arch = ntkrnn.Diagonal(width=9, symmetric=False, out_dim=2, trainable=("u",))
    x, lengths = data(4, 5, 3), np.array([5, 3, 4, 1])
    y = np.random.default_rng(1).normal(size=(4, 5, 2)).astype(DTYPE)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    params = init_fn(jax.random.key(0), x.shape)[1]
    inside = (np.arange(5) < lengths[:, None])[..., None]

    def loss(u):
        f = apply_fn({**params, "u": u}, x, lengths)
        return 0.5 * jnp.sum(jnp.where(inside, (f - y) ** 2, 0)) / 4

    run = dynamics.train(arch, params, x, y, optimizer=optax.sgd(1.0), steps=1, lengths=lengths)
    want = params["u"] - jax.grad(loss)(params["u"])
    assert np.abs(run.params["u"] - want).max() <= 32 * EPS * np.abs(want).max()
    assert np.array_equal(run.params["w"], params["w"])


def test_what_needs_an_elman_network_says_so():
    with pytest.raises(TypeError, match=r"arch: got Diagonal\(.*expected an ntkrnn.Elman"):
        ntkrnn.stax.Recurrent(ntkrnn.Diagonal())

"""The linearised network: function space against weight space, closed forms, neural-tangents."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from marking import marked

import ntkrnn
from ntkrnn import Kernels, dynamics
from ntkrnn._compat import neural_tangents

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
N, M, T, D = 8, 3, 4, 2
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (N, T, D))
X_TEST = jax.random.normal(jax.random.key(1), (M, T, D))
LENGTHS = jnp.array([4, 3, 1, 4, 2, 2, 4, 1])
Y = jnp.sin(2 * X.sum((1, 2)))[:, None]


def network(arch, seed=1):
    _, apply_fn, _ = ntkrnn.network(arch)
    return apply_fn, ntkrnn.network(arch).init_fn(jax.random.key(seed), X.shape)[1]


CASES = {
    # architecture, lengths, targets, settings of the descent
    "momentum": (
        ntkrnn.Elman(width=16),
        None,
        Y,
        {"momentum": 0.7, "weight_decay": 0.03},
    ),
    "nesterov-two-outputs": (
        ntkrnn.Elman(width=16, nonlinearity="relu", readout="mean", out_dim=2, trainable=("w", "v")),
        LENGTHS,
        jnp.concatenate([Y, -0.5 * Y], axis=1),
        {"momentum": 0.5, "nesterov": True},
    ),
    "sequence": (
        ntkrnn.Elman(width=12, readout="sequence", out_dim=2),
        LENGTHS,
        jnp.broadcast_to(Y[:, :, None], (N, T, 2)),
        {"weight_decay": 0.1},
    ),
    "schedule": (ntkrnn.Elman(width=16), LENGTHS, Y, {"schedule": True}),
    "cross-entropy": (
        ntkrnn.Elman(width=16, out_dim=3),
        None,
        jnp.arange(N) % 3,
        {"loss": "cross-entropy"},
    ),
}


@pytest.mark.parametrize("name", marked(CASES, ("nesterov-two-outputs", "sequence")))
def test_function_space_is_weight_space_over_a_thousand_steps(name):
    """The same batches in the same order; the two share nothing but the definition.

    Rounding: a step moves outputs by products of some hundred terms, each path adds its own errors,
    and the descent contracts: what a thousand steps leave is at most steps times one step's.
    """
    arch, lengths, y, settings = CASES[name]
    settings = dict(settings)
    rate, steps = 0.05, 1000
    if settings.pop("schedule", False):
        rate = optax.cosine_decay_schedule(0.1, steps)
    loss = settings.pop("loss", "squared")
    momentum, nesterov = settings.get("momentum"), settings.get("nesterov", False)
    optimizer = optax.chain(
        dynamics.decay_to_start(settings.get("weight_decay", 0.0)),
        optax.sgd(rate, momentum=momentum, nesterov=nesterov),
    )
    apply_fn, params = network(arch)
    ends = None if lengths is None else LENGTHS[:M]
    run = dynamics.train(
        dynamics.linearize(arch, params),
        params,
        X,
        y,
        optimizer=optimizer,
        steps=steps,
        batch_size=3,
        key=KEY,
        lengths=lengths,
        x_test=X_TEST,
        lengths_test=ends,
        loss=loss,
        record=("loss", "outputs", "test_outputs"),
        at=50,
    )
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, trace_axes=())
    got = dynamics.linearized(
        ntk_fn(X, None, params, lengths),
        apply_fn(params, X, lengths),
        y,
        learning_rate=rate,
        steps=steps,
        batches=run.batches,
        ntk_test=ntk_fn(X_TEST, X, params, ends, lengths),
        f0_test=apply_fn(params, X_TEST, ends),
        lengths=lengths,
        loss=loss,
        at=50,
        **settings,
    )
    np.testing.assert_array_equal(got.steps, run.steps)
    assert float(jnp.abs(run.outputs[-1] - run.outputs[0]).max()) > 0.1
    for a, b in ((got.outputs, run.outputs), (got.test_outputs, run.test_outputs)):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=EPS * steps * float(jnp.abs(b).max()))
    np.testing.assert_allclose(got.loss, run.loss, rtol=0, atol=EPS * steps * float(run.loss.max()))


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_steps_in_closed_form_are_the_steps(decay):
    arch = ntkrnn.Elman(width=16, out_dim=2)
    apply_fn, params = network(arch)
    y = jnp.concatenate([Y, Y**2], axis=1)
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, trace_axes=())
    sides = {"ntk_test": ntk_fn(X_TEST, X, params), "f0_test": apply_fn(params, X_TEST)}
    kernel, f0, at = ntk_fn(X, None, params), apply_fn(params, X), [0, 1, 10, 400]
    rate = 0.9 * dynamics.largest_stable_step(kernel, weight_decay=decay)
    options = {"learning_rate": rate, "weight_decay": decay, **sides}
    walked = dynamics.linearized(kernel, f0, y, steps=400, at=at, **options)
    jumped = dynamics.gradient_flow(kernel, f0, y, at, **options)
    for a, b in zip(walked[1:], jumped[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=400 * EPS * np.abs(b).max())


def test_flow_is_the_limit_of_small_steps():
    """The distance is of first order in the step: a tenth of the step, a tenth of the distance."""
    kernel = ntkrnn.network(ntkrnn.Elman(width=4)).kernel_fn(X).ntk
    f0, time = np.zeros((N, 1)), 4.0
    flow = dynamics.gradient_flow(kernel, f0, Y, time, weight_decay=0.1)
    distance = []
    for steps in (40, 400):
        rate = time / steps
        found = dynamics.gradient_flow(kernel, f0, Y, steps, learning_rate=rate, weight_decay=0.1)
        distance.append(np.abs(found.outputs - flow.outputs).max())
    # The next order is the step over the time of the fastest mode, some tenths.
    assert 8 < distance[0] / distance[1] < 12


def test_infinite_time_where_the_kernel_is_singular():
    """A duplicate sequence with another target: the fit is their mean, not infinite weights."""
    x, y = jnp.concatenate([X, X[:1]]), np.r_[np.asarray(Y), -np.asarray(Y[:1])]
    kernels = ntkrnn.network(ntkrnn.Elman(width=4)).kernel_fn(x)
    flow = dynamics.gradient_flow(kernels.ntk, np.zeros((N + 1, 1)), y, [1e6, np.inf])
    expected = y.copy()
    expected[[0, -1]] = 0
    np.testing.assert_allclose(flow.outputs[-1], expected, atol=1e4 * EPS)


@pytest.mark.parametrize(
    ("momentum", "nesterov", "decay"), [(0.0, False, 0.0), (0.6, False, 0.1), (0.6, True, 0.0)]
)
def test_the_largest_stable_step_is_the_largest(momentum, nesterov, decay):
    kernel = ntkrnn.network(ntkrnn.Elman(width=4)).kernel_fn(X).ntk
    options = {"momentum": momentum, "nesterov": nesterov, "weight_decay": decay}
    largest = dynamics.largest_stable_step(kernel, **options)
    top = np.linalg.eigh(np.asarray(kernel, np.float64))[1][:, -1]
    grown = []
    for factor in (0.99, 1.01):
        run = dynamics.linearized(
            kernel,
            top,
            0 * top,
            learning_rate=factor * largest,
            steps=600,
            unstable="ignore",
            **options,
        )
        # With decay toward the start the outputs settle elsewhere than at the targets.
        change = np.abs(np.diff(np.asarray(run.outputs[..., 0]), axis=0)).max(axis=1)
        grown.append(change[-1] / change[3])
    assert grown[0] < 0.5
    assert grown[1] > 2


def test_a_step_that_is_too_large_is_said():
    kernel = np.diag([4.0, 1.0])
    options = {"learning_rate": 1.5, "steps": 2}
    with pytest.warns(dynamics.UnstableStepWarning, match="1\\.5, above the largest stable step 1 "):
        dynamics.linearized(kernel, np.zeros(2), np.ones(2), **options)
    with pytest.raises(ValueError, match="largest stable step 1 "):
        dynamics.linearized(kernel, np.zeros(2), np.ones(2), unstable="raise", **options)
    dynamics.linearized(kernel, np.zeros(2), np.ones(2), unstable="ignore", **options)


def test_large_matrices_take_lanczos():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(300, 40))
    kernel = root @ root.T
    top = np.linalg.eigvalsh(kernel)[-1]
    assert dynamics.largest_stable_step(kernel) == pytest.approx(2 * 300 / top, rel=1e-9)


# Peers


@pytest.fixture(scope="module")
def kernels():
    _, _, kernel_fn = ntkrnn.network(ntkrnn.Elman(width=4, nonlinearity="relu"))
    return kernel_fn(X), kernel_fn(X_TEST, X), kernel_fn(X_TEST)


# neural-tangents solves in JAX's default precision: a backward stable solve of N rows loses at most
# N eps times the condition of the kernel, 56 for the NNGP kernel of X and 17 for its NTK.
TIMES = np.array([0.0, 0.7, 5.0, 40.0])
CONDITION = 60
PEER = N * EPS * CONDITION


def test_peers_solve_well_conditioned_systems(kernels):
    assert max(np.linalg.cond(np.asarray(kernel, float)) for kernel in kernels[0]) < CONDITION


def test_flow_against_neural_tangents(kernels):
    train, test, _ = kernels
    y = np.concatenate([Y, np.cos(Y)], axis=1)
    f0, f0_test = np.cos(np.arange(2 * N).reshape(N, 2)), np.sin(np.arange(2 * M).reshape(M, 2))
    nt = neural_tangents()
    predict = nt.predict.gradient_descent_mse(train.ntk, jnp.asarray(y))
    flow = dynamics.gradient_flow(train.ntk, f0, y, TIMES, ntk_test=test.ntk, f0_test=f0_test)
    # Its loss is the mean over sequences and outputs, ours the sum over outputs.
    for time, outputs, tests in zip(TIMES, flow.outputs, flow.test_outputs, strict=True):
        theirs = predict(2.0 * time, jnp.asarray(f0), jnp.asarray(f0_test), test.ntk)
        np.testing.assert_allclose(outputs, theirs[0], atol=PEER)
        np.testing.assert_allclose(tests, theirs[1], atol=PEER)


def test_trained_ensembles_against_neural_tangents(kernels):
    train, test, both = kernels
    nt = neural_tangents()

    def kernel_fn(x1, x2, get, **_):
        found = {(N, N): train, (M, N): test, (M, M): both}[
            (x1.shape[0], (x1 if x2 is None else x2).shape[0])
        ]
        if isinstance(get, str):
            return getattr(found, get)
        return Kernels(found.nngp, found.ntk)

    predict = nt.predict.gradient_descent_mse_ensemble(kernel_fn, X, Y, diag_reg=0.0)
    ours = dynamics.trained_ensemble(train, Y, TIMES, test=test, nngp_test_test=both.nngp)
    for r, time in enumerate(TIMES):
        theirs = predict(t=float(time), x_test=X_TEST, get="ntk", compute_cov=True)
        np.testing.assert_allclose(ours.mean[r], theirs.mean, atol=PEER)
        np.testing.assert_allclose(ours.covariance[r], theirs.covariance, atol=PEER)


def test_posterior_against_neural_tangents(kernels):
    train, test, both = kernels
    nt = neural_tangents()
    noise = 0.3
    predict = nt.predict.gp_inference(
        Kernels(train.nngp, train.ntk), Y, diag_reg=noise, diag_reg_absolute_scale=True
    )
    theirs = predict("nngp", test, both.nngp)
    ours = dynamics.nngp_posterior(train.nngp, Y, test.nngp, both.nngp, noise=noise)
    np.testing.assert_allclose(ours.mean, theirs.mean, atol=PEER)
    np.testing.assert_allclose(ours.covariance, theirs.covariance, atol=PEER)


def test_training_the_readout_alone_is_bayesian(kernels):
    """With v alone trained the NTK is the NNGP kernel, and convergence is its posterior."""
    train, test, both = kernels
    readout = Kernels(train.nngp, train.nngp), Kernels(test.nngp, test.nngp)
    trained = dynamics.trained_ensemble(
        readout[0], Y, np.inf, test=readout[1], nngp_test_test=both.nngp
    )
    posterior = dynamics.nngp_posterior(train.nngp, Y, test.nngp, both.nngp)
    condition = np.linalg.cond(np.asarray(train.nngp, np.float64))
    # Both in float64 from the same kernels.
    tolerance = 100 * np.finfo(np.float64).eps * condition
    np.testing.assert_allclose(trained.mean[0], posterior.mean, atol=tolerance)
    np.testing.assert_allclose(trained.covariance[0], posterior.covariance, atol=tolerance)


@pytest.mark.slow
def test_finite_networks_have_the_limit_s_mean_and_covariance():
    """200 networks of width 256 after 40 full steps, on new sequences, in standard errors.

    There the spread over starts stays, and the networks' own difference from the limit, of order
    1/width, is a small part of a standard error. (On the training sequences the spread goes to 0,
    and that difference is what is left.)
    """
    runs, steps = 200, 40
    arch = ntkrnn.Elman(width=256)
    init_fn, _, kernel_fn = ntkrnn.network(arch)
    train, test, both = kernel_fn(X), kernel_fn(X_TEST, X), kernel_fn(X_TEST, get="nngp")
    rate = 0.5 * dynamics.largest_stable_step(train.ntk)
    keys = jax.random.split(jax.random.key(7), runs)
    params = jax.jit(jax.vmap(lambda key: init_fn(key, X.shape)[1]))(keys)
    settings = {"optimizer": optax.sgd(rate), "steps": steps, "at": [steps], "x_test": X_TEST}
    run = dynamics.train(arch, params, X, Y, record="test_outputs", ensemble=True, **settings)
    limit = dynamics.trained_ensemble(
        train, Y, steps, test=test, nngp_test_test=both, learning_rate=rate
    )
    outputs = np.asarray(run.test_outputs[:, 0, :, 0], np.float64)
    mean, covariance = limit.mean[0, :, 0], limit.covariance[0]
    spread = np.sqrt(np.diag(covariance))
    assert np.abs((outputs.mean(axis=0) - mean) / (spread / np.sqrt(runs))).max() < 4.5
    # Of a Gaussian: var(c_ij) = (c_ii c_jj + c_ij^2)/(S - 1).
    error = np.sqrt((np.outer(spread**2, spread**2) + covariance**2) / (runs - 1))
    assert np.abs((np.cov(outputs.T) - covariance) / error).max() < 4.5


# Bad input

SQUARE = np.eye(3)
BAD = {
    "ntk-shape": ({"ntk": np.eye(2)}, r"ntk: got shape \(2, 2\), expected \(3, 3\)"),
    "ntk-nan": ({"ntk": np.full((3, 3), np.nan)}, r"ntk: got nan at \[0, 0\]"),
    "f0": ({"f0": np.zeros((3, 1, 1, 1))}, r"f0: got shape \(3, 1, 1, 1\)"),
    "y": ({"y": np.zeros(4)}, r"y: got shape \(4,\)"),
    "momentum": ({"momentum": 1.0}, "momentum: got 1.0"),
    "rate": ({"learning_rate": -1.0}, "learning_rate: got -1.0"),
    "batches": ({"batches": np.array([[0, 3]])}, "batches: got rows from 0 to 3"),
    "batches-steps": ({"batches": np.array([[0], [1]])}, "batches: got int64"),
    "half-a-test": ({"ntk_test": np.ones((2, 3))}, "f0_test: got None"),
    "test": ({"ntk_test": np.ones((2, 2)), "f0_test": np.zeros(2)}, r"ntk_test: got shape \(2, 2\)"),
    "unstable": ({"unstable": "no"}, "unstable: got 'no'"),
    "steps-of-outputs": (
        {"f0": np.zeros((3, 2, 1)), "y": np.zeros((3, 2, 1))},
        "expected a kernel with pairs of time steps",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_of_linearized_is_named(name):
    change, message = BAD[name]
    arguments = {"ntk": SQUARE, "f0": np.zeros(3), "y": np.ones(3), "learning_rate": 0.1, "steps": 1}
    with pytest.raises(ValueError, match=message):
        dynamics.linearized(**arguments | change)


def test_bad_input_of_closed_forms_is_named():
    zero, one = np.zeros(3), np.ones(3)
    with pytest.raises(ValueError, match="ntk: got a matrix that is not symmetric"):
        dynamics.gradient_flow(np.triu(np.ones((3, 3))), zero, one, 1.0)
    with pytest.raises(ValueError, match=r"ntk: got -1 at \[0, 0\], expected a kernel"):
        dynamics.gradient_flow(-SQUARE, zero, one, 1.0)
    with pytest.raises(ValueError, match="times: got -1"):
        dynamics.gradient_flow(SQUARE, zero, one, -1)
    with pytest.raises(ValueError, match="times: got 0\\.5 with a learning rate"):
        dynamics.gradient_flow(SQUARE, zero, one, 0.5, learning_rate=0.1)
    with pytest.raises(ValueError, match="y: got shape"):
        dynamics.gradient_flow(SQUARE, zero, np.ones(2), 1.0)
    with pytest.raises(ValueError, match="rate: got -1"):
        dynamics.decay_to_start(-1.0)

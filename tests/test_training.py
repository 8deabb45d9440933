"""Training runs: the same as optax's own loop on the network, and what they record."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ntkrnn
from ntkrnn import dynamics

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
N, T, D, STEPS = 7, 5, 2, 30
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (N, T, D))
LENGTHS = jnp.array([5, 3, 1, 4, 5, 2, 5])

CASES = {
    "last": (ntkrnn.Elman(width=12), None),
    "relu-mean-ragged": (
        ntkrnn.Elman(width=12, nonlinearity="relu", readout="mean", b_std=0.3),
        LENGTHS,
    ),
    "sequence-ragged-both-ways-deep": (
        ntkrnn.Elman(
            width=6, readout="sequence", bidirectional=True, depth=2, out_dim=2, trainable=("w", "v")
        ),
        LENGTHS,
    ),
}
OPTIMIZERS = {
    "sgd": optax.sgd(0.05),
    "adam": optax.adam(0.01),
    "momentum": optax.sgd(0.03, momentum=0.8),
}


def start(arch, seed=1):
    return ntkrnn.network(arch).init_fn(jax.random.key(seed), X.shape)[1]


def targets(arch):
    sizes = (N, T, arch.out_dim) if arch.readout == "sequence" else (N, arch.out_dim)
    return jnp.sin(jax.random.normal(jax.random.key(2), sizes))


def close(got, want, steps=STEPS):
    """Each step rounds gradients and sums of some hundred terms; errors add up along the run."""
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(
            a, b, rtol=0, atol=16 * EPS * steps * max(1, float(jnp.abs(b).max()))
        )


def by_hand(arch, params, x, y, lengths, optimizer, batches, steps, loss):
    """A Python loop over optax's updates of the trainable blocks, with JAX's own derivatives."""
    _, apply_fn, _ = ntkrnn.network(arch)
    labels = {"cells": [{d: dict(b) for d, b in layer.items()} for layer in params["cells"]], "v": "v"}
    for layer in labels["cells"]:
        for blocks in layer.values():
            blocks.update({name: name for name in blocks})
    masks = jax.tree.map(lambda name: name in arch.trainable, labels)
    frozen = jax.tree.map(lambda trained: not trained, masks)
    optimizer = optax.chain(optimizer, optax.masked(optax.set_to_zero(), frozen))

    @jax.jit
    def step(params, state, x, y, lengths):
        def mean(params):
            return loss(apply_fn(params, x, lengths), y, lengths)

        updates, state = optimizer.update(jax.grad(mean)(params), state, params)
        return optax.apply_updates(params, updates), state

    state, history = optimizer.init(params), [params]
    for k in range(steps):
        rows = jnp.arange(len(x)) if batches is None else batches[k]
        params, state = step(
            params, state, x[rows], y[rows], None if lengths is None else lengths[rows]
        )
        history.append(params)
    return history


def squared(outputs, y, lengths):
    if lengths is not None and outputs.ndim == 3:
        outputs = jnp.where((jnp.arange(T) < lengths[:, None])[..., None], outputs - y, 0)
        return 0.5 * jnp.sum(outputs**2) / len(outputs)
    return 0.5 * jnp.sum((outputs - y) ** 2) / len(outputs)


@pytest.mark.parametrize(
    ("name", "optimizer", "batch_size"),
    [
        ("last", "sgd", None),
        pytest.param("relu-mean-ragged", "momentum", 3, marks=pytest.mark.slow),
        ("sequence-ragged-both-ways-deep", "adam", 3),
    ],
)
def test_a_run_is_the_loop_of_optax(name, optimizer, batch_size):
    (arch, lengths), optimizer = CASES[name], OPTIMIZERS[optimizer]
    params, y = start(arch), targets(arch)
    options = {"batch_size": batch_size, "key": KEY, "lengths": lengths, "at": [0, 11, STEPS]}
    run = dynamics.train(arch, params, X, y, optimizer=optimizer, steps=STEPS, **options)
    history = by_hand(arch, params, X, y, lengths, optimizer, run.batches, STEPS, squared)
    close(run.params, history[-1])
    _, apply_fn, _ = ntkrnn.network(arch)
    for r, k in enumerate(run.steps):
        outputs = apply_fn(history[k], X, lengths)
        close(run.outputs[r], outputs)
        close(run.loss[r], squared(outputs, y, lengths))
    for block in set("wubv") - set(arch.trainable):
        frozen = params["v"] if block == "v" else params["cells"][0]["forward"][block]
        now = run.params["v"] if block == "v" else run.params["cells"][0]["forward"][block]
        np.testing.assert_array_equal(frozen, now)


@pytest.mark.parametrize("out_dim", [1, 3])
def test_cross_entropy(out_dim):
    arch = ntkrnn.Elman(width=8, readout="sequence", out_dim=out_dim)
    classes = jax.random.randint(jax.random.key(3), (N, T), 0, max(out_dim, 2))
    inside = jnp.arange(T) < LENGTHS[:, None]

    def loss(outputs, y, lengths):
        logits = outputs if out_dim > 1 else jnp.concatenate([0 * outputs, outputs], axis=-1)
        values = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1)[..., 0]
        return jnp.sum(jnp.where(jnp.arange(T) < lengths[:, None], values, 0)) / len(outputs)

    # What stands in the padding is no class at all.
    run = dynamics.train(
        arch,
        start(arch),
        X,
        jnp.where(inside, classes, -7),
        optimizer=OPTIMIZERS["sgd"],
        steps=STEPS,
        lengths=LENGTHS,
        loss="cross-entropy",
    )
    history = by_hand(arch, start(arch), X, classes, LENGTHS, OPTIMIZERS["sgd"], None, STEPS, loss)
    close(run.params, history[-1])


def test_a_loss_of_ones_own_is_the_squared_one():
    arch, _ = CASES["last"]
    options = {"optimizer": OPTIMIZERS["sgd"], "steps": STEPS}
    own = dynamics.train(
        arch,
        start(arch),
        X,
        targets(arch),
        loss=lambda f, y: 0.5 * jnp.sum((f - y) ** 2, axis=-1),
        **options,
    )
    close(own.params, dynamics.train(arch, start(arch), X, targets(arch), **options).params)


def test_an_ensemble_is_its_runs():
    """Three runs on however many cores, with batches of their own."""
    arch, lengths = CASES["relu-mean-ragged"]
    y, keys = targets(arch), jax.random.split(KEY, 3)
    params = [start(arch, seed) for seed in range(3)]
    options = {
        "optimizer": OPTIMIZERS["sgd"],
        "steps": STEPS,
        "batch_size": 3,
        "lengths": lengths,
        "at": 10,
        "record": ("loss", "outputs", "signs", "drift", "average", "best"),
    }
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *params)
    together = dynamics.train(arch, stacked, X, y, key=keys, ensemble=True, **options)
    for s in range(3):
        alone = dynamics.train(arch, params[s], X, y, key=keys[s], **options)
        one = jax.tree.map(lambda a, s=s: a[s], together._replace(steps=None))
        np.testing.assert_array_equal(one.batches, alone.batches)
        close(one, alone._replace(steps=None))


def test_a_function_is_trained_like_an_architecture():
    arch, lengths = CASES["relu-mean-ragged"]
    _, apply_fn, _ = ntkrnn.network(arch)
    options = {"optimizer": OPTIMIZERS["adam"], "steps": STEPS, "lengths": lengths}
    as_function = dynamics.train(apply_fn, start(arch), X, targets(arch), **options)
    as_architecture = dynamics.train(arch, start(arch), X, targets(arch), **options)
    close(as_function.params, as_architecture.params)
    close(as_function.movement.frobenius, as_architecture.movement.frobenius)


def test_records_are_what_they_say():
    arch, lengths = CASES["relu-mean-ragged"]
    params, y, at = start(arch), targets(arch), [0, 4, STEPS]
    record = (
        "loss",
        "test_outputs",
        "movement",
        "spectral",
        "signs",
        "ntk",
        "drift",
        "average",
        "best",
    )
    run = dynamics.train(
        arch,
        params,
        X,
        y,
        optimizer=OPTIMIZERS["sgd"],
        steps=STEPS,
        lengths=lengths,
        x_test=X[:2, :3],
        record=record,
        at=at,
    )
    history = by_hand(arch, params, X, y, lengths, OPTIMIZERS["sgd"], None, STEPS, squared)
    _, apply_fn, _ = ntkrnn.network(arch)
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)

    def positive(params):
        """By the recursion as it is written."""
        blocks, states, found = params["cells"][0]["forward"], jnp.zeros((N, arch.width)), []
        for t in range(T):
            h = states @ blocks["w"].T / arch.width**0.5 + X[:, t] @ blocks["u"].T / D**0.5
            h = h + arch.b_std * blocks["b"]
            states = jax.nn.relu(h)
            found.append(h > 0)
        return np.stack(found, axis=1)

    inside = np.arange(T) < np.asarray(lengths)[:, None]
    assert run.outputs is None
    for r, k in enumerate(at):
        now = history[k]
        close(run.test_outputs[r], apply_fn(now, X[:2, :3]))
        w, u = (now["cells"][0]["forward"][b] - params["cells"][0]["forward"][b] for b in "wu")
        close(run.movement.frobenius["cells"][0]["forward"]["w"][r], jnp.linalg.norm(w))
        close(run.movement.spectral["cells"][0]["forward"]["w"][r], jnp.linalg.norm(w, 2))
        close(run.movement.neuron["cells"][0]["forward"]["u"][r], jnp.linalg.norm(u, axis=1).max())
        close(run.movement.neuron["v"][r], jnp.abs(now["v"] - params["v"]).max())
        differ = (positive(now) != positive(params)).mean(axis=-1)
        close(run.signs[r], differ[inside].mean())
        kernel = ntk_fn(X, None, now, lengths)
        close(run.ntk[r], kernel)
        close(run.drift[r], jnp.linalg.norm(kernel - run.ntk[0]) / jnp.linalg.norm(run.ntk[0]))
    assert run.signs[-1] > 0
    close(run.average, jax.tree.map(lambda *a: sum(a) / len(a), *history[:-1]))
    close(run.best, history[at[int(jnp.argmin(run.loss))]])


def test_the_best_is_not_the_last_when_the_step_is_too_large():
    arch, _ = CASES["last"]
    y = targets(arch)
    with warnings.catch_warnings(record=True):
        run = dynamics.train(
            arch, start(arch), X, y, optimizer=optax.sgd(12.0), steps=STEPS, record=("loss", "best")
        )
    assert run.loss[-1] > jnp.min(run.loss)
    outputs = ntkrnn.network(arch).apply_fn(run.best, X)
    close(squared(outputs, y, None), jnp.min(run.loss))


def test_the_padding_never_matters():
    arch, lengths = CASES["sequence-ragged-both-ways-deep"]
    inside = (jnp.arange(T) < lengths[:, None])[..., None]
    y = targets(arch)
    options = {"optimizer": OPTIMIZERS["sgd"], "steps": 5, "lengths": lengths}
    clean = dynamics.train(arch, start(arch), jnp.where(inside, X, 0), y, **options)
    y = jnp.where(inside, y, jnp.nan)
    dirty = dynamics.train(arch, start(arch), jnp.where(inside, X, jnp.nan), y, **options)
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)


def test_batches_are_permutations():
    rows = np.asarray(dynamics.batches(KEY, 7, 3, 5))
    assert rows.shape == (5, 3)
    assert rows.dtype == np.int32
    for epoch in (rows[:2], rows[2:4]):
        assert len(np.unique(epoch)) == 6
    assert not np.array_equal(rows[:2], rows[2:4])


def test_divergence_is_said():
    arch = ntkrnn.Elman(width=8, nonlinearity="identity", w_std=2.0)
    with pytest.warns(dynamics.DivergedWarning, match="not finite from step"):
        dynamics.train(arch, start(arch), X, targets(arch), optimizer=optax.sgd(1e4), steps=STEPS)


BAD = {
    "arch": ({"arch": 3}, TypeError, "arch: got 3"),
    "optimizer": ({"optimizer": 0.1}, TypeError, "optimizer: got 0.1"),
    "steps": ({"steps": 0}, ValueError, "steps: got 0"),
    "loss": ({"loss": "mse"}, ValueError, "loss: got 'mse'"),
    "record": ({"record": ("losses",)}, ValueError, "record: got 'losses'"),
    "y-shape": ({"y": np.zeros((N, 2))}, ValueError, r"y: got shape \(7, 2\), expected \(7, 1\)"),
    "y-nan": ({"y": np.full(N, np.nan)}, ValueError, r"y: got nan at \[0, 0\]"),
    "classes": ({"loss": "cross-entropy", "y": np.full(N, 2)}, ValueError, "classes from 0 to 1"),
    "class-dtype": ({"loss": "cross-entropy", "y": np.zeros(N)}, TypeError, "y: got dtype float64"),
    "batch": ({"batch_size": 8, "key": KEY}, ValueError, "batch_size: got 8"),
    "key": ({"batch_size": 2}, ValueError, "key: got None"),
    "x": ({"x": np.full((N, T, D), np.nan)}, ValueError, "x: got nan at row 0"),
    "channels": ({"x_test": np.zeros((2, T, 3))}, ValueError, "channels"),
    "lengths": ({"lengths": np.full(N, 9)}, ValueError, "lengths: got 9"),
    "at": ({"at": [3, 2]}, ValueError, r"at: got \[3, 2\]"),
    "at-late": ({"at": [99]}, ValueError, "expected increasing steps between 0 and 30"),
    "ensemble": ({"ensemble": True}, ValueError, "params: got arrays with leading axes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    arch, _ = CASES["last"]
    change, kind, message = BAD[name]
    arguments = {"arch": arch, "params": start(arch), "x": X, "y": targets(arch), "steps": STEPS}
    arguments |= {"optimizer": OPTIMIZERS["sgd"], **change}
    with pytest.raises(kind, match=message):
        dynamics.train(**arguments)


def test_signs_of_a_function_are_refused():
    _, apply_fn, _ = ntkrnn.network(CASES["last"][0])
    with pytest.raises(ValueError, match="record: got 'signs' for a function"):
        dynamics.train(apply_fn, {}, X, X, optimizer=OPTIMIZERS["sgd"], steps=1, record="signs")


# What hangs


def _operands(jaxpr, primitive):
    """Shapes that a primitive is given, in loops and calls too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == primitive:
            yield from (v.aval.shape for v in equation.invars)
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr") or hasattr(v, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _operands(inner, primitive)


def test_spectral_norms_of_an_ensemble_are_taken_one_at_a_time():
    """LAPACK's calls for a batch, from two programs at once, hang on a CPU."""
    batch = jax.vmap(lambda a: jnp.linalg.norm(a, ord=2))
    shapes = list(_operands(jax.make_jaxpr(batch)(jnp.zeros((3, 4, 4))).jaxpr, "svd"))
    assert shapes == [(3, 4, 4)]  # what is to be avoided, so that its absence means something
    arch = ntkrnn.Elman(width=4)
    params = jax.vmap(lambda key: ntkrnn.network(arch).init_fn(key, X.shape)[1])(
        jax.random.split(KEY, 3)
    )
    optimizer = OPTIMIZERS["sgd"]

    def spectral(params):
        run = dynamics.train(
            arch,
            params,
            X,
            targets(arch),
            optimizer=optimizer,
            steps=2,
            record="spectral",
            ensemble=True,
        )
        return run.movement.spectral

    shapes = list(_operands(jax.make_jaxpr(spectral)(params).jaxpr, "svd"))
    assert shapes and set(shapes) == {(4, 4)}

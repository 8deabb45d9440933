"""Finite networks with gates: against flax, against plain loops, and their derivatives and kernels."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import erf, expit

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.cells import gradient
from ntkrnn.empirical import _factors
from ntkrnn.empirical._axes import roles_of
from ntkrnn.empirical._time_structured import time_structured

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
EXACT = jax.lax.Precision.HIGHEST
N, T, D, M = 5, 7, 3, 16
LENGTHS = np.array([7, 4, 1, 6, 7], np.int32)
X = jax.random.normal(jax.random.key(0), (N, T, D))
INSIDE = (np.arange(T) < LENGTHS[:, None])[:, :, None]
# T steps, each a sum of up to 2 M products, through functions whose slopes are at most 1.
ROUNDING = 4 * T * np.sqrt(2 * M) * EPS


def start(arch, seed=1):
    return ntkrnn.network(arch).init_fn(jax.random.key(seed), X.shape)[1]


# Against flax


def flax_lstm(arch, blocks):
    """Scales and means folded in; flax keeps the bias beside the recurrent kernel."""
    w, u = arch.w_std / np.sqrt(M) * blocks["w"], arch.u_std / np.sqrt(D) * blocks["u"]
    b = arch.b_std * blocks["b"] + jnp.asarray(arch.b_mean, X.dtype)[:, None]
    found = {f"i{gate}": {"kernel": u[k].T} for k, gate in enumerate("ifgo")}
    return found | {f"h{gate}": {"kernel": w[k].T, "bias": b[k]} for k, gate in enumerate("ifgo")}


def flax_gru(arch, blocks):
    """The biases beside the kernels of the input, and one inside of the reset; MGU has a gate less."""
    w, u = arch.w_std / np.sqrt(M) * blocks["w"], arch.u_std / np.sqrt(D) * blocks["u"]
    b = arch.b_std * blocks["b"] + jnp.asarray(arch.b_mean, X.dtype)[:, None]
    names = arch.part_names["u"]  # (r, z, n) or (f, n)
    found = {f"i{name}": {"kernel": u[k].T, "bias": b[k]} for k, name in enumerate(names)}
    found |= {f"h{name}": {"kernel": w[k].T} for k, name in enumerate(names)}
    found["hn"]["bias"] = b[-1]
    return found


GRU_MEANS = (0.3, -0.2, 0.1, 0.4)
PEERS = {
    "LSTMCell": (nn.LSTMCell, ntkrnn.LSTM(), flax_lstm),
    "OptimizedLSTMCell": (nn.OptimizedLSTMCell, ntkrnn.LSTM(), flax_lstm),
    "GRUCell": (nn.GRUCell, ntkrnn.GRU(b_mean=GRU_MEANS), flax_gru),
    "MGUCell": (nn.MGUCell, ntkrnn.MinimalGRU(), flax_gru),
}


def peer_of(name, **fields):
    """A flax module, the architecture, and the map of its parameters."""
    cell, arch, mapped = PEERS[name]
    scales = {"w_std": 1.3, "u_std": 0.8, "b_std": 0.4}
    arch = dataclasses.replace(arch, width=M, **scales, **fields)
    return nn.RNN(cell(M, param_dtype=X.dtype)), arch, lambda blocks: {"cell": mapped(arch, blocks)}


@pytest.mark.parametrize(
    "lengths",
    [pytest.param(None, id="full", marks=pytest.mark.slow), pytest.param(LENGTHS, id="seq_lengths")],
)
@pytest.mark.parametrize("name", PEERS)
def test_same_states_as_flax_at_every_step(name, lengths):
    module, arch, mapped = peer_of(name, readout="sequence", v_std=np.sqrt(M))
    params = start(arch) | {"v": jnp.eye(M, dtype=X.dtype)}
    arch = dataclasses.replace(arch, out_dim=M)
    flax_params = mapped(params["cells"][0]["forward"])
    want = module.apply({"params": flax_params}, X, seq_lengths=lengths)
    if lengths is not None:
        want = jnp.where(INSIDE, want, 0)
    got = ntkrnn.network(arch).apply_fn(params, X, lengths)
    np.testing.assert_allclose(got, want, rtol=0, atol=ROUNDING)  # states are at most 1
    # and nothing of flax's is left over
    shapes = jax.tree.map(jnp.shape, module.init(jax.random.key(0), X)["params"])
    assert jax.tree.map(jnp.shape, flax_params) == shapes


def test_forget_biases_at_the_start_of_flax():
    """flax starts a minimal unit with forget bias 1, and an LSTM with 0: ours is 1 by default."""
    bias = {}
    for name, gate in (("LSTMCell", "hf"), ("OptimizedLSTMCell", "hf"), ("MGUCell", "if")):
        cell = PEERS[name][0](M, param_dtype=X.dtype)
        params = nn.RNN(cell).init(jax.random.key(0), X)["params"]
        bias[name] = float(params["cell"][gate]["bias"].mean())
    assert bias == {"LSTMCell": 0.0, "OptimizedLSTMCell": 0.0, "MGUCell": 1.0}
    assert ntkrnn.LSTM().b_mean == (0, 1, 0, 0)
    assert ntkrnn.MinimalGRU().b_mean == (1, 0, 0)


@pytest.mark.parametrize(
    ("name", "readout"),
    [
        ("OptimizedLSTMCell", "last"),
        pytest.param("GRUCell", "mean", marks=pytest.mark.slow),
        pytest.param("OptimizedLSTMCell", "mean", marks=pytest.mark.slow),
        pytest.param("GRUCell", "last", marks=pytest.mark.slow),
    ],
)
def test_same_tangent_kernel_as_flax(name, readout):
    """By neural-tangents, through flax's own network as a function of our raw weights."""
    module, arch, mapped = peer_of(name, readout=readout)
    params = start(arch)
    states = ntkrnn.flax.apply_fn_from_module(module, readout)

    def apply_fn(params, x, lengths=None):
        read = states(mapped(params["cells"][0]["forward"]), x, lengths)
        return arch.v_std / np.sqrt(M) * read @ params["v"].T

    sides = (X[:3], X[3:], params, LENGTHS[:3], LENGTHS[3:])
    want = ntkrnn.empirical_ntk_fn(apply_fn)(*sides)
    got = ntkrnn.empirical_ntk_fn(arch)(*sides)
    # Sums of some hundred products, twice, through T steps.
    assert float(jnp.linalg.norm(got - want)) <= 100 * EPS * float(jnp.linalg.norm(want))


# Against plain loops


def loop(arch, params, x, gates):
    """States [T, m] of one sequence, in float64: ``gates(pre, h, c) -> (h, c)`` moves them on.

    ``pre(block, index, vector)`` is a product with its scale; a scale for all stands for each.
    """
    block = {name: np.asarray(a, np.float64) for name, a in params["cells"][0]["forward"].items()}
    stds = {"w": arch.w_std, "u": arch.u_std, "b": arch.b_std}

    def pre(name, k, vector=None):
        array = block[name][k] if len(arch.part_names[name]) > 1 else block[name]
        std = stds[name][k] if isinstance(stds[name], tuple) else stds[name]
        if vector is None:
            return std * array + (arch.b_mean[k] if hasattr(arch, "b_mean") else 0)
        return std / np.sqrt(len(vector)) * array @ vector

    h, c, states = np.zeros(M), np.zeros(M), []
    for token in np.asarray(x, np.float64):
        h, c = gates(pre, token, h, c)
        states.append(h)
    return np.array(states)


def leaky(pre, x, h, c):
    drive = pre("w", 0, h) + pre("u", 0, x) + pre("b", 0)
    return 0.7 * h + 0.3 * erf(drive), c


def gru_before(pre, x, h, c):
    r, z = (expit(pre("w", k, h) + pre("u", k, x) + pre("b", k)) for k in (0, 1))
    n = np.tanh(pre("w", 2, r * h) + pre("u", 2, x) + pre("b", 2))
    return (1 - z) * n + z * h, c


def gru_after(pre, x, h, c):
    r, z = (expit(pre("w", k, h) + pre("u", k, x) + pre("b", k)) for k in (0, 1))
    n = np.tanh(pre("u", 2, x) + pre("b", 2) + r * (pre("w", 2, h) + pre("b", 3)))
    return (1 - z) * n + z * h, c


def lstm(pre, x, h, c):
    i, f, g, o = (pre("w", k, h) + pre("u", k, x) + pre("b", k) for k in range(4))
    c = (1 + erf(f)) / 2 * c + (1 + erf(i)) / 2 * np.tanh(g)
    return (1 + erf(o)) / 2 * np.tanh(c), c


def minimal(pre, x, h, c):
    f = expit(pre("w", 0, h) + pre("u", 0, x) + pre("b", 0))
    n = np.tanh(pre("u", 1, x) + pre("b", 1) + f * (pre("w", 1, h) + pre("b", 2)))
    return (1 - f) * n + f * h, c


HALF = ntkrnn.dual.nonlinearity(lambda x: (1 + jax.lax.erf(x)) / 2, name="half")
THREE, FOUR = (0.9, 1.4, 0.6), (1.2, 0.7, 0.9, 1.5)
LOOPS = {
    "leaky": (ntkrnn.Leaky(width=M, rate=0.3, w_std=1.2, b_std=0.5), leaky),
    "gru-before": (ntkrnn.GRU(width=M, reset="before", b_std=0.5, b_mean=THREE), gru_before),
    "gru-before-per-gate": (
        ntkrnn.GRU(width=M, reset="before", w_std=THREE, u_std=THREE, b_std=THREE),
        gru_before,
    ),
    "gru-after-per-gate": (
        ntkrnn.GRU(width=M, w_std=THREE, u_std=THREE, b_std=FOUR, b_mean=FOUR),
        gru_after,
    ),
    "lstm-per-gate": (
        ntkrnn.LSTM(width=M, w_std=FOUR, u_std=FOUR, b_std=FOUR, gate_nonlinearity=HALF),
        lstm,
    ),
    "minimal-gru-per-gate": (
        ntkrnn.MinimalGRU(width=M, w_std=(1.2, 0.8), b_std=THREE),
        minimal,
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_same_outputs_as_a_plain_loop(name):
    arch, gates = LOOPS[name]
    params = start(arch)
    apply_fn = ntkrnn.network(dataclasses.replace(arch, readout="sequence")).apply_fn
    for got, x, length in zip(apply_fn(params, X, LENGTHS), X, LENGTHS, strict=True):
        states = loop(arch, params, x[:length], gates)
        want = states @ np.asarray(params["v"], np.float64).T / np.sqrt(M)
        np.testing.assert_allclose(got[:length], want, rtol=0, atol=ROUNDING)
        assert not np.any(got[length:])


def test_leaky_with_rate_1_is_elman():
    one = ntkrnn.Leaky(width=M, rate=1.0, b_std=0.3)
    other = ntkrnn.Elman(width=M, b_std=0.3)
    params = start(one)
    for build in (ntkrnn.empirical_ntk_fn, ntkrnn.empirical_nngp_fn):
        a, b = (build(arch)(X, None, params, LENGTHS) for arch in (one, other))
        np.testing.assert_allclose(a, b, rtol=0, atol=100 * EPS * float(jnp.abs(b).max()))


# Derivatives and kernels

CASES = {
    "lstm-deep-both-ways-sequence": ntkrnn.LSTM(
        width=6, depth=2, bidirectional=True, readout="sequence", b_std=0.4, out_dim=2
    ),
    "lstm-per-gate-deep-mean": ntkrnn.LSTM(
        width=6, depth=2, readout="mean", w_std=FOUR, u_std=FOUR, b_std=FOUR, trainable=("u", "b")
    ),
    "gru-before-both-ways": ntkrnn.GRU(
        width=6, reset="before", bidirectional=True, b_std=0.3, w_std=1.3
    ),
    "gru-before-deep": ntkrnn.GRU(width=6, reset="before", depth=2, b_std=0.3, trainable=("w", "u")),
    "gru-before-per-gate-only-w": ntkrnn.GRU(
        width=6, reset="before", w_std=THREE, u_std=THREE, out_dim=2, trainable=("w",)
    ),
    "gru-after-deep-mean": ntkrnn.GRU(width=6, depth=2, readout="mean", b_std=0.3),
    "gru-after-per-gate-sequence": ntkrnn.GRU(
        width=6, readout="sequence", w_std=THREE, b_std=FOUR, trainable=("w", "v")
    ),
    "leaky-deep-both-ways": ntkrnn.Leaky(width=6, rate=0.4, depth=2, bidirectional=True, b_std=0.3),
    "minimal-gru-deep": ntkrnn.MinimalGRU(width=6, depth=2, b_std=0.3, trainable=("w", "b")),
}


# A compilation of two derivatives each.
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_gradient_is_jax_s_own(name):
    arch, params = CASES[name], start(CASES[name])
    apply_fn = ntkrnn.network(arch).apply_fn
    cotangent = jnp.cos(jnp.arange(apply_fn(params, X, LENGTHS).size, dtype=X.dtype))
    cotangent = cotangent.reshape(jax.eval_shape(apply_fn, params, X, LENGTHS).shape)
    if arch.readout == "sequence":
        cotangent = jnp.where(INSIDE, cotangent, 0)
    got = jax.jit(lambda p: gradient(arch, p, X, LENGTHS, lambda y: cotangent))(params)
    want = jax.jit(jax.grad(lambda p: jnp.sum(cotangent * apply_fn(p, X, LENGTHS))))(params)
    found = jax.tree_util.tree_leaves_with_path(got, is_leaf=lambda leaf: leaf is None)
    largest = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(want))
    for (path, leaf), other in zip(found, jax.tree.leaves(want), strict=True):
        if path[-1].key not in arch.trainable:
            assert leaf is None
            continue
        # Sums of N T products, through T steps and two layers.
        np.testing.assert_allclose(leaf, other, rtol=0, atol=N * T * 8 * EPS * largest)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_both_routes_are_the_jacobian_product(name):
    """x1 != x2, N1 != N2, T1 != T2, unequal lengths, channels kept."""
    arch, params = CASES[name], start(CASES[name])
    apply_fn = ntkrnn.network(arch).apply_fn
    trained = jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key in arch.trainable, params)
    jacobian = jax.jit(jax.jacrev(lambda p: apply_fn(p, X, LENGTHS)))(params)
    shape = apply_fn(params, X, LENGTHS).shape
    parts = zip(jax.tree.leaves(jacobian), jax.tree.leaves(trained), strict=True)
    j = jnp.concatenate([a.reshape(*shape, -1) for a, kept in parts if kept], axis=-1)
    if arch.readout == "sequence":
        want = jnp.einsum("itop,jsqp->ijtsoq", j[3:, :6], j[:3], precision=EXACT)
        lengths = np.minimum(LENGTHS[3:], 6)
        rows = jax.jacrev(lambda p: apply_fn(p, X[3:, :6], lengths))(params)
        parts = zip(jax.tree.leaves(rows), jax.tree.leaves(trained), strict=True)
        left = jnp.concatenate([a.reshape(2, 6, shape[2], -1) for a, kept in parts if kept], axis=-1)
        want = jnp.einsum("itop,jsqp->ijtsoq", left, j[:3], precision=EXACT)
        sides = (X[3:, :6], X[:3], params, lengths, LENGTHS[:3])
    else:
        want = jnp.einsum("iop,jqp->ijoq", j[3:], j[:3], precision=EXACT)
        sides = (X[3:], X[:3], params, LENGTHS[3:], LENGTHS[:3])
    for route in ("time_structured", "row_chunked"):
        got = ntkrnn.empirical_ntk_fn(arch, (), _route=route)(*sides)
        assert got.shape == want.shape
        assert float(jnp.linalg.norm(got - want)) <= 100 * EPS * float(jnp.linalg.norm(want))


@pytest.mark.parametrize(
    ("arch", "gates"),
    [
        (ntkrnn.LSTM(width=M), [[4]]),
        (ntkrnn.LSTM(width=M, trainable=("u",), w_std=FOUR), [[4]]),
        (ntkrnn.LSTM(width=M, u_std=(1.0, 1.0, 2.0, 1.0), w_std=FOUR), [[1, 1, 1, 1], [1, 4, 1, 1, 1]]),
        (ntkrnn.GRU(width=M), [[2, 1, 1], [3, 3, 4]]),
        (ntkrnn.GRU(width=M, trainable=("w",)), [[3]]),
        (ntkrnn.GRU(width=M, reset="before"), [[2, 1], [2, 3, 1]]),
        (ntkrnn.MinimalGRU(width=M, trainable=("w", "v")), [[2]]),
        (ntkrnn.Elman(width=M), [[1]]),
    ],
    ids=str,
)
def test_gates_that_multiply_the_same_share_a_gram_matrix(arch, gates):
    """Whatever the numbers of a tuple of scales: what is compiled for them must not depend on those."""

    def shapes(scales):
        roles, own = roles_of(arch, (-1,), ()), arch.form.with_scales(scales)
        return _factors.factors(own, start(arch), X, None, roles, EXACT).layers

    (found,) = jax.eval_shape(shapes, arch.scales)
    want = [[(N, 1, T, k * M) for k in grouping] for grouping in gates]
    assert [[gate.deltas.shape for gate in grouping] for grouping in found] == want


@pytest.mark.parametrize(
    "arch",
    [
        pytest.param(ntkrnn.GRU(width=M, b_std=0.5, u_std=1.3), id="gru"),
        pytest.param(
            ntkrnn.GRU(width=M, reset="before", b_std=0.5, depth=2, bidirectional=True),
            id="gru-before-both-ways",
            marks=pytest.mark.slow,
        ),
        pytest.param(ntkrnn.LSTM(width=M, w_std=FOUR, b_std=0.5), id="lstm-per-gate"),
    ],
)
def test_every_grouping_gives_the_same(arch):
    roles, params = roles_of(arch, (-1,), ()), start(arch)
    layers = _factors.factors(arch, params, X, LENGTHS, roles, EXACT).layers
    for one, two in layers:
        kernels = [
            sum(time_structured(group, group, True, EXACT) for group in groups) for groups in (one, two)
        ]
        off = float(jnp.linalg.norm(kernels[0] - kernels[1]))
        assert off <= 100 * EPS * float(jnp.linalg.norm(kernels[0]))


# Training


@pytest.mark.parametrize(
    "arch",
    [
        ntkrnn.LSTM(width=M, b_std=0.3),
        pytest.param(ntkrnn.GRU(width=M, reset="before"), marks=pytest.mark.slow),
    ],
    ids=["lstm", "gru-before"],
)
def test_training_and_what_it_records(arch):
    """One step of SGD by hand, and the distances that it went."""
    params, rate = start(arch), 0.5
    y = jnp.sin(jnp.arange(N, dtype=X.dtype))[:, None]
    apply_fn = ntkrnn.network(arch).apply_fn
    record = ("loss", "movement", "spectral", "signs")
    options = {"optimizer": optax.sgd(rate), "steps": 1, "lengths": LENGTHS, "record": record}
    run = dynamics.train(arch, params, X, y, **options)
    loss = lambda p: 0.5 * jnp.mean(jnp.sum((apply_fn(p, X, LENGTHS) - y) ** 2, -1))  # noqa: E731
    want = jax.tree.map(lambda a, g: a - rate * g, params, jax.jit(jax.grad(loss))(params))
    for a, b in zip(jax.tree.leaves(run.params), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=8 * N * T * EPS * float(jnp.abs(b).max()))
    moved, began = (p["cells"][0]["forward"] for p in (run.params, params))
    shift = {name: np.asarray(moved[name], np.float64) - np.asarray(began[name]) for name in moved}
    got = {kind: getattr(run.movement, kind)["cells"][0]["forward"] for kind in run.movement._fields}
    want = {
        "frobenius": {name: np.linalg.norm(a) for name, a in shift.items()},
        "neuron": {
            "w": np.linalg.norm(shift["w"], axis=(0, 2)).max(),
            "u": np.linalg.norm(shift["u"], axis=(0, 2)).max(),
            "b": np.linalg.norm(shift["b"], axis=0).max(),
        },
        "spectral": {"w": np.linalg.norm(shift["w"], ord=2, axis=(1, 2))},
    }
    for kind, blocks in want.items():
        for name, value in blocks.items():
            # The shift is the difference of weights of size 1, rounded.
            np.testing.assert_allclose(got[kind][name][-1], value, rtol=0, atol=8 * M * EPS)
    assert float(run.signs[-1]) < 0.2


# What is for Elman networks only


def test_layers_of_neural_tangents_are_elman_networks_only():
    with pytest.raises(TypeError, match=r"arch: got LSTM\(.*expected an ntkrnn.Elman.*kernel_fn"):
        ntkrnn.stax.Recurrent(ntkrnn.LSTM(width=4))

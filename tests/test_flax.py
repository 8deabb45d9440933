"""Networks of flax, and any function, in the empirical tangent kernel."""

import functools
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from counting import compilations
from flax import nnx

import ntkrnn
from ntkrnn.empirical import _any_network

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
N, T, D, M = 7, 5, 3, 12
X = jax.random.normal(jax.random.key(0), (N, T, D))
X2 = jax.random.normal(jax.random.key(1), (4, T, D))
LENGTHS, LENGTHS2 = jnp.array([5, 1, 3, 5, 2, 4, 5]), jnp.array([2, 5, 1, 3])
PADDED = jnp.where((jnp.arange(T) < LENGTHS[:, None])[:, :, None], X, jnp.nan)
from_module = ntkrnn.flax.apply_fn_from_module


class Linen(nn.Module):
    """A recurrent layer and a readout at every step."""

    cell: nn.Module
    outputs: int = 2
    bias: bool = True

    @nn.compact
    def __call__(self, x, lengths=None):
        states = nn.RNN(self.cell)(x, seq_lengths=lengths)
        return nn.Dense(self.outputs, use_bias=self.bias, param_dtype=x.dtype)(states)


class Nnx(nnx.Module):
    def __init__(self, cell, seed=0):
        rngs = nnx.Rngs(seed)
        self.rnn = nnx.RNN(cell(D, M, dtype=X.dtype, param_dtype=X.dtype, rngs=rngs))
        self.readout = nnx.Linear(M, 2, param_dtype=X.dtype, rngs=rngs)

    def __call__(self, x, lengths=None):
        return self.readout(self.rnn(x, seq_lengths=lengths))


@functools.cache
def linen_params(module):
    params = jax.jit(module.init)(jax.random.key(2), X)["params"]
    return jax.tree.map(lambda p: p + 0.1, params)


def linen(cell=nn.GRUCell, readout="last"):
    """A function of a linen module, and its parameters."""
    module = Linen(cell(M, param_dtype=X.dtype))
    return from_module(module, readout), linen_params(module)


@functools.cache
def nnx_model(cell):
    return Nnx(cell)


def nnx_module(cell=nnx.GRUCell, readout="last"):
    module = nnx_model(cell)
    return from_module(module, readout), nnx.state(module, nnx.Param)


def contracted(apply_fn, params, x1, x2, lengths1, lengths2):
    """``sum_leaves J1 J2^T`` of outputs [N, O], averaged over O, by explicit Jacobians."""
    x, lengths = jnp.concatenate([x1, x2]), jnp.concatenate([lengths1, lengths2])
    jacobian = jax.jit(jax.jacobian(lambda p: apply_fn(p, x, lengths)))(params)
    total = 0.0
    for block in jax.tree.leaves(jacobian):
        a, b = jnp.split(block.reshape(*block.shape[:2], -1), [len(x1)])
        product = jnp.einsum("iop,jop->ij", a, b, precision=jax.lax.Precision.HIGHEST)
        total = total + product / a.shape[1]
    return total


def close(got, want):
    """To rounding: sums of some hundred products, twice, through T steps."""
    assert got.shape == want.shape
    assert float(jnp.linalg.norm(got - want)) <= 100 * EPS * float(jnp.linalg.norm(want))


# Any function in the place of an architecture ---------------------------------------------------


@functools.cache
def elman(readout="last"):
    arch = ntkrnn.Elman(width=M, nonlinearity="tanh", b_std=0.3, readout=readout, out_dim=2)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    return arch, apply_fn, init_fn(jax.random.key(3), X.shape)[1]


SIDES = {
    "x2=None": ((X, None), (None, None)),
    "x2=None, lengths": ((PADDED, None), (LENGTHS, None)),
    "x1, x2, lengths": ((PADDED, X2), (LENGTHS, LENGTHS2)),
    "lengths on one side": ((X, X2), (None, LENGTHS2)),
}


@pytest.mark.parametrize(
    ("readout", "sides"),
    [("last", sides) for sides in SIDES] + [("sequence", "x2=None"), ("sequence", "x1, x2, lengths")],
)
def test_a_function_has_the_kernel_of_its_architecture(readout, sides):
    arch, apply_fn, params = elman(readout)
    xs, lengths = SIDES[sides]
    want = ntkrnn.empirical_ntk_fn(arch)(*xs, params, *lengths)
    got = ntkrnn.empirical_ntk_fn(apply_fn, tile=3)(*xs, params, *lengths)
    close(got, want)
    if xs[1] is None:
        order = (1, 0) if readout == "last" else (1, 0, 3, 2)
        assert jnp.array_equal(got, jnp.transpose(got, order))


AXES = {
    "sequence": [((1,), (-1,)), ((), (1,))],
    "last": [((), ())],
}


@pytest.mark.parametrize(("readout", "axes"), [(r, a) for r, every in AXES.items() for a in every])
def test_axes_as_for_an_architecture(readout, axes):
    arch, apply_fn, params = elman(readout)
    want = ntkrnn.empirical_ntk_fn(arch, *axes)(X, None, params, LENGTHS)
    close(ntkrnn.empirical_ntk_fn(apply_fn, *axes, tile=3)(X, None, params, LENGTHS), want)


@pytest.mark.parametrize("implementation", ["ntk_vector_products", "structured_derivatives"])
def test_implementations_agree(implementation):
    def apply_fn(params, x):
        return jnp.tanh(x @ params["u"]).mean(1) @ params["v"]

    params = {"u": jnp.ones((D, M)) + jnp.arange(M), "v": jnp.ones((M, 2))}
    want = ntkrnn.empirical_ntk_fn(apply_fn)(X, X2, params)
    close(ntkrnn.empirical_ntk_fn(apply_fn, implementation=implementation, tile=3)(X, X2, params), want)


@pytest.mark.parametrize("tile", [pytest.param(1, marks=pytest.mark.slow), None, 100])
def test_any_tile_gives_the_same(tile):
    arch, apply_fn, params = elman()
    want = ntkrnn.empirical_ntk_fn(arch)(X, None, params, LENGTHS)
    got = ntkrnn.empirical_ntk_fn(apply_fn, tile=tile)(X, None, params, LENGTHS)
    close(got, want)
    assert jnp.array_equal(got, got.T)


def test_tiles_bound_what_jacobians_take():
    for width in (8, 100, 2000):
        params = jax.ShapeDtypeStruct((width, width), jnp.float32)
        for n in (1, 9, 130, 5000):
            tiling = _any_network._tiling(n, n, None, params, jax.ShapeDtypeStruct((n, 3), jnp.float32))
            budget = _any_network.JACOBIAN_BYTES[jax.default_backend()]
            entries = 4 * 3 * width**2
            assert tiling.rows == 1 or 2 * tiling.rows * entries <= budget
            assert tiling.rows <= max(8, 1.25 * n)


@pytest.mark.slow
def test_the_kernel_of_a_function_can_be_differentiated():
    _, apply_fn, params = elman()
    ntk_fn = ntkrnn.empirical_ntk_fn(apply_fn, tile=3)
    arch_fn = ntkrnn.empirical_ntk_fn(elman()[0])
    got, want = (
        jax.jit(jax.grad(lambda x, fn=fn: fn(X, x, params).sum()))(X2) for fn in (ntk_fn, arch_fn)
    )
    close(got, want)


# flax.linen -------------------------------------------------------------------------------------


def test_simple_cell_is_our_elman():
    """Outputs and kernel: raw weights with their scales folded in are the weights of flax, and by the
    chain rule every block of our kernel is that of flax times the square of the scale."""
    arch = ntkrnn.Elman(
        width=M, nonlinearity="tanh", w_std=1.3, u_std=0.8, b_std=0.4, v_std=0.9, out_dim=2
    )
    init_fn, own_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(3), X.shape)
    cell = nn.SimpleCell(M, activation_fn=jnp.tanh, param_dtype=X.dtype)
    apply_fn = from_module(Linen(cell, bias=False), readout="last")
    u, w, v = arch.u_std / np.sqrt(D), arch.w_std / np.sqrt(M), arch.v_std / np.sqrt(M)

    def folded(raw):
        blocks = raw["cells"][0]["forward"]
        i = {"kernel": u * blocks["u"].T, "bias": arch.b_std * blocks["b"]}
        recurrent = {"i": i, "h": {"kernel": w * blocks["w"].T}}
        return {"cell": recurrent, "Dense_0": {"kernel": v * raw["v"].T}}

    close(apply_fn(folded(params), PADDED, LENGTHS), own_fn(params, X, LENGTHS))
    want = ntkrnn.empirical_ntk_fn(arch)(X, X2, params, LENGTHS, LENGTHS2)

    def own_parameters(raw, x, lengths=None):
        return apply_fn(folded(raw), x, lengths)

    close(ntkrnn.empirical_ntk_fn(own_parameters)(X, X2, params, LENGTHS, LENGTHS2), want)


SLOW = pytest.mark.slow
MODELS = [
    (linen, nn.OptimizedLSTMCell),
    pytest.param(nnx_module, nnx.GRUCell, marks=SLOW),
    pytest.param(linen, nn.GRUCell, marks=SLOW),
    pytest.param(linen, nn.SimpleCell, marks=SLOW),
    pytest.param(nnx_module, nnx.SimpleCell, marks=SLOW),
    pytest.param(nnx_module, nnx.OptimizedLSTMCell, marks=SLOW),
]


@pytest.mark.parametrize(("build", "cell"), MODELS, ids=lambda v: v.__name__)
def test_kernel_is_the_contraction_of_jacobians(build, cell):
    apply_fn, params = build(cell)
    want = contracted(apply_fn, params, X, X2, LENGTHS, LENGTHS2)
    ntk_fn = ntkrnn.empirical_ntk_fn(apply_fn, tile=4)
    close(ntk_fn(PADDED, X2, params, LENGTHS, LENGTHS2), want)


PADDING = [(linen, readout) for readout in ("sequence", "last", "mean")]


@pytest.mark.parametrize(("build", "readout"), [*PADDING, (nnx_module, None)])
def test_padding_never_matters(build, readout):
    """Not in outputs, not in kernels, not in gradients; and as if each sequence were alone."""
    apply_fn, params = build(readout=readout)
    filled = jnp.where(jnp.isnan(PADDED), 7.0, PADDED)
    apply = jax.jit(apply_fn)
    outputs = [apply(params, x, LENGTHS) for x in (PADDED, filled)]
    assert jnp.array_equal(*outputs) and bool(jnp.isfinite(outputs[0]).all())
    row, length = 2, int(LENGTHS[2])
    alone = apply(params, X[row : row + 1, :length])[0]
    own = outputs[0][row] if alone.ndim == 1 else outputs[0][row, :length]
    np.testing.assert_allclose(own, alone, rtol=0, atol=100 * EPS)
    if readout == "sequence":
        assert not outputs[0][row, length:].any()
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(apply_fn(p, PADDED, LENGTHS) ** 2)))(params)
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize("readout", [None, pytest.param("mean", marks=pytest.mark.slow)])
def test_padding_never_matters_in_kernels(readout):
    """Nor do outputs at padded steps, which a module may fill as it likes."""
    apply_fn, params = linen(readout=readout)
    filled = jnp.where(jnp.isnan(PADDED), 7.0, PADDED)
    ntk_fn = ntkrnn.empirical_ntk_fn(apply_fn)
    kernel = ntk_fn(PADDED, None, params, LENGTHS)
    assert jnp.array_equal(kernel, ntk_fn(filled, None, params, LENGTHS))
    if readout is None:
        inside = jnp.arange(T) < LENGTHS[:, None]
        both = inside[:, None, :, None] & inside[None, :, None, :]
        assert jnp.array_equal(kernel != 0, both)
    else:
        assert kernel.shape == (N, N) and bool(jnp.isfinite(kernel).all())


@pytest.mark.parametrize("build", [linen, nnx_module], ids=["linen", "nnx"])
def test_composes_with_transformations(build):
    apply_fn, params = build()
    want = apply_fn(params, X, LENGTHS)
    close(jax.jit(apply_fn)(params, X, LENGTHS), want)
    one = jax.vmap(lambda x, n: apply_fn(params, x[None], n[None])[0])(X, LENGTHS)
    close(one, want)
    tangent = jax.tree.map(jnp.ones_like, params)
    total = jax.jit(lambda p: apply_fn(p, X).sum())
    _, along = jax.jvp(total, (params,), (tangent,))
    gradient = jax.grad(total)(params)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)
    back = sum(g.sum() for g in jax.tree.leaves(gradient))
    assert float(along) == pytest.approx(float(back), rel=1e3 * EPS)


def test_a_module_is_trained_and_followed_by_its_kernel():
    """The run of its linearisation, and the course of its kernel, with padding and mini-batches."""
    apply_fn, params = linen()
    y, steps = jnp.sin(X[:, 0, :2]), 100
    options = {"steps": steps, "batch_size": 3, "key": jax.random.key(4), "lengths": LENGTHS, "at": 10}
    line = ntkrnn.dynamics.linearize(apply_fn, params)
    run = ntkrnn.dynamics.train(line, params, PADDED, y, optimizer=optax.sgd(0.05), **options)
    ntk = ntkrnn.empirical_ntk_fn(apply_fn, trace_axes=())(PADDED, None, params, LENGTHS)
    predicted = ntkrnn.dynamics.linearized(
        ntk, run.outputs[0], y, learning_rate=0.05, steps=steps, batches=run.batches, at=10
    )
    assert run.loss[-1] < 0.5 * run.loss[0]
    scale = float(jnp.abs(run.outputs).max())
    np.testing.assert_allclose(run.outputs, predicted.outputs, rtol=0, atol=EPS * steps * scale)
    # The module itself: its kernel moves.
    options |= {"record": ("ntk", "drift"), "at": [0, steps]}
    moved = ntkrnn.dynamics.train(apply_fn, params, PADDED, y, optimizer=optax.sgd(0.05), **options)
    np.testing.assert_allclose(
        moved.ntk[0], jnp.trace(ntk, axis1=-2, axis2=-1) / 2, rtol=0, atol=100 * EPS * float(ntk.max())
    )
    now = ntkrnn.empirical_ntk_fn(apply_fn)(PADDED, None, moved.params, LENGTHS)
    drift = jnp.linalg.norm(now - moved.ntk[0]) / jnp.linalg.norm(moved.ntk[0])
    assert moved.drift[0] == 0
    assert float(jnp.abs(moved.drift[1] - drift)) < 100 * EPS
    assert drift > 0.01


def test_both_directions():
    directions = [nn.RNN(nn.GRUCell(M, param_dtype=X.dtype)) for _ in range(2)]
    module = nn.Bidirectional(*directions)
    params = linen_params(module)
    apply_fn = jax.jit(from_module(module, "mean"))
    row, length = 2, int(LENGTHS[2])
    alone = apply_fn(params, X[row : row + 1, :length])[0]
    got = apply_fn(params, PADDED, LENGTHS)[row]
    np.testing.assert_allclose(got, alone, rtol=0, atol=100 * EPS)


@pytest.mark.parametrize("build", [linen, nnx_module], ids=["linen", "nnx"])
def test_equal_modules_share_programs(build):
    (first, params), (other, _) = build(), build(readout="mean")
    nnx_model.cache_clear()
    second, _ = build()
    assert first == second and hash(first) == hash(second)
    assert first != other and "readout='last'" in repr(first)
    with compilations() as before:
        ntkrnn.empirical_ntk_fn(first)(X, None, params)
    with compilations() as again:
        ntkrnn.empirical_ntk_fn(second)(X, None, params)
    assert before[0] >= 1 and again[0] == 0


# Tokens -----------------------------------------------------------------------------------------

WORDS = 9
TOKENS = jax.random.randint(jax.random.key(5), (N, T, 1), 0, WORDS, jnp.int32)


class LinenReader(nn.Module):
    """Embeds, as flax has it, whole numbers [N, T]."""

    @nn.compact
    def __call__(self, tokens, lengths=None):
        assert tokens.dtype == jnp.int32 and tokens.ndim == 2
        x = nn.Embed(WORDS, D, param_dtype=X.dtype)(tokens)
        return nn.RNN(nn.GRUCell(M, param_dtype=X.dtype))(x, seq_lengths=lengths)


class NnxReader(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.embed = nnx.Embed(WORDS, D, param_dtype=X.dtype, rngs=rngs)
        self.rnn = nnx.RNN(nnx.GRUCell(D, M, dtype=X.dtype, param_dtype=X.dtype, rngs=rngs))

    def __call__(self, tokens, lengths=None):
        assert tokens.dtype == jnp.int32 and tokens.ndim == 2
        return self.rnn(self.embed(tokens), seq_lengths=lengths)


@functools.cache
def linen_reader():
    module = LinenReader()
    params = module.init(jax.random.key(2), TOKENS[:, :, 0])["params"]
    own = lambda x, lengths: module.apply({"params": params}, x, lengths)  # noqa: E731
    return module, params, own


@functools.cache
def nnx_reader():
    module = NnxReader()
    return module, nnx.state(module, nnx.Param), module


READERS = pytest.mark.parametrize("reader", [linen_reader, nnx_reader], ids=["linen", "nnx"])


@READERS
@pytest.mark.parametrize("dtype", ["int32", "uint8", "float32"])
def test_tokens_reach_the_module_as_whole_numbers(reader, dtype):
    module, params, own = reader()
    apply_fn = from_module(module, "last", tokens=True)
    got = apply_fn(params, TOKENS.astype(dtype), LENGTHS)
    want = own(TOKENS[:, :, 0].astype(jnp.int32), LENGTHS)
    assert jnp.array_equal(got, want[jnp.arange(N), LENGTHS - 1])
    # What stands in the padding never matters, for it is no token either.
    inside = (jnp.arange(T) < LENGTHS[:, None])[:, :, None]
    assert jnp.array_equal(got, apply_fn(params, jnp.where(inside, TOKENS, jnp.nan), LENGTHS))
    assert apply_fn != from_module(module, "last")


@READERS
def test_kernels_between_tokens(reader):
    module, params, _ = reader()
    apply_fn = from_module(module, "last", tokens=True)
    x1, x2 = TOKENS[:4], TOKENS[4:]
    want = contracted(apply_fn, params, x1, x2, LENGTHS[:4], LENGTHS[4:])
    ntk_fn = ntkrnn.empirical_ntk_fn(apply_fn)
    close(ntk_fn(x1, x2, params, LENGTHS[:4], LENGTHS[4:]), want)
    bad = jnp.array([0.5, -1.0, float(WORDS)])
    x2 = x2.astype(X.dtype).at[:, 0, 0].set(bad)
    try:
        kernel = ntk_fn(x1, x2, params, LENGTHS[:4], LENGTHS[4:])
    except ValueError as error:  # a kernel that is not finite may be refused
        assert "finite" in str(error)
    else:
        assert bool(jnp.isnan(kernel).all())


@READERS
def test_what_is_no_token_is_refused(reader):
    module, params, _ = reader()
    apply_fn = from_module(module, "last", tokens=True)
    for value in (0.5, -1, 2**25):
        x = TOKENS.astype(X.dtype).at[2, 1, 0].set(value)
        refused(
            lambda x=x: apply_fn(params, x), rf"x: got {float(value)} at row 2, step 1", "whole numbers"
        )
    refused(lambda: apply_fn(params, TOKENS[:, :, 0]), r"x: got shape \(7, 5\)", r"x\[:, :, None\]")
    refused(lambda: apply_fn(params, X), "x: got d=3 channels", "the token")
    refused(lambda: apply_fn(params, TOKENS + WORDS), "x: got tokens", "below num_embeddings")


def test_an_embed_without_tokens_says_what_to_do():
    for module in (nn.Embed(WORDS, D), nnx.Embed(WORDS, D, rngs=nnx.Rngs(0))):
        params = (
            module.init(jax.random.key(0), TOKENS[:, :, 0])["params"]
            if isinstance(module, nn.Module)
            else nnx.state(module, nnx.Param)
        )
        refused(lambda m=module, p=params: from_module(m)(p, TOKENS), "Embed got floats", "tokens=True")
    refused(lambda: from_module(nn.Embed(2, 2), tokens=1), "tokens: got 1", error=TypeError)


# Errors -----------------------------------------------------------------------------------------


def refused(call, *parts, error=ValueError):
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert re.search(part, str(caught.value)), (part, str(caught.value))


class Drops(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dropout(0.5, deterministic=False)(nn.Dense(2)(x))


class Normalises(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(nn.Dense(2)(x))


@pytest.mark.parametrize(
    "value", [nn.RNN, None, jnp.tanh, "gru"], ids=["class", "none", "function", "text"]
)
def test_what_is_not_a_module_is_refused(value):
    refused(lambda: from_module(value), "module: got", "built", r"nn\.RNN", error=TypeError)


def test_unknown_readouts_are_refused():
    refused(lambda: from_module(nn.RNN(nn.GRUCell(2)), "first"), "readout: got 'first'", "'last'")


def test_random_modules_and_other_variables_are_refused():
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    for module, parts in (
        (Drops(), ("draws random numbers", "deterministic=True")),
        (Normalises(), ("variables beside its parameters", r"module\.apply")),
    ):
        params = module.init(keys, X)["params"]
        refused(lambda m=module, p=params: from_module(m)(p, X), "module: ", *parts)
    nnx_drops = Nnx(nnx.GRUCell)
    nnx_drops.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    refused(lambda: from_module(nnx_drops), "module: got a Dropout", r"module\.eval")
    nnx_drops.eval()
    refused_not = from_module(nnx_drops, "last")
    assert refused_not(nnx.state(nnx_drops, nnx.Param), X).shape == (N, 2)
    norm = Nnx(nnx.GRUCell)
    norm.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
    refused(lambda: from_module(norm), "variables of type BatchStat", r"nnx\.merge")


RANDOM = nn.initializers.normal()


class Layer(nn.Module):
    """A recurrent layer made in the call, where nobody can look for it before."""

    carry_init: Any = nn.initializers.zeros_init()
    time_major: bool = False

    @nn.compact
    def __call__(self, x, lengths=None):
        cell = nn.LSTMCell(2, carry_init=self.carry_init, param_dtype=x.dtype)
        return nn.RNN(cell)(x, seq_lengths=lengths, time_major=self.time_major)


@pytest.mark.parametrize(
    "module",
    [nn.RNN(nn.GRUCell(2, param_dtype=X.dtype), time_major=True), Layer(time_major=True)],
    ids=["attribute", "argument of the call"],
)
def test_linen_layers_that_take_the_time_first_are_refused(module):
    params = linen_params(module)
    for call in (lambda f: f(params, X), lambda f: ntkrnn.empirical_ntk_fn(f)(X, None, params)):
        refused(lambda call=call: call(from_module(module)), "module: got RNN with time_major=True")


def test_linen_cells_that_start_from_random_states_are_refused():
    module = Layer(carry_init=RANDOM)
    params = linen_params(module)
    parts = "module: got LSTMCell with a carry_init that draws random", "leave it out"
    refused(lambda: from_module(module, "last")(params, X), *parts)
    refused(lambda: jax.jit(from_module(module, "last"))(params, X), *parts)
    refused(lambda: ntkrnn.empirical_ntk_fn(from_module(module, "last"))(X, None, params), *parts)
    # A state that is the same for all is another network, and a network.
    ones = from_module(Layer(carry_init=nn.initializers.ones_init()), "last")(params, PADDED, LENGTHS)
    zeros = from_module(Layer(), "last")(params, PADDED, LENGTHS)
    assert ones.shape == (N, 2) and not jnp.allclose(ones, zeros)


@pytest.mark.filterwarnings("ignore:carry_init is provided:UserWarning")
def test_nnx_layers_that_mix_sequences_are_refused():
    rngs = nnx.Rngs(0)
    cell = nnx.GRUCell(D, 2, rngs=rngs)
    layers = [nnx.RNN(cell), nnx.RNN(nnx.GRUCell(D, 2, rngs=rngs))]
    for module in (nnx.RNN(cell, time_major=True), nnx.Bidirectional(*layers, time_major=True)):
        refused(lambda m=module: from_module(m), "with time_major=True", "leave it out")
    random = nnx.RNN(nnx.OptimizedLSTMCell(D, 2, carry_init=RANDOM, rngs=rngs))
    refused(lambda: from_module(random), "module: got OptimizedLSTMCell with a carry_init")
    kinds = {"dtype": X.dtype, "param_dtype": X.dtype, "rngs": rngs}
    ones = nnx.RNN(nnx.GRUCell(D, 2, carry_init=nn.initializers.ones_init(), **kinds))
    assert from_module(ones, "last")(nnx.state(ones, nnx.Param), X).shape == (N, 2)


def test_parameters_that_do_not_fit_are_refused():
    apply_fn, params = linen()
    refused(lambda: apply_fn({"params": params}, X), "params: got", r"module\.init")
    refused(lambda: apply_fn({}, X), "params: got", r"module\.init")
    refused(lambda: apply_fn(params, X[:, :, :2]), "params: got", "d=2 channels")
    apply_fn, params = nnx_module()
    refused(lambda: apply_fn({"a": X}, X), "params: got dict", r"nnx\.state")
    shorter = jax.tree.map(lambda a: a[:-1], params)
    refused(lambda: apply_fn(shorter, X), "params: got shape", "readout|rnn", "expected")


def test_lengths_that_a_module_cannot_take_are_refused():
    module = nn.Dense(2)
    params = module.init(jax.random.key(0), X)["params"]
    assert from_module(module, "mean")(params, X).shape == (N, 2)
    refused(lambda: from_module(module)(params, X, LENGTHS), "lengths: got", "Dense", "seq_lengths")
    refused(lambda: linen()[0](linen()[1], X, LENGTHS + 1), "lengths: got", "row 0")


def test_outputs_of_another_rank_are_refused():
    module = nn.RNN(nn.GRUCell(M, param_dtype=X.dtype), return_carry=True)
    params = module.init(jax.random.key(0), X)["params"]
    refused(lambda: from_module(module)(params, X), "output of type tuple", "no carry")

    class Last(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x[:, -1])

    params = Last().init(jax.random.key(0), X)["params"]
    assert from_module(Last())(params, X).shape == (N, 2)
    refused(lambda: from_module(Last(), "mean")(params, X), r"shape \(7, 2\)", "'mean'", "readout out")


def test_functions_that_do_not_fit_are_refused():
    build = ntkrnn.empirical_ntk_fn
    params = {"u": jnp.ones((D, 2))}

    def plain(params, x):
        return jnp.sum(x, 1) @ params["u"]

    refused(
        lambda: build(nn.RNN(nn.GRUCell(2))), "module of flax", "apply_fn_from_module", error=TypeError
    )
    refused(lambda: build(plain)(X, None, params, LENGTHS), "lengths1: got lengths", "`lengths`")
    refused(lambda: build(plain)(X, X2, params, None, LENGTHS2), "lengths2: got lengths")
    refused(lambda: build(plain, implementation="auto"), "implementation: got 'auto'", "jacobian")
    refused(lambda: build(plain, tile=0), "tile: got 0")
    refused(lambda: build(plain, trace_axes=(2,))(X, None, params), "trace_axes: got axis 2", "rank 2")
    refused(lambda: build(plain, trace_axes="x"), "trace_axes: got 'x'", error=TypeError)
    refused(lambda: build(plain)(X, None, {}), "params: got {}")
    counts = {**params, "n": jnp.arange(3)}
    refused(
        lambda: build(plain)(X, None, counts), r"params: got dtype int", r"at \['n'\]", error=TypeError
    )
    refused(lambda: build(lambda p, x: x.sum((1, 2)))(X, None, params), r"shape \(7,\)", r"\[N, O\]")
    refused(lambda: build(lambda p, x: (x, x))(X, None, params), "output of tuple")
    arch = ntkrnn.Elman(width=2)
    refused(lambda: build(arch, tile=3), "tile: got 3 with an architecture")
    refused(lambda: build(arch, implementation="auto"), "implementation: got 'auto' with an arch")
    last_steps = linen(readout="sequence")
    refused(
        lambda: build(last_steps[0], (1,))(X, X2[:, :3], last_steps[1]),
        "x2: got outputs of 3 steps",
        "pass lengths",
    )

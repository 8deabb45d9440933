"""Finite-width kernels against the explicit Jacobian and against neural-tangents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import TABLE
from marking import marked

import ntkrnn
from ntkrnn._compat import neural_tangents
from ntkrnn.cells import features

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
EXTRA = {
    "relu-bidirectional-deep-sequence": ntkrnn.Elman(
        width=16, nonlinearity="relu", depth=2, bidirectional=True, readout="sequence", out_dim=2
    ),
    "only-v": ntkrnn.Elman(width=16, trainable=("v",)),
    "only-b-deep": ntkrnn.Elman(width=16, b_std=0.7, depth=2, trainable=("b",), out_dim=2),
    "leaky-three-outputs-mean": ntkrnn.Elman(
        width=16, nonlinearity="leaky_relu(0.2)", out_dim=3, readout="mean", trainable=("w", "v")
    ),
    "diagonal-relu-mean-only-w": ntkrnn.Diagonal(
        width=16, nonlinearity="relu", out_dim=3, readout="mean", trainable=("w",)
    ),
}
CASES = {**TABLE, **EXTRA}


# Each of the others has a peer among these, or differs from it in the nonlinearity alone.
QUICK = (
    "relu-bias",
    "erf-mean",
    "erf-sequence",
    "leaky-only-w",
    "erf-three-outputs",
    "lstm-per-gate-bidirectional",
    "gru-before",
    *(name for name in CASES if name.startswith("diagonal")),
    "only-v",
    "leaky-three-outputs-mean",
)
# Every readout, a kinked and a smooth nonlinearity.
FLOAT64 = ("relu-bias", "erf-mean", "erf-sequence", "leaky-only-w", "diagonal-sin-last", *EXTRA)


def _setup(arch):
    """Two sides of unequal sizes, as one padded batch: rows 0 to 2, and rows 3 and 4."""
    x = jax.random.normal(jax.random.key(0), (5, 5, 2))
    params = ntkrnn.network(arch).init_fn(jax.random.key(2), x.shape)[1]
    return x, params, jnp.array([4, 2, 3, 1, 5])


def _split(arch, params):
    """The trainable blocks, and a function that puts them back among the others."""
    trained = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf if path[-1].key in arch.trainable else None, params
    )

    def merge(part):
        return jax.tree.map(
            lambda new, old: old if new is None else new, part, params, is_leaf=lambda v: v is None
        )

    return trained, merge


def _jacobian(arch, params, x, lengths):
    """``[N, outputs, parameters]`` by reverse mode through the whole network."""
    trained, merge = _split(arch, params)
    apply_fn = ntkrnn.network(arch).apply_fn
    jacobian = jax.jit(jax.jacrev(lambda part: apply_fn(merge(part), x, lengths)))(trained)
    shape = jax.eval_shape(lambda: apply_fn(params, x, lengths)).shape
    return jnp.concatenate([j.reshape(*shape, -1) for j in jax.tree.leaves(jacobian)], axis=-1)


@pytest.mark.parametrize("name", marked(CASES, QUICK, float64=FLOAT64))
def test_equals_the_jacobian_product(name):
    """x1 != x2, N1 != N2, T1 != T2, unequal lengths; every pair of outputs, and their trace."""
    arch = CASES[name]
    x, params, lengths = _setup(arch)
    jacobian = _jacobian(arch, params, x, lengths)
    exact = jax.lax.Precision.HIGHEST
    if arch.readout == "sequence":
        full = jnp.einsum("itop,jsqp->ijtsoq", jacobian[:3, :4], jacobian[3:], precision=exact)
    else:
        full = jnp.einsum("iop,jqp->ijoq", jacobian[:3], jacobian[3:], precision=exact)
    # Sums of some hundred products, twice, through 5 steps and 3 layers.
    tolerance = 100 * EPS * float(jnp.linalg.norm(full))
    sides = (x[:3, :4], x[3:], params, lengths[:3], lengths[3:])
    if arch.out_dim > 1:
        got = ntkrnn.empirical_ntk_fn(arch, trace_axes=())(*sides)
        assert got.shape == full.shape
        assert float(jnp.linalg.norm(got - full)) <= tolerance
    traced = jnp.trace(full, axis1=-2, axis2=-1) / arch.out_dim
    got = ntkrnn.empirical_ntk_fn(arch)(*sides)
    assert got.shape == traced.shape
    assert float(jnp.linalg.norm(got - traced)) <= tolerance


@pytest.mark.parametrize(
    "name", marked(CASES, ("erf", "erf-three-outputs", "erf-sequence"), float64=FLOAT64)
)
def test_equals_neural_tangents(name):
    arch = CASES[name]
    x, params, _ = _setup(arch)
    x1, x2 = x[:3], x[3:]
    nt = neural_tangents()
    trained, merge = _split(arch, params)
    leaves, structure = jax.tree.flatten(trained)
    apply_fn = ntkrnn.network(arch).apply_fn

    def f(part, x):
        return apply_fn(merge(jax.tree.unflatten(structure, part)), x)

    peer = jax.jit(nt.empirical_ntk_fn(f))(x1, x2, leaves)
    got = ntkrnn.empirical_ntk_fn(arch)(x1, x2, params)
    assert got.shape == peer.shape
    assert float(jnp.linalg.norm(got - peer)) <= 100 * EPS * float(jnp.linalg.norm(peer))

    def read(part, x):
        del part
        return (arch.readout_variance * arch.state_size) ** 0.5 * features(arch, params, x, None)

    nngp_peer = jax.jit(nt.empirical_nngp_fn(read))(x1, x2, leaves)
    nngp = ntkrnn.empirical_nngp_fn(arch)(x1, x2, params)
    assert nngp.shape == nngp_peer.shape
    assert float(jnp.linalg.norm(nngp - nngp_peer)) <= 100 * EPS * float(jnp.linalg.norm(nngp_peer))


AXES = [((), ()), ((1,), ()), ((-1,), (1,)), ((-2,), (-1,))]


@pytest.mark.parametrize(
    ("kind", "trace_axes", "diagonal_axes"),
    [
        *((ntkrnn.Elman, *axes) for axes in AXES),
        *((ntkrnn.Diagonal, *axes) for axes in AXES[2:]),
        *(pytest.param(ntkrnn.Diagonal, *axes, marks=pytest.mark.slow) for axes in AXES[:2]),
    ],
)
def test_axes_as_in_neural_tangents(kind, trace_axes, diagonal_axes):
    """Every role of the time and channel axes gives the shape and the numbers that NT gives."""
    arch = kind(width=16, nonlinearity="relu", readout="sequence", out_dim=2)
    x, params, _ = _setup(arch)
    x1, x2 = x[:3], x[3:]
    nt = neural_tangents()
    options = {"trace_axes": trace_axes, "diagonal_axes": diagonal_axes}
    apply_fn = ntkrnn.network(arch).apply_fn
    trained, merge = _split(arch, params)
    leaves, structure = jax.tree.flatten(trained)

    def f(part, x):
        return apply_fn(merge(jax.tree.unflatten(structure, part)), x)

    peer = jax.jit(nt.empirical_ntk_fn(f, **options))(x1, x2, leaves)
    got = ntkrnn.empirical_ntk_fn(arch, **options)(x1, x2, params)
    assert got.shape == peer.shape
    assert float(jnp.linalg.norm(got - peer)) <= 100 * EPS * float(jnp.linalg.norm(peer))
    nngp = ntkrnn.empirical_nngp_fn(arch, **options)(x1, x2, params)
    assert nngp.shape == peer.shape


def test_nngp_is_the_covariance_over_readouts():
    """Conditional on the recurrent weights, outputs over 4,000 readouts have this covariance."""
    arch = ntkrnn.Elman(width=16, v_std=1.4, bidirectional=True)
    x1, params, lengths = _setup(arch)
    draws = 4000
    many = ntkrnn.Elman(width=16, v_std=1.4, bidirectional=True, out_dim=draws)
    readouts = jax.random.normal(jax.random.key(9), (draws, 32))
    y = ntkrnn.network(many).apply_fn({**params, "v": readouts}, x1, lengths)
    k = ntkrnn.empirical_nngp_fn(arch)(x1, None, params, lengths)
    variance = jnp.diag(k)
    standard_error = jnp.sqrt((k**2 + variance[:, None] * variance[None, :]) / draws)
    assert float(jnp.max(jnp.abs(y @ y.T / draws - k) / standard_error)) < 5


def test_kernel_of_a_function_of_parameters_can_be_differentiated():
    arch = ntkrnn.Elman(width=8)
    x1, params, _ = _setup(arch)
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)
    grad = jax.jit(jax.grad(lambda p: jnp.trace(ntk_fn(x1, None, p))))(params)
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in jax.tree.leaves(grad))
    assert float(np.abs(grad["cells"][0]["forward"]["w"]).max()) > 0

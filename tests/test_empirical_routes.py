"""Both routes of the tangent kernel are exact and equal, whatever their tiles; and what they cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import DENSE
from marking import marked

import ntkrnn
from ntkrnn.empirical import _factors, _ntk
from ntkrnn.empirical._axes import roles_of
from ntkrnn.empirical._row_chunked import row_chunked
from ntkrnn.empirical._time_structured import time_structured

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
EXACT = jax.lax.Precision.HIGHEST
ROUTES = ("time_structured", "row_chunked")
N, T, D = 7, 5, 2
QUICK = ("relu-bias", "erf-sequence", "erf-bidirectional", "erf-three-outputs")


def setup(arch, n=N, t=T):
    x = jax.random.normal(jax.random.key(0), (n, t, D))
    params = ntkrnn.network(arch).init_fn(jax.random.key(2), x.shape)[1]
    return x, params, jnp.array([4, 2, 3, 1, 5, 5, 2])[:n]


def assert_close(got, want):
    """Sums of some hundred products, twice, through 5 steps and 3 layers."""
    assert got.shape == want.shape
    assert float(jnp.linalg.norm(got - want)) <= 100 * EPS * float(jnp.linalg.norm(want))


@pytest.mark.parametrize("name", marked(DENSE, QUICK))
def test_routes_are_equal(name):
    """x1 != x2 with N1 != N2 and T1 != T2, unequal lengths, channels kept."""
    arch = DENSE[name]
    x, params, lengths = setup(arch)
    sides = (x[:3, :4], x[3:], params, jnp.minimum(lengths[:3], 4), lengths[3:])
    a, b = (ntkrnn.empirical_ntk_fn(arch, (), _route=route)(*sides) for route in ROUTES)
    assert_close(a, b)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["relu-bias", "erf-three-outputs"])
def test_each_route_is_the_jacobian_product(route, name):
    arch = DENSE[name]
    x, params, lengths = setup(arch)
    jacobian = jax.jacrev(lambda p: ntkrnn.network(arch).apply_fn(p, x, lengths))(params)
    want = sum(
        jnp.einsum("iop,jqp->ijoq", j, j, precision=EXACT)
        for j in (j.reshape(N, arch.out_dim, -1) for j in jax.tree.leaves(jacobian))
    )
    got = ntkrnn.empirical_ntk_fn(arch, (), _route=route)(x, None, params, lengths)
    assert_close(got, want)
    assert np.array_equal(got, jnp.transpose(got, (1, 0, 3, 2)))  # symmetric to the last bit


@functools.lru_cache
def gates(name, trace_axes):
    """Factors of two sides of the first gate."""
    arch = DENSE[name]
    x, params, lengths = setup(arch)
    roles = roles_of(arch, trace_axes, ())
    compute = jax.jit(lambda x, lengths: _factors.factors(arch, params, x, lengths, roles, EXACT))
    left, right = compute(x, lengths), compute(x[:4], lengths[:4])
    return left.layers[0][0][0], right.layers[0][0][0]


@pytest.mark.parametrize("trace_axes", [(-1,), ()])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 12])
def test_tiles_of_any_size_give_the_same(trace_axes, symmetric, rows):
    """One step of one sequence, one sequence, and two sequences: blocks that do not divide N."""
    left, right = gates("erf-three-outputs", trace_axes)
    right = left if symmetric else right
    want = row_chunked(left, right, symmetric, EXACT, 10**9)
    assert_close(time_structured(left, right, symmetric, EXACT, rows), want)


@pytest.mark.parametrize("entries", [1, 1000, 3000])
@pytest.mark.parametrize("symmetric", [True, False])
def test_chunks_of_any_size_give_the_same(entries, symmetric):
    left, right = gates("erf-three-outputs", ())
    right = left if symmetric else right
    want = row_chunked(left, right, symmetric, EXACT, 10**9)
    assert_close(row_chunked(left, right, symmetric, EXACT, entries), want)


def test_the_route_follows_the_operation_count():
    """Short sequences of a wide network: pairs of steps; long ones of a narrow one: rows."""

    def gate(n, t, m):
        z = jnp.zeros
        return _factors.GateFactors(z((n, 1, t, m)), z((n, t, m + 8)))

    for (n, t, m), route in {
        (16, 20, 1024): "time_structured",
        (128, 8, 256): "time_structured",
        (64, 50, 512): "row_chunked",
        (4, 100, 16): "row_chunked",
    }.items():
        assert _ntk._cheaper(gate(n, t, m), gate(n, t, m), True)[1] == route


# Precision


def _dots(jaxpr):
    """Precisions of all matrix products, in loops and calls too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr") or hasattr(v, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _dots(inner)


BUILDERS = {
    "time_structured": functools.partial(ntkrnn.empirical_ntk_fn, _route="time_structured"),
    "row_chunked": functools.partial(ntkrnn.empirical_ntk_fn, _route="row_chunked"),
    "nngp": ntkrnn.empirical_nngp_fn,
    "matvec": lambda arch, axes, **options: (
        lambda *sides: ntkrnn.empirical_ntk_matvec(arch, axes, **options)(*sides)(jnp.ones((N, 2)))
    ),
}
ASKED = [({}, "HIGHEST"), ({"precision": "high"}, "HIGH"), ({"precision": "default"}, "DEFAULT")]


@pytest.mark.parametrize(("options", "name"), ASKED, ids=[name for _, name in ASKED])
@pytest.mark.parametrize("what", BUILDERS)
def test_every_matrix_product_has_the_precision_asked_for(what, options, name):
    """TF32 or bfloat16 products cost three digits and are the default of GPUs and TPUs, not ours."""
    arch = ntkrnn.Elman(width=8, depth=2, bidirectional=True, readout="mean", out_dim=2)
    x, params, _ = setup(arch)
    fn = BUILDERS[what](arch, (), **options)
    found = list(_dots(jax.make_jaxpr(lambda x: fn(x, None, params))(x).jaxpr))
    assert len(found) > 5
    wanted = jax.lax.Precision[name]
    assert all(p == (wanted, wanted) or p == wanted for p in found), found


@pytest.mark.parametrize("value", ["exact", None, 3, "tf32"])
def test_an_unknown_precision_is_refused(value):
    for build in (ntkrnn.empirical_ntk_fn, ntkrnn.empirical_nngp_fn, ntkrnn.empirical_ntk_matvec):
        with pytest.raises(ValueError, match=f"precision: got {value!r}.*'highest'"):
            build(ntkrnn.Elman(width=4), precision=value)


# Memory


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("n", "t", "m"), [(32, 8, 512), (128, 32, 32)])
def test_memory_is_factors_and_a_tile(route, n, t, m):
    """Neither the Jacobian, N m^2, nor an array over all pairs of steps, N^2 T^2, is held."""
    arch = ntkrnn.Elman(width=m)
    params = jax.eval_shape(lambda: ntkrnn.network(arch).init_fn(jax.random.key(0), (n, t, D))[1])
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, _route=route)
    x = jax.ShapeDtypeStruct((n, t, D), jnp.zeros(()).dtype)
    compiled = jax.jit(lambda x, params: ntk_fn(x, None, params)).lower(x, params).compile()
    held = compiled.memory_analysis().temp_size_in_bytes / x.dtype.itemsize
    # States, pre-activations, deltas and sources in two layouts each, the kernel in a few, and tiles:
    # six of 320 x 320, or a Jacobian chunk and its next.
    bound = 8 * n * t * (m + D + 1) + 6 * n * n + 6 * 320**2
    assert held < bound < max(n * m * m, n * n * t * t)


# Composition


def test_gradient_of_each_route_is_the_other_s():
    arch = ntkrnn.Elman(width=8, nonlinearity="tanh", b_std=0.3, readout="mean")
    x, params, lengths = setup(arch)
    weights = jax.random.normal(jax.random.key(5), (N, N))

    def objective(route, params, x):
        return jnp.sum(weights * ntkrnn.empirical_ntk_fn(arch, _route=route)(x, None, params, lengths))

    a, b = (jax.jit(jax.grad(functools.partial(objective, r), (0, 1)))(params, x) for r in ROUTES)
    size = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(a))
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert float(jnp.abs(one - other).max()) <= 1000 * EPS * size  # N^2 terms beside the products


@pytest.mark.parametrize("route", ROUTES)
def test_vmap_over_parameters(route):
    arch = ntkrnn.Elman(width=8)
    x, _, lengths = setup(arch)
    init_fn = ntkrnn.network(arch).init_fn
    many = [init_fn(jax.random.key(seed), x.shape)[1] for seed in (0, 1)]
    ntk_fn = ntkrnn.empirical_ntk_fn(arch, _route=route)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    got = jax.vmap(lambda params: ntk_fn(x, None, params, lengths))(stacked)
    for one, params in zip(got, many, strict=True):
        assert_close(one, ntk_fn(x, None, params, lengths))

"""``diagonal=True``: the diagonal of the kernel, in memory for N sequences and not for their pairs."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from marking import marked
from refusals import refused

import ntkrnn

N, T, D = 5, 6, 3
DTYPE = jnp.zeros(()).dtype
# Both the kernel and its diagonal are within 200 roundings of the truth, as in test_infinite_reference.
TOLERANCE = 2 * 200 * float(jnp.finfo(DTYPE).eps)
INFINITE = {
    "last": ntkrnn.Elman(b_std=0.3),
    "mean-deep": ntkrnn.Elman(nonlinearity="relu", w_std=1.4, readout="mean", depth=2),
    "sequence-both-ways": ntkrnn.Elman(readout="sequence", depth=2, bidirectional=True),
    "last-both-ways": ntkrnn.Elman(nonlinearity="relu", bidirectional=True, depth=2),
    "leaky": ntkrnn.Leaky(rate=0.4),
    "leaky-sequence": ntkrnn.Leaky(rate=0.4, readout="sequence", bidirectional=True),
    "neurons": ntkrnn.Diagonal(readout="mean"),
    "neurons-sequence": ntkrnn.Diagonal(readout="sequence"),
}
SAMPLING = {"samples": 32, "replicates": 2}
FINITE = {
    "last": ntkrnn.Elman(width=8, bidirectional=True, depth=2),
    "sequence": ntkrnn.Elman(width=8, readout="sequence", out_dim=2),
    "lstm": ntkrnn.LSTM(width=8, readout="mean", out_dim=2),
    "diagonal": ntkrnn.Diagonal(width=8, readout="sequence", out_dim=2),
}


def sequences(seed, n=N, t=T):
    return np.random.default_rng(seed).normal(size=(n, t, D)).astype(DTYPE)


def lengths(seed, t=T):
    return np.random.default_rng(seed).integers(1, t + 1, size=N)


SIDES = {
    "one": (sequences(0), None, None, None),
    "one-ragged": (sequences(0), None, lengths(0), None),
    "two-ragged": (sequences(0), sequences(1, t=T - 1), lengths(0), lengths(1, T - 1)),
}


def options(arch):
    return SAMPLING if isinstance(arch, ntkrnn.Diagonal) else {}


def assert_diagonal_of(whole, found):
    """Entries, shape and dtype."""
    for full, own in zip(jax.tree.leaves(whole), jax.tree.leaves(found), strict=True):
        want = np.asarray(full)[np.arange(N), np.arange(N)]
        assert own.shape == want.shape
        assert own.dtype == want.dtype
        np.testing.assert_allclose(own, want, rtol=0, atol=TOLERANCE * np.abs(want).max())


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("name", marked(INFINITE, ("last", "mean-deep", "leaky-sequence", "neurons")))
def test_diagonals_of_infinite_kernels(name, sides):
    arch = INFINITE[name]
    x1, x2, lengths1, lengths2 = SIDES[sides]
    given = (x1, x2, ("nngp", "ntk"), lengths1, lengths2)
    kernel_fn = ntkrnn.network(arch).kernel_fn
    assert_diagonal_of(
        kernel_fn(*given, **options(arch)), kernel_fn(*given, diagonal=True, **options(arch))
    )


@pytest.mark.parametrize("readout", marked(("last", "mean", "sequence"), ("last", "sequence")))
def test_several_groups_are_one_diagonal(readout):
    """Of two pairs each, the last of which is not full."""
    kernel_fn = ntkrnn.network(ntkrnn.Elman(readout=readout)).kernel_fn
    x1, x2, *ragged = SIDES["two-ragged"]
    assert_diagonal_of(
        kernel_fn(x1, x2, "ntk", *ragged), kernel_fn(x1, x2, "ntk", *ragged, tile=2, diagonal=True)
    )


@pytest.mark.parametrize("name", ["sequence-both-ways", "neurons-sequence"])
def test_a_sequence_with_itself_is_symmetric_to_the_last_bit(name):
    arch = INFINITE[name]
    found = ntkrnn.network(arch).kernel_fn(sequences(0), diagonal=True, **options(arch))
    assert found.ntk.shape == (N, T, T)
    assert (found.ntk == jnp.swapaxes(found.ntk, 1, 2)).all()


@pytest.mark.parametrize("name", marked(INFINITE, ("last",)))
def test_diagonals_are_traced_and_differentiated(name):
    """In another program, and by x as the diagonal of the whole kernel is."""
    arch = INFINITE[name]
    kernel_fn = ntkrnn.network(arch).kernel_fn

    def total(x, diagonal):
        ntk = kernel_fn(x, get="ntk", diagonal=diagonal, **options(arch))
        return jnp.sum(ntk if diagonal else jnp.einsum("ii...->i...", ntk))

    x = jnp.asarray(sequences(0, 3, 4))
    value = jax.jit(total, static_argnums=1)(x, True)
    slopes = [jax.grad(total)(x, diagonal) for diagonal in (True, False)]
    assert abs(value - total(x, False)) <= TOLERANCE * abs(value)
    np.testing.assert_allclose(*slopes, rtol=0, atol=TOLERANCE * np.abs(slopes[1]).max())


@pytest.mark.parametrize("sides", marked(SIDES, ("two-ragged",)))
@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("build", [ntkrnn.empirical_ntk_fn, ntkrnn.empirical_nngp_fn])
def test_diagonals_of_finite_kernels(build, name, sides):
    arch = FINITE[name]
    x1, x2, *ragged = SIDES[sides]
    params = ntkrnn.network(arch).init_fn(jax.random.key(1), (-1, T, D))[1]
    kernel_fn = build(arch, trace_axes=())
    given = (x1, x2, params, *ragged)
    assert_diagonal_of(kernel_fn(*given), kernel_fn(*given, diagonal=True))


@pytest.mark.parametrize("axes", [((-1,), ()), ((), (1, 2)), ((1,), (2,))])
@pytest.mark.parametrize("name", ["sequence", "diagonal"])
def test_diagonals_of_every_role_of_the_outputs(name, axes):
    arch = FINITE[name]
    params = ntkrnn.network(arch).init_fn(jax.random.key(1), (-1, T, D))[1]
    kernel_fn = ntkrnn.empirical_ntk_fn(arch, *axes)
    x = sequences(0)
    assert_diagonal_of(kernel_fn(x, None, params), kernel_fn(x, None, params, diagonal=True))


@pytest.mark.parametrize("sides", marked(SIDES, ("two-ragged",)))
def test_diagonals_of_any_function(sides):
    x1, x2, *ragged = SIDES[sides]
    arch = FINITE["sequence"]
    net = ntkrnn.network(arch)
    params = net.init_fn(jax.random.key(1), (-1, T, D))[1]
    kernel_fn = ntkrnn.empirical_ntk_fn(net.apply_fn, tile=2)  # three groups, one of them not full
    given = (x1, x2, params, *ragged)
    assert_diagonal_of(kernel_fn(*given), kernel_fn(*given, diagonal=True))


def largest_array(fn, *args):
    """Entries of the largest array that a program has."""

    def shapes(jaxpr):
        for equation in jaxpr.eqns:
            for variable in equation.outvars:
                yield math.prod(getattr(variable.aval, "shape", ()))
            for inner in jax.tree.leaves(list(equation.params.values())):
                if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                    yield from shapes(getattr(inner, "jaxpr", inner))

    return max(shapes(jax.make_jaxpr(fn)(*args).jaxpr))


@pytest.mark.parametrize("name", ["last", "mean-deep", "leaky", "neurons", "finite", "function"])
def test_no_array_of_a_diagonal_has_all_pairs(name):
    n, x = 1024, sequences(0, 1024, 2)
    if name in INFINITE:
        arch = INFINITE[name]
        net_fn = ntkrnn.network(arch).kernel_fn
        kernel_fn = lambda x, **diagonal: net_fn(x, **diagonal, **options(arch))  # noqa: E731
    else:
        net = ntkrnn.network(ntkrnn.Elman(width=2))
        params = net.init_fn(jax.random.key(1), x.shape)[1]
        ntk_fn = ntkrnn.empirical_ntk_fn(ntkrnn.Elman(width=2) if name == "finite" else net.apply_fn)
        kernel_fn = lambda x, **diagonal: ntk_fn(x, None, params, **diagonal)  # noqa: E731
    whole = largest_array(lambda x: kernel_fn(x), x)
    own = largest_array(lambda x: kernel_fn(x, diagonal=True), x)
    assert whole >= n * n
    assert own <= n * n / 2


@pytest.mark.parametrize("kind", ["infinite", "neurons", "finite", "function"])
def test_what_is_no_diagonal_is_refused(kind):
    arch = ntkrnn.Diagonal(width=4) if kind == "neurons" else ntkrnn.Elman(width=4)
    net = ntkrnn.network(arch)
    params = net.init_fn(jax.random.key(1), (-1, T, D))[1]
    any_fn = ntkrnn.empirical_ntk_fn(net.apply_fn)
    fns = {
        "infinite": net.kernel_fn,
        "neurons": net.kernel_fn,
        "finite": lambda x1, x2, **given: ntkrnn.empirical_nngp_fn(arch)(x1, x2, params, **given),
        "function": lambda x1, x2, **given: any_fn(x1, x2, params, **given),
    }
    kernel_fn = fns[kind]
    refused(
        lambda: kernel_fn(sequences(0), sequences(1, 4), diagonal=True),
        "x2",
        "N=4",
        "N=5",
        "equally many",
    )
    refused(lambda: kernel_fn(sequences(0), None, diagonal="yes"), "diagonal", "True or False")

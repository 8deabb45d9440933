"""Limits as values: one kernel_fn of all engines, its shortcuts, what network returns as objects."""

import inspect
import pickle

import jax
import numpy as np
import pytest

import ntkrnn
from ntkrnn.infinite import KernelFn

X = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)
LENGTHS = np.array([4, 2, 3])

ARCHITECTURES = [
    ntkrnn.Elman(width=8, b_std=0.3, nonlinearity="leaky_relu(0.2)"),
    ntkrnn.Leaky(width=8, rate=0.3, readout="mean"),
    ntkrnn.Diagonal(width=8, readout="sequence"),
    ntkrnn.GRU(width=8, nonlinearity=ntkrnn.dual.nonlinearity("tanh", max_variance=9.0)),
]
SMALL = {
    "Recursion": ntkrnn.Recursion(),
    "Sampling": ntkrnn.Sampling(samples=64, replicates=2),
    "Quadrature": ntkrnn.Quadrature(samples=64),
}


def small(arch):
    return SMALL[type(ntkrnn.network(arch).kernel_fn.limit).__name__]


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda a: type(a).__name__)
def test_a_network_pickles_with_its_limit_and_computes_the_same(arch):
    original = ntkrnn.network(arch, small(arch))
    copied = pickle.loads(pickle.dumps(original))
    assert copied.kernel_fn.arch == arch and copied.kernel_fn.limit == small(arch)
    assert repr(copied) == repr(original) and "object at" not in repr(original)
    shape, params = original.init_fn(jax.random.key(1), X.shape)
    again, same = copied.init_fn(jax.random.key(1), X.shape)
    assert shape == again
    for one, two in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(
        original.apply_fn(params, X, LENGTHS), copied.apply_fn(same, X, LENGTHS)
    )
    for one, two in zip(original.kernel_fn(X), copied.kernel_fn(X), strict=True):
        np.testing.assert_array_equal(one, two)


SETTINGS = [
    (ARCHITECTURES[0], {"tile": 2}),
    (ARCHITECTURES[1], {"tile": 2}),
    (ARCHITECTURES[2], {"samples": 32, "replicates": 4, "key": 3, "method": "qmc"}),
    (ARCHITECTURES[3], {"samples": 64, "replicates": 3, "key": 3, "tile": 2}),
]


@pytest.mark.parametrize(("arch", "settings"), SETTINGS, ids=lambda v: type(v).__name__)
def test_a_field_of_the_limit_is_a_keyword_of_one_call(arch, settings):
    own = ntkrnn.network(arch).kernel_fn
    kind = type(own.limit)
    by_value = ntkrnn.network(arch, kind(**settings)).kernel_fn(X)
    for one, two in zip(own(X, **settings), by_value, strict=True):
        np.testing.assert_array_equal(one, two)
    assert own.limit == kind()  # as it was


@pytest.mark.parametrize("kind", [ntkrnn.Sampling, ntkrnn.Quadrature])
def test_limits_hash_and_print_whatever_their_random_key_is(kind):
    limit = kind(key=jax.random.key(7))
    assert hash(limit) == hash(kind(key=jax.random.key(7)))
    assert eval(repr(limit), {n: getattr(ntkrnn, n) for n in ntkrnn.__all__}) == limit
    assert limit != kind(key=jax.random.key(8))


def test_a_whole_number_and_its_random_key_draw_the_same_networks():
    kernel_fn = ntkrnn.network(ntkrnn.GRU(), SMALL["Sampling"]).kernel_fn
    one, two, three = (
        kernel_fn(X, get="ntk", key=key) for key in (7, jax.random.key(7), jax.random.key(8))
    )
    np.testing.assert_array_equal(one, two)
    assert np.any(one != three)


def test_another_random_key_of_a_quadrature_is_another_estimate_of_the_same():
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal(readout="last")).kernel_fn
    options = {"samples": 1024, "replicates": 16, "method": "qmc"}
    one, two = (kernel_fn(X, key=key, **options) for key in (0, jax.random.key(0)))
    assert np.any(one.ntk != two.ntk)
    error = np.hypot(one.ntk_error, two.ntk_error)
    # Student's t of some 30 degrees of freedom, six different entries: beyond 6 once in 1e5 draws.
    assert (np.abs(one.ntk - two.ntk) < 6 * error).all()


REFUSED = [
    (ntkrnn.LSTM(), ntkrnn.Recursion(), ValueError, r"limit: .*expected ntkrnn.Sampling"),
    (
        ntkrnn.Elman(),
        ntkrnn.Quadrature(),
        ValueError,
        r"limit: .*ntkrnn.Recursion.* or ntkrnn.Sampling",
    ),
    (ntkrnn.Diagonal(), ntkrnn.Sampling(), ValueError, r"limit: .*expected ntkrnn.Quadrature"),
    (ntkrnn.Elman(), "sampling", TypeError, r"limit: got 'sampling', expected ntkrnn.Recursion"),
    (ntkrnn.Elman(), ntkrnn.Sampling, TypeError, r"limit: got <class"),
]


@pytest.mark.parametrize(("arch", "limit", "error", "message"), REFUSED)
def test_a_limit_that_an_architecture_does_not_have_is_refused(arch, limit, error, message):
    with pytest.raises(error, match=message):
        ntkrnn.network(arch, limit)


WRONG = [
    (ntkrnn.Recursion, {"tile": 0}, "tile"),
    (ntkrnn.Sampling, {"samples": 0}, "samples"),
    (ntkrnn.Sampling, {"replicates": 1}, "replicates"),
    (ntkrnn.Sampling, {"tolerance": 0.0}, "tolerance"),
    (ntkrnn.Sampling, {"key": -1}, "key"),
    (ntkrnn.Quadrature, {"samples": 2**31}, "samples"),
    (ntkrnn.Quadrature, {"method": "simpson"}, "method"),
]


@pytest.mark.parametrize(("kind", "fields", "name"), WRONG)
def test_a_limit_checks_its_fields_when_it_is_made(kind, fields, name):
    with pytest.raises(ValueError, match=f"^{name}: got"):
        kind(**fields)


def test_a_keyword_that_the_limit_does_not_have_is_named_with_those_that_it_has():
    kernel_fn = ntkrnn.network(ntkrnn.Diagonal(readout="last")).kernel_fn
    with pytest.raises(TypeError, match=r"'tile', expected .* samples, replicates, tolerance, key"):
        kernel_fn(X, tile=4)
    with pytest.raises(TypeError, match=r"'seed', .*called 'key'"):
        kernel_fn(X, seed=4)


def test_what_network_returns_tells_how_it_is_called():
    for function in ntkrnn.network(ntkrnn.Elman()):
        assert len(inspect.getdoc(function)) > 50 and len(inspect.getdoc(function.__call__)) > 50
        assert "self" not in inspect.signature(function).parameters
    assert list(inspect.signature(KernelFn(ntkrnn.Elman())).parameters)[:3] == ["x1", "x2", "get"]


def test_the_package_lists_its_public_names_only():
    assert dir(ntkrnn) == sorted(ntkrnn.__all__)
    assert all(getattr(ntkrnn, name) is not None for name in dir(ntkrnn))

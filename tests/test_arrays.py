"""Arrays of every kind, in every argument that takes one: taken as meant, or refused by name."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from refusals import refused

import ntkrnn
from ntkrnn import dual, dynamics, theory

DTYPE = jnp.zeros(()).dtype
N, T, D = 4, 5, 2
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, T, D)).astype(DTYPE)
Y = RNG.normal(size=N)
LENGTHS = np.array([5, 3, 2, 5])
ARCH = ntkrnn.Elman(width=4, b_std=0.3)
INIT, APPLY, KERNEL = ntkrnn.network(ARCH)
PARAMS = INIT(jax.random.key(0), (-1, T, D))[1]
NTK = ntkrnn.empirical_ntk_fn(ARCH)
GRAM = (lambda a: a @ a.T)(RNG.normal(size=(N, N + 2)))
SGD = optax.sgd(0.1)


def trained(**change):
    given = {"x": X, "y": Y, "optimizer": SGD, "steps": 1, "record": "loss", "at": 1} | change
    return dynamics.train(ARCH, PARAMS, given.pop("x"), given.pop("y"), **given).loss


def followed(**change):
    given = {"ntk": GRAM, "f0": np.zeros(N), "y": Y, "learning_rate": 0.1, "steps": 2} | change
    return dynamics.linearized(**given).outputs


# Every kind of array argument: (call, value that fits, name of the argument).
REAL = {
    "x1": (lambda x: KERNEL(x).ntk, X, "x1"),
    "x2": (lambda x: KERNEL(X, x).ntk, X, "x2"),
    "apply": (lambda x: APPLY(PARAMS, x), X, "x"),
    "empirical": (lambda x: NTK(x, None, PARAMS), X, "x1"),
    "train-x": (lambda x: trained(x=x), X, "x"),
    "train-y": (lambda y: trained(y=y), Y, "y"),
    "linearized-ntk": (lambda k: followed(ntk=k), GRAM, "ntk"),
    "linearized-f0": (lambda f: followed(f0=f), np.zeros(N), "f0"),
    "linearized-y": (lambda y: followed(y=y), Y, "y"),
    "flow-ntk": (lambda k: dynamics.gradient_flow(k, np.zeros(N), Y, 1.0).outputs, GRAM, "ntk"),
    "flow-times": (
        lambda t: dynamics.gradient_flow(GRAM, np.zeros(N), Y, t).outputs,
        np.array([0.0, 2.0]),
        "times",
    ),
    "step": (lambda k: dynamics.largest_stable_step(k), GRAM, "ntk"),
    "posterior": (lambda k: dynamics.nngp_posterior(k, Y, GRAM, noise=0.1).mean, GRAM, "nngp"),
    "posterior-y": (lambda y: dynamics.nngp_posterior(GRAM, y, GRAM, noise=0.1).mean, Y, "y"),
    "posterior-test": (
        lambda k: dynamics.nngp_posterior(GRAM, Y, k, noise=0.1).mean,
        GRAM,
        "nngp_test",
    ),
    "matvec": (lambda v: ntkrnn.empirical_ntk_matvec(ARCH)(X, None, PARAMS)(v), Y, "v"),
    "dual": (lambda q: dual.dual_activation("erf", 0.1, q, 1.0).k, np.array([0.5, 1.0]), "q1"),
    "alignment": (lambda k: theory.alignment(k, Y), GRAM, "ntk"),
    "targets": (lambda y: theory.alignment(GRAM, y), Y, "y"),
    "tokens": (lambda x: theory.unit_tokens(x), X, "x"),
}
WHOLE = {
    "lengths1": (lambda n: KERNEL(X, None, None, n).ntk, LENGTHS, "lengths1"),
    "lengths": (lambda n: APPLY(PARAMS, X, n), LENGTHS, "lengths"),
    "train": (lambda n: trained(lengths=n), LENGTHS, "lengths"),
    "classes": (
        lambda y: trained(y=y, loss="cross-entropy"),
        np.array([0, 1, 1, 0]),
        "y",
    ),
    "batches": (lambda b: followed(batches=b), np.array([[0, 1], [2, 3]]), "batches"),
    "at": (lambda at: followed(at=at), np.array([0, 2]), "at"),
}
BOTH = {**REAL, **WHOLE}


@pytest.mark.parametrize("way", BOTH)
def test_a_mask_is_not_lost(way):
    call, value, name = BOTH[way]
    masked = np.ma.masked_array(value, np.zeros(value.shape, bool))
    refused(lambda: call(masked), name, "masked array", "fill it", "lengths", error=TypeError)
    rows = [np.ma.masked_array(row) for row in value]
    refused(lambda: call(rows), name, "masked array", error=TypeError)


@pytest.mark.parametrize("way", BOTH)
@pytest.mark.parametrize(
    "kind", ["complex128", "timedelta64[s]", "datetime64[s]", "object", "U8", "float8_e4m3fn", "int4"]
)
def test_what_is_no_real_number_is_refused(way, kind):
    call, value, name = BOTH[way]
    other = np.asarray(value).astype(getattr(ml_dtypes, kind, kind))
    refused(lambda: call(other), name, "got dtype", error=TypeError)


@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("kind", ["bool", "float64"])
def test_what_is_no_whole_number_is_refused(way, kind):
    call, value, name = WHOLE[way]
    refused(lambda: call(value.astype(kind)), name, f"got dtype {kind}", error=TypeError)


@pytest.mark.parametrize("way", REAL)
def test_another_byte_order_gives_the_same(way):
    call, value, _ = REAL[way]
    here = np.asarray(value, np.float64)
    there = here.astype(">f8" if np.little_endian else "<f8")
    np.testing.assert_array_equal(call(there), call(here))


@pytest.mark.parametrize("way", WHOLE)
def test_whole_numbers_in_another_byte_order_give_the_same(way):
    call, value, _ = WHOLE[way]
    there = value.astype(">i4" if np.little_endian else "<i4")
    np.testing.assert_array_equal(call(there), call(value))


@pytest.mark.skipif(np.longdouble(1) / 3 == np.float64(1 / 3), reason="long doubles are doubles here")
@pytest.mark.parametrize("way", REAL)
def test_long_floats_pass_where_they_are_exact(way):
    call, value, name = REAL[way]
    here = np.asarray(value, np.float64)
    np.testing.assert_array_equal(call(here.astype(np.longdouble)), call(here))
    longer = here.astype(np.longdouble) + np.longdouble(1) / 3
    refused(lambda: call(longer), name, "does not hold exactly", "astype", error=ValueError)


def test_padding_may_hold_what_float32_does_not():
    x = X.astype(np.float64)
    x[1, 3:] = 1e300
    np.testing.assert_array_equal(
        KERNEL(x, None, "ntk", LENGTHS), KERNEL(X.astype(np.float64), None, "ntk", LENGTHS)
    )


@pytest.mark.skipif(np.float64 == DTYPE, reason="about the range of float32")
def test_data_beyond_the_range_of_the_floats_are_told_as_that():
    x = X.astype(np.float64)
    x[2, 1, 0] = -1e300
    refused(lambda: KERNEL(x), "x1", r"-1e\+300 at row 2, step 1, channel 0", "range of float32", "X64")


# Kernels that overflow


@pytest.mark.skipif(np.float64 == DTYPE, reason="about the range of float32")
@pytest.mark.parametrize(
    ("change", "scale", "name", "patterns"),
    [
        ({}, 3e19, "x1", ["entries up to [0-9.]+e\\+19", "Standardise"]),
        ({"w_std": 1e39}, 1, "w_std", [r"1e\+39, whose square", "float32"]),
        ({"w_std": 1e20}, 1, "w_std", [r"1e\+20, whose square"]),
        ({"v_std": 1e30}, 1, "v_std", [r"1e\+30, whose square"]),
        ({"v_std": 1e19, "nonlinearity": "relu", "u_std": 10}, 1, "v_std", ["Lower the scale"]),
    ],
)
def test_kernels_that_overflow_name_what_drove_them(change, scale, name, patterns):
    arch = ntkrnn.Elman(**{"nonlinearity": "relu", **change})
    refused(lambda: ntkrnn.network(arch).kernel_fn(scale * X), name, *patterns, error=ValueError)


@pytest.mark.skipif(np.float64 == DTYPE, reason="about the range of float32")
def test_a_chaotic_ntk_that_overflows_names_the_scale_and_the_steps():
    arch = ntkrnn.Elman(nonlinearity="relu", w_std=3.0)
    x = np.ones((2, 100, 1), np.float32)
    kernel_fn = ntkrnn.network(arch).kernel_fn
    refused(lambda: kernel_fn(x), "w_std", "got 3 with sequences of T=100 steps", "chaotic", "X64")
    assert np.isfinite(kernel_fn(x[:, :40]).ntk).all()


def test_only_what_was_asked_for_has_to_be_finite():
    """Where the NTK overflows the NNGP kernel of a saturating network is all right."""
    arch = ntkrnn.Elman(nonlinearity="erf", w_std=30.0)
    x = np.random.default_rng(1).normal(size=(3, 1 if np.float64 == DTYPE else 60, 1)).astype(DTYPE)
    assert np.isfinite(ntkrnn.network(arch).kernel_fn(x, get="nngp")).all()


def test_scales_beyond_any_float_are_refused_when_they_are_given():
    refused(
        lambda: ntkrnn.Elman(w_std=10**400), "w_std", "beyond the range of floats", error=ValueError
    )
    refused(lambda: ntkrnn.Elman(u_std=1e200), "u_std", r"1e\+200, whose square", error=ValueError)


# Parameters, keys, shapes


def spoiled(value):
    return {**PARAMS, "v": PARAMS["v"].at[0, 1].set(value)}


PARAMETERS = {
    "apply": lambda params: APPLY(params, X),
    "ntk": lambda params: NTK(X, None, params),
    "nngp": lambda params: ntkrnn.empirical_nngp_fn(ARCH)(X, None, params),
    "matvec": lambda params: ntkrnn.empirical_ntk_matvec(ARCH)(X, None, params)(Y),
    "linearize": lambda params: dynamics.linearize(ARCH, params)(PARAMS, X),
    "linearized": lambda params: dynamics.linearize(ARCH, PARAMS)(params, X),
    "train": lambda params: dynamics.train(ARCH, params, X, Y, optimizer=SGD, steps=1),
}


@pytest.mark.parametrize("way", PARAMETERS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused(way, value):
    call = PARAMETERS[way]
    refused(lambda: call(spoiled(value)), "params", r"NaN or infinite entries at \['v'\]", "diverged")


@pytest.mark.parametrize("way", PARAMETERS)
@pytest.mark.parametrize("value", [3.0, None, "a", {"v": 1.0}])
def test_what_are_no_parameters_are_refused(way, value):
    refused(lambda: PARAMETERS[way](value), "params", "got", "expected")


@pytest.mark.parametrize("way", PARAMETERS)
def test_parameters_with_a_mask_are_refused(way):
    masked = {**PARAMS, "v": np.ma.masked_array(np.asarray(PARAMS["v"]))}
    refused(lambda: PARAMETERS[way](masked), "params", "masked array", error=TypeError)


@pytest.mark.skipif(np.float64 == DTYPE, reason="about the range of float32")
def test_states_that_overflow_are_told():
    arch = ntkrnn.Elman(width=4, nonlinearity="identity", w_std=1e10)
    params = ntkrnn.network(arch).init_fn(jax.random.key(0), X.shape)[1]
    call = ntkrnn.network(arch).apply_fn
    refused(lambda: call(params, X), "params", "overflow float32 within T=5", error=ValueError)
    refused(lambda: ntkrnn.empirical_ntk_fn(arch)(X, None, params), "params", "overflow")


@pytest.mark.parametrize("shape", [(-5, -7, 2), (0, 4, 2), (-1, -2, 2), (-1, 4, -1)])
def test_shapes_of_nothing_are_refused(shape):
    refused(lambda: INIT(jax.random.key(0), shape), "input_shape", "at least 1", error=ValueError)


def test_keys_in_every_form_of_jax():
    """A key as plain words is the key that they are the words of."""
    for impl in ("threefry2x32", "rbg"):
        key = jax.random.key(3, impl=impl)
        words = jax.random.key_data(key)
        for one, other in zip(
            jax.tree.leaves(INIT(words, X.shape)), jax.tree.leaves(INIT(key, X.shape)), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    for wrong in (jnp.zeros(7, jnp.uint32), jnp.zeros((2, 2), jnp.uint32), jnp.zeros(2), 0, None):
        refused(lambda wrong=wrong: INIT(wrong, X.shape), "key", "jax.random.key", error=TypeError)


# Arguments of the wrong kind


def test_options_of_the_wrong_kind_are_told_as_that():
    gru = ntkrnn.network(ntkrnn.GRU()).kernel_fn
    refused(lambda: gru(X, tolerance="a"), "tolerance", "'a' of type str", error=TypeError)
    refused(lambda: KERNEL(X, devices=5), "devices", "got 5", error=TypeError)
    refused(lambda: KERNEL(X, tile="a"), "tile", "'a' of type str", error=TypeError)


def test_lengths_may_be_called_that_where_there_is_one_side():
    want = KERNEL(X, None, "ntk", LENGTHS)
    np.testing.assert_array_equal(KERNEL(X, get="ntk", lengths=LENGTHS), want)
    ntk = NTK(X, None, PARAMS, lengths=LENGTHS)
    np.testing.assert_array_equal(ntk, NTK(X, None, PARAMS, LENGTHS))
    refused(lambda: KERNEL(X, X, lengths=LENGTHS), "lengths", "with x2", "lengths1, lengths2")
    refused(lambda: KERNEL(X, lengths1=LENGTHS, lengths=LENGTHS), "lengths", "beside lengths1")


# The Gaussian expectations


@pytest.mark.parametrize(
    ("change", "name", "pattern"),
    [
        ({"q1": -1.0}, "q1", "at least 0"),
        ({"c": 2.0}, "c", r"sqrt\(q1 q2\) is 1"),
        ({"c": np.nan}, "c", "nan"),
        ({"c": np.zeros(3), "q1": np.ones(2)}, "c", "shapes that broadcast"),
        ({"distance": -0.1}, "distance", "at least 0"),
        ({"fn": 3}, "fn", "3 of type int"),
        ({"fn": np.tanh}, "fn", r"dual\.nonlinearity"),
        ({"q2": "a"}, "q2", "dtype"),
    ],
)
def test_expectations_that_do_not_exist_are_refused(change, name, pattern):
    given = {"fn": "relu", "c": 0.1, "q1": 1.0, "q2": 1.0} | change
    refused(lambda: dual.dual_activation(**given), name, pattern)


def test_functions_that_jax_does_not_differentiate_are_refused():
    refused(lambda: dual.nonlinearity(np.tanh), "fn", "made of jax.numpy", error=ValueError)
    refused(lambda: dual.nonlinearity(lambda x: jnp.sign(x).astype(int)), "fn", "keeps the dtype")
    refused(lambda: dual.nonlinearity("tanh", max_variance="a"), "max_variance", "'a' of type str")
    refused(lambda: dual.nonlinearity(jnp.sin, name=3), "name", "3 of type int", error=TypeError)
    refused(lambda: ntkrnn.Elman(nonlinearity={"name": 3}), "nonlinearity", "3 of type int")
    refused(lambda: dual.Nonlinearity("own", fn=3), "fn", "3 of type int", error=TypeError)
    refused(lambda: dual.truncation_error("tanh", -1.0), "variance", "at least 0")
    refused(lambda: dual.stepper(["relu"]), "spec", "expected a name", error=TypeError)

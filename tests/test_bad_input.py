"""Bad input is refused by name, by ntkrnn itself, before JAX or NumPy stumbles over it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refused

import ntkrnn

DTYPE = jnp.zeros(()).dtype
N, T, D = 2, 5, 3
X = np.random.default_rng(0).normal(size=(N, T, D)).astype(DTYPE)
ARCH = ntkrnn.Elman(width=4)
INIT, APPLY, KERNEL = ntkrnn.network(ARCH)
KEY = jax.random.key(0)
PARAMS = INIT(KEY, (-1, T, D))[1]
NTK, NNGP = ntkrnn.empirical_ntk_fn(ARCH), ntkrnn.empirical_nngp_fn(ARCH)

# Every way in for a batch of sequences: (call, name of the argument).
SEQUENCES = {
    "apply": (lambda x: APPLY(PARAMS, x), "x"),
    "kernel-1": (lambda x: KERNEL(x), "x1"),
    "kernel-2": (lambda x: KERNEL(X, x), "x2"),
    "ntk-1": (lambda x: NTK(x, None, PARAMS), "x1"),
    "ntk-2": (lambda x: NTK(X, x, PARAMS), "x2"),
    "nngp-1": (lambda x: NNGP(x, None, PARAMS), "x1"),
    "nngp-2": (lambda x: NNGP(X, x, PARAMS), "x2"),
}
# Every way in for lengths, which come after the sequences that they belong to.
LENGTHS = {
    "apply": (lambda x, n: APPLY(PARAMS, x, n), "lengths"),
    "kernel-1": (lambda x, n: KERNEL(x, None, None, n), "lengths1"),
    "kernel-2": (lambda x, n: KERNEL(X, x, None, None, n), "lengths2"),
    "ntk-1": (lambda x, n: NTK(x, None, PARAMS, n), "lengths1"),
    "ntk-2": (lambda x, n: NTK(X, x, PARAMS, None, n), "lengths2"),
    "nngp-1": (lambda x, n: NNGP(x, None, PARAMS, n), "lengths1"),
    "nngp-2": (lambda x, n: NNGP(X, x, PARAMS, None, n), "lengths2"),
}
PARAMETERS = {
    "apply": lambda params: APPLY(params, X),
    "ntk": lambda params: NTK(X, None, params),
    "nngp": lambda params: NNGP(X, None, params),
}


def changed(where, value):
    """A copy of X with one value in it."""
    x = X.copy()
    x[where] = value
    return x


CHANNEL_HINT = r"\[N, T\] want a channel axis: x\[:, :, None\]"
BATCH_HINT = r"\[T, d\] wants a batch axis: x\[None\]"
BAD_SEQUENCES = {
    "series-without-channels": (X[:, :, 0], ValueError, [r"rank 2.*\(2, 5\)", CHANNEL_HINT]),
    "one-sequence": (X[0], ValueError, [r"rank 2.*\(5, 3\)", BATCH_HINT]),
    "one-series": (X[0, :, 0], ValueError, [r"rank 1.*\(5,\)", r"rank 3 \[N, T, d\]"]),
    "scalar": (1.0, ValueError, ["rank 0", r"rank 3 \[N, T, d\]"]),
    "images": (X[None], ValueError, [r"rank 4.*\(1, 2, 5, 3\)", r"rank 3 \[N, T, d\]"]),
    "empty-batch": (X[:0], ValueError, [r"\(0, 5, 3\)", "axis N is empty"]),
    "no-steps": (X[:, :0], ValueError, [r"\(2, 0, 3\)", "axis T is empty"]),
    "no-channels": (X[:, :, :0], ValueError, [r"\(2, 5, 0\)", "axis d is empty"]),
    "complex": (X + 1j, TypeError, ["dtype complex", "real numbers"]),
    "strings": (np.full(X.shape, "a"), TypeError, ["dtype <U1", "real numbers"]),
    "booleans": (X > 0, TypeError, ["dtype bool", "real numbers"]),
    "objects": (X.astype(object), TypeError, ["dtype object", "real numbers"]),
    "dates": (np.zeros(X.shape, "datetime64[s]"), TypeError, ["datetime64", "real numbers"]),
    "mapping": ({"x": X}, TypeError, ["object", "real numbers"]),
    "ragged": ([[[1.0]], [[1.0], [2.0]]], ValueError, ["unequal lengths", "pad them", "lengths"]),
    "nan": (changed((1, 2, 0), np.nan), ValueError, ["got nan at row 1, step 2, channel 0"]),
    "inf": (changed((0, 4, 2), np.inf), ValueError, ["got inf at row 0, step 4, channel 2"]),
    "minus-inf": (changed((1, 0), -np.inf), ValueError, ["got -inf at row 1, step 0", "3 such"]),
}


@pytest.mark.parametrize("way", SEQUENCES)
@pytest.mark.parametrize("case", BAD_SEQUENCES)
def test_sequences_that_cannot_be_used_are_refused(case, way):
    value, error, patterns = BAD_SEQUENCES[case]
    call, argument = SEQUENCES[way]
    refused(lambda: call(value), argument, *patterns, error=error)


@pytest.mark.parametrize("way", [way for way in SEQUENCES if not way.endswith("2")])
def test_none_in_place_of_sequences_is_refused(way):
    call, argument = SEQUENCES[way]
    refused(lambda: call(None), argument, "got", "expected", error=TypeError)


@pytest.mark.parametrize("way", SEQUENCES)
@pytest.mark.parametrize("kind", ["int64", "uint8", "float16", "bfloat16", "lists"])
def test_other_real_numbers_are_converted(kind, way):
    """Integers, half precision and nested lists give what the same numbers give as floats."""
    whole = np.arange(N * T * D).reshape(N, T, D) % 4
    value = whole.tolist() if kind == "lists" else np.asarray(whole, jnp.dtype(kind))
    call, _ = SEQUENCES[way]
    # With numbers that every dtype holds exactly, float32 against float64 is all that can differ.
    for got, want in zip(
        jax.tree.leaves(call(value)), jax.tree.leaves(call(whole.astype(DTYPE))), strict=True
    ):
        assert jnp.issubdtype(got.dtype, jnp.floating) and got.dtype.itemsize >= 4
        scale = np.abs(want).max()
        np.testing.assert_allclose(got, want, rtol=0, atol=32 * T * np.finfo(np.float32).eps * scale)


@pytest.mark.parametrize("way", SEQUENCES)
def test_nan_in_a_valid_step_is_refused_although_lengths_were_given(way):
    call, argument = LENGTHS[way]
    sequences = argument.replace("lengths", "x")
    x = changed((1, 2, 1), np.nan)
    refused(lambda: call(x, [5, 3]), sequences, "nan at row 1, step 2, channel 1", error=ValueError)


@pytest.mark.parametrize("way", SEQUENCES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_in_the_padding_are_accepted(way, value):
    call, _ = LENGTHS[way]
    result = call(changed((1, slice(3, None)), value), [5, 3])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))


@pytest.mark.parametrize("way", SEQUENCES)
def test_nan_points_to_the_lengths_argument(way):
    call, argument = SEQUENCES[way]
    name = LENGTHS[way][1]
    refused(lambda: call(changed((0, 4), np.nan)), argument, rf"pass {name}\.", error=ValueError)


BAD_LENGTHS = {
    "too-many": ([5, 3, 1], ValueError, [r"shape \(3,\)", r"expected \(2,\)"]),
    "column": ([[5], [3]], ValueError, [r"shape \(2, 1\)", r"expected \(2,\)"]),
    "one-for-all": (5, ValueError, [r"shape \(\)", r"expected \(2,\)"]),
    "floats": ([5.0, 3.0], TypeError, ["dtype float", "whole numbers"]),
    "mask": ([True, True], TypeError, ["dtype bool", "whole numbers"]),
    "strings": (["5", "3"], TypeError, ["dtype <U1", "whole numbers"]),
    "zero": ([5, 0], ValueError, ["0 in row 1", "between 1 and T=5"]),
    "negative": ([-1, 5], ValueError, ["-1 in row 0", "between 1 and T=5"]),
    "beyond-the-array": ([5, 6], ValueError, ["6 in row 1", "between 1 and T=5"]),
    "beyond-int32": (np.array([2**40 + 3, 3]), ValueError, [f"{2**40 + 3} in row 0", "T=5"]),
    "ragged": ([[5], [3, 3]], (ValueError, TypeError), ["got", r"expected"]),
}


@pytest.mark.parametrize("way", LENGTHS)
@pytest.mark.parametrize("case", BAD_LENGTHS)
def test_lengths_that_cannot_be_used_are_refused(case, way):
    value, error, patterns = BAD_LENGTHS[case]
    call, argument = LENGTHS[way]
    refused(lambda: call(X, value), argument, *patterns, error=error)


@pytest.mark.parametrize(
    "call",
    [
        lambda: KERNEL(X, None, None, None, [5, 3]),
        lambda: NTK(X, None, PARAMS, None, [5, 3]),
        lambda: NNGP(X, None, PARAMS, None, [5, 3]),
    ],
    ids=["kernel", "ntk", "nngp"],
)
def test_lengths_of_a_side_that_was_not_given_are_refused(call):
    refused(call, "lengths2", "without x2", "lengths1", error=ValueError)


@pytest.mark.parametrize("way", [way for way in SEQUENCES if way != "kernel-1"])
def test_other_channels_than_expected_are_refused(way):
    call, argument = SEQUENCES[way]
    refused(lambda: call(X[:, :, :2]), argument, r"d=2 .*\(2, 5, 2\)", "expected d=3", error=ValueError)


OTHERS = {
    "width": ntkrnn.Elman(width=8),
    "depth": ntkrnn.Elman(width=4, depth=2),
    "bidirectional": ntkrnn.Elman(width=4, bidirectional=True),
    "out_dim": ntkrnn.Elman(width=4, out_dim=2),
}


@pytest.mark.parametrize("way", PARAMETERS)
@pytest.mark.parametrize("other", OTHERS)
def test_parameters_of_another_architecture_are_refused(other, way):
    params = ntkrnn.network(OTHERS[other]).init_fn(KEY, (-1, T, D))[1]
    shape = re.escape(str(tuple(params["v"].shape)))
    refused(
        lambda: PARAMETERS[way](params),
        "params",
        rf"got .*{shape}.*expected .*\(4, 4\).*Elman\(width=4",
        "init_fn",
        error=ValueError,
    )


def with_block(**blocks):
    """The parameters with other entries for the first layer."""
    return {**PARAMS, "cells": [{"forward": {**PARAMS["cells"][0]["forward"], **blocks}}]}


BAD_PARAMS = {
    "none": None,
    "array": X,
    "list": [1, 2],
    "empty": {},
    "without-readout": {"cells": PARAMS["cells"]},
    "another-block": {**PARAMS, "z": X},
    "string-for-a-block": {**PARAMS, "v": "abc"},
    "none-for-a-block": with_block(w=None),
    "vector-for-a-matrix": with_block(u=np.ones(4)),
    "scalar-for-a-matrix": with_block(u=np.ones(())),
    "rank-3-for-a-matrix": with_block(u=np.ones((4, 3, 1))),
    "array-of-strings": with_block(b=np.full(4, "a")),
    "complex": with_block(w=np.ones((4, 4), complex)),
}


@pytest.mark.parametrize("way", PARAMETERS)
@pytest.mark.parametrize("case", BAD_PARAMS)
def test_parameters_that_are_not_ours_are_refused(case, way):
    refused(lambda: PARAMETERS[way](BAD_PARAMS[case]), "params", "got", "expected", "init_fn")


def test_parameters_in_place_of_sequences_are_refused():
    refused(lambda: APPLY(X, PARAMS), "params", "expected the pytree", error=ValueError)
    refused(lambda: NTK(X, PARAMS, None), "x2", "expected real numbers", error=TypeError)


@pytest.mark.parametrize(
    "get",
    ["foo", "", "NTK", (), [], ("nngp", "nngp"), ("ntk", "x"), (["ntk"],), 3, True, (None,)],
    ids=repr,
)
def test_an_unknown_get_is_refused(get):
    refused(lambda: KERNEL(X, None, get), "get", re.escape(repr(get)), "'nngp', 'ntk', a tuple")


@pytest.mark.parametrize(
    "shape",
    [
        (5, 3),
        (3,),
        (),
        (1, 2, 3, 4),
        (-1, 5, -1),
        (-1, 5, 0),
        (-1, 5, 2.5),
        (-1, 5, "3"),
        (-1, 5, None),
        (None, None, 3),
        5,
        None,
        "abc",
    ],
    ids=repr,
)
def test_an_input_shape_that_is_not_n_t_d_is_refused(shape):
    refused(lambda: INIT(KEY, shape), "input_shape", re.escape(repr(shape)), r"expected \(N, T, d\)")


@pytest.mark.parametrize("key", [0, None, "seed", np.zeros(3)], ids=repr)
def test_what_is_not_a_random_key_is_refused(key):
    refused(lambda: INIT(key, (-1, T, D)), "key", r"got", r"jax\.random\.key")


def test_a_legacy_key_and_a_list_for_the_shape_are_accepted():
    shape, params = INIT(jax.random.PRNGKey(0), [N, T, D])
    assert shape == (N, 1)
    assert APPLY(params, X).shape == shape


BUILDERS = {"ntk": ntkrnn.empirical_ntk_fn, "nngp": ntkrnn.empirical_nngp_fn}
BAD_AXES = [
    ("trace_axes", (0,), (), "axis 0.*batch axis"),
    ("trace_axes", (-2,), (), "axis -2.*batch axis"),
    ("trace_axes", (2,), (), "axis 2.*rank 2"),
    ("trace_axes", (-3,), (), "axis -3.*rank 2"),
    ("trace_axes", (1, -1), (), "axis -1 is named twice"),
    ("diagonal_axes", (-1,), (1,), "axis 1 is named twice"),
    ("diagonal_axes", -1, 1, "axis 1 is named twice"),
    ("diagonal_axes", (), 0, "axis 0.*batch axis"),
    ("diagonal_axes", (), (7,), "axis 7.*rank 2"),
    ("trace_axes", (1.5,), (), "1.5"),
    ("trace_axes", "a", (), "'a'"),
    ("trace_axes", None, (), "None"),
    ("diagonal_axes", (), ("time",), "'time'"),
]


@pytest.mark.parametrize("which", BUILDERS)
@pytest.mark.parametrize(("argument", "trace", "diagonal", "pattern"), BAD_AXES)
def test_output_axes_that_cannot_be_used_are_refused(which, argument, trace, diagonal, pattern):
    build = BUILDERS[which]
    refused(lambda: build(ARCH, trace, diagonal), argument, pattern)


@pytest.mark.parametrize("which", BUILDERS)
def test_axes_may_be_single_numbers(which):
    build = BUILDERS[which]
    many = ntkrnn.Elman(width=4, out_dim=2)
    params = ntkrnn.network(many).init_fn(KEY, (-1, T, D))[1]
    tuples = build(many, (), (-1,))(X, None, params)
    for axis in (-1, 1, np.int64(1)):
        np.testing.assert_array_equal(build(many, (), axis)(X, None, params), tuples)


@pytest.mark.parametrize("which", BUILDERS)
@pytest.mark.parametrize(("trace", "diagonal", "role"), [((1, 2), (), "traced"), ((2,), (1,), "diag")])
def test_a_common_time_axis_needs_equally_many_steps(which, trace, diagonal, role):
    arch = ntkrnn.Elman(width=4, readout="sequence")
    fn = BUILDERS[which](arch, trace, diagonal)
    refused(lambda: fn(X, X[:, :4], PARAMS), "x2", "T=4.*T=5", role, "pass lengths", error=ValueError)


@pytest.mark.parametrize("value", ["elman", None, ntkrnn.Elman, {"width": 4}], ids=repr)
@pytest.mark.parametrize(
    "build",
    [
        ntkrnn.network,
        ntkrnn.empirical_ntk_fn,
        ntkrnn.empirical_nngp_fn,
        lambda arch: ntkrnn.stax.Recurrent(arch),
    ],
    ids=["network", "empirical_ntk_fn", "empirical_nngp_fn", "stax.Recurrent"],
)
def test_what_is_not_an_architecture_is_refused(build, value):
    refused(lambda: build(value), "arch", re.escape(repr(value)), r"ntkrnn\.Elman", error=TypeError)


@pytest.fixture(scope="module")
def layer():
    """(init_fn, apply_fn, kernel_fn) of the recurrent layer, and its parameters."""
    init_fn, apply_fn, kernel_fn = ntkrnn.stax.Recurrent(ARCH)
    return init_fn, apply_fn, kernel_fn, init_fn(KEY, (-1, T, D))[1]


@pytest.mark.parametrize("shape", [(5, 3), (-1, 5, 3, 1), (-1, 5, 0), (-1, 5, -1), 5], ids=repr)
def test_stax_layer_refuses_an_input_shape_that_is_not_n_t_d(layer, shape):
    refused(
        lambda: layer[0](KEY, shape), "input_shape", re.escape(repr(shape)), r"expected \(N, T, d\)"
    )


STAX_CASES = ["one-sequence", "images", "empty-batch", "no-steps", "no-channels", "complex", "strings"]


@pytest.mark.parametrize("case", STAX_CASES)
def test_stax_layer_refuses_inputs_that_cannot_be_used(layer, case):
    value, error, patterns = BAD_SEQUENCES[case]
    refused(lambda: layer[1](layer[3], value), "inputs", *patterns, error=error)


def test_stax_layer_refuses_other_channels(layer):
    call = lambda: layer[1](layer[3], X[:, :, :2])  # noqa: E731
    refused(call, "inputs", r"d=2 .*\(2, 5, 2\)", "expected d=3", error=ValueError)


@pytest.mark.parametrize("case", ["none", "empty", "width"])
def test_stax_layer_refuses_parameters_that_are_not_its_own(layer, case):
    other = ntkrnn.stax.Recurrent(ntkrnn.Elman(width=6))[0](KEY, (-1, T, D))[1]
    params = {"none": None, "empty": {}, "width": other}[case]
    refused(lambda: layer[1](params, X), "params", "got", "expected", "init_fn", error=ValueError)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer, x: layer[1](layer[3], x, mask_constant=-7.0),
        lambda layer, x: layer[2](x, None, "nngp", mask_constant=-7.0),
        lambda layer, x: layer[2](X, x, "nngp", mask_constant=-7.0),
    ],
    ids=["apply", "kernel-1", "kernel-2"],
)
@pytest.mark.parametrize(
    ("steps", "valid"), [(2, r"\[0, 1, 3, 4\]"), (0, r"\[1, 2, 3, 4\]"), (slice(None), r"\[\]")]
)
def test_stax_layer_refuses_a_mask_that_does_not_leave_a_leading_run(layer, call, steps, valid):
    x = changed((1, steps), -7.0)
    pattern = f"row 1 has valid steps {valid}, expected a leading run"
    refused(lambda: call(layer, x), "mask", pattern, error=ValueError)

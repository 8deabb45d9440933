"""What holds for every architecture of the table: one suite, driven by ``architectures.TABLE``.

The batch is the hardest that is still small: unequal lengths, a duplicate, a near duplicate and an
all-zero sequence.
"""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import SAMPLED, TABLE, WITH_LIMIT
from marking import marked

import ntkrnn

X64 = jax.config.jax_enable_x64
DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
N, T, D, LONGER = 5, 5, 3, 7
SHORT = slice(1, 3)  # the two rows of length 3, the second a duplicate of the first


def batch():
    """``[N, T, d]`` and lengths; rows 1 and 2 are equal, row 3 is near row 0, row 4 is zero."""
    x = np.random.default_rng(7).normal(size=(N, T, D))
    x[2] = x[1]
    x[3] = x[0] + 1e-3 * x[3]
    x[4] = 0
    return x.astype(DTYPE), np.array([5, 3, 3, 5, 2], np.int32)


X, LENGTHS = batch()
PADDING = np.arange(T) >= LENGTHS[:, None]
PERMUTATION = np.array([3, 1, 4, 0, 2])


def padded(filler, steps=T):
    """The same sequences in an array of ``steps`` steps with other content behind them."""
    x = np.full((N, steps, D), filler, X.dtype)
    x[:, :T] = np.where(PADDING[:, :, None], filler, X)
    return x


@functools.lru_cache(maxsize=2)
def derivative_of(form):
    """Compiled ``(*scales, x) -> (number, kernels), gradients``: one number of both kernels."""
    rng = np.random.default_rng(1)
    shape = (N, N, T, T) if form.readout == "sequence" else (N, N)
    weights = [jnp.asarray(rng.normal(size=shape), DTYPE) for _ in range(2)]

    def objective(variables):
        *scales, x = variables
        arch = form.with_scales(type(form.scales)(*scales))
        kernels = ntkrnn.network(arch).kernel_fn(x, None, ("nngp", "ntk"), LENGTHS)
        return sum(jnp.sum(a * k) for a, k in zip(weights, kernels, strict=True)), kernels

    return jax.jit(jax.value_and_grad(objective, has_aux=True))


def moved(params):
    """A diagonal network after some training: no more copies of neurons, whose outputs cancel."""
    rng = np.random.default_rng(4)
    away = {name: params[name] + 0.2 * rng.normal(size=params[name].shape) for name in ("w", "u")}
    return {**params, **jax.tree.map(lambda a: a.astype(DTYPE), away)}


KINKED = ("relu", "leaky_relu(0.2)", "abs")


class Case:
    """One architecture, and what several tests want of it, computed once."""

    def __init__(self, name):
        self.name, self.arch = name, TABLE[name]
        self.init_fn, self.apply_fn, self.kernel_fn = ntkrnn.network(self.arch)
        self.ntk_fn = ntkrnn.empirical_ntk_fn(self.arch)
        self.nngp_fn = ntkrnn.empirical_nngp_fn(self.arch)
        self.output_shape, self.start = self.init_fn(jax.random.key(3), (N, T, D))
        self.params = self.start if self.arch.family == "dense" else moved(self.start)
        self.sequence = self.arch.readout == "sequence"
        # Some 32 roundings for each step and layer, whose errors the recursion does not amplify:
        # T and depth are 5 and 3 at most, and no scale is far above critical.
        self.rounding = 32 * EPS * T * self.arch.depth

    @functools.cached_property
    def outputs(self):
        return np.asarray(self.apply_fn(self.params, X, LENGTHS))

    @functools.cached_property
    def kernels(self):
        """The infinite and the empirical kernels of the batch with itself."""
        return jax.tree.map(np.asarray, self.all_kernels(X, None, LENGTHS, None))

    def all_kernels(self, x1, x2, lengths1, lengths2):
        found = {}
        if self.name in WITH_LIMIT:
            infinite = self.kernel_fn(x1, x2, None, lengths1, lengths2)
            found |= {"infinite nngp": infinite.nngp, "infinite ntk": infinite.ntk}
        return {
            **found,
            "empirical nngp": self.nngp_fn(x1, x2, self.params, lengths1, lengths2),
            "empirical ntk": self.ntk_fn(x1, x2, self.params, lengths1, lengths2),
        }

    @property
    def derivative(self):
        # Neither the width nor the number of outputs enters: architectures that differ in nothing
        # else share one compilation.
        return derivative_of(dataclasses.replace(self.arch.form, width=2, out_dim=1))

    @property
    def variables(self):
        scales = jax.tree.map(lambda s: jnp.asarray(s, DTYPE), tuple(self.arch.scales))
        return (*scales, jnp.asarray(X))


# In the table for their nonlinearity, or for what others have one by one; they compile the longest.
# test_infinite_reference has both kinds in the quick suite.
LONG = (
    "tanh",
    "gelu-deep-bidirectional-mean",
    "sin-bidirectional-sequence",
    "relu-weights-deep-bidirectional",
    "diagonal-erf-weights",
    "lstm-exponential",
    "leaky-integrator-exponential-bidirectional",
    "abs-u-b-mean-deep",
    "diagonal-identity-mean-unpaired",
    "diagonal-erf-sequence-only-u",
    "lstm-deep-mean-bias",
    "lstm-per-gate-bidirectional",
    "gru-after-sequence",
    "leaky-integrator-mean",
    "minimal-gru",
)
# Every readout, both kinds of cells, a kinked and a smooth nonlinearity.
FLOAT64 = ("relu-bias", "erf-mean", "erf-sequence", "leaky-only-w", "diagonal-sin-last", "lstm")
EVERY = marked(TABLE, slow=LONG, float64=FLOAT64)


@pytest.fixture(scope="module", params=EVERY)
def case(request):
    """Module scope makes pytest run all tests of one architecture together, on its compilations."""
    return Case(request.param)


def quick(*names):
    """For what takes long in every row: the quick suite has these."""
    return marked(TABLE, names, float64=FLOAT64)


def with_limit(cases):
    """Sampled kernels are equal within their errors: test_sampled_kernels has what holds for them."""
    chosen = [row for row in cases if row.values[0] in WITH_LIMIT]
    return pytest.mark.parametrize("case", chosen, indirect=True)


def assert_close(got, want, tolerance):
    """Entrywise, in units of the largest entry: off-diagonal entries of a kernel may cancel."""
    chex.assert_trees_all_equal_shapes_and_dtypes(got, want)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        error = np.abs(one - other).max() / np.abs(other).max()
        assert error <= tolerance, error


def gram_shape(case, n1=N, n2=N, t1=T, t2=T):
    return (n1, n2, t1, t2) if case.sequence else (n1, n2)


def swapped(kernel):
    return kernel.transpose((1, 0, 3, 2) if kernel.ndim == 4 else (1, 0))


def matrix(kernel):
    """``[N1 T1, N2 T2]`` for "sequence"."""
    if kernel.ndim == 2:
        return kernel
    n1, n2, t1, t2 = kernel.shape
    return kernel.transpose(0, 2, 1, 3).reshape(n1 * t1, n2 * t2)


# Shapes and dtypes


def shapes_of_dense(arch):
    m, top = arch.width, arch.width * len(arch.directions)
    # Gates with a recurrent matrix, an input matrix, a bias: one gate has no axis of gates.
    w, u, b = GATES.get((type(arch), getattr(arch, "reset", None)), ((), (), ()))

    def blocks(layer):
        return {"w": (*w, m, m), "u": (*u, m, top if layer else D), "b": (*b, m)}

    layers = [{d: blocks(layer) for d in arch.directions} for layer in range(arch.depth)]
    return {"cells": layers, "v": (arch.out_dim, top)}


GATES = {
    (ntkrnn.LSTM, None): ((4,), (4,), (4,)),
    (ntkrnn.GRU, "after"): ((3,), (3,), (4,)),
    (ntkrnn.GRU, "before"): ((3,), (3,), (3,)),
    (ntkrnn.MinimalGRU, None): ((2,), (2,), (3,)),
}


def shapes_of_diagonal(arch):
    return {"w": (arch.width,), "u": (arch.width, D), "c": (arch.out_dim, arch.width)}


def test_init_gives_the_documented_tree(case):
    shapes = {"dense": shapes_of_dense, "diagonal": shapes_of_diagonal}[case.arch.family](case.arch)
    assert jax.tree.map(jnp.shape, case.start) == shapes
    chex.assert_trees_all_equal_dtypes(
        case.start, jax.tree.map(lambda a: jnp.zeros((), DTYPE), case.start)
    )
    again = case.init_fn(jax.random.key(3), (-1, -1, D))[1]
    chex.assert_trees_all_equal(again, case.start)  # a function of the key and d alone
    if case.arch.family == "dense":
        leaves = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(case.start)])
        assert len(np.unique(leaves)) > 0.99 * leaves.size  # no two blocks share their key


def test_outputs_have_the_shape_that_init_promised(case):
    chex.assert_shape(case.outputs, case.output_shape)
    expected = (N, T, case.arch.out_dim) if case.sequence else (N, case.arch.out_dim)
    assert case.output_shape == expected
    chex.assert_type(case.outputs, DTYPE)
    chex.assert_tree_all_finite(case.outputs)


def test_kernels_have_the_documented_shapes_and_dtype(case):
    for kernel in case.kernels.values():
        chex.assert_shape(kernel, gram_shape(case))
        chex.assert_type(kernel, DTYPE)
    chex.assert_tree_all_finite(case.kernels)


@with_limit(EVERY)
@pytest.mark.parametrize("get", [("nngp", "ntk"), ("ntk", "nngp"), ("ntk",), ["nngp"]], ids=str)
def test_get_as_a_tuple_names_and_orders_the_fields(case, get):
    result = case.kernel_fn(X, None, get, LENGTHS)
    assert result._fields == tuple(get)
    for field, value in zip(get, result, strict=True):
        chex.assert_trees_all_equal(np.asarray(value), case.kernels[f"infinite {field}"])


@with_limit(EVERY)
def test_get_as_a_name_gives_the_array_and_none_gives_both(case):
    for field in ("nngp", "ntk"):
        value = case.kernel_fn(X, None, field, LENGTHS)
        chex.assert_trees_all_equal(np.asarray(value), case.kernels[f"infinite {field}"])
    both = case.kernel_fn(X, get=None, lengths1=LENGTHS)
    assert isinstance(both, ntkrnn.SampledKernels if case.name in SAMPLED else ntkrnn.Kernels)
    assert both._fields[:2] == ("nngp", "ntk")
    for error in both[2:]:
        chex.assert_equal_shape([error, both.ntk])
        assert np.all(np.asarray(error) >= 0)


@pytest.mark.parametrize("dtype", [jnp.float32, *([jnp.float64] if X64 else [])])
def test_results_keep_the_dtype_of_inputs_and_parameters(case, dtype):
    params = jax.tree.map(lambda a: a.astype(dtype), case.params)

    def everything(x):
        return (
            case.apply_fn(params, x, LENGTHS),
            case.kernel_fn(x, None, None, LENGTHS) if case.name in WITH_LIMIT else (),
            case.ntk_fn(x, None, params, LENGTHS),
            case.nngp_fn(x, None, params, LENGTHS),
        )

    for result in jax.tree.leaves(jax.eval_shape(everything, X.astype(dtype))):
        assert result.dtype == dtype


def test_strict_promotion_of_dtypes_and_ranks(case, strict):
    """Everything is traced anew under the strict settings, with concrete inputs."""

    def everything():
        return (
            case.apply_fn(case.params, X, LENGTHS),
            case.all_kernels(X, None, LENGTHS, None),
            case.all_kernels(X, X[:3], LENGTHS, LENGTHS[:3]),
        )

    shapes = jax.tree.map(jnp.shape, jax.eval_shape(everything))
    assert shapes[0] == case.output_shape
    assert set(shapes[1].values()) == {gram_shape(case)}
    assert set(shapes[2].values()) == {gram_shape(case, N, 3)}


@pytest.mark.parametrize("name", marked(("erf", "tanh"), slow=("tanh",), float64=()))
def test_strict_promotion_while_running(name, strict):
    """A closed form and an expansion, whose checks of the variance run outside of compiled code."""
    case = Case(name)
    chex.assert_tree_all_finite((case.outputs, case.kernels))


# Composition with JAX


def test_jit_vmap_over_single_sequences_equals_the_batch(case):
    """Each sequence alone, its length traced, inside jit and vmap."""
    single = jax.jit(
        jax.vmap(
            lambda params, one, length: case.apply_fn(params, one[None], length[None])[0],
            in_axes=(None, 0, 0),
        )
    )
    assert_close(single(case.params, X, LENGTHS), case.outputs, case.rounding)


def test_gradient_of_the_outputs_reaches_every_parameter(case):
    weights = np.random.default_rng(2).normal(size=case.outputs.shape).astype(DTYPE)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(weights * case.apply_fn(p, X, LENGTHS))))(case.params)
    chex.assert_tree_all_finite(gradient)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradient, case.params)
    if case.arch.family == "diagonal":
        assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
        return
    blocks = [b for layer in gradient["cells"] for b in layer.values()]
    for name, scale in (("w", case.arch.w_std), ("u", case.arch.u_std), ("b", case.arch.b_std)):
        for block in blocks:
            assert bool(np.any(block[name])) == (np.max(scale) > 0), name
    assert np.all(np.any(gradient["v"], axis=1))


# Compiled operation by operation, and little of it depends on the architecture.
@with_limit(quick("erf-mean", "diagonal-sin-last"))
def test_jit_equals_no_jit(case):
    """The value under jit, differentiated and with traced scales, is that of the plain call."""
    (_, kernels), _ = case.derivative(case.variables)
    plain = ntkrnn.Kernels(case.kernels["infinite nngp"], case.kernels["infinite ntk"])
    assert_close(kernels, plain, case.rounding)


# A compilation of the backward pass of every readout and depth: one of each.
@with_limit(
    quick("erf", "relu-bias", "erf-mean", "erf-sequence", "leaky-only-w", "diagonal-tanh-sequence")
)
def test_gradients_of_the_kernels_are_finite(case):
    """With respect to scales and inputs, duplicates and the zero sequence included."""
    _, gradient = case.derivative(case.variables)
    chex.assert_tree_all_finite(gradient)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradient, case.variables)
    assert not np.any(np.asarray(gradient[-1])[PADDING])  # nothing flows out of the padding
    for name, slope in zip(case.arch.scales._fields, gradient, strict=False):
        assert all(one != 0 for one in jax.tree.leaves(slope)) or name == "b"


MOVED_ROWS = {"x": [0, 1, 3], "duplicate": [2], "zero": [4]}
DIRECTIONS = [
    pytest.param(name, what, marks=row.marks)
    for row in EVERY
    for name in row.values
    for what in (*TABLE[name].scales._fields, *MOVED_ROWS)
    if name in WITH_LIMIT
]


@pytest.mark.skipif(not X64, reason="differences of float32 numbers say nothing")
@pytest.mark.parametrize(("case", "what"), DIRECTIONS, indirect=["case"])
def test_gradients_of_the_kernels_match_central_differences(case, what):
    """Along each scale that the architecture has, and along some of the sequences."""
    rng = np.random.default_rng(5)
    direction = [jax.tree.map(np.zeros_like, v) for v in case.variables]
    if what in MOVED_ROWS:
        moved_rows = MOVED_ROWS[what]
        direction[-1][moved_rows] = rng.normal(size=(len(moved_rows), T, D))
    else:
        which = case.arch.scales._fields.index(what)
        direction[which] = jax.tree.map(np.ones_like, case.variables[which])
    step = 1e-5
    moved = [
        case.derivative(
            jax.tree.map(lambda v, d, s=s: v + s * step * d, case.variables, tuple(direction))
        )
        for s in (1, -1)
    ]
    difference = (moved[0][0][0] - moved[1][0][0]) / (2 * step)
    _, gradient = case.derivative(case.variables)
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    slope = sum(np.sum(g * d) for g, d in pairs)
    size = sum(np.abs(k).sum() for k in moved[0][0][1])
    # Third derivatives are some 100 times the values and rounding is amplified by 1/step. The second
    # derivatives of kinked functions jump at correlation 1: an error of first order in the step.
    smooth = 100 * step**2 + case.rounding / step
    tolerance = 100 * step if case.arch.nonlinearity in KINKED else smooth
    assert abs(slope - difference) <= tolerance * size, (slope, difference, size)


# Symmetry and positivity


def test_kernels_are_symmetric_to_the_last_bit(case):
    for kernel in case.kernels.values():
        chex.assert_trees_all_equal(kernel, swapped(kernel))


def test_kernels_are_positive_semidefinite_to_rounding(case):
    for name, kernel in case.kernels.items():
        values = np.linalg.eigvalsh(matrix(kernel).astype(np.float64))
        # Entries are off by rounding * largest at most, and so the eigenvalues by N (or N T) as much.
        assert values[0] >= -case.rounding * len(values) * values[-1], (name, values[0], values[-1])
        assert values[-1] > 0


def test_duplicated_sequences_have_equal_rows(case):
    for name, kernel in case.kernels.items():
        assert_close(kernel[1], kernel[2], case.rounding)
        assert_close(kernel[:, 1], kernel[:, 2], case.rounding)
        if name != "infinite ntk" or "v" in case.arch.trainable:
            # The near duplicate is near, up to the slope of the network, and yet another sequence.
            apart = np.abs(kernel[0] - kernel[3]).max() / np.abs(kernel).max()
            assert 0 < apart < 0.1


# Padding, sides and order


@pytest.mark.parametrize("filler", [0.0, -3.0, 1e30, np.nan, np.inf])
def test_what_stands_in_the_padding_never_matters(case, filler):
    x = padded(filler)
    chex.assert_trees_all_equal(np.asarray(case.apply_fn(case.params, x, LENGTHS)), case.outputs)
    got = jax.tree.map(np.asarray, case.all_kernels(x, None, LENGTHS, None))
    chex.assert_trees_all_equal(got, case.kernels)


# Padding acts before the nonlinearity: one row of each readout, direction and depth.
@pytest.mark.parametrize(
    "case",
    quick(
        "erf",
        "relu-deep",
        "erf-mean",
        "erf-sequence",
        "erf-bidirectional",
        "diagonal-tanh-sequence",
        "gru-before",
    ),
    indirect=True,
)
@pytest.mark.parametrize("filler", [np.nan, np.inf])
def test_more_padding_on_another_side_of_other_size(case, filler):
    """kernel_fn(x, x) is kernel_fn(x), with N1 != N2 and T1 != T2 by rows left out and more padding."""
    longer = padded(filler, LONGER)
    got = case.all_kernels(X, longer[:3], LENGTHS, LENGTHS[:3])
    for name, kernel in got.items():
        chex.assert_shape(kernel, gram_shape(case, N, 3, T, LONGER))
        if case.sequence:
            assert not np.any(kernel[..., T:])
            kernel = kernel[..., :T]
        assert_close(kernel, case.kernels[name][:, :3], case.rounding)
    outputs = case.apply_fn(case.params, longer, LENGTHS)
    if case.sequence:
        assert not np.any(outputs[:, T:])
        outputs = outputs[:, :T]
    assert_close(outputs, case.outputs, case.rounding)


def test_unequal_lengths_equal_the_trimmed_sequences(case):
    trimmed = X[SHORT, :3]
    outputs, kernels = case.outputs[SHORT], {k: v[SHORT, SHORT] for k, v in case.kernels.items()}
    if case.sequence:
        assert not np.any(outputs[:, 3:])
        outputs = outputs[:, :3]
        for kernel in kernels.values():
            assert not np.any(kernel[:, :, 3:]) and not np.any(kernel[:, :, :, 3:])
        kernels = {k: v[:, :, :3, :3] for k, v in kernels.items()}
    assert_close(case.apply_fn(case.params, trimmed), outputs, case.rounding)
    for name, kernel in case.all_kernels(trimmed, None, None, None).items():
        assert_close(kernel, kernels[name], case.rounding * scale_of(case.kernels[name], kernels[name]))


def scale_of(whole, part):
    """Errors are in units of the largest entry of the whole kernel."""
    return np.abs(whole).max() / np.abs(part).max()


def test_each_output_is_that_of_the_trimmed_sequence_alone(case):
    for row, length in enumerate(LENGTHS):
        alone = case.apply_fn(case.params, X[row : row + 1, :length])[0]
        want = case.outputs[row, :length] if case.sequence else case.outputs[row]
        if row == 4 and not np.any(want):
            chex.assert_trees_all_equal(np.asarray(alone), want)  # zero in, zero out without a bias
        else:
            assert_close(alone, want, case.rounding)


def test_permuted_rows_permute_the_kernels(case):
    x, lengths = X[PERMUTATION], LENGTHS[PERMUTATION]
    outputs = case.apply_fn(case.params, x, lengths)
    assert_close(outputs, case.outputs[PERMUTATION], case.rounding)
    for name, kernel in case.all_kernels(x, None, lengths, None).items():
        want = case.kernels[name][PERMUTATION][:, PERMUTATION]
        assert_close(kernel, want, case.rounding)

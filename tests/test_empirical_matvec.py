"""Products with vectors and the top of the spectrum, against the dense kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import TABLE
from jax.experimental.sparse.linalg import lobpcg_standard
from marking import marked

import ntkrnn

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
EXACT = jax.lax.Precision.HIGHEST
N, T, D = 7, 5, 2
LENGTHS = np.array([4, 2, 3, 1, 5, 5, 2], np.int32)
CASES = [(name, axes) for name in TABLE for axes in ((-1,), ())]
QUICK = [("relu-bias", (-1,)), ("erf-sequence", (-1,)), ("leaky-only-w", ()), ("erf-three-outputs", ())]


def setup(arch, n=N):
    x = jax.random.normal(jax.random.key(0), (n, T, D))
    return x, ntkrnn.network(arch).init_fn(jax.random.key(2), x.shape)[1]


def dense(arch, axes, *sides):
    """The kernel as a matrix over the flattened output space of either side."""
    kernel = ntkrnn.empirical_ntk_fn(arch, axes)(*sides)
    left, right = [0], [1]
    for axis in range(2, kernel.ndim, 2):
        left.append(axis)
        right.append(axis + 1)
    rows = int(np.prod([kernel.shape[axis] for axis in left]))
    return jnp.transpose(kernel, left + right).reshape(rows, -1)


def close(got, want, size):
    """Each entry sums some hundred products, twice, through 5 steps and 3 layers."""
    assert got.shape == want.shape
    assert float(jnp.linalg.norm(got - want)) <= 100 * EPS * float(size)


@pytest.mark.parametrize(("name", "axes"), marked(CASES, QUICK))
def test_product_is_that_of_the_dense_kernel(name, axes):
    """Two sides of unequal size and length, blocks that do not divide them, one vector and two."""
    arch = TABLE[name]
    x, params = setup(arch)
    sides = (x[:3, :4], x[3:], params, np.minimum(LENGTHS[:3], 4), LENGTHS[3:])
    matrix = dense(arch, axes, *sides)
    matvec = ntkrnn.empirical_ntk_matvec(arch, axes, batch_size=2)(*sides)
    time = arch.readout == "sequence"
    channels = (arch.out_dim,) if axes == () else ()
    space1, space2 = (3, *(4,) * time, *channels), (4, *(T,) * time, *channels)
    v = jax.random.normal(jax.random.key(3), (*space2, 2))
    want = jnp.einsum("ij,jk->ik", matrix, v.reshape(-1, 2), precision=EXACT).reshape(*space1, 2)
    size = jnp.linalg.norm(matrix) * jnp.linalg.norm(v)
    close(matvec(v), want, size)
    close(matvec(v[..., 1]), want[..., 1], size)


def test_several_traced_outputs():
    arch = TABLE["erf-three-outputs"]
    x, params = setup(arch)
    matrix = dense(arch, (-1,), x, None, params)
    v = jax.random.normal(jax.random.key(3), (N,))
    for size in (3, None):
        matvec = ntkrnn.empirical_ntk_matvec(arch, batch_size=size)(x, None, params)
        close(matvec(v), matrix @ v, jnp.linalg.norm(matrix) * jnp.linalg.norm(v))


def test_product_under_jit_grad_and_lobpcg():
    arch = ntkrnn.Elman(width=16)
    x, params = setup(arch, 24)
    matrix = dense(arch, (-1,), x, None, params)

    @jax.jit
    def top(params, x, start):
        matvec = ntkrnn.empirical_ntk_matvec(arch)(x, None, params)
        return lobpcg_standard(matvec, start, m=30)[0]

    start = jax.random.normal(jax.random.key(4), (24, 2))
    want = np.linalg.eigvalsh(matrix)[::-1][:2]
    # The error of a Ritz value is second order in that of its vector: rounding is left.
    assert np.abs(top(params, x, start) - want).max() <= 100 * EPS * want[0]

    v = jax.random.normal(jax.random.key(3), (24,))
    quadratic = jax.grad(lambda v: v @ ntkrnn.empirical_ntk_matvec(arch)(x, None, params)(v))
    close(jax.jit(quadratic)(v), 2 * matrix @ v, jnp.linalg.norm(matrix) * jnp.linalg.norm(v))


@pytest.mark.parametrize("name", ["erf", "erf-sequence", "erf-three-outputs"])
def test_spectrum_is_that_of_the_dense_kernel(name):
    arch = TABLE[name]
    x, params = setup(arch)
    axes = () if arch.out_dim > 1 else (-1,)
    matrix = np.asarray(dense(arch, axes, x, None, params, LENGTHS), np.float64)
    got = ntkrnn.empirical_ntk_spectrum(arch, axes)(x, params, k=3, lengths=LENGTHS)
    want = np.linalg.eigvalsh(matrix)[::-1][:3]
    # Weyl: an eigenvalue moves by no more than the error of the matrix does.
    assert np.abs(np.asarray(got.values) - want).max() <= 100 * EPS * want[0]
    vectors = np.asarray(got.vectors).reshape(len(matrix), 3)
    assert np.abs(vectors.T @ vectors - np.eye(3)).max() <= 10 * EPS
    assert np.abs(matrix @ vectors - vectors * np.asarray(got.values)).max() <= 100 * EPS * want[0]


def test_memory_holds_no_kernel_and_no_jacobian():
    """N = 10^4 and m = 4096, as compiled: some sets of parameters and a block, where Theta alone
    would take 400 MB, the Jacobian 670 GB, and all states 1.6 GB."""
    n, t, m = 10_000, 10, 4096
    arch = ntkrnn.Elman(width=m)
    dtype = jnp.zeros(()).dtype
    params = jax.eval_shape(lambda: ntkrnn.network(arch).init_fn(jax.random.key(0), (1, 1, 3))[1])
    x, v = (jax.ShapeDtypeStruct(shape, dtype) for shape in ((n, t, 3), (n,)))
    operator_fn = ntkrnn.empirical_ntk_matvec(arch, batch_size=100)
    product = jax.jit(lambda x, params, v: operator_fn(x, None, params)(v))
    held = product.lower(x, params, v).compile().memory_analysis().temp_size_in_bytes / dtype.itemsize
    assert held < 8 * m * m + 12 * 100 * t * m + 8 * n * t * 3


BAD = [
    (lambda f, x, p: f()(x, None, p)(jnp.ones(3)), r"v: got shape \(3,\), expected \(7,\)"),
    (lambda f, x, p: f()(x, None, p)(jnp.ones((7, 2, 2))), r"v: got shape \(7, 2, 2\)"),
    (lambda f, x, p: f(batch_size=0), "batch_size: got 0"),
    (lambda f, x, p: f(0), "trace_axes: got axis 0"),
    (lambda f, x, p: f()(x, x[:, :, :1], p), "x2: got d=1"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_arguments_that_do_not_fit_are_refused(call, message):
    arch = ntkrnn.Elman(width=4)
    x, params = setup(arch)
    with pytest.raises(ValueError, match=message):
        call(lambda *a, **k: ntkrnn.empirical_ntk_matvec(arch, *a, **k), x, params)


def test_a_traced_time_axis_is_refused():
    with pytest.raises(ValueError, match=r"trace_axes.*time axis"):
        ntkrnn.empirical_ntk_matvec(ntkrnn.Elman(width=4, readout="sequence"), (1,))


def test_spectrum_refuses_what_it_cannot_do():
    arch = ntkrnn.Elman(width=4)
    x, params = setup(arch)
    spectrum_fn = ntkrnn.empirical_ntk_spectrum(arch)
    with pytest.raises(ValueError, match="k: got 7, expected fewer than the 7"):
        spectrum_fn(x, params, k=7)
    with pytest.raises(ValueError, match="k: got 0"):
        spectrum_fn(x, params, k=0)
    with pytest.raises(TypeError, match="x: got an array that is being traced"):
        jax.jit(lambda x: spectrum_fn(x, params, k=2))(x)

"""Products with the tangent kernel of a function, against the kernel itself and the architecture's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ntkrnn

X1 = jax.random.normal(jax.random.key(0), (5, 4, 3))
X2 = jax.random.normal(jax.random.key(1), (3, 4, 3))
LENGTHS1, LENGTHS2 = np.array([4, 2, 3, 1, 4]), np.array([1, 4, 2])
PARAMS = {
    "a": jax.random.normal(jax.random.key(2), (3, 6)),
    "c": jax.random.normal(jax.random.key(3), (6, 2)),
}
EPS = float(jnp.finfo(jnp.float32).eps)


def pooled(params, x):
    return jnp.tanh(x @ params["a"]).mean(1) @ params["c"]


def ragged(params, x, lengths=None):
    h = jnp.cumsum(jnp.tanh(x @ params["a"]), axis=1)
    if lengths is None:
        return h[:, -1] @ params["c"]
    return jnp.take_along_axis(h, lengths[:, None, None] - 1, axis=1)[:, 0] @ params["c"]


def in_time(params, x, lengths=None):
    del lengths
    return jnp.cumsum(jnp.tanh(x @ params["a"]), axis=1) @ params["c"]


def jacobian(fn, x, lengths):
    """``[N, (T,) O, P]``, for each sequence by itself."""
    outputs = []
    for k in range(len(x)):
        options = {} if lengths is None else {"lengths": lengths[k : k + 1]}
        of = jax.jacrev(lambda p, k=k, options=options: fn(p, x[k : k + 1], **options)[0])(PARAMS)
        parts = [np.asarray(a, np.float64) for a in jax.tree.leaves(of)]
        rank = parts[0].ndim - 2
        flat = np.concatenate([a.reshape(*a.shape[:rank], -1) for a in parts], axis=-1)
        if lengths is not None and flat.ndim == 3:
            flat[lengths[k] :] = 0
        outputs.append(flat)
    return np.stack(outputs)


CASES = [
    (pooled, None, None),
    (ragged, None, None),
    (ragged, LENGTHS1, LENGTHS2),
    (in_time, LENGTHS1, LENGTHS2),
]


@pytest.mark.parametrize(("fn", "lengths1", "lengths2"), CASES)
@pytest.mark.parametrize("trace_axes", [(-1,), ()])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_products_are_those_of_the_jacobians(fn, lengths1, lengths2, trace_axes, batch_size):
    one, two = jacobian(fn, X1, lengths1), jacobian(fn, X2, lengths2)
    operator_fn = ntkrnn.empirical_ntk_matvec(fn, trace_axes, batch_size=batch_size)
    matvec = operator_fn(X1, X2, PARAMS, lengths1, lengths2)
    space = two.shape[:-1] if trace_axes == () else two.shape[:-2]
    v = np.random.default_rng(4).standard_normal(space).astype(np.float32)
    if trace_axes == ():
        flat = two.reshape(-1, two.shape[-1])
        want = (one.reshape(-1, one.shape[-1]) @ (flat.T @ v.ravel())).reshape(one.shape[:-1])
    else:
        outputs = range(one.shape[-2])
        direction = [np.tensordot(v, two[..., o, :], v.ndim) for o in outputs]
        want = np.mean([one[..., o, :] @ direction[o] for o in outputs], axis=0)
    got = matvec(v)
    # Sums of some 30 parameters, 12 outputs and a few steps, of rounded numbers.
    np.testing.assert_allclose(got, want, atol=100 * EPS * np.abs(want).max())
    both = matvec(np.stack([v, 2 * v], axis=-1))
    np.testing.assert_allclose(both[..., 1], 2 * got, atol=10 * EPS * np.abs(want).max())


def test_a_network_as_a_function_has_the_products_of_its_architecture():
    arch = ntkrnn.GRU(width=16, depth=2)
    init_fn, apply_fn, _ = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(5), X1.shape)
    v = np.arange(5.0, dtype=np.float32)
    want = ntkrnn.empirical_ntk_matvec(arch)(X1, None, params, LENGTHS1)(v)
    got = ntkrnn.empirical_ntk_matvec(apply_fn)(X1, None, params, LENGTHS1)(v)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="lengths1: got lengths, but apply_fn takes none"):
        ntkrnn.empirical_ntk_matvec(pooled)(X1, None, PARAMS, LENGTHS1)
    with pytest.raises(ValueError, match=r"trace_axes: got \(1, -1\), which holds the time axis"):
        ntkrnn.empirical_ntk_matvec(in_time, (1, -1))(X1, None, PARAMS)
    with pytest.raises(ValueError, match=r"v: got shape \(4,\), expected \(3,\)"):
        ntkrnn.empirical_ntk_matvec(pooled)(X1, X2, PARAMS)(np.ones(4, np.float32))
    with pytest.raises(ValueError, match="apply_fn: got an output of shape"):
        ntkrnn.empirical_ntk_matvec(lambda p, x: x.sum())(X1, None, PARAMS)

"""Every function of a network gives the same under the caller's own jit as without it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

import ntkrnn

EPS = float(jnp.finfo(jnp.zeros(()).dtype).eps)
ARCH = ntkrnn.Elman(width=8, nonlinearity="relu", b_std=0.2, readout="mean", out_dim=2)
INIT, APPLY, KERNEL = ntkrnn.network(ARCH)
X = jax.random.normal(jax.random.key(0), (3, 4, 2))
LENGTHS = jnp.array([4, 1, 3])
PARAMS = INIT(jax.random.key(1), X.shape)[1]
EXPANDED = ntkrnn.network(ntkrnn.Elman(nonlinearity="tanh"))
FUNCTIONS = {
    "apply": lambda x, n: APPLY(PARAMS, x, n),
    "infinite": lambda x, n: KERNEL(x, None, "ntk", n),
    "infinite_expanded": lambda x, n: EXPANDED.kernel_fn(x, None, "ntk", n),
    "only_lengths_traced": lambda x, n: EXPANDED.kernel_fn(X, None, "ntk", n),
    "empirical_ntk": lambda x, n: ntkrnn.empirical_ntk_fn(ARCH)(x, None, PARAMS, n),
    "empirical_nngp": lambda x, n: ntkrnn.empirical_nngp_fn(ARCH)(x, None, PARAMS, n),
}


class Variants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.named_parameters((name, name) for name in FUNCTIONS)
    def test_same_with_and_without_jit(self, name):
        # Without: checked inputs, our own compiled function. With: traced inputs, inlined into the
        # caller's program, lengths included.
        got = self.variant(FUNCTIONS[name])(X, LENGTHS)
        want = FUNCTIONS[name](X, LENGTHS)
        chex.assert_equal_shape([got, want])
        chex.assert_trees_all_close(got, want, atol=100 * EPS * float(np.abs(want).max()))

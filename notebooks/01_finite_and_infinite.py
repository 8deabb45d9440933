# %% [markdown]
# # Finite and infinite width
#
# The kernel of one wide network, the kernel of infinitely many hidden units, and what is between.

# %%
import jax
import jax.numpy as jnp
import numpy as np

import ntkrnn
from ntkrnn.data import load

data = load("digits", n=24)
x = jnp.asarray(data.x)
print(data.describe())

# %% [markdown]
# ## The limit
#
# An architecture is data. Its infinite-width kernels do not depend on `width`.

# %%
arch = ntkrnn.Elman(width=256, nonlinearity="erf", w_std=1.2, readout="mean")
_, _, kernel_fn = ntkrnn.network(arch)
limit = kernel_fn(x)
print("NTK", limit.ntk.shape, "largest eigenvalue", float(jnp.linalg.eigvalsh(limit.ntk)[-1]))

# %% [markdown]
# ## One network at a time
#
# Each network has a tangent kernel of its own; their relative distance to the limit shrinks like 1/√m.


# %%
def distance(width: int, seed: int) -> float:
    """Relative Frobenius distance of one network's tangent kernel to the limit."""
    wide = ntkrnn.Elman(width=width, nonlinearity="erf", w_std=1.2, readout="mean")
    _, params = ntkrnn.network(wide).init_fn(jax.random.key(seed), x.shape)
    finite = ntkrnn.empirical_ntk_fn(wide)(x, None, params)
    return float(jnp.linalg.norm(finite - limit.ntk) / jnp.linalg.norm(limit.ntk))


widths = [64, 256, 1024]
means = [np.mean([distance(width, seed) for seed in range(6)]) for width in widths]
slope = np.polyfit(np.log(widths), np.log(means), 1)[0]
print(dict(zip(widths, np.round(means, 3).tolist(), strict=True)), "slope", round(float(slope), 2))
assert slope < -0.25

# %% [markdown]
# ## Sensitivity to the past
#
# Kernels can be differentiated with respect to their inputs: how much does each step matter to the
# similarity of two sequences? The critical relu looks furthest back.

# %%
sequences = jax.random.normal(jax.random.key(3), (2, 24, 2))


def weight_of_the_past(w_std: float) -> float:
    """How much the first six steps move the kernel, relative to the last six."""
    relu = ntkrnn.Elman(nonlinearity="relu", w_std=w_std, b_std=0.1)
    _, _, kernel_fn = ntkrnn.network(relu)
    slope = jax.grad(lambda a: kernel_fn(a, sequences[1:], "ntk")[0, 0])(sequences[:1])
    by_step = jnp.linalg.norm(slope[0], axis=-1)
    return float(by_step[:6].mean() / by_step[-6:].mean())


for w_std in (0.7, 2**0.5):
    print(f"w_std = {w_std:.2f}: early steps weigh {weight_of_the_past(w_std):.1e} of late ones")

# %% [markdown]
# # Infinite-width kernels of LSTM and GRU
#
# No recursion for second moments closes for a cell with gates: a forget gate multiplies a carry
# that has a whole past. In the limit of infinite width, however, all neurons are independent copies
# of one random neuron, whose law random networks sample, forwards and backwards. `kernel_fn` of
# `ntkrnn.LSTM`, `ntkrnn.GRU` and `ntkrnn.MinimalGRU` averages over such networks, and states a
# standard error for every entry. The derivation is in `docs/gated-kernels.md`.
#
# `NTKRNN_SMALL=1` in the environment makes everything smaller and runs in seconds.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import ntkrnn
from ntkrnn.data import load

SMALL = os.environ.get("NTKRNN_SMALL") == "1"

# %% [markdown]
# ## A kernel with its errors
#
# Eight digits, read as sequences of eight rows of eight pixels.

# %%
digits = load("digits", n=8, standardize="global")
x = jnp.asarray(digits.x, jnp.result_type(float))
lstm = ntkrnn.LSTM(b_std=0.1)
kernels = ntkrnn.network(lstm).kernel_fn(x)
print("digits", digits.labels)
print(np.round(kernels.ntk, 3))
print(f"largest standard error {float(kernels.ntk_error.max()):.1e}")
assert float(kernels.ntk_error.max()) < 0.05 * float(kernels.ntk.max())

# %% [markdown]
# ## Two routes to the same number
#
# The same engine takes any cell. For an Elman network there is a closed form to hold it against,
# and for a leaky one too. The differences, in units of the errors, should look like draws from
# Student's law.

# %%
for arch in (ntkrnn.Elman(w_std=1.2, b_std=0.1), ntkrnn.Leaky(w_std=1.2, b_std=0.1, rate=0.4)):
    exact = ntkrnn.network(arch).kernel_fn(x)
    sampled = ntkrnn.network(arch, ntkrnn.Sampling(replicates=16)).kernel_fn(x)
    scores = np.asarray((sampled.ntk - exact.ntk) / sampled.ntk_error)
    relative = float(jnp.linalg.norm(sampled.ntk - exact.ntk) / jnp.linalg.norm(exact.ntk))
    print(f"{arch.title}: off by {relative:.2%}, largest score {np.abs(scores).max():.1f}")
    assert np.abs(scores).max() < 8

# %% [markdown]
# ## Finite networks
#
# The empirical kernels of finite networks fluctuate about the limit as one over the root of the
# width.

# %%
widths, seeds = ((64, 256), 4) if SMALL else ((64, 128, 256, 512, 1024), 12)
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for arch in (lstm, ntkrnn.GRU(b_std=0.1)):
    limit = ntkrnn.network(arch).kernel_fn(x, replicates=8 if SMALL else 32)
    size, errors = float(jnp.linalg.norm(limit.ntk)), []
    for width in widths:
        wide = dataclasses.replace(arch, width=width)
        init_fn, ntk_fn = ntkrnn.network(wide).init_fn, ntkrnn.empirical_ntk_fn(wide)
        drawn = [init_fn(jax.random.key(seed), x.shape)[1] for seed in range(seeds)]
        errors.append([float(jnp.linalg.norm(ntk_fn(x, None, p) - limit.ntk)) / size for p in drawn])
    mean, spread = np.mean(errors, 1), np.std(errors, 1, ddof=1)
    slope = np.polyfit(np.log(widths), np.log(mean), 1)[0]
    own = float(jnp.linalg.norm(limit.ntk_error)) / size
    print(f"{arch.kind}: {np.round(mean, 3)}, slope {slope:.2f}; the limit is known to {own:.2%}")
    line = axes.errorbar(widths, mean, spread, fmt="o-", capsize=3, label=arch.kind)
    axes.axhline(own, linestyle=":", color=line[0].get_color())
    assert mean[-1] < mean[0]
axes.set(xscale="log", yscale="log", xlabel="width m", ylabel="relative error of the NTK")
axes.set_xticks(widths, [str(width) for width in widths])
axes.minorticks_off()
axes.set_title("Finite networks, and the standard error of the limit (dotted)")
axes.legend()

# %% [markdown]
# ## What a forget gate remembers
#
# Take a sequence, change its input at one step only, and see how far the kernel moves them apart,
# `1 - K(x, x') / sqrt(K(x, x) K(x', x'))`, against the lag of the change, averaged over some
# sequences. All copies pass the same networks, so that small distances are well resolved. The
# larger the bias of the forget gate, the slower the past fades.

# %%
steps, repeats = (8, 4) if SMALL else (16, 3)
rng = np.random.default_rng(1)
base = rng.normal(size=(repeats, steps, 2))
copies = np.repeat(base[:, None], steps + 1, axis=1)
for t in range(steps):
    copies[:, 1 + t, t] = rng.normal(size=(repeats, 2))
copies = jnp.asarray(copies.reshape(-1, steps, 2), x.dtype)
lag = steps - 1 - np.arange(steps)
figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
rates = []
for bias in (0.0, 1.0, 2.0):
    arch = ntkrnn.LSTM(w_std=0.5, b_mean=(0.0, bias, 0.0, 0.0))
    kernel = np.asarray(ntkrnn.network(arch).kernel_fn(copies, get="nngp", replicates=4), float)
    spread = np.sqrt(np.diagonal(kernel))
    apart = (1 - kernel / np.outer(spread, spread)).reshape(repeats, steps + 1, repeats, steps + 1)
    distance = np.mean([apart[k, 0, k, 1:] for k in range(repeats)], axis=0)
    axes.semilogy(lag, distance, "o-", markersize=4, label=f"forget bias {bias:g}")
    rates.append(-np.polyfit(lag, np.log(distance), 1)[0])
print("decay of the distance for each step of lag:", np.round(rates, 2))
assert rates[0] > rates[1] > rates[2]
axes.set(xlabel="lag of the changed input", ylabel="distance of the kernels' directions")
axes.set_title("Memory of an infinitely wide LSTM at the start")
axes.legend()

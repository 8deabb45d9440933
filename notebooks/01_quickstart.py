# %% [markdown]
# # Quickstart
#
# Kernels of recurrent networks on real sequences: of infinitely wide networks, of finite ones, and
# of a flax module. You know what an NNGP kernel and a neural tangent kernel (NTK) are; this shows
# how to get them here, and what to do with them.
#
# `NTKRNN_SMALL=1` in the environment makes everything smaller and runs in seconds.

# %%
import dataclasses
import json
import os

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import ntkrnn
from ntkrnn import dynamics

SMALL = os.environ.get("NTKRNN_SMALL") == "1"

# %% [markdown]
# ## Data
#
# Sequences are `[N, T, d]`: N sequences, T steps, d channels. scikit-learn's digits are images of 8
# by 8 pixels; read from top to bottom they are sequences of 8 rows with 8 channels.

# %%
n_train, n_test = (100, 100) if SMALL else (400, 400)
data = ntkrnn.data.load("digits", n=n_train + n_test)
x, x_test = jnp.asarray(data.x[:n_train]), jnp.asarray(data.x[n_train:])
labels, labels_test = data.labels[:n_train], data.labels[n_train:]
print(data.describe())

# %% [markdown]
# ## An architecture is data
#
# `Elman` is a frozen dataclass of plain values:
#
#     h_t = (w_std/√m) W s_{t-1} + (u_std/√d) U x_t + b_std b,     s_t = φ(h_t),     s_0 = 0
#     y   = (v_std/√m) V r
#
# with all raw weights drawn from N(0, 1), and r the last state or the mean of all of them. To
# change one thing use `dataclasses.replace`; to keep an architecture write it to JSON.

# %%
arch = ntkrnn.Elman(width=512, nonlinearity="erf", w_std=1.2, b_std=0.1, readout="last")
text = json.dumps(dataclasses.asdict(arch))
print(text)
assert ntkrnn.Elman(**json.loads(text)) == arch

# %% [markdown]
# ## Three functions of it
#
# `network(arch)` is the triple of neural-tangents: `init_fn` draws parameters, `apply_fn` runs the
# network of the given width, and `kernel_fn` computes the kernels of infinite width. All are pure
# and work under `jit`, `grad` and `vmap`.

# %%
init_fn, apply_fn, kernel_fn = ntkrnn.network(arch)
output_shape, params = init_fn(jax.random.key(0), x.shape)
print("parameters", jax.tree.map(jnp.shape, params))
print("outputs   ", apply_fn(params, x).shape)

kernels = kernel_fn(x)
print("kernels   ", {name: kernel.shape for name, kernel in kernels._asdict().items()})
assert apply_fn(params, x).shape == output_shape == (n_train, 1)
assert bool(jnp.all(kernels.ntk == kernels.ntk.T))

# %% [markdown]
# The width appears in the parameters and nowhere in the kernels: `kernel_fn` of any other width
# returns the same numbers. It returns both kernels; `get="ntk"` returns one array.

# %%
narrow = dataclasses.replace(arch, width=3)
assert bool(jnp.all(ntkrnn.network(narrow).kernel_fn(x, get="ntk") == kernels.ntk))

# %% [markdown]
# ## Sequences of unequal lengths
#
# Pad them at the end to one T, and say with `lengths` how many leading steps of each are valid.
# What stands in the padding never matters, not even NaN.

# %%
few = x[:4]
lengths = jnp.array([8, 5, 8, 3])
inside = jnp.arange(8)[None, :, None] < lengths[:, None, None]
padded = jnp.where(inside, few, jnp.nan)

with_lengths = kernel_fn(padded, lengths1=lengths).ntk
cut = kernel_fn(few[1:2, :5], few[3:4, :3]).ntk  # the same two sequences, without any padding
print("with lengths", float(with_lengths[1, 3]), "  cut by hand", float(cut[0, 0]))
np.testing.assert_allclose(with_lengths[1, 3], cut[0, 0], rtol=1e-5)
np.testing.assert_allclose(
    apply_fn(params, padded, lengths)[1], apply_fn(params, few[1:2, :5])[0], rtol=1e-4, atol=1e-5
)

# %% [markdown]
# To be seen: two sequences of 5 and 3 steps have the same kernel in a padded batch and by
# themselves.
#
# ## Kernels of the digits
#
# Shown as correlations, `K_ij/√(K_ii K_jj)`, with the sequences sorted by label. A kernel never
# sees a label.


# %%
def correlation(kernel):
    """Scale a kernel to a diagonal of 1."""
    scale = np.sqrt(np.diag(kernel))
    return np.asarray(kernel) / scale[:, None] / scale[None, :]


shown = np.argsort(labels[:100], kind="stable")
edges = np.flatnonzero(np.diff(labels[:100][shown])) + 0.5
middles = [np.flatnonzero(labels[:100][shown] == digit).mean() for digit in range(10)]
same = labels[:, None] == labels[None, :]
others = ~np.eye(n_train, dtype=bool)

figure, both = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
for axes, (name, kernel) in zip(both, kernels._asdict().items(), strict=True):
    matrix = correlation(kernel)
    image = axes.imshow(matrix[np.ix_(shown, shown)], vmin=0, vmax=1)
    for edge in edges:
        axes.axhline(edge, color="white", linewidth=0.4)
        axes.axvline(edge, color="white", linewidth=0.4)
    axes.set(title=name.upper(), xlabel="sequence, by digit", xticks=middles, xticklabels=range(10))
    axes.set(yticks=middles, yticklabels=range(10))
    within, between = matrix[same & others].mean(), matrix[~same].mean()
    print(f"{name}: mean correlation {within:.2f} within a digit, {between:.2f} between digits")
    assert within > between + 0.1
both[0].set_ylabel("sequence, by digit")
figure.colorbar(image, ax=both, label="correlation")
figure.suptitle(f"Infinite-width kernels of {len(shown)} digits")

# %% [markdown]
# To be seen: bright squares on the diagonal. Sequences of one digit are more alike than sequences
# of different digits, for both kernels.
#
# ## Regression with a kernel
#
# Training an infinitely wide network on the squared loss by gradient flow is linear in its outputs,
# so that `dynamics.gradient_flow` has them in closed form, for every time at once, infinity
# included. Here the network starts from the mean of its prior, 0, and ends in kernel regression.
# The targets are +1 for the right digit and -1 for the others; the predicted digit is that of the
# largest output.

# %%
y, y_test = (2.0 * np.eye(10)[digits] - 1 for digits in (labels, labels_test))
cross = kernel_fn(x_test, x)
times = np.r_[np.geomspace(1e-2, 1e6, 60), np.inf]
flow = dynamics.gradient_flow(
    kernels.ntk,
    np.zeros_like(y),
    y,
    times,
    ntk_test=cross.ntk,
    f0_test=np.zeros_like(y_test),
)


def accuracy(outputs, digits):
    """The share of sequences whose largest output is the right one."""
    return (outputs.argmax(axis=-1) == digits).mean(axis=-1)


train_curve, test_curve = accuracy(flow.outputs, labels), accuracy(flow.test_outputs, labels_test)
print(f"NTK, infinite time: train {train_curve[-1]:.3f}, test {test_curve[-1]:.3f}")
assert train_curve[-1] == 1.0 and test_curve[-1] > 0.75

figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
axes.semilogx(times[:-1], train_curve[:-1], label="training sequences")
axes.semilogx(times[:-1], test_curve[:-1], label="test sequences")
axes.axhline(test_curve[-1], color="0.5", linestyle="--", label="test, infinite time")
axes.axhline(0.1, color="0.5", linestyle=":", label="chance")
axes.set(xlabel="time of gradient flow", ylabel="accuracy", ylim=(0, 1.03))
axes.set_title(f"An infinitely wide network learns {n_train} digits")
axes.legend()

# %% [markdown]
# To be seen: from the first moment on most outputs point to the right digit, because what moves an
# output first is its kernel with all training sequences, a vote of similar ones. In the end all
# training sequences are fitted and most test sequences are right, with no sign of overfitting.
#
# With the readout alone trained, the network is a Gaussian process with the NNGP kernel, and its
# posterior has a mean and a spread. (`dynamics.trained_ensemble` gives both when everything is
# trained.)

# %%
posterior = dynamics.nngp_posterior(
    kernels.nngp, y, cross.nngp, kernel_fn(x_test, get="nngp"), noise=1e-3
)
right = posterior.mean.argmax(axis=-1) == labels_test
spread = np.sqrt(np.diag(posterior.covariance))
print(f"NNGP: test {right.mean():.3f}")
print(f"mean posterior spread: {spread[right].mean():.3f} where it is right,", end=" ")
print(f"{spread[~right].mean():.3f} where it is wrong")
assert right.mean() > 0.75 and spread[~right].mean() > spread[right].mean()

# %% [markdown]
# To be seen: an accuracy like that of the NTK, and a spread that is larger where the prediction is
# wrong.
#
# ## The kernel of one finite network
#
# `empirical_ntk_fn(arch)` is the exact tangent kernel at given parameters, the sum of `⟨∂y/∂θ,
# ∂y'/∂θ⟩` over all of them. The Jacobian, here 512·512 numbers and more for each sequence, is never
# formed.

# %%
ntk_fn = ntkrnn.empirical_ntk_fn(arch)
finite = ntk_fn(x, None, params)
finite_cross = ntk_fn(x_test, x, params)
distance = float(jnp.linalg.norm(finite - kernels.ntk) / jnp.linalg.norm(kernels.ntk))
end = dynamics.gradient_flow(
    finite,
    np.zeros_like(y),
    y,
    np.inf,
    ntk_test=finite_cross,
    f0_test=np.zeros_like(y_test),
)
finite_accuracy = accuracy(end.test_outputs[0], labels_test)
print(f"width {arch.width}: relative distance to the limit {distance:.3f} (Frobenius norm)")
print(f"test accuracy with the kernel of this network: {finite_accuracy:.3f}")
assert distance < 0.3 and finite_accuracy > 0.75

# %% [markdown]
# To be seen: one network of width 512 is within some percent of the limit, and its kernel predicts
# about as well. How the distance shrinks with the width is the subject of `02_width_convergence`.
#
# Which blocks of parameters the tangent kernel sums over is a part of the architecture. With the
# readout V alone it is the NNGP kernel, exactly:

# %%
only_v = dataclasses.replace(arch, trainable=("v",))
assert bool(jnp.all(ntkrnn.network(only_v).kernel_fn(x).ntk == kernels.nngp))
np.testing.assert_allclose(
    ntkrnn.empirical_ntk_fn(only_v)(x[:8], None, params),
    ntkrnn.empirical_nngp_fn(arch)(x[:8], None, params),
    rtol=1e-5,
)

# %% [markdown]
# ## The kernel of a flax module
#
# Infinite-width kernels exist for Elman networks. At finite width, any module will do:
# `ntkrnn.flax.apply_fn_from_module` makes a function `apply_fn(params, x)` of it, and
# `empirical_ntk_fn` takes such functions. Here is an LSTM; no line below depends on what is in the
# module.


# %%
class Model(nn.Module):
    """An LSTM and a linear readout."""

    @nn.compact
    def __call__(self, x):
        """Outputs at every step, [N, T, 1]."""
        return nn.Dense(1)(nn.RNN(nn.OptimizedLSTMCell(32 if SMALL else 64))(x))


model = Model()
lstm_params = model.init(jax.random.key(2), x)["params"]
lstm = ntkrnn.flax.apply_fn_from_module(model, readout="last")
lstm_ntk_fn = ntkrnn.empirical_ntk_fn(lstm)
lstm_kernel = lstm_ntk_fn(x, None, lstm_params)
lstm_cross = lstm_ntk_fn(x_test, x, lstm_params)
end = dynamics.gradient_flow(
    lstm_kernel,
    np.zeros_like(y),
    y,
    np.inf,
    ntk_test=lstm_cross,
    f0_test=np.zeros_like(y_test),
)
lstm_accuracy = accuracy(end.test_outputs[0], labels_test)
print(f"kernel {lstm_kernel.shape}, test accuracy with the kernel of the LSTM: {lstm_accuracy:.3f}")
assert bool(jnp.all(lstm_kernel == lstm_kernel.T)) and lstm_accuracy > 0.6

# %% [markdown]
# To be seen: a kernel at its random start says, without any training, how an LSTM of this size
# would do if its training were linear. `docs/flax.md` has more: nnx modules, lengths, parts of the
# parameters.

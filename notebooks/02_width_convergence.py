# %% [markdown]
# # From finite to infinite width
#
# The kernels of a finite network are random, because its parameters are. As the width m grows they
# settle at a limit. This measures how fast: the kernels of many networks of several widths, each
# against the limit, and a slope with an interval.
#
# `NTKRNN_SMALL=1` in the environment makes everything smaller and runs in seconds.

# %%
import dataclasses
import functools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import ntkrnn
from ntkrnn.report import loglog_slope

SMALL = os.environ.get("NTKRNN_SMALL") == "1"
widths = np.array([32, 256] if SMALL else [64, 128, 256, 512, 1024, 2048])
seeds = 8 if SMALL else 12

data = ntkrnn.data.load("digits", n=24 if SMALL else 48)
x = jnp.asarray(data.x)
print(data.describe())

# %% [markdown]
# ## One network and the limit
#
# The same kernels at two widths and in the limit. The sequences are sorted by digit.

# %%
arch = ntkrnn.Elman(nonlinearity="erf", w_std=1.2, b_std=0.1, readout="last")
limit = ntkrnn.network(arch).kernel_fn(x)


def finite_kernels(arch, key):
    """The NNGP kernel and the NTK of one random network."""
    _, params = ntkrnn.network(arch).init_fn(key, x.shape)
    nngp = ntkrnn.empirical_nngp_fn(arch)(x, None, params)
    return ntkrnn.Kernels(nngp, ntkrnn.empirical_ntk_fn(arch)(x, None, params))


def at_width(arch, width):
    """The same architecture, that wide."""
    return dataclasses.replace(arch, width=int(width))


narrow, wide = (finite_kernels(at_width(arch, width), jax.random.key(0)) for width in widths[[0, -1]])
order = np.argsort(data.labels, kind="stable")
titles = ("infinite width", f"width {widths[-1]}", f"width {widths[0]}")
figure, grid = plt.subplots(2, 3, figsize=(10, 6.8), layout="constrained")
for row, name in zip(grid, ("nngp", "ntk"), strict=True):
    shown = [np.asarray(getattr(kernels, name)) for kernels in (limit, wide, narrow)]
    low, high = min(map(np.min, shown)), max(map(np.max, shown))
    for axes, kernel, title in zip(row, shown, titles, strict=True):
        image = axes.imshow(kernel[np.ix_(order, order)], vmin=low, vmax=high)
        axes.set(title=f"{name.upper()}, {title}", xticks=[], yticks=[])
        axes.set(xlabel="sequence, by digit", ylabel="sequence, by digit")
    figure.colorbar(image, ax=row, label=f"{name.upper()}, one scale")
figure.suptitle("Kernels of one network approach the limit")

# %% [markdown]
# To be seen: the wide network's kernels look like the limit; the narrow network's have the same
# pattern, with errors that a whole row or column shares.
#
# ## Error against width
#
# The error of one network is `‖K_m - K‖_F/‖K‖_F`. Kernels are averages over m hidden units which
# are nearly independent, so that it should shrink like 1/√m: a slope of -1/2 on logarithmic axes.
#
# `ntkrnn compare` does this, with files and figures, for any data; here it is by hand.


# %%
def error(kernel, limit):
    """Relative distance to the limit, in the Frobenius norm."""
    return jnp.linalg.norm(kernel - limit) / jnp.linalg.norm(limit)


def errors_of(arch):
    """Errors of the NNGP kernel and of the NTK, [widths, seeds] each."""
    limit = ntkrnn.network(arch).kernel_fn(x)
    found = np.empty((2, len(widths), seeds))
    for i, width in enumerate(widths):
        draw = jax.jit(functools.partial(finite_kernels, at_width(arch, width)))
        for s in range(seeds):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), width), s)
            found[:, i, s] = [error(a, b) for a, b in zip(draw(key), limit, strict=True)]
    return dict(zip(("NNGP", "NTK"), found, strict=True))


def show(name, fit):
    """One line about a slope."""
    low, high = fit.interval
    print(f"{name}: slope {fit.slope:.3f}, 95% interval ({low:.3f}, {high:.3f}), predicted -0.5")


errors = {
    readout: errors_of(dataclasses.replace(arch, readout=readout)) for readout in ("last", "mean")
}
fits = {}
for readout, by_kernel in errors.items():
    for name, values in by_kernel.items():
        fits[readout, name] = fit = loglog_slope(widths, values)
        show(f"readout {readout}, {name}", fit)
        # Four intervals that are to hold together with 95%: each one at 1 - 0.05/4.
        joint = loglog_slope(widths, values, confidence=1 - 0.05 / 4)
        assert joint.interval[0] < -0.5 < joint.interval[1] < 0, joint


# %%
def plain_ticks(axes):
    """Name round numbers on the vertical axis."""
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


colours = {"NNGP": "tab:blue", "NTK": "tab:orange"}
figure, both = plt.subplots(1, 2, figsize=(10.5, 4.6), layout="constrained", sharey=True)
for axes, (readout, by_kernel) in zip(both, errors.items(), strict=True):
    for name, values in by_kernel.items():
        fit = fits[readout, name]
        axes.loglog(widths, values, ".", color=colours[name], alpha=0.35)
        axes.loglog(widths, values.mean(axis=1), "o", color=colours[name])
        label = f"{name}: slope {fit.slope:.2f} ({fit.interval[0]:.2f}, {fit.interval[1]:.2f})"
        axes.loglog(widths, fit.error(widths), "-", color=colours[name], label=label)
    guide = 0.7 * by_kernel["NTK"].mean(axis=1)[0] * (widths / widths[0]) ** -0.5
    axes.loglog(widths, guide, "--", color="0.5", label="slope -0.5")
    axes.set(title=f'readout "{readout}"', xlabel="width m", xticks=widths, xticklabels=widths)
    plain_ticks(axes)
    axes.legend(loc="lower left")
both[0].set_ylabel("relative error of the kernel")
figure.suptitle("Finite-width kernels against their limit (dot: one network, marker: mean, line: fit)")

# %% [markdown]
# To be seen: straight lines of slope about -1/2, for both kernels and both readouts. With the
# readout "mean" the network averages its states over time, which changes the height of the lines,
# not their slope.
#
# ## What the interval means
#
# `loglog_slope` fits a line to the logarithm of the mean error over seeds. Other seeds would give
# another slope; the interval says how different. It is a bootstrap: networks are drawn again, with
# replacement, from those that there are, at each width by itself, and the line is fitted anew, 2000
# times; the interval holds the middle of those slopes, 95% of them and a little more, because few
# seeds resampled vary too little.
#
# Whether "95%" is true can be tried: invent experiments whose true slope is known to be -1/2, with
# as many widths and seeds, and errors that spread about as much as ours. Count how often the
# interval has -1/2 in it.

# %%
measured = errors["last"]["NTK"]
relative_spread = float(np.mean(measured.std(axis=1, ddof=1) / measured.mean(axis=1)))
rng = np.random.default_rng(0)
shape = relative_spread**-2  # of a gamma distribution with mean 1 and this spread
trials = 300
covered = 0
for trial in range(trials):
    invented = widths[:, None] ** -0.5 * rng.gamma(shape, 1 / shape, (len(widths), seeds))
    low, high = loglog_slope(widths, invented, resamples=500, seed=trial).interval
    covered += low <= -0.5 <= high
print(f"errors spread by {100 * relative_spread:.0f}% between networks of one width")
print(f"the interval has the true slope in it in {100 * covered / trials:.0f}% of {trials} experiments")
assert covered / trials > 0.85

# %% [markdown]
# To be seen: close to 95%. So an honest interval misses now and then, and of several, as above, one
# may. The interval knows nothing of narrow networks whose error is not yet a power of the width: if
# the narrowest widths bend the line, leave them out.
#
# ## Sensitivity to the past
#
# The limit does not only say how similar two sequences are; it can be differentiated. `∂K(x,
# x')/∂x_t` says how much step t of one sequence matters to its similarity with another. The
# sequences are three digits one after the other, 24 steps; the nonlinearity is relu, and `w_std`
# decides how much of the past comes through. Scales may be traced, so that one compiled function
# serves all three.

# %%
pairs = 4 if SMALL else 8
sequences = x.reshape(2, pairs, 24, 8)


@jax.jit
def sensitivity(w_std):
    """Norm of the derivative of the NTK by each step, [24], relative to the last step."""
    relu = ntkrnn.Elman(nonlinearity="relu", w_std=w_std, b_std=0.1)
    kernel_fn = ntkrnn.network(relu).kernel_fn
    first, second = sequences
    # The trace pairs the i-th sequence with the i-th.
    slope = jax.grad(lambda a: jnp.trace(kernel_fn(a, second, "ntk")))(first)
    by_step = jnp.linalg.norm(slope, axis=-1).mean(axis=0)
    return by_step / by_step[-1]


figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
early = {}
for w_std, label in ((0.7, "0.7"), (1.0, "1"), (2**0.5, "√2 (critical)")):
    by_step = np.asarray(sensitivity(w_std))
    early[w_std] = by_step[:8].mean() / by_step[-8:].mean()
    print(f"w_std = {w_std:.2f}: the first digit weighs {early[w_std]:.1e} of the last")
    axes.semilogy(np.arange(1, 25), by_step, ".-", label=f"w_std = {label}")
for edge in (8.5, 16.5):
    axes.axvline(edge, color="0.8", linewidth=0.8)
axes.set(
    xlabel="step t (lines part the three digits)", ylabel="‖∂ NTK/∂x_t‖, relative to the last step"
)
axes.set_title("How much each step matters to the kernel (relu, readout last)")
axes.legend()
assert early[0.7] < 1e-3 < early[2**0.5]
assert early[0.7] < early[1.0] < early[2**0.5]

# %% [markdown]
# To be seen: below the critical scale the past is forgotten at a constant rate a step, a straight
# line on this axis; at `w_std = √2` the first digit still counts.

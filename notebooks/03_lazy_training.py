# %% [markdown]
# # Lazy training
#
# A wide network moves so little while it is trained that it stays close to its linearisation, whose
# training is a matter of its tangent kernel alone. This trains recurrent networks, follows them
# with kernels, measures how the difference shrinks with the width, and ends with a case where it
# does not work.
#
# `NTKRNN_SMALL=1` in the environment makes everything smaller and runs in seconds.

# %%
import dataclasses
import functools
import os
import warnings

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import ntkrnn
from ntkrnn import dynamics
from ntkrnn.report import loglog_slope

SMALL = os.environ.get("NTKRNN_SMALL") == "1"

# %% [markdown]
# Half of 128 digits are trained on. The target is +1 for the digits 0 to 4, and -1 for 5 to 9.

# %%
data = ntkrnn.data.load("digits", n=128)
x, x_test = jnp.asarray(data.x[:64]), jnp.asarray(data.x[64:])
y, y_test = np.split(np.where(data.labels < 5, 1.0, -1.0), 2)
base = ntkrnn.Elman(nonlinearity="erf", w_std=1.2, b_std=0.1, readout="last")
kernel_fn = ntkrnn.network(base).kernel_fn
limit = kernel_fn(x)
print(data.describe())

# %% [markdown]
# ## How large a step
#
# The linearised network diverges in full-batch descent beyond `2N/λ_max` of its kernel, which is
# `largest_stable_step`. With mini-batches, `2/max K_ii` is small enough for any of them. Half of
# that:

# %%
largest = dynamics.largest_stable_step(limit.ntk)
rate = 1 / float(jnp.diag(limit.ntk).max())
print(f"largest stable step {largest:.2f}, the step here {rate:.2f}")
assert rate < largest

# %% [markdown]
# ## A network and its linearisation
#
# `train` runs SGD, and returns the batches that it drew. `linearized` takes the network's kernel
# and outputs at the start, and those batches: it does to the linearised network exactly what SGD
# did to the network, on training and test sequences, without any parameters.

# %%
steps = 60 if SMALL else 300
optimizer = optax.sgd(rate)
arch = dataclasses.replace(base, width=128 if SMALL else 512)


@functools.partial(jax.jit, static_argnums=0)
def start_of(arch, key):
    """Random parameters."""
    return ntkrnn.network(arch).init_fn(key, x.shape)[1]


def starts_of(arch, key, runs):
    """Those of several runs, every array with a leading axis."""
    return jax.tree.map(
        lambda *a: jnp.stack(a), *(start_of(arch, k) for k in jax.random.split(key, runs))
    )


def follow(arch, params, run):
    """The linearised network through a run of ``train``."""
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)
    return dynamics.linearized(
        ntk_fn(x, None, params),
        run.outputs[0],
        y,
        learning_rate=rate,
        steps=steps,
        batches=run.batches,
        ntk_test=ntk_fn(x_test, x, params),
        f0_test=run.test_outputs[0],
        at=run.steps,
    )


params = start_of(arch, jax.random.key(0))
run = dynamics.train(
    arch,
    params,
    x,
    y,
    optimizer=optimizer,
    steps=steps,
    batch_size=16,
    key=jax.random.key(1),
    x_test=x_test,
    record=("loss", "outputs", "test_outputs"),
)
linear = follow(arch, params, run)


def member(tree, s):
    """The s-th of what has a leading axis of runs."""
    return jax.tree.map(lambda a: a[s], tree)


def rms(a):
    """Root mean square."""
    return float(jnp.sqrt(jnp.mean(jnp.square(a))))


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
left.semilogy(run.steps, run.loss, label=f"network of width {arch.width}")
left.semilogy(linear.steps, linear.loss, "--", label="linearised, from its kernel")
left.set(xlabel="SGD step", ylabel="mean loss of the training sequences", title="Loss")
left.legend()
for i, colour in enumerate(("tab:blue", "tab:orange", "tab:green", "tab:red")):
    right.plot(run.steps, run.test_outputs[:, i, 0], color=colour)
    right.plot(linear.steps, linear.test_outputs[:, i, 0], "--", color=colour)
right.set(xlabel="SGD step", ylabel="output", title="Four test sequences (dashed: linearised)")
figure.suptitle("One run of SGD, and what the kernel at the start says of it")

for name, network, prediction in (
    ("training", run.outputs, linear.outputs),
    ("test", run.test_outputs, linear.test_outputs),
):
    moved, apart = rms(network[-1] - network[0]), rms(network[-1] - prediction[-1])
    print(f"{name} outputs: moved by {moved:.3f}, end {apart:.3f} from the linearised ones")
    assert apart < 0.35 * moved

# %% [markdown]
# To be seen: the loss falls to some percent of its start, and the linearised network goes the same
# way, down to the jitter of single batches. On training sequences, where both are pulled to the
# targets, they end close to each other; single test sequences can end further apart.
#
# ## Against width
#
# Now several networks at every width, trained together with `ensemble=True`: every array of
# `params` has a leading axis of runs. Three numbers for each network:
#
# - deviation: the largest distance, over the run, of its training outputs from the linearised ones;
# - drift: how far its kernel has moved at the end, `‖Θ_k - Θ_0‖/‖Θ_0‖`;
# - movement: how far the recurrent weights have moved, `‖W_k - W_0‖/‖W_0‖`.

# %%
widths = np.array([64, 128] if SMALL else [64, 128, 256, 512, 1024])
seeds = 4 if SMALL else 6
measured = {name: np.empty((len(widths), seeds)) for name in ("deviation", "drift", "movement")}
for i, width in enumerate(widths):
    arch = dataclasses.replace(base, width=int(width))
    ensemble = starts_of(arch, jax.random.fold_in(jax.random.key(2), width), seeds)
    runs = dynamics.train(
        arch,
        ensemble,
        x,
        y,
        optimizer=optimizer,
        steps=steps,
        batch_size=16,
        key=jax.random.key(3),
        x_test=x_test,
        record=("outputs", "test_outputs", "movement", "drift"),
        at=steps // 10,
        ensemble=True,
    )
    measured["drift"][i] = runs.drift[:, -1]
    for s in range(seeds):
        own = member(ensemble, s)
        one = member(runs._replace(steps=None), s)._replace(steps=runs.steps)
        linear = follow(arch, own, one)
        apart = jnp.sqrt(jnp.mean(jnp.square(one.outputs - linear.outputs), axis=(1, 2)))
        measured["deviation"][i, s] = apart.max()
        moved = one.movement.frobenius["cells"][0]["forward"]["w"][-1]
        measured["movement"][i, s] = moved / jnp.linalg.norm(own["cells"][0]["forward"]["w"])


# %%
def plain_ticks(axes):
    """Name round numbers on the vertical axis."""
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


figure, row = plt.subplots(1, 3, figsize=(12.5, 4.4), layout="constrained")
labels = {
    "deviation": "largest distance to linearised outputs",
    "drift": "‖Θ_k − Θ_0‖/‖Θ_0‖",
    "movement": "‖W_k − W_0‖/‖W_0‖",
}
fits = {}
for axes, (name, values) in zip(row, measured.items(), strict=True):
    fits[name] = fit = loglog_slope(widths, values)
    low, high = fit.interval
    print(f"{name}: {values.mean(axis=1).round(4)}, slope {fit.slope:.2f} ({low:.2f}, {high:.2f})")
    axes.loglog(widths, values, ".", color="tab:blue", alpha=0.4)
    axes.loglog(widths, values.mean(axis=1), "o", color="tab:blue", label="mean over networks")
    axes.loglog(widths, fit.error(widths), label=f"slope {fit.slope:.2f} ({low:.2f}, {high:.2f})")
    axes.set(title=name, xlabel="width m", ylabel=labels[name], xticks=widths, xticklabels=widths)
    plain_ticks(axes)
    axes.legend(loc="lower left")
figure.suptitle(f"After {steps} steps of SGD (dot: one network)")
assert all((np.diff(values.mean(axis=1)) < 0).all() for values in measured.values())
assert abs(fits["movement"].slope + 1) < (0.4 if SMALL else 0.1)
if not SMALL:  # two neighbouring widths say little of a slope
    assert fits["deviation"].interval[1] < -0.4
    assert fits["drift"].interval[1] < -0.6

# %% [markdown]
# To be seen: everything shrinks with the width.
#
# - Movement goes like 1/m: to change the outputs by 1 takes a change of W of a fixed norm, while W
#   itself, m by m numbers from N(0, 1), has norm m.
# - The kernel's drift goes nearly like 1/m.
# - The deviation shrinks too. A theorem bounds it by a constant over √m (Lee et al. 2019, arXiv
#   1902.06720); perturbation theory expects drift and deviation to go like 1/m once m is large
#   (Dyer and Gur-Ari 2019, arXiv 1909.11304). What is measured at these widths lies between the
#   two.
#
# ## Gradient flow in closed form
#
# With all sequences in each step, no loop is needed either: `gradient_flow` solves the linearised
# network by the eigenvectors of its kernel, at any time. Step size times steps is time, and descent
# with small steps follows the flow; with `learning_rate` the closed form is that of the steps
# themselves.

# %%
arch = dataclasses.replace(base, width=128 if SMALL else 512)
kernel = ntkrnn.empirical_ntk_fn(arch)(x, None, params)
f0 = ntkrnn.network(arch).apply_fn(params, x)
descent_rate, count = 0.2 * dynamics.largest_stable_step(kernel), 100
descent = dynamics.train(
    arch, params, x, y, optimizer=optax.sgd(descent_rate), steps=count, record="loss"
)

times = np.linspace(0, count * descent_rate, 200)
flow = dynamics.gradient_flow(kernel, f0, y, times)
stepwise = dynamics.gradient_flow(kernel, f0, y, descent.steps, learning_rate=descent_rate)
loop = dynamics.linearized(kernel, f0, y, learning_rate=descent_rate, steps=count, at=descent.steps)
np.testing.assert_allclose(stepwise.outputs, loop.outputs, atol=1e-3)

figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
axes.semilogy(flow.times, flow.loss, color="0.6", linewidth=4, label="linearised, gradient flow")
axes.semilogy(descent.steps * descent_rate, stepwise.loss, "k--", label="linearised, descent")
axes.semilogy(
    descent.steps * descent_rate, descent.loss, "tab:blue", label=f"network, width {arch.width}"
)
axes.set(xlabel="time = step size × steps", ylabel="mean loss of the training sequences")
axes.set_title("Full-batch descent at a fifth of the largest stable step")
axes.legend()
eigenvalues = np.linalg.eigvalsh(np.asarray(kernel, np.float64)) / len(x)
print(f"eigenvalues of the kernel over N: {eigenvalues[-1]:.3f} down to {eigenvalues[0]:.1e}")
print(f"loss after {count} steps: flow {flow.loss[-1]:.4f},", end=" ")
print(f"linearised descent {stepwise.loss[-1]:.4f}, network {descent.loss[-1]:.4f}")
assert abs(np.log(stepwise.loss[-1] / flow.loss[-1])) < 0.1

# %% [markdown]
# To be seen: flow and descent lie on each other, and the network beside them. The loss is not one
# exponential but a sum of them, one for each eigenvalue: what belongs to large eigenvalues is
# learned first, and the rest ever more slowly.
#
# ## Infinite width: a mean and a spread
#
# Networks differ by their random starts. In infinite width the outputs after training are a
# Gaussian process, whose mean and covariance `trained_ensemble` gives. Here it is against an actual
# ensemble.

# %%
members, member_steps = (16, 60) if SMALL else (64, 200)
arch = dataclasses.replace(base, width=128 if SMALL else 256)
ensemble_rate = 0.25 * largest
predicted = dynamics.trained_ensemble(
    limit,
    y,
    [member_steps],
    test=kernel_fn(x_test, x),
    nngp_test_test=kernel_fn(x_test, get="nngp"),
    learning_rate=ensemble_rate,
)
mean, spread = predicted.mean[0, :, 0], np.sqrt(np.diag(predicted.covariance[0]))

ensemble = starts_of(arch, jax.random.key(4), members)
runs = dynamics.train(
    arch,
    ensemble,
    x,
    y,
    optimizer=optax.sgd(ensemble_rate),
    steps=member_steps,
    x_test=x_test,
    record="test_outputs",
    at=member_steps,
    ensemble=True,
)
outputs = np.asarray(runs.test_outputs)[:, -1, :, 0]
found_mean, found_spread = outputs.mean(axis=0), outputs.std(axis=0, ddof=1)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=(2, 1))
by_mean = np.argsort(mean)
place = np.arange(len(mean))
left.fill_between(
    place,
    (mean - spread)[by_mean],
    (mean + spread)[by_mean],
    alpha=0.25,
    label="infinite width: ± spread",
)
left.plot(place, mean[by_mean], label="infinite width: mean")
left.errorbar(
    place,
    found_mean[by_mean],
    found_spread[by_mean],
    fmt=".",
    color="tab:orange",
    elinewidth=0.8,
    label=f"{members} networks of width {arch.width}: mean ± spread",
)
left.set(xlabel="test sequence, by predicted mean", ylabel="output after training", title="Outputs")
left.legend(loc="upper left")
right.plot(spread, found_spread, ".", color="tab:orange")
right.plot([0, spread.max()], [0, spread.max()], color="0.5", label="equal")
right.set(xlabel="spread, infinite width", ylabel=f"spread of {members} networks", title="Spread")
right.legend()
figure.suptitle("Test outputs of trained networks, over random starts")

in_errors = rms((found_mean - mean) / (spread / np.sqrt(members)))
ratio = float(np.mean(found_spread / spread))
print(f"means differ by {rms(found_mean - mean):.3f} (root mean square),", end=" ")
print(f"or {in_errors:.2f} standard errors")
print(f"spread of the networks over that of infinite width: {ratio:.2f} on average")
print(f"share of signs right: infinite width {(np.sign(mean) == y_test).mean():.3f}, ", end="")
print(f"ensemble {(np.sign(found_mean) == y_test).mean():.3f}, ", end="")
print(f"one network {(np.sign(outputs) == y_test).mean():.3f}")
assert in_errors < 2.5 and 0.75 < ratio < 1.75

# %% [markdown]
# To be seen: the ensemble's mean is the predicted one, up to little more than the error of a mean
# over that many networks. The spread is the predicted one too, and somewhat larger: networks of
# finite width differ also in their kernels. The spread matters: one network is right less often
# than the mean of many.
#
# ## Where it breaks
#
# Take a step of twice the largest stable one, on all sequences. The linearised network has no
# choice: outputs along the top eigenvector grow threefold each step, for ever. What does the
# network do?

# %%
arch = dataclasses.replace(base, width=128 if SMALL else 512)
count, networks = 60, 4 if SMALL else 6
ensemble = starts_of(arch, jax.random.key(5), networks)
ntk_fn = ntkrnn.empirical_ntk_fn(arch)
kernels = [ntk_fn(x, None, member(ensemble, s)) for s in range(networks)]
before = np.array([dynamics.largest_stable_step(kernel) for kernel in kernels])
large = 2 * before.mean()
at = np.unique(np.r_[np.arange(16), np.arange(16, count + 1, 4)])
runs = dynamics.train(
    arch,
    ensemble,
    x,
    y,
    optimizer=optax.sgd(large),
    steps=count,
    record=("loss", "outputs", "ntk"),
    at=at,
    ensemble=True,
)
loss = np.asarray(runs.loss, float)
stable = np.array([[dynamics.largest_stable_step(kernel) for kernel in run] for run in runs.ntk])
linear = [
    dynamics.linearized(kernel, start, y, learning_rate=large, steps=8, at=1, unstable="ignore")
    for kernel, start in zip(kernels, runs.outputs[:, 0], strict=True)
]

figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
for s in range(networks):
    left.semilogy(at, loss[s], color="tab:blue", label=None if s else "networks")
    left.semilogy(
        linear[s].steps, linear[s].loss, "--", color="tab:red", label=None if s else "linearised"
    )
    right.plot(at, stable[s], color="tab:blue", label=None if s else "networks")
left.set(xlabel="step", ylabel="mean loss of the training sequences", title="Loss", ylim=(1e-3, 1e4))
right.axhline(large, color="tab:red", linestyle="--", label="the step that is taken")
right.set(
    xlabel="step", ylabel="largest stable step, 2N/λ_max", title="Largest stable step of the kernel now"
)
for axes in (left, right):
    axes.legend()
figure.suptitle(
    f"Twice the largest stable step: {networks} networks of width {arch.width} go to a flatter place"
)

print(f"step {large:.2f}; largest stable step {before.round(2)} at the start,", end=" ")
print(f"{stable[:, -1].round(2)} at the end")
print(f"loss {loss[:, 0].round(2)} at the start,", end=" ")
print(f"at most {loss.max(axis=1).round(1)},", end=" ")
print(f"{loss[:, -1].round(4)} at the end; linearised after 8 steps {linear[0].loss[-1]:.0f}")
assert (loss.max(axis=1) > 2 * loss[:, 0]).all()
assert (loss[:, -1] < 0.1 * loss[:, 0]).all()
assert (stable[:, -1] > 1.5 * before).all()
assert all(bool(run.loss[-1] > 100 * run.loss[0]) for run in linear)

# %% [markdown]
# To be seen: for some steps networks and linearised networks grow together. Then the network is so
# far from where it began that its kernel is another: its top eigenvalue falls, its own largest
# stable step grows until the step taken is stable, and the loss comes down, where the linearised
# network is lost. This is the catapult of Lewkowycz et al. 2020 (arXiv 2003.02218). The kernel at
# the start knows nothing of it, and no width helps: before the kernel of a wider network gives way,
# its outputs have to go further.
#
# Not every network lands. Narrow ones can leave the range of the floating numbers, and `train`
# warns of it:

# %%
arch = dataclasses.replace(base, width=64 if SMALL else 32)
ensemble = starts_of(arch, jax.random.key(6), 32)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", dynamics.DivergedWarning)
    runs = dynamics.train(
        arch,
        ensemble,
        x,
        y,
        optimizer=optax.sgd(large),
        steps=count,
        record="loss",
        at=count,
        ensemble=True,
    )
lost = int(np.sum(~np.isfinite(runs.loss[:, -1])))
print(f"{lost} of 32 networks of width {arch.width} diverged;", *(str(one.message) for one in caught))
assert lost < 32 and (lost == 0) == (not caught)

# %% [markdown]
# The remedy is a step below `largest_stable_step` of the kernel at the start.

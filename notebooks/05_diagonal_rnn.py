# %% [markdown]
# # Diagonal networks
#
# Cayci & Eryilmaz (CE24, arXiv 2402.12241) analyse gradient descent for recurrent networks in which
# every neuron remembers itself alone, and which learn dynamical systems from input and output
# sequences. Their analysis gives numbers before a run: how far a state moves, how far the network is
# from its linearisation, how large the training risk is. This draws such networks, compares their
# kernels with the limit of infinite width, trains them, and holds the runs against those numbers.
# The constants are those that `ntkrnn.theory.certificate` derives; the paper's may differ.
#
# `NTKRNN_SMALL=1` in the environment makes everything smaller and runs in seconds.

# %%
import dataclasses
import math
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import ntkrnn
from ntkrnn import dynamics, theory
from ntkrnn.data import systems
from ntkrnn.report import loglog_slope

SMALL = os.environ.get("NTKRNN_SMALL") == "1"

# %% [markdown]
# ## The network, and its start
#
# Neuron i has the state `h_t = σ(w_i h_{t-1} + ⟨u_i, x_t⟩)`, and the output at every step is
# `F_t = (1/√m) Σ c_i h_t^i`. At the start `w_i = ±α` and `c_i = ±1` at equal odds, `u_i` is Gaussian.
# The second half of the neurons are copies of the first with the opposite sign, so that the output is
# zero: not small, but zero to the last bit. w and u are trained, c is not.

# %%
arch = ntkrnn.Diagonal(width=256, nonlinearity="sin", alpha=0.5)
init_fn, apply_fn, _ = ntkrnn.network(arch)


def unit_tokens(seed, n, steps, dim=2):
    """Sequences of tokens uniform on the unit sphere."""
    x = np.random.default_rng(seed).standard_normal((n, steps, dim))
    return jnp.asarray(x / np.linalg.norm(x, axis=2, keepdims=True))


x = unit_tokens(0, 6, 5)
_, params = init_fn(jax.random.key(0), x.shape)
print({name: block.shape for name, block in params.items()})
print(f"outputs {apply_fn(params, x).shape}, largest {float(jnp.abs(apply_fn(params, x)).max())}")
assert not apply_fn(params, x).any()

# %% [markdown]
# ## Kernels
#
# The weight w of a neuron stays the same through time, so there is no recursion from kernel to
# kernel, as there is for the Elman network. The infinite-width kernel is an expectation over one
# neuron (w, u): a sum over the two values of w, and an integral over u, by a rule or by quasi-random
# points. Every entry comes with a standard error. For σ = identity there is a closed form to test
# both against,
#
# `Θ_{t,t'} = Σ α^{k+l} (1 + kl/α²) ⟨x_{t-k}, x'_{t'-l}⟩` over `k < t, l < t'` with `k - l` even.

# %%
alpha = 0.8
line = ntkrnn.Diagonal(nonlinearity="identity", alpha=alpha)
steps = x.shape[1]
k = np.arange(steps)
weights = alpha ** np.add.outer(k, k) * (1 + np.outer(k, k) / alpha**2)
weights *= (np.subtract.outer(k, k) % 2) == 0
tokens = np.asarray(x, float)
exact = np.zeros((len(x), len(x), steps, steps))
for t in range(steps):
    for s in range(steps):
        back, there = tokens[:, t::-1], tokens[:, s::-1]  # x_t, x_{t-1}, ...
        exact[:, :, t, s] = np.einsum(
            "kl,nkd,mld->nm", weights[: t + 1, : s + 1], back, there, optimize=True
        )

for method in ("quadrature", "qmc"):
    found = ntkrnn.network(line).kernel_fn(x, method=method, samples=1024)
    error = np.abs(np.asarray(found.ntk, float) - exact)
    stated = np.asarray(found.ntk_error, float)
    print(
        f"{method}: largest error {error.max():.1e} of kernels up to {exact.max():.1f}; largest "
        f"standard error {stated.max():.1e}"
    )
    rounding = 64 * float(jnp.finfo(x.dtype).eps) * exact.max()
    # Eight replicates estimate the error itself; 900 entries, not independent.
    assert (error <= 10 * stated + rounding).all()

# %% [markdown]
# Now a nonlinear network. Its kernel at finite width is exact too, for given weights: the
# derivatives of a state by its own weights run forwards in time with the state. Networks of growing
# width, against the limit:

# %%
limit = ntkrnn.network(arch).kernel_fn(x)
size = float(jnp.linalg.norm(limit.ntk))
print(f"limit known to {float(jnp.linalg.norm(limit.ntk_error)) / size:.1e} of its norm")
widths, seeds = ((64, 256, 1024), 10) if SMALL else ((64, 256, 1024, 4096), 20)
distance = np.zeros((len(widths), seeds))
for row, width in zip(distance, widths, strict=True):
    wide = dataclasses.replace(arch, width=width)
    draw, ntk_fn = ntkrnn.network(wide).init_fn, ntkrnn.empirical_ntk_fn(wide)
    for seed in range(seeds):
        _, at_start = draw(jax.random.key(seed), x.shape)
        row[seed] = float(jnp.linalg.norm(ntk_fn(x, None, at_start) - limit.ntk)) / size
slope = loglog_slope(widths, distance)
low, high = slope.interval
print(f"exponent in the width {slope.slope:.2f}, 95% interval ({low:.2f}, {high:.2f}); predicted -0.5")

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
axes.errorbar(widths, distance.mean(1), distance.std(1, ddof=1), fmt="o", capsize=3, label="measured")
axes.loglog(
    widths, distance[1].mean() * (np.array(widths) / 256) ** -0.5, "--", color="0.5", label="m^(-1/2)"
)
axes.set(xlabel="width m", ylabel="relative distance to the limit", xticks=widths, xticklabels=widths)
axes.set_title(f"Kernels of {seeds} networks of each width")
axes.minorticks_off()
axes.legend()

# %% [markdown]
# ## Training with a projection
#
# The analysis keeps every neuron near its start: after each step of descent, `w_i` is put back into
# the interval of radius `ρ_w/√m` about where it began, and `u_i` into the ball of radius `ρ_u/√m`.
# `max_norm_projection` is that, for the end of an optax chain.
#
# What such a network can learn is given by maps `v_w(w, u)`, `v_u(w, u)` of sizes at most `ρ_w`, `ρ_u`,
# which say where each neuron of an infinitely wide network has to go. `TransportTarget` computes the
# dynamical system that comes out. Here the maps are drawn at random, and the system is learned at
# several widths, by steps of half the largest stable size.

# %%
rho_w, rho_u = 1.0, 1.0
n, steps, dim = 16, 8, 2
x = unit_tokens(1, n, steps, dim)
target = theory.TransportTarget.sample(
    0, dim, rho_w, rho_u, alpha=arch.alpha, nonlinearity=arch.nonlinearity, samples=256
)
y = target(x)
print(f"a system with outputs from {float(y.min()):.2f} to {float(y.max()):.2f}")


def half_of_stable(arch, x):
    """Half the largest stable step, of descent on all steps of all sequences."""
    kernel = ntkrnn.network(arch).kernel_fn(x, get="ntk", samples=64)
    whole = np.asarray(kernel, float).transpose(0, 2, 1, 3).reshape(2 * [x.shape[0] * x.shape[1]])
    return x.shape[0] / np.linalg.eigvalsh(whole)[-1]


def project(rate, rho_w, rho_u):
    """Projected descent."""
    return optax.chain(optax.sgd(rate), theory.max_norm_projection(rho_w, rho_u))


def fit(arch, x, y, optimizer, steps, **options):
    """A trained network, and its parameters at the start."""
    _, start = ntkrnn.network(arch).init_fn(jax.random.key(3), x.shape)
    record = ("loss", "average")
    run = dynamics.train(arch, start, x, y, optimizer=optimizer, steps=steps, record=record, **options)
    return start, run


def mean_square(arch, params, x, y):
    """Mean over sequences and steps."""
    return float(jnp.mean((ntkrnn.network(arch).apply_fn(params, x) - y) ** 2))


widths = (64, 512) if SMALL else widths
rounds = 100 if SMALL else 1000
rate = half_of_stable(arch, x)
fast = project(rate, rho_w, rho_u)
variance = float(jnp.mean(jnp.square(y)))
learned = {}
figure, axes = plt.subplots(figsize=(6.8, 4.4), layout="constrained")
for width in widths:
    wide = dataclasses.replace(arch, width=width)
    start, run = learned[width] = fit(wide, x, y, fast, rounds, at=(0, 1, 2, 5, 10, 20, 50, rounds))
    moved = math.sqrt(width) * float(jnp.abs(run.params["w"] - start["w"]).max())
    left = [mean_square(wide, p, x, y) / variance for p in (run.params, run.average)]
    print(
        f"m = {width}: error/variance {left[0]:.1e} at the end, {left[1]:.1e} of the averaged iterate;"
        f" w moved by at most {moved:.2f}/√m"
    )
    assert moved <= rho_w * 1.001
    axes.loglog(1 + run.steps, 2 * np.asarray(run.loss) / steps / variance, label=f"m = {width}")
axes.set(xlabel="1 + steps of descent", ylabel="training error / variance")
axes.set_title("Learning a transport target")
axes.legend()

# %% [markdown]
# To be seen: the system is learned at every width. `theory.certificate` knows before the run how far
# the network may be from its linearisation `F^lin`, the one that is linear in the move of the
# parameters. The bound `B_t/√m` holds wherever in the balls descent ends. Measured, at the end:


# %%
def off_linear(arch, start, end, x):
    """``[T]``: largest ``|F_t - F_t^lin|`` over the sequences."""
    gap = ntkrnn.network(arch).apply_fn(end, x) - dynamics.linearize(arch, start)(end, x)
    return np.abs(np.asarray(gap)).max(axis=(0, 2))


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
gaps, limits = [], []
for i, width in enumerate(widths):
    wide = dataclasses.replace(arch, width=width)
    start, run = learned[width]
    bound = theory.certificate(wide, rho_w, rho_u, n, steps, 0.05, None, rounds)
    gap = off_linear(wide, start, run.params, x)
    assert (gap <= bound.linearisation).all()
    left.semilogy(1 + np.arange(steps), gap, "o-", color=f"C{i}", label=f"m = {width}")
    left.semilogy(1 + np.arange(steps), bound.linearisation, "--", color=f"C{i}")
    gaps.append(gap.max())
    limits.append(bound.linearisation.max())
left.set(xlabel="step t", ylabel="largest |F - F^lin|", title="Along the sequence (dashed: bounds)")
left.legend()
right.loglog(widths, gaps, "o-", label="measured")
right.loglog(widths, limits, "--", color="0.5", label="B_T/√m")
right.set(xlabel="width m", ylabel="largest |F - F^lin|", xticks=widths, xticklabels=widths)
right.minorticks_off()
right.legend()
right.set_title("Against the width")
figure.suptitle("How far trained networks are from their linearisation")
for width, gap, most in zip(widths, gaps, limits, strict=True):
    print(
        f"m = {width}: |F - F^lin| at most {gap:.1e}, certified {most:.1e}, {most / gap:.0f} times that"
    )

# %% [markdown]
# The bound holds, and is generous: it lets every neuron move as far as it may, and adds the
# remainders of all of them as if they had the same sign. In the network they have different ones.
#
# ## The certificate of the risk
#
# The same analysis bounds the training risk, the sum of squared errors over a sequence, averaged over
# the steps of descent. It holds for steps up to `1/(4TG²)`, which are small; the rate of optax is twice
# that, as `train` halves the loss.

# %%
wide = dataclasses.replace(arch, width=256 if SMALL else 4096)
slow_rounds = 200 if SMALL else 1000
bound = theory.certificate(wide, rho_w, rho_u, n, steps, 0.05, None, slow_rounds)
slow = project(2 * bound.eta, rho_w, rho_u)
_, run = fit(wide, x, y, slow, slow_rounds, at=1)
risk = 2 * np.asarray(run.loss, float)
first = (rho_w**2 + rho_u**2) / (bound.eta * slow_rounds)
print(f"step {bound.eta:.1e} (the fast runs: {rate / 2:.1e} in the same units)")
print(f"risk {risk[0]:.3f} at the start, {risk[-1]:.3f} at the end, {risk[:-1].mean():.3f} on average")
print(f"certified {bound.risk:.3g}: {first:.3g} for the number of steps, the rest for the width")
assert risk[:-1].mean() <= bound.risk

# %% [markdown]
# The certificate is a guarantee, not a prediction. At these sizes it exceeds even the risk of
# the network that was never trained: it says something about far
# wider networks and longer runs only.

#
# ## A system from outside the class
#
# A damped pendulum under a random torque, observed through the sine of its angle with noise of size
# 0.02, is no transport target, and how far the neurons have to move for it nobody says. The radii are
# then a choice. Small ones:

# %%
n, steps = 24 if SMALL else 64, 16
pendulum = systems.pendulum(0, 2 * n, steps)
x, y = jnp.asarray(pendulum.x[:n]), jnp.asarray(pendulum.y[:n])
x_test, y_test = jnp.asarray(pendulum.x[n:]), jnp.asarray(pendulum.y[n:])
arch = ntkrnn.Diagonal(width=256 if SMALL else 1024, nonlinearity="tanh", alpha=0.8)
rate, rounds = half_of_stable(arch, x), 200 if SMALL else 2000
variance = float(jnp.mean(jnp.square(y_test)))
print(f"variance {variance:.3f}, of the noise {0.02**2:.4f}; step {rate:.2f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4), layout="constrained")
left.plot(1 + np.arange(steps), y_test[0, :, 0], "k.-", label="pendulum")
for i, radius in enumerate((0.5, 8.0) if SMALL else (0.5, 2.0, 8.0)):
    start, run = fit(arch, x, y, project(rate, radius, radius), rounds, at=rounds)
    errors = [mean_square(arch, p, x_test, y_test) / variance for p in (run.params, run.average)]
    at_edge = np.abs(run.params["w"] - start["w"]) * math.sqrt(arch.width) > 0.999 * radius
    gap = off_linear(arch, start, run.params, x)
    bound = theory.certificate(arch, radius, radius, n, steps, 0.05, None, rounds)
    assert (gap <= bound.linearisation).all()
    print(
        f"radius {radius:g}: test error/variance {errors[0]:.3f}, {errors[1]:.3f} of the averaged "
        f"iterate; {100 * at_edge.mean():.0f}% of the w at the edge; |F - F^lin| at most "
        f"{gap.max():.1e}, certified {bound.linearisation.max():.1e} ({bound.cutoff.side} the cutoff)"
    )
    shown = ntkrnn.network(arch).apply_fn(run.params, x_test[:1])[0, :, 0]
    left.plot(1 + np.arange(steps), shown, "--", color=f"C{i}", label=f"radius {radius:g}")
    right.semilogy(1 + np.arange(steps), gap, "o-", color=f"C{i}", label=f"radius {radius:g}")
    right.semilogy(1 + np.arange(steps), bound.linearisation, "--", color=f"C{i}")
left.set(xlabel="step t", ylabel="output", title="A test sequence")
right.set(
    xlabel="step t", ylabel="largest |F - F^lin|", title="From the linearisation (dashed: bounds)"
)
left.legend()
right.legend()
figure.suptitle(f"A noisy pendulum, learned within several radii at width {arch.width}")

# %% [markdown]
# To be seen: the error falls with the radius. Within the smallest most recurrent weights end at its
# edge; within the largest hardly any does. What a larger radius buys it pays for in linearity: the
# network leaves its linearisation, by a gap that is no longer small against the output, and the
# certificate, true still, is far too large to say anything. There the radius is so large that
# weights may cross the cutoff. None of them is at the level of the noise. The averaged iterate, of
# which guarantees speak, is no better than the last one here, as it counts the early steps too.
#
# ## The cutoff
#
# What a neuron remembers is multiplied at every step by at most `a = α_m r₁`, where
# `α_m = α + ρ_w/√m` is the largest weight that descent can reach and `r₁ = sup |σ'|`. The bounds are
# made of `p_t = Σ_{k<t} a^k`: below a = 1 it stays under `1/(1 - a)`, whatever the length, and above it
# grows like a power of a.

# %%
length = 64
figure, axes = plt.subplots(figsize=(6.8, 4.4), layout="constrained")
for alpha in (0.5, 0.8, 0.95, 1.05, 1.2, 1.5):
    side = theory.cutoff(alpha, 0.0, 4096, "tanh")
    bound = theory.certificate(ntkrnn.Diagonal(4096, "tanh", alpha), 0.0, 1.0, n, length, 0.05, None, 1)
    axes.semilogy(1 + np.arange(length), bound.p, label=f"a = {side.a:g}, {side.side}")
    print(f"a = {side.a:g}: p_T = {bound.p[-1]:.3g} at T = {length}, limit {side.limit:.3g}")
    assert bound.p[-1] <= side.limit
axes.set(xlabel="step t", ylabel="p_t", title="Memory that fades, and memory that need not")
axes.legend()
for name in ("tanh", "sin", "erf", "sigmoid"):
    print(
        f"{name}: below the cutoff for alpha < {theory.cutoff(0.5, 0.0, 4096, name).largest_alpha:.3f}"
    )

# %% [markdown]
# These are bounds. What do states do? Move every neuron at random, as far as radii of 1 allow, and
# take from the change of its state what is linear in the move. What is left, m times its root mean
# square over neurons and sequences, against the length of the sequence, for α on both sides:

# %%
SLOPE = {"sin": np.cos, "tanh": lambda z: 1 / np.cosh(z) ** 2}


def remainder(name, alpha, length, width=2048 if SMALL else 16384, sequences=2, seed=0):
    """``[T]``: width times the rms of what is not linear in a random move, in float64."""
    rng = np.random.default_rng(seed)
    sigma, slope = getattr(np, name), SLOPE[name]
    x = np.asarray(rng.standard_normal((sequences, length, 2)))
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    w, u = alpha * rng.choice([-1.0, 1.0], width), rng.standard_normal((2, width))
    dw, du = rng.choice([-1.0, 1.0], width), rng.standard_normal((2, width))
    dw, du = (a / math.sqrt(width) for a in (dw, du / np.linalg.norm(du, axis=0)))
    h = linear = moved = np.zeros((sequences, width))
    found = []
    for t in range(length):
        drive, push = x[:, t] @ u, x[:, t] @ du
        pre = w * h + drive
        moved = sigma((w + dw) * moved + drive + push)
        linear = slope(pre) * (dw * h + push + w * linear)
        h = sigma(pre)
        found.append(width * math.sqrt(np.mean((moved - h - linear) ** 2)))
    return np.array(found)


figure, axes_of = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
late = {}
for axes, name in zip(axes_of, ("sin", "tanh"), strict=True):
    for alpha in (0.5, 0.8, 1.5, 3.0):
        found = remainder(name, alpha, length)
        late[name, alpha] = np.log(found[length // 2 :])
        growth = np.polyfit(np.arange(length // 2), late[name, alpha], 1)[0]
        side = theory.cutoff(alpha, 1.0, 2048 if SMALL else 16384, name).side
        axes.semilogy(1 + np.arange(length), found, label=f"α = {alpha:g}, {side}")
        print(
            f"{name}, alpha = {alpha:g}, {side}: {found[7]:.3g} at t = 8, {found[-1]:.3g} at t = "
            f"{length}; over the second half it grows by {growth:+.4f} (log) a step"
        )
    axes.set(xlabel="step t", title=name)
    axes.legend()
axes_of[0].set_ylabel("m · rms remainder")
figure.suptitle("What is not linear in a move, below and above the cutoff")
assert late["sin", 3.0][-1] - late["sin", 3.0][0] > 1 > late["tanh", 3.0][-1] - late["tanh", 3.0][0]

# %% [markdown]
# To be seen: for small α nothing grows. At α = 3 the sine, whose slope comes back to ±1 wherever the
# state is, grows geometrically as the bound does. tanh does not: it saturates, most slopes are
# near 0, and the remainder stops growing after a few steps, at a high level. At
# α = 1.5 both grow at first, then slowly or not at all, far below the bound, which counts the worst
# input at every step, and random inputs are not that.
#
# `ntkrnn learnability --experiment ce24-cutoff` measures this with intervals, for the identity too;
# `ce24-linearisation`, `ce24-neuron-movement` and `ce24-certificate` do so for the sections before.
# [theory-ce24.md](../docs/theory-ce24.md) has the formulas.

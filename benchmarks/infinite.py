"""Infinite-width kernel of `kernel_fn` against the formulas transcribed directly, in one run.

The peer is the recursion as it stands on paper: one scan over time on the whole N x N matrix, with
``jnp.arcsin`` or ``jnp.arccos`` and without distances. It is the less accurate of the two. Both are
compiled and agree before they are timed; the runs alternate, and medians and their ratio are printed.

    python benchmarks/infinite.py [N] [T] [d]
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import ntkrnn

REPEATS = 5


def direct(nonlinearity):
    """The textbook recursion for readout "last", w_std = u_std = v_std = 1 and no bias."""

    def dual(c, q1, q2):
        if nonlinearity == "erf":
            p = (1 + 2 * q1) * (1 + 2 * q2)
            return 2 / jnp.pi * jnp.arcsin(2 * c / jnp.sqrt(p)), 4 / jnp.pi / jnp.sqrt(p - 4 * c * c)
        s = jnp.sqrt(q1 * q2)
        theta = jnp.arccos(jnp.clip(c / s, -1, 1))
        k = s / (2 * jnp.pi) * (jnp.sin(theta) + (jnp.pi - theta) * jnp.cos(theta))
        return k, (jnp.pi - theta) / (2 * jnp.pi)

    @jax.jit
    def kernels(x):
        def step(state, x_t):
            k, theta, variance = state
            h = k + x_t @ x_t.T / x_t.shape[1]
            q = variance + jnp.mean(x_t**2, axis=1)
            k, kdot = dual(h, q[:, None], q[None, :])
            return (k, kdot * (h + theta), dual(q, q, q)[0]), None

        n = x.shape[0]
        start = (jnp.zeros((n, n)), jnp.zeros((n, n)), jnp.zeros(n))
        (k, theta, _), _ = jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))
        return k, k + theta

    return kernels


def seconds(run):
    """Wall time of one call."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def main():
    """Time both and print the ratio."""
    n, t, d = (int(v) for v in (*sys.argv[1:], "512", "100", "4")[:3])
    x = jax.random.normal(jax.random.key(0), (n, t, d))
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, float32, N={n} T={t} d={d}")
    for nonlinearity in ("erf", "relu"):
        _, _, kernel_fn = ntkrnn.network(ntkrnn.Elman(nonlinearity=nonlinearity))
        peer = direct(nonlinearity)
        runs = {"kernel_fn": lambda f=kernel_fn: f(x).ntk, "direct": lambda f=peer: f(x)[1]}
        first = {name: seconds(run) for name, run in runs.items()}
        ours, theirs = (np.asarray(run()) for run in runs.values())
        assert np.linalg.norm(ours - theirs) <= 1e-3 * np.linalg.norm(theirs)
        times = [[seconds(run) for run in runs.values()] for _ in range(REPEATS)]
        a, b = np.median(times, axis=0)
        print(
            f"{nonlinearity:5} last: kernel_fn {a:.3f} s, direct {b:.3f} s, ratio direct/kernel_fn "
            f"{b / a:.2f}; first calls {first['kernel_fn']:.1f} s and {first['direct']:.1f} s"
        )


if __name__ == "__main__":
    main()

"""Finite-width kernel against neural-tangents and against one forward and backward pass, in one run.

The peer is ``neural_tangents.empirical_ntk_fn`` on a plain network with the same parameters, scanned
and unrolled, in each of its implementations, jitted, with ``vmap_axes=0`` and ``trace_axes=(-1,)``. The
third party is the least that an exact kernel can cost: one forward and backward pass over the batch
that returns the states and the derivatives by every pre-activation. All of them are compiled and agree
before they are timed; the runs alternate, and medians of paired ratios are printed.

    python benchmarks/finite.py [N,T,m ...] [--all]

``--all`` also runs the peers that take minutes.
"""

import functools
import math
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ntkrnn
from ntkrnn._compat import neural_tangents

SIZES = ((16, 20, 256), (16, 20, 1024), (64, 50, 512), (8, 10, 4096), (64, 20, 1024), (128, 8, 256))
CHANNELS = 8
REPEATS = 7
PEERS = ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES")


class Row(NamedTuple):
    """One program at one size: seconds and bytes; ratios are to ours, paired run by run."""

    size: tuple[int, int, int]
    what: str
    first: float
    median: float
    ratio: float
    temporary: int


def network(params, x, unroll):
    """Erf, last state, w_std = u_std = v_std = 1: as plainly as JAX has it, on ``[n, T, d]``."""
    cell, v = params["cells"][0]["forward"], params["v"]
    m, d = cell["u"].shape
    drive = jnp.swapaxes(x @ cell["u"].T / math.sqrt(d), 0, 1)

    def step(s, one):
        return jax.lax.erf(s @ cell["w"].T / math.sqrt(m) + one), None

    s = jnp.zeros((x.shape[0], m))
    if unroll:
        for one in drive:
            s, _ = step(s, one)
    else:
        s, _ = jax.lax.scan(step, s, drive)
    return s @ v.T / math.sqrt(m)


def forward_backward(params, x):
    """States ``[T, N, m]`` and derivatives of the outputs by every pre-activation."""
    cell, v = params["cells"][0]["forward"], params["v"]
    m, d = cell["u"].shape
    drive = jnp.swapaxes(x @ cell["u"].T / math.sqrt(d), 0, 1)

    def outputs(taps):
        def step(s, inputs):
            s = jax.lax.erf(s @ cell["w"].T / math.sqrt(m) + inputs[0] + inputs[1])
            return s, s

        s, states = jax.lax.scan(step, jnp.zeros((x.shape[0], m)), (drive, taps))
        return s @ v[0] / math.sqrt(m), states

    y, back, states = jax.vjp(outputs, jnp.zeros_like(drive), has_aux=True)
    return states, back(jnp.ones_like(y))[0]


def programs(size, everything):
    """Jitted functions of ``(params, x)`` by name: ours, the pass alone, and the peers."""
    n, t, m = size
    nt = neural_tangents()
    ntk_fn = ntkrnn.empirical_ntk_fn(ntkrnn.Elman(width=m, trainable=("w", "u", "v")))
    found = {
        "ours": jax.jit(lambda params, x: ntk_fn(x, None, params)),
        "forward and backward": jax.jit(forward_backward),
    }
    for unroll in (False, True):
        for name in PEERS:
            # Minutes to compile or to run, and never the best where they were tried.
            slow = unroll or name == "STRUCTURED_DERIVATIVES" or n * n * t * m * m > 5e10
            if slow and name != "JACOBIAN_CONTRACTION" and not everything:
                continue
            if unroll and n * t * m * m > 4e8 and not everything:
                continue
            peer = nt.empirical_ntk_fn(
                functools.partial(network, unroll=unroll),
                trace_axes=(-1,),
                vmap_axes=0,
                implementation=nt.NtkImplementation[name],
            )

            def run(params, x, peer=peer):
                return peer(x, None, params)

            found[f"{name.lower()}, {'unrolled' if unroll else 'scanned'}"] = jax.jit(run)
    return found


def arguments(size):
    """Parameters without the bias, which has scale 0 and would only be differentiated."""
    n, t, m = size
    x = jax.random.normal(jax.random.key(0), (n, t, CHANNELS))
    arch = ntkrnn.Elman(width=m)
    params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)[1]
    return params, x


def seconds(run, *args):
    """Wall time of one call, and its result."""
    start = time.perf_counter()
    result = jax.block_until_ready(run(*args))
    return time.perf_counter() - start, result


def measure(size, everything=False, repeats=REPEATS):
    """A list of :class:`Row`, ours first."""
    args = arguments(size)
    runs, alone, first, temporary, reference = {}, {}, {}, {}, None
    for what, run in programs(size, everything).items():
        start = time.perf_counter()
        compiled = run.lower(*args).compile()
        _, result = seconds(compiled, *args)
        first[what] = time.perf_counter() - start
        temporary[what] = compiled.memory_analysis().temp_size_in_bytes
        if reference is None:
            reference = np.asarray(result)
        elif what != "forward and backward":
            assert np.linalg.norm(result - reference) <= 1e-4 * np.linalg.norm(reference), what
        alone[what] = min(seconds(compiled, *args)[0] for _ in range(2))
        runs[what] = compiled
    fastest = min(alone[what] for what in runs if "," in what)
    times = {what: [] for what in runs}
    for _ in range(repeats if fastest > 0.1 else 7 * repeats):
        for what, run in runs.items():
            if alone[what] <= 3 * fastest or "," not in what:  # the rest cannot be the best
                times[what].append(seconds(run, *args)[0])
    rows = []
    for what in runs:
        taken = np.array(times[what] or [alone[what]])
        ratio = np.median(taken / np.array(times["ours"])[: len(taken)])
        rows.append(
            Row(size, what, first[what], float(np.median(taken)), float(ratio), temporary[what])
        )
    return rows


def show(rows):
    """Print the rows of one size, and what they say of the targets."""
    n, t, m = rows[0].size
    print(f"N={n} T={t} m={m}")
    for row in rows:
        print(
            f"  {row.what:34} {1e3 * row.median:9.1f} ms  x{row.ratio:6.2f}  "
            f"first call {row.first:5.1f} s  temporaries {row.temporary / 2**20:8.1f} MiB"
        )
    peers = [row for row in rows if "," in row.what]
    best = min(peers, key=lambda row: row.ratio)
    once = next(row for row in rows if row.what == "forward and backward")
    least = min(row.temporary for row in peers)
    ours = rows[0].temporary
    print(
        f"  best peer / ours {best.ratio:.2f} ({best.what}); ours / forward and backward "
        f"{1 / once.ratio:.2f}; memory of the best peer / ours {best.temporary / ours:.1f}, "
        f"of the leanest {least / ours:.1f}",
        flush=True,
    )


def main():
    """Measure the sizes named, or all of them."""
    everything = "--all" in sys.argv
    named = [tuple(map(int, a.split(","))) for a in sys.argv[1:] if not a.startswith("--")]
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, float32, d={CHANNELS}")
    for size in named or SIZES:
        show(measure(size, everything))


if __name__ == "__main__":
    main()

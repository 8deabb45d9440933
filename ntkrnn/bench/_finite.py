"""Rows for the finite-width tangent kernel, against the best of neural-tangents.

The peer is ``neural_tangents.empirical_ntk_fn`` on a plain network with the same parameters, in each of
its implementations that finishes in reasonable time, jitted, with ``vmap_axes=0`` and
``trace_axes=(-1,)``. Another is the least that an exact kernel can cost: one forward and backward pass
over the batch that returns the states and the derivatives by every pre-activation.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import Elman, empirical_ntk_fn, network
from ntkrnn.bench._peers import peers
from ntkrnn.bench._row import Program, Row

SIZES = ((16, 20, 256), (16, 20, 1024), (64, 50, 512), (8, 10, 4096), (64, 20, 1024), (128, 8, 256))
CHANNELS = 8


def plain_network(params: Any, x: Any, unroll: bool) -> Any:
    """Erf, last state, w_std = u_std = v_std = 1: as plainly as JAX has it, on ``[n, T, d]``."""
    cell, v = params["cells"][0]["forward"], params["v"]
    m, d = cell["u"].shape
    drive = jnp.swapaxes(x @ cell["u"].T / math.sqrt(d), 0, 1)

    def step(s: Any, one: Any) -> tuple[Any, None]:
        return jax.lax.erf(s @ cell["w"].T / math.sqrt(m) + one), None

    s = jnp.zeros((x.shape[0], m), x.dtype)
    if unroll:
        for one in drive:
            s, _ = step(s, one)
    else:
        s, _ = jax.lax.scan(step, s, drive)
    return s @ v.T / math.sqrt(m)


def forward_backward(params: Any, x: Any) -> tuple[Any, Any]:
    """States ``[T, N, m]`` and derivatives of the outputs by every pre-activation."""
    cell, v = params["cells"][0]["forward"], params["v"]
    m, d = cell["u"].shape
    drive = jnp.swapaxes(x @ cell["u"].T / math.sqrt(d), 0, 1)

    def outputs(taps: Any) -> tuple[Any, Any]:
        def step(s: Any, inputs: Any) -> tuple[Any, Any]:
            s = jax.lax.erf(s @ cell["w"].T / math.sqrt(m) + inputs[0] + inputs[1])
            return s, s

        s, states = jax.lax.scan(step, jnp.zeros((x.shape[0], m), x.dtype), (drive, taps))
        return s @ v[0] / math.sqrt(m), states

    y, back, states = jax.vjp(outputs, jnp.zeros_like(drive), has_aux=True)
    return states, back(jnp.ones_like(y))[0]


def arguments(n: int, t: int, m: int) -> tuple[Any, Any]:
    """Parameters and sequences of a row."""
    x = jax.random.normal(jax.random.key(0), (n, t, CHANNELS))
    return network(Elman(width=m)).init_fn(jax.random.key(1), x.shape)[1], x


def _ours(m: int, params: Any, x: Any) -> Program:
    # The bias has scale 0; the peer would only differentiate it.
    ntk_fn = empirical_ntk_fn(Elman(width=m, trainable=("w", "u", "v")))
    return lambda: ntk_fn(x, None, params)


def _against_peers(size: tuple[int, int, int], all_peers: bool) -> Row:
    n, t, m = size

    def build() -> dict[str, Program]:
        params, x = arguments(n, t, m)

        def chosen(name: str, unroll: bool) -> bool:
            # Minutes to compile or to run, and never the best where they were tried.
            slow = name == "STRUCTURED_DERIVATIVES" or (unroll and name != "JACOBIAN_CONTRACTION")
            large = n * n * t * m * m > 5e10 and name != "JACOBIAN_CONTRACTION"
            return all_peers or not (slow or large or (unroll and n * t * m * m > 4e7))

        return {"ntkrnn": _ours(m, params, x), **peers(plain_network, params, x, chosen)}

    target = 8.0 if m >= 1024 else 4.0
    sizes = {"N": n, "T": t, "m": m}
    name = "finite-" + "-".join(map(str, size))
    return Row(name, "finite NTK", sizes, build, target, tolerance=1e-4, repeats=9)


def _against_the_pass(size: tuple[int, int, int]) -> Row:
    n, t, m = size

    def build() -> dict[str, Program]:
        params, x = arguments(n, t, m)
        run = jax.jit(forward_backward)
        return {"ntkrnn": _ours(m, params, x), "forward + backward": lambda: run(params, x)}

    sizes = {"N": n, "T": t, "m": m}
    name = "pass-" + "-".join(map(str, size))
    return Row(name, "finite NTK", sizes, build, 2.0, "at most", tolerance=None, repeats=15)


def finite_rows(quick: bool = False, all_peers: bool = False) -> list[Row]:
    """The rows; ``all_peers`` also runs the implementations of peers that take minutes."""
    sizes = ((8, 6, 32),) if quick else SIZES
    return [
        *(_against_peers(size, all_peers) for size in sizes),
        *(_against_the_pass(size) for size in sizes),
    ]

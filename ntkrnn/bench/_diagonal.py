"""Rows for the tangent kernel of diagonal networks, against the best of neural-tangents.

At the start half of the neurons repeat the others, which ntkrnn sees and a Jacobian does not; the rows
"moved" have parameters of which none repeats.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import Diagonal, empirical_ntk_fn, network
from ntkrnn.bench._peers import label, peer_kernel
from ntkrnn.bench._row import Program, Row

SIZES = ((32, 32, 1024), (128, 16, 4096))
CHANNELS = 8
TARGETS = {"sequence": 5.0, "last": 1.0}


def plain_network(readout: str, c: Any, params: Any, x: Any) -> Any:
    """Tanh, as plainly as JAX has it, on ``[n, T, d]``; c is not differentiated."""
    drive = jnp.swapaxes(x @ params["u"].T, 0, 1)

    def step(h: Any, one: Any) -> tuple[Any, Any]:
        h = jnp.tanh(params["w"] * h + one)
        return h, h @ c.T if readout == "sequence" else None

    h, y = jax.lax.scan(step, jnp.zeros_like(drive[0]), drive)
    y = jnp.swapaxes(y, 0, 1) if readout == "sequence" else h @ c.T
    return y / math.sqrt(c.shape[1])


def _against_peers(size: tuple[int, int, int], readout: str, moved: bool, all_peers: bool) -> Row:
    n, t, m = size

    def build() -> dict[str, Program]:
        arch = Diagonal(width=m, readout=readout)
        x = jax.random.normal(jax.random.key(0), (n, t, CHANNELS)) / math.sqrt(CHANNELS)
        params = network(arch).init_fn(jax.random.key(1), x.shape)[1]
        if moved:
            params["u"] += 0.1 * jax.random.normal(jax.random.key(2), params["u"].shape)
        ntk_fn = empirical_ntk_fn(arch)
        found: dict[str, Program] = {"ntkrnn": lambda: ntk_fn(x, None, params)}
        trained = {block: params[block] for block in ("w", "u")}
        for name in ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS"):
            # A forward pass for each pair of outputs.
            slow = name == "NTK_VECTOR_PRODUCTS" and (readout == "sequence" or n > 32)
            if slow and not all_peers:
                continue
            peer = peer_kernel(name, functools.partial(plain_network, readout, params["c"]))
            found[label(name)] = functools.partial(jax.jit(peer), trained, x)
        return found

    name = "-".join(["diagonal", readout, *(["moved"] if moved else []), *map(str, size)])
    title = f"diagonal NTK, {readout}{', moved' if moved else ''}"
    target = None if moved else TARGETS[readout]
    sizes = {"N": n, "T": t, "m": m}
    return Row(name, title, sizes, build, target, tolerance=1e-4, repeats=7)


def diagonal_rows(quick: bool = False, all_peers: bool = False) -> list[Row]:
    """The rows; ``all_peers`` also runs the implementations of peers that take minutes."""
    sizes = ((4, 6, 32),) if quick else SIZES
    return [
        _against_peers(size, readout, moved, all_peers)
        for readout in TARGETS
        for size in sizes
        for moved in (False, True)
    ]

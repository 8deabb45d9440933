"""Rows for the finite-width tangent kernels of gated cells, against the best of neural-tangents.

The peer is as in :mod:`ntkrnn.bench._finite`: its implementations on a plain network with the same
parameters, one product for all gates at each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn import GRU, LSTM, empirical_ntk_fn, network
from ntkrnn.bench._peers import peers
from ntkrnn.bench._row import Program, Row

SIZES = ((16, 20, 256, 3.0), (16, 20, 1024, 6.0))
"""N, T, m, and the wanted ratio."""
CHANNELS = 8
TRAINABLE = ("w", "u", "v")
"""The bias has scale 0; the peer would only differentiate it."""


def plain_lstm(params: Any, x: Any, unroll: bool = False) -> Any:
    """Last state of an LSTM with forget bias 1, all scales 1 and no other bias, on ``[n, T, d]``."""
    cell, v = params["cells"][0]["forward"], params["v"]
    _, m, d = cell["u"].shape
    w, u = cell["w"].reshape(-1, m), cell["u"].reshape(-1, d)
    drive = jnp.swapaxes(x @ u.T / math.sqrt(d), 0, 1)

    def step(carry: Any, one: Any) -> tuple[Any, None]:
        s, c = carry
        i, f, g, o = jnp.split(s @ w.T / math.sqrt(m) + one, 4, axis=-1)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zero = jnp.zeros((x.shape[0], m), x.dtype)
    s, _ = _over(step, (zero, zero), drive, unroll)
    return s @ v.T / math.sqrt(m)


def plain_gru(params: Any, x: Any, unroll: bool = False) -> Any:
    """Last state of a GRU with the reset after the matrix, all scales 1 and no bias."""
    cell, v = params["cells"][0]["forward"], params["v"]
    _, m, d = cell["u"].shape
    w, u = cell["w"].reshape(-1, m), cell["u"].reshape(-1, d)
    drive = jnp.swapaxes(x @ u.T / math.sqrt(d), 0, 1)

    def step(s: Any, one: Any) -> tuple[Any, None]:
        own, given = s @ w.T / math.sqrt(m), one
        r, z = (jax.nn.sigmoid(own[:, k] + given[:, k]) for k in (slice(m), slice(m, 2 * m)))
        n = jnp.tanh(given[:, 2 * m :] + r * own[:, 2 * m :])
        return (1 - z) * n + z * s, None

    s = _over(step, jnp.zeros((x.shape[0], m), x.dtype), drive, unroll)
    return s @ v.T / math.sqrt(m)


def _over(step: Any, start: Any, drive: Any, unroll: bool) -> Any:
    """The last carry."""
    if not unroll:
        return jax.lax.scan(step, start, drive)[0]
    for one in drive:
        start, _ = step(start, one)
    return start


CELLS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "lstm": (LSTM, plain_lstm),
    "gru": (GRU, plain_gru),
}


def _row(cell: str, size: tuple[int, int, int, float], all_peers: bool) -> Row:
    n, t, m, target = size
    kind, plain = CELLS[cell]

    def build() -> dict[str, Program]:
        arch = kind(width=m, trainable=TRAINABLE)
        x = jax.random.normal(jax.random.key(0), (n, t, CHANNELS))
        params = network(arch).init_fn(jax.random.key(1), x.shape)[1]
        ours = empirical_ntk_fn(arch)

        def chosen(name: str, unroll: bool) -> bool:
            # Minutes to compile or to run, and never the best where they were tried.
            slow = (unroll or m > 256) and (unroll, name) != (False, "JACOBIAN_CONTRACTION")
            return name != "STRUCTURED_DERIVATIVES" and (all_peers or not slow)

        return {"ntkrnn": lambda: ours(x, None, params), **peers(plain, params, x, chosen)}

    name, title = f"{cell}-{n}-{t}-{m}", f"finite NTK, {kind.kind}"
    return Row(name, title, {"N": n, "T": t, "m": m}, build, target, tolerance=1e-4, repeats=9)


def gated_rows(quick: bool = False, all_peers: bool = False) -> list[Row]:
    """The rows; ``all_peers`` also runs the implementations of peers that take minutes."""
    sizes = ((8, 6, 32, 0.0),) if quick else SIZES
    return [_row(cell, size, all_peers) for cell in CELLS for size in sizes]

"""Rows for the infinite-width kernels."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from ntkrnn import Elman, network
from ntkrnn.bench._row import Program, Row
from ntkrnn.bench._transcriptions import direct_last, numpy_last, numpy_mean


def _sequences(n: int, t: int, d: int) -> Any:
    return jax.random.normal(jax.random.key(0), (n, t, d))


def _kernel(x: Any, **fields: Any) -> Program:
    kernel_fn = network(Elman(**fields)).kernel_fn
    return lambda: tuple(kernel_fn(x))


def _last(nonlinearity: str, n: int, t: int, d: int) -> Row:
    def build() -> dict[str, Program]:
        x = _sequences(n, t, d)
        host, direct, loop = np.asarray(x), direct_last(nonlinearity), numpy_last(nonlinearity)
        return {
            "ntkrnn": _kernel(x, nonlinearity=nonlinearity),
            "direct JAX": lambda: direct(x),
            "NumPy": lambda: loop(host),
        }

    title = f"{nonlinearity}, last"
    return Row(f"{nonlinearity}-last", title, {"N": n, "T": t, "d": d}, build, 20.0, repeats=5)


def _mean(nonlinearity: str, n: int, t: int, d: int) -> Row:
    def build() -> dict[str, Program]:
        x = _sequences(n, t, d)
        host, loop = np.asarray(x), numpy_mean(nonlinearity)
        return {
            "ntkrnn": _kernel(x, nonlinearity=nonlinearity, readout="mean"),
            "NumPy [N,N,T,T]": lambda: loop(host),
        }

    title = f"{nonlinearity}, mean"
    return Row(f"{nonlinearity}-mean", title, {"N": n, "T": t, "d": d}, build, 15.0, repeats=5)


def _against(
    name: str,
    title: str,
    sizes: dict[str, int],
    ours: dict[str, Any],
    peer: tuple[str, dict[str, Any]],
    target: float,
    wanted: str,
) -> Row:
    """Two kernels of ours: another depth, nonlinearity or size."""
    other, fields = peer

    def program(changes: dict[str, Any]) -> Program:
        changed = {**sizes, **{k: v for k, v in changes.items() if k in sizes}}
        rest = {k: v for k, v in changes.items() if k not in sizes}
        return _kernel(_sequences(*changed.values()), **rest)

    def build() -> dict[str, Program]:
        return {"ntkrnn": program(ours), other: program(fields)}

    return Row(name, title, sizes, build, target, wanted, tolerance=None)


def infinite_rows(quick: bool = False) -> list[Row]:
    """The rows, at sizes for a CPU of two cores or, with ``quick``, for a few seconds in all."""
    n, t, d = (192, 20, 4) if quick else (1024, 100, 4)
    sizes = {"N": n, "T": t, "d": d}
    pair = (24, 16, d) if quick else (128, 64, d)
    rows = [_last(nl, n, t, d) for nl in ("erf", "relu")]
    rows += [_mean(nl, *pair) for nl in ("erf", "relu")]
    rows += [
        _against("depth", "erf, last, depth 3", sizes, {"depth": 3}, ("depth 1", {}), 3.2, "at most"),
        _against(
            "tanh",
            "tanh, last",
            sizes,
            {"nonlinearity": "tanh", "u_std": 0.5},
            ("erf", {"u_std": 0.5}),
            4.0,
            "at most",
        ),
        _against("linear-in-T", "erf, last, T", sizes, {"T": 2 * t}, ("half T", {}), 2.0, "near"),
        _against("quadratic-in-N", "erf, last, N", sizes, {"N": 2 * n}, ("half N", {}), 4.0, "near"),
    ]
    if jax.default_backend() == "gpu" and not quick:
        big = {"N": 20_000, "T": 100, "d": 4}
        rows.append(
            _against(
                "large",
                "erf, last, N = 20,000",
                big,
                {},
                ("relu", {"nonlinearity": "relu"}),
                1.0,
                "near",
            )
        )
    return rows

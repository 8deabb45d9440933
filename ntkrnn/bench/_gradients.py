"""Rows for derivatives of the infinite-width kernels: over the kernels, and over a plain scan.

What is differentiated is ``sum_ij C_ij K_ij`` with a matrix C of fixed random numbers and K the tangent
kernel, as the gradient of a likelihood is, by the scales w_std, u_std, v_std and by x.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import Elman, network
from ntkrnn.bench._row import Program, Row
from ntkrnn.bench._transcriptions import direct_sequence

SCALES = (1.1, 0.9, 1.0)
Loss = Callable[[Any, Any], Any]
"""``(scales, x) -> number``"""


def weighted_kernel(arch: Elman, x: Any) -> tuple[Loss, tuple[Any, Any]]:
    """The function that is differentiated, and its arguments."""
    shape = jax.eval_shape(lambda x: network(arch).kernel_fn(x, get="ntk"), x).shape
    weights = np.random.default_rng(1).normal(size=shape).astype(x.dtype)

    def loss(scales: Any, x: Any) -> Any:
        w_std, u_std, v_std = scales
        changed = dataclasses.replace(arch, w_std=w_std, u_std=u_std, v_std=v_std)
        return jnp.sum(weights * network(changed).kernel_fn(x, get="ntk"))

    return loss, (tuple(jnp.asarray(scale, x.dtype) for scale in SCALES), x)


def sequences(n: int, t: int, d: int) -> Any:
    """``[N, T, d]``"""
    return jax.random.normal(jax.random.key(0), (n, t, d))


def _forward(arch: Elman, x: Any) -> Program:
    kernel_fn = network(arch).kernel_fn
    return lambda: kernel_fn(x, get="ntk")


def _row(name: str, title: str, arch: Elman, size: tuple[int, int, int], target: float) -> Row:
    def build() -> dict[str, Program]:
        x = sequences(*size)
        loss, given = weighted_kernel(arch, x)
        both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        return {"ntkrnn": lambda: both(*given), "kernel": _forward(arch, x)}

    sizes = dict(zip("NTd", size, strict=True))
    return Row(name, title, sizes, build, target, "at most", tolerance=None, repeats=5)


def _tangents(size: tuple[int, int, int]) -> Row:
    """The value and its derivatives by three scales, forwards."""

    def build() -> dict[str, Program]:
        x = sequences(*size)
        kernel_fn = _kernel_of_scales(Elman(), x)
        scales = jnp.asarray(SCALES, x.dtype)

        @jax.jit
        def tangents(scales: Any) -> Any:
            along = lambda direction: jax.jvp(kernel_fn, (scales,), (direction,))  # noqa: E731
            return jax.vmap(along, out_axes=(None, 0))(jnp.eye(3, dtype=x.dtype))

        return {"ntkrnn": lambda: tangents(scales), "kernel": _forward(Elman(), x)}

    sizes = dict(zip("NTd", size, strict=True))
    title = "erf, last, value and 3 tangents"
    return Row("gradient-tangents", title, sizes, build, 3.5, "at most", tolerance=None, repeats=5)


def _kernel_of_scales(arch: Elman, x: Any) -> Callable[[Any], Any]:
    def kernel(scales: Any) -> Any:
        changed = dataclasses.replace(arch, w_std=scales[0], u_std=scales[1], v_std=scales[2])
        return network(changed).kernel_fn(x, get="ntk")

    return kernel


def _long_sequence(steps: int, d: int, target: float) -> Row:
    """One long sequence and all pairs of its steps, against a scan over the rows of the plane."""

    def build() -> dict[str, Program]:
        x = sequences(1, steps, d)
        loss, given = weighted_kernel(Elman(readout="sequence"), x)
        weights = np.random.default_rng(1).normal(size=(1, 1, steps, steps)).astype(x.dtype)
        plain = direct_sequence("erf")

        def peer_loss(scales: Any, x: Any) -> Any:
            return jnp.sum(weights[0, 0] * plain(scales, x[0]))

        ours, peer = (jax.jit(jax.value_and_grad(f, argnums=(0, 1))) for f in (loss, peer_loss))
        return {"ntkrnn": lambda: ours(*given), "plain scan": lambda: peer(*given)}

    sizes = {"N": 1, "T": steps, "d": d}
    title = "erf, sequence, value and gradient"
    return Row("gradient-sequence", title, sizes, build, target, "seconds", tolerance=1e-3, repeats=5)


def gradient_rows(quick: bool = False) -> list[Row]:
    """The rows, at sizes for a CPU of two cores or, with ``quick``, for a few seconds in all."""
    last, mean, steps = ((24, 16, 4), (8, 8, 4), 32) if quick else ((400, 80, 4), (100, 40, 4), 1024)
    relu = Elman(nonlinearity="relu", readout="mean")
    return [
        _row("gradient-last", "erf, last, value and gradient", Elman(), last, 5.0),
        _row("gradient-mean", "relu, mean, value and gradient", relu, mean, 6.0),
        _tangents(last),
        _long_sequence(steps, 4, 0.15),
    ]


def gradient_temporaries(n: int, t: int) -> int:
    """Bytes that the compiled value and gradient keeps beside arguments and results."""
    x = sequences(n, t, 4)
    loss, given = weighted_kernel(Elman(), x)
    both = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    analysis = both.lower(*given).compile().memory_analysis()
    return int(getattr(analysis, "temp_size_in_bytes", 0))

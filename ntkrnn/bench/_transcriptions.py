r"""The recursion as it stands on paper, in JAX and in NumPy: what a user would write without us.

Readouts "last" and "mean", w_std = u_std = v_std = 1, no bias, all blocks trained. Both carry the
covariance alone and are the less accurate for it. In JAX one scan over time on the whole N x N
matrix; in NumPy the same loop, and for "mean" arrays [N, N, T, T].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _dual(xp: Any, nonlinearity: str) -> Callable[..., tuple[Any, Any]]:
    """``(c, q1, q2) -> (k, kdot)`` of erf or relu."""
    arcsin, arccos = (xp.arcsin, xp.arccos)

    def erf(c: Any, q1: Any, q2: Any) -> tuple[Any, Any]:
        p = (1 + 2 * q1) * (1 + 2 * q2)
        return 2 / math.pi * arcsin(2 * c / xp.sqrt(p)), 4 / math.pi / xp.sqrt(p - 4 * c * c)

    def relu(c: Any, q1: Any, q2: Any) -> tuple[Any, Any]:
        s = xp.sqrt(q1 * q2)
        theta = arccos(xp.clip(c / s, -1, 1))
        k = s / (2 * math.pi) * (xp.sin(theta) + (math.pi - theta) * xp.cos(theta))
        return k, (math.pi - theta) / (2 * math.pi)

    return {"erf": erf, "relu": relu}[nonlinearity]


def direct_last(nonlinearity: str) -> Callable[[Any], tuple[Any, Any]]:
    """Compiled ``x [N, T, d] -> (nngp, ntk)`` for readout "last"."""
    dual = _dual(jnp, nonlinearity)

    @jax.jit
    def kernels(x: Any) -> tuple[Any, Any]:
        def step(state: Any, x_t: Any) -> tuple[Any, None]:
            k, theta, variance = state
            h = k + x_t @ x_t.T / x_t.shape[1]
            q = variance + jnp.mean(x_t**2, axis=1)
            k, kdot = dual(h, q[:, None], q[None, :])
            return (k, kdot * (h + theta), dual(q, q, q)[0]), None

        n = x.shape[0]
        start = (jnp.zeros((n, n), x.dtype), jnp.zeros((n, n), x.dtype), jnp.zeros(n, x.dtype))
        (k, theta, _), _ = jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))
        return k, k + theta

    return kernels


def numpy_last(nonlinearity: str) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The same in NumPy, in the dtype of x."""
    dual = _dual(np, nonlinearity)

    def kernels(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, steps, d = x.shape
        k, theta = np.zeros((n, n), x.dtype), np.zeros((n, n), x.dtype)
        variance = np.zeros(n, x.dtype)
        for t in range(steps):
            h = k + x[:, t] @ x[:, t].T / d
            q = variance + np.mean(x[:, t] ** 2, axis=1)
            k, kdot = dual(h, q[:, None], q[None, :])
            theta = kdot * (h + theta)
            variance = dual(q, q, q)[0]
        return k, k + theta

    return kernels


def direct_sequence(nonlinearity: str) -> Callable[[Any, Any], Any]:
    """``(scales, x [T, d]) -> ntk [T, T]`` of one sequence, by a scan over the rows of the plane."""
    dual = _dual(jnp, nonlinearity)

    def kernel(scales: Any, x: Any) -> Any:
        w, u, v = (scale**2 for scale in scales)

        def own(variance: Any, x_t: Any) -> tuple[Any, Any]:
            q = w * variance + u * jnp.mean(x_t**2)
            return dual(q, q, q)[0], q

        q = jax.lax.scan(own, jnp.zeros((), x.dtype), x)[1]

        def row(state: Any, given: Any) -> tuple[Any, Any]:
            x_t, q_t = given
            k, theta = (jnp.concatenate([jnp.zeros(1, x.dtype), a[:-1]]) for a in state)
            h = w * k + u * (x @ x_t) / x.shape[1]
            k, kdot = dual(h, q_t, q)
            theta = kdot * (h + w * theta)
            return (k, theta), v * (k + theta)

        zero = jnp.zeros(len(x), x.dtype)
        return jax.lax.scan(row, (zero, zero), (x, q))[1]

    return kernel


def numpy_mean(nonlinearity: str) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Readout "mean" in NumPy, with the kernels of all pairs of steps kept, [N, N, T, T]."""
    dual = _dual(np, nonlinearity)

    def kernels(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, steps, d = x.shape
        k, theta = (np.zeros((n, n, steps + 1, steps + 1), x.dtype) for _ in range(2))
        variances, variance = np.zeros((n, steps), x.dtype), np.zeros(n, x.dtype)
        for t in range(steps):
            variances[:, t] = variance + np.mean(x[:, t] ** 2, axis=1)
            variance = dual(*(variances[:, t],) * 3)[0]
        for t in range(steps):
            h = k[:, :, t, :-1] + np.einsum("id,jsd->ijs", x[:, t], x) / d
            new, kdot = dual(h, variances[:, None, None, t], variances[None, :, :])
            k[:, :, t + 1, 1:] = new
            theta[:, :, t + 1, 1:] = kdot * (h + theta[:, :, t, :-1])
        cov, ntk = (a[:, :, 1:, 1:].mean(axis=(2, 3)) for a in (k, theta))
        return cov, cov + ntk

    return kernels

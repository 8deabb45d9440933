"""Transport maps: smooth random ones, their bounds, and the neurons that they move."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._types import Array, Params

Map = Callable[[Array, Array], Array]
"""``(w [S], u [S, d])`` to ``[S]`` or ``[S, d]``."""


def smooth_maps(
    rng: np.random.Generator, dim: int, rho_w: float, rho_u: float, features: int, frequency: float
) -> tuple[Map, Map]:
    """``v_w`` and ``v_u`` of the formula at :meth:`TransportTarget.sample`."""
    omega = frequency * rng.standard_normal((1 + dim, features))
    phase = rng.uniform(0, 2 * math.pi, features)
    mix = rng.standard_normal((features, 1 + dim)) * math.sqrt(2 / features)

    def g(w: Array, u: Array) -> Array:
        z = jnp.concatenate([w[:, None], u], axis=1)
        wave = jnp.cos(_product(z, omega) + jnp.asarray(phase, z.dtype)[None, :])
        return _product(wave, mix)

    def v_w(w: Array, u: Array) -> Array:
        first = g(w, u)[:, 0]
        return rho_w * first / jnp.sqrt(1 + first**2)

    def v_u(w: Array, u: Array) -> Array:
        rest = g(w, u)[:, 1:]
        return rho_u * rest / jnp.sqrt(1 + jnp.sum(rest**2, axis=1, keepdims=True))

    return v_w, v_u


def checked_maps(
    maps: tuple[Map, Map], radii: tuple[float, float], w: Array, u: Array
) -> tuple[Array, Array]:
    """Both maps at the neurons ``w [S]``, ``u [S, d]``, their shapes and bounds checked.

    Raises:
        ValueError: naming the map; bounds are seen only where the values are concrete.
    """
    v_w, v_u = (jnp.asarray(v(w, u), w.dtype) for v in maps)
    for name, v, shape in (("v_w", v_w, w.shape), ("v_u", v_u, u.shape)):
        if v.shape != shape:
            raise ValueError(
                f"{name}: got shape {v.shape} for w {w.shape} and u {u.shape}, expected {shape}."
            )
    sizes = (("v_w", "rho_w", jnp.abs(v_w)), ("v_u", "rho_u", jnp.linalg.norm(v_u, axis=1)))
    for (name, bound, size), rho in zip(sizes, radii, strict=True):
        values = _checks.concrete_values(size)
        if values is None:
            continue
        worst = int(np.argmax(np.where(np.isfinite(values), values, np.inf)))
        if not values[worst] <= rho * (1 + 16 * float(jnp.finfo(w.dtype).eps)):
            raise ValueError(
                f"{name}: got size {values[worst]:g} at w={float(w[worst]):g}, "
                f"u={np.asarray(u[worst])}, expected at most {bound}={rho:g}; pass a larger "
                f"{bound} or a bounded map."
            )
    return v_w, v_u


def neurons_of(params: Params, alpha: float) -> tuple[Array, Array, Array]:
    """``w [m]``, ``u [m, d]`` and the signs ``c [m]`` of a network that a target can be realised in.

    Raises:
        ValueError: for parameters of another network, of several outputs, or of another alpha.
    """
    if not hasattr(params, "get") or any(params.get(b) is None for b in ("w", "u", "c")):
        shapes = jax.tree.map(jnp.shape, params)
        raise ValueError(
            f"params: got {shapes}, expected {{'w': [m], 'u': [m, d], 'c': [1, m]}}, as the "
            "init_fn of ntkrnn.network(ntkrnn.Diagonal(...)) draws them."
        )
    w, u, c = (params[b] for b in ("w", "u", "c"))
    m = w.shape[0]
    if c.shape != (1, m):
        raise ValueError(f"params: got c of shape {c.shape}, expected (1, {m}), one output.")
    sizes = _checks.concrete_values(jnp.abs(w))
    eps = float(jnp.finfo(w.dtype).eps)
    if sizes is not None and np.abs(sizes - alpha).max() > 4 * eps * max(alpha, eps):
        raise ValueError(
            f"params: got recurrent weights of sizes {sizes.min():g} to {sizes.max():g}, expected "
            f"alpha={alpha:g}; draw them with ntkrnn.Diagonal(alpha={alpha:g})."
        )
    return w, u, c[0]


def _product(a: Array, b: np.ndarray) -> Array:
    return jnp.matmul(a, jnp.asarray(b, a.dtype), precision=jax.lax.Precision.HIGHEST)

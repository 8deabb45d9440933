"""Finite diagonal networks: ``h_t = sigma(w h_{t-1} + U x_t)`` elementwise, and a readout of signs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Outputs, Params, Sequences
from ntkrnn.architectures import Diagonal
from ntkrnn.cells._read_out import read
from ntkrnn.cells._stack import UNROLL, Steps, Trace, inside_of
from ntkrnn.dual._value import scalar_function


def parameter_shapes(arch: Diagonal, channels: int) -> Params:
    """``{"w": (m,), "u": (m, d), "c": (O, m)}``.

    Example:
        >>> from ntkrnn.architectures import Diagonal
        >>> parameter_shapes(Diagonal(width=4), 3)["u"]
        (4, 3)
    """
    m = arch.width
    return {"w": (m,), "u": (m, channels), "c": (arch.out_dim, m)}


def init_params(arch: Diagonal, key: Array, channels: int, dtype: Any = None) -> Params:
    """Signs times alpha, Gaussian input weights, signs; each block with its own key."""
    dtype = jnp.asarray(0.0).dtype if dtype is None else dtype
    m = arch.width // 2 if arch.symmetric else arch.width
    keys = jax.random.split(key, 3)
    w = jnp.asarray(arch.alpha, dtype) * jax.random.rademacher(keys[0], (m,), dtype)
    u = jax.random.normal(keys[1], (m, channels), dtype)
    c = jax.random.rademacher(keys[2], (arch.out_dim, m), dtype)
    if arch.symmetric:
        w, u = jnp.concatenate([w, w]), jnp.concatenate([u, u])
        c = jnp.concatenate([c, -c], axis=1)
    return {"w": w, "u": u, "c": c}


def channels(params: Params) -> int:
    """The input channels d that parameters were drawn for."""
    return params["u"].shape[1]


def _halves(arch: Diagonal, a: Array, axis: int) -> list[Array]:
    """The neurons and their mirror images, or all of them."""
    return jnp.split(a, 2, axis=axis) if arch.symmetric else [a]


def _read_out(parts: list[Array], signs: list[Array], precision: Any) -> Array:
    """``sum_i c_i r_i`` over the last axis.

    Of mirror images it is ``sum (c - c')/2 (r - r') + (c + c')/2 (r + r')``, the same for any c; at
    the start, where r = r' and c = -c', every term is exactly 0, in whatever order they are added.
    """

    def product(c: Array, r: Array) -> Array:
        return jnp.einsum("...m,om->...o", r, c, precision=precision)

    if len(parts) == 1:
        return product(signs[0], parts[0])
    (r, mirror), (c, other) = parts, signs
    return product(0.5 * (c - other), _difference(r, mirror)) + product(0.5 * (c + other), r + mirror)


@jax.custom_jvp
def _difference(a: Array, b: Array) -> Array:
    """``a - b``, exactly 0 for equal numbers.

    A compiler may subtract products without rounding one of them, and leave that rounding of two
    equal numbers; it compares them rounded.
    """
    return jnp.where(a == b, jnp.zeros_like(a), a - b)


@_difference.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (a, b), (da, db) = primals, tangents
    return _difference(a, b), da - db


def run(
    arch: Diagonal,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    columns: bool = False,
    precision: Any = None,
    unroll: int = UNROLL,
) -> Trace:
    """A batch of sequences through the network; see :func:`ntkrnn.cells.run`.

    Mirrored halves are computed apart, by the same operations on arrays of the same shape: equal
    neurons then have equal states to the last bit, however a product groups its columns. Every step
    is a turn of one loop: steps beside it would be compiled with what surrounds them, where
    ``w h + u x`` of two neurons may be fused in two ways.

    Cost: O(N T m d).
    """
    del columns  # there is no product with the states
    phi = scalar_function(arch.nonlinearity)
    inside = inside_of(x.shape[1], lengths)
    x = jnp.swapaxes(x, 0, 1)
    if inside is not None:
        x = jnp.where(inside[:, :, None], x, 0)
    weights = _halves(arch, params["w"], 0)
    drives = [
        jnp.einsum("tnd,md->tnm", x, u, precision=precision) for u in _halves(arch, params["u"], 0)
    ]

    def step(states: list[Array], inputs: Any) -> tuple[list[Array], Any]:
        drives, valid = inputs
        pre = [w[None, :] * h + drive for w, h, drive in zip(weights, states, drives, strict=True)]
        new = [phi(a) for a in pre]
        if valid is not None:
            new = [jnp.where(valid[:, None], h, 0) for h in new]
        return new, (new, pre)

    if len(x) % unroll or len(x) == unroll:  # steps would be left over, or the only turn unrolled
        unroll = 1
    start = [jnp.zeros_like(drive[0]) for drive in drives]
    _, (states, pre) = jax.lax.scan(step, start, (drives, inside), unroll=unroll)
    parts = [read(arch.reading, h, lengths, backward=False) for h in states]
    output = _read_out(parts, _halves(arch, params["c"], 1), precision) / math.sqrt(arch.width)
    h = jnp.concatenate(states, axis=-1)
    previous = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
    steps = Steps((jnp.concatenate(pre, axis=-1),), {"state": previous, "input": x})
    return Trace(output, jnp.concatenate(parts, axis=-1), [{"forward": steps}])


def gradient(
    arch: Diagonal,
    params: Params,
    x: Sequences,
    lengths: Lengths | None,
    cotangent_of: Callable[[Outputs], Array],
    unroll: int = UNROLL,
) -> Params:
    """Reverse mode: what U multiplies stands outside of the loop, and is one product for all steps."""
    trained = {block: params[block] for block in arch.trainable}

    def outputs(trained: Params) -> Outputs:
        return run(arch, {**params, **trained}, x, lengths, unroll=unroll).output

    y, back = jax.vjp(outputs, trained)
    found = back(cotangent_of(y))[0]
    return {block: found.get(block) for block in params}

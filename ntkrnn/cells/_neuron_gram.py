r"""Kernels of neurons that do not meet: Gram matrices of their states and forward sensitivities.

For ``h_t = sigma(w h_{t-1} + <u, x_t>)`` the derivatives run forwards with the state::

    D_w h_t = sigma'_t (h_{t-1} + w D_w h_{t-1}),   D_u h_t = sigma'_t (x_t + w D_u h_{t-1})

and a kernel is a sum over neurons of products of such features. The neurons pass a few at a time:
their features are one matrix whose product with itself is added up, and no Jacobian is ever held.
Finite networks give their own neurons; the infinite-width kernel gives samples of their law.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array
from ntkrnn.cells._stack import inside_of
from ntkrnn.dual._value import Nonlinearity, scalar_function
from ntkrnn.readouts import Readout, weights_of

CHUNK_ENTRIES = 2**22
"""Features of one side that are held at a time."""
LARGEST_CHUNK = 64
"""Neurons of a chunk: more make the products no faster, and their features leave the cache."""
LEAF_ROWS = 128
"""Rows up to which a symmetric product is computed whole."""


class Reading(NamedTuple):
    """What is summed over the neurons; a program is compiled for it."""

    nonlinearity: str | Nonlinearity
    readout: Readout
    groups: tuple[tuple[str, ...], ...]
    """A Gram matrix for each group of features: ``("h",)``, or some of ``("w", "u")``."""
    time: str | None = None
    """With "sequence": "kept" for all pairs of steps, "diagonal" for equal ones, "traced" for their
    sum."""


class Neurons(NamedTuple):
    """Neurons and how each enters: kernels are ``sum_i c_{o,i} c_{o',i} <features_i, features'_i>``."""

    w: Array
    """``[M]``"""
    u: Array
    """``[M, d]``"""
    c: Array
    """``[K, M]``, K outputs."""


class Batch(NamedTuple):
    """The sequences of one side."""

    x: Array
    """``[N, T, d]``"""
    lengths: Array | None


def _chunks(neurons: Neurons, size: int) -> Neurons:
    """``[chunks, ...]``; neurons that fill up the last one count 0 times."""
    count = -(-neurons.w.shape[0] // size)
    short = count * size - neurons.w.shape[0]
    w = jnp.pad(neurons.w, (0, short), mode="edge").reshape(count, size)
    u = jnp.pad(neurons.u, ((0, short), (0, 0)), mode="edge").reshape(count, size, -1)
    c = jnp.pad(neurons.c, ((0, 0), (0, short))).reshape(-1, count, size)
    return Neurons(w, u, jnp.swapaxes(c, 0, 1))


def _features(reading: Reading, some: Neurons, side: Batch, precision: Any) -> list[Array]:
    """``[(T,) K, N, F]`` for each group, F running over features and neurons; 0 at padded steps."""
    phi = scalar_function(reading.nonlinearity)
    n, steps, d = side.x.shape
    inside = inside_of(steps, side.lengths)
    x = jnp.swapaxes(side.x, 0, 1)
    if inside is not None:
        x = jnp.where(inside[:, :, None], x, 0)
    drive = jnp.einsum("tnd,cd->tnc", x, some.u, precision=precision)
    readout, groups = reading.readout, reading.groups
    summed = not (readout.final or readout.stepwise)
    weights = None
    if summed and not readout.uniform:
        weights = weights_of(readout, steps, side.lengths, False, x.dtype)

    # A feature's source is h_{t-1} for w and a channel of x_t for u: both as one multiply-add.
    by_state = [
        jnp.asarray([[[1.0] if b == "w" else [0.0] for b in _features_of(group, d)]], x.dtype)
        for group in groups
    ]
    by_input = [_source(group, x) for group in groups]

    def by_output(features: list[Array]) -> list[Array]:
        return [some.c[:, None, None, :] * a[None] for a in features]

    def step(carry: Any, inputs: Any) -> tuple[Any, Any]:
        h, derivatives, sums = carry
        drive, sources, valid, weight = inputs
        new, slope = jax.jvp(phi, (some.w[None, :] * h + drive,), (jnp.ones_like(h),))
        features = []
        for group, derivative, mask, source in zip(groups, derivatives, by_state, sources, strict=True):
            if group == ("h",):
                features.append(new[:, None, :])
                continue
            own = mask * h[:, None, :] + source[:, :, None]
            features.append(slope[:, None, :] * (own + some.w[None, None, :] * derivative))
        if valid is not None:
            rest = [h, *derivatives] if readout.final else [jnp.zeros((), h.dtype)] * (1 + len(groups))
            new = jnp.where(valid[:, None], new, rest[0])
            features = [
                jnp.where(valid[:, None, None], a, b) for a, b in zip(features, rest[1:], strict=True)
            ]
        if weight is not None:
            sums = [a + weight[:, None, None] * b for a, b in zip(sums, features, strict=True)]
        elif summed:
            sums = [a + b for a, b in zip(sums, features, strict=True)]
        return (new, features, sums), by_output(features) if readout.stepwise else None

    zero = [jnp.zeros((n, len(_features_of(group, d)), some.w.shape[0]), x.dtype) for group in groups]
    start = (jnp.zeros_like(drive[0]), zero, zero if summed else None)
    (_, features, sums), kept = jax.lax.scan(step, start, (drive, by_input, inside, weights))
    if weights is not None:
        features = sums
    elif summed:
        count = steps if side.lengths is None else side.lengths.astype(x.dtype)[:, None, None]
        features = [a / count for a in sums]
    if not readout.stepwise:
        kept = by_output(features)
    return [a.reshape(*a.shape[:-2], -1) for a in kept]


def _features_of(group: tuple[str, ...], d: int) -> list[str]:
    return [name for block in group for name in ([block] if block != "u" else ["u"] * d)]


def _source(group: tuple[str, ...], x: Array) -> Array:
    """``[T, N, features]``: the part of every feature's source that the input gives."""
    zero = jnp.zeros_like(x[..., :1])
    return jnp.concatenate([x if block == "u" else zero for block in group], axis=-1)


def _axes(time: str | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Contracted and batch axes of ``[(T,) rows, F]``."""
    if time == "diagonal":
        return (2,), (0,)
    if time == "traced":
        return (0, 2), ()
    return (1,), ()


def _rows(a: Array, time: str | None) -> Array:
    """``[(T,) K, N, F]`` with one axis of rows, unless time stands apart."""
    if time in ("diagonal", "traced"):
        return a.reshape(a.shape[0], -1, a.shape[-1])
    return a.reshape(-1, a.shape[-1])


def _products(time: str | None, one: Array, two: Array | None, precision: Any) -> list[Array]:
    """Rows by rows; of a side with itself, halved over and over, every pair of blocks once."""
    contracted, batch = _axes(time)
    dims = ((contracted, contracted), (batch, batch))

    def product(a: Array, b: Array) -> Array:
        return jax.lax.dot_general(a, b, dims, precision=precision)

    def upper(a: Array) -> list[Array]:
        rows = a.shape[0]
        if rows <= LEAF_ROWS:
            return [product(a, a)]
        first, second = a[: rows // 2], a[rows // 2 :]
        return [product(first, second), *upper(first), *upper(second)]

    if two is not None:
        return [product(one, two)]
    return [product(one, one)] if one.ndim == 3 else upper(one)


def _in_pairs(time: str | None, one: Array, two: Array, precision: Any) -> Array:
    """``[N, (T1, T2 or T,) K, K]``: sequence i of one side with sequence i of the other alone."""
    letters = {
        None: "knf,lnf->nkl",
        "traced": "tknf,tlnf->nkl",
        "diagonal": "tknf,tlnf->ntkl",
        "kept": "tknf,slnf->ntskl",
    }
    return jnp.einsum(letters[time], one, two, precision=precision)


def _whole(products: list[Array], rows: int) -> Array:
    """``[(T,) rows, rows]`` from what there is of a side with itself, symmetric to the last bit."""
    parts = iter(products)

    def turned(a: Array) -> Array:
        return jnp.swapaxes(a, -1, -2)

    def assembled(rows: int) -> Array:
        part = next(parts)
        if part.shape[-2:] == (rows, rows):
            at = jnp.arange(rows, dtype=jnp.int32)
            above = jnp.broadcast_to(at[:, None] <= at[None, :], part.shape)
            return jnp.where(above, part, turned(part))
        top = jnp.concatenate([assembled(rows // 2), part], axis=1)
        return jnp.concatenate(
            [top, jnp.concatenate([turned(part), assembled(rows - rows // 2)], axis=1)]
        )

    return assembled(rows)


def _arranged(kernel: Array, reading: Reading, outputs: int, sides: tuple[Batch, Batch]) -> Array:
    """``[N1, N2, (T1, T2 or T,) K, K]``."""
    (n1, t1), (n2, t2) = (side.x.shape[:2] for side in sides)
    if reading.time == "kept":
        kernel = kernel.reshape(t1, outputs, n1, t2, outputs, n2)
        return jnp.transpose(kernel, (2, 5, 0, 3, 1, 4))
    if reading.time == "diagonal":
        kernel = kernel.reshape(t1, outputs, n1, outputs, n2)
        return jnp.transpose(kernel, (2, 4, 0, 1, 3))
    kernel = kernel.reshape(outputs, n1, outputs, n2)
    return jnp.transpose(kernel, (1, 3, 0, 2))


def neuron_gram(
    reading: Reading,
    neurons: Neurons,
    one: Batch,
    two: Batch | None,
    precision: Any,
    diagonal: bool = False,
) -> list[Array]:
    """Kernels of a set of neurons.

    Args:
        reading: what is wanted.
        neurons: the neurons.
        one: the first side.
        two: the second side, None for the first.
        precision: of the matrix products.
        diagonal: whether sequence i of one side is wanted with sequence i of the other alone.

    Returns:
        For each group ``[N1, N2, K, K]``, or ``[N1, N2, T1, T2, K, K]`` for time "kept" and
        ``[N1, N2, T, K, K]`` for "diagonal", with one axis N in place of both for a diagonal of the
        kernel; 0 at padded steps; symmetric to the last bit if ``two`` is None.

    Cost: O((N1 + N2) T M d) for the features, and for the sums O(N1 N2 M d), times T for time
    "diagonal" and "traced" and T1 T2 for "kept", about half of it if ``two`` is None; N in place of
    N1 N2 for a diagonal; memory that of the kernels and of the features of a few neurons.
    """
    sides = (one, one if two is None else two)
    outputs, d = neurons.c.shape[0], neurons.u.shape[1]
    longest = max(side.x.shape[0] * (side.x.shape[1] if reading.time else 1) for side in sides)
    widest = sum(len(_features_of(group, d)) for group in reading.groups)
    size = max(16, min(LARGEST_CHUNK, CHUNK_ENTRIES // (longest * outputs * widest)))
    size = min(2 ** (size.bit_length() - 1), neurons.w.shape[0])
    chunks = _chunks(neurons, size)

    def of(some: Neurons) -> list[list[Array]]:
        left = _features(reading, some, one, precision)
        right = None if two is None else _features(reading, some, two, precision)
        if diagonal:
            pairs = zip(left, right or left, strict=True)
            return [[_in_pairs(reading.time, a, b, precision)] for a, b in pairs]
        return [
            _products(
                reading.time,
                _rows(a, reading.time),
                None if b is None else _rows(b, reading.time),
                precision,
            )
            for a, b in zip(left, right or [None] * len(left), strict=True)
        ]

    # What reverse mode would keep of every chunk is computed again instead.
    again = jax.checkpoint(of)

    def add(total: Any, some: Neurons) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, again(some)), None

    first = jax.tree.map(lambda a: a[0], chunks)
    start = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(of, first))
    total, _ = jax.lax.scan(add, start, chunks)
    if diagonal:
        kernels = [part[0] for part in total]
        if two is None and reading.time == "kept":
            kernels = [0.5 * (a + jnp.transpose(a, (0, 2, 1, 4, 3))) for a in kernels]
        return kernels
    if two is None:
        rows = one.x.shape[0] * outputs * (one.x.shape[1] if reading.time == "kept" else 1)
        kernels = [_whole(part, rows) for part in total]
    else:
        kernels = [part[0] for part in total]
    return [_arranged(kernel, reading, outputs, sides) for kernel in kernels]

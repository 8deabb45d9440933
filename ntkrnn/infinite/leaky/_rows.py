"""What each side of a plane of leaky states brings to it: moments of every layer, packed as rows.

The rows ``[R, N]`` of a step, layer and direction are: in the first layer the input channels, scaled
by ``u_std/sqrt(2d)``; the gain; half of the variance that comes through trainable blocks; the three
moments before the step and the three after it; the features of the nonlinearity. Each direction has
its steps in its own order, so that its recursion runs forwards like any other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ntkrnn._types import Array, add_up
from ntkrnn.architectures import Leaky, LeakyScales
from ntkrnn.dual import Stepper
from ntkrnn.infinite.leaky._moments import Fed, LayerTrack, Moments, own_plane, turned
from ntkrnn.infinite.pairs._rows import Key, LayerRows, Layout, Rows, across

_MOMENTS = len(Moments._fields)
_PLANE_BYTES = 1 << 25
"""Size of the planes of single sequences that deep networks keep at a time."""


class Member(NamedTuple):
    """One side of one layer and direction at a step, broadcast against the other side."""

    gain: Array
    before: Moments
    after: Moments
    rest: LayerRows


def view(layout: Layout, key: Key, rows: Array, side: int) -> Member:
    """Name the rows ``[..., R, B]``."""
    named = [across(rows[..., k, :], side) for k in range(layout.first(key), rows.shape[-2])]
    gain, trained, *rest = named
    before, after = Moments(*rest[:_MOMENTS]), Moments(*rest[_MOMENTS : 2 * _MOMENTS])
    return Member(gain, before, after, LayerRows(trained, None, None, tuple(rest[2 * _MOMENTS :])))


def _packed(layout: Layout, x: Array | None, track: LayerTrack) -> Array:
    """``[T, R, N]`` of one layer and direction; ``x`` is ``[T, N, d]``."""
    rows = [track.gain, 0.5 * track.trained]
    rows += [a[:-1] for a in track.moments] + [a[1:] for a in track.moments]
    packed = jnp.stack([*rows, *track.features], axis=1)
    if x is None:
        return packed
    channels = jnp.swapaxes(x, 1, 2)
    padding = layout.channels - channels.shape[1]
    return jnp.concatenate([jnp.pad(channels, ((0, 0), (0, padding), (0, 0))), packed], axis=1)


class Packed(NamedTuple):
    """One side."""

    rows: Rows
    """``[T, R, N]`` for each layer and direction."""
    top: dict[str, LayerTrack]
    """The top layer, by direction."""
    largest: Array
    """``[T, N]``: the largest pre-activation variance of any layer and direction, 0 in the padding."""


def leaky_rows(
    form: Leaky, scale: LeakyScales, phi: Stepper, layout: Layout, x: Array, valid: Array, steps: Any
) -> Packed:
    """Moments and rows of one side.

    Args:
        form: the architecture, of which the scales are not looked at.
        scale: squares of the scales, and the rate.
        phi: the nonlinearity.
        layout: which rows.
        x: ``[T, N, d]`` inputs times ``u_std/sqrt(2d)``, 0 outside the sequences.
        valid: ``[T, N]``, which steps are inside the sequence.
        steps: how many of the T steps are not there to fill up the array.

    Cost: O(L N T^2) evaluations of the nonlinearity.
    """

    def some(x: Array, valid: Array) -> Packed:
        return _rows_of_group(form, scale, phi, layout, x, valid, steps)

    capacity, n, _ = x.shape
    batch = max(1, _PLANE_BYTES // (capacity**2 * x.dtype.itemsize))
    if form.depth == 1 or n <= batch:
        return some(x, valid)
    # Sequences first, in groups whose planes fit; those that fill up the last group are thrown away.
    cut = [jnp.pad(a, ((0, 0), (0, -n % batch), *((0, 0),) * (a.ndim - 2))) for a in (x, valid)]
    cut = [jnp.moveaxis(a.reshape(capacity, -1, batch, *a.shape[2:]), 1, 0) for a in cut]
    groups = jax.lax.map(lambda group: some(*group), tuple(cut))

    def join(a: Array) -> Array:
        joined = jnp.moveaxis(a, 0, -2)
        return joined.reshape(*joined.shape[:-2], -1)[..., :n]

    return jax.tree.map(join, groups)


def _rows_of_group(
    form: Leaky, scale: LeakyScales, phi: Stepper, layout: Layout, x: Array, valid: Array, steps: Any
) -> Packed:
    def ordered(a: Array, direction: str, axes: tuple[int, ...] = (0,)) -> Array:
        """From the order of time to that of a direction, or back."""
        for axis in axes if direction == "backward" else ():
            a = turned(a, steps, axis)
        return a

    def joined(a: Array, axes: tuple[int, ...] = (0,)) -> Array:
        """All directions side by side, as more sequences: one recursion serves them."""
        return jnp.concatenate([ordered(a, d, axes) for d in form.directions], axis=len(axes))

    def parted(a: Array, axes: tuple[int, ...] = (0,)) -> list[Array]:
        parts = jnp.split(a, len(form.directions), axis=a.ndim - 1)
        return [ordered(part, d, axes) for part, d in zip(parts, form.directions, strict=True)]

    inputs, inside = joined(x), joined(valid)
    gain = jnp.where(inside, scale.rate, 0).astype(x.dtype)
    # The scale of the inputs is in x; a layer above has it by itself.
    fed = Fed(2 * jnp.sum(jnp.square(inputs), axis=-1), _between(inputs))
    now = scale._replace(u=jnp.ones((), x.dtype))
    rows, top, largest = {}, {}, jnp.zeros(valid.shape, x.dtype)
    for layer in range(form.depth):
        track, plane = own_plane(form, now, phi, fed, gain, layer < form.depth - 1)
        q = jnp.where(inside, track.features[0], 0)
        largest = functools.reduce(jnp.maximum, parted(q), largest)
        tops = [jnp.split(a, len(form.directions), axis=1) for a in jax.tree.leaves(track)]
        for k, direction in enumerate(form.directions):
            own = jax.tree.unflatten(jax.tree.structure(track), [parts[k] for parts in tops])
            mine = ordered(x, direction) if layer == 0 else None
            rows[layer, direction], top[direction] = _packed(layout, mine, own), own
        if plane is not None:
            variance, between = (
                add_up(parts) / len(form.directions)
                for parts in (parted(2 * track.half_variances), parted(plane, (0, 1)))
            )
            below = joined(between, (0, 1))
            fed, now = Fed(joined(variance), lambda t, below=below: below[t]), scale
    return Packed(rows, top, largest)


def _between(x: Array) -> Callable[[Array], Array]:
    """``t -> [T, N]`` half squared distances of the inputs, summed from differences."""
    return lambda t: jnp.sum(jnp.square(x[t][None] - x), axis=-1)

"""The orders of time that a layer is seen in, and what a readout reads.

Three orders: that of the sequences; a direction's own, in which a backward run begins with the last
valid step; and its reverse, in which derivatives are found.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from ntkrnn._types import Array


class View(NamedTuple):
    """Some columns, sequences or paths, in another order of time."""

    time: Array
    """``[T, C]``: at which time of the order that is looked at a step of this order stands."""
    column: Array
    """``[C]``: in which column."""
    inside: Array
    """``[T, C]``: whether there is such a step."""

    def of(self, square: Array) -> Array:
        """``[T, C, T, C]`` out of ``[T', C', T', C']``; 0 outside."""
        rows, columns = square.shape[:2]
        flat = (self.time * columns + self.column[None, :]).reshape(-1)
        found = square.reshape(rows * columns, -1)[flat][:, flat]
        mask = self.inside.reshape(-1)
        found = jnp.where(mask[:, None] & mask[None, :], found, 0)
        return found.reshape(*self.time.shape, *self.time.shape)


class Orders(NamedTuple):
    """The views of one direction. ``N`` sequences, ``P`` paths."""

    own_of_sequences: View
    """A square ``[T, N, T, N]`` in the order of the sequences, in the direction's own; or the other
    way round, which is the same."""
    reverse_of_own: View
    """One of sequences in the direction's own order, in its reverse, of paths."""
    reverse_of_paths: View
    """One of paths in the order of the sequences, in the reverse of the direction's own."""
    paths_of_reverse: View
    """And back."""
    read: Array
    """``[T, P]``: how much of each step the output of a path reads, in the reverse order."""


def paths_of(readout: str, capacity: int, lengths: Array) -> tuple[Array, Array | None]:
    """The sequence of each path ``[P]``, and for "sequence" which of its steps it is the output of."""
    rows = jnp.arange(lengths.shape[0], dtype=jnp.int32)
    if readout != "sequence":
        return rows, None
    return jnp.repeat(rows, capacity), jnp.tile(jnp.arange(capacity, dtype=jnp.int32), len(rows))


def orders_of(readout: str, capacity: int, lengths: Array, steps: Array, backwards: bool) -> Orders:
    """The views of a direction.

    Args:
        readout: of the architecture.
        capacity: T, of the arrays.
        lengths: ``[N]``.
        steps: the largest of them.
        backwards: whether the direction runs backwards in time.
    """
    sequence, output = paths_of(readout, capacity, lengths)
    rows = jnp.arange(lengths.shape[0], dtype=jnp.int32)
    paths = jnp.arange(len(sequence), dtype=jnp.int32)
    time = jnp.arange(capacity, dtype=jnp.int32)[:, None]
    ends = lengths[sequence]

    def flipped(time: Array, lengths: Array) -> Array:
        """Between the order of the sequences and the direction's own."""
        turned = lengths[None, :] - 1 - time if backwards else time + 0 * lengths[None, :]
        return jnp.clip(turned, 0)

    behind = jnp.clip(steps - 1 - time, 0)  # the own time of a step in reverse
    inside = (time < steps) & (behind < ends[None, :])
    own = behind + 0 * ends[None, :]
    if output is not None:
        read = flipped(own, ends) == output[None, :]
    elif readout == "mean":
        read = 1 / jnp.maximum(ends, 1)[None, :]
    else:
        read = own == ends[None, :] - 1
    return Orders(
        View(flipped(time, lengths), rows, time < lengths[None, :]),
        View(own, sequence, inside),
        View(flipped(own, ends), paths, inside),
        View(jnp.clip(steps - 1 - flipped(time, ends), 0), paths, time < ends[None, :]),
        jnp.where(inside, read, 0).astype(jnp.result_type(float)),
    )

"""The sequences of one side as a program takes them, and what a program is made for."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from ntkrnn._tiling import Tiling
from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Leaky
from ntkrnn.readouts import weights_of


class Data(NamedTuple):
    """One side as it comes: padded, with its true sizes."""

    x: Array
    """``[N, T, d]``, N a multiple of the tile."""
    lengths: Array
    """``[N]`` int32."""
    steps: Any
    """The number of time steps before padding, an int or a traced integer."""


class Settings(NamedTuple):
    """What a compiled program is made for."""

    form: Elman | Leaky
    tiling: Tiling
    triangle: bool
    """Whether both sides are the same."""
    channels: int
    ragged: bool
    """Whether sequences differ in length."""
    diagonal: bool
    """Whether sequence i of one side is wanted with sequence i of the other alone."""
    ahead: bool = False
    """Whether rows have slope features too, for derivatives in forward mode."""


def time_major(data: Data) -> tuple[Array, Array]:
    """``[T, N, d]`` with the padding set to 0, and the valid steps ``[T, N]``."""
    valid = jnp.arange(data.x.shape[1], dtype=jnp.int32)[:, None] < data.lengths[None, :]
    return jnp.where(valid[:, :, None], jnp.swapaxes(data.x, 0, 1), 0), valid


def read_steps(form: Elman | Leaky, lengths: Array, valid: Array, dtype: Any) -> dict[str, Array]:
    """By direction ``[T, N]``: how much of the state at every step a sum over steps reads.

    For "mean" that is 1 at valid steps: its sums are divided at the end.
    """
    if form.reading.uniform:
        return dict.fromkeys(form.directions, valid.astype(dtype))
    return {
        d: weights_of(form.reading, len(valid), lengths, d == "backward", dtype)
        for d in form.directions
    }


def root(square: Any) -> Any:
    """Square root of a scale, with derivative 0 at 0."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)

"""From the states of a layer to what the readout matrix multiplies, and back."""

from __future__ import annotations

import jax.numpy as jnp

from ntkrnn._types import Array, Lengths
from ntkrnn.readouts import Readout, weights_of


def read(readout: Readout, states: Array, lengths: Lengths | None, backward: bool) -> Array:
    """``[N, m]``, or ``[N, T, m]`` for "sequence".

    Args:
        readout: what is read.
        states: ``[T, N, m]``, 0 at padded steps.
        lengths: ``[N]``, or None where all are T.
        backward: whether they are those of a layer that runs backwards.
    """
    if readout.stepwise:
        return jnp.swapaxes(states, 0, 1)
    if readout.final:
        if backward:
            return states[0]
        if lengths is None:
            return states[-1]
        return jnp.take_along_axis(states, lengths[None, :, None] - 1, axis=0)[0]
    if readout.uniform:
        count = states.shape[0] if lengths is None else lengths.astype(states.dtype)[:, None]
        return jnp.sum(states, axis=0) / count
    weights = weights_of(readout, states.shape[0], lengths, backward, states.dtype)
    return jnp.sum(weights[:, :, None] * states, axis=0)


def read_back(
    readout: Readout, cotangent: Array, steps: int, lengths: Lengths | None, backward: bool
) -> tuple[Array | None, Array | None]:
    """Derivative by the states: by the last one run, and by all, ``[T, N, m]``; one of them is None.

    Args:
        readout: what is read.
        cotangent: of what :func:`read` returns.
        steps: T.
        lengths: ``[N]``, or None where all are T.
        backward: whether the layer runs backwards.
    """
    if readout.stepwise:
        return None, jnp.swapaxes(cotangent, 0, 1)
    if readout.uniform:
        count = steps if lengths is None else lengths.astype(cotangent.dtype)[:, None]
        return None, jnp.broadcast_to(cotangent / count, (steps, *cotangent.shape))
    if readout.final and (lengths is None or backward):
        return cotangent, None
    weights = weights_of(readout, steps, lengths, backward, cotangent.dtype)
    return None, weights[:, :, None] * cotangent[None]

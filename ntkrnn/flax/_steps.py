"""What is the same for every module: padding on the way in, the readout on the way out."""

from __future__ import annotations

import inspect
from typing import Any

import jax.numpy as jnp

from ntkrnn._types import Array, Lengths, Outputs, Sequences
from ntkrnn.cells._read_out import read
from ntkrnn.readouts import readout_of

_NAMES = ("lengths", "seq_lengths")


def lengths_name(module: Any) -> str | None:
    """The name under which the module's ``__call__`` takes lengths, or None."""
    parameters = inspect.signature(module.__call__).parameters
    return next((name for name in _NAMES if name in parameters), None)


def lengths_option(module: Any, name: str | None, lengths: Lengths | None) -> dict[str, Any]:
    """The keyword argument that hands the lengths on.

    Raises:
        ValueError: if there are lengths, and the module has no argument for them.
    """
    if lengths is None:
        return {}
    if name is None:
        raise ValueError(
            f"lengths: got lengths, but __call__ of {type(module).__name__} takes neither 'lengths' "
            "nor 'seq_lengths'; write a module that takes one of them and hands it to its RNN layers "
            "as seq_lengths."
        )
    return {name: lengths}


def inside(x: Sequences, lengths: Lengths) -> Array:
    """``[N, T, 1]``: whether a step is valid."""
    return (jnp.arange(x.shape[1]) < lengths[:, None])[:, :, None]


def without_padding(x: Sequences, lengths: Lengths | None) -> Sequences:
    """``x`` with zeros in the padding: NaN there would reach the gradients of whatever masks it."""
    return x if lengths is None else jnp.where(inside(x, lengths), x, 0)


def read_out(y: Any, x: Sequences, lengths: Lengths | None, readout: Any) -> Outputs:
    """The outputs of a module, or a readout of its sequence of outputs.

    Args:
        y: what the module returned.
        x: ``[N, T, d]``.
        lengths: ``[N]`` or None.
        readout: its name or value, or None for the outputs as they are.

    Returns:
        ``[N, O]``, or ``[N, T, O]`` for "sequence" and for None where the module gives that.

    Raises:
        ValueError: if the output is not one array of a fitting shape.
    """
    n, steps = x.shape[:2]
    shape = getattr(y, "shape", None)
    if readout is None:
        fits = shape is not None and len(shape) in (2, 3) and shape[0] == n
        expected, remedy = "[N, O] or [N, T, O]", "reshape it in the module"
    else:
        fits = shape is not None and len(shape) == 3 and shape[:2] == (n, steps)
        expected = f"[N, T, O] = ({n}, {steps}, O) for readout {readout!r}"
        remedy = "leave readout out if the module has one of its own"
    if not fits:
        found = f"type {type(y).__name__}" if shape is None else f"shape {tuple(shape)}"
        raise ValueError(
            f"module: got an output of {found} for x of shape {tuple(x.shape)}, expected one array "
            f"{expected}; {remedy}, and let nn.RNN return no carry."
        )
    if readout is None:
        return y
    value = readout_of(readout)
    value.check_steps("x", steps)
    if not value.stepwise:
        masked = y if lengths is None else jnp.where(inside(x, lengths), y, 0)
        return read(value, jnp.swapaxes(masked, 0, 1), lengths, backward=False)
    return y if lengths is None else jnp.where(inside(x, lengths), y, 0)

"""Losses: a number for each sequence, summed over its outputs and valid steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ntkrnn import _checks
from ntkrnn._types import Array, Lengths, Outputs

LOSSES = ("squared", "cross-entropy")
Loss: TypeAlias = str | Callable[[Array, Array], Array]
"""One of :data:`LOSSES`, or ``(outputs, y) -> [N]`` or ``[N, T]``, elementwise over those axes."""


def check_loss(loss: Any) -> Any:
    """``loss`` if it is a name or a function."""
    return loss if callable(loss) else _checks.choice("loss", loss, LOSSES)


def valid_steps(shape: tuple[int, ...], lengths: Lengths | None) -> Array | None:
    """``[N, T]``: the steps that count in outputs ``[N, T, O]``, None if all do."""
    if lengths is None or len(shape) != 3:
        return None
    return jnp.arange(shape[1], dtype=jnp.int32)[None, :] < lengths[:, None]


def fitting_targets(loss: Loss, y: Any, outputs: tuple[int, ...], lengths: Any, dtype: Any) -> Array:
    """``y`` for outputs of a shape, with whatever stands in the padding set to 0.

    Raises:
        ValueError, TypeError: if the shape, the dtype or an entry of a valid step does not fit.
    """
    if callable(loss):
        array: Any = _checks.plain_array("y", y, "an array")
    elif loss == "cross-entropy":
        array = _checks.whole_array("y", y, "whole numbers, the classes 0, 1, ...")
    else:
        array = _checks.real_array("y", y, "real numbers", booleans=True)
    classes = loss == "cross-entropy"
    expected = outputs[:-1] if classes else outputs
    if not classes and outputs[-1] == 1 and array.shape == outputs[:-1]:
        array = array[..., None]
    if callable(loss):
        if array.shape[:1] != outputs[:1]:
            raise ValueError(
                f"y: got shape {tuple(array.shape)}, expected {outputs[0]} rows, one for each sequence."
            )
        return jnp.asarray(array)
    if array.shape != expected:
        raise ValueError(
            f"y: got shape {tuple(array.shape)}, expected {expected}, "
            + ("one class for each output of" if classes else "one target for each output of")
            + f" shape {outputs}."
        )
    inside = valid_steps(outputs, lengths)
    _check_entries(array, inside, max(outputs[-1], 2) if classes else None)
    if inside is not None:
        array = jnp.where(inside if array.ndim == 2 else inside[..., None], array, 0)
    return (
        jnp.asarray(array, jnp.int32) if classes else _checks.in_dtype("y", array, dtype, squared=True)
    )


def _check_entries(array: Any, inside: Any, classes: int | None) -> None:
    values, mask = _checks.concrete_values(array), None
    if values is None:
        return
    if inside is not None:
        mask = _checks.concrete_values(inside)
        if mask is None:
            return
    bad = ~np.isfinite(values) if classes is None else (values < 0) | (values >= classes)
    if mask is not None:
        bad &= mask if values.ndim == 2 else mask[..., None]
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        wanted = "finite numbers" if classes is None else f"classes from 0 to {classes - 1}"
        raise ValueError(f"y: got {values[at]} at {list(at)}, expected {wanted}.")


def per_sequence(loss: Loss, outputs: Outputs, y: Array, inside: Array | None) -> Array:
    """``[N]``: the loss of every sequence, summed over the valid steps of ``[N, T, O]``."""
    if callable(loss):
        value = loss(outputs, y)
    elif loss == "squared":
        value = 0.5 * jnp.sum(jnp.square(outputs - y), axis=-1)
    elif outputs.shape[-1] == 1:
        value = optax.sigmoid_binary_cross_entropy(outputs[..., 0], y.astype(outputs.dtype))
    else:
        value = optax.softmax_cross_entropy_with_integer_labels(outputs, y)
    if inside is not None and value.ndim == 2:
        value = jnp.where(inside, value, 0)
    return value.reshape(value.shape[0], -1).sum(axis=1)


def mean_loss(loss: Loss, outputs: Outputs, y: Array, inside: Array | None) -> Array:
    """The mean over sequences."""
    return jnp.mean(per_sequence(loss, outputs, y, inside))


def residual(loss: Loss, outputs: Outputs, y: Array, inside: Array | None) -> Array:
    """Derivative of the mean loss by the outputs; for the squared loss ``(f - y)/N``."""
    if loss == "squared":
        rest = outputs - y
        if inside is not None:
            rest = jnp.where(inside[..., None], rest, 0)
        return rest / outputs.shape[0]
    return jax.grad(lambda f: mean_loss(loss, f, y, inside))(outputs)

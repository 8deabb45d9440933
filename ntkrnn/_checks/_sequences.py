"""Batches of sequences, their lengths, and both sides of a kernel."""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._checks._arrays import (
    all_finite,
    concrete_values,
    float_dtype,
    real_array,
    whole_array,
)


def input_shape(value: Any) -> tuple[int, int, int]:
    """An input shape ``(N, T, d)`` with d at least 1; N and T may be -1 for any.

    Raises:
        ValueError: if it is not three whole numbers, there is no channel, or N or T is neither a size
            nor -1.
    """
    try:
        shape = tuple(operator.index(size) for size in value)
    except TypeError:
        shape = ()
    if len(shape) != 3 or shape[2] < 1 or any(size < 1 and size != -1 for size in shape[:2]):
        raise ValueError(
            f"input_shape: got {value!r}, expected (N, T, d) with sizes of at least 1; N and T may be "
            "-1 for any, for example (-1, 20, 3)."
        )
    return shape[0], shape[1], shape[2]


def batch_shape(name: str, shape: tuple[int, ...]) -> None:
    """Raise unless a shape is that of sequences ``[N, T, d]`` with no axis empty."""
    if len(shape) != 3:
        hint = {
            2: " Univariate series [N, T] want a channel axis: x[:, :, None]; one sequence [T, d] "
            "wants a batch axis: x[None].",
        }.get(len(shape), "")
        raise ValueError(
            f"{name}: got rank {len(shape)} with shape {tuple(shape)}, expected rank 3 [N, T, d].{hint}"
        )
    if 0 in shape:
        axis = ("N", "T", "d")[shape.index(0)]
        raise ValueError(
            f"{name}: got shape {tuple(shape)}, whose axis {axis} is empty; expected at least "
            "one sequence of at least one step and one channel."
        )


def batch(name: str, x: Any) -> jax.Array | np.ndarray:
    """``x`` as a real array ``[N, T, d]`` with no axis empty, of the dtype that it came in."""
    x = real_array(name, x, "real numbers [N, T, d]")
    batch_shape(name, x.shape)
    return x


def _floating(x: jax.Array | np.ndarray) -> jax.Array:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told as that
        return jnp.asarray(x, dtype=float_dtype(x))


def sequences(name: str, x: Any) -> jax.Array:
    """``x`` as a floating array ``[N, T, d]`` with no axis empty.

    Raises:
        TypeError: if ``x`` is not numeric.
        ValueError: if its rank is not 3 or an axis is empty.
    """
    return _floating(batch(name, x))


def host_sequences(name: str, x: Any) -> np.ndarray:
    """``x`` as a finite NumPy float64 array ``[N, T, d]`` with no axis empty, whatever JAX's precision.

    Raises:
        TypeError: if ``x`` is not numeric.
        ValueError: if its rank is not 3, an axis is empty, or an entry is not finite.
    """
    values = np.asarray(batch(name, x), np.float64)
    _refuse(name, values, values, ~np.isfinite(values), "; drop or fill them.")
    return values


def _refuse(name: str, given: np.ndarray, computed: Any, bad: np.ndarray, remedy: str) -> None:
    """Raise if there is a bad entry, naming the first."""
    if not bad.any():
        return
    row, step, channel = (int(i) for i in np.argwhere(bad)[0])
    value = given[row, step, channel]
    where = f"at row {row}, step {step}, channel {channel} ({int(bad.sum())} such entries in all)"
    if np.isfinite(value.astype(np.float64)):
        raise ValueError(
            f"{name}: got {value} {where}, beyond the range of {computed.dtype}; divide the data by a "
            "number (standardise it), or enable 64-bit types with JAX_ENABLE_X64=1."
        )
    raise ValueError(f"{name}: got {value} {where}, expected finite numbers{remedy}")


def lengths(name: str, value: Any, x: jax.Array | np.ndarray, x_name: str) -> jax.Array | None:
    """``value`` as int32 ``[N]`` with entries in 1..T, or None.

    Raises:
        TypeError: if the entries are not whole numbers.
        ValueError: if the shape is not [N] or an entry is out of range.
    """
    if value is None:
        return None
    n, steps = x.shape[:2]
    expected = f"({n},) whole numbers, the count of valid leading steps of each row of {x_name}"
    array = whole_array(name, value, expected)
    if array.shape != (n,):
        raise ValueError(
            f"{name}: got shape {tuple(array.shape)}, expected ({n},), one length for each row of "
            f"{x_name} with shape {tuple(x.shape)}."
        )
    values = concrete_values(array)
    if values is not None:
        bad = np.flatnonzero((values < 1) | (values > steps))
        if bad.size:
            raise ValueError(
                f"{name}: got {values[bad[0]]} in row {bad[0]}, expected lengths between 1 and "
                f"T={steps}; drop empty sequences and cut lengths to the padded array."
            )
    return jnp.asarray(array, jnp.int32)


def _finite(name: str, x: jax.Array, given: Any, valid_lengths: jax.Array | None) -> None:
    """Raise unless every valid step of concrete ``x`` is finite; padding may hold anything."""
    if all_finite(x):  # on an accelerator without fetching it
        return
    values = concrete_values(x)
    assert values is not None
    bad = ~np.isfinite(values)
    if valid_lengths is not None:
        limit = concrete_values(valid_lengths)
        if limit is None:
            return
        bad &= (np.arange(x.shape[1]) < limit[:, None])[:, :, None]
    remedy = " in every valid step."
    if valid_lengths is None:
        argument = name.replace("x", "lengths", 1)
        remedy += f" If the series is shorter than the array, pass {argument}."
    _refuse(name, np.asarray(given), values, bad, remedy)


def side(name: str, x: Any, valid_lengths: Any) -> tuple[jax.Array, jax.Array | None]:
    """Floating sequences ``[N, T, d]``, finite in every valid step, with their lengths, int32 ``[N]``.

    Args:
        name: of the sequences; the lengths are called the same with "lengths" for "x".
        x: see :func:`sequences`.
        valid_lengths: see :func:`lengths`, or None for all steps.

    Raises:
        TypeError, ValueError: naming the argument and the first entry that does not fit.
    """
    given = batch(name, x)
    floating = _floating(given)
    checked = lengths(name.replace("x", "lengths", 1), valid_lengths, floating, name)
    _finite(name, floating, given, checked)
    return floating, checked


def same_channels(x1: jax.Array, x2: jax.Array) -> None:
    """Raise unless both sides of a kernel have the same number of channels ``d``."""
    if x1.shape[2] != x2.shape[2]:
        raise ValueError(
            f"x2: got d={x2.shape[2]} channels (shape {tuple(x2.shape)}), expected "
            f"d={x1.shape[2]} as in x1 (shape {tuple(x1.shape)})."
        )


def pair(
    x1: Any,
    x2: Any,
    lengths1: Any,
    lengths2: Any,
    both_lengths: Any = None,
    one_by_one: bool = False,
) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array | None, bool]:
    """Check both sides of a kernel; ``x2=None`` stands for ``x1`` with its lengths.

    Args:
        x1: the first side.
        x2: the second side, or None.
        lengths1: of the first.
        lengths2: of the second.
        both_lengths: the argument ``lengths``: another word for ``lengths1``, where there is one side.
        one_by_one: whether the sequences are wanted in pairs ``(x1[i], x2[i])``, the diagonal.

    Returns:
        ``(x1, x2, lengths1, lengths2, symmetric)``, both arrays of one dtype.
    """
    if both_lengths is not None:
        if lengths1 is not None or x2 is not None:
            raise ValueError(
                "lengths: got lengths "
                + ("beside lengths1" if lengths1 is not None else "with x2")
                + ", expected them for the sequences of x1 alone; name each side: lengths1, lengths2."
            )
        lengths1 = both_lengths
    x1, lengths1 = side("x1", x1, lengths1)
    if x2 is None:
        if lengths2 is not None:
            raise ValueError(
                "lengths2: got lengths without x2; x2=None stands for x1, whose lengths are "
                "lengths1. Pass x2 as well, or leave lengths2 out."
            )
        return x1, x1, lengths1, lengths1, True
    x2, lengths2 = side("x2", x2, lengths2)
    same_channels(x1, x2)
    if one_by_one and x1.shape[0] != x2.shape[0]:
        raise ValueError(
            f"x2: got N={x2.shape[0]} sequences against N={x1.shape[0]} of x1, expected equally many "
            "with diagonal=True, which takes them in pairs (x1[i], x2[i]); cut one side, or leave "
            "diagonal out."
        )
    dtype = float_dtype(x1, x2)
    return x1.astype(dtype), x2.astype(dtype), lengths1, lengths2, False

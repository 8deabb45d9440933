"""Checks of what callers pass in: every message names the argument, what came, what was expected.

Values can be checked only when they are concrete; under ``jax.jit`` an array has a shape and a
dtype but no entries yet, and the checks of entries are skipped.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def positive_integer(name: str, value: Any) -> int:
    """``value`` as an int, at least 1."""
    return _integer(name, value, 1)


def whole_number(name: str, value: Any) -> int:
    """``value`` as an int, at least 0."""
    return _integer(name, value, 0)


def _integer(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name}: got {value!r} of type {type(value).__name__}, expected a whole number "
            f"of at least {least}; pass for example {name}={least}."
        )
    if number < least:
        raise ValueError(f"{name}: got {number}, expected a whole number of at least {least}.")
    return number


def nonnegative_float(name: str, value: Any) -> Any:
    """``value`` as a finite float, at least 0; a scalar that is being traced passes as it is."""
    if isinstance(value, jax.Array) and value.ndim == 0 and concrete_values(value) is None:
        return value
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: got {value!r} of type {type(value).__name__}, expected a number; scales are "
            "plain floats so that the architecture can be hashed."
        ) from None
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{name}: got {number}, expected a finite number of at least 0.")
    return number


def fraction(name: str, value: Any) -> Any:
    """``value`` as a float between 0 and 1; a scalar that is being traced passes as it is."""
    number = nonnegative_float(name, value)
    if isinstance(number, float) and number > 1:
        raise ValueError(f"{name}: got {number}, expected a number between 0 and 1.")
    return number


def finite_float(name: str, value: Any) -> float:
    """``value`` as a finite float of either sign."""
    number = value if isinstance(value, (int, float, np.number)) else math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"{name}: got {value!r}, expected a finite number.")
    return float(number)


def positive_float(name: str, value: Any) -> float:
    """``value`` as a finite float above 0."""
    try:
        if isinstance(value, (str, bytes, bool, np.bool_)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: got {value!r} of type {type(value).__name__}, expected one number above 0."
        ) from None
    if not math.isfinite(number) or number <= 0:
        raise ValueError(f"{name}: got {number}, expected a finite number above 0.")
    return number


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """``value`` if it is one of the options."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name}: got {value!r}, expected one of {options}.")
    return value


def input_shape(value: Any) -> tuple[int, int, int]:
    """An input shape ``(N, T, d)`` with d at least 1; N and T may be -1 for any.

    Raises:
        ValueError: if it is not three whole numbers, or there is no channel.
    """
    try:
        shape = tuple(operator.index(size) for size in value)
    except TypeError:
        shape = ()
    if len(shape) != 3 or shape[2] < 1:
        raise ValueError(
            f"input_shape: got {value!r}, expected (N, T, d) with d >= 1; N and T may be -1, for "
            "example (-1, 20, 3)."
        )
    return shape[0], shape[1], shape[2]


def random_key(value: Any) -> jax.Array:
    """A random key of JAX, in its new form or as two 32-bit words.

    Raises:
        TypeError: if it is anything else.
    """
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    new = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    old = dtype == jnp.uint32 and shape is not None and len(shape) == 1
    if not (new or old):
        raise TypeError(
            f"key: got {value!r} of type {type(value).__name__}, expected one random key; make it "
            "with jax.random.key(0), and split it with jax.random.split."
        )
    return value


def boolean(name: str, value: Any) -> bool:
    """``value`` if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name}: got {value!r} of type {type(value).__name__}, expected True or False."
        )
    return bool(value)


def concrete_values(x: Any) -> np.ndarray | None:
    """The entries of ``x`` as a NumPy array, or None while they are being traced."""
    try:
        return np.asarray(x)
    except jax.errors.TracerArrayConversionError:
        return None


def inside_a_trace() -> bool:
    """Whether somebody is tracing: then even operations on concrete arrays are part of a program."""
    return concrete_values(jnp.add(np.float32(0), np.float32(0))) is None


def float_dtype(*arrays: Any) -> Any:
    """The floating dtype to compute in: that of the arrays, at least float32; JAX's default if none.

    float64 NumPy arrays stay float64 only where JAX has 64-bit types enabled.
    """
    if not arrays:
        return jnp.zeros(()).dtype
    canonical = [jax.dtypes.canonicalize_dtype(array.dtype) for array in arrays]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(jnp.float32, *canonical)


def _rank_three(name: str, x: Any) -> jax.Array | np.ndarray:
    """``x`` as a real array ``[N, T, d]`` with no axis empty, of the dtype that it came in."""
    if not isinstance(x, (jax.Array, np.ndarray)):
        try:
            x = np.asarray(x)
        except ValueError:
            raise ValueError(
                f"{name}: got nested sequences of unequal lengths, expected an array [N, T, d]; "
                "pad them to a common T and pass their lengths."
            ) from None
    if not jnp.issubdtype(x.dtype, jnp.number) or jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"{name}: got dtype {x.dtype}, expected real numbers [N, T, d].")
    if x.ndim != 3:
        hint = {
            2: " Univariate series [N, T] want a channel axis: x[:, :, None]; one sequence [T, d] "
            "wants a batch axis: x[None].",
        }.get(x.ndim, "")
        raise ValueError(
            f"{name}: got rank {x.ndim} with shape {tuple(x.shape)}, expected rank 3 [N, T, d].{hint}"
        )
    if 0 in x.shape:
        axis = ("N", "T", "d")[x.shape.index(0)]
        raise ValueError(
            f"{name}: got shape {tuple(x.shape)}, whose axis {axis} is empty; expected at least "
            "one sequence of at least one step and one channel."
        )
    return x


def sequences(name: str, x: Any) -> jax.Array:
    """``x`` as a floating array ``[N, T, d]`` with no axis empty.

    Raises:
        TypeError: if ``x`` is not numeric.
        ValueError: if its rank is not 3 or an axis is empty.
    """
    x = _rank_three(name, x)
    return jnp.asarray(x, dtype=float_dtype(x))


def host_sequences(name: str, x: Any) -> np.ndarray:
    """``x`` as a finite NumPy float64 array ``[N, T, d]`` with no axis empty, whatever JAX's precision.

    Raises:
        TypeError: if ``x`` is not numeric.
        ValueError: if its rank is not 3, an axis is empty, or an entry is not finite.
    """
    values = np.asarray(_rank_three(name, x), np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row, step, channel = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name}: got {values[row, step, channel]} at row {row}, step {step}, channel {channel} "
            f"({int(bad.sum())} such entries in all), expected finite numbers; drop or fill them."
        )
    return values


def lengths(name: str, value: Any, x: jax.Array, x_name: str) -> jax.Array | None:
    """``value`` as int32 ``[N]`` with entries in 1..T, or None.

    Raises:
        TypeError: if the entries are not whole numbers.
        ValueError: if the shape is not [N] or an entry is out of range.
    """
    if value is None:
        return None
    n, steps = x.shape[:2]
    try:
        array = value if isinstance(value, jax.Array) else np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name}: got {value!r}, expected ({n},) whole numbers, one length for "
            f"each row of {x_name}."
        ) from None
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(
            f"{name}: got dtype {array.dtype}, expected whole numbers, the count of valid leading "
            f"steps of each row of {x_name}."
        )
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


def finite(name: str, x: jax.Array, valid_lengths: jax.Array | None) -> None:
    """Raise unless every valid step of concrete ``x`` is finite; padding may hold anything.

    Raises:
        ValueError: naming the first offending row, step and channel.
    """
    values = concrete_values(x)
    if values is None:
        return
    bad = ~np.isfinite(values)
    if valid_lengths is not None:
        limit = concrete_values(valid_lengths)
        if limit is None:
            return
        bad &= (np.arange(x.shape[1]) < limit[:, None])[:, :, None]
    if bad.any():
        row, step, channel = (int(i) for i in np.argwhere(bad)[0])
        hint = (
            f" If the series is shorter than the array, pass {name.replace('x', 'lengths')}."
            if valid_lengths is None
            else ""
        )
        raise ValueError(
            f"{name}: got {values[row, step, channel]} at row {row}, step {step}, channel "
            f"{channel} ({int(bad.sum())} such entries in all), expected finite numbers in every "
            f"valid step.{hint}"
        )


def same_channels(x1: jax.Array, x2: jax.Array) -> None:
    """Raise unless both sides of a kernel have the same number of channels ``d``."""
    if x1.shape[2] != x2.shape[2]:
        raise ValueError(
            f"x2: got d={x2.shape[2]} channels (shape {tuple(x2.shape)}), expected "
            f"d={x1.shape[2]} as in x1 (shape {tuple(x1.shape)})."
        )


def pair(
    x1: Any, x2: Any, lengths1: Any, lengths2: Any
) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array | None, bool]:
    """Check both sides of a kernel; ``x2=None`` stands for ``x1`` with its lengths.

    Returns:
        ``(x1, x2, lengths1, lengths2, symmetric)``, both arrays of one dtype.
    """
    x1 = sequences("x1", x1)
    lengths1 = lengths("lengths1", lengths1, x1, "x1")
    finite("x1", x1, lengths1)
    if x2 is None:
        if lengths2 is not None:
            raise ValueError(
                "lengths2: got lengths without x2; x2=None stands for x1, whose lengths are "
                "lengths1. Pass x2 as well, or leave lengths2 out."
            )
        return x1, x1, lengths1, lengths1, True
    x2 = sequences("x2", x2)
    lengths2 = lengths("lengths2", lengths2, x2, "x2")
    finite("x2", x2, lengths2)
    same_channels(x1, x2)
    dtype = float_dtype(x1, x2)
    return x1.astype(dtype), x2.astype(dtype), lengths1, lengths2, False

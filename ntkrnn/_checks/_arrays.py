"""From whatever a caller passes to an array of real numbers, in one place.

NumPy converts almost anything without a word: a masked array loses its mask, a complex one its
imaginary part, a duration becomes a number. Here every array argument of the library comes in, and what
cannot be taken as it was meant is refused by name.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._compat import is_traced

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_NO_MASK = (
    "got a masked array, whose mask would be lost; fill it ({name}.filled(...)), drop the masked rows, "
    "or describe padding by lengths."
)


def concrete_values(x: Any) -> np.ndarray | None:
    """The entries of ``x`` as a NumPy array, or None while they are being traced."""
    return None if is_traced(x) else np.asarray(x)


def inside_a_trace() -> bool:
    """Whether somebody is tracing: then even operations on concrete arrays are part of a program."""
    return is_traced(jax.device_put(np.float32(0)))  # the one operation that needs no program


def float_dtype(*arrays: Any) -> Any:
    """The floating dtype to compute in: that of the arrays, at least float32; JAX's default if none.

    float64 NumPy arrays stay float64 only where JAX has 64-bit types enabled.
    """
    if not arrays:
        return jnp.zeros(()).dtype
    canonical = [jax.dtypes.canonicalize_dtype(array.dtype) for array in arrays]
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(jnp.float32, *canonical)


def plain_array(name: str, value: Any, expected: str) -> jax.Array | np.ndarray:
    """``value`` as an array of whatever dtype, in the byte order of the machine.

    Args:
        name: of the argument.
        value: an array of NumPy or JAX, traced or not, or something that NumPy makes one of.
        expected: what the argument is, for the message: "real numbers [N, T, d]".

    Raises:
        TypeError, ValueError: for masked arrays, for nested lists of unequal lengths, and for what
            NumPy has no array of.
    """
    if isinstance(value, jax.Array):
        return value
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(f"{name}: {_NO_MASK.format(name=name)}")
    try:
        array = np.asarray(value)
    except jax.errors.TracerArrayConversionError:
        return jnp.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name}: got nested sequences of unequal lengths, expected {expected}; pad them to a "
            "common length and pass their lengths where there is an argument for them."
        ) from None
    except Exception as error:  # whatever an object raises that says it is an array
        raise TypeError(
            f"{name}: got {type(value).__name__}, of which NumPy makes no array ({error}); expected "
            f"{expected}."
        ) from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def real_array(
    name: str, value: Any, expected: str = "real numbers", *, booleans: bool = False
) -> jax.Array | np.ndarray:
    """``value`` as an array of real numbers, of a dtype that both NumPy and JAX compute with.

    Floats of 16 to 64 bits and integers of 8 to 64 pass as they are. A longer float passes as float64
    where that is exact.

    Args:
        name: of the argument.
        value: see :func:`plain_array`.
        expected: what the argument is, for the message.
        booleans: whether True and False stand for 1 and 0.

    Raises:
        TypeError: for any other dtype: complex numbers, durations, objects, text, floats of 8 bits.
        ValueError: for a longer float that float64 does not hold.
    """
    array = plain_array(name, value, expected)
    kind = array.dtype.name
    if kind in _FLOATS or kind in _INTEGERS or (booleans and kind == "bool"):
        return array
    if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore", under="ignore"):
            short = array.astype(np.float64)
        if np.array_equal(short, array, equal_nan=True):
            return short
        raise ValueError(
            f"{name}: got dtype {kind} with values that float64 does not hold exactly; round them "
            f"yourself if that is meant: {name}.astype(numpy.float64)."
        )
    raise TypeError(f"{name}: got {_kind(value, array)}, expected {expected}.")


def _kind(value: Any, array: Any) -> str:
    """The dtype, and what was written if that is short."""
    text = "" if hasattr(value, "dtype") else repr(value)
    return f"dtype {array.dtype}" + (f" for {text}" if 0 < len(text) <= 40 else "")


def whole_array(name: str, value: Any, expected: str) -> jax.Array | np.ndarray:
    """``value`` as an array of integers of 8 to 64 bits.

    Raises:
        TypeError: for any other dtype, durations and booleans included.
    """
    array = plain_array(name, value, expected)
    if array.dtype.name not in _INTEGERS:
        raise TypeError(f"{name}: got {_kind(value, array)}, expected {expected}.")
    return array


def in_dtype(name: str, array: Any, dtype: Any, *, squared: bool = False) -> jax.Array:
    """A finite array in the dtype to compute in.

    Args:
        name: of the argument.
        array: what came.
        dtype: to compute in.
        squared: whether the sum of its squares will be wanted too.

    Raises:
        ValueError: if an entry, or the sum of squares, is beyond the range of the dtype.
    """
    with np.errstate(over="ignore"):
        converted = jnp.asarray(array, dtype)
    host = concrete_values(array)
    if host is None or not host.size:
        return converted
    largest = float(np.abs(host).max())
    needed = host.size * largest * largest if squared else largest
    if needed > float(jnp.finfo(dtype).max):
        what = "the squares of which add up to more than" if squared else "which is beyond"
        raise ValueError(
            f"{name}: got entries up to {largest:g}, {what} the largest {converted.dtype}; rescale it, "
            "or enable 64-bit types with JAX_ENABLE_X64=1."
        )
    return converted


def all_finite(array: Any) -> bool:
    """Whether no entry is NaN or infinite; True while it is being traced.

    On a CPU without a copy: a NaN is both the least and the largest of whatever it is among.
    """
    if isinstance(array, jax.Array) and on_accelerator(array):
        return bool(jnp.isfinite(array).all())
    host = concrete_values(array)
    if host is None or not host.size:
        return True
    return bool(np.isfinite(host.min()) and np.isfinite(host.max()))


def finite_outputs(outputs: Any, steps: int) -> None:
    """Raise a ValueError if a network of finite parameters has left the range of its floats."""
    if not all_finite(outputs):
        raise ValueError(
            f"params: got outputs that are not finite, though the parameters and x are: the states "
            f"overflow {outputs.dtype} within T={steps} steps; lower the scales or the learning rate, "
            "standardise x, or enable 64-bit types with JAX_ENABLE_X64=1."
        )


def on_accelerator(array: jax.Array) -> bool:
    """Whether the entries are on a device that is no CPU; False while they are being traced."""
    return not is_traced(array) and next(iter(array.devices())).platform != "cpu"


def finite_array(name: str, array: Any) -> None:
    """Raise a ValueError that names the first entry that is not finite, unless JAX is tracing."""
    values = concrete_values(array)
    if values is None or values.dtype.kind in "iub":
        return
    if not np.isfinite(values).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"{name}: got {values[at]} at {list(at)}, expected finite numbers.")


LARGEST_SQUARED = 1e150
"""Sums of squares of such float64 numbers are floats too."""


def squares_fit(name: str, array: np.ndarray) -> None:
    """Raise if the squares of finite float64 numbers leave the range of floats.

    Raises:
        ValueError: naming the argument.
    """
    if (largest := float(np.abs(array).max(initial=0.0))) > LARGEST_SQUARED:
        raise ValueError(
            f"{name}: got entries up to {largest:.2g}, whose squares leave the range of floats; divide "
            "them by a number (standardise them)."
        )

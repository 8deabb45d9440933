"""Kernels as linear maps on outputs.

A kernel ``[N1, N2, a1, a1', a2, a2', ...]`` pairs the sequences and the first of the further axes of
the outputs ``[N, a1, a2, ..., rest]``; on the rest it is the identity, as the kernel of an infinitely
wide network is on its output channels. That is the layout of ``kernel_fn`` and ``empirical_ntk_fn``.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks


def outputs_of(name: str, value: Any) -> Any:
    """Outputs ``[N, O]`` or ``[N, T, O]``; ``[N]`` becomes ``[N, 1]``."""
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(
            f"{name}: got shape {np.shape(value)}, expected outputs [N], [N, O] or [N, T, O]."
        )
    if not jnp.issubdtype(array.dtype, jnp.number):
        raise TypeError(f"{name}: got dtype {array.dtype}, expected real numbers.")
    check_finite(name, array)
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(_checks.float_dtype())


def square(name: str, kernel: Any, outputs: tuple[int, ...]) -> Any:
    """A kernel of the training sequences as a matrix on their flattened outputs.

    Args:
        name: of the argument.
        kernel: ``[N, N]``, or with pairs of further axes.
        outputs: shape of the outputs.

    Returns:
        ``[N A, N A]``, A the product of the paired axes.
    """
    return matrix(name, kernel, outputs, outputs)


def matrix(name: str, kernel: Any, rows: tuple[int, ...], columns: tuple[int, ...]) -> Any:
    """A kernel as a matrix ``[N1 A1, N2 A2]`` from outputs of shape ``columns`` to those of ``rows``.

    Raises:
        ValueError: if the axes do not fit; or an entry is not finite.
    """
    array = kernel if hasattr(kernel, "ndim") else np.asarray(kernel)
    pairs = (array.ndim - 2) // 2
    expected = tuple(n for both in zip(rows, columns, strict=True) for n in both)
    if array.ndim < 2 or array.ndim % 2 or array.shape != expected[: array.ndim]:
        shapes = [str(expected[:k]) for k in range(2, len(expected) + 1, 2)]
        raise ValueError(
            f"{name}: got shape {tuple(array.shape)}, expected {' or '.join(shapes)} for outputs of "
            f"shapes {rows} and {columns}."
        )
    if len(rows) == 3 and pairs == 0:
        raise ValueError(
            f"{name}: got shape {tuple(array.shape)}, expected a kernel with pairs of time steps, "
            f"{expected[:4]}, for outputs at every step."
        )
    check_finite(name, array)
    order = [2 * k for k in range(pairs + 1)] + [2 * k + 1 for k in range(pairs + 1)]
    sizes = math.prod(rows[: pairs + 1]), math.prod(columns[: pairs + 1])
    return array.transpose(order).reshape(sizes)


def paired_size(kernel: Any, outputs: tuple[int, ...]) -> int:
    """The product A of the axes that the kernel pairs beside the sequences."""
    return math.prod(outputs[1 : 1 + (kernel.ndim - 2) // 2])


def check_finite(name: str, array: Any) -> None:
    """Raise a ValueError that names the first entry that is not finite."""
    values = _checks.concrete_values(array)
    if values is not None and not np.isfinite(values).all():
        at = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
        raise ValueError(f"{name}: got {values[tuple(at)]} at {at}, expected finite numbers.")

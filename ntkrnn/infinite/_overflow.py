"""Kernels that leave the range of floating numbers, told by what drove them there.

Data and scales are finite; squares of large numbers need not be, and the tangent kernel of a chaotic
network grows by a factor at every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn.architectures import Architecture

_LARGE = 1e4
"""A number of which products of a few leave the range of float32."""


class KernelOverflowError(ValueError):
    """Data and scales are finite, and a kernel of them is not."""


def _scales(arch: Architecture) -> Iterator[tuple[str, float]]:
    """Every scale by the name of its field, the largest where gates have their own."""
    for name, value in zip(arch.scale_fields, arch.scales, strict=True):
        numbers = [_checks.concrete_values(leaf) for leaf in jax.tree.leaves(value)]
        if numbers and all(number is not None for number in numbers):
            yield name, max(float(number) for number in numbers if number is not None)


def check_scales(arch: Architecture, dtype: Any) -> None:
    """Raise unless the square of every scale is a number of the dtype that is computed in.

    Raises:
        ValueError: naming the scale.
    """
    largest = float(jnp.finfo(dtype).max)
    for name, value in _scales(arch):
        if value**2 > largest:
            raise ValueError(
                f"{name}: got {value:g}, whose square is beyond the largest {dtype}, {largest:.2g}; "
                "lower it, or enable 64-bit types with JAX_ENABLE_X64=1."
            )


def check_kernels(
    arch: Architecture, kernels: Mapping[str, Any], x1: Any, x2: Any, variance: Any = None
) -> None:
    """Raise unless the kernels are finite, naming the argument that drove them out of range.

    Args:
        arch: the architecture.
        kernels: by name; only those that were asked for.
        x1: finite sequences of the first side.
        x2: of the second.
        variance: the largest pre-activation variance, if it is known.

    Raises:
        KernelOverflowError: naming the largest number among the data and the scales, or the recurrent
            scale.

    Cost: two passes over the kernels.
    """
    lost = [name for name, kernel in kernels.items() if not _checks.all_finite(kernel)]
    if not lost and (variance is None or np.isfinite(np.asarray(variance)).all()):
        return
    dtype = x1.dtype
    what = f"the {' and the '.join(lost)}" if lost else "a pre-activation variance"
    sides = {"x1": x1} if x2 is x1 else {"x1": x1, "x2": x2}
    # Padding may hold anything, and does not matter.
    magnitudes = {name: _largest(side) for name, side in sides.items()} | dict(_scales(arch))
    name = max(magnitudes, key=magnitudes.__getitem__)
    advice = f"what is computed in {dtype} stays below {float(jnp.finfo(dtype).max):.2g}"
    if magnitudes[name] < _LARGE:
        name = next((scale for scale, _ in _scales(arch)), name)
        raise KernelOverflowError(
            f"{name}: got {magnitudes[name]:g} with sequences of T={x1.shape[1]} steps, where {what} "
            f"overflows; {advice}. A network of this scale is chaotic: its tangent kernel grows at "
            "every step. Lower the scale, shorten the sequences, or enable 64-bit types with "
            "JAX_ENABLE_X64=1."
        )
    raise KernelOverflowError(
        f"{name}: got {'entries up to ' if name in sides else ''}{magnitudes[name]:g}, with which "
        f"{what} overflows; {advice}. "
        f"{'Standardise the data' if name in sides else 'Lower the scale'}, or enable 64-bit types "
        "with JAX_ENABLE_X64=1."
    )


def _largest(x: Any) -> float:
    values = np.abs(np.asarray(x, np.float64))
    return float(values[np.isfinite(values)].max(initial=0.0))

"""The readout whose weights are given, one for each step."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._types import Array
from ntkrnn.readouts._readout import Readout


@dataclasses.dataclass(frozen=True)
class Weights(Readout):
    """Weights by the time of a step; made by :func:`weights`."""

    values: tuple[float, ...]
    name: str = dataclasses.field(default="weights", init=False)
    """What a mapping of its fields is known by."""

    def weights(self, times: Array, lengths: Array, backward: bool) -> Array:
        """Those of the times, in whatever direction a layer runs."""
        del lengths, backward
        return jnp.asarray(self.values)[jnp.minimum(times, len(self.values) - 1)]

    def check_steps(self, name: str, steps: int) -> None:
        """Every step needs a weight."""
        if steps > len(self.values):
            raise ValueError(
                f"readout: got {len(self.values)} weights, and {name} has T={steps} steps; expected a "
                "weight for each step, padding included."
            )

    def __repr__(self) -> str:
        return f"readouts.weights({list(self.values)!r})"


def weights(array: Any) -> Readout:
    r"""A sum of the states with given weights, ``F = V sum_t p_t s_t``.

    The weights belong to times: step t of every sequence has ``array[t]``, in whatever direction a
    layer runs, and padded steps have 0. They need be neither positive nor add up to 1: they may be
    those of a difference of states, or of a quadrature over uneven steps of time.

    Args:
        array: ``[T]`` real numbers; sequences may be shorter, but not longer.

    Returns:
        A readout for ``readout=`` of any architecture. Its kernels of infinite width are as exact as
        those of "mean", and cost the same.

    Raises:
        TypeError, ValueError: unless these are finite real numbers in one axis.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (2, 4, 3))
        >>> change = ntkrnn.Elman(width=16, readout=ntkrnn.readouts.weights([-1.0, 0.0, 0.0, 1.0]))
        >>> ntkrnn.network(change).kernel_fn(x, get="nngp").shape
        (2, 2)
    """
    given = _checks.concrete_values(_checks.real_array("array", array, "[T] real numbers"))
    if given is None:
        raise TypeError(
            "array: got a traced array, expected numbers: a program is compiled for each readout."
        )
    values = np.asarray(given)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"array: got shape {values.shape}, expected [T] finite weights, one for each step."
        )
    return Weights(tuple(values.tolist()))

"""The readout that forgets: weights that fall off with the distance from the end of the run."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp

from ntkrnn import _checks
from ntkrnn._types import Array
from ntkrnn.readouts._named import last, mean  # pyright: ignore[reportUnusedImport]
from ntkrnn.readouts._readout import Readout


@dataclasses.dataclass(frozen=True)
class Exponential(Readout):
    """Weights that fall off by a factor with every step; made by :func:`exponential`."""

    decay: float
    name: str = dataclasses.field(default="exponential", init=False)
    """What a mapping of its fields is known by."""

    def weights(self, times: Array, lengths: Array, backward: bool) -> Array:
        """``decay^age (1 - decay)/(1 - decay^length)``, without differences of near numbers."""
        age = times if backward else jnp.maximum(lengths - 1 - times, 0)
        rate = math.log(self.decay)
        return jnp.exp(rate * age) * (-math.expm1(rate)) / -jnp.expm1(rate * lengths)

    def __repr__(self) -> str:
        return f"readouts.exponential({self.decay!r})"


def exponential(decay: float) -> Readout:
    r"""A weighted mean of the states in which those of long ago count less.

    ::

        p_t = decay^(L - 1 - t) / sum_{k < L} decay^k

    for a sequence of length L. For a layer that runs backwards the run ends at step 0, and
    ``p_t = decay^t / sum_{k < L} decay^k``. The weights add up to 1. A decay of 0
    is "last" and one of 1 "mean", whose values are returned there.

    Args:
        decay: the factor of a step, from 0 to 1.

    Returns:
        A readout for ``readout=`` of any architecture. Its kernels of infinite width are as exact as
        those of "mean", and cost the same.

    Raises:
        TypeError, ValueError: unless it is a number from 0 to 1.

    Example:
        >>> import jax, ntkrnn
        >>> x = jax.random.normal(jax.random.key(0), (2, 40, 3))
        >>> arch = ntkrnn.Elman(nonlinearity="erf", readout=ntkrnn.readouts.exponential(0.8))
        >>> ntkrnn.network(arch).kernel_fn(x, get="ntk").shape
        (2, 2)
    """
    decay = _checks.fraction("decay", decay)
    if not isinstance(decay, float):
        raise TypeError(
            "decay: got a traced value, expected a number: a readout is no scale, and a program is "
            "compiled for each."
        )
    if decay in (0, 1):
        return mean if decay else last
    return Exponential(decay)

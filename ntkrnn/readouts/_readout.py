"""What a readout is: the weights of the states, and what an engine may know of them."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ntkrnn._types import Array


class Readout(abc.ABC):
    r"""Which states of a sequence an output is made of.

    With the states ``s_t`` of the top layer and a matrix V of the network, an output is::

        F(x) = V sum_t p_t s_t

    with weights ``p_t`` that depend on the step, the length of the sequence and the direction in which
    the layer runs. The kernels of infinite width are ``sum_{t,t'} p_t p'_t' K_{t,t'}`` of those of the
    states. The class of a readout of one's own is a frozen dataclass that has :meth:`weights`; an
    instance goes where the name of a readout goes, ``ntkrnn.Elman(readout=Mine())``.

    The facts let an engine take a shorter way, and leave everything else to the weights: a subclass
    need not know of them.

    Attributes:
        stepwise: whether there is an output at every step, as with "sequence", in place of a sum.
        final: whether the state after the whole run is all that is read, as with "last": one diagonal
            of the time plane is then enough for a kernel.
        uniform: whether all valid steps have the weight one over their number, as with "mean".

    Example:
        >>> import dataclasses, jax, ntkrnn
        >>> @dataclasses.dataclass(frozen=True)
        ... class BothEnds(ntkrnn.readouts.Readout):
        ...     def weights(self, times, lengths, backward):
        ...         return 0.5 * (times == 0) + 0.5 * (times == lengths - 1)
        >>> x = jax.random.normal(jax.random.key(0), (3, 6, 2))
        >>> ntkrnn.network(ntkrnn.Elman(readout=BothEnds())).kernel_fn(x).ntk.shape
        (3, 3)
    """

    stepwise: ClassVar[bool] = False
    final: ClassVar[bool] = False
    uniform: ClassVar[bool] = False

    @abc.abstractmethod
    def weights(self, times: Array, lengths: Array, backward: bool) -> Array:
        """The weight ``p_t`` of the state of every step.

        Args:
            times: ``[T, 1]`` int32, the steps from 0.
            lengths: ``[1, N]`` int32, the numbers of valid steps, at least 1. What is returned for
                ``times >= lengths`` is not used.
            backward: whether the states are those of a layer that runs from the last step to the
                first, whose state at step 0 is the one that has read everything.

        Returns:
            Real numbers that broadcast to ``[T, N]``.
        """

    def check_steps(self, name: str, steps: int) -> None:
        """Raise a ValueError unless sequences of so many steps, padding included, can be read.

        Args:
            name: what the sequences are called.
            steps: T.
        """
        del name, steps  # most have weights for any number


def weights_of(readout: Readout, steps: int, lengths: Any, backward: bool, dtype: Any) -> Array:
    """``[T, N]`` weights of a sum over steps, 0 in the padding.

    Args:
        readout: not "sequence".
        steps: T.
        lengths: ``[N]``, or None where all are T: then ``[T, 1]``.
        backward: whether the states are those of a layer that runs backwards.
        dtype: of the weights.
    """
    times = jnp.arange(steps, dtype=jnp.int32)[:, None]
    given = jnp.asarray([steps] if lengths is None else lengths, jnp.int32)[None, :]
    # What somebody writes in a few lines need not heed the strict modes of a program around it.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        weights = readout.weights(times, jnp.maximum(given, 1), backward)
        return jnp.where(times < given, weights, 0).astype(dtype)

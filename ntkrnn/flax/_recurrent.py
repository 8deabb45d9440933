"""What recurrent layers of flax can do that no function of single sequences does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def check_time_axis(given: bool | None, layer: Any) -> None:
    """Raise if a layer takes the time before the sequences.

    Args:
        given: ``time_major`` of the call, None for that of the layer.
        layer: with the attribute ``time_major``.
    """
    if layer.time_major if given is None else given:
        raise ValueError(
            f"module: got {type(layer).__name__} with time_major=True, which reads the first axis as "
            "steps and not as sequences, expected time_major=False; leave it out, and what turns the "
            "axes around it."
        )


def check_carry(cell: Any, initial: Callable[[int], Any]) -> None:
    """Raise if the state that a cell starts from depends on a random key.

    Every sequence of a batch would start from another state, and the kernel of two sequences depend on
    where they stand in it.

    Args:
        cell: for the message.
        initial: of a seed, the state that the cell starts from.
    """
    try:
        with jax.ensure_compile_time_eval():
            one, other = (
                [np.asarray(leaf) for leaf in jax.tree.leaves(initial(seed))] for seed in (0, 1)
            )
    except NotImplementedError:  # a cell of somebody's own that is always given its state
        return
    if not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)):
        raise ValueError(
            f"module: got {type(cell).__name__} with a carry_init that draws random numbers, expected "
            "one that does not; leave it out, which starts from zeros, or give a constant."
        )

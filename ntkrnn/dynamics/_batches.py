"""Which sequences each step sees, and at which steps something is recorded."""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn._types import Array

DEFAULT_RECORDS = 100


def batches(key: Any, n: int, batch_size: int, steps: int) -> Array:
    """Mini-batches without replacement: every epoch is a new permutation, cut into whole batches.

    The ``n mod batch_size`` sequences that are left over at the end of an epoch are not seen in it.

    Args:
        key: a random key.
        n: number of sequences.
        batch_size: between 1 and n.
        steps: number of batches.

    Returns:
        ``[steps, batch_size]`` int32, rows of the data.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(steps batch_size), and a sort for each epoch.

    Example:
        >>> import jax
        >>> from ntkrnn.dynamics import batches
        >>> sorted(batches(jax.random.key(0), 4, 2, 2).ravel().tolist())
        [0, 1, 2, 3]
    """
    key = _checks.random_key(key)
    n, steps = _checks.positive_integer("n", n), _checks.positive_integer("steps", steps)
    batch_size = _checks.positive_integer("batch_size", batch_size)
    if batch_size > n:
        raise ValueError(
            f"batch_size: got {batch_size}, expected at most the number of sequences, {n}; None trains "
            "on all of them at every step."
        )
    require(
        "steps",
        8 * (steps * batch_size + n),
        f"steps={steps} batches of {batch_size} rows",
        "draw fewer.",
    )
    in_epoch = n // batch_size
    epochs = -(-steps // in_epoch)
    permute = jax.vmap(lambda one: jax.random.permutation(one, jnp.arange(n, dtype=jnp.int32)))
    whole = permute(jax.random.split(key, epochs))[:, : in_epoch * batch_size]
    return whole.reshape(-1, batch_size)[:steps]


def record_steps(at: Any, steps: int) -> np.ndarray:
    """Increasing numbers of finished steps at which something is recorded.

    Args:
        at: None for about 100 of them with the first and the last, a whole number for every so many,
            or a sequence of them.
        steps: how many there are; 0 stands for the start.

    Raises:
        ValueError: if one is out of range, or they do not increase.
    """
    if at is None:
        return np.unique(
            np.linspace(0, steps, min(steps, DEFAULT_RECORDS) + 1).round().astype(np.int64)
        )
    try:
        every = operator.index(at)
    except TypeError:
        expected = "None, a whole number (record every so many steps), or a sequence of steps"
        chosen = np.atleast_1d(np.asarray(_checks.whole_array("at", at, expected)))
        if chosen.ndim != 1 or not chosen.size:
            raise ValueError(f"at: got shape {chosen.shape}, expected {expected}.") from None
        if chosen[0] < 0 or chosen[-1] > steps or (np.diff(chosen) <= 0).any():
            raise ValueError(
                f"at: got {chosen.tolist()}, expected increasing steps between 0 and {steps}."
            ) from None
        return chosen.astype(np.int64)
    if every < 1:
        raise ValueError(f"at: got {every}, expected a whole number of at least 1.")
    return np.unique(np.r_[np.arange(0, steps + 1, every), steps])

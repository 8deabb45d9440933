"""Random numbers of NumPy from a key of JAX or from a seed."""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks


def generator(key: Any) -> np.random.Generator:
    """A generator that depends on the key alone: the same numbers in float32 and float64 programs.

    Args:
        key: a random key of JAX, or a whole number of at least 0.

    Raises:
        TypeError: if it is neither.
        ValueError: if the number is negative.
    """
    if not hasattr(key, "dtype") or (np.ndim(key) == 0 and isinstance(key, np.integer)):
        try:
            seed = operator.index(key)
        except TypeError:
            seed = None
        if seed is None or isinstance(key, bool):
            raise TypeError(
                f"key: got {key!r} of type {type(key).__name__}, expected a random key such as "
                "jax.random.key(0), or a whole number as a seed."
            )
        if seed < 0:
            raise ValueError(f"key: got the seed {seed}, expected a whole number of at least 0.")
        return np.random.default_rng(seed)
    key = _checks.random_key(key)
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    # The leading word keeps the stream of a key apart from that of a seed.
    return np.random.default_rng([1, *(int(word) for word in np.asarray(words))])


def key_words(key: Any) -> tuple[int, ...]:
    """The words of a random key of JAX, or of the key of a whole number; a tuple of words is itself.

    Raises:
        TypeError: for a key that is being traced, or no key.
        ValueError: for a negative number.

    Example:
        >>> key_words(3) == key_words(jax.random.key(3)) == key_words((0, 3))
        True
    """
    if isinstance(key, tuple) and key and all(isinstance(word, int) for word in key):
        return key
    with jax.ensure_compile_time_eval():
        if isinstance(key, (int, np.integer)):
            key = jax.random.key(_checks.whole_number("key", key))
        key = _checks.random_key(key)
        values = _checks.concrete_values(jax.random.key_data(key))
    if values is None:
        raise TypeError(
            "key: got a random key that is being traced, expected a concrete one, from which weights "
            "are drawn before the program is made; close over it instead of passing it through jax.jit."
        )
    return tuple(int(word) for word in values.ravel())


def unit_vectors(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Independent uniform points of the unit sphere of the last axis."""
    raw = rng.standard_normal(shape)
    return raw / np.linalg.norm(raw, axis=-1, keepdims=True)

"""Random keys, in the forms that JAX has had for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

_BY_WORDS = {2: "threefry2x32", 4: "rbg"}
"""Keys as plain words tell their generator by how many they are."""


def random_key(value: Any) -> jax.Array:
    """A random key of JAX, from its present form or from the words of an older one.

    Raises:
        TypeError: if it is anything else.
    """
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ():
        return value
    if dtype == jnp.uint32 and shape is not None and len(shape) == 1 and shape[0] in _BY_WORDS:
        example = jax.random.key(0)
        usual = shape == jax.random.key_data(example).shape
        implementation = jax.random.key_impl(example) if usual else _BY_WORDS[shape[0]]
        return jax.random.wrap_key_data(jnp.asarray(value), impl=implementation)
    came = f"{dtype}{list(shape)}" if dtype is not None and shape is not None else repr(value)[:80]
    raise TypeError(
        f"key: got {came} of type {type(value).__name__}, expected one random key; make it with "
        "jax.random.key(0), and split it with jax.random.split."
    )

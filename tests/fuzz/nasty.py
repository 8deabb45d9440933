"""Values that people pass by mistake: of the wrong type, shape, size, or with a number that is none."""

import datetime

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

HUGE = 10**400


def _spoiled(rng, value, number):
    """A copy with one entry changed."""
    array = np.array(value, np.float64)
    if array.size:
        array[tuple(rng.integers(size) for size in array.shape)] = number
    return array


# Of whatever stood there.
ANYTHING = [
    lambda rng: None,
    lambda rng: "a",
    lambda rng: b"\x00",
    lambda rng: {"a": 1},
    lambda rng: object(),
    lambda rng: [[1.0], [1.0, 2.0]],
    lambda rng: np.nan,
    lambda rng: np.inf,
    lambda rng: -1,
    lambda rng: 0,
    lambda rng: 1.5,
    lambda rng: 2**70,
    lambda rng: HUGE,
    lambda rng: 1j,
    lambda rng: True,
    lambda rng: (),
    lambda rng: [],
    lambda rng: np.zeros((0, 3)),
    lambda rng: np.tanh,
    lambda rng: np.ma.masked_array([1.0, 2.0], [True, False]),
    lambda rng: np.array(["1", "2"]),
    lambda rng: np.array([None, 1], object),
    lambda rng: np.timedelta64(3, "s"),
    lambda rng: np.datetime64("2020-01-01"),
    lambda rng: datetime.timedelta(seconds=1),
    lambda rng: jax.random.key(0),
    lambda rng: jnp.zeros(7, jnp.uint32),
    lambda rng: iter([1, 2]),
    lambda rng: np.float64(1e300),
    lambda rng: np.longdouble(2),
    lambda rng: {1, 2},
]
# Of an array that stood there.
ARRAYS = [
    lambda rng, a: np.ma.masked_array(a, np.zeros(np.shape(a), bool)),
    lambda rng, a: [np.ma.masked_array(a)],
    lambda rng, a: np.asarray(a, complex),
    lambda rng, a: np.asarray(a, object),
    lambda rng, a: np.asarray(a, np.longdouble) / 3,
    lambda rng, a: np.asarray(a, np.longdouble),
    lambda rng, a: np.asarray(a, ">f8"),
    lambda rng, a: np.asarray(a, ">f4"),
    lambda rng, a: np.asarray(a, np.float16),
    lambda rng, a: np.asarray(a).astype("timedelta64[s]"),
    lambda rng, a: np.asarray(a).astype(ml_dtypes.float8_e4m3fn),
    lambda rng, a: np.clip(np.asarray(a), -7, 7).astype(ml_dtypes.int4),
    lambda rng, a: np.asarray(a) > 0,
    lambda rng, a: np.clip(np.asarray(a, float), 0, 200).astype(np.uint8),
    lambda rng, a: np.asarray(a).astype(np.int64),
    lambda rng, a: np.asarray(a).astype(str),
    lambda rng, a: np.asarray(a).tolist(),
    lambda rng, a: jnp.asarray(a),
    lambda rng, a: np.asarray(a)[None],
    lambda rng, a: np.asarray(a)[..., None],
    lambda rng, a: np.asarray(a)[:0],
    lambda rng, a: np.asarray(a)[:1],
    lambda rng, a: np.asarray(a)[..., :1],
    lambda rng, a: np.asarray(a)[..., :0],
    lambda rng, a: np.asarray(a).T,
    lambda rng, a: np.asarray(a)[0] if np.ndim(a) and len(a) else a,
    lambda rng, a: -np.asarray(a),
    lambda rng, a: np.asarray(a) * 0,
    lambda rng, a: np.asarray(a, np.float64) * 1e20,
    lambda rng, a: np.asarray(a, np.float64) * 1e200,
    lambda rng, a: np.asarray(a, np.float64) * 1e-30,
    lambda rng, a: np.asarray(a, np.float64) + 1e15,
    lambda rng, a: _spoiled(rng, a, np.nan),
    lambda rng, a: _spoiled(rng, a, np.inf),
    lambda rng, a: _spoiled(rng, a, 1e30),
    lambda rng, a: _spoiled(rng, a, -3),
    lambda rng, a: np.asarray(a)[::-1],
    lambda rng, a: np.repeat(np.asarray(a), 2, axis=0) if np.ndim(a) else a,
    lambda rng, a: np.asfortranarray(a),
]
# Of a number that stood there.
NUMBERS = [
    lambda rng, a: np.float32(a),
    lambda rng, a: np.array(a),
    lambda rng, a: np.array([a]),
    lambda rng, a: jnp.asarray(a),
    lambda rng, a: str(a),
    lambda rng, a: -a,
    lambda rng, a: a * 0,
    lambda rng, a: a * 1e30,
    lambda rng, a: a * 1e160,
    lambda rng, a: a * 1e-300,
    lambda rng, a: a + 0.5,
    lambda rng, a: complex(a),
    lambda rng, a: (a, a),
    lambda rng, a: int(a) + 10**13,
]


def spoil(rng, value):
    """Another value in the place of a good one."""
    if rng.random() < 0.35:
        return ANYTHING[rng.integers(len(ANYTHING))](rng)
    if isinstance(value, (np.ndarray, jax.Array)) and not jnp.issubdtype(
        value.dtype, jax.dtypes.prng_key
    ):
        return ARRAYS[rng.integers(len(ARRAYS))](rng, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return NUMBERS[rng.integers(len(NUMBERS))](rng, value)
    if isinstance(value, dict) and value:  # parameters: one leaf
        key = list(value)[rng.integers(len(value))]
        return {**value, key: spoil(rng, value[key])}
    if isinstance(value, list) and value:
        return [spoil(rng, value[0]), *value[1:]]
    return ANYTHING[rng.integers(len(ANYTHING))](rng)

r"""Random orthogonal weights between ``M = b^2`` neurons, whose products cost 2 b a neuron, not b^2.

Neurons stand in a square, b groups of b. A matrix rotates every group by a rotation of its own, turns
the square over, and rotates the groups that come about. The rotations are Haar's: what a state that was
not met before is turned into is as good as Gaussian and independent between neurons, and its second
moments, averaged over the neurons, are those of the state itself, without sampling error.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ntkrnn.architectures import INNER, INPUT, ONE, STATE, Dense
from ntkrnn.cells import reading

PROJECTIONS = 4
"""Of an input, where it has more channels: neurons see so many directions, groups have their own."""


class Matrix(NamedTuple):
    """What all gates that read one vector multiply it with, or its transpose, drawn anew."""

    first: Any
    """``[b, b, b]``, the rotations of groups; backwards ``[b, G b, b]``, from all gates."""
    second: Any
    """``[b, b, G b]``, those of the groups of the square turned over; backwards ``[b, b, b]``."""


class Weights(NamedTuple):
    """Of one layer in one direction."""

    forward: dict[str, list[Matrix]]
    """By what they multiply; above the first layer an input is a vector for each direction below."""
    backward: dict[str, list[Matrix]]
    """The transposes. They are independent of the matrices, as they are in the limit."""
    columns: dict[str, Any]
    """``[channels, G, b, b]`` standard normals of the channels of the sequences, and of biases."""
    frames: Any
    """``[b, d, P]``: orthonormal columns for every group of neurons, times ``sqrt(d/P)``."""
    signs: Any
    """``[b, b]``, the readout."""


Network = list[dict[str, Weights]]
"""``[layer][direction]``."""


def side_of(samples: int) -> int:
    """b, a multiple of 8, for at least so many neurons.

    Example:
        >>> [side_of(m) for m in (1, 64, 65, 1024)]
        [8, 8, 16, 32]
    """
    return -(-(math.isqrt(samples - 1) + 1) // 8) * 8


def _rotations(random: np.random.Generator, dtype: Any, *shape: int) -> np.ndarray:
    """``[..., b, b]`` from Haar's measure."""
    q, r = np.linalg.qr(random.standard_normal(shape, dtype))
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]


def _signs(random: np.random.Generator, dtype: Any, *shape: int) -> np.ndarray:
    return random.choice(np.array([-1, 1], dtype), shape)


def _normals(random: np.random.Generator, dtype: Any, b: int, count: int) -> np.ndarray:
    """``[count, b, b]``: normals, as a set orthogonal and of mean 0 where neurons are many enough."""
    drawn = random.standard_normal((b * b, count), dtype)
    if 0 < 16 * count <= b * b:
        drawn = drawn - drawn.mean(axis=0)
        # Of a condition below 2, whose square does no harm. By loops: products as small as these are
        # not worth the threads that a library of linear algebra starts for them.
        root = np.linalg.inv(np.linalg.cholesky(np.einsum("ij,ik->jk", drawn, drawn)))
        drawn = b * np.einsum("ij,kj->ik", drawn, root)
    return np.ascontiguousarray(drawn.T).reshape(count, b, b)


def _frames(random: np.random.Generator, dtype: Any, b: int, d: int) -> np.ndarray:
    """Neighbouring groups share a rotation, of which each has other columns."""
    if d <= PROJECTIONS:
        return np.broadcast_to(np.eye(d, dtype=dtype), (b, d, d))
    of_one = -(-d // PROJECTIONS)
    rotations = _rotations(random, dtype, -(-b // of_one), d, d)
    groups = np.arange(b)
    chosen = (groups[:, None] % of_one * PROJECTIONS + np.arange(PROJECTIONS)) % d
    frames = np.take_along_axis(rotations[groups // of_one], chosen[:, None], axis=2)
    return frames * np.sqrt(d / PROJECTIONS).astype(dtype)


def draw(arch: Dense, b: int, d: int, seed: list[int], dtype: Any, tangent: bool) -> Network:
    """The weights of one network.

    Args:
        arch: the architecture.
        b: the root of the number of neurons of every layer and direction.
        d: channels of the sequences.
        seed: words that the weights are a function of, together with the sizes and the dtype.
        dtype: float32 or float64.
        tangent: whether those of the way back are wanted, which are drawn last.

    Cost: O(b^4) for each matrix of each gate.
    """
    random, dtype = np.random.default_rng(seed), np.dtype(dtype).type
    many = {source: len(reading(arch.cell, source)) for source in (STATE, INNER, INPUT, ONE)}

    def matrices(layer: int, back: bool) -> dict[str, list[Matrix]]:
        vectors = {STATE: 1, INNER: 1, INPUT: len(arch.directions) if layer else 0}
        found: dict[str, list[Matrix]] = {}
        for source, count in vectors.items():
            found[source] = []
            for _ in range(count if many[source] else 0):
                shared = _rotations(random, dtype, b, b, b)
                own = _rotations(random, dtype, b, many[source], b, b)
                if back:
                    found[source].append(Matrix(own.reshape(b, -1, b), shared))
                else:
                    found[source].append(Matrix(shared, own.transpose(0, 2, 1, 3).reshape(b, b, -1)))
        return found

    def weights(layer: int) -> Weights:
        shapes = {INPUT: (0 if layer else d, many[INPUT]), ONE: (1, many[ONE])}
        sizes = [math.prod(shape) for shape in shapes.values()]
        parts = np.split(_normals(random, dtype, b, sum(sizes)), np.cumsum(sizes)[:-1])
        columns = {s: part.reshape(*shapes[s], b, b) for s, part in zip(shapes, parts, strict=True)}
        frames = _frames(random, dtype, b, 1 if layer else d)
        return Weights(matrices(layer, False), {}, columns, frames, _signs(random, dtype, b, b))

    network = [{side: weights(k) for side in arch.directions} for k in range(arch.depth)]
    if tangent:
        for k, layer in enumerate(network):
            for side in arch.directions:
                layer[side] = layer[side]._replace(backward=matrices(k, True))
    return jax.tree.map(np.asarray, network)

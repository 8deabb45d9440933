"""The features of all sequences of one side of a kernel, some sequences at a time."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._compile import compiled
from ntkrnn._tiling import bucket
from ntkrnn._types import Array
from ntkrnn.architectures import INNER, INPUT, STATE, Dense
from ntkrnn.cells import reading
from ntkrnn.infinite.sampling._network import feature_counts, network_features, outputs_of
from ntkrnn.infinite.sampling._weights import Network, draw, side_of

SAMPLES = 1024
"""Neurons of a network: of more a product costs more for each, and of fewer a bias would show."""
FEWEST_REPLICATES = 8
"""Networks whose spread is trusted, if nobody says how many."""
BLOCK_BYTES = {"cpu": 26 * 2**20, "gpu": 2**30}
"""What a network keeps of the sequences that pass it together: in the caches of a CPU, or many."""
LARGEST_BLOCK_BYTES = 2**29
FEWEST_TOGETHER = 8
"""Sequences below which a product does not pay, whatever the caches hold."""


class Networks(NamedTuple):
    """Random networks of one architecture: everything that their features depend on beside x."""

    form: Dense
    """The architecture with scales of 1, of which a program is made."""
    scales: Any
    biased: bool
    """Whether biases have a scale that is not 0, or may have."""
    b: int
    """The root of the number of neurons."""
    words: tuple[int, ...]
    """The random key."""
    d: int
    dtype: Any

    def weights(self, replicate: int, tangent: bool) -> Network:
        """Those of one network, on the host."""
        seed = [*self.words, replicate]
        return draw(self.form, self.b, self.d, seed, self.dtype, tangent)

    def counts(self) -> tuple[int, int]:
        """Features of an output, see :func:`feature_counts`."""
        return feature_counts(self.form, self.b**2, self.d, self.biased)

    def weight_bytes(self) -> int:
        """Of one network."""
        cell, directions = self.form.cell, len(self.form.directions)
        own, inputs = (
            sum(1 + len(reading(cell, s)) for s in group if reading(cell, s))
            for group in ((STATE, INNER), (INPUT,))
        )
        blocks = self.form.depth * own + (self.form.depth - 1) * directions * inputs
        columns = (self.d + 1) * len(cell.gates) * self.b**2
        return np.dtype(self.dtype).itemsize * directions * (2 * blocks * self.b**3 + columns)

    def kept(self, steps: int, tangent: bool) -> int:
        """Bytes that a network keeps of one sequence."""
        cell, outputs = self.form.cell, outputs_of(self.form, steps)
        arrays = len(cell.gates) + cell.carries + (cell.inner is not None) + (self.form.depth > 1)
        passed = arrays * steps * self.form.depth * len(self.form.directions) * self.b**2
        back = outputs * (sum(self.counts()) + (self.form.depth > 1) * 2 * steps * self.b**2)
        return np.dtype(self.dtype).itemsize * (passed + tangent * back)


def networks_of(arch: Dense, samples: int, words: tuple[int, ...], d: int, dtype: Any) -> Networks:
    """The networks of a random key.

    Args:
        arch: the architecture; its scales may be traced.
        samples: the least number of neurons.
        words: of :func:`ntkrnn._random.key_words`.
        d: channels of the sequences.
        dtype: of the sequences.
    """
    form = dataclasses.replace(arch.form, width=2, out_dim=1)
    given = [_checks.concrete_values(b) for b in jax.tree.leaves(arch.scales.b)]
    biased = any(b is None or b != 0 for b in given)
    return Networks(form, arch.scales, biased, side_of(samples), words, d, np.dtype(dtype))


class Side(NamedTuple):
    """Sequences in parts of one size; rows that fill up have length 0."""

    x: Any
    """``[C, n, T, d]``"""
    lengths: Any
    """``[C, n]``"""
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """N."""
    steps: int
    """As many as the longest has, or more."""


def _size(n: int, together: int) -> int:
    """How many of n sequences make a part, of at most so many together.

    Up to 8 of them a power of 2, else eights of sequences: products of other sizes are slower. Few
    rows to fill up and few parts, each of which costs about as much as another sequence.
    """
    if min(n, together) < 8:
        return 1 << (min(n, together) - 1).bit_length()
    sizes = {8 * bucket(k) for k in range(1, together // 8 + 1) if 8 * bucket(k) <= together}
    return min(sorted(sizes), key=lambda size: -(-n // size) * (size + 1))


def together_of(networks: Networks, steps: int, tile: int | None, tangent: bool) -> int:
    """How many sequences pass a network at a time."""
    if tile is not None:
        return tile
    own = networks.kept(steps, tangent)
    block = BLOCK_BYTES.get(jax.default_backend(), BLOCK_BYTES["gpu"])
    return max(1, min(max(FEWEST_TOGETHER, block // own), LARGEST_BLOCK_BYTES // own))


def side_of_values(x: Any, lengths: Any, together: int) -> Side:
    """From concrete sequences, in the sizes of a bucket."""
    x = np.asarray(x)
    n, steps, d = x.shape
    lengths = np.full(n, steps, np.int32) if lengths is None else np.asarray(lengths, np.int32)
    longest = int(lengths.max())
    size = _size(n, together)
    parts = -(-n // size)
    padded = bucket(longest)
    out = np.zeros((parts * size, padded, d), x.dtype)
    out[:n, :longest] = x[:, :longest]
    lengths = np.pad(lengths, (0, parts * size - n))
    shape = (parts, size)
    return Side(out.reshape(*shape, padded, d), lengths.reshape(shape), n, longest)


def side_of_traced(x: Array, lengths: Any, together: int) -> Side:
    """From sequences whose values are not known."""
    n, steps, _ = x.shape
    size = min(n, together)
    more = -n % size
    lengths = jnp.full(n, steps, jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    x, lengths = jnp.pad(x, ((0, more), (0, 0), (0, 0))), jnp.pad(lengths, (0, more))
    return Side(x.reshape(-1, size, *x.shape[1:]), lengths.reshape(-1, size), n, steps)


def _options(**_: Any) -> dict[str, Any] | None:
    """The last level of LLVM takes as long again, and makes programs that are no faster."""
    return {"xla_backend_optimization_level": 2} if jax.default_backend() == "cpu" else None


@compiled("form", "biased", "tangent", options=_options)
def _program(
    form: Dense, scales: Any, network: Network, x: Array, lengths: Array, biased: bool, tangent: bool
) -> tuple[Array, ...]:
    return network_features(form.with_scales(scales), network, x, lengths, biased, tangent)


def part_features(
    networks: Networks, weights: Network, x: Any, lengths: Any, tangent: bool
) -> tuple[Array, ...]:
    """``[n, R, F]`` of one part, see :func:`network_features`."""
    form, scales, biased, *_ = networks
    return _program(form, scales, weights, x, lengths, biased, tangent)


def features_of(networks: Networks, weights: Network, side: Side, tangent: bool) -> tuple[Array, ...]:
    """``[N', R, F]`` for all sequences of a side, those that fill up included."""
    parts = [
        part_features(networks, weights, x, lengths, tangent)
        for x, lengths in zip(side.x, side.lengths, strict=True)
    ]
    return parts[0] if len(parts) == 1 else tuple(map(jnp.concatenate, zip(*parts, strict=True)))


def traced_features(
    networks: Networks, weights: Network, side: Side, tangent: bool
) -> tuple[Array, ...]:
    """The same within a program; what a part keeps is computed again for a derivative."""

    @jax.checkpoint
    def of_part(part: tuple[Array, Array]) -> tuple[Array, ...]:
        return part_features(networks, weights, *part, tangent)

    found = jax.lax.map(of_part, (side.x, side.lengths))
    return tuple(a.reshape(-1, *a.shape[2:])[: side.count] for a in found)

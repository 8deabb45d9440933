"""Both kernels of all pairs of sequences from one set of samples, block by block."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._compile import compiled
from ntkrnn._types import Array
from ntkrnn.architectures import Dense, GateFunction
from ntkrnn.gram import bucket
from ntkrnn.infinite._blocks import Block
from ntkrnn.infinite._paths_exact import Exact, can_integrate
from ntkrnn.infinite._paths_layers import kernels_of_samples
from ntkrnn.infinite._paths_noise import SAMPLES_PER_COORDINATE, Noise, backward_noise, forward_noise
from ntkrnn.infinite._replicates import Running, nothing, with_another

FEWEST_SAMPLES = 2048
BOUNDED = ("tanh", "erf", "sin", "cos", "sigmoid", "sign", "step")
"""Nonlinearities with values between -1 and 1."""


NOT_NEGATIVE = ("sigmoid",)
"""Those of them that are smooth and have no negative values."""


class SampleOptions(NamedTuple):
    """How the samples are drawn; all but the first are there to be measured."""

    samples: int | None = None
    kind: str | None = None
    """See :data:`ntkrnn.infinite._paths_noise.KINDS`; None for what there are samples enough for."""
    exact: Exact = Exact(factor=True, memory=True)
    """Where the cell allows it."""


class Sides(NamedTuple):
    """Both sides on the host, padded to a common number of steps; lengths always there."""

    x1: np.ndarray
    x2: np.ndarray
    lengths1: np.ndarray
    lengths2: np.ndarray
    symmetric: bool


@compiled("form", "samples", "exact")
def _program(
    form: Dense,
    scales: Any,
    x: Array,
    lengths: Array,
    noise: Noise,
    signs: Array | None,
    samples: int,
    exact: Exact,
) -> tuple[Array, ...]:
    arch, steps = form.with_scales(scales), jnp.max(lengths)
    return kernels_of_samples(arch, x, lengths, steps, noise, signs, samples, exact)


def _possible(arch: Dense, sides: Sides, wanted: Exact) -> Exact:
    """What the cell allows, as far as no variance exceeds what an expansion is made for."""
    cell = arch.cell
    functions = [getattr(arch, f, "tanh") for f in ("nonlinearity", "gate_nonlinearity")]
    if cell.factor is None or not all(f in BOUNDED for f in functions):
        return Exact(factor=False, memory=False)
    squares = [np.square(x, dtype=np.float64).mean(-1).max() for x in (sides.x1, sides.x2)]
    w, u, b = (max(s) if isinstance(s, tuple) else s for s in arch.scales[:3])
    bound = w**2 + u**2 * max(1.0, *squares) + b**2
    octave = max(0, math.ceil(math.log2(bound))) if bound > 0 else 0

    def known(*gates: GateFunction) -> bool:
        return all(can_integrate(cell, g, octave) for g in gates)

    factor, memory = wanted.factor and known(cell.factor.of), False
    if factor and wanted.memory and cell.memory is not None:
        keep = cell.memory.keep
        memory = keep.nonlinearity in NOT_NEGATIVE and known(keep, *cell.memory.write)
    return Exact(factor, memory)


def sides_of(x1: Any, x2: Any, lengths1: Any, lengths2: Any, symmetric: bool) -> Sides:
    """Padding is set to 0, and both sides have as many steps as the longest of them."""
    xs, lengths = [np.asarray(x1), np.asarray(x2)], []
    for k, given in enumerate((lengths1, lengths2)):
        n, steps, _ = xs[k].shape
        lengths.append(np.full(n, steps, np.int32) if given is None else np.asarray(given, np.int32))
        xs[k] = np.where(np.arange(steps)[None, :, None] < lengths[k][:, None, None], xs[k], 0)
    longest = max(int(part.max()) for part in lengths)
    xs = [np.pad(x, ((0, 0), (0, max(0, longest - x.shape[1])), (0, 0)))[:, :longest] for x in xs]
    return Sides(*xs, *lengths, symmetric)


def _block_input(sides: Sides, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """The sequences of a block, in the sizes of a bucket; what fills up has length 0."""
    x = np.concatenate([sides.x1[block.one], sides.x2[block.two]])
    lengths = np.concatenate([sides.lengths1[block.one], sides.lengths2[block.two]])
    n, steps = (bucket(size + -size % 4) for size in x.shape[:2])
    more, later = n - x.shape[0], steps - x.shape[1]
    return np.pad(x, ((0, more), (0, later), (0, 0))), np.pad(lengths, (0, more))


def _noise(
    arch: Dense, random: np.random.Generator, x: np.ndarray, options: SampleOptions, tangent: bool
) -> tuple[Noise, Array | None, int]:
    """What drives a block of sequences forwards and backwards, and for how many samples."""
    n, steps = x.shape[:2]
    samples = options.samples or max(FEWEST_SAMPLES, SAMPLES_PER_COORDINATE * n * steps)
    samples = 1 << (samples - 1).bit_length()
    enough = samples >= SAMPLES_PER_COORDINATE * n * steps
    kind = options.kind or ("white pairs" if enough else "plain")
    forth = forward_noise(random, len(arch.cell.gates), steps, n, samples, kind, x.dtype)
    if not tangent:
        return forth, None, samples
    sources = 1 if arch.cell.inner is None else 2
    outputs = steps if arch.readout == "sequence" else 1
    sets = arch.depth * len(arch.directions)
    back = backward_noise(random, sets, sources * steps * n * outputs, samples)
    return forth, back, samples


def _enter(out: np.ndarray, kernel: np.ndarray, block: Block, symmetric: bool) -> None:
    """The kernel of all sequences of a block where it belongs."""
    n1, n = len(block.one), len(block.one) + len(block.two)
    if block.diagonal:
        out[np.ix_(block.one, block.one)] = kernel[:n1, :n1]
    out[np.ix_(block.one, block.two)] = kernel[:n1, n1:n]
    if symmetric:
        out[np.ix_(block.two, block.one)] = kernel[n1:n, :n1]


def _replicate(
    arch: Dense,
    sides: Sides,
    blocks: list[Block],
    options: SampleOptions,
    tangent: bool,
    seed: list[int],
) -> list[Array]:
    """Both kernels, ``[N1, N2]`` or ``[N1, N2, T, T]``, from one set of samples for all blocks."""
    form = dataclasses.replace(arch.form, width=2, out_dim=1)
    steps = sides.x1.shape[1]
    times = (steps, steps) if arch.readout == "sequence" else ()
    shape = (len(sides.x1), len(sides.x2), *times)
    found = [np.empty(shape, sides.x1.dtype) for _ in range(1 + tangent)]
    drawn: dict[tuple[int, ...], Any] = {}
    for block in blocks:
        x, lengths = _block_input(sides, block)
        if x.shape not in drawn:  # common random numbers for all blocks of a size
            random = np.random.default_rng(seed)
            drawn = {x.shape: _noise(arch, random, x, options, tangent)}
        noise, signs, samples = drawn[x.shape]
        exact = options.exact
        if samples < SAMPLES_PER_COORDINATE * x.shape[0] * x.shape[1]:
            exact = exact._replace(memory=False)  # their moments are too far from what they should be
        kernels = _program(form, arch.scales, x, lengths, noise, signs, samples, exact)
        for out, kernel in zip(found, kernels, strict=True):
            kernel = np.asarray(0.5 * (kernel + kernel.T))
            if times:
                n, t = x.shape[:2]
                kernel = kernel.reshape(n, t, n, t).transpose(0, 2, 1, 3)[..., :steps, :steps]
            _enter(out, kernel, block, sides.symmetric)
    return [jnp.asarray(out) for out in found]


def estimates(
    arch: Dense,
    sides: Sides,
    blocks: list[Block],
    options: SampleOptions,
    tangent: bool,
    key: Array,
    most: int,
) -> Iterator[Running]:
    """What is known after each replicate, up to ``most`` of them."""
    data = key if jnp.issubdtype(key.dtype, jnp.uint32) else jax.random.key_data(key)
    words = [int(word) for word in np.asarray(data).ravel()]
    options = options._replace(exact=_possible(arch, sides, options.exact))
    running: Any = None
    for replicate in range(most):
        seed = [*words, replicate]
        new = tuple(_replicate(arch, sides, blocks, options, tangent, seed))
        running = with_another(nothing(new) if running is None else running, new)
        yield running

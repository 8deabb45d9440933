"""Both kernels of all pairs of sequences from one set of samples, block by block."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._types import Array
from ntkrnn.architectures import Dense
from ntkrnn.gram import bucket
from ntkrnn.infinite._blocks import Block
from ntkrnn.infinite._paths_exact import can_integrate
from ntkrnn.infinite._paths_layers import kernels_of_samples
from ntkrnn.infinite._paths_noise import SAMPLES_PER_COORDINATE, forward_noise
from ntkrnn.infinite._replicates import Running, nothing, with_another

FEWEST_SAMPLES = 2048
MOST_REPLICATES = 512
"""At which a tolerance is given up."""
BOUNDED = ("tanh", "erf", "sin", "cos", "sigmoid", "sign", "step")
"""Nonlinearities with values between -1 and 1."""


class Options(NamedTuple):
    """How the samples are drawn; all but the first are there to be measured."""

    samples: int | None = None
    kind: str | None = None
    """See :data:`ntkrnn.infinite._paths_noise.KINDS`; None for what there are samples enough for."""
    integrate: bool = True


class Sides(NamedTuple):
    """Both sides on the host, padded to a common number of steps; lengths always there."""

    x1: np.ndarray
    x2: np.ndarray
    lengths1: np.ndarray
    lengths2: np.ndarray
    symmetric: bool


@functools.partial(jax.jit, static_argnames=("form", "integrate", "tangent"))
def _program(
    form: Dense,
    scales: Any,
    x: Array,
    lengths: Array,
    noise: Array,
    key: Array,
    integrate: bool,
    tangent: bool,
) -> tuple[Array, ...]:
    arch, steps = form.with_scales(scales), jnp.max(lengths)
    return kernels_of_samples(arch, x, lengths, steps, noise, key, integrate, tangent)


def _variance_bound(arch: Dense, x: np.ndarray) -> float:
    """What no pre-activation variance exceeds, infinite if the states may grow."""
    functions = [getattr(arch, f, "tanh") for f in ("nonlinearity", "gate_nonlinearity")]
    if not all(f in BOUNDED for f in functions):
        return float("inf")
    drive = max(1.0, float(np.square(x, dtype=np.float64).mean(-1).max()))
    w, u, b = (max(s) if isinstance(s, tuple) else s for s in arch.scales[:3])
    return w**2 + u**2 * drive + b**2


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
    n, steps = bucket(x.shape[0]) - x.shape[0], bucket(x.shape[1]) - x.shape[1]
    return np.pad(x, ((0, n), (0, steps), (0, 0))), np.pad(lengths, (0, n))


def _replicate(
    arch: Dense, sides: Sides, blocks: list[Block], options: Options, tangent: bool, key: Array
) -> list[Array]:
    """Both kernels, ``[N1, N2]`` or ``[N1, N2, T, T]``, from one set of samples for all blocks."""
    form = dataclasses.replace(arch.form, width=2, out_dim=1)
    forth, back = jax.random.split(key)
    steps = sides.x1.shape[1] if arch.readout == "sequence" else None
    shape = (len(sides.x1), len(sides.x2)) + ((steps, steps) if steps else ())
    found = [np.empty(shape, sides.x1.dtype) for _ in range(1 + tangent)]
    noise: Any = None
    for block in blocks:
        x, lengths = _block_input(sides, block)
        coordinates = x.shape[0] * x.shape[1]
        samples = options.samples or max(FEWEST_SAMPLES, SAMPLES_PER_COORDINATE * coordinates)
        samples = 1 << (samples - 1).bit_length()
        enough = samples >= SAMPLES_PER_COORDINATE * coordinates
        kind = options.kind or ("whitened" if enough else "antithetic")
        factor = arch.cell.factor
        integrate = (
            options.integrate
            and factor is not None
            and can_integrate(
                factor, arch.cell.gates[factor.gate].mean, _variance_bound(arch, sides.x1)
            )
        )
        size = (len(arch.cell.gates), x.shape[1], x.shape[0], samples, kind)
        if noise is None or noise[0] != size:
            noise = (size, forward_noise(forth, *size, x.dtype))
        kernels = _program(
            form, arch.scales, jnp.asarray(x), jnp.asarray(lengths), noise[1], back, integrate, tangent
        )
        n1, n = len(block.one), len(block.one) + len(block.two)
        for out, kernel in zip(found, kernels, strict=True):
            kernel = np.asarray(0.5 * (kernel + kernel.T))
            if steps:
                t = x.shape[1]
                kernel = kernel.reshape(len(x), t, len(x), t).transpose(0, 2, 1, 3)[..., :steps, :steps]
            if block.diagonal:
                out[np.ix_(block.one, block.one)] = kernel[:n1, :n1]
            out[np.ix_(block.one, block.two)] = kernel[:n1, n1:n]
            if sides.symmetric:
                turned = kernel[n1:n, :n1]
                out[np.ix_(block.two, block.one)] = turned
    return [jnp.asarray(out) for out in found]


def estimates(
    arch: Dense, sides: Sides, blocks: list[Block], options: Options, tangent: bool, key: Array
) -> Iterator[Running]:
    """What is known after each replicate."""
    running: Any = None
    for replicate in range(MOST_REPLICATES):
        own = jax.random.fold_in(key, replicate)
        new = tuple(_replicate(arch, sides, blocks, options, tangent, own))
        running = with_another(nothing(new) if running is None else running, new)
        yield running

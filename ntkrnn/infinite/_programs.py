"""Running a Gram matrix: in somebody's program, in one of ours, or on several devices.

Sizes that a program is compiled for are steps of a quarter octave, see :mod:`ntkrnn.infinite._tiles`;
the true ones are arguments. On several devices each computes its share of the tiles, and the sum of
what they hold is the matrix: every entry comes from one device, so that their number does not show.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from ntkrnn._compile import vectorising_jit
from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Scales
from ntkrnn.infinite._gram import Data, Settings, gram
from ntkrnn.infinite._tiles import Tiling, bucket, choose, schedule


class Problem(NamedTuple):
    """What is asked for."""

    form: Elman
    ntk: bool
    symmetric: bool
    tile: int | None
    """Sequences per side of a tile, None to choose."""


class Prepared(NamedTuple):
    """A problem with its data, cut into tiles."""

    settings: Settings
    one: Data
    two: Data
    pairs: np.ndarray
    groups: int


def prepare(
    problem: Problem, x1: Any, x2: Any, lengths1: Any, lengths2: Any, platform: str, exact: bool
) -> Prepared:
    """Choose tiles and pad both sides to them.

    Args:
        problem: what is asked for.
        x1: ``[N1, T1, d]``.
        x2: ``[N2, T2, d]``.
        lengths1: ``[N1]`` or None.
        lengths2: ``[N2]`` or None.
        platform: what the tiles are for.
        exact: pad to whole tiles only, and keep sizes as plain ints; else to buckets.
    """
    form, last = problem.form, problem.form.readout == "last"
    (n1, t1, _), (n2, t2, _) = x1.shape, x2.shape
    tiling = choose(n1, n2, None if last else t2, x1.dtype.itemsize, platform, problem.symmetric, problem.tile)
    pairs, groups = schedule(n1, n2, tiling, tiling.lanes if last else 1, problem.symmetric)
    up = (lambda size: size) if exact else bucket
    # "last" runs along one diagonal of both sides.
    capacities = (up(max(t1, t2)),) * 2 if last else (up(t1), up(t2))
    ragged = lengths1 is not None or lengths2 is not None or (last and t1 != t2)
    sides = [
        Data(
            *_pad(x, lengths, up(-(-x.shape[0] // tile)) * tile, capacity),
            x.shape[1] if exact else np.int32(x.shape[1]),
        )
        for x, lengths, tile, capacity in (
            (x1, lengths1, tiling.rows, capacities[0]),
            (x2, lengths2, tiling.columns, capacities[1]),
        )
    ]
    settings = Settings(form, problem.ntk, tiling, problem.symmetric, ragged)
    return Prepared(settings, sides[0], sides[1], pairs, groups)


def _pad(x: Any, lengths: Any, size: int, steps: int) -> tuple[Any, Any]:
    """``x`` to ``size`` sequences of ``steps`` steps, in whichever of NumPy and JAX it is in."""
    xp: Any = np if isinstance(x, np.ndarray) else jnp
    n, t, _ = x.shape
    lengths = xp.full(n, t, np.int32) if lengths is None else lengths
    if (n, t) == (size, steps):
        return x, lengths
    x = xp.pad(x, ((0, size - n), (0, steps - t), (0, 0)))
    return x, xp.pad(lengths, (0, size - n))


def traced(problem: Problem, scale: Scales, x1: Any, x2: Any, *lengths: Any) -> tuple[Array, ...]:
    """The kernels inside a program that somebody else compiles or differentiates."""
    work = prepare(problem, x1, x2, *lengths, platform=jax.default_backend(), exact=True)
    pairs = jnp.asarray(work.pairs)
    kernels = gram(work.settings, scale, work.one, work.two, pairs, (0, work.groups))
    return tuple(_cut(k, x1, x2) for k in kernels)


def _cut(kernel: Any, x1: Any, x2: Any) -> Array:
    """Without the padding."""
    size = (x1.shape[0], x2.shape[0], x1.shape[1], x2.shape[1])[: kernel.ndim]
    return kernel if kernel.shape == size else kernel[tuple(slice(s) for s in size)]


@functools.partial(vectorising_jit, static_argnames="settings")
def _one_device(
    settings: Settings, scale: Scales, one: Data, two: Data, pairs: Array, groups: Any
) -> tuple[Array, ...]:
    return gram(settings, scale, one, two, pairs, (0, groups))


@functools.partial(vectorising_jit, static_argnames=("settings", "mesh"))
def _many_devices(
    settings: Settings, mesh: Mesh, scale: Scales, one: Data, two: Data, pairs: Array, groups: Any
) -> tuple[Array, ...]:
    count = mesh.devices.size

    def share(scale: Scales, one: Data, two: Data, pairs: Array, groups: Any) -> tuple[Array, ...]:
        rank = jax.lax.axis_index("tiles")
        span = (groups * rank // count, groups * (rank + 1) // count)
        return jax.lax.psum(gram(settings, scale, one, two, pairs, span), "tiles")

    everywhere = PartitionSpec()
    mapped = jax.shard_map(
        share, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False
    )
    return mapped(scale, one, two, pairs, groups)


def chosen_devices(devices: Sequence[jax.Device] | None, x: Array) -> list[jax.Device]:
    """Where to compute: as asked, or all devices like the one that ``x`` is on."""
    if devices is None:
        home = next(iter(x.devices()))
        alike = [d for d in jax.local_devices() if d.platform == home.platform]
        return alike if home in alike else [home]
    found = list(devices)
    if not found or any(not isinstance(d, jax.Device) for d in found):
        raise TypeError(
            f"devices: got {devices!r}, expected a sequence of at least one device, such as "
            "jax.devices()."
        )
    return found


def compiled(
    scale: Scales, work: Prepared, x1: Any, x2: Any, devices: list[jax.Device]
) -> tuple[Array, ...]:
    """The kernels by a program of our own, on one device or several."""
    arguments = (scale, work.one, work.two, work.pairs, np.int32(work.groups))
    if len(devices) > 1:
        kernels = _many_devices(work.settings, Mesh(np.asarray(devices), ("tiles",)), *arguments)
    else:
        with jax.default_device(devices[0]):
            kernels = _one_device(work.settings, *arguments)
    if devices[0].platform == "cpu":  # a view, without a program for every size
        kernels = [np.asarray(k) for k in kernels]
    return tuple(jnp.asarray(_cut(k, x1, x2)) for k in kernels)

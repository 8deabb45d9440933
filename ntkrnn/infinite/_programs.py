"""Running a Gram matrix: in somebody's program, in one of ours, or on several devices.

Sizes that a program is compiled for are steps of a quarter octave, see :mod:`ntkrnn.gram`;
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
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ntkrnn._compile import wide_registers
from ntkrnn._types import Array
from ntkrnn.architectures import Elman, Leaky, LeakyScales, Scales
from ntkrnn.dual import stepper
from ntkrnn.gram import bucket, choose, schedule
from ntkrnn.infinite import _filter_gram, _gram
from ntkrnn.infinite._filter_plane import small
from ntkrnn.infinite._gram import Data, Settings

AnyScale = Scales | LeakyScales


class Problem(NamedTuple):
    """What is asked for."""

    form: Elman | Leaky
    symmetric: bool
    tile: int | None
    """Sequences per side of a tile, None to choose."""


def sides(settings: Settings, scale: Any, one: Data, two: Data) -> Any:
    """What depends on one sequence alone, by the engine of the architecture."""
    engine = _filter_gram if settings.form.limit == "filter" else _gram
    return engine.sides(settings, scale, one, two)


def tiles(settings: Settings, scale: Any, both: Any, pairs: Array, span: Any) -> tuple[Array, Array]:
    """The tiles of some groups, by the engine of the architecture."""
    engine = _filter_gram if settings.form.limit == "filter" else _gram
    return engine.tiles(settings, scale, both, pairs, span)


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
    form, filtered = problem.form, problem.form.limit == "filter"
    last = form.readout == "last" and not filtered
    (n1, t1, _), (n2, t2, _) = x1.shape, x2.shape
    shifts, triangle = None if last else t2, problem.symmetric
    tiling = choose(n1, n2, shifts, x1.dtype.itemsize, platform, triangle, problem.tile)
    if filtered and problem.tile is None:
        tiling = small(tiling, form, t1, t2, x1.dtype.itemsize, platform)
    pairs, groups = schedule(n1, n2, tiling, tiling.lanes if last else 1, triangle)
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
    settings = Settings(form, tiling, problem.symmetric, x1.shape[2], ragged)
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


def traced(problem: Problem, scale: AnyScale, x1: Any, x2: Any, *lengths: Any) -> tuple[Array, ...]:
    """The kernels inside a program that somebody else compiles or differentiates."""
    work = prepare(problem, x1, x2, *lengths, platform=jax.default_backend(), exact=True)
    both = sides(work.settings, scale, work.one, work.two)
    kernels = tiles(work.settings, scale, both, jnp.asarray(work.pairs), (0, work.groups))
    return tuple(_cut(k, x1, x2) for k in kernels)


def _size(kernel: Any, x1: Any, x2: Any) -> tuple[int, ...]:
    return (x1.shape[0], x2.shape[0], x1.shape[1], x2.shape[1])[: kernel.ndim]


def _cut(kernel: Any, x1: Any, x2: Any) -> Array:
    """Without the padding."""
    size = _size(kernel, x1, x2)
    return kernel if kernel.shape == size else kernel[tuple(slice(s) for s in size)]


_prepared = jax.jit(sides, static_argnames="settings")


def _one_device(
    settings: Settings, scale: AnyScale, both: Any, pairs: Array, groups: Any
) -> tuple[Array, Array]:
    return tiles(settings, scale, both, pairs, (0, groups))


def _many_devices(
    settings: Settings, mesh: Mesh, scale: AnyScale, both: Any, pairs: Array, groups: Any
) -> tuple[Array, Array]:
    count = mesh.size

    def share(scale: AnyScale, both: Any, pairs: Array, groups: Any) -> tuple[Array, Array]:
        rank = jax.lax.axis_index("tiles")
        span = (groups * rank // count, groups * (rank + 1) // count)
        return jax.lax.psum(tiles(settings, scale, both, pairs, span), "tiles")

    everywhere = PartitionSpec()
    mapped = jax.shard_map(share, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False)
    return mapped(scale, both, pairs, groups)


@functools.cache
def _program(settings: Settings, devices: tuple[Any, ...]) -> Any:
    """The compiled tiles, for wide registers where nothing but arithmetic is in them."""
    if len(devices) > 1:
        fn = functools.partial(_many_devices, settings, Mesh(np.asarray(devices), ("tiles",)))
    else:
        fn = functools.partial(_one_device, settings)
    platform = next(iter(devices)).platform
    wide = platform == "cpu" and stepper(settings.form.nonlinearity).arithmetic
    return jax.jit(fn, compiler_options=wide_registers() if wide else None)


def chosen_devices(devices: Sequence[Any] | None, x: Array) -> list[Any]:
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
    scale: AnyScale, work: Prepared, x1: Any, x2: Any, devices: list[Any]
) -> tuple[tuple[Array, ...], Array]:
    """The kernels by a program of our own, and the largest pre-activation variance."""
    devices = devices[: work.groups]  # no more than there is work for
    program = _program(work.settings, tuple(devices))
    with jax.default_device(devices[0]):
        both = _prepared(work.settings, scale, work.one, work.two)
        if len(devices) > 1:
            everywhere = NamedSharding(Mesh(np.asarray(devices), ("tiles",)), PartitionSpec())
            both = jax.device_put(both, everywhere)
        kernels = program(scale, both, work.pairs, np.int32(work.groups))
    return tuple(_trimmed(k, x1, x2, devices[0].platform) for k in kernels), both.largest


def _trimmed(kernel: Array, x1: Any, x2: Any, platform: str) -> Array:
    """Without the padding; on a CPU through a view, which needs no program for every size."""
    size = _size(kernel, x1, x2)
    if platform == "cpu" and kernel.shape != size:
        return jax.device_put(np.asarray(kernel)[tuple(slice(s) for s in size)])
    return _cut(kernel, x1, x2)

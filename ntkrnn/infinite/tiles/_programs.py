"""Running a Gram matrix: in somebody's program, in one of ours, or on several devices.

On several devices each computes its share of the tiles, and the sum of
what they hold is the matrix: every entry comes from one device, so that their number does not show.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ntkrnn import _compile
from ntkrnn._types import Array
from ntkrnn.architectures import LeakyScales, Scales
from ntkrnn.dual import stepper
from ntkrnn.infinite.pairs._data import Data, Settings
from ntkrnn.infinite.tiles._problem import Prepared, Problem, Sizes, prepare
from ntkrnn.infinite.tiles._tiles import differentiable_tiles, sides, tiles

AnyScale = Scales | LeakyScales


def traced(problem: Problem, scale: AnyScale, x1: Any, x2: Any, *lengths: Any) -> tuple[Array, ...]:
    """The kernels inside a program that somebody else compiles or differentiates."""
    sizes = Sizes.of(problem, x1, x2, jax.default_backend(), exact=True)
    work = prepare(problem, sizes, x1, x2, *lengths, exact=True)
    scale = jax.tree.map(lambda a: jnp.asarray(a, x1.dtype), scale)
    both = _prepared(work.settings, scale, work.one, work.two)
    static = (work.settings, work.steps, work.groups)
    kernels = differentiable_tiles(static, scale, both, work.pairs)
    return tuple(_cut(k, x1, x2) for k in kernels)


def _size(kernel: Any, x1: Any, x2: Any) -> tuple[int, ...]:
    (n1, t1, _), (n2, t2, _) = x1.shape, x2.shape
    sequences = (n1,) if kernel.ndim % 2 else (n1, n2)  # [N] and [N, T1, T2] are diagonals
    return (*sequences, t1, t2)[: kernel.ndim]


def _cut(kernel: Any, x1: Any, x2: Any) -> Array:
    """Without the padding."""
    size = _size(kernel, x1, x2)
    return kernel if kernel.shape == size else kernel[tuple(slice(s) for s in size)]


_FEW_STEPS, _FEW_PAIR_STEPS = 2**14, 2**18
"""Steps of all sequences, and of all pairs, up to which their program is compiled quickly."""


def _quick(settings: Settings, one: Data, two: Data, **_: Any) -> dict[str, Any] | None:
    """Compiler options: most of what both sides of a small problem take is their compilation."""
    steps = max(math.prod(side.x.shape[:2]) for side in (one, two))
    fits = settings.form.limit != "filter" and steps <= _FEW_STEPS
    return _compile.QUICK if fits and jax.default_backend() == "cpu" else None


_prepared = _compile.compiled("settings", options=_quick)(sides)


def _wide(
    settings: Settings, devices: tuple[Any, ...], both: Any, pairs: Any, **_: Any
) -> dict[str, Any] | None:
    """Compiler options: wide registers where nothing but arithmetic is in the program.

    Few of all pairs' steps are compiled in six tenths of the time, and run up to a twentieth longer.
    """
    if devices[0].platform != "cpu":
        return None
    wide = _compile.wide_registers() if stepper(settings.form.nonlinearity).arithmetic else None
    steps = max(rows.shape[0] for rows in jax.tree.leaves(both.one) if rows.ndim == 4)
    work = math.prod(pairs.shape[:2]) * settings.tiling.rows * settings.tiling.columns * steps
    return {**(wide or {}), **_compile.SMALL} if work <= _FEW_PAIR_STEPS else wide


@_compile.compiled("settings", "devices", options=_wide)
def program(
    settings: Settings,
    devices: tuple[Any, ...],
    scale: AnyScale,
    steps: tuple[Any, Any],
    both: Any,
    pairs: Array,
    groups: Any,
) -> tuple[Array, ...]:
    """The tiles, on one device or with a share of them on each."""
    if len(devices) == 1:
        return tiles(settings, steps, scale, both, pairs, (0, groups))
    mesh = Mesh(np.asarray(devices), ("tiles",))
    count = mesh.size

    def share(scale: AnyScale, steps: Any, both: Any, pairs: Array, groups: Any) -> tuple[Array, ...]:
        rank = jax.lax.axis_index("tiles")
        span = (groups * rank // count, groups * (rank + 1) // count)
        return jax.lax.psum(tiles(settings, steps, scale, both, pairs, span), "tiles")

    everywhere = PartitionSpec()
    mapped = jax.shard_map(share, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False)
    return mapped(scale, steps, both, pairs, groups)


def chosen_devices(devices: tuple[Any, ...] | None, x: Array) -> list[Any]:
    """Where to compute: as asked, or all devices like the one that ``x`` is on."""
    if devices is not None:
        return list(devices)
    home = next(iter(x.devices()))
    alike = [d for d in jax.local_devices() if d.platform == home.platform]
    return alike if home in alike else [home]


def compiled(
    scale: AnyScale, work: Prepared, x1: Any, x2: Any, devices: list[Any]
) -> tuple[tuple[Array, ...], Array]:
    """The kernels by a program of our own, and the largest pre-activation variance."""
    devices = devices[: work.groups]  # no more than there is work for
    with jax.default_device(devices[0]):
        both = _prepared(work.settings, scale, work.one, work.two)
        if len(devices) > 1:
            everywhere = NamedSharding(Mesh(np.asarray(devices), ("tiles",)), PartitionSpec())
            both = jax.device_put(both, everywhere)
        rest = (work.steps, both, work.pairs, np.int32(work.groups))
        kernels = program(work.settings, tuple(devices), scale, *rest)
        jax.block_until_ready(kernels)  # what fails is raised here, and ends no process later
    return tuple(_trimmed(k, x1, x2, devices[0].platform) for k in kernels), both.largest


def _trimmed(kernel: Array, x1: Any, x2: Any, platform: str) -> Array:
    """Without the padding; on a CPU through a view, which needs no program for every size."""
    size = _size(kernel, x1, x2)
    if platform == "cpu" and kernel.shape != size:
        return jax.device_put(np.asarray(kernel)[tuple(slice(s) for s in size)])
    return _cut(kernel, x1, x2)

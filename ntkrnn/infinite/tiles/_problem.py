"""What is asked for, cut into tiles and padded to sizes that programs share.

Sizes that a program is compiled for are steps of a quarter octave, see :mod:`ntkrnn._tiling`;
the true ones are arguments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ntkrnn._memory import require
from ntkrnn._tiling import (
    COARSE_LANES,
    SMALLEST_TILE,
    Tiling,
    bucket,
    choose,
    in_order,
    schedule,
    together,
)
from ntkrnn.architectures import Elman, Leaky
from ntkrnn.infinite.leaky._plane import PLANE_BLOCKS, small
from ntkrnn.infinite.pairs._data import Data, Settings


class Problem(NamedTuple):
    """What is asked for."""

    form: Elman | Leaky
    symmetric: bool
    tile: int | None
    """Sequences per side of a tile, None to choose."""
    diagonal: bool = False
    """Whether sequence i of one side is wanted with sequence i of the other alone."""

    @property
    def keeps_plane(self) -> bool:
        """Whether a block of pairs is held at every pair of steps."""
        form = self.form
        return form.reading.stepwise or (
            form.limit == "filter" and form.bidirectional and form.depth > 1
        )

    @property
    def one_diagonal(self) -> bool:
        """Whether all that is read lies on one diagonal of the plane of two times."""
        return self.form.reading.final and self.form.limit != "filter"


class Prepared(NamedTuple):
    """A problem with its data, cut into tiles."""

    settings: Settings
    one: Data
    two: Data
    pairs: np.ndarray
    groups: int

    @property
    def steps(self) -> tuple[Any, Any]:
        """T1 and T2, before padding."""
        return self.one.steps, self.two.steps


class Sizes(NamedTuple):
    """What a problem is cut and padded to."""

    tiling: Tiling
    rows: tuple[int, int]
    """Sequences of both sides."""
    steps: tuple[int, int]
    """Steps of both sides."""
    group: int
    """Tiles that advance together, apart from the diagonals that do."""

    @classmethod
    def of(cls, problem: Problem, x1: Any, x2: Any, platform: str, exact: bool = False) -> Sizes:
        """Choose tiles for a platform; ``exact`` pads to whole tiles only, and not to buckets."""
        form, last = problem.form, problem.one_diagonal
        (n1, t1, channels), (n2, t2, _), itemsize = x1.shape, x2.shape, x1.dtype.itemsize
        # "last" runs along one diagonal of both sides, as far as there are steps and no further.
        coarse = _COARSE_STEPS if last else COARSE_LANES
        steps = (max(t1, t2),) * 2 if last else (t1, t2)
        if not exact:
            least = SMALLEST_TILE if last else 1  # for small problems to share a program
            steps = (max(least, bucket(steps[0], coarse)), max(least, bucket(steps[1], coarse)))
        shifts = None if last else t2
        if problem.diagonal:
            shifts = None if form.limit == "filter" else shifts
            tiling = choose(1, 1, shifts, itemsize, platform, tile=1)
            numbers = t2 if form.limit == "filter" else tiling.lanes
            if last:  # what is read along the whole diagonal is copied out for each group
                numbers = steps[0] * (channels + _ROWS_OF_A_STEP * form.depth)
            if problem.keeps_plane:
                numbers = max(numbers, t1 * t2 // PLANE_BLOCKS)
            group = together(n1, numbers, itemsize, platform, problem.tile)
            rows = bucket(-(-n1 // group)) * group
            return cls(tiling, (rows, rows), steps, group)
        tiling = choose(n1, n2, shifts, itemsize, platform, problem.symmetric, problem.tile)
        if form.limit == "filter" and problem.tile is None:
            tiling = small(tiling, form, t1, t2, itemsize, platform)
        tiles_of = (-(-n1 // tiling.rows), -(-n2 // tiling.columns))
        if not exact:
            tiles_of = (bucket(tiles_of[0]), bucket(tiles_of[1]))
        rows = (tiles_of[0] * tiling.rows, tiles_of[1] * tiling.columns)
        return cls(tiling, rows, steps, tiling.lanes if last else 1)

    def bytes(self, problem: Problem, channels: int, itemsize: int) -> int:
        """Memory for the kernels, a copy of them without the padding, both sides, and one block."""
        (n1, n2), (t1, t2), (rows, columns, _) = self.rows, self.steps, self.tiling
        form = problem.form
        entries = n1 if problem.diagonal else n1 * n2
        kernels = 2 * entries * (t1 * t2 if form.reading.stepwise else 1)
        kept = 1 if form.limit != "filter" else t2  # rows of the plane, or all of it
        if problem.keeps_plane:
            kept = t1 * t2
        if problem.diagonal:
            kept *= self.group
        sides = (n1 * t1 + n2 * t2) * (2 * channels + _ROWS_OF_A_STEP * form.depth)
        block = _ARRAYS_OF_A_TILE * rows * columns * kept
        return itemsize * (2 * kernels + sides + block)


_COARSE_STEPS = 64
_ROWS_OF_A_STEP = 8
"""Numbers of a sequence at a step that a layer reads: variances, features, counts."""
_ARRAYS_OF_A_TILE = 4
"""Both kernels of a tile, before and after a step."""


def check_memory(problem: Problem, sizes: Sizes, x1: Any, x2: Any, device: Any) -> None:
    """Raise before work is begun that the memory of the device does not hold.

    Raises:
        ValueError: naming N, T and the bytes, and what to do instead.
    """
    needed = sizes.bytes(problem, x1.shape[2], x1.dtype.itemsize)
    axes = f"N={x1.shape[0]}, T={x1.shape[1]}"
    if problem.diagonal:
        axes = f"N={x1.shape[0]}, T1={x1.shape[1]}, T2={x2.shape[1]}"
    elif not problem.symmetric:
        axes = f"N1={x1.shape[0]}, N2={x2.shape[0]}, T1={x1.shape[1]}, T2={x2.shape[1]}"
    remedy = "compute it in blocks of rows (x2 of some sequences at a time), or take fewer of them."
    if problem.form.reading.stepwise:
        remedy = f"take readout 'last' or 'mean', which hold no pairs of steps, or {remedy}"
    what = f"both kernels of {axes} in {x1.dtype}, readout {problem.form.readout!r},"
    require("x1", needed, what, remedy, device)


def prepare(
    problem: Problem, sizes: Sizes, x1: Any, x2: Any, lengths1: Any, lengths2: Any, exact: bool
) -> Prepared:
    """Pad both sides to tiles, and say in which order the tiles are computed.

    Args:
        problem: what is asked for.
        sizes: what it is cut and padded to.
        x1: ``[N1, T1, d]``.
        x2: ``[N2, T2, d]``.
        lengths1: ``[N1]`` or None.
        lengths2: ``[N2]`` or None.
        exact: keep the numbers of steps as plain ints, for sizes that are padded to whole tiles only.
    """
    last = problem.one_diagonal
    n1, n2 = x1.shape[0], x2.shape[0]
    if problem.diagonal:
        pairs, groups = in_order(n1, sizes.group)
    else:
        pairs, groups = schedule(n1, n2, sizes.tiling, sizes.group, problem.symmetric)
    ragged = lengths1 is not None or lengths2 is not None or (last and x1.shape[1] != x2.shape[1])
    sides = [
        Data(*_pad(x, lengths, n, t), x.shape[1] if exact else np.int32(x.shape[1]))
        for x, lengths, n, t in zip(
            (x1, x2), (lengths1, lengths2), sizes.rows, sizes.steps, strict=True
        )
    ]
    kind = (problem.form, sizes.tiling, problem.symmetric)
    settings = Settings(*kind, x1.shape[2], ragged, problem.diagonal)
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

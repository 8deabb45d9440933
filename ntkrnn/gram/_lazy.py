"""Matrices that are nowhere: every tile is computed when it is asked for."""

from __future__ import annotations

from typing import Any

from ntkrnn import _checks
from ntkrnn.gram._kernel import Kernel, kernel_of, real_type
from ntkrnn.gram._matrix import LazyMatrix
from ntkrnn.gram._sequences import Side
from ntkrnn.gram._setup import layout_of


def lazy(
    arch_or_kernel_fn: Any,
    x1: Any,
    x2: Any = None,
    *,
    get: str = "ntk",
    lengths1: Any = None,
    lengths2: Any = None,
    params: Any = None,
    tile: int | None = None,
    dtype: Any = None,
) -> LazyMatrix:
    """A kernel matrix that is nowhere: every tile is computed when it is asked for.

    For solves where neither memory nor disk holds the matrix: a product costs all its kernels.

    Args:
        arch_or_kernel_fn: as in :func:`ntkrnn.gram.compute`; functions need ``diagonal=True`` for
            ``diagonal()``.
        x1: ``[N1, T1, d]``, in memory or on disk.
        x2: ``[N2, T2, d]``, or None for x1.
        get: one kernel by name.
        lengths1: ``[N1]`` valid leading steps.
        lengths2: ``[N2]``.
        params: of a finite network.
        tile: sequences per side of a tile.
        dtype: "float32" or "float64".

    Returns:
        A :class:`ntkrnn.gram.TiledMatrix`, see :func:`ntkrnn.gram.open`.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: N1 N2 kernels (half of them for one side) for every product, in tiles; ``diagonal`` N of them,
    ``columns`` N1 for each.

    Source: see :func:`ntkrnn.gram.compute`.

    Example:
        >>> import numpy as np, ntkrnn
        >>> x = np.random.default_rng(0).normal(size=(50, 5, 2))
        >>> ntkrnn.gram.lazy(ntkrnn.Elman(), x).product(np.ones(50)).shape
        (50,)
    """
    one = Side("x1", x1, lengths1)
    two = None if x2 is None else Side("x2", x2, lengths2)
    if two is not None:
        _checks.same_channels(one.x, two.x)
    if not isinstance(get, str):
        raise ValueError(f"get: got {get!r}, expected one name.")
    kernel = kernel_of(arch_or_kernel_fn, get, params, real_type(dtype, one))
    kernel = Kernel(kernel.function, kernel.names[:1], kernel.dtype, params)
    return LazyMatrix(kernel, (one, two), layout_of(kernel, one, two, tile))

"""The argument ``get`` of every ``kernel_fn``, and what it is answered with."""

from __future__ import annotations

import collections
import functools
from typing import Any

from ntkrnn._types import Kernels, SampledKernels

_NAMED = {kind._fields: kind for kind in (Kernels, SampledKernels)}


def canonical_get(get: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that are wanted.

    Raises:
        ValueError: if ``get`` is neither one of the names nor a tuple of different ones.
    """
    listed = isinstance(get, (tuple, list))
    wanted = tuple(get) if listed else (get,)
    if (
        not wanted
        or any(not isinstance(g, str) or g not in names for g in wanted)
        or len(set(wanted)) < len(wanted)
    ):
        every = "both" if len(names) == 2 else "all"
        raise ValueError(
            f"get: got {get!r}, expected {', '.join(map(repr, names))}, a tuple of them, or None for "
            f"{every}."
        )
    return wanted


@functools.lru_cache(maxsize=64)
def result_type(fields: tuple[str, ...]) -> type:
    """The named tuple with these fields."""
    return _NAMED.get(fields) or collections.namedtuple("Kernels", fields)  # type: ignore[misc]

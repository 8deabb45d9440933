"""What one call of a ``kernel_fn`` asks an engine for, and what the call is answered with."""

from __future__ import annotations

import collections
import functools
from typing import Any, NamedTuple

from ntkrnn._types import Array, Kernels, SampledKernels

_NAMED = {kind._fields: kind for kind in (Kernels, SampledKernels)}


class Request(NamedTuple):
    """Both sides, checked, and which kernels of them are wanted."""

    x1: Array
    x2: Array
    lengths1: Array | None
    lengths2: Array | None
    symmetric: bool
    """Whether x2 is x1."""
    diagonal: bool
    """Whether sequence i of one side is wanted with sequence i of the other alone."""
    names: tuple[str, ...]
    unknown: bool
    """Whether JAX is tracing a sequence, a length or a scale."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kernels that the names are about, errors among them."""
        return tuple(k for k in ("nngp", "ntk") if any(name.startswith(k) for name in self.names))


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

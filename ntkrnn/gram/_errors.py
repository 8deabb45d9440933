"""What can be wrong with a store."""

from __future__ import annotations

from typing import Any


class StoreError(ValueError):
    """A store is not what was asked for: of other data, locked, incomplete, or none at all."""


class DamagedTileError(StoreError):
    """A tile is not what was written."""


class WorkersError(RuntimeError):
    """The workers or the scheduler are gone, or are of another version; what is stored stays."""


def zarr() -> Any:
    """The package, which ``import ntkrnn`` does without.

    Raises:
        ImportError: with what to install.
    """
    try:
        import zarr
    except ImportError:
        raise ImportError(
            "ntkrnn.gram: stores need zarr; install it with pip install 'ntkrnn[distributed]'."
        ) from None
    return zarr

"""Gram matrices of any size: stores on disk or anywhere, tiles spread over workers, operators."""

from ntkrnn.gram._compute import Status, Verification, compute, lazy, open, status, verify
from ntkrnn.gram._errors import DamagedTileError, StoreError, WorkersError
from ntkrnn.gram._matrix import LazyMatrix, StoredMatrix, TiledMatrix

__all__ = [
    "DamagedTileError",
    "LazyMatrix",
    "Status",
    "StoreError",
    "StoredMatrix",
    "TiledMatrix",
    "Verification",
    "WorkersError",
    "compute",
    "lazy",
    "open",
    "status",
    "verify",
]

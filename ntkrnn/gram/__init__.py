"""Gram matrices of any size: stores on disk or anywhere, tiles spread over workers, operators."""

from ntkrnn.gram._compute import compute
from ntkrnn.gram._errors import DamagedTileError, StoreError, WorkersError
from ntkrnn.gram._kernel import REPLICATES
from ntkrnn.gram._lazy import lazy
from ntkrnn.gram._matrix import LazyMatrix, StoredMatrix, TiledMatrix
from ntkrnn.gram._open import Status, Verification, open, status, verify

__all__ = [
    "REPLICATES",
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

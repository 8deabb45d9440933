"""Gram matrices, whatever their entries are: how they are cut into tiles and filled in."""

from ntkrnn.gram._tiles import (
    BLOCK_BYTES,
    COARSE_LANES,
    SMALLEST_TILE,
    Compute,
    Tiling,
    blocks,
    bucket,
    choose,
    drain,
    drain_diagonal,
    fill,
    fill_diagonal,
    in_order,
    schedule,
    together,
)

__all__ = [
    "BLOCK_BYTES",
    "COARSE_LANES",
    "SMALLEST_TILE",
    "Compute",
    "Tiling",
    "blocks",
    "bucket",
    "choose",
    "drain",
    "drain_diagonal",
    "fill",
    "fill_diagonal",
    "in_order",
    "schedule",
    "together",
]

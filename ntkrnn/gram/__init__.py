"""Gram matrices, whatever their entries are: how they are cut into tiles and filled in."""

from ntkrnn.gram._tiles import (
    BLOCK_BYTES,
    COARSE_LANES,
    Compute,
    Tiling,
    blocks,
    bucket,
    choose,
    drain,
    fill,
    schedule,
)

__all__ = [
    "BLOCK_BYTES",
    "COARSE_LANES",
    "Compute",
    "Tiling",
    "blocks",
    "bucket",
    "choose",
    "drain",
    "fill",
    "schedule",
]

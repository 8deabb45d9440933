"""Gram matrices tile by tile, by either exact engine: derivatives, sizes, programs, devices."""

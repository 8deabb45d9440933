"""Solves with kernels of many sequences: exact in place, or by preconditioned conjugate gradients."""

__all__: list[str] = []

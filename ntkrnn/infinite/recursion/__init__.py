"""Elman networks: the recursion along diagonals of the time-time plane, readouts, adjoint."""

"""Leaky networks: a double filter over the rows of the time-time plane, with moments of each side."""

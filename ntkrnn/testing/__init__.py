"""Checks for what others add: does a cell of your own do what every function here takes for granted?"""

from ntkrnn.testing._cell import Conformance, ConformanceError, check_cell

__all__ = ["Conformance", "ConformanceError", "check_cell"]

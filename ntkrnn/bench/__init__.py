"""Benchmarks: every row measures ntkrnn and its peers in one run, and says whether a target is met."""

from ntkrnn.bench._ceilings import ceilings
from ntkrnn.bench._finite import finite_rows
from ntkrnn.bench._infinite import infinite_rows
from ntkrnn.bench._memory import memory
from ntkrnn.bench._row import Row
from ntkrnn.bench._run import Result, measure, record, table
from ntkrnn.bench._scaling import Scaling, scaling, scaling_figure

__all__ = [
    "Result",
    "Row",
    "Scaling",
    "ceilings",
    "finite_rows",
    "infinite_rows",
    "measure",
    "memory",
    "record",
    "scaling",
    "scaling_figure",
    "table",
]

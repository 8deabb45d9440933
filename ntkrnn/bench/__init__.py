"""Benchmarks: every row measures ntkrnn and its peers in one run, and says whether a target is met."""

import dataclasses

from ntkrnn.bench._ceilings import ceilings
from ntkrnn.bench._diagonal import diagonal_rows
from ntkrnn.bench._finite import finite_rows
from ntkrnn.bench._first_call import first_call_rows
from ntkrnn.bench._fresh import Fresh, FreshResult, fresh_record, fresh_table, measure_fresh
from ntkrnn.bench._gated import gated_rows
from ntkrnn.bench._gradients import gradient_rows
from ntkrnn.bench._infinite import infinite_rows
from ntkrnn.bench._kernel_diagonals import kernel_diagonal_rows
from ntkrnn.bench._memory import memory
from ntkrnn.bench._row import Row
from ntkrnn.bench._run import Measured, Result, measure, record, table
from ntkrnn.bench._sampling import Sampling, sampling
from ntkrnn.bench._sampling_costs import costs_figure
from ntkrnn.bench._scaling import Scaling, scaling, scaling_figure
from ntkrnn.bench._training import training_rows


def rows(quick: bool = False, all_peers: bool = False) -> list[Row]:
    """Every row of the benchmark; the small ones have no target, nothing is won at their sizes yet."""
    kinds = (finite_rows, gated_rows, diagonal_rows)
    finite = [row for of_kind in kinds for row in of_kind(quick, all_peers)]
    infinite = [*infinite_rows(quick), *kernel_diagonal_rows(quick), *gradient_rows(quick)]
    found = [*infinite, *finite, *training_rows(quick)]
    return [dataclasses.replace(row, target=None) for row in found] if quick else found


def fresh_rows(quick: bool = False) -> list[Fresh]:
    """Every row that is measured in processes of its own."""
    return first_call_rows(quick)


__all__ = [
    "Fresh",
    "FreshResult",
    "Measured",
    "Result",
    "Row",
    "Sampling",
    "Scaling",
    "ceilings",
    "costs_figure",
    "fresh_record",
    "fresh_rows",
    "fresh_table",
    "measure",
    "measure_fresh",
    "memory",
    "record",
    "rows",
    "sampling",
    "scaling",
    "scaling_figure",
    "table",
]

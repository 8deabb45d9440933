"""Experiments that hold measured kernels and training runs against what the theories claim."""

from ntkrnn.studies.learnability._experiment import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    Conclusion,
    Experiment,
    Finding,
    finding,
    said,
)
from ntkrnn.studies.learnability._files import write_learnability
from ntkrnn.studies.learnability._grid import Grid, Job, Measured, grid
from ntkrnn.studies.learnability._registry import EXPERIMENTS
from ntkrnn.studies.learnability._run import LearnabilityResult, learnability
from ntkrnn.studies.learnability._table import Table, table

__all__ = [
    "AGREES",
    "DISAGREES",
    "EXPERIMENTS",
    "INCONCLUSIVE",
    "Conclusion",
    "Experiment",
    "Finding",
    "Grid",
    "Job",
    "LearnabilityResult",
    "Measured",
    "Table",
    "finding",
    "grid",
    "learnability",
    "said",
    "table",
    "write_learnability",
]

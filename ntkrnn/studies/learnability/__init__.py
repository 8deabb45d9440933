"""Experiments that hold measured kernels and training runs against what the theories claim."""

from ntkrnn.studies.learnability import rntk_sensitivity
from ntkrnn.studies.learnability._files import write_learnability
from ntkrnn.studies.learnability._form import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    Conclusion,
    Experiment,
    Finding,
    Job,
    Table,
    finding,
    said,
)
from ntkrnn.studies.learnability._run import LearnabilityResult, learnability

EXPERIMENTS = {module.EXPERIMENT.name: module.EXPERIMENT for module in (rntk_sensitivity,)}
"""By name, in the order of the documentation."""

__all__ = [
    "AGREES",
    "DISAGREES",
    "EXPERIMENTS",
    "INCONCLUSIVE",
    "Conclusion",
    "Experiment",
    "Finding",
    "Job",
    "LearnabilityResult",
    "Table",
    "finding",
    "learnability",
    "said",
    "write_learnability",
]

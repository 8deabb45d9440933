"""Whole studies: settings and data in, a result and its files out."""

from ntkrnn.studies.compare import CompareResult, CompareSettings, Progress, compare
from ntkrnn.studies.compare_files import write_compare
from ntkrnn.studies.engines import ENGINES, Engine, StudyError
from ntkrnn.studies.neural_tangents_engine import neural_tangents_engine
from ntkrnn.studies.ntkrnn_engine import ntkrnn_engine

__all__ = [
    "ENGINES",
    "CompareResult",
    "CompareSettings",
    "Engine",
    "Progress",
    "StudyError",
    "compare",
    "neural_tangents_engine",
    "ntkrnn_engine",
    "write_compare",
]

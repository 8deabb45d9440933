"""Whole studies: settings and data in, a result and its files out."""

from ntkrnn._progress import Progress
from ntkrnn.studies.compare import CompareResult, compare
from ntkrnn.studies.compare_files import write_compare
from ntkrnn.studies.compare_settings import CompareSettings
from ntkrnn.studies.engines import ENGINES, Engine, StudyError
from ntkrnn.studies.fingerprint import fingerprint
from ntkrnn.studies.neural_tangents_engine import neural_tangents_engine
from ntkrnn.studies.ntkrnn_engine import ntkrnn_engine
from ntkrnn.studies.pieces import DamagedPieceWarning, Pieces
from ntkrnn.studies.trajectory import TrajectoryResult, trajectory
from ntkrnn.studies.trajectory_files import write_trajectory
from ntkrnn.studies.trajectory_settings import TrajectorySettings

__all__ = [
    "ENGINES",
    "CompareResult",
    "CompareSettings",
    "DamagedPieceWarning",
    "Engine",
    "Pieces",
    "Progress",
    "StudyError",
    "TrajectoryResult",
    "TrajectorySettings",
    "compare",
    "fingerprint",
    "neural_tangents_engine",
    "ntkrnn_engine",
    "trajectory",
    "write_compare",
    "write_trajectory",
]

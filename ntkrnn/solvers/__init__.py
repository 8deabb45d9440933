"""Solves with kernels of many sequences: exact in place, or by preconditioned conjugate gradients."""

from ntkrnn.solvers._auto import EXACT, auto
from ntkrnn.solvers._cholesky import cholesky
from ntkrnn.solvers._factor import Factor, factor
from ntkrnn.solvers._leave_one_out import LeaveOneOut, leave_one_out
from ntkrnn.solvers._nystrom import Preconditioner, nystrom
from ntkrnn.solvers._pcg import RANK, pcg
from ntkrnn.solvers._system import Solution

__all__ = [
    "EXACT",
    "RANK",
    "Factor",
    "LeaveOneOut",
    "Preconditioner",
    "Solution",
    "auto",
    "cholesky",
    "factor",
    "leave_one_out",
    "nystrom",
    "pcg",
]

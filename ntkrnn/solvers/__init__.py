"""Solves with kernels of many sequences: exact in place, or by preconditioned conjugate gradients."""

from ntkrnn.solvers._leave_one_out import LeaveOneOut, leave_one_out

__all__ = ["LeaveOneOut", "leave_one_out"]

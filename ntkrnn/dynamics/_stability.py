"""The largest step of gradient descent that the kernel allows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ntkrnn import _checks
from ntkrnn.dynamics._contract import largest_eigenvalue, own_kernel


class UnstableStepWarning(UserWarning):
    """A step beyond the largest stable one."""


def largest_stable_step(
    ntk: Any, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> float:
    r"""The learning rate beyond which full-batch descent on the squared loss diverges.

    With ``c = lambda_max/n + weight_decay`` it is ``2/c`` for gradient descent, ``2 (1 + mu)/c`` with
    heavy-ball and ``2 (1 + mu)/((1 + 2 mu) c)`` with Nesterov momentum. For mini-batches it is
    necessary on average; ``2/max_i Theta_ii`` is sufficient for every batch.

    Args:
        ntk: ``[N, N]``, or with pairs of further axes as in :func:`linearized`; n = N sequences.
        momentum: mu, at least 0 and below 1.
        nesterov: whether momentum is Nesterov's.
        weight_decay: toward the start.

    Returns:
        The learning rate; infinity if the kernel and the decay are 0.

    Raises:
        TypeError, ValueError: if the kernel is not square, real, finite, symmetric and positive
            semidefinite, up to rounding and the noise of sampled kernels.

    Cost: O(N^2) for each of some tens of Lanczos iterations, and a Cholesky factor up to N = 4,000.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.dynamics import largest_stable_step
        >>> largest_stable_step(np.diag([1.0, 4.0]))
        1.0
    """
    array = np.asarray(_checks.real_array("ntk", ntk, "a kernel, an array of real numbers"))
    if array.ndim < 2 or array.ndim % 2 or array.shape[0::2] != array.shape[1::2] or not array.size:
        raise ValueError(
            f"ntk: got shape {array.shape}, expected [N, N] or [N, N, A, A, ...], the kernel of some "
            "sequences with themselves."
        )
    momentum, nesterov = check_momentum(momentum), _checks.boolean("nesterov", nesterov)
    weight_decay = _checks.nonnegative_float("weight_decay", weight_decay)
    top = max(largest_eigenvalue(own_kernel("ntk", array, array.shape[0::2])), 0.0)
    return stable_step(top / array.shape[0], momentum, nesterov, weight_decay)


def stable_step(top: float, momentum: float, nesterov: bool, weight_decay: float) -> float:
    """The same from the largest eigenvalue over n, for checked arguments."""
    curvature = top + weight_decay
    if curvature == 0:
        return float("inf")
    factor = (1 + momentum) / (1 + 2 * momentum) if nesterov else 1 + momentum
    return 2 * factor / curvature


def check_momentum(value: Any) -> float:
    """``value`` if it is at least 0 and below 1."""
    number = _checks.nonnegative_float("momentum", value)
    if number >= 1:
        raise ValueError(f"momentum: got {number}, expected a number of at least 0 and below 1.")
    return number


def check_step(learning_rate: Any, largest: float, unstable: str) -> None:
    """Warn or raise, as ``unstable`` says, if the step is larger than the largest stable one."""
    step = float(np.max(learning_rate))
    if step <= largest or unstable == "ignore":
        return
    message = (
        f"learning_rate: got {step:g}, above the largest stable step {largest:g} of this kernel "
        "(2n/lambda_max for gradient descent); the linearised outputs diverge. Take a smaller one, or "
        "pass unstable='ignore' if that is what you want to see."
    )
    if unstable == "raise":
        raise ValueError(message)
    warnings.warn(message, UnstableStepWarning, stacklevel=3)

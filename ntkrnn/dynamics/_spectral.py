"""Linear dynamics solved by eigenvectors, for all times at once.

With ``Theta/n = Q diag(mu) Q^T`` and decay ``c`` toward the start, outputs anywhere are
``f(t) = f_0 - Theta(., X) Q diag(F_t(mu)/n) Q^T (f_0(X) - y)`` with::

    gradient flow       F_t(mu) = (1 - exp(-(mu + c) t))/(mu + c)
    gradient descent    F_k(mu) = (1 - (1 - eta (mu + c))^k)/(mu + c)

which is a polynomial in mu, or an entire function: nothing is divided by a small eigenvalue. Everything
here is NumPy in float64, whatever JAX computes in: eigenvalues span many orders of magnitude.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ntkrnn import _checks
from ntkrnn._memory import require
from ntkrnn.dynamics._contract import host_matrix, host_outputs, own_kernel


class Modes(NamedTuple):
    """Eigenvectors of the kernel of the training sequences."""

    vectors: np.ndarray
    """``[N A, N A]``"""
    mu: np.ndarray
    """Eigenvalues over n, none below 0."""
    n: int


def modes(name: str, ntk: Any, outputs: tuple[int, ...]) -> Modes:
    """Decompose a kernel, see :func:`ntkrnn.dynamics._contract.own_kernel` for what it has to be."""
    values, vectors = scipy.linalg.eigh(own_kernel(name, ntk, outputs))
    return Modes(vectors, np.maximum(values, 0) / outputs[0], outputs[0])


def clock(times: Any, learning_rate: Any) -> np.ndarray:
    """``[R]`` checked times, or numbers of steps."""
    expected = "numbers of at least 0, infinity included"
    array = np.atleast_1d(np.asarray(_checks.real_array("times", times, expected), np.float64))
    if array.ndim != 1 or not array.size or np.isnan(array).any() or (array < 0).any():
        raise ValueError(f"times: got {times!r}, expected {expected}.")
    finite = array[np.isfinite(array)]
    if learning_rate is not None and (finite != np.round(finite)).any():
        raise ValueError(
            f"times: got {times!r} with a learning rate, expected whole numbers of steps; without "
            "one they are times of gradient flow."
        )
    return array


def filters(found: Modes, times: np.ndarray, learning_rate: Any, decay: float) -> np.ndarray:
    """``F_t(mu)``: ``[R, N A]``."""
    rate = found.mu + decay
    # What no step and no rounding tells from 0 does not move, not even in infinite time.
    still = rate <= np.finfo(np.float64).eps * len(rate) * rate.max(initial=0)
    safe = np.where(still, 1.0, rate)
    column = times[:, None]
    finite = np.where(np.isfinite(column), column, 0)
    if learning_rate is None:
        shrunk = -np.expm1(-rate * finite) / safe
        slow = finite
    else:
        factor = 1 - learning_rate * rate
        slow = learning_rate * finite
        with np.errstate(divide="ignore", over="ignore"):
            # (1 - eta rate)^k through logarithms where it is near 1.
            small = np.abs(learning_rate * rate) < 0.5
            power = np.where(small, np.log1p(-np.where(small, learning_rate * rate, 0)) * finite, 0)
            shrunk = np.where(small, -np.expm1(power), 1 - factor**finite) / safe
    moving = np.where(still, slow, shrunk)
    forever = np.where(still, 0.0, 1 / safe)
    return np.where(np.isfinite(column), moving, forever)


class Flow(NamedTuple):
    """Outputs at every time; ``R`` times."""

    times: np.ndarray
    """``[R]``"""
    loss: np.ndarray
    """``[R]``: mean over the training sequences of ``||f - y||^2/2``."""
    outputs: np.ndarray
    """``[R, N, O]`` or ``[R, N, T, O]``."""
    test_outputs: np.ndarray | None
    """The same on the test sequences, or None."""


def gradient_flow(
    ntk: Any,
    f0: Any,
    y: Any,
    times: Any,
    *,
    learning_rate: float | None = None,
    weight_decay: float = 0.0,
    ntk_test: Any = None,
    f0_test: Any = None,
) -> Flow:
    r"""The linearised network under gradient flow of the squared loss, in closed form.

    ``df/dt = -Theta(., X) (f(X) - y)/n - decay (f - f_0)`` from ``f_0``; with ``learning_rate``
    full-batch gradient descent instead, ``times`` being numbers of steps.

    Args:
        ntk: kernel of the training sequences, as for :func:`linearized`.
        f0: outputs at the start, ``[N]``, ``[N, O]`` or ``[N, T, O]``.
        y: targets of that shape.
        times: ``[R]`` or one, infinity included.
        learning_rate: eta of gradient descent, None for the flow.
        weight_decay: toward the start.
        ntk_test: kernel of test with training sequences, ``[M, N, ...]``.
        f0_test: outputs of the test sequences at the start.

    Returns:
        A :class:`Flow`, NumPy arrays in float64.

    Raises:
        TypeError, ValueError: naming the argument, what came and what was expected.

    Cost: one eigendecomposition, O((N A)^3), and O(R (N + M) N A^2 O).

    Source: docs/conventions.md, training; Lee et al. 2019 (arXiv 1902.06720), equations 8 to 11.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.dynamics import gradient_flow
        >>> flow = gradient_flow(np.diag([2.0, 4.0]), np.zeros(2), np.ones(2), [0.0, 1.0, np.inf])
        >>> flow.outputs[:, :, 0].round(4).tolist()
        [[0.0, 0.0], [0.6321, 0.8647], [1.0, 1.0]]
    """
    start, targets = host_outputs("f0", f0), host_outputs("y", y)
    if targets.shape != start.shape:
        raise ValueError(f"y: got shape {targets.shape}, expected that of f0, {start.shape}.")
    if learning_rate is not None:
        learning_rate = _checks.nonnegative_float("learning_rate", learning_rate)
    decay = _checks.nonnegative_float("weight_decay", weight_decay)
    at = clock(times, learning_rate)
    # What is no array yet, a list of lists, is checked below and never large.
    memory = 8 * len(at) * (start.size + getattr(f0_test, "size", 0))
    require(
        "times",
        2 * memory + 4 * 8 * getattr(ntk, "size", 0),
        f"outputs of shape {start.shape} at {len(at)} times, and the eigenvectors of the kernel,",
        "ask for fewer times.",
    )
    found = modes("ntk", ntk, start.shape)
    rest = (start - targets).reshape(len(found.mu), -1)
    weights = filters(found, at, learning_rate, decay)[:, :, None] * (found.vectors.T @ rest) / found.n

    def at_outputs(kernel_vectors: np.ndarray, begin: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # of steps that diverge
            moved = kernel_vectors @ weights
        if np.isnan(moved).any():  # an infinite mode takes part in every output, or several do
            raise ValueError(
                f"learning_rate: got {learning_rate:g}, with which modes of the kernel overflow; "
                f"expected less than 2 / {found.mu.max():.3g}, or fewer steps."
            )
        return begin[None] - moved.reshape(len(at), *begin.shape)

    outputs = at_outputs(found.vectors * (found.mu * found.n), start)
    tests = None
    if ntk_test is not None:
        if f0_test is None:
            raise ValueError("f0_test: got None, expected the outputs that ntk_test speaks of.")
        begin = host_outputs("f0_test", f0_test)
        rows = host_matrix("ntk_test", ntk_test, begin.shape, start.shape)
        tests = at_outputs(rows @ found.vectors, begin)
    loss = 0.5 * np.square(outputs - targets).reshape(len(at), -1).sum(axis=1) / found.n
    return Flow(at, loss, outputs, tests)

"""Dynamical systems to learn: input and output sequences, step by step.

Every function returns a :class:`System` with ``x [n, T, d]``, ``||x_t|| <= 1`` as CE24 (arXiv
2402.12241) asks, and ``y [n, T, 1]``, where ``y_t`` depends on the inputs up to step t. Arrays are
NumPy float64, the same for a key whatever the precision of JAX.

An odd network (tanh, sin, erf without a bias) is an odd function of its input. Systems that are not odd
therefore come with a second channel that is constant, the tokens being ``(x_t, 1)/sqrt 2``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ntkrnn import _checks
from ntkrnn.data._csv import read_csv
from ntkrnn.theory._random import generator

_ATTEMPTS = 200


class System(NamedTuple):
    """Inputs and outputs of a dynamical system."""

    x: np.ndarray
    """``[n, T, d]``, tokens of norm at most 1."""
    y: np.ndarray
    """``[n, T, 1]``"""
    name: str


def linear_state_space(
    key: Any,
    n: int,
    T: int,
    *,
    states: int = 2,
    channels: int = 1,
    radius: float = 0.8,
    noise: float = 0.0,
) -> System:
    r"""A random linear system, ``s_t = A s_{t-1} + B x_t``, ``y_t = C s_t + noise``.

    A, B and C are Gaussian; A is rescaled to spectral radius ``radius`` and C such that
    ``sum_k ||C A^k B|| = 1`` over T steps, so that ``|y_t| <= 1`` without noise. Tokens are uniform in
    the unit ball. The system is drawn from the key as well as the inputs.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.
        states: dimension of s.
        channels: d.
        radius: spectral radius of A, at least 0.
        noise: standard deviation of Gaussian noise on y.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(n T states (states + d)).

    Source: the linear systems of CE24 (arXiv 2402.12241).

    Example:
        >>> system = linear_state_space(0, 3, 5, channels=2)
        >>> system.x.shape, system.y.shape, bool(abs(system.y).max() <= 1)
        ((3, 5, 2), (3, 5, 1), True)
    """
    rng, n, length = _start(key, n, T)
    states = _checks.positive_integer("states", states)
    channels = _checks.positive_integer("channels", channels)
    radius = _checks.nonnegative_float("radius", radius)
    a = rng.standard_normal((states, states))
    a *= radius / np.abs(np.linalg.eigvals(a)).max()
    b, c = rng.standard_normal((states, channels)), rng.standard_normal(states)
    responses, power = 0.0, b
    for _ in range(length):
        responses += float(np.linalg.norm(c @ power))
        power = a @ power
    c /= responses
    x = rng.standard_normal((n, length, channels))
    x *= rng.uniform(size=(n, length, 1)) ** (1 / channels) / np.linalg.norm(x, axis=2, keepdims=True)
    s, outputs = np.zeros((n, states)), []
    for t in range(length):
        s = s @ a.T + x[:, t] @ b.T
        outputs.append(s @ c)
    return System(x, _noisy(rng, np.stack(outputs, axis=1), noise), "linear state space")


def narma10(key: Any, n: int, T: int) -> System:
    r"""NARMA-10, a nonlinear average of ten past outputs driven by a delayed product of inputs.

    With i.i.d. u uniform on [0, 1/2] and everything 0 before the start::

        y_t = 0.3 y_{t-1} + 0.05 y_{t-1} sum_{i=1..10} y_{t-i} + 1.5 u_{t-9} u_t + 0.1

    The tokens are ``(4 u_t - 1, 1)/sqrt 2``. Rare inputs make it diverge: sequences that leave [-1, 1]
    are drawn again.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument.
        RuntimeError: if too few sequences of this length stay bounded.

    Cost: O(n T).

    Source: Atiya & Parlos, *New results on recurrent network training*, IEEE Trans. Neural Networks 11
    (2000), in the usual constants.

    Example:
        >>> narma10(0, 4, 30).y.shape
        (4, 30, 1)
    """
    rng, n, length = _start(key, n, T)
    kept_u, kept_y, found = [], [], 0
    for _ in range(_ATTEMPTS):
        u = rng.uniform(0, 0.5, (n, length))
        padded, y = np.concatenate([np.zeros((n, 9)), u], axis=1), np.zeros((n, length + 10))
        for t in range(length):
            past = y[:, t : t + 10]
            new = 0.3 * past[:, 9] + 0.05 * past[:, 9] * past.sum(axis=1)
            new += 1.5 * padded[:, t] * padded[:, t + 9] + 0.1
            # What has left [-1, 1] is dropped below; here it only must not overflow.
            y[:, t + 10] = np.clip(new, -2, 2)
        y = y[:, 10:]
        stays = np.abs(y).max(axis=1) <= 1
        kept_u.append(u[stays])
        kept_y.append(y[stays])
        found += int(stays.sum())
        if found >= n:
            u, y = np.concatenate(kept_u)[:n], np.concatenate(kept_y)[:n]
            return System(_with_constant(4 * u - 1), y[:, :, None], "NARMA-10")
    raise RuntimeError(
        f"T: of {_ATTEMPTS * n} sequences of T={length} steps only {found} stay in [-1, 1], expected "
        f"{n}; ask for shorter ones."
    )


def pendulum(
    key: Any,
    n: int,
    T: int,
    *,
    dt: float = 0.5,
    damping: float = 0.3,
    torque: float = 1.0,
    noise: float = 0.02,
) -> System:
    r"""A damped pendulum under a random torque, observed through the sine of its angle, with noise.

    ``theta'' = -sin theta - damping theta' + torque x(s)``, from rest, with x piecewise constant: one
    value, uniform on [-1, 1], for each time ``dt``. ``y_t = sin theta`` at the end of step t, plus
    Gaussian noise. The system is odd, and x has one channel.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.
        dt: time of a step, integrated in eight steps of the classical Runge-Kutta rule.
        damping: at least 0.
        torque: size of the torque, at least 0.
        noise: standard deviation of the noise on y.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument.

    Cost: O(n T).

    Example:
        >>> system = pendulum(0, 4, 20)
        >>> system.x.shape, bool(abs(system.x).max() <= 1)
        ((4, 20, 1), True)
    """
    rng, n, length = _start(key, n, T)
    dt = _checks.positive_float("dt", dt)
    damping = _checks.nonnegative_float("damping", damping)
    torque = _checks.nonnegative_float("torque", torque)
    x = rng.uniform(-1, 1, (n, length))

    def field(s: np.ndarray, force: np.ndarray) -> np.ndarray:
        return np.stack([s[1], -np.sin(s[0]) - damping * s[1] + torque * force])

    angles = _integrate(field, np.zeros((2, n)), x, dt)
    return System(x[:, :, None], _noisy(rng, np.sin(angles), noise), "noisy pendulum")


def van_der_pol(
    key: Any,
    n: int,
    T: int,
    *,
    dt: float = 0.5,
    mu: float = 1.0,
    force: float = 1.0,
    noise: float = 0.0,
) -> System:
    r"""A forced Van der Pol oscillator observed through its position.

    ``s'' = mu (1 - s^2) s' - s + force x``, from ``s = 1, s' = 0``, with x piecewise constant: one
    value, uniform on [-1, 1], for each time ``dt``. ``y_t = s/3`` at the end of step t, plus Gaussian
    noise; the free oscillation has amplitude 2. Tokens are ``(x_t, 1)/sqrt 2``: the start is no
    equilibrium.

    Args:
        key: a random key of JAX, or a whole number as a seed.
        n: sequences.
        T: steps.
        dt: time of a step, integrated in eight steps of the classical Runge-Kutta rule.
        mu: strength of the nonlinear damping, at least 0.
        force: size of the force, at least 0.
        noise: standard deviation of the noise on y.

    Returns:
        A :class:`System`.

    Raises:
        TypeError, ValueError: naming the argument, or dt where the integration fails.

    Cost: O(n T).

    Example:
        >>> system = van_der_pol(0, 4, 20)
        >>> system.x.shape, bool(abs(system.y).max() < 1.2)
        ((4, 20, 2), True)
    """
    rng, n, length = _start(key, n, T)
    dt = _checks.positive_float("dt", dt)
    mu = _checks.nonnegative_float("mu", mu)
    size = _checks.nonnegative_float("force", force)
    x = rng.uniform(-1, 1, (n, length))

    def field(s: np.ndarray, push: np.ndarray) -> np.ndarray:
        return np.stack([s[1], mu * (1 - s[0] ** 2) * s[1] - s[0] + size * push])

    start = np.stack([np.ones(n), np.zeros(n)])
    y = _integrate(field, start, x, dt) / 3
    return System(_with_constant(x), _noisy(rng, y, noise), "Van der Pol oscillator")


def from_csv(path: Any, window: int, *, stride: int | None = None) -> System:
    r"""Cut a recording of one input and one output into sequences.

    Input and output are mapped to [-1, 1] by their least and largest values over the file; the tokens
    are ``(input, 1)/sqrt 2``. What a system remembers from before its window is not seen.

    Args:
        path: a file of comma-separated numbers, a time step a line: input, output. A header is skipped.
        window: T, lines of a sequence.
        stride: lines between the starts of windows; None for ``window``, without overlap.

    Returns:
        A :class:`System` named after the file.

    Raises:
        FileNotFoundError, TypeError, ValueError: naming the file, the line and the column, or the
            argument.

    Cost: that of reading the file.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "tank.csv"
        ...     _ = path.write_text("in,out\n0,1\n1,2\n2,3\n3,5\n4,6\n")
        ...     from_csv(path, window=2).x.shape
        (2, 2, 2)
    """
    path = Path(path)
    window = _checks.positive_integer("window", window)
    stride = window if stride is None else _checks.positive_integer("stride", stride)
    if not path.is_file():
        raise FileNotFoundError(f"path: there is no file {path} (looked from the folder {Path.cwd()}).")
    table = read_csv(path).x[:, :, 0]
    if table.shape[1] != 2:
        raise ValueError(
            f"{path}: has {table.shape[1]} columns, expected two, the input and the output of a "
            "system, one time step a line."
        )
    bad = np.argwhere(~np.isfinite(table))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        raise ValueError(
            f"{path}, row {row + 1} of the numbers, column {column + 1}: got {table[row, column]}, "
            "expected a finite number; fill it, or cut the recording there."
        )
    if len(table) < window:
        raise ValueError(
            f"window: got {window} for the {len(table)} time steps of {path}, expected at most as many."
        )
    low, high = table.min(axis=0), table.max(axis=0)
    for column, (a, b) in enumerate(zip(low, high, strict=True), 1):
        if a == b:
            raise ValueError(f"{path}, column {column}: is {a:g} throughout, expected a signal.")
    # The middle first: the difference of the ends may overflow.
    table = (table - (0.5 * low + 0.5 * high)) / (0.5 * high - 0.5 * low)
    starts = np.arange(0, len(table) - window + 1, stride)
    cut = np.clip(np.stack([table[s : s + window] for s in starts]), -1, 1)
    return System(_with_constant(cut[:, :, 0]), cut[:, :, 1:], path.stem)


def _start(key: Any, n: Any, length: Any) -> tuple[np.random.Generator, int, int]:
    n, length = _checks.positive_integer("n", n), _checks.positive_integer("T", length)
    return generator(key), n, length


def _with_constant(x: np.ndarray) -> np.ndarray:
    """``(x_t, 1)/sqrt 2`` for x in [-1, 1]."""
    return np.stack([x, np.ones_like(x)], axis=2) / (math.sqrt(2) * (1 + np.finfo(float).eps))


def _noisy(rng: np.random.Generator, y: np.ndarray, noise: Any) -> np.ndarray:
    noise = _checks.nonnegative_float("noise", noise)
    return (y + noise * rng.standard_normal(y.shape))[:, :, None]


def _integrate(
    field: Callable[[np.ndarray, np.ndarray], np.ndarray],
    start: np.ndarray,
    x: np.ndarray,
    dt: float,
    substeps: int = 8,
) -> np.ndarray:
    """``[n, T]``: the first coordinate after every step, by the classical Runge-Kutta rule."""
    s, h, found = start, dt / substeps, []
    with np.errstate(all="ignore"):
        for push in x.T:
            for _ in range(substeps):
                k1 = field(s, push)
                k2 = field(s + 0.5 * h * k1, push)
                k3 = field(s + 0.5 * h * k2, push)
                k4 = field(s + h * k3, push)
                s = s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            found.append(s[0])
    out = np.stack(found, axis=1)
    if not np.isfinite(out).all():
        raise ValueError(f"dt: got {dt:g}, for which the integration leaves the range of the numbers; "
                         "pass a shorter one, or a smaller force.")  # fmt: skip
    return out

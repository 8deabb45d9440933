"""The average of some kernels at unit diagonal, as a function of two sets of prepared series."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn._network import network
from ntkrnn.architectures import Architecture, Elman, check_architecture
from ntkrnn.estimators._preparation import ORDERS, up_to
from ntkrnn.estimators._sequences import Sequences
from ntkrnn.gram import REPLICATES

AUTO = (
    Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3, readout="mean"),
    Elman(nonlinearity="erf", w_std=1.3, u_std=0.6, b_std=0.3, readout="mean"),
)
"""Whose kernels are averaged where no architecture is said. Scales near which a state neither forgets
nor turns chaotic did best, the mean of all states did better than the last, and biases, which tell
steps of time apart, helped; ``docs/tutorial-classify.md`` says what was tried."""
TABLES = tuple(dataclasses.replace(arch, b_std=1.0) for arch in AUTO)
"""The same with biases as large as the input, without differences a second candidate: where every step
has a meaning of its own, as a column of a table has, steps are to be told apart before all else."""
_ROWS = 2048
"""Series that stand against the training ones at a time."""


class Member(NamedTuple):
    """One kernel of an average."""

    architecture: Architecture
    order: int
    """Up to which it reads differences beside the series."""


class Kind(NamedTuple):
    """What is asked of every member."""

    get: str
    """"nngp" or "ntk"."""
    normalize: bool
    """Whether to unit diagonal."""
    seed: int
    """Of sampled limits."""
    dtype: str
    """"float32" or "float64", in which it is computed."""


def members_of(architecture: Any, differences: bool) -> tuple[Member, ...]:
    """The members of an estimator's ``architecture``: "auto", one, or a list of them.

    Raises:
        TypeError, ValueError: naming the argument.
    """
    if isinstance(architecture, str) and architecture == "auto":
        architecture = AUTO
    if isinstance(architecture, str):
        raise ValueError(
            f"architecture: got {architecture!r}, expected 'auto', an architecture such as "
            "ntkrnn.Elman(readout='mean'), or a list of them."
        )
    several = architecture if isinstance(architecture, (list, tuple)) else [architecture]
    if not several:
        raise ValueError("architecture: got an empty list, expected at least one architecture.")
    for arch in several:
        check_architecture(arch)
        if arch.reading.stepwise:
            raise ValueError(
                f"architecture: got {arch!r}, whose kernel compares all pairs of steps; expected the "
                "readout 'mean' or 'last', of which there is one number for two series."
            )
    # Copies: architectures keep what was derived from them, and parameters stay as they were.
    return tuple(
        Member(dataclasses.replace(arch), order)
        for arch in several
        for order in (ORDERS if differences else ORDERS[:1])
    )


class Gram(NamedTuple):
    """The kernel of series with themselves."""

    kernel: np.ndarray
    """float64 ``[N, N]``, symmetric."""
    scales: np.ndarray
    """float64 ``[members, N]``: what the rows of every member are multiplied by."""
    error: float
    """The largest standard error of a sampled member over its norm; 0 for exact ones."""


def own(members: tuple[Member, ...], kind: Kind, x: Sequences) -> Gram:
    """The average of all members for one set of series.

    Cost: a kernel for each member, and one ``[N, N]`` of float64.
    """
    n = len(x.x)
    total, scales, errors = np.zeros((n, n)), np.ones((len(members), n)), [0.0]
    for i, member in enumerate(members):
        kernel, error = _kernel(member, kind, x)
        if kind.normalize:
            scales[i] = _unit(np.diagonal(kernel).astype(np.float64))
        for rows, block in _checks.row_blocks(kernel):  # of many series one kernel of float64 is enough
            total[rows] += block * (scales[i][rows, None] * scales[i] / len(members))
        errors.append(error)
    if max(errors):  # sampled kernels are symmetric to rounding only; a solver takes one triangle
        total = 0.5 * (total + total.T)
    return Gram(total, scales, max(errors))


def between(
    members: tuple[Member, ...], kind: Kind, new: Sequences, kept: Sequences, scales: np.ndarray
) -> np.ndarray:
    """The same ``[M, N]`` of new series with those that were kept.

    Args:
        members: of the average.
        kind: of kernel.
        new: M series.
        kept: N series.
        scales: of the kept ones, from :func:`own`.
    """
    blocks = [
        _block(members, kind, new.rows(slice(start, start + _ROWS)), kept, scales)
        for start in range(0, len(new.x), _ROWS)
    ]
    return np.concatenate(blocks)


def diagonal(members: tuple[Member, ...], kind: Kind, x: Sequences) -> np.ndarray:
    """``[N]``: the average of every series with itself."""
    if kind.normalize:
        return np.mean([_variances(member, kind, x) > 0 for member in members], axis=0)
    return np.mean([_variances(member, kind, x) for member in members], axis=0)


def _block(
    members: tuple[Member, ...], kind: Kind, new: Sequences, kept: Sequences, scales: np.ndarray
) -> np.ndarray:
    total = np.zeros((len(new.x), len(kept.x)))
    for member, columns in zip(members, scales, strict=True):
        (kernel,) = _called(member, kind, (kind.get,), new, kept)
        rows = _unit(_variances(member, kind, new)) if kind.normalize else np.ones(len(new.x))
        total += kernel * (rows[:, None] * columns)
    return total / len(members)


def _kernel(member: Member, kind: Kind, x: Sequences) -> tuple[np.ndarray, float]:
    """``[N, N]`` and its relative standard error."""
    if member.architecture.limit not in ("sampled", "neurons"):
        return _called(member, kind, (kind.get,), x)[0], 0.0
    kernel, error = _called(member, kind, (kind.get, f"{kind.get}_error"), x)
    return kernel, float(np.linalg.norm(error) / max(np.linalg.norm(kernel), 1e-300))


def _variances(member: Member, kind: Kind, x: Sequences) -> np.ndarray:
    return _called(member, kind, (kind.get,), x, diagonal=True)[0].astype(np.float64)


def _called(
    member: Member,
    kind: Kind,
    get: tuple[str, ...],
    one: Sequences,
    two: Sequences | None = None,
    **options: Any,
) -> list[np.ndarray]:
    """Kernels of a member, in the dtype that was asked for."""
    options |= sampling(member.architecture, kind.seed)
    x2 = None if two is None else up_to(member.order, two.x, kind.dtype)
    lengths2 = None if two is None else two.lengths
    with jax.enable_x64(kind.dtype == "float64"):
        found = network(member.architecture).kernel_fn(
            up_to(member.order, one.x, kind.dtype), x2, get, one.lengths, lengths2, **options
        )
        return [np.asarray(kernel) for kernel in found]


def sampling(arch: Architecture, seed: int) -> dict[str, Any]:
    """What makes a sampled kernel one function of two series, whatever the others of a call are."""
    if arch.limit == "sampled":
        return {"replicates": REPLICATES, "key": seed}
    return {"seed": seed} if arch.limit == "neurons" else {}


def _unit(variances: np.ndarray) -> np.ndarray:
    """What brings a diagonal to 1; 0 where a series has no state, such as a constant one at mean 0."""
    positive = variances > 0
    return np.where(positive, 1 / np.sqrt(np.where(positive, variances, 1.0)), 0.0)

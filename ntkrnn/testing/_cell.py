"""The conformance checks of a cell: everything that kernels and training take for granted of it."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn import _checks
from ntkrnn._network import network
from ntkrnn.architectures import Dense
from ntkrnn.cells import split_trainable
from ntkrnn.empirical import empirical_ntk_fn

_N, _T, _CHANNELS, _WIDTH = 4, 6, 3, 16
_WIDE, _NETWORKS, _REPLICATES = 256, 16, 16
_SIGMAS = 3
"""Standard errors by which finite networks may be off their limit on average, beside 8/width."""


class ConformanceError(AssertionError):
    """A cell does not do what is taken for granted; the message says what, and by how much."""


class Conformance(NamedTuple):
    """What was measured: the first two are the largest over depth 1 and 2, one direction and two."""

    jacobian: float
    """Relative difference of the tangent kernel from the product of Jacobians."""
    padding: float
    """Relative difference of outputs with padding from those of the sequences alone."""
    limit: float
    """Relative distance of wide networks of one layer, on average, from the tangent kernel of infinite
    width."""
    limit_error: float
    """What that distance may come to by chance and by their width."""


def check_cell(arch: Any, *, seed: int = 0) -> Conformance:
    r"""Check a cell of your own: that it is elementwise, that its kernels are those of Jacobians, and
    that padding, depth, directions and the limit of infinite width are right.

    Args:
        arch: an architecture of a subclass of :class:`ntkrnn.cells.Dense`; its width is not used.
        seed: of data and parameters.

    Returns:
        A :class:`Conformance`.

    Raises:
        ConformanceError: saying what is wrong and by how much.
        TypeError: if ``arch`` describes no cell.

    Cost: some ten compilations, half a minute on two cores.

    Example:
        >>> import ntkrnn
        >>> from ntkrnn.testing import check_cell
        >>> check_cell(ntkrnn.MinimalGRU()).jacobian < 1e-4
        True
    """
    if not isinstance(arch, Dense):
        raise TypeError(f"arch: got {type(arch).__name__}, expected a subclass of ntkrnn.cells.Dense.")
    key = jax.random.key(_checks.whole_number("seed", seed))
    _check_elementwise(arch, key)
    x = jax.random.normal(jax.random.fold_in(key, 1), (_N, _T, _CHANNELS))
    measured = []
    for depth, bidirectional in ((1, False), (2, False), (2, True)):
        options = {"depth": depth, "bidirectional": bidirectional, "width": _WIDTH}
        one = dataclasses.replace(arch, readout="last", **options)
        _, params = network(one).init_fn(jax.random.fold_in(key, 2), x.shape)
        measured.append((_jacobian_error(one, params, x), _padding_error(one, params, x)))
    jacobian, padding = np.max(measured, axis=0)
    tolerance = 1e3 * float(jnp.finfo(x.dtype).eps)
    for name, error in (
        ("the tangent kernel differs from J J^T", jacobian),
        ("padding shows", padding),
    ):
        if not error <= tolerance:
            raise ConformanceError(
                f"{type(arch).__name__}: {name} by {error:.1e}, above {tolerance:.0e}."
            )
    off, error = _limit_error(arch, key, x)
    if not off <= error:
        raise ConformanceError(
            f"{type(arch).__name__}: networks of width {_WIDE} are off the limit of infinite width by "
            f"{off:.1%}, above {error:.1%}."
        )
    return Conformance(float(jacobian), float(padding), off, error)


def _check_elementwise(arch: Any, key: Any) -> None:
    """Move one neuron; no other may follow."""
    cell = arch.cell
    for name, fn, count in (
        ("update", cell.update, len(cell.gates)),
        ("inner", cell.inner, cell.outer_gates),
    ):
        if fn is None:
            continue
        drawn = jax.random.normal(key, (2, count + cell.carries, _WIDTH))
        moved = drawn[0].at[:, 0].set(drawn[1, :, 0])
        before, after = (
            jax.tree.leaves(fn(tuple(a[:count]), tuple(a[count:]))) for a in (drawn[0], moved)
        )
        if any(bool((a[1:] != b[1:]).any()) for a, b in zip(before, after, strict=True)):
            raise ConformanceError(
                f"{type(arch).__name__}: {name} is not elementwise; a neuron changes when another does."
            )


def _jacobian_error(arch: Any, params: Any, x: Any) -> float:
    """Of the tangent kernel by the structure of the cell, from the product of whole Jacobians."""
    found = np.asarray(empirical_ntk_fn(arch)(x, None, params), np.float64)
    trained, _ = split_trainable(arch, params)
    apply_fn = network(arch).apply_fn
    jacobian = jax.jacrev(lambda p: apply_fn(p, x)[:, 0])(params)
    rows = [
        np.asarray(leaf, np.float64).reshape(len(x), -1)
        for leaf, kept in zip(
            jax.tree.leaves(jacobian, is_leaf=lambda a: a is None),
            jax.tree.leaves(trained, is_leaf=lambda a: a is None),
            strict=True,
        )
        if kept is not None
    ]
    wanted = sum(row @ row.T for row in rows)
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def _padding_error(arch: Any, params: Any, x: Any) -> float:
    apply_fn, short = network(arch).apply_fn, _T - 2
    padded = x.at[:, short:].set(7.0)
    with_lengths = apply_fn(params, padded, jnp.full(len(x), short))
    alone = apply_fn(params, x[:, :short])
    return float(jnp.linalg.norm(with_lengths - alone) / jnp.linalg.norm(alone))


def _limit_error(arch: Any, key: Any, x: Any) -> tuple[float, float]:
    """How far wide networks are from the limit on average, and how far they may be by chance."""
    wide = dataclasses.replace(arch, width=_WIDE, depth=1, bidirectional=False, readout="last")
    init_fn, _, kernel_fn = network(wide)
    sampled = wide.limit == "sampled"
    options: dict[str, Any] = {}
    if sampled:
        options = {"key": jax.random.fold_in(key, 3), "replicates": _REPLICATES}
    limit = kernel_fn(x, **options)
    finite = empirical_ntk_fn(wide)
    drawn = [
        np.asarray(finite(x, None, init_fn(jax.random.fold_in(key, 4 + k), x.shape)[1]), np.float64)
        for k in range(_NETWORKS)
    ]
    ntk, size = np.asarray(limit.ntk, np.float64), float(np.linalg.norm(limit.ntk))
    own = np.std(drawn, axis=0, ddof=1) / np.sqrt(_NETWORKS)
    error = np.sqrt(np.square(own) + np.square(limit.ntk_error)) if sampled else own
    off = float(np.linalg.norm(np.mean(drawn, axis=0) - ntk) / size)
    # Sums of squares of errors that hang together; and finite networks are off by about 1/width.
    return off, _SIGMAS * float(np.linalg.norm(error)) / size + 8 / _WIDE

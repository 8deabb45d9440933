"""Kernels from the features of independent networks, whose spread is the error."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ntkrnn._compile import compiled
from ntkrnn._types import Array
from ntkrnn.infinite.sampling._sides import Networks, Side, features_of, part_features, traced_features
from ntkrnn.quadrature._replicates import (
    Running,
    nothing,
    relative_norm,
    spread,
    with_another,
    with_one_more,
)

ROWS = 512
"""Of a kernel, that are computed at a time; one that is symmetric is computed on one side."""
WORTH_A_PROGRAM = 2**25
"""Steps of neurons, networks and sequences from which another program pays that does not go back."""


class Wanted(NamedTuple):
    """What is asked for."""

    kinds: tuple[str, ...]
    """"nngp", "ntk" or both."""
    diagonal: bool
    """Whether each sequence of one side is wanted with its own partner of the other alone."""
    value: bool
    """Whether the readout is trained, whose part of the tangent kernel is the NNGP kernel."""
    plane: bool
    """Whether a kernel has axes of outputs."""
    back: bool
    """Whether the tangent kernel has another part than the readout's."""


@compiled()
def _products(one: Array, two: Array) -> Array:
    """``[N1 R1, N2 R2]``"""
    flat = [a.reshape(-1, a.shape[2]) for a in (one, two)]
    return jnp.einsum("if,jf->ij", *flat, precision="highest")


@compiled()
def _one_by_one(one: Array, two: Array) -> Array:
    """``[N, R1, R2]``"""
    return jnp.einsum("irf,isf->irs", one, two, precision="highest")


def _gram(one: Array, two: Array | None) -> np.ndarray:
    """``[N1, N2, R1, R2]`` block by block; of one side if there is no other."""
    other = one if two is None else two
    (n1, r1, _), (n2, r2, _) = one.shape, other.shape
    out = np.empty((n1 * r1, n2 * r2), one.dtype)
    rows = max(1, ROWS // r1)
    for i in range(0, n1, rows):
        first = i if two is None else 0
        parts = (one[i : i + rows], other[first:]) if n1 > rows else (one, other)
        block = np.asarray(_products(*parts))
        out[i * r1 : (i + rows) * r1, first * r2 :] = block
        if two is None:
            own = np.triu(block[:, : len(block)])
            out[i * r1 : (i + rows) * r1, i * r1 : (i + rows) * r1] = own + np.triu(own, 1).T
            out[(i + rows) * r1 :, i * r1 : (i + rows) * r1] = block[:, len(block) :].T
    return out.reshape(n1, r1, n2, r2).transpose(0, 2, 1, 3)


def _sums(wanted: Wanted, found: list[Any]) -> tuple[Any, ...]:
    """``(nngp, ntk)`` out of the products of both kinds of features; the first alone if they are."""
    nngp, *layers = (a if wanted.plane else a[..., 0, 0] for a in found)
    if wanted.back and not layers:
        return (nngp,)
    return nngp, sum(layers, start=nngp if wanted.value else 0 * nngp)


def _of_network(
    networks: Networks, one: Side, two: Side | None, wanted: Wanted, replicate: int, tangent: bool
) -> tuple[np.ndarray, ...]:
    """The kernels of one network."""
    weights = jax.tree.map(jnp.asarray, networks.weights(replicate, tangent))
    if not wanted.diagonal:
        features = [
            None if side is None else features_of(networks, weights, side, tangent)
            for side in (one, two)
        ]
        assert features[0] is not None
        others = features[1] or (None,) * len(features[0])
        grams = [_gram(a, b) for a, b in zip(features[0], others, strict=True)]
        n2 = one.count if two is None else two.count
        return _sums(wanted, [gram[: one.count, :n2] for gram in grams])
    parts = []
    for k in range(len(one.x)):
        sides = [
            part_features(networks, weights, side.x[k], side.lengths[k], tangent)
            for side in ((one,) if two is None else (one, two))
        ]
        parts.append([np.asarray(_one_by_one(*p)) for p in zip(sides[0], sides[-1], strict=True)])
    found = [np.concatenate(kind)[: one.count] for kind in zip(*parts, strict=True)]
    return _sums(wanted, found)


class Estimate(NamedTuple):
    """Of one kernel."""

    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    kernel: Array
    error: Array
    """One standard error of every entry."""

    @property
    def relative(self) -> float:
        """The error, relative in the Frobenius norm."""
        return relative_norm(self.kernel, self.error)


def estimates(
    networks: Networks,
    one: Side,
    two: Side | None,
    wanted: Wanted,
    tolerance: float | None,
    fewest: int,
) -> Iterator[dict[str, Estimate]]:
    """What is known after each network, from the first two on.

    Args:
        networks: of which there are any number.
        one: concrete sequences.
        two: of the other side, None for the same.
        wanted: which kernels.
        tolerance: where the tangent kernel is as accurate, networks do not go back for it any more.
        fewest: networks before that.
    """
    running: dict[str, Running] = {}
    known: dict[str, Estimate] = {}
    steps = (one.count + (two.count if two else 0)) * one.steps * networks.b**2
    tangent, replicate = wanted.back and "ntk" in wanted.kinds, 0
    while True:
        if tangent and tolerance is not None and replicate >= fewest and "nngp" in wanted.kinds:
            errors = {kind: known[kind].relative / tolerance for kind in wanted.kinds}
            left = replicate * (errors["nngp"] ** 2 - 1)
            tangent = errors["ntk"] > 1 or left * steps < WORTH_A_PROGRAM
        found = _of_network(networks, one, two, wanted, replicate, tangent)
        replicate += 1
        for kind, new in zip(("nngp", "ntk"), found, strict=False):
            if kind in wanted.kinds:
                count, mean, squares = with_one_more(running.get(kind, nothing((new,))), (new,))
                running[kind] = Running(count, mean, squares)
                error = np.sqrt(squares[0] / (max(count, 2) - 1) / count, dtype=new.dtype)
                known[kind] = Estimate(int(count), mean[0], error)
        if replicate > 1:
            yield known


def traced_estimates(
    networks: Networks, one: Side, two: Side | None, wanted: Wanted, replicates: int
) -> dict[str, Estimate]:
    """The same from so many networks, within a program."""
    tangent = wanted.back and "ntk" in wanted.kinds
    drawn = [networks.weights(replicate, tangent) for replicate in range(replicates)]
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *drawn)

    @jax.checkpoint
    def kernels(weights: Any) -> tuple[Array, ...]:
        sides = [
            traced_features(networks, weights, side, tangent)
            for side in ((one,) if two is None else (one, two))
        ]
        formula = "irf,isf->irs" if wanted.diagonal else "irf,jsf->ijrs"
        product = functools.partial(jnp.einsum, formula, precision="highest")
        found = [product(a, b) for a, b in zip(sides[0], sides[-1], strict=True)]
        if two is None and not wanted.diagonal:
            found = [0.5 * (a + a.transpose(1, 0, 3, 2)) for a in found]
        return _sums(wanted, found)

    def add(running: Running, weights: Any) -> tuple[Running, None]:
        return with_another(running, kernels(weights)), None

    start = nothing(jax.eval_shape(kernels, drawn[0]))
    running = jax.lax.scan(add, start, stacked)[0]
    return {
        kind: Estimate(replicates, kernel, deviation / replicates**0.5)
        for kind, kernel, deviation in zip(("nngp", "ntk"), running.mean, spread(running), strict=False)
    }

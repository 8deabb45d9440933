"""The matrices of a cell as its products want them: what multiplies one vector is one matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from ntkrnn._types import Array, Params
from ntkrnn.architectures import Cell, Term


def reading(cell: Cell, source: str) -> dict[int, Term]:
    """``{gate: term}`` of the gates that multiply ``source``, in the order of their arrays."""
    return {
        index: term
        for index, gate in enumerate(cell.gates)
        for term in gate.terms
        if term.source == source
    }


def stacked(params: Params, terms: dict[int, Term]) -> Array:
    """``[G m, columns]``: the matrices of the terms, which are neighbours in their block.

    A block that one gate has holds its matrix alone.
    """
    indices = [term.index for term in terms.values()]
    block = params[next(iter(terms.values())).block]
    if block.ndim == 2:
        return block
    return block[indices[0] : indices[-1] + 1].reshape(-1, block.shape[-1])


def of_gate(params: Params, term: Term) -> Array:
    """The array of one gate out of its block, whose arrays are vectors."""
    block = params[term.block]
    return block if block.ndim == 1 else block[term.index]


def share_a_scale(terms: Sequence[Term]) -> bool:
    """Whether all have the scale that is written down once for their block.

    By identity, which holds for a scale that is being traced, too: numbers that a tuple gives to gates
    one by one are different, whatever they are.
    """
    return all(term.std is terms[0].std for term in terms)


def by_columns(std: Any, columns: int) -> Any:
    """The factor in front of a matrix of raw weights, ``std / sqrt(columns)``."""
    return std / math.sqrt(columns)


def scaled_back(deltas: Sequence[Array], terms: dict[int, Term], matrix: Array, dot: Any) -> Array:
    """``sum_gates factor * delta @ matrix``, one product for all gates of ``terms``.

    Args:
        deltas: ``[..., m]`` for each gate of the cell.
        terms: of the gates that count.
        matrix: of :func:`stacked`.
        dot: ``dot(delta [..., G m], matrix)``, the product.
    """
    found = list(terms.values())
    own = [deltas[gate] for gate in terms]
    columns = matrix.shape[-1]
    if share_a_scale(found):
        joined = own[0] if len(own) == 1 else jnp.concatenate(own, axis=-1)
        return by_columns(found[0].std, columns) * dot(joined, matrix)
    own = [by_columns(term.std, columns) * delta for term, delta in zip(found, own, strict=True)]
    return dot(jnp.concatenate(own, axis=-1), matrix)

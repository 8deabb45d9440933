"""Which gates of a cell share a covariance, and what it is made of."""

from __future__ import annotations

from typing import Any, NamedTuple

from ntkrnn._types import Array
from ntkrnn.architectures import INNER, STATE, Dense
from ntkrnn.infinite._paths_time import shifted


class Group(NamedTuple):
    """Gates whose pre-activations have the same covariance."""

    gates: tuple[int, ...]
    source: str | None
    """What the recurrent matrices multiply."""
    squares: tuple[Any, ...]
    """Squares of the scales of w, u and b, 0 for those that are not there."""
    trained: tuple[Any, ...]
    """The same of those that are trained."""


def groups_of(arch: Dense) -> tuple[Group, ...]:
    """The gates, put together where their terms are the same: every block has one scale for all."""
    found: dict[Any, list[int]] = {}
    gates = arch.cell.gates
    own = {block: isinstance(s, tuple) for block, s in zip("wub", arch.scales[:3], strict=True)}
    for k, gate in enumerate(gates):
        key = tuple((t.block, t.source, t.index if own[t.block] else None) for t in gate.terms)
        found.setdefault(key, []).append(k)
    groups = []
    for members in found.values():
        terms = {term.block: term for term in gates[members[0]].terms}
        squares = [terms[block].std ** 2 if block in terms else 0.0 for block in "wub"]
        trained = [
            s if block in arch.trainable else 0.0 for block, s in zip("wub", squares, strict=True)
        ]
        source = terms["w"].source if "w" in terms else None
        groups.append(Group(tuple(members), source, tuple(squares), tuple(trained)))
    return tuple(groups)


def covariance_of(squares: tuple[Any, ...], source: str | None, paths: Any, below: Array) -> Array:
    """``w^2 E z z' + u^2 below + b^2`` ``[T, N, T, N]`` of gates, from what is known of all steps."""
    w, u, b = squares
    total = u * below + b
    if source == STATE:
        total = total + w * shifted(paths[STATE])
    elif source == INNER:
        total = total + w * paths[INNER]
    return total

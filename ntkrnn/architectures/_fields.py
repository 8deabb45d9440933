"""Fields that architectures share: what they may be, and one form for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ntkrnn.dual._table import check_name
from ntkrnn.dual._value import DEFAULT_MAX_VARIANCE, Nonlinearity


def normalised_nonlinearity(value: Any, name: str = "nonlinearity") -> str | Nonlinearity:
    """The name wherever a name says it all; ``dataclasses.asdict`` hands back a mapping."""
    if isinstance(value, dict):
        fields = {field.name for field in dataclasses.fields(Nonlinearity)}
        if "name" not in value or not set(value) <= fields:
            raise ValueError(
                f"{name}: got a mapping with the keys {sorted(map(str, value))}, expected those "
                f"of a Nonlinearity, {sorted(fields)}, as dataclasses.asdict gives them."
            )
        if value.get("fn") is None:
            check_name(value["name"], name)
        value = Nonlinearity(**value)
    if isinstance(value, Nonlinearity):
        plain = value.fn is None and value.max_variance == DEFAULT_MAX_VARIANCE
        return value.name if plain else value
    return check_name(value, name)


def normalised_trainable(value: Any, blocks: tuple[str, ...]) -> tuple[str, ...]:
    """A non-empty subset of the blocks, in their order."""
    if isinstance(value, str) or not isinstance(value, (tuple, list, set, frozenset)):
        raise TypeError(
            f"trainable: got {value!r}, expected a tuple of block names out of {blocks}, "
            "for example ('w', 'u')."
        )
    unknown = [block for block in value if block not in blocks]
    if unknown or not value:
        raise ValueError(
            f"trainable: got {tuple(value)!r}, expected a non-empty subset of {blocks}"
            + (f"; {unknown[0]!r} is not a block." if unknown else ": nothing would be trained.")
        )
    return tuple(block for block in blocks if block in value)


def name_of(nonlinearity: str | Nonlinearity) -> str:
    """What a nonlinearity is called."""
    return nonlinearity if isinstance(nonlinearity, str) else nonlinearity.name


def per_gate(
    name: str, value: Any, gates: tuple[str, ...], check: Callable[[str, Any], Any], every: bool = False
) -> Any:
    """A number for all gates, or a tuple of one for each; always a tuple with ``every``.

    Args:
        name: of the field.
        value: what came; a mapping by the names of gates stands for the tuple.
        gates: their names.
        check: ``(name, number) -> number``.
        every: whether a single number is written out for every gate.
    """
    if isinstance(value, dict):
        if set(value) != set(gates):
            raise ValueError(
                f"{name}: got values for the gates {sorted(map(str, value))}, expected {list(gates)}."
            )
        value = tuple(value[gate] for gate in gates)
    if not isinstance(value, (tuple, list)):
        number = check(name, value)
        return (number,) * len(gates) if every else number
    if len(value) != len(gates) or (len(gates) == 1 and not every):
        expected = "a number" if len(gates) == 1 else f"a number or {len(gates)}, for {list(gates)}"
        raise ValueError(f"{name}: got {len(value)} values, expected {expected}.")
    return tuple(check(f"{name}[{i}]", number) for i, number in enumerate(value))

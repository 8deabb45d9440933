"""What the description of a cell must say, checked when an architecture is made of it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ntkrnn.architectures._cell import INNER, STATE, Cell, Part

_PROBE = 3
"""Neurons of the arrays that the elementwise functions are tried with; nothing is computed."""
_sound: set[tuple[type, tuple[Part, ...]]] = set()
"""Classes with their parts that were found in order: each is looked at once."""


def check_parts(arch: Any) -> None:
    """Raise unless the parts of an architecture are gates that blocks can be made for.

    Raises:
        TypeError, ValueError: naming the class, what came and what was expected.
    """
    where, parts = f"{type(arch).__name__}.parts", arch.parts
    if not isinstance(parts, tuple) or not parts or not all(isinstance(p, Part) for p in parts):
        raise TypeError(f"{where}: got {parts!r}, expected a tuple of ntkrnn.cells.Part.")
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: got the names {', '.join(names)}, expected different ones.")
    for part in parts:
        if part.recurrent not in (None, STATE, INNER):
            raise ValueError(
                f"{where}: got recurrent={part.recurrent!r} for {part.name!r}, expected {STATE!r}, "
                f"{INNER!r} or None."
            )
    for block, there in (("recurrent matrix", "recurrent"), ("input", "input")):
        if not any(getattr(part, there) for part in parts):
            raise ValueError(f"{where}: got no part with a {block}, expected at least one.")
    inner = [part.recurrent == INNER for part in parts]
    if inner != sorted(inner):
        raise ValueError(
            f"{where}: got {', '.join(names)}, where a part that multiplies the inner vector is not "
            "last; expected the parts that it is made of first."
        )


def check_description(arch: Any) -> None:
    """Raise unless the cell of an architecture is that of its parts, and its limit can be its own.

    Raises:
        TypeError, ValueError: naming the class, what came and what was expected.
    """
    kind = type(arch)
    if (kind, arch.parts) in _sound:
        return
    _check_limit(kind)
    nearest = [name for base in kind.__mro__ for name in ("cell", "parts") if name in vars(base)]
    if nearest[0] == "parts":
        raise ValueError(
            f"{kind.__name__}.parts: got the parts of another class than the cell; expected both in "
            "one class, since `update` takes the pre-activations in the order of the parts."
        )
    where, cell = f"{kind.__name__}.cell", arch.cell
    if not isinstance(cell, Cell):
        raise TypeError(f"{where}: got {type(cell).__name__}, expected ntkrnn.cells.Cell.")
    names = tuple(part.name for part in arch.parts)
    gates = tuple(gate.name for gate in cell.gates)
    if gates != names:
        raise ValueError(
            f"{where}: got the gates {', '.join(gates) or 'none'}, expected those of parts, "
            f"{', '.join(names)}, in their order; self.gates_with() makes them."
        )
    inner = any(part.recurrent == INNER for part in arch.parts)
    if inner != (cell.inner is not None):
        came, wanted = ("no inner", "a") if inner else ("an inner", "no")
        raise ValueError(
            f"{where}: got {came} vector, and parts that have {wanted} matrix for it; expected both or "
            "neither."
        )
    _check_functions(where, cell)
    _sound.add((kind, arch.parts))


def _check_limit(kind: Any) -> None:
    """An exact limit is that of the class that has it: a cell of one's own has the sampled one."""
    for base in kind.__mro__:
        if "limit" in vars(base):
            return
        own = [name for name in ("parts", "cell") if name in vars(base)]
        if own and kind.limit != "sampled":
            raise TypeError(
                f"{kind.__name__}: has {' and '.join(own)} of its own, and the kernel of infinite "
                "width of the class that it extends, which is that of another cell; expected a "
                "subclass of ntkrnn.cells.Dense or Gated, or limit = 'sampled'."
            )


def _check_functions(where: str, cell: Cell) -> None:
    """The shapes of what the elementwise functions return."""
    vector = jax.ShapeDtypeStruct((_PROBE,), jnp.zeros(()).dtype)
    pre, carry = (vector,) * len(cell.gates), (vector,) * cell.carries
    asked: list[tuple[str, Any, Any, tuple[Any, ...]]] = [("update", cell.update, pre, carry)]
    if cell.inner is not None:
        asked.append(("inner", cell.inner, pre[: cell.outer_gates], (vector,)))
    for name, fn, given, wanted in asked:
        try:
            found = jax.eval_shape(fn, given, carry)
        except Exception as error:
            raise TypeError(
                f"{where}: {name} fails with {len(given)} pre-activations and {len(carry)} vectors of "
                f"the carry: {type(error).__name__}: {error}"
            ) from error
        if name == "inner":
            found = (found,)
        shapes = [getattr(a, "shape", None) for a in found] if isinstance(found, tuple) else None
        if shapes != [a.shape for a in wanted]:
            raise TypeError(
                f"{where}: {name} returns {found!r} for vectors of {_PROBE} neurons, expected "
                f"{'a tuple of ' if name == 'update' else ''}{len(wanted)} such "
                f"vector{'s' * (len(wanted) > 1)}, elementwise."
            )

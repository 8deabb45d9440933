"""A nonlinearity as a value, and what is known of one.

A nonlinearity is named by a string wherever possible, so that an architecture prints, hashes and
serialises. :class:`Nonlinearity` is for the rest: a function of the caller's own, or a named
function with other accuracy settings than the default.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from ntkrnn import _checks
from ntkrnn.dual._stepper import generic
from ntkrnn.dual._table import Facts, Scalar, check_name, named

DEFAULT_MAX_VARIANCE = 4.0


class Kept:
    """A function that copies as itself and is equal by identity.

    ``dataclasses.asdict`` copies what it finds, and a copy of a compiled function is another one.
    """

    def __init__(self, fn: Scalar) -> None:
        self._fn = fn

    def __call__(self, *args: Any) -> Any:
        """The function at a point."""
        return self._fn(*args)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kept) and self._fn is other._fn

    def __hash__(self) -> int:
        return hash(self._fn)

    def __deepcopy__(self, memo: dict[int, Any]) -> Kept:
        return self


@dataclasses.dataclass(frozen=True)
class Nonlinearity:
    """A scalar function with the accuracy wanted of its Gaussian expectations.

    Build it with :func:`ntkrnn.dual.nonlinearity`, which checks it.

    Attributes:
        name: what it is called when printed; a key of the named functions if ``fn`` is None.
        fn: the scalar function, elementwise on arrays; None stands for the function of that name.
        max_variance: the largest pre-activation variance at which the expansion must be accurate.
        dual: the expectations of ``fn`` in closed form, in place of the expansion: see
            :func:`ntkrnn.dual.nonlinearity`.
        lipschitz: ``(sup |fn|, sup |fn'|, sup |fn''|)``, in place of a search for them.
    """

    name: str
    fn: Scalar | None = None
    max_variance: float = DEFAULT_MAX_VARIANCE
    dual: Callable[..., Any] | None = None
    lipschitz: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        """Validate, and keep the function from being copied."""
        if not isinstance(self.name, str):
            raise TypeError(
                f"name: got {self.name!r} of type {type(self.name).__name__}, expected what the "
                "nonlinearity is called, a string."
            )
        if self.fn is None:
            check_name(self.name, "name")
        elif not callable(self.fn):
            raise TypeError(
                f"fn: got {self.fn!r} of type {type(self.fn).__name__}, expected a scalar function "
                "such as jnp.arctan, or None for the function of that name."
            )
        limit = _checks.positive_float("max_variance", self.max_variance)
        object.__setattr__(self, "max_variance", limit)
        self._check_facts()
        for field in ("fn", "dual"):
            function = getattr(self, field)
            if function is not None and not isinstance(function, Kept):
                object.__setattr__(self, field, Kept(function))

    def _check_facts(self) -> None:
        """Raise unless what is said of a function is of the right kind, and there is a function."""
        if self.dual is not None and not callable(self.dual):
            raise TypeError(
                f"dual: got {self.dual!r} of type {type(self.dual).__name__}, expected a function "
                "(c, distance, q1, q2) -> ntkrnn.dual.PairExpectation, or None."
            )
        for field in ("dual", "lipschitz"):
            if self.fn is None and getattr(self, field) is not None:
                raise ValueError(
                    f"{field}: got one for the named function {self.name!r}, expected None; it is "
                    "for a function of your own."
                )
        if self.lipschitz is not None:
            given = self.lipschitz
            if not isinstance(given, (tuple, list)) or len(given) != 3:
                raise ValueError(
                    f"lipschitz: got {given!r}, expected three numbers: the suprema of the function "
                    "and of its first two derivatives, math.inf where there is none."
                )
            numbers = tuple(
                value if value == math.inf else _checks.nonnegative_float(f"lipschitz[{i}]", value)
                for i, value in enumerate(given)
            )
            object.__setattr__(self, "lipschitz", numbers)

    def __repr__(self) -> str:
        """The call that makes it."""
        if self.dual is not None:
            return f"dual.nonlinearity({self.name}, dual=...)"
        what = repr(self.name) if self.fn is None else self.name
        return f"dual.nonlinearity({what}, max_variance={self.max_variance:g})"


@functools.lru_cache(maxsize=256)
def facts_of(spec: str | Nonlinearity) -> Facts:
    """What is known of a nonlinearity, named or not."""
    if isinstance(spec, str) or spec.fn is None:
        return named(spec if isinstance(spec, str) else spec.name)
    return Facts(spec.fn, spec.dual, spec.dual and generic(spec.dual), spec.lipschitz)


def scalar_function(spec: str | Nonlinearity) -> Scalar:
    """The elementwise function that a name or a :class:`Nonlinearity` stands for.

    Example:
        >>> import jax.numpy as jnp
        >>> float(scalar_function("relu")(jnp.asarray(-2.0)))
        0.0
    """
    return facts_of(spec).fn

"""The field ``readout`` of an architecture: a name or a value, and one form for each."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from ntkrnn import _checks
from ntkrnn.readouts._exponential import Exponential, exponential
from ntkrnn.readouts._named import NAMED
from ntkrnn.readouts._readout import Readout, weights_of
from ntkrnn.readouts._weights import Weights, weights

_TRIED = (1, 2, 3, 5)
"""Lengths with which the weights of a readout are tried."""
_MADE_BY = {"exponential": exponential, "weights": weights}
_EXPECTED = (
    f"one of {', '.join(map(repr, NAMED))}, or a value such as ntkrnn.readouts.exponential(0.9) or "
    "ntkrnn.readouts.weights(array)"
)


def normalised_readout(value: Any, name: str = "readout") -> str | Readout:
    """The name wherever a name says it all; ``dataclasses.asdict`` hands back a mapping.

    Raises:
        TypeError, ValueError: naming the field, what came and what was expected.
    """
    if isinstance(value, dict):
        fields = dict(value)
        make = _MADE_BY.get(fields.pop("name", None))
        if make is None or len(fields) != 1:
            raise ValueError(
                f"{name}: got a mapping with the keys {sorted(map(str, value))}, expected that of a "
                "readout of ntkrnn.readouts as dataclasses.asdict gives it; pass the value of one of "
                "your own."
            )
        value = make(*fields.values())
    if isinstance(value, str) and value not in NAMED:
        raise ValueError(f"{name}: got {value!r}, expected {_EXPECTED}.")
    if isinstance(value, str):
        return value
    if not isinstance(value, Readout):
        raise TypeError(f"{name}: got {_checks.described(value)}, expected {_EXPECTED}.")
    for word, named in NAMED.items():
        if value == named:
            return word
    if not isinstance(value, (Exponential, Weights)):
        _check(value, name)
    return value


def readout_record(field: str | Readout) -> str | dict[str, Any] | None:
    """What JSON can hold of a field and an architecture takes; None for a class of your own."""
    if isinstance(field, str):
        return field
    return dataclasses.asdict(field) if isinstance(field, (Exponential, Weights)) else None


def readout_of(field: str | Readout) -> Readout:
    """The value of a field in its one form."""
    return NAMED[field] if isinstance(field, str) else field


def _check(readout: Readout, name: str) -> None:
    """Raise unless a readout of somebody's own can be used as a static value, and has weights."""
    kind = type(readout).__name__
    try:
        hash(readout)
    except TypeError as error:
        raise TypeError(
            f"{name}: got {kind}, which has no hash ({error}); expected a frozen dataclass whose "
            "fields are numbers, strings or tuples."
        ) from None
    _tried(readout, name)


@functools.lru_cache(maxsize=256)
def _tried(readout: Readout, name: str) -> None:
    """Weights of a few lengths: real, finite, of the right shape, and what the facts say of them."""
    kind = type(readout).__name__
    if readout.stepwise:
        raise TypeError(
            f"{name}: got {kind} with stepwise = True; the readout with an output at every step is "
            "'sequence'."
        )
    steps, lengths = max(_TRIED), np.asarray(_TRIED, np.int32)
    for backward in (False, True):
        try:
            with jax.ensure_compile_time_eval():
                given = np.asarray(weights_of(readout, steps, lengths, backward, float))
        except Exception as error:
            raise TypeError(
                f"{name}: {kind}.weights fails with times [T, 1] and lengths [1, N]: "
                f"{type(error).__name__}: {error}"
            ) from error
        if given.shape != (steps, len(_TRIED)) or not np.isfinite(given).all():
            what = "" if np.isfinite(given).all() else " with NaN or inf"
            raise ValueError(
                f"{name}: got weights of shape {given.shape}{what} of {kind} for T={steps} and "
                f"N={len(_TRIED)}, expected finite numbers that broadcast to [T, N]."
            )
        for fact, named in (("final", "last"), ("uniform", "mean")):
            with jax.ensure_compile_time_eval():
                wanted = np.asarray(weights_of(NAMED[named], steps, lengths, backward, float))
            if getattr(readout, fact) and not np.allclose(given, wanted, atol=1e-6):
                raise ValueError(
                    f"{name}: got {kind} with {fact} = True, and weights other than those of "
                    f"{named!r}; leave {fact} out."
                )

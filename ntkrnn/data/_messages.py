"""Wording that the checks of this package share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, options: Iterable[str], cutoff: float = 0.6) -> str:
    """A sentence that offers the option nearest to ``word``, or an empty string."""
    match = difflib.get_close_matches(word.lower(), list(options), n=1, cutoff=cutoff)
    return f" Did you mean {match[0]!r}?" if match else ""


def one_of(argument: str, value: object, options: tuple[str, ...]) -> None:
    """Raise ValueError, with the nearest match, unless ``value`` is among the options."""
    if value not in options:
        listed = ", ".join(options)
        hint = near(value, options) if isinstance(value, str) else ""
        raise ValueError(f"{argument}: got {value!r}, expected one of {listed}.{hint}")

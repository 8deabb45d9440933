"""How much a file may take in memory, judged from its headers before anything is unpacked."""

from __future__ import annotations

import os
import re

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_VARIABLE = "NTKRNN_MEMORY_LIMIT"
_WITHOUT_AN_ANSWER = 16 * 2**30


def size_limit() -> int:
    """Bytes that the arrays of one file may take.

    A quarter of the memory, since reading, checking and standardising hold up to four copies.

    Raises:
        ValueError: if the environment variable that sets the memory is not a number of bytes.
    """
    return _memory() // 4


def _memory() -> int:
    given = os.environ.get(_VARIABLE)
    if given is not None:
        match = re.fullmatch(r"\s*([0-9]{1,18})\s*([KMG]?)B?\s*", given, re.IGNORECASE)
        if not match:
            raise ValueError(f"{_VARIABLE}: got {given!r}, expected bytes, such as 8G or 500M.")
        return int(match[1]) * _UNITS[match[2].upper()]
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # where the system does not say
        return _WITHOUT_AN_ANSWER


def within_limit(what: str, needed: int, remedy: str) -> None:
    """Raise ValueError, which starts with ``what``, where ``needed`` bytes are more than the limit."""
    limit = size_limit()
    if needed > limit:
        raise ValueError(
            f"{what} takes {_amount(needed)} in memory, above the limit of {_amount(limit)} for one "
            f"file, a quarter of the memory. {remedy} {_VARIABLE}=BYTES sets the memory."
        )


def _amount(size: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            # A header may declare more than a float can hold.
            return f"{size / scale:.3g} {unit}" if size < 2**60 else "over a million TiB"
    return f"{size} bytes"

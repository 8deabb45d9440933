"""How much a file may take in memory, judged from its headers before anything is unpacked."""

from __future__ import annotations

from ntkrnn._memory import LIMIT_VARIABLE, available_bytes, size_in_words

_WITHOUT_AN_ANSWER = 16 * 2**30


def size_limit() -> int:
    """Bytes that the arrays of one file may take.

    A quarter of the memory, since reading, checking and standardising hold up to four copies.

    Raises:
        ValueError: if the environment variable that sets the memory says something else.
    """
    there = available_bytes()
    return (_WITHOUT_AN_ANSWER if there is None else there) // 4


def within_limit(what: str, needed: int, remedy: str) -> None:
    """Raise ValueError, which starts with ``what``, where ``needed`` bytes are more than the limit."""
    limit = size_limit()
    if needed > limit:
        raise ValueError(
            f"{what} takes {size_in_words(needed)} in memory, above the limit of "
            f"{size_in_words(limit)} for one file, a quarter of the memory. {remedy} "
            f"{LIMIT_VARIABLE}=BYTES sets the memory."
        )

"""Text files, line by line."""

from __future__ import annotations

from pathlib import Path

from ntkrnn.data._limit import within_limit

_COPIES = 10
"""A file's text, its lines, and its numbers of eight bytes twice, for numbers of one digit."""
_CELLS = 34
"""Bytes for each character of a line while its cells are text: some hundred for three characters."""


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their ends.

    Raises:
        ValueError: naming the file, if it is empty, not text, or too large to be read.
    """
    remedy = "Split the file, or write a .npz."
    size = path.stat().st_size
    within_limit(f"{path}: reading {size} bytes of text", _COPIES * size, remedy)
    text = path.read_text(encoding="utf-8-sig")
    if "\x00" in text:
        raise ValueError(
            f"{path}: not a text file (it holds zero bytes); expected what its suffix "
            f"{path.suffix!r} says."
        )
    if not text.strip():
        raise ValueError(f"{path}: the file is empty; expected at least one series.")
    # Not splitlines, which also parts at form feeds and others that editors do not count.
    lines = text.split("\n")
    longest = max(map(len, lines))
    within_limit(f"{path}: a line of {longest} characters", _COPIES * size + _CELLS * longest, remedy)
    return lines

"""Text files, line by line."""

from __future__ import annotations

from pathlib import Path

from ntkrnn.data._limit import within_limit

_COPIES = 10
"""Times the size of a file that its numbers take: at most one of eight bytes for every two characters
(read, checked and standardised some 22 times its size), and its text."""
_CELLS = 34
"""The same for each character of one line: all its cells are text at once, a hundred bytes each."""


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

"""Wording that the checks of this package share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def near(word: str, options: Iterable[str]) -> str:
    """A sentence that offers the option nearest to ``word``, or an empty string."""
    match = difflib.get_close_matches(word.lower(), list(options), n=1)
    return f" Did you mean {match[0]!r}?" if match else ""


def one_of(argument: str, value: object, options: tuple[str, ...]) -> None:
    """Raise ValueError, with the nearest match, unless ``value`` is among the options."""
    if value not in options:
        listed = ", ".join(options)
        hint = near(value, options) if isinstance(value, str) else ""
        raise ValueError(f"{argument}: got {value!r}, expected one of {listed}.{hint}")


def number(text: str, where: str) -> float:
    """``text`` as a float; what is not a number is reported as standing at ``where``."""
    try:
        if "_" in text:  # Python reads 1_0 as 10; in a data file it is a slip.
            raise ValueError
        return float(text)
    except ValueError:
        shown = "an empty cell" if not text.strip() else repr(text.strip()[:40])
        raise ValueError(f"{where}: got {shown}, expected a number.") from None


def read_text(path: Path) -> str:
    """The whole file as UTF-8 text, or a ValueError that says that it is not text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: not a text file (byte 0x{error.object[error.start]:02x} at position "
            f"{error.start} is not UTF-8); expected what its suffix {path.suffix!r} says. Save it "
            "as UTF-8 text, or give the file the suffix of what it is."
        ) from None
    if "\x00" in text:
        raise ValueError(
            f"{path}: not a text file (it holds zero bytes); expected what its suffix "
            f"{path.suffix!r} says."
        )
    if not text.strip():
        raise ValueError(f"{path}: the file is empty; expected at least one series.")
    return text

"""Options whose value is more than one word or number."""

from __future__ import annotations

from pathlib import Path

from ntkrnn._files import make_folder
from ntkrnn.studies import ENGINES, Engine, neural_tangents_engine, ntkrnn_engine


def integers(option: str, text: str) -> tuple[int, ...]:
    """The whole numbers of a comma-separated list, each at least 1.

    Raises:
        ValueError: naming the entry that is not one.

    Example:
        >>> integers("widths", "64, 128")
        (64, 128)
    """
    values = []
    for word in text.split(","):
        word = word.strip()
        if not (word.isascii() and word.isdecimal()) or int(word) < 1:
            raise ValueError(
                f"--{option}: got {word!r} in {text!r}, expected whole numbers of at least 1, "
                f"separated by commas, for example --{option} 64,128,256."
            )
        values.append(int(word))
    return tuple(values)


def blocks(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list; the architecture checks them.

    Example:
        >>> blocks("w, u")
        ('w', 'u')
    """
    return tuple(word.strip() for word in text.split(",") if word.strip())


def out_folder(text: str | None) -> Path:
    """The folder of ``--out``, made if it is not there.

    Raises:
        ValueError: if there is none in the option.
        OSError: if it cannot be made or written to.
    """
    if not text:
        raise ValueError(
            f"--out: got {'nothing' if text is None else repr(text)}, expected a folder for results, "
            "as --out out/first; '.' is the current one."
        )
    return make_folder(text)


def engine_named(name: str) -> Engine:
    """The engine of this name.

    Raises:
        ValueError: if there is none.
        ImportError: if it needs a package that is not installed.
    """
    if name not in ENGINES:
        raise ValueError(f"--engine: got {name!r}, expected one of {', '.join(ENGINES)}.")
    return neural_tangents_engine() if name == "neural-tangents" else ntkrnn_engine()

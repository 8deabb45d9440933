"""Options that are more than one word or number, and what a command makes of them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ntkrnn._files import make_folder
from ntkrnn.studies import ENGINES, Engine, neural_tangents_engine, ntkrnn_engine


def flat(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the fields of its dataclasses as options.

    A parameter whose type is a dataclass stands for one option of each field, with the field's type and
    default, so that options that commands share are written once.
    """
    groups, parameters = {}, []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if not dataclasses.is_dataclass(kind):
            parameters.append(parameter)
            continue
        groups[parameter.name] = kind
        types = typing.get_type_hints(kind, include_extras=True)
        parameters += [
            parameter.replace(name=field.name, annotation=types[field.name], default=field.default)
            for field in dataclasses.fields(kind)
        ]

    @functools.wraps(command)
    def run(**options: Any) -> None:
        for name, kind in groups.items():
            options[name] = kind(**{f.name: options.pop(f.name) for f in dataclasses.fields(kind)})
        command(**options)

    shown: Any = run
    shown.__signature__ = inspect.Signature(parameters)
    shown.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def one_of(*names: str) -> Callable[[str], list[str]]:
    """Completion of a value that is one of some names."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


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

"""What goes wrong in a file, told by its name and not from within a reader."""

from __future__ import annotations

import contextlib
import csv
import os
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    csv.Error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
)


@contextlib.contextmanager
def told(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Errors of the system and of the standard readers as errors that start with ``what``.

    Args:
        what: the file, or a part of it.
        kinds: further errors that mean damage; around a step of a foreign reader, ``Exception``.

    Raises:
        OSError: of the kind that the system raised.
        ValueError: for all others.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of readers, about what they read all the same
            yield
    except OSError as error:
        raise type(error)(f"{what}: cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what}: not a text file (byte 0x{error.object[error.start]:02x} at position "
            f"{error.start} is not UTF-8); expected what its suffix says. Save it as UTF-8 text, or "
            "give the file the suffix of what it is."
        ) from None
    except (*_DAMAGE, *kinds) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{what}: is damaged ({reason}); write the file anew.") from None
    except MemoryError:
        raise ValueError(f"{what}: does not fit into memory; split the file.") from None


def regular_file(argument: str, source: Any) -> Path:
    """The path of a regular file that is there.

    Raises:
        TypeError: if ``source`` is no path.
        FileNotFoundError, IsADirectoryError, OSError, ValueError: naming the argument and the path.
    """
    try:
        text = os.fspath(source)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise TypeError(f"{argument}: got {source!r} of type {type(source).__name__}, expected a path.")
    shown = text if len(text) <= 200 else f"{text[:100]}...{text[-60:]} ({len(text)} characters)"
    try:
        mode = os.stat(text).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{argument}: there is no file {shown or repr(text)} (looked from the folder {Path.cwd()})."
        ) from None
    except OSError as error:
        raise type(error)(f"{argument}: {shown} cannot be opened ({error.strerror}).") from None
    except ValueError as error:  # a zero byte, or a character that no path has
        raise ValueError(f"{argument}: {text!r} is no path ({error}).") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{argument}: {shown} is a folder, expected a file.")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{argument}: {shown} is not a regular file, expected one.")
    return Path(text)

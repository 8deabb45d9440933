"""Models as files: arrays and JSON, so that loading one runs nothing that somebody else wrote.

Everything that an estimator is made of has one of a few forms. Numbers, text, lists and mappings go
into the JSON as they are; arrays go beside it by name; an architecture, an estimator and the named
tuples of this package are written by the name of their type, which is looked up in a table.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from ntkrnn._files import write_npz
from ntkrnn._version import __version__
from ntkrnn.architectures import ARCHITECTURES, Architecture
from ntkrnn.dual._value import Nonlinearity
from ntkrnn.readouts import Readout, readout_record

FORMAT = 1
ENTRY = "model"
_KINDS = {kind: name for name, kind in ARCHITECTURES.items()}


class Writer:
    """From an object to JSON, and the arrays that stand beside it."""

    def __init__(self, types: dict[str, type]):
        self.names = {kind: name for name, kind in types.items()}
        self.arrays: dict[str, np.ndarray] = {}

    def __call__(self, value: Any, where: str) -> Any:
        """The JSON form of a value.

        Args:
            value: of the forms above.
            where: the attribute that it stands in, for messages and as the name of an array.

        Raises:
            TypeError: naming the attribute that has no such form.
        """
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, np.generic):
            return self(value.item(), where)
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if type(value) in _KINDS:
            return {"architecture": _KINDS[type(value)], "fields": self._fields(value, where)}
        if type(value) in self.names:
            named: Any = value
            parts = named._asdict() if isinstance(value, tuple) else vars(value)
            inside = {key: self(part, f"{where}.{key}") for key, part in parts.items()}
            return {"type": self.names[type(value)], "parts": inside}
        if isinstance(value, (list, tuple)):
            items = [self(part, f"{where}[{i}]") for i, part in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {"mapping": {key: self(part, f"{where}.{key}") for key, part in value.items()}}
        raise TypeError(
            f"{where}: got {type(value).__name__}, which cannot be saved; expected numbers, text, "
            "arrays, architectures, and lists and mappings of them."
        )

    def _array(self, value: np.ndarray, where: str) -> Any:
        if value.dtype == np.dtype(object):
            return {"objects": [self(part, f"{where}[{i}]") for i, part in enumerate(value.tolist())]}
        self.arrays[where] = value
        return {"array": where}

    def _fields(self, arch: Architecture, where: str) -> dict[str, Any]:
        fields = {}
        for field in dataclasses.fields(arch):
            value = getattr(arch, field.name)
            if isinstance(value, Nonlinearity):
                if value.fn is not None:
                    raise TypeError(
                        f"{where}: got the nonlinearity {value.name!r}, a function of your own, which "
                        "a file does not hold; expected one that has a name."
                    )
                value = {"mapping": {"name": value.name, "max_variance": value.max_variance}}
            if isinstance(value, Readout):
                record = readout_record(value)
                if record is None:
                    raise TypeError(
                        f"{where}: got the readout {value!r}, a class of your own, which a file does "
                        "not hold; expected one of ntkrnn.readouts."
                    )
                value = record
            fields[field.name] = self(value, f"{where}.{field.name}")
        return fields


class Reader:
    """From JSON and arrays to an object."""

    def __init__(self, types: dict[str, type], arrays: Any):
        self.types, self.arrays = types, arrays

    def __call__(self, form: Any) -> Any:
        """The value of a JSON form.

        Raises:
            KeyError, TypeError, ValueError: if it is none.
        """
        if isinstance(form, list):
            return [self(part) for part in form]
        if not isinstance(form, dict):
            return form
        readers: dict[str, Callable[[Any], Any]] = {
            "array": lambda name: self.arrays[name],
            "objects": lambda parts: np.array([self(part) for part in parts], dtype=object),
            "tuple": lambda parts: tuple(self(part) for part in parts),
            "mapping": lambda parts: {key: self(part) for key, part in parts.items()},
        }
        for key, read in readers.items():
            if key in form:
                return read(form[key])
        if "architecture" in form:
            fields = {key: self(part) for key, part in form["fields"].items()}
            return ARCHITECTURES[form["architecture"]](**fields)
        kind, parts = self.types[form["type"]], {k: self(v) for k, v in form["parts"].items()}
        if issubclass(kind, tuple):
            return kind(**parts)
        made = kind()
        vars(made).update(parts)
        return made


def write(path: str | os.PathLike[str], model: Any, types: dict[str, type]) -> None:
    """Write a model and its arrays as one ``.npz``."""
    writer = Writer(types)
    form = {"format": FORMAT, "ntkrnn": __version__, "model": writer(model, type(model).__name__)}
    write_npz(path, {ENTRY: np.array(json.dumps(form, allow_nan=True)), **writer.arrays})


def read(path: str | os.PathLike[str], types: dict[str, type]) -> Any:
    """The model of a file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it holds no model of this format; names the file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            form = json.loads(str(file[ENTRY]))
            if form["format"] != FORMAT:
                raise ValueError(
                    f"{os.fspath(path)}: got a model of format {form['format']}, written by ntkrnn "
                    f"{form['ntkrnn']}, expected format {FORMAT}; use that version."
                )
            return Reader(types, file)(form["model"])
    except (KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{os.fspath(path)}: got a file that holds no model ({type(error).__name__}: {error}), "
            "expected one that an estimator's save wrote."
        ) from None
    except ValueError as error:
        if str(error).startswith(os.fspath(path)):
            raise
        raise ValueError(
            f"{os.fspath(path)}: got a file that holds no model ({error}), expected one that an "
            "estimator's save wrote."
        ) from None

"""Reads ``.ts``, the format of sktime, aeon and the time-series classification archive."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ntkrnn.data._cells import numbers
from ntkrnn.data._dataset import Raw, padded
from ntkrnn.data._labels import text_labels
from ntkrnn.data._messages import near
from ntkrnn.data._text import read_lines

_BOOLEAN = ("timestamps", "univariate", "equallength", "classlabel", "targetlabel")
_INTEGER = {"dimensions": "dimensions", "dimension": "dimensions", "serieslength": "serieslength"}


def read_ts(path: Path) -> Raw:
    """Read univariate or multivariate series of equal or unequal length.

    A header of ``@tag value`` lines ends with ``@data``; then each line is one sequence, channels
    separated by ``:``, values by ``,``, and the label (with ``@classLabel true`` or
    ``@targetLabel true``, or neither tag) after the last ``:``. ``@targetLabel true`` says that labels
    are real numbers. What the header declares is checked against the data where it bears on the
    numbers; the listed class values and the name are not.

    Args:
        path: the file.

    Returns:
        Sequences ``[N, T, d]``, with labels where the file has them.

    Raises:
        ValueError: naming the file and the line. Time stamps are not read.
    """
    header: dict[str, Any] | None = None
    tags: dict[str, Any] = {}
    series: list[np.ndarray] = []
    labels: list[str] = []
    lines: list[int] = []
    for line, text in enumerate(read_lines(path), 1):
        text = text.strip()
        where = f"{path}, line {line}"
        if not text or text[0] in "#%":
            continue
        if header is None:
            if not text.startswith("@"):
                raise ValueError(
                    f"{where}: got {text[:40]!r} before @data, expected a header line that starts "
                    "with '@' (or a comment with '#'). Is this a .ts file?"
                )
            if _read_tag(where, text, tags):
                header = _finish_header(where, tags)
            continue
        one, label = _read_case(where, text, header)
        if series:
            _check_alike(where, one, series[0], lines[0], header)
        _check_declared(where, one, header)
        series.append(one)
        labels.append(label)
        lines.append(line)
    if header is None:
        raise ValueError(f"{path}: has no @data line; expected a header that ends with @data.")
    if not series:
        raise ValueError(f"{path}: has no sequence after @data.")
    return _raw(path, header["real"] if header["labelled"] else None, lines, series, labels)


def _raw(
    path: Path, real: bool | None, lines: list[int], series: list[np.ndarray], labels: list[str]
) -> Raw:
    """Sequences and where each stands; ``real`` is whether labels are numbers, None without labels."""

    def place(row: int, step: int | None = None, channel: int = 0) -> str:
        line = f"line {lines[row]}"
        return line if step is None else f"{line}, channel {channel + 1}, step {step + 1}"

    known, notes = None, ()
    if real is not None:
        known = text_labels(labels, lambda i: f"{path}, line {lines[i]}", real)
        notes = (f"labels from @{'targetLabel' if real else 'classLabel'}",)
    return Raw(
        path.stem,
        padded(str(path), series),
        None,
        known,
        f"file {path.name}",
        str(path),
        place,
        "Fill it in or drop the series; only at the end of a series, in all channels, NaN and '?' are "
        "padding.",
        notes,
    )


def _read_tag(where: str, text: str, tags: dict[str, Any]) -> bool:
    """Note one header line in ``tags``; True when it was ``@data``."""
    tag, *values = text[1:].split() or [""]
    if not tag:
        raise ValueError(f"{where}: got a lone '@', expected a tag after it, such as @data.")
    name = tag.lower()
    if name == "data":
        if values:
            raise ValueError(f"{where}: @data stands alone on its line, got {text[:40]!r}.")
        return True
    if name in _BOOLEAN:
        value = values[0].lower() if values else ""
        if value not in ("true", "false"):
            raise ValueError(f"{where}: @{tag} says {value or 'nothing'!r}, expected true or false.")
        tags[name] = value == "true"
    elif name in _INTEGER:
        word = values[0] if len(values) == 1 else ""
        if not re.fullmatch(r"-?[0-9]{1,9}", word):
            raise ValueError(
                f"{where}: @{tag} says {' '.join(values)[:40] or 'nothing'!r}, expected a whole number "
                "of at least 1."
            )
        tags[_INTEGER[name]] = int(word)
        tags[f"where {_INTEGER[name]}"] = f"{where}: @{tag} says {word!r}"
    elif slip := near(name, (*_BOOLEAN, *_INTEGER), cutoff=0.8):
        raise ValueError(f"{where}: @{tag[:40]} is no tag.{slip}")
    return False


def _finish_header(where: str, tags: dict[str, Any]) -> dict[str, Any]:
    if tags.get("timestamps"):
        raise ValueError(
            f"{where}: the header says @timeStamps true; series with time stamps are not read. "
            "Resample them to even steps and write plain values with @timeStamps false."
        )
    for name in ("dimensions", "serieslength"):
        # Files of unequal length say that they have no one length by -1 or 0.
        if tags.get(name, 1) < 1 and (name == "dimensions" or tags.get("equallength", True)):
            raise ValueError(
                f"{tags[f'where {name}']}, expected a whole number of at least 1; a length of -1 goes "
                "with @equalLength false."
            )
    real = tags.get("targetlabel", False)
    if real and tags.get("classlabel"):
        raise ValueError(
            f"{where}: the header says @classLabel true and @targetLabel true; expected one of the "
            "two, classes or real numbers."
        )
    # With neither tag a label is expected, as in aeon.
    return {"labelled": tags.get("classlabel", True) or real, "real": real, **tags}


def _read_case(where: str, text: str, header: dict[str, Any]) -> tuple[np.ndarray, str]:
    """One line of data as ``[T, d]`` and its label ("" without labels)."""
    channels = text.split(":")
    label = ""
    if header["labelled"]:
        label = channels.pop().strip()
        if not channels:
            raise ValueError(
                f"{where}: has no ':', expected values and then ':' and the label; if the file has "
                "no labels, its header must say @classLabel false."
            )
        if not label:
            raise ValueError(f"{where}: ends with ':' and no label.")
        if "," in label:
            raise ValueError(
                f"{where}: the label {label[:40]!r} after the last ':' looks like values; if the "
                "file has no labels, its header must say @classLabel false."
            )
    values = [
        numbers(part.split(","), lambda i: f"{where}, channel {channel}, step {i + 1}")  # noqa: B023
        for channel, part in enumerate(channels, 1)
    ]
    for channel, one in enumerate(values):
        if len(one) != len(values[0]):
            raise ValueError(
                f"{where}: channel {channel + 1} has {len(one)} values and channel 1 has "
                f"{len(values[0])}; expected the same number in every channel of a sequence."
            )
    return np.array(values).T, label


def _check_declared(where: str, one: np.ndarray, header: dict[str, Any]) -> None:
    steps, channels = one.shape
    if header.get("univariate") and channels != 1:
        raise ValueError(f"{where}: has {channels} channels, but the header says @univariate true.")
    declared = header.get("dimensions", channels)
    if channels != declared:
        raise ValueError(
            f"{where}: has {channels} channels, but the header says @dimensions {declared}."
        )
    declared = header.get("serieslength", steps)
    if header.get("equallength", True) and steps != declared:
        raise ValueError(f"{where}: has {steps} steps, but the header says @seriesLength {declared}.")


def _check_alike(
    where: str, one: np.ndarray, first: np.ndarray, first_line: int, header: dict[str, Any]
) -> None:
    if one.shape[1] != first.shape[1]:
        raise ValueError(
            f"{where}: has {one.shape[1]} channels, expected {first.shape[1]} as in line {first_line}."
        )
    if header.get("equallength") and len(one) != len(first):
        raise ValueError(
            f"{where}: has {len(one)} steps and line {first_line} has {len(first)}, but the header "
            "says @equalLength true."
        )

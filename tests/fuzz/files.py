"""Random data files of every format: well-formed, mutated, and made to do harm.

:func:`check_file` writes the file of a seed and reads it. What is well-formed must come back as it was
written; everything else must end in sequences that a kernel takes, or in an error of the library that
names the file.
"""

from __future__ import annotations

import io
import struct
import traceback
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ntkrnn
from ntkrnn.data import KINDS, load

PACKAGE = Path(ntkrnn.__file__).parent

CELLS = (
    *("", "?", "NaN", "-nan", "inf", "-Infinity", "1e400", "1e39", "-1e-400", "1_0", "NA", "null"),
    *(
        "abc",
        '"1,5"',
        '"',
        "1;2",
        "0x1F",
        "1e",
        "--",
        "+1",
        "01",
        "1.",
        "2024-01-31",
        "12:30",
        "\uff11",
    ),
    *("\u2028", "\x0c1", "9" * 5000, "-" * 400, "\x00", "\udcff", "(1,2)", "#", "%", "@", ":", "1 2"),
    *("label", "id", "time", "y", "true", "1e308", "-0", "1e-45", "٣", "\t", "\ufeff"),
)
TAGS = (
    *("@univariate true", "@univariate false", "@equalLength true", "@equalLength false", "@", "@@"),
    *("@seriesLength -1", "@seriesLength 0", "@seriesLength 4", "@seriesLength 1e9", "@dimensions 2"),
    *(
        "@timeStamps true",
        "@classLabel true a b",
        "@classLabel false",
        "@classLabel",
        "@targetLabel true",
    ),
    *("@data", "@data 1", "@problemName", "@missing true", "no tag", "# comment", "@dimensions ٣"),
)
COLUMNS = (None, None, 1, 2, -1, 9, "label", "class", "x")
LONG = (None, None, None, "id,time", (1, 2), "2,1", "id,2")


class File(NamedTuple):
    """Content of a file, and what it must be read as: None where it need not be read."""

    suffix: str
    content: bytes
    options: dict[str, Any]
    series: list[np.ndarray] | None
    labels: list[Any] | None = None


# well-formed files


def numbers(rng: np.random.Generator, unequal: bool, channels: int) -> list[np.ndarray]:
    """Series ``[T_i, d]`` of numbers with fractions, which float32 holds."""
    n, steps = rng.integers(1, 6), rng.integers(1, 7)
    lengths = rng.integers(1, steps + 1, n) if unequal else np.full(n, steps)
    return [np.round(rng.normal(size=(t, channels)) * 64) / 64 + 1 / 128 for t in lengths]


def padded(one: np.ndarray, steps: int, rng: np.random.Generator) -> list[str]:
    """The cells of a univariate series, and what is missing at its end."""
    missing = ("", "?", "NaN", "nan")
    return [
        *map(repr, one[:, 0].tolist()),
        *(missing[rng.integers(4)] for _ in range(steps - len(one))),
    ]


def table(rng: np.random.Generator) -> File:
    """A ``.csv`` or ``.tsv`` with a series a row."""
    suffix = (".csv", ".tsv")[rng.integers(2)]
    series = numbers(rng, bool(rng.integers(2)), 1)
    steps = max(map(len, series))
    rows = [padded(one, steps, rng) for one in series]
    header = [f"t{i}" for i in range(steps)] if rng.integers(2) else None
    labels, options = None, {}
    if suffix == ".tsv" or rng.integers(2):
        labels = [("a", "b", "c")[rng.integers(3)] for _ in series]
        at = 0 if suffix == ".tsv" else int(rng.integers(steps + 1))
        for row, label in zip(rows, labels, strict=True):
            row.insert(at, label)
        if header:
            header.insert(at, "class")
        if suffix == ".csv":
            options["label_column"] = "class" if header and rng.integers(2) else at + 1
    separator = "," if suffix == ".csv" else "\t"
    lines = [separator.join(row) for row in ([header] if header else []) + rows]
    end = ("\n", "\r\n")[rng.integers(2)]
    return File(suffix, (end.join(lines) + end * rng.integers(2)).encode(), options, series, labels)


def long_table(rng: np.random.Generator) -> File:
    """A table with a time step a row, in any order."""
    channels = int(rng.integers(1, 3))
    series = numbers(rng, True, channels)
    rows = [
        [f"s{i}", str(3 * t), *map(repr, one[t].tolist())]
        for i, one in enumerate(series)
        for t in range(len(one))
    ]
    order = rng.permutation(len(rows))
    seen = list(dict.fromkeys(rows[i][0] for i in order))
    names = ["id", "time", "u", "v"][: 2 + channels]
    lines = [",".join(row) for row in [names, *(rows[i] for i in order)]]
    series = [series[int(name[1:])] for name in seen]
    return File(".csv", "\n".join(lines).encode(), {"long": "id,time"}, series)


def ts(rng: np.random.Generator) -> File:
    """A ``.ts`` with one or more channels."""
    channels, unequal = int(rng.integers(1, 4)), bool(rng.integers(2))
    series = numbers(rng, unequal, channels)
    real = bool(rng.integers(2))
    labels = [float(i) if real else f"c{i % 2}" for i in range(len(series))]
    head = [
        f"@univariate {str(channels == 1).lower()}",
        f"@equalLength {str(not unequal).lower()}",
        "@targetLabel true" if real else "@classLabel true c0 c1",
    ]
    rng.shuffle(head)
    body = [
        ":".join([*(",".join(map(repr, channel.tolist())) for channel in one.T), str(label)])
        for one, label in zip(series, labels, strict=True)
    ]
    return File(".ts", "\n".join([*head, "@data", *body]).encode(), {}, series, labels)


def npz(rng: np.random.Generator) -> File:
    """An ``.npz`` with or without lengths and labels."""
    series = numbers(rng, True, int(rng.integers(1, 3)))
    steps = max(map(len, series))
    lengths = np.array([len(one) for one in series])
    x = np.full((len(series), steps, series[0].shape[1]), np.nan)
    for row, one in enumerate(series):
        x[row, : len(one)] = one
    arrays: dict[str, Any] = {"X": x.astype(("f8", ">f4", "g")[rng.integers(3)])}
    if rng.integers(2):
        arrays["lengths"] = lengths.astype(("i8", "u1", "f4")[rng.integers(3)])
        arrays["X"][np.isnan(x)] = (np.inf, -1, 1e30)[rng.integers(3)]
    labels = None
    if rng.integers(2):
        labels = [int(i) for i in rng.integers(3, size=len(x))]
        arrays["y"] = np.array(labels, ("i4", "f8", "i1")[rng.integers(3)])
    buffer = io.BytesIO()
    (np.savez, np.savez_compressed)[rng.integers(2)](buffer, **arrays)
    return File(".npz", buffer.getvalue(), {}, series, labels)


# malformed files


def nasty_npz(rng: np.random.Generator) -> File:
    """An archive whose members have headers, names, types and methods of any kind."""
    pick = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    buffer = io.BytesIO()
    method = pick(zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in ("X", pick("lengths", "length", "y", "X"), pick("y", "Y", "z")):
            shape = pick(
                (2, 3), (2,), (2, 3, 1), (), (0, 3), (-1, 3), (10**15,), (2, 10**30), "(2L, 3L)"
            )
            descr = pick(
                "<f8", ">f8", "<f4", "|b1", "|O", "<c16", "<m8[s]", "<M8", "<U4", "|S4", "<U0", "<i3"
            )
            if rng.integers(2):
                shape, descr = ((2, 3) if name == "X" else (2,)), pick("<f8", "<i8", "<u8")
            order = pick("False", "True", "None")
            header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
            header = pick(header, header, header, "(" * 300, "-" * 5000 + "1", "{}", "\\d", "\udc00")
            raw = header.encode("utf-8", "surrogatepass")
            body = rng.integers(256, size=pick(0, 16, 48, 48, 48)).astype(np.uint8).tobytes()
            content = b"\x93NUMPY" + bytes(pick((1, 0), (1, 0), (2, 0), (3, 0), (7, 7)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about names that come twice
                archive.writestr(
                    name + pick(".npy", ".npy", ""), content + struct.pack("<H", len(raw)) + raw + body
                )
    return File(".npz", buffer.getvalue(), {}, None)


def nasty_ts(rng: np.random.Generator) -> File:
    """A header of any tags, and lines of any cells."""
    lines = [TAGS[i] for i in rng.integers(len(TAGS), size=rng.integers(5))] + ["@data"]
    for _ in range(rng.integers(4)):
        cells = [CELLS[i] if rng.random() < 0.2 else str(i) for i in rng.integers(len(CELLS), size=4)]
        lines.append("".join(cell + ",:"[rng.integers(2)] for cell in cells) + "a")
    return File(".ts", "\n".join(lines).encode("utf-8", "surrogatepass"), {}, None)


def nasty_table(rng: np.random.Generator) -> File:
    """A first row of any cells over numbers, with columns asked for."""
    width = int(rng.integers(1, 5))
    first = [CELLS[i] for i in rng.integers(len(CELLS), size=width)]
    if rng.integers(2):
        first = [str(i) for i in range(width)]
    rows = [first, *(map(str, rng.integers(5, size=width) / rng.integers(1, 3)) for _ in range(3))]
    separator = ",;\t"[rng.choice(3, p=[0.7, 0.1, 0.2])]
    options = {
        "label_column": COLUMNS[rng.integers(len(COLUMNS))],
        "long": LONG[rng.integers(len(LONG))],
    }
    content = "\n".join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass")
    return File((".csv", ".tsv")[rng.integers(2)], content, options, None)


def mutated(file: File, rng: np.random.Generator) -> File:
    """A file with some bytes or cells changed."""
    content = bytearray(file.content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(content))) if content else 0
        kind = rng.integers(5)
        if kind == 0 and content:
            content[at] = rng.integers(256)
        elif kind == 1:
            del content[at : at + int(rng.integers(1, 30))]
        elif kind == 2:
            content[at:at] = content[: int(rng.integers(60))]
        elif kind == 3:
            del content[at:]
        else:
            cells = content.replace(b"\n", b",").split(b",")
            old = bytes(cells[rng.integers(len(cells))])
            new = CELLS[rng.integers(len(CELLS))].encode("utf-8", "surrogatepass")
            content = bytearray(bytes(content).replace(old, new, 1)) if len(old) < 100 else content
    return file._replace(content=bytes(content), series=None)


MAKERS = (table, long_table, ts, npz, nasty_npz, nasty_ts, nasty_table)


def make_file(seed: int) -> File:
    """The file of a seed."""
    rng = np.random.default_rng(seed)
    file = MAKERS[rng.integers(len(MAKERS))](rng)
    return mutated(file, rng) if rng.random() < 0.6 else file


# what reading must end in


def check_file(seed: int, folder: Path) -> bool:
    """Write the file of a seed and read it.

    Returns:
        Whether it was read; otherwise it was refused as it should be.

    Raises:
        AssertionError: naming the seed, if it ends in anything else.
    """
    file = make_file(seed)
    path = folder / f"file-{seed}{file.suffix}"
    path.write_bytes(file.content)
    kind = "none" if file.series is not None else KINDS[seed % len(KINDS)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = load(path, at_most=64, standardize=kind, **file.options)
    except (ValueError, TypeError, OSError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        assert Path(last.filename).is_relative_to(PACKAGE), f"seed {seed}: raised outside, {error!r}"
        assert path.name in str(error), f"seed {seed}: does not name the file, {error!r}"
        assert error.__suppress_context__ or error.__context__ is None, f"seed {seed}: {error!r}"
        assert file.series is None, f"seed {seed}: well-formed and refused, {error}"
        return False
    except Exception as error:
        raise AssertionError(f"seed {seed}: ended in {error!r}") from error
    finally:
        path.unlink()
    _check_data(f"seed {seed}", data)
    if file.series is not None:
        _check_equal(f"seed {seed}", data, file)
    return True


def _check_data(seed: str, data: Any) -> None:
    n, steps, channels = data.x.shape
    assert data.x.dtype == np.float32 and min(n, steps, channels) > 0, seed
    assert np.isfinite(data.x).all(), seed
    assert data.reading.startswith("read as "), seed
    if data.lengths is not None:
        assert data.lengths.dtype == np.int32 and data.lengths.shape == (n,), seed
        assert 1 <= data.lengths.min() < data.lengths.max() == steps, seed
        assert not data.x[np.arange(steps) >= data.lengths[:, None]].any(), seed
    if data.labels is not None:
        assert data.labels.shape == (n,) and data.labels.dtype.kind in "biufU", seed
        assert data.labels.dtype.kind != "f" or np.isfinite(data.labels).all(), seed


def _check_equal(seed: str, data: Any, file: File) -> None:
    assert file.series is not None
    n, steps, _ = data.x.shape
    assert n == len(file.series), seed
    lengths = np.full(n, steps) if data.lengths is None else data.lengths
    for x, length, one in zip(data.x, lengths, file.series, strict=True):
        assert np.array_equal(x[:length], one.astype(np.float32)), seed
    assert (None if data.labels is None else data.labels.tolist()) == file.labels, seed

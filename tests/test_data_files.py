"""What holds for files of every format: paths, text, labels, sizes, and padding at the end."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from written import fails, raw, values, write

from ntkrnn.data import load
from ntkrnn.data import systems as systems_
from ntkrnn.data._labels import array_labels, text_labels

# paths


def test_suffix_in_capitals(tmp_path):
    assert raw(write(tmp_path, "A.CSV", "1,2\n3,4\n")).x.shape == (2, 2, 1)


def test_paths_that_are_not_data_files(tmp_path):
    fails(tmp_path, "folder", error=IsADirectoryError)
    fails(write(tmp_path, "a.txt", "1"), "suffix '.txt'", ".npz, .csv, .tsv, .ts")
    fails(write(tmp_path, "b.npy", b"1"), "suffix '.npy'", "Did you mean '.npz'?")
    fails(tmp_path / "c.ts", "there is no file", error=FileNotFoundError)
    fails(tmp_path / "a.txt" / "c.ts", "there is no file", error=FileNotFoundError)
    os.mkfifo(tmp_path / "pipe.csv")
    fails(tmp_path / "pipe.csv", "not a regular file")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    fails(tmp_path / "loop.csv", "cannot be opened", error=OSError)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("/dev/null", ValueError, ["/dev/null is not a regular file"]),
        ("a" * 5000 + ".csv", OSError, ["aaa...", "(5004 characters)", "File name too long"]),
        ("a" * 5000, OSError, ["File name too long"]),
        ("a\0b.csv", ValueError, [r"'a\x00b.csv' is no path", "embedded null"]),
        ("\ud800.csv", ValueError, [r"'\ud800.csv' is no path"]),
        ("", FileNotFoundError, ["there is no file ''"]),
        (b"a.csv", TypeError, ["b'a.csv'", "expected a built-in name"]),
    ],
    ids=["device", "long", "long-bare", "zero-byte", "surrogate", "empty", "bytes"],
)
def test_paths_that_are_none(source, error, words):
    for call in (load, lambda path: systems_.from_csv(path, 2)):
        if call is not load and error is TypeError:
            words = ["path: got b'a.csv'"]
        with pytest.raises(error) as caught:
            call(source)
        assert all(word in str(caught.value) for word in words), str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".ts"])
def test_errors_of_the_system_name_the_file(tmp_path, monkeypatch, suffix):
    path = write(tmp_path, f"a{suffix}", "1,2\n")

    def broken(*arguments, **options):
        raise PermissionError(13, "Permission denied", "somewhere else")

    monkeypatch.setattr("pathlib.Path.read_text", broken)
    monkeypatch.setattr("zipfile.is_zipfile", broken)
    fails(path, "cannot be read (Permission denied)", error=PermissionError)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".ts"])
def test_files_that_are_not_text(tmp_path, suffix):
    fails(write(tmp_path, "a" + suffix, b"\x89PNG\r\n\x1a\n\xff"), "not a text file", "0x89")
    fails(write(tmp_path, "b" + suffix, b"1,2\x00,3"), "zero bytes", suffix)
    fails(write(tmp_path, "c" + suffix, b""), "the file is empty")
    fails(write(tmp_path, "d" + suffix, "1\t2\n".encode("utf-16")), "not a text file")


@pytest.mark.parametrize("option", [{"label_column": 1}, {"long": "id,time"}])
def test_columns_are_of_tables_alone(tmp_path, option):
    argument = f"{next(iter(option))}: got"
    np.savez(tmp_path / "a.npz", X=np.ones((2, 3)))
    fails(tmp_path / "a.npz", argument, "has no columns", ".csv and .tsv", **option)
    fails(write(tmp_path, "a.ts", "@data\n1:a\n"), argument, "has no columns", **option)
    with pytest.raises(ValueError, match=f"{argument} .* the built-in set 'digits', which has no col"):
        load("digits", **option)


# padding and missing values

ONE_TO_THREE = {
    "a.csv": "1,?,\n2,3,\n4,5,6\n",
    "a.tsv": "a\t1\tNaN\t?\nb\t2\t3\tnan\nc\t4\t5\t6\n",
    "a.ts": "@univariate true\n@equalLength true\n@data\n1,?,NaN:a\n2,3,?:b\n4,5,6:c\n",
}
FIRST_ROW = {"a.csv": "line 1", "a.tsv": "line 1", "a.ts": "line 4", "a.npz": "row 0 of X"}


def array(rows: list[list[float]]) -> dict[str, np.ndarray]:
    return {"X": np.array(rows, np.float32)}


@pytest.mark.parametrize("name", [*ONE_TO_THREE, "a.npz"])
def test_what_is_missing_at_the_end_is_padding(tmp_path, name):
    nan = np.nan
    if name == "a.npz":
        np.savez(tmp_path / name, X=np.array([[1, nan, nan], [2, 3, nan], [4, 5, 6]]))
    else:
        write(tmp_path, name, ONE_TO_THREE[name])
    data = raw(tmp_path / name)
    assert data.lengths is not None and data.lengths.tolist() == [1, 2, 3]
    assert data.lengths.dtype == np.int32
    assert values(data) == [[[1]], [[2], [3]], [[4], [5], [6]]]
    assert not data.x[0, 1:].any()
    assert data.reading.startswith("read as 3 series of 1 to 3 steps")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "1,,3\n4,5,6\n", ["line 1, column 2 (step 2)", "a missing value", "are padding"]),
        ("a.csv", "a,b,c\n\n?,2,3\n4,5,6\n", ["line 3, column 1 (step 1)", "a missing value"]),
        ("a.csv", "1,inf,3\n4,5,6\n", ["line 1, column 2", "got inf"]),
        ("a.csv", "1,1e39,3\n4,5,6\n", ["line 1, column 2", "1e+39, beyond the range of float32"]),
        ("a.csv", "1,2,3\n,?,nan\n", ["line 2: every value is missing", "Drop the series"]),
        ("a.tsv", "1\t2\t3\n2\tNaN\t4\n", ["line 2, column 2 (step 1)", "a missing value"]),
        ("a.tsv", "1\t2\t3\n2\tNaN\tNaN\n", ["line 2: every value is missing"]),
        ("a.ts", "@data\n1,?,2:a\n", ["line 2, channel 1, step 2", "a missing value", "in all chan"]),
        ("a.ts", "@data\n1,,2:a\n", ["line 2, channel 1, step 2", "a missing value"]),
        ("a.ts", "@data\n1,2:3,?:a\n", ["line 2, channel 2, step 2", "a missing value"]),
        ("a.ts", "@data\n1:a\n?:b\n", ["line 3: every value is missing"]),
    ],
)
def test_what_is_missing_elsewhere_is_located(tmp_path, name, content, words):
    fails(write(tmp_path, name, content), *words)


def test_what_is_missing_elsewhere_in_an_array(tmp_path):
    nan = np.nan
    for arrays, words in [
        ({"X": [[1, nan, 3], [4, 5, 6]]}, ["row 0, step 1, channel 0 of X", "give the lengths"]),
        ({"X": [[[1, 2], [3, nan]]]}, ["row 0, step 1, channel 1 of X", "a missing value"]),
        ({"X": [[1, 2], [nan, nan]]}, ["row 1 of X", "every value is missing"]),
        # Lengths are as they are given; what stands within them is no padding.
        ({"X": [[1, nan]], "lengths": [2]}, ["row 0, step 1", "give lengths that end before it"]),
    ]:
        np.savez(tmp_path / "a.npz", **{key: np.array(value) for key, value in arrays.items()})
        fails(tmp_path / "a.npz", *words)


def test_lengths_cover_whatever_stands_behind_them(tmp_path):
    x = np.array([[1, np.inf, 1e300], [2, 3, np.nan]])
    np.savez(tmp_path / "a.npz", X=x, lengths=[1, 2])
    for standardize in ("none", "global", "series"):
        data = load(tmp_path / "a.npz", standardize=standardize)
        assert np.isfinite(data.x).all() and data.x.shape == (2, 2, 1)


# labels


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["2", "10", "-1"], [2, 10, -1]),
        (["1.0", "2.0"], [1, 2]),
        (["1.0000000e+00", "2.0000000e+00"], [1, 2]),
        (["01", "1"], ["01", "1"]),
        (["01", "02"], ["01", "02"]),
        (["1", "1.0"], ["1", "1.0"]),
        (["1_0", "2"], ["1_0", "2"]),
        (["9007199254740993", "1"], ["9007199254740993", "1"]),
        (["a", "1"], ["a", "1"]),
        (["none", "walk"], ["none", "walk"]),
        (["inf", "walk"], ["inf", "walk"]),
        (["0.5", "2"], [0.5, 2.0]),
        (["1e-3", "-2.5"], [0.001, -2.5]),
    ],
)
def test_labels_are_numbers_or_stay_as_they_are_written(texts, labels):
    read = text_labels(texts, "line {}".format)
    assert read.tolist() == labels
    assert read.dtype.kind == {int: "i", str: "U", float: "f"}[type(labels[0])]
    if read.dtype.kind == "f":  # in a format that says that they are classes they stay text
        assert text_labels(texts, "line {}".format, real=False).tolist() == texts


@pytest.mark.parametrize(
    ("texts", "real", "message"),
    [
        (["1", "nan"], None, "line 1: the label is 'nan', expected a finite number"),
        (["1.5", "-inf"], None, "line 1: the label is '-inf', expected a finite number"),
        (["1", "NA"], None, "line 1: the label is 'NA', expected a finite number"),
        (["a", "NaN"], None, "line 1: the label is 'NaN', expected a class"),
        (["a", "?"], False, "line 1: the label is '?', expected a class"),
        ([" ", "b"], None, "line 0: the label is empty, expected a class"),
        (["1", "a"], True, "line 1: the label is 'a', expected a finite number"),
        (["1", "inf"], True, "line 1: the label is 'inf', expected a finite number"),
    ],
)
def test_labels_that_are_missing_or_not_finite(texts, real, message):
    with pytest.raises(ValueError) as caught:
        text_labels(texts, "line {}".format, real)
    assert str(caught.value).startswith(message)


def test_labels_in_arrays():
    place = "y[{}]".format
    for given, dtype in [
        (np.array([1.0, 2.0]), np.int64),
        (np.array([1.5, 2.0], np.float16), np.float64),
        (np.array([1.5, 2.0], np.longdouble), np.float64),
        (np.array([1, 2], ">i2"), np.int16),
        (np.array([True, False]), np.bool_),
    ]:
        read = array_labels(given, place)
        assert read.dtype == dtype and read.dtype.isnative
        assert read.tolist() == given.tolist()
    assert array_labels(np.array([b"a", b"\xff"]), place).tolist() == ["a", r"\xff"]
    assert array_labels(np.array(["01", "1"], ">U2"), place).tolist() == ["01", "1"]
    for given in (np.array([1, np.nan]), np.array([1, np.inf]), np.array(["a", ""])):
        with pytest.raises(ValueError, match=r"^y\[1\]"):
            array_labels(given, place)


# sizes


def test_the_limit_is_a_quarter_of_the_memory_that_is_set(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", X=np.ones((100, 10)))  # 8000 bytes
    for given in ("32000", "32K", "1G", " 1 mb "):
        monkeypatch.setenv("NTKRNN_MEMORY_LIMIT", given)
        assert raw(tmp_path / "a.npz").x.shape == (100, 10, 1)
    monkeypatch.setenv("NTKRNN_MEMORY_LIMIT", "16K")
    fails(tmp_path / "a.npz", "7.81 KiB", "limit of 4 KiB", "NTKRNN_MEMORY_LIMIT", "Split the file")
    monkeypatch.setenv("NTKRNN_MEMORY_LIMIT", "much")
    with pytest.raises(
        ValueError, match=r"NTKRNN_MEMORY_LIMIT: got 'much', expected a size such as 12G"
    ):
        raw(tmp_path / "a.npz")


def test_sequences_that_are_kept_fit_in_float64(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", X=np.ones((100, 10), np.uint8))
    monkeypatch.setenv("NTKRNN_MEMORY_LIMIT", "16000")
    fails(tmp_path / "a.npz", "[100, 10, 1] numbers in float64", "Take fewer sequences with n")
    assert raw(tmp_path / "a.npz", n=50).x.shape == (50, 10, 1)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "1,2\n" * 1000, ["reading 4000 bytes of text", "39.1 KiB"]),
        ("a.csv", "1," * 1000 + "1\n", ["a line of 2001 characters"]),
        # Padded to the longest, a thousand series of one step and one of a thousand are a million.
        (
            "a.ts",
            "@data\n" + ",".join("1" * 400) + ":a\n" + "1:b\n" * 400,
            ["[401, 400, 1]", "longest"],
        ),
        ("b.csv", "i,t,v\n" + "".join(f"{min(i, 60)},{i},1.5\n" for i in range(200)), ["[61, 140, 1]"]),
    ],
)
def test_text_is_judged_by_its_size(tmp_path, monkeypatch, name, content, words):
    monkeypatch.setenv("NTKRNN_MEMORY_LIMIT", "240000" if "[" in words[0] else "150000")
    options = {"long": "i,t"} if name == "b.csv" else {}
    fails(write(tmp_path, name, content), *words, **options)


def test_nothing_is_unpacked_above_the_limit(tmp_path):
    """A file of 60 KB that would unpack to 60 MB costs no memory."""
    np.savez_compressed(tmp_path / "a.npz", X=np.zeros((2, 30 * 2**20), np.uint8))
    code = (
        "import resource, sys\nfrom ntkrnn.data import load\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.npz")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NTKRNN_MEMORY_LIMIT": "100M"},
    )
    message, grown = done.stdout.splitlines()
    assert "a.npz" in message and "60 MiB" in message and "limit of 25 MiB" in message
    assert int(grown) < 10 * 1024  # KiB

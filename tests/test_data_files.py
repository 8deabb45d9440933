"""The four file formats: what they give, and what they say when a file is wrong."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ntkrnn.data import load

needs_aeon = pytest.mark.skipif(importlib.util.find_spec("aeon") is None, reason="needs aeon")


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def raw(path: Path):
    return load(path, standardize="none")


def fails(path: Path, *words: str, error: type[Exception] = ValueError) -> None:
    with pytest.raises(error) as caught:
        raw(path)
    for word in (path.name, *words):
        assert word in str(caught.value)
    # One message, not a chain that ends in somebody else's internals.
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# npz


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8", "bool"])
def test_npz_of_any_real_dtype(tmp_path, dtype):
    x = (np.arange(12).reshape(2, 3, 2) % 2).astype(dtype)
    np.savez(tmp_path / "a.npz", X=x, y=np.array(["a", "b"]))
    data = raw(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    assert data.name == "a" and data.labels is not None and data.labels.tolist() == ["a", "b"]


def test_npz_univariate_and_compressed(tmp_path):
    np.savez_compressed(tmp_path / "a.NPZ.npz", X=np.eye(4))
    assert raw(tmp_path / "a.NPZ.npz").x.shape == (4, 4, 1)


def test_suffix_in_capitals(tmp_path):
    assert raw(write(tmp_path, "A.CSV", "1,2\n3,4\n")).x.shape == (2, 2, 1)


def test_lengths_may_be_whole_floats(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones((2, 3)), lengths=np.array([1.0, 3.0]))
    lengths = raw(tmp_path / "a.npz").lengths
    assert lengths is not None and lengths.tolist() == [1, 3] and lengths.dtype == np.int32


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.ones((2, 3))}, ["no array 'X'", "Did you mean 'x'?"]),
        ({"a": np.ones((2, 3)), "b": np.ones(2)}, ["no array 'X'", "found a, b"]),
        ({}, ["no array 'X'", "found nothing"]),
        ({"X": np.ones(3)}, ["rank 1", "(3,)", "[N, T, d]"]),
        ({"X": np.ones((2, 2, 2, 2))}, ["rank 4"]),
        ({"X": np.ones((0, 3, 1))}, ["empty", "along N"]),
        ({"X": np.ones((2, 0))}, ["empty", "along T"]),
        ({"X": np.ones((2, 3, 0))}, ["empty", "along d"]),
        ({"X": np.ones((2, 3), complex)}, ["dtype complex128", "real numbers"]),
        ({"X": np.array([["a"]])}, ["dtype <U1", "real numbers"]),
        ({"X": np.array([[1], [1, 2]], dtype=object)}, ["Python objects", "lengths [N]"]),
        ({"X": np.ones((2, 3)), "lengths": np.ones(3, int)}, ["lengths has shape (3,)", "(2,)"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([0, 3])}, ["lengths[0] is 0", "1 to T=3"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([3, 4])}, ["lengths[1] is 4", "1 to T=3"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([1.5, 2])}, ["lengths", "whole numbers"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([np.nan, 2])}, ["lengths", "whole numbers"]),
        ({"X": np.ones((2, 3)), "length": np.array([1, 2])}, ["'length'", "mean 'lengths'"]),
        ({"X": np.ones((2, 3)), "y": np.ones((2, 1))}, ["y has shape (2, 1)", "(2,)"]),
        ({"X": np.ones((2, 3)), "y": np.array([[1], None], dtype=object)}, ["y", "objects"]),
    ],
)
def test_npz_messages(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    fails(tmp_path / "a.npz", *words)


def test_npz_that_is_not_one(tmp_path):
    fails(write(tmp_path, "a.npz", ""), "the file is empty")
    fails(write(tmp_path, "b.npz", "1,2,3\n"), "not a .npz archive", "numpy.savez")
    np.save(tmp_path / "c.npy", np.ones(3))
    (tmp_path / "c.npy").rename(tmp_path / "c.npz")
    fails(tmp_path / "c.npz", "not a .npz archive", ".npy file")


def test_npz_that_is_damaged(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=np.random.default_rng(0).normal(size=(50, 20)))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    fails(write(tmp_path, "b.npz", bytes(content)), "X")
    # Cut short, the list of members at the end of the archive is gone.
    fails(write(tmp_path, "c.npz", path.read_bytes()[:middle]), "not a .npz archive")


def test_npz_member_that_is_not_an_array(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X", "hello")
    fails(tmp_path / "a.npz", "'X'", "not an array")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00 garbage")
    fails(tmp_path / "b.npz", "'X'")


# csv


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,6\n",
        "t0,t1,t2\n1,2,3\n4,5,6\n",
        "\ufeff1,2,3\r\n\r\n4,5,6",
        ' 1, 2,3 \n"4",5,6e0\n\n',
    ],
)
def test_csv(tmp_path, text):
    data = raw(write(tmp_path, "a.csv", text))
    np.testing.assert_array_equal(data.x[:, :, 0], [[1, 2, 3], [4, 5, 6]])
    assert data.lengths is None and data.labels is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("  \n\n", ["empty"]),
        ("a,b\n", ["holds no number"]),
        ("1,2,3\n\n4,5\n", ["line 3", "2 values", "expected 3 as in line 1", ".tsv"]),
        ("a,b,c\n1,2,3\n4,5,6,7\n", ["line 3", "4 values", "line 2"]),
        ("1,2\n3,x\n", ["line 2, column 2", "got 'x'", "expected a number"]),
        ("1,2\n3,\n", ["line 2, column 2", "an empty cell"]),
        ("label,1\n3,4\n", ["line 1, column 1", "got 'label'"]),
        ("1,2\n3,1_0\n", ["line 2, column 2", "'1_0'"]),
        ("1,2\n3,nan\n", ["got nan", "row 1, step 1"]),
    ],
)
def test_csv_messages(tmp_path, text, words):
    with pytest.raises(ValueError) as caught:
        raw(write(tmp_path, "a.csv", text))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".ts"])
def test_files_that_are_not_text(tmp_path, suffix):
    fails(write(tmp_path, "a" + suffix, b"\x89PNG\r\n\x1a\n\xff"), "not a text file", suffix)
    fails(write(tmp_path, "b" + suffix, b"1,2\x00,3"), "zero bytes")
    fails(write(tmp_path, "c" + suffix, b""), "the file is empty")


def test_paths_that_are_not_data_files(tmp_path):
    fails(tmp_path, "folder", error=IsADirectoryError)
    fails(write(tmp_path, "a.txt", "1"), "suffix '.txt'", ".npz, .csv, .tsv, .ts")
    fails(write(tmp_path, "b.npy", b"1"), "suffix '.npy'", "Did you mean '.npz'?")
    fails(tmp_path / "c.ts", "there is no file", error=FileNotFoundError)


# tsv


def test_tsv_padding_at_the_end_is_unequal_length(tmp_path):
    data = raw(write(tmp_path, "a.tsv", "2\t1.5\t2\t3\n-1\t4\tNaN\tNaN\n\n2\t5\t6\tNaN\n"))
    assert data.lengths is not None and data.lengths.tolist() == [3, 1, 2]
    assert data.labels is not None and data.labels.tolist() == [2, -1, 2]
    np.testing.assert_array_equal(data.x[:, :, 0], [[1.5, 2, 3], [4, 0, 0], [5, 6, 0]])


def test_tsv_labels(tmp_path):
    assert raw(write(tmp_path, "a.tsv", "a\t1\nb\t2\n")).labels.tolist() == ["a", "b"]
    assert raw(write(tmp_path, "b.tsv", "1.0\t1\n2.0\t2\n")).labels.tolist() == [1, 2]
    assert raw(write(tmp_path, "c.tsv", "1.5\t1\n2.0\t2\n")).labels.tolist() == ["1.5", "2.0"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n", ["line 1", "one column", "tabs"]),
        ("1\t2\t3\n2\t4\n", ["line 2", "1 values", "expected 2", "NaN"]),
        ("1\t2\t3\n2\t4\tx\n", ["line 2, column 3", "'x'"]),
        ("1\t2\t3\n\t4\t5\n", ["line 2, column 1", "label is empty"]),
        ("1\t2\t3\n2\tNaN\tNaN\n", ["line 2", "every value is NaN"]),
        ("1\t2\t3\n2\tNaN\t4\n", ["got nan", "row 1, step 0"]),
    ],
)
def test_tsv_messages(tmp_path, text, words):
    with pytest.raises(ValueError) as caught:
        raw(write(tmp_path, "a.tsv", text))
    for word in words:
        assert word in str(caught.value)


# ts

HEAD = "# comment\n@problemName A\n@timeStamps false\n@univariate {u}\n@equalLength {e}\n"
CLASS = "@classLabel true a b\n@data\n"
TS = {
    "univariate": HEAD.format(u="true", e="true") + CLASS + "1,2,3:a\n4,5,6:b\n",
    "multivariate": HEAD.format(u="false", e="true")
    + "@dimensions 2\n@seriesLength 3\n"
    + CLASS
    + "1,2,3:4,5,6:a\n7,8,9:1e1,-11,.5:b\n",
    "unequal": HEAD.format(u="false", e="false") + CLASS + "1,2:3,4:a\n5:6:b\n7,8,9:1,2,3:a\n",
    "targets": HEAD.format(u="true", e="true") + "@targetLabel true\n@data\n1,2:0.5\n3,4:1.5\n",
    "spaces": HEAD.format(u="true", e="true").upper() + CLASS + " 1 , 2 : a \n 3 , 4 : b\n",
}


def as_lists(data):
    """Rows of ``[T_i, d]`` as a list, without padding."""
    n, steps, _ = data.x.shape
    lengths = [steps] * n if data.lengths is None else data.lengths.tolist()
    return [data.x[i, : lengths[i]] for i in range(n)]


def agree_with_aeon(path: Path) -> None:
    from aeon.datasets import load_from_ts_file

    theirs, labels = load_from_ts_file(str(path))
    data = raw(path)
    ours = as_lists(data)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, np.asarray(b).T.astype(np.float32))
    assert data.labels is not None
    numeric = data.labels.dtype.kind == "i"
    for a, b in zip(data.labels, labels, strict=True):
        assert a == float(b) if numeric else str(a).lower() == str(b).strip()


@needs_aeon
@pytest.mark.parametrize("name", sorted(TS))
def test_ts_agrees_with_aeon(tmp_path, name):
    agree_with_aeon(write(tmp_path, "a.ts", TS[name]))


@needs_aeon
@pytest.mark.parametrize(
    "file",
    [
        "UnitTest/UnitTest_TRAIN.ts",
        "JapaneseVowels/JapaneseVowels_TRAIN.ts",
        "JapaneseVowels/JapaneseVowels_eq_TRAIN.ts",
        "BasicMotions/BasicMotions_TRAIN.ts",
        "ArrowHead/ArrowHead_TRAIN.ts",
        "Covid3Month/Covid3Month_TRAIN.ts",
        "PickupGestureWiimoteZ/PickupGestureWiimoteZ_TRAIN.ts",
    ],
)
def test_ts_agrees_with_aeon_on_the_files_it_carries(file):
    import aeon.datasets

    path = Path(aeon.datasets.__file__).parent / "data" / file
    if not path.exists():
        pytest.skip(f"this aeon does not carry {file}")
    agree_with_aeon(path)


def test_ts_values(tmp_path):
    data = raw(write(tmp_path, "a.ts", TS["unequal"]))
    assert data.lengths is not None and data.lengths.tolist() == [2, 1, 3]
    assert [one.tolist() for one in as_lists(data)] == [
        [[1, 3], [2, 4]],
        [[5, 6]],
        [[7, 1], [8, 2], [9, 3]],
    ]
    assert data.labels is not None and data.labels.tolist() == ["a", "b", "a"]


def test_ts_without_labels(tmp_path):
    text = HEAD.format(u="false", e="true") + "@classLabel false\n@data\n1,2:3,4\n5,6:7,8\n"
    data = raw(write(tmp_path, "a.ts", text))
    assert data.labels is None and data.x.shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3:a\n", ["line 1", "before @data", "Is this a .ts file?"]),
        ("@univariate true\n", ["no @data line"]),
        ("@univariate maybe\n@data\n", ["line 1", "'maybe'", "true or false"]),
        ("@classLabel\n@data\n", ["line 1", "'nothing'"]),
        ("@dimensions x\n@data\n1:a\n", ["line 1", "'x'", "whole number"]),
        ("@seriesLength 0\n@data\n1:a\n", ["line 1", "'0'"]),
        ("@data true\n1:a\n", ["line 1", "stands alone"]),
        ("@timeStamps true\n@data\n(0,1):a\n", ["@timeStamps true", "Resample"]),
        ("@classLabel true a\n@data\n\n", ["no sequence after @data"]),
        ("@data\n1,2,3\n", ["line 2", "no ':'", "@classLabel false"]),
        ("@data\n1,2,3:\n", ["line 2", "no label"]),
        ("@data\n1,x,3:a\n", ["line 2, channel 0, step 1", "'x'"]),
        ("@data\n1,2:3:a\n", ["line 2", "channel 1 has 1 values", "channel 0 has 2"]),
        ("@data\n1,2:a\n1,2:3,4:a\n", ["line 3", "2 channels", "expected 1 as in line 2"]),
        ("@univariate true\n@data\n1:2:a\n", ["line 3", "@univariate true"]),
        ("@dimensions 3\n@data\n1:2:a\n", ["line 3", "2 channels", "@dimensions 3"]),
        ("@equalLength true\n@seriesLength 4\n@data\n1,2:a\n", ["line 4", "@seriesLength 4"]),
        ("@equalLength true\n@data\n1,2:a\n\n1:a\n", ["line 5", "1 steps", "line 3 has 2"]),
        ("@data\n1,?:a\n", ["got nan", "row 0, step 1"]),
        ("@data\n1,,2:a\n", ["line 2, channel 0, step 1", "an empty cell"]),
    ],
)
def test_ts_messages(tmp_path, text, words):
    with pytest.raises(ValueError) as caught:
        raw(write(tmp_path, "a.ts", text))
    for word in words:
        assert word in str(caught.value)

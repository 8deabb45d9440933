"""``.npz``: what it gives, and what it says when it is wrong, damaged, or made to do harm."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from written import fails, raw, write


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "longdouble", ">f8", ">i4", "int16", "uint8", "bool"]
)
def test_npz_of_any_real_dtype(tmp_path, dtype):
    x = (np.arange(12).reshape(2, 3, 2) % 2).astype(dtype)
    np.savez(tmp_path / "a.npz", X=x, y=np.array(["a", "b"]))
    data = raw(tmp_path / "a.npz")
    np.testing.assert_array_equal(data.x, x.astype(np.float32))
    assert data.name == "a" and data.labels is not None and data.labels.tolist() == ["a", "b"]
    assert data.reading == "read as 2 series of 3 steps and 2 channels, from X and y"


def test_npz_univariate_and_compressed(tmp_path):
    np.savez_compressed(tmp_path / "a.NPZ.npz", X=np.eye(4))
    assert raw(tmp_path / "a.NPZ.npz").x.shape == (4, 4, 1)


def test_npz_in_the_order_of_columns(tmp_path):
    x = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    np.savez(tmp_path / "a.npz", X=x)
    np.testing.assert_array_equal(raw(tmp_path / "a.npz").x[:, :, 0], x)


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
        (
            {"X": np.ones((2, 3)), "lengths": np.array([True, True])},
            ["lengths has dtype bool", "whole"],
        ),
        ({"X": np.ones((2, 3)), "lengths": np.ones(2, "m8[s]")}, ["lengths has dtype timedelta64"]),
        ({"X": np.ones((2, 3)), "lengths": np.ones(2, complex)}, ["lengths has dtype complex128"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([1, None])}, ["lengths holds Python objects"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([1, np.inf])}, ["lengths[1] is inf"]),
        ({"X": np.ones((2, 3)), "lengths": np.array([1, 2**64 - 1], np.uint64)}, ["lengths[1] is 1.8"]),
        ({"X": np.ones((2, 3), "m8[s]")}, ["X has dtype timedelta64", "real numbers"]),
        ({"X": np.ones(3, [("a", "f4")])}, ["X has dtype [('a', '<f4')]"]),
        ({"X": np.ones((2, 3)), "y": np.ones(2, complex)}, ["y has dtype complex128", "or text"]),
        ({"X": np.ones((2, 3)), "y": np.ones(2, "M8[s]")}, ["y has dtype datetime64"]),
        ({"X": np.ones((2, 3)), "y": np.array([1, np.nan])}, ["y[1] is nan", "a finite number"]),
        ({"X": np.ones((2, 3)), "y": np.array(["a", ""])}, ["y[1]: the label is empty"]),
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
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X", "hello")
    fails(tmp_path / "a.npz", "'X'", "not an array")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00 garbage")
    fails(tmp_path / "b.npz", "'X'")


def member(
    descr: str = "<f8", shape: object = (2, 3), body: bytes = bytes(48), version=(1, 0)
) -> bytes:
    """An array as numpy.save writes it, with a header of one's own."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header + body


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that come twice
        for name, content in members.items():
            file.writestr(name.strip(), content)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (member(shape=(10**8, 10**7)), ["'X'", "(100000000, 10000000)", "above the limit"]),
        (member(shape=(10**30, 10**30)), ["no array has the shape"]),
        (member(shape=f"(0x{'f' * 5000}, 2)"), ["no array has the shape"]),
        (member(shape=(-2, -3)), ["no array has the shape"]),
        (member(shape=(0, 10**15)), ["declares 0 bytes and has 48"]),
        (member(shape=(2, 4)), ["declares 64 bytes and has 48"]),
        (member(shape=(1, 3)), ["declares 24 bytes and has 48"]),
        (member(shape=(10**15,), descr="<U0", body=b""), ["X has dtype <U0"]),
        (member(shape="(" * 4000), ["header", "damaged"]),
        (member(shape="-" * 9000 + "1"), ["damaged"]),
        (member(shape="(2, 3" + " " * 20_000 + ")"), ["damaged"]),
        (member(shape="(2.0, 3)"), ["damaged"]),
        (member(descr="<f9"), ["damaged"]),
        (member(descr="|O"), ["X holds Python objects"]),
        (member(version=(3, 0)), ["format 3.0 of .npy", "expected 1.0 or 2.0"]),
        (member(version=(9, 9)), ["format 9.9 of .npy"]),
        (b"\x93NUMPY", ["'X'"]),
        (b"", ["'X' is not an array"]),
    ],
)
def test_npz_headers_that_lie(tmp_path, content, words):
    fails(archive(tmp_path / "a.npz", {"X.npy": content}), *words)


def test_npz_of_old_python_is_read(tmp_path):
    path = archive(tmp_path / "a.npz", {"X.npy": member(shape="(2L, 3L)")})
    assert raw(path).x.shape == (2, 3, 1)


def test_npz_that_no_program_of_numpy_writes(tmp_path):
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = archive(tmp_path / "a.npz", {"X.npy": member()}, method)
        fails(path, "'X' is compressed by a method that is not read", str(method), "savez_compressed")
    fails(archive(tmp_path / "b.npz", {"X.npy": member(), "X.npy ": member()}), "2 arrays 'X'")
    content = bytearray(archive(tmp_path / "c.npz", {"X.npy": member()}).read_bytes())
    content[6] |= 1  # the flags of the member, first where it stands and then in the list of all
    content[content.index(b"PK\x01\x02") + 8] |= 1
    fails(write(tmp_path, "d.npz", bytes(content)), "the archive is encrypted", "without a password")


def test_npz_that_unpacks_to_a_thousand_times_its_size(tmp_path):
    size = 65 * 2**20
    buffer = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (size // 8, 1)}
    np.lib.format.write_array_header_1_0(buffer, shape)
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("X.npy", "w") as one,
    ):
        one.write(buffer.getvalue())
        one.write(bytes(size))
    assert (tmp_path / "a.npz").stat().st_size < 70_000
    fails(tmp_path / "a.npz", "'X' unpacks from", "more than 500 times", "uncompressed", n=2)

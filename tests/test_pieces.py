"""Finished runs on disk: whole, of the right settings, and written by one study at a time."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from flax import serialization

import ntkrnn
from ntkrnn.data import load
from ntkrnn.studies import (
    CompareSettings,
    DamagedPieceWarning,
    Pieces,
    StudyError,
    TrajectorySettings,
    fingerprint,
)
from ntkrnn.studies import lock as lock_module
from ntkrnn.studies.lock import FolderLock
from ntkrnn.studies.piece_form import MAGIC, encode

MARKS = {"study": "Made-up", "steps": "20"}
PIECE = {"loss": np.arange(3.0, dtype=np.float32), "steps": np.arange(3), "width": np.array(8)}
DIGEST = hashlib.sha256(json.dumps(MARKS, sort_keys=True).encode()).hexdigest()


def opened(folder, marks=MARKS, resume=True):
    return Pieces(folder, marks, resume)


def same(one, other):
    assert set(one) == set(other)
    for name in one:
        assert one[name].dtype == np.asarray(other[name]).dtype
        np.testing.assert_array_equal(one[name], other[name])


def told(pieces, name, message, needs=()):
    """The run is not used, the warning says why, and it can be kept anew."""
    path = re.escape(str(pieces.path(name)))
    with pytest.warns(DamagedPieceWarning, match=f"{path} {message}"):
        assert pieces.load(name, needs) is None
    pieces.save(name, PIECE)
    same(pieces.load(name, PIECE), PIECE)


def test_what_is_kept_is_what_is_loaded(tmp_path):
    with opened(tmp_path / "new" / "pieces") as pieces:
        assert pieces.load("run") is None and pieces.count() == 0
        pieces.save("run", PIECE)
        pieces.save("other", {"x": [1.0, np.nan]})
        same(pieces.load("run", needs=("loss", "steps")), PIECE)
        assert (pieces.count(), pieces.count("r*")) == (2, 1)
    with opened(pieces.folder) as again:
        same(again.load("run"), PIECE)
    assert json.loads((pieces.folder / "settings.json").read_text()) == MARKS


def body(value):
    content = serialization.msgpack_serialize(value) if not isinstance(value, bytes) else value
    return MAGIC + hashlib.sha256(content).digest() + content


def record(**changes):
    return body({"settings": DIGEST, "name": "run", "arrays": {"loss": np.ones(2)}, **changes})


WHOLE = encode("run", DIGEST, PIECE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:-1], "is damaged; the run is done again"),
        (WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), "is damaged;"),
        (WHOLE[: len(MAGIC)], "is damaged;"),
        (b"", "is damaged or was not written by this program"),
        (b"x" + WHOLE, "is damaged or was not written by this program"),
        (WHOLE.replace(b"piece 2", b"piece 1", 1), "is of another version of this program"),
        # The digest is right, and what it digests is not a run.
        (body([1, 2]), "is damaged: it holds no arrays by name"),
        (body({}), "is damaged: it holds no arrays by name"),
        (body(b"\xc1"), r"is damaged \(.*\)"),
        (record(arrays=[1.0]), "is damaged: it holds no arrays by name"),
        (record(arrays={"loss": "low"}), "is damaged: its 'loss' is no array of numbers"),
        (record(arrays={"loss": {"a": np.ones(2)}}), "is damaged: its 'loss' is no array"),
        (record(arrays={"steps": np.ones(2)}), "is damaged: it has no 'loss'"),
        (record(settings="0" * 64), "was made with other settings; the run is done again"),
        (record(name="width-8"), "holds the run 'width-8'; the run is done again"),
    ],
)
def test_what_cannot_be_used_is_told_and_done_again(tmp_path, content, message):
    with opened(tmp_path) as pieces:
        pieces.path("run").write_bytes(content)
        told(pieces, "run", message, needs=("loss",))


def test_a_folder_in_the_place_of_a_run_is_set_aside(tmp_path):
    with opened(tmp_path) as pieces:
        pieces.path("run").mkdir()
        (pieces.path("run") / "precious").write_text("mine")
        told(pieces, "run", "is damaged: it was a folder, which is now run.msgpack")
    assert [path.read_text() for path in tmp_path.glob("*.aside/precious")] == ["mine"]


def test_two_studies_in_one_folder_do_not_mix(tmp_path):
    """Not by settings.json, and where that is lost, not by their runs either."""
    other = {**MARKS, "steps": "30"}
    with opened(tmp_path) as pieces:
        pieces.save("run", PIECE)
        pieces.save("mine", PIECE)
    with pytest.raises(StudyError, match="holds runs with steps = 20, and now it is 30; continue with"):
        opened(tmp_path, other)
    with pytest.raises(StudyError, match="holds runs with engine = unknown, and now it is ntkrnn"):
        opened(tmp_path, {"engine": "ntkrnn", **MARKS})
    (tmp_path / "settings.json").unlink()
    with opened(tmp_path, other) as pieces:
        assert pieces.count() == 2  # what is of other settings stays until its run is done
        told(pieces, "run", "was made with other settings")
    (tmp_path / "settings.json").unlink()
    with opened(tmp_path) as pieces:
        same(pieces.load("mine"), PIECE)


@pytest.mark.parametrize("content", ["[]", "{", "3", "", b"\xff\xfe", None])
def test_settings_that_cannot_be_read_lose_no_run(tmp_path, content):
    """None is a folder in the place of the file."""
    with opened(tmp_path) as pieces:
        pieces.save("run", PIECE)
    header = tmp_path / "settings.json"
    header.unlink()
    if content is None:
        header.mkdir()
    else:
        header.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.warns(DamagedPieceWarning, match=r"settings\.json is damaged"):
        pieces = opened(tmp_path)
    with pieces:
        same(pieces.load("run"), PIECE)
    assert json.loads(header.read_text()) == MARKS


def test_beginning_anew_removes_runs_and_nothing_else(tmp_path):
    with opened(tmp_path, resume=False) as pieces:
        assert pieces.removed == 0
        pieces.save("a", PIECE)
        pieces.save("b", PIECE)
    (tmp_path / "old.msgpack").write_bytes(b"ntkrnn piece 1\nof another version")
    foreign = {"notes.txt": b"mine", "other.msgpack": b"\x81\xa1a\x01", "empty.msgpack": b""}
    for name, content in foreign.items():
        (tmp_path / name).write_bytes(content)
    with opened(tmp_path, {"study": "Another"}, resume=False) as pieces:
        assert pieces.removed == 3 and pieces.load("a") is None
    assert {*foreign, "settings.json", ".lock"} == {path.name for path in tmp_path.iterdir()}


def test_resuming_removes_nothing_but_parts(tmp_path):
    before = {"a.msgpack": WHOLE, "b.msgpack": b"ntkrnn piece 1\n", "c.msgpack": b"", "d.txt": b"mine"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / ".a.msgpack.0123abcd.part").write_bytes(WHOLE[:20])
    with opened(tmp_path) as pieces:
        assert pieces.removed == 0
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"settings.json", ".lock"}


# One writer


def test_a_second_writer_is_refused(tmp_path):
    with opened(tmp_path) as pieces:
        with pytest.raises(StudyError) as caught:
            opened(tmp_path, {"study": "Another"}, resume=False)
        for part in (str(tmp_path), "written to by another run (process ", "take another folder"):
            assert part in str(caught.value)
        pieces.save("run", PIECE)
    with opened(tmp_path) as pieces:  # and a folder that was refused, or given up, is free
        pass
    with pytest.raises(StudyError, match="and now it is 30"):
        opened(tmp_path, {**MARKS, "steps": "30"})
    del pieces
    with opened(tmp_path) as pieces:
        same(pieces.load("run"), PIECE)


HOLD = """
import pathlib, sys
from ntkrnn.studies.lock import FolderLock
held = FolderLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another(folder):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        yield holder


def test_another_process_is_a_writer_until_it_dies(tmp_path):
    """However it dies: the lock is the system's, which lets go of it."""
    with held_by_another(tmp_path) as holder:
        with pytest.raises(StudyError, match=rf"another run \(process {holder.pid}\)"):
            opened(tmp_path)
        holder.kill()
        holder.wait()
        with opened(tmp_path) as pieces:
            pieces.save("run", PIECE)


def test_who_waits_for_a_lock_gets_it(tmp_path):
    with held_by_another(tmp_path) as holder:
        holder.stdin.close()  # it ends, and we wait for that in the lock
        with FolderLock(tmp_path, wait=True), pytest.raises(StudyError):
            FolderLock(tmp_path)


def test_where_there_are_no_locks_it_is_said(tmp_path, monkeypatch):
    def none(descriptor, wait):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "_lock", none)
    with (
        pytest.warns(UserWarning, match=r"\.lock: the file system has no locks \(No locks available\)"),
        opened(tmp_path) as pieces,
    ):
        pieces.save("run", PIECE)


# What a run depends on


def test_settings_data_and_machine_are_in_the_fingerprint():
    data = load("digits", n=4)
    settings = TrajectorySettings(ntkrnn.Elman(), widths=(4, 32), seeds=2)
    marks = fingerprint(settings, data)
    assert marks["study"] == "Trajectory" and marks["steps"] == "300"
    assert {"dtype", "backend", "jax", "ntkrnn"} <= set(marks)
    # Widths and seeds add runs and change none.
    assert fingerprint(dataclasses.replace(settings, widths=(4, 8, 32), seeds=5), data) == marks
    compared = CompareSettings(ntkrnn.Elman(), widths=(4, 8))
    more = dataclasses.replace(compared, widths=(4, 16), seeds=3, resamples=100)
    assert fingerprint(compared, data, engine="a") == fingerprint(more, data, engine="a")
    assert fingerprint(compared, data, engine="a") != fingerprint(compared, data, engine="b")
    assert fingerprint(compared, data)["study"] == "Compare"


@pytest.mark.parametrize(
    "change",
    [
        {"x": lambda x: x.reshape(4, 4, 16)},  # the same bytes
        {"x": lambda x: x.astype(np.float64)},
        {"x": lambda x: -x},
        {"lengths": lambda _: np.array([8, 8, 8, 7], np.int32)},
        {"labels": lambda labels: labels[::-1]},
    ],
    ids=["shape", "dtype", "values", "lengths", "labels"],
)
def test_other_data_have_another_fingerprint(change):
    data = load("digits", n=4)
    settings = CompareSettings(ntkrnn.Elman(), widths=(4, 8))
    ((field, function),) = change.items()
    other = data._replace(**{field: function(getattr(data, field))})
    before, after = fingerprint(settings, data), fingerprint(settings, other)
    assert before["data"] != after["data"]
    assert {**before, "data": ""} == {**after, "data": ""}


def test_labels_that_are_objects_have_the_fingerprint_of_their_values():
    data = load("digits", n=3)
    settings = CompareSettings(ntkrnn.Elman(), widths=(4, 8))
    one, other = (
        fingerprint(settings, data._replace(labels=np.array([f"{word}!" for word in "abc"], object)))
        for _ in range(2)
    )
    assert one == other


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        opened(pathlib.Path(tmp_path / "file" / "pieces"))
    assert caught.value.filename == str(tmp_path / "file" / "pieces")

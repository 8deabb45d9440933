"""``.ts``, the format of sktime and aeon."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from written import fails, raw, values, write

needs_aeon = pytest.mark.skipif(importlib.util.find_spec("aeon") is None, reason="needs aeon")

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


def agree_with_aeon(path: Path) -> None:
    from aeon.datasets import load_from_ts_file

    theirs, labels = load_from_ts_file(str(path))
    data = raw(path)
    ours = values(data)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.array(a, np.float32), np.asarray(b).T.astype(np.float32))
    assert data.labels is not None
    numeric = data.labels.dtype.kind in "if"
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
    assert values(data) == [
        [[1, 3], [2, 4]],
        [[5, 6]],
        [[7, 1], [8, 2], [9, 3]],
    ]
    assert data.labels is not None and data.labels.tolist() == ["a", "b", "a"]


def test_ts_without_labels(tmp_path):
    text = HEAD.format(u="false", e="true") + "@classLabel false\n@data\n1,2:3,4\n5,6:7,8\n"
    data = raw(write(tmp_path, "a.ts", text))
    assert data.labels is None and data.x.shape == (2, 2, 2)


def test_ts_of_unequal_length_has_no_one_length(tmp_path):
    for word in ("-1", "0"):
        text = f"@seriesLength {word}\n@equalLength false\n@data\n1,2:a\n3:b\n"
        assert values(raw(write(tmp_path, "a.ts", text))) == [[[1], [2]], [[3]]]


def test_ts_labels_are_classes_or_real_numbers_as_the_header_says(tmp_path):
    for tag, labels, reading in [
        ("@classLabel true 1 2", [1, 2], "labels from @classLabel"),
        ("@targetLabel true", [1.0, 2.0], "labels from @targetLabel, labels are real numbers"),
    ]:
        data = raw(write(tmp_path, "a.ts", f"{tag}\n@data\n1,2:1\n3,4:2\n"))
        assert data.labels is not None and data.labels.tolist() == labels
        assert data.labels.dtype.kind == ("f" if "target" in tag else "i")
        assert data.reading == f"read as 2 series of 2 steps, {reading}"
    data = raw(write(tmp_path, "a.ts", "@classLabel true 01 1\n@data\n1:01\n2:1\n"))
    assert data.labels is not None and data.labels.tolist() == ["01", "1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3:a\n", ["line 1", "before @data", "Is this a .ts file?"]),
        ("@univariate true\n", ["no @data line"]),
        ("@univariate maybe\n@data\n", ["line 1", "'maybe'", "true or false"]),
        ("@classLabel\n@data\n", ["line 1", "'nothing'"]),
        ("@dimensions x\n@data\n1:a\n", ["line 1", "'x'", "whole number"]),
        ("@seriesLength 0\n@data\n1:a\n", ["line 1", "'0'", "at least 1"]),
        ("@seriesLength -1\n@data\n1:a\n", ["line 1", "'-1'", "@equalLength false"]),
        ("#\n@seriesLength -1\n@equalLength true\n@data\n1:a\n", ["line 2", "'-1'"]),
        ("@dimensions -1\n@equalLength false\n@data\n1:a\n", ["line 1", "'-1'"]),
        ("@dimensions 99999999999\n@data\n1:a\n", ["line 1", "'99999999999'"]),
        ("@\n@data\n1:a\n", ["line 1", "a lone '@'", "@data"]),
        ("@classLabel true a\n@targetLabel true\n@data\n1:a\n", ["line 3", "one of the two"]),
        ("@targetLabel true\n@data\n1:1\n2:nan\n", ["line 4: the label is 'nan'", "a finite number"]),
        ("@targetLabel true\n@data\n1:-inf\n2:1\n", ["line 3: the label is '-inf'"]),
        ("@targetLabel true\n@data\n1:high\n", ["line 3: the label is 'high'", "a finite number"]),
        ("@classLabel true a\n@data\n1:a\n2:?\n", ["line 4: the label is '?'", "expected a class"]),
        ("@data true\n1:a\n", ["line 1", "stands alone"]),
        ("@classLabels false\n@data\n1:1\n", ["line 1: @classLabels is no tag", "mean 'classlabel'?"]),
        ("@data\n1,2:3,4\n", ["line 2: the label '3,4'", "looks like values", "@classLabel false"]),
        ("@seriesLength 2\n@data\n1,2:a\n1:b\n", ["line 4", "1 steps", "@seriesLength 2"]),
        ("@timeStamps true\n@data\n(0,1):a\n", ["@timeStamps true", "Resample"]),
        ("@classLabel true a\n@data\n\n", ["no sequence after @data"]),
        ("@data\n1,2,3\n", ["line 2", "no ':'", "@classLabel false"]),
        ("@data\n1,2,3:\n", ["line 2", "no label"]),
        ("@data\n1,x,3:a\n", ["line 2, channel 1, step 2", "'x'"]),
        ("@data\n1,2:3:a\n", ["line 2", "channel 2 has 1 values", "channel 1 has 2"]),
        ("@data\n1,2:a\n1,2:3,4:a\n", ["line 3", "2 channels", "expected 1 as in line 2"]),
        ("@univariate true\n@data\n1:2:a\n", ["line 3", "@univariate true"]),
        ("@dimensions 3\n@data\n1:2:a\n", ["line 3", "2 channels", "@dimensions 3"]),
        ("@equalLength true\n@seriesLength 4\n@data\n1,2:a\n", ["line 4", "@seriesLength 4"]),
        ("@equalLength true\n@data\n1,2:a\n\n1:a\n", ["line 5", "1 steps", "line 3 has 2"]),
        ("@data\n1,NA,2:a\n", ["line 2, channel 1, step 2", "'NA'", "missing value as NaN"]),
    ],
)
def test_ts_messages(tmp_path, text, words):
    fails(write(tmp_path, "a.ts", text), *words)

"""Long tables: a time step a row."""

from __future__ import annotations

import numpy as np
import pytest
from written import fails, raw, values, write

TABLE = """when,who,u,v,label
0,a,1,2,x
1,b,1,3,y
2,a,5,5,x
0,b,3,3,y
1,a,9,9,x
"""
SERIES = [[[1, 2], [9, 9], [5, 5]], [[3, 3], [1, 3]]]
NOTES = (
    "read as 2 series of 2 to 3 steps and 2 channels, header skipped, series told apart by column "
    "'who' and sorted by column 'when', labels from column 'label'"
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("long", ["who,when", ("who", "when"), " who , 1 ", (2, 1), [-4, np.int64(1)]])
def test_rows_of_one_id_are_a_series_sorted_by_time(tmp_path, suffix, long):
    text = TABLE.replace(",", "\t") if suffix == ".tsv" else TABLE
    data = raw(write(tmp_path, f"a{suffix}", text), long=long, label_column="label")
    assert values(data) == SERIES
    assert data.lengths is not None and data.lengths.tolist() == [3, 2]
    assert data.labels is not None and data.labels.tolist() == ["x", "y"]
    assert data.reading == NOTES


def test_without_labels_or_header(tmp_path):
    rows = [line.rpartition(",")[0] for line in TABLE.splitlines()]
    data = raw(write(tmp_path, "a.csv", "\n".join(rows)), long="who,when")
    assert data.labels is None and values(data) == SERIES
    data = raw(write(tmp_path, "b.csv", "\n".join(rows[1:])), long="2,1")
    assert values(data) == SERIES
    assert data.reading.endswith("2 channels, series told apart by column 2 and sorted by column 1")


def test_names_of_values_in_a_long_table(tmp_path):
    """A column that is the only one holds the values, and x, y, z are coordinates."""
    for names, row in [("unique_id,ds,y", "a,0,1"), ("item_id,time,target", "a,0,1")]:
        path = write(tmp_path, "a.csv", f"{names}\n{row}\n")
        name, time, _ = names.split(",")
        fails(path, f"give --long {name},{time} (long=")
        assert values(raw(path, long=f"{name},{time}")) == [[[1]]]
    path = write(tmp_path, "b.csv", "id,t,x,y,z\na,0,1,2,3\n")
    assert values(raw(path, long="id,t")) == [[[1, 2, 3]]]


def test_ids_are_told_apart_as_they_are_written(tmp_path):
    data = raw(write(tmp_path, "a.csv", "i,t,v\n01,0,5\n1,0,6\n1.0,0,7\n"), long="i,t")
    assert values(data) == [[[5]], [[6]], [[7]]]


@pytest.mark.parametrize(
    ("times", "order", "uneven"),
    [
        (("0", "2", "1"), [0, 2, 1], ""),
        (("0.1", "0.3", "0.2"), [0, 2, 1], ""),
        (("-1", "1e1", "1"), [0, 2, 1], "uneven, 2 to 9, of"),
        (("1700000000000000001", "1700000000000000003", "1700000000000000002"), [0, 2, 1], ""),
        (("2024-01-31", "2024-02-02", "2024-02-01"), [0, 2, 1], ""),
        (("2024-01-31", "2024-03-31", "2024-02-29"), [0, 2, 1], "uneven, 2.5056e+06 to 2.6784e+06 s"),
        (("2024-01-31T00:00", "2024-01-31 02:00:00", "2024-01-31T02:00+01:00"), [0, 2, 1], ""),
    ],
)
def test_times_are_numbers_or_dates(tmp_path, times, order, uneven):
    rows = "".join(f"a,{time},{i}\n" for i, time in enumerate(times))
    data = raw(write(tmp_path, "a.csv", f"i,t,v\n{rows}"), long="i,t")
    assert data.x[0, :, 0].tolist() == order
    assert ("uneven" in data.reading) == bool(uneven) and uneven in data.reading


def test_missing_values_at_the_end_in_all_channels_are_padding(tmp_path):
    path = write(tmp_path, "a.csv", TABLE.replace("2,a,5,5", "2,a,,NaN"))
    assert values(raw(path, long="who,when", label_column="label")) == [SERIES[0][:2], SERIES[1]]


OPTIONS = {"long": "who,when", "label_column": "label"}


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (("0,b,3,3", "1,b,3,3"), OPTIONS, ["line 5: series 'b' has the time 1 again, first in line 3"]),
        (("0,b,3,3", "1.0,b,3,3"), OPTIONS, ["line 5: series 'b' has the time 1.0 again"]),
        (("0,b,3,3,y", "0,b,3,3,z"), OPTIONS, ["series 'b' has the label y, and z in line 5"]),
        (("1,a,9,9", "1,a,9,"), OPTIONS, ["line 6, column 4", "a missing value", "or drop the row"]),
        (("1,a,9,9", "1,a,9,inf"), OPTIONS, ["line 6, column 4", "got inf"]),
        (("0,b,3,3", "nan,b,3,3"), OPTIONS, ["line 5, column 1: the time is 'nan'", "a number"]),
        (("0,b,3,3", ",b,3,3"), OPTIONS, ["line 5, column 1: the time is empty"]),
        (("0,b,3,3", "1_0,b,3,3"), OPTIONS, ["line 5, column 1: the time is '1_0'"]),
        (("0,b,3,3", "noon,b,3,3"), OPTIONS, ["line 5, column 1: the time is 'noon'"]),
        (("0,a,1,2", "2024-01-01,a,1,2"), OPTIONS, ["line 3", "the time is '1', expected a date such"]),
        (("0,b,3,3", "0, ,3,3"), OPTIONS, ["line 5: the series has no name"]),
        (("0,b,3,3", "0,b,x,3"), OPTIONS, ["line 5, column 3: got 'x', expected a number"]),
        (("1,b,1,3,y", "1,c,,,y"), OPTIONS, ["series 'c': every value is missing"]),
        ((), {"long": "who,when"}, ["column 5: 'label'", "--label-column label"]),
        ((), {"long": "who,wen"}, ["long: ", "no column named 'wen'", "Did you mean 'when'?"]),
        ((), {"long": "who,who"}, ["long: 'who' is column 2", "asked for twice"]),
        ((), {**OPTIONS, "label_column": 1}, ["long: 'when' is column 1", "asked for twice"]),
        ((), {"long": "who,9"}, ["long: got 9", "has 5 columns"]),
    ],
)
def test_messages(tmp_path, change, options, words):
    path = write(tmp_path, "a.csv", TABLE.replace(*change) if change else TABLE)
    fails(path, *words, **options)


@pytest.mark.parametrize("long", ["who", "a,b,c", ("who",), 5, ""])
def test_two_columns_are_wanted(tmp_path, long):
    path = write(tmp_path, "a.csv", TABLE)
    with pytest.raises(ValueError, match=r"^long: got .*, expected two columns"):
        raw(path, long=long)


def test_a_long_table_has_values(tmp_path):
    path = write(tmp_path, "a.csv", "i,t\na,0\n")
    fails(path, "no column left for values", long="i,t")

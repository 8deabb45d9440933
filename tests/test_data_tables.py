"""``.csv`` and ``.tsv`` with a series a row: headers, labels, and what could be read in two ways."""

from __future__ import annotations

import numpy as np
import pytest
from written import fails, raw, values, write

ROWS = "0.5,1.5,2.5,3.5\n1.5,2.5,0.5,7.5\n4.5,2.5,2.0,1.5\n"


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("1,2,3\n4,5,6\n", ""),
        ("width,height,depth\n1,2,3\n4,5,6\n", ", header skipped"),
        ("t0,t1,t2\n1,2,3\n4,5,6\n", ", header skipped"),
        ("2024-01-01,2024-01-02,2024-01-03\n1,2,3\n4,5,6\n", ", header skipped"),
        ("00:00,00:30,01:00\n1,2,3\n4,5,6\n", ", header skipped"),
        ("day 1,day 2,day 3\n1,2,3\n4,5,6\n", ", header skipped"),
        ("\ufeff1,2,3\r\n\r\n4,5,6", ""),
        ('1, 2,3 \n"4",5,6e0\n\n', ""),
        ("1,2,3,\n4,5,6,\n", ""),
        ("a,b,c,\n1,2,3,\n4,5,6,\n", ", header skipped"),
        ('"a\nb",c,d\n1,2,3\n4,5,6\n', ", header skipped"),
    ],
)
def test_csv(tmp_path, text, reading):
    data = raw(write(tmp_path, "a.csv", text))
    np.testing.assert_array_equal(data.x[:, :, 0], [[1, 2, 3], [4, 5, 6]])
    assert data.lengths is None and data.labels is None
    assert data.reading == f"read as 2 series of 3 steps{reading}"


def test_a_first_row_that_counts_the_columns_is_skipped_and_told(tmp_path):
    data = raw(write(tmp_path, "a.csv", "0,1,2,3\n" + ROWS))
    assert data.x[:, :, 0].tolist() == [
        [float(cell) for cell in row.split(",")] for row in ROWS.split()
    ]
    assert data.reading == (
        "read as 3 series of 4 steps, first row skipped, which numbers the columns from 0"
    )
    # So are those of columns of labels, ids and times.
    skipped = "first row skipped, which numbers the columns from 0"
    for options, notes in [
        ({"label_column": 4}, "3 steps, {}, labels from column 4, labels are real numbers"),
        (
            {"long": "1,2"},
            "1 step and 2 channels, {}, series told apart by column 1 and sorted by column 2",
        ),
    ]:
        reading = raw(tmp_path / "a.csv", **options).reading
        assert reading == f"read as 3 series of {notes.format(skipped)}"
    # An only row is data, and so is one that is written as a number with a fraction.
    assert raw(write(tmp_path, "b.csv", "0,1,2\n")).x.ravel().tolist() == [0, 1, 2]
    assert len(raw(write(tmp_path, "c.csv", "0.0,1,2,3\n" + ROWS)).x) == 4


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("NA,NA,NA,NA", ["column 1: got 'NA' in the first row", "missing value as NaN"]),
        ("a,n/a,c,d", ["column 2: got 'n/a' in the first row"]),
        ("1_000,2_000,3,4", ["column 1: got '1_000' in the first row", "such as 1000"]),
        ('"1,5","2,5","3,5","4,5"', ["column 1: got '1,5'", "decimals with a point"]),
        ("1;2;3;4", ["column 1: got '1;2;3;4'", "separate values by commas"]),
        ("1\t2\t3\t4", ["column 1: got '1\\t2\\t3\\t4'", "separate values by commas"]),
        ("5%,4%,3%,2%", ["got '5%'", "plain numbers"]),
        ("1.2.3,4,5,6", ["got '1.2.3'", "plain numbers"]),
        ("NaN,?,,nan", ["neither a number nor a name", "remove the line"]),
        (",,,", ["neither a number nor a name"]),
        ("#,%,(1),@", ["column 1: got '#' in the first row", "has letters in every name"]),
        ("1e,2e,3e-,4", ["column 1: got '1e' in the first row"]),
        ("1,a,2,3", ["column 2: got 'a' beside numbers", "--label-column 2 (label_column=2)"]),
        ("1,2,3,4", ["the first row 1,2,3,4 may number the columns", "with a point, such as 1.0"]),
        ("2000,2001,2002,2003", ["may number the columns", "Remove the line if it numbers them"]),
        (",0,1,2", ["pandas writes beside its index", "to_csv(index=False, header=False)"]),
        (",a,b,c", ["column 1: a column without a name", "index=False"]),
    ],
)
def test_a_first_row_that_is_neither_header_nor_data(tmp_path, first, words):
    rows = ROWS if first.count(",") == 3 or '"' in first else "1\n2\n"
    fails(write(tmp_path, "a.csv", f"{first}\n{rows}"), "line 1", *words)


@pytest.mark.parametrize(
    "text", ["0,1,2\n3,4,5\n", "0,1\n0.5,0.3\n", "0\n1.5\n", "0,1,2\n1.5,2,3\n3,4,5\n"]
)
def test_a_first_row_that_could_count_the_columns(tmp_path, text):
    fails(
        write(tmp_path, "a.csv", text), "line 1", "may number the columns", "with a point, such as 1.0"
    )
    assert len(raw(write(tmp_path, "b.csv", f"0.0{text[1:]}")).x) == text.count("\n")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("a,b,c,label", ["column 4: 'label'", "Give --label-column label (label_column='label')"]),
        ("Class Name,b,c,d", ["column 1: 'Class Name'", "--label-column 'Class Name'"]),
        ("a,y,c,d", ["column 2: 'y'", "--label-column y"]),
        ("a,b,c,TARGET", ["'TARGET'", "--label-column TARGET"]),
        ("label_1,label_2,c,d", ["'label_1'", "--label-column label_1"]),
        ("id,b,c,d", ["column 1: 'id'", "Drop the column"]),
        ("patientId,b,c,d", ["'patientId'", "Drop the column"]),
        ("a,b,Unnamed: 0,d", ["column 3: 'Unnamed: 0'", "Drop the column"]),
        ("time,b,c,d", ["'time', which holds times", "--long ID,TIME", "Drop the column"]),
        ("a,Date,c,d", ["column 2: 'Date', which holds times"]),
        ("id,time,u,v", ["the table is long: give --long id,time (long=('id', 'time'))"]),
        ("t,u,class,name", ["the table is long: give --long name,t --label-column class"]),
        ("unique_id,ds,u,v", ["give --long unique_id,ds (long=('unique_id', 'ds'))"]),
    ],
)
def test_columns_whose_name_says_that_they_are_no_steps(tmp_path, names, words):
    fails(write(tmp_path, "a.csv", f"\n{names}\n{ROWS}"), "line 2", "values of a series", *words)


def test_columns_that_count_the_rows(tmp_path):
    rows = "0,1.5,2.5\n1,2.5,3.5\n2,0.5,4.5\n"
    fails(write(tmp_path, "a.csv", rows), "column 1: counts the rows, 0 to 2", "index=False", "as 0.0")
    rows = "a,b,c\n1,1.5,2.5\n2,2.5,3.5\n3,0.5,4.5\n"
    fails(write(tmp_path, "b.csv", rows), "column 1: counts the rows, 1 to 3", "as 1.0")
    rows = "0,5\n1,4\n2,3\n3,2\n4,6\n"
    fails(write(tmp_path, "b.csv", rows), "column 1: counts the rows, 0 to 4")
    # Two rows, a few of whole numbers, windows of a ramp: as well data as not.
    windows = "".join(f"{i},{i + 1},{i + 2}\n" for i in range(1, 9))
    for text in (windows, rows[:-4], "0.0,1.5\n1,2.5\n2,3.5\n", "1,1.5\n2,2.5\n"):
        assert raw(write(tmp_path, "c.csv", text)).x.shape[0] == text.count("\n")


LABELLED = "a,b,class\n1.5,2,cat\n2.5,3,dog\n0.5,4,cat\n"


@pytest.mark.parametrize(
    ("text", "column", "called"),
    [
        (LABELLED, "class", "'class'"),
        (LABELLED, 3, "'class'"),
        (LABELLED, -1, "'class'"),
        (LABELLED, "-1", "'class'"),
        (LABELLED, np.int64(3), "'class'"),
        (LABELLED.partition("\n")[2], "3", "3"),
        ("0,1,class\n" + LABELLED.partition("\n")[2], "class", "'class'"),
    ],
)
def test_labels_of_a_column(tmp_path, text, column, called):
    data = raw(write(tmp_path, "a.csv", text), label_column=column)
    assert data.labels is not None and data.labels.tolist() == ["cat", "dog", "cat"]
    assert data.x[:, :, 0].tolist() == [[1.5, 2], [2.5, 3], [0.5, 4]]
    assert data.reading.startswith("read as 3 series of 2 steps")
    assert data.reading.endswith(f", labels from column {called}")
    kept = raw(tmp_path / "a.csv", label_column=column, n=2, seed=1)
    assert kept.labels is not None
    assert kept.labels.tolist() == data.labels[kept.selection["rows"]].tolist()
    assert kept.reading == data.reading


def test_labels_that_are_numbers(tmp_path):
    for cells, labels, kind in [(("2", "3"), [2, 3], "i"), (("0.5", "2"), [0.5, 2.0], "f")]:
        text = f"y,a\n{cells[0]},1.5\n{cells[1]},2.5\n"
        data = raw(write(tmp_path, "a.csv", text), label_column="y")
        assert data.labels is not None and data.labels.tolist() == labels
        assert data.labels.dtype.kind == kind
        assert data.reading.endswith("labels are real numbers") == (kind == "f")


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        (
            LABELLED,
            "clas",
            ["label_column: ", "no column named 'clas'", "Did you mean 'class'?", "a, b,"],
        ),
        (LABELLED, 0, ["label_column: got 0", "counted from 1", "-1"]),
        (LABELLED, 4, ["label_column: got 4", "has 3 columns"]),
        (LABELLED, -4, ["label_column: got -4", "-3 to -1"]),
        (LABELLED, " ", ["label_column: got ' '"]),
        (LABELLED, 1.0, ["label_column: got 1.0 of type float"]),
        (LABELLED, True, ["label_column: got True of type bool"]),
        ("a,a,b\n1,2,3\n", "a", ["2 columns named 'a'"]),
        ("x\n1\n", 1, ["has one column"]),
        ("a,b,class\n1.5,2,\n2.5,3,dog\n", "class", ["line 2, column 3: the label is empty"]),
        ("a,b,class\n1.5,2,1\n2.5,3,nan\n", "class", ["line 3, column 3: the label is 'nan'"]),
        ("a,b,class\n1.5,2,1.5\n2.5,3,inf\n", "class", ["line 3, column 3: the label is 'inf'"]),
        ("a,id,class\n1.5,2,1\n2.5,3,2\n", "class", ["column 2: 'id'", "Drop the column"]),
    ],
)
def test_columns_of_labels_that_are_none(tmp_path, text, column, words):
    path = write(tmp_path, "a.csv", text)
    error = TypeError if "of type" in words[0] else ValueError
    with pytest.raises(error) as caught:
        raw(path, label_column=column)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("  \n\n", ["empty"]),
        ('""\n', ["empty"]),
        ("a,b\n", ["holds no number"]),
        ("1,2,3\n\n4,5\n", ["line 3", "2 cells", "expected 3 as in line 1", "NaN or empty cells"]),
        ("a,b,c\n1,2,3\n4,5,6,7\n", ["line 3", "4 cells", "line 1"]),
        ("1,2\n3,x\n", ["line 2, column 2", "got 'x'", "expected a number", "--label-column"]),
        ("1,2\n3,1_0\n", ["line 2, column 2", "'1_0'", "plain numbers"]),
        ("1,2\n3,NA\n", ["line 2, column 2", "'NA'", "missing value as NaN"]),
        ('1,2\n3,"4,5"\n', ["line 2, column 2", "'4,5'", "decimals with a point"]),
        ("a;b\n1;2\n", ["line 2, column 1", "'1;2'", "separate values by commas"]),
        ('1,2\n"3,4\n5,6\n', ["not separated by commas", "unexpected end of data"]),
        ('1,2\n"3"4,5\n', ["line 2", "not separated by commas"]),
        (f"1,2\n3,{'x' * 200_000}\n", ["line 2", "field larger than field limit"]),
        (f"1,2\n3,{'x' * 200}\n", ["line 2, column 2", "xxx...'"]),
    ],
)
def test_csv_messages(tmp_path, text, words):
    fails(write(tmp_path, "a.csv", text), *words)


# tsv


def test_tsv_has_the_label_first(tmp_path):
    data = raw(write(tmp_path, "a.tsv", "2\t1.5\t2\t3\n-1\t4\tNaN\tNaN\n\n2\t5\t6\tNaN\n"))
    assert data.lengths is not None and data.lengths.tolist() == [3, 1, 2]
    assert data.labels is not None and data.labels.tolist() == [2, -1, 2]
    assert values(data) == [[[1.5], [2], [3]], [[4]], [[5], [6]]]
    assert data.reading == "read as 3 series of 1 to 3 steps, labels from column 1"


def test_tsv_with_a_header_and_another_column_of_labels(tmp_path):
    path = write(tmp_path, "a.tsv", "a\tb\tlabel\n1.5\t2\tx\n2.5\t3\ty\n")
    data = raw(path, label_column="label")
    assert data.labels is not None and data.labels.tolist() == ["x", "y"]
    assert data.x[:, :, 0].tolist() == [[1.5, 2], [2.5, 3]]
    fails(path, "column 3: 'label'", "--label-column label")
    data = raw(write(tmp_path, "b.tsv", "class\ta\tb\n1\t1.5\t2\n"))
    assert data.reading == "read as 1 series of 2 steps, header skipped, labels from column 'class'"


def test_tsv_labels(tmp_path):
    assert raw(write(tmp_path, "a.tsv", "a\t1\nb\t2\n")).labels.tolist() == ["a", "b"]
    assert raw(write(tmp_path, "b.tsv", "1.0\t1\n2.0\t2\n")).labels.tolist() == [1, 2]
    # The archive holds classes: a fraction does not make them real numbers.
    assert raw(write(tmp_path, "c.tsv", "1.5\t1\n2.0\t2\n")).labels.tolist() == ["1.5", "2.0"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n", ["line 1", "one column", "tabs"]),
        ("1\t2\t3\n2\t4\n", ["line 2", "2 cells", "expected 3", "NaN"]),
        ("1\t2\t3\n2\t4\tx\n", ["line 2, column 3", "'x'"]),
        ("1\t2\t3\n\t4\t5\n", ["line 2, column 1", "label is empty"]),
        ("1\t2\t3\nnan\t4\t5\n", ["line 2, column 1", "label is 'nan'"]),
        ("1\tNA\tNA\n2\t4\t5\n", ["line 1, column 2", "'NA'"]),
    ],
)
def test_tsv_messages(tmp_path, text, words):
    fails(write(tmp_path, "a.tsv", text), *words)

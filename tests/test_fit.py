"""Fits to somebody's sequences: folds, intervals, files, and what is refused."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from scipy import stats

from ntkrnn import Elman
from ntkrnn.data import Records, load, records
from ntkrnn.estimators import RecurrentKernelClassifier, RecurrentKernelRidge, save
from ntkrnn.report.scores import root_mean_square, share
from ntkrnn.studies.fit import FILES, FitSettings, fit, model_of, predict, task_of, write_fit
from ntkrnn.studies.fit._series import half_widths, parts

ONE = Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3, readout="mean")
RECORD = Elman(nonlinearity="erf", w_std=0.9, b_std=0.3, readout="sequence")


def waves(n=18, seed=0, lengths=None):
    """Slow and fast waves with noise, and their rates."""
    rng = np.random.default_rng(seed)
    rate = np.where(np.arange(n) % 2, 1.0, 0.5) + 0.1 * rng.uniform(size=n)
    x = np.sin(rate[:, None] * np.arange(20)) + 0.3 * rng.normal(size=(n, 20))
    return x, rate


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    x, rate = waves()
    path = tmp_path_factory.mktemp("data") / "waves.npz"
    np.savez(path, X=x, y=np.where(rate > 0.8, "fast", "slow"), lengths=np.arange(18) % 3 + 18)
    return load(path, standardize="none")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    x, rate = waves()
    path = tmp_path_factory.mktemp("data") / "rates.npz"
    np.savez(path, X=x, y=rate)
    return load(path, standardize="none")


def system(steps=64, seed=0, n=1):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, steps, 1))
    y = np.zeros((n, steps))
    for t in range(1, steps):
        y[:, t] = 0.7 * y[:, t - 1] + 0.5 * np.tanh(u[:, t, 0])
    return Records("made", u, y, None, "level", "made")


@pytest.fixture(scope="module")
def classified(classes):
    return fit(FitSettings("classify", ONE, folds=3), classes)


def test_every_series_is_predicted_by_a_fit_without_it(classes, classified):
    found = classified.evaluation
    assert found.rows.tolist() == list(range(18)) and classified.score.value > 0.7
    for kept, left in parts(classified.settings, classes):
        assert not set(kept) & set(left)
        model = RecurrentKernelClassifier(ONE)
        model.fit(classes.x[kept], classes.labels[kept], lengths=classes.lengths[kept])
        expected = model.predict_proba(classes.x[left], lengths=classes.lengths[left])
        np.testing.assert_allclose(found.probabilities[left], expected, atol=1e-6)


def test_the_choice_of_every_fold_is_made_without_it(numbers, monkeypatch):
    seen = []
    plain = RecurrentKernelRidge.fit

    def watched(self, x, y, lengths=None):
        seen.append(len(y))
        return plain(self, x, y, lengths)

    monkeypatch.setattr(RecurrentKernelRidge, "fit", watched)
    fit(FitSettings("regress", ONE, folds=3), numbers)
    assert seen == [18, 12, 12, 12]


def test_what_comes_later_takes_no_part_in_a_forecast():
    record = system()
    settings = FitSettings("forecast", RECORD, folds=2)
    found = fit(settings, record).evaluation
    assert found.steps.tolist() == list(range(48, 64))
    other = record._replace(y=record.y.copy())
    other.y[:, 48:] += 5
    again = fit(settings, other).evaluation
    # The first part knows the steps before it alone; the second one those of the first.
    np.testing.assert_array_equal(found.predicted[:8], again.predicted[:8])
    assert np.abs(found.predicted[8:] - again.predicted[8:]).max() > 1e-3


def test_a_test_set_is_predicted_by_the_model_of_all(classes):
    result = fit(FitSettings("classify", ONE), classes, classes)
    expected = result.model.predict(classes.x, lengths=classes.lengths)
    assert result.evaluation.predicted.tolist() == expected.tolist()
    assert result.evaluated is classes and "no fit saw" in result.evaluation.how


def test_shares_have_wilsons_interval():
    found = share(7, 20)
    z = stats.norm.ppf(0.975)
    centre = (7 + z**2 / 2) / (20 + z**2)
    half = z / (20 + z**2) * np.sqrt(7 * 13 / 20 + z**2 / 4)
    np.testing.assert_allclose(found, (0.35, centre - half, centre + half))
    assert share(5, 5).high == 1.0 and share(0, 5).low == 0.0


def test_intervals_of_errors_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        found = root_mean_square(rng.normal(size=60))
        inside += found.low <= 1.0 <= found.high
    # A percentile bootstrap of 60 squares covers some 91 to 93%; binomial noise of 300 is 1.6%.
    assert 0.87 <= inside / 300 <= 0.985
    assert np.isnan(root_mean_square(np.ones(1)).low)


def test_blocks_widen_the_interval_of_errors_that_hang_together():
    slow = np.repeat(np.random.default_rng(0).normal(size=20), 25)
    apart, together = root_mean_square(slow), root_mean_square(slow, in_order=True)
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_bands_are_quantiles_of_left_out_residuals(numbers):
    model = RecurrentKernelRidge(ONE).fit(numbers.x, numbers.labels)
    residuals = np.abs(numbers.labels - model.loo_predictions_[:, 0])
    found = half_widths(model)
    # ceil(19 * level) of 18 residuals: the 10th for 50%, and the largest for 95%.
    assert found[0] == np.sort(residuals)[9] and found[-1] == residuals.max()


@pytest.mark.parametrize("task", ["classify", "regress", "forecast"])
def test_files_of_a_fit(task, request, tmp_path, classes, numbers):
    if task == "classify":
        result = request.getfixturevalue("classified")
    elif task == "regress":
        result = fit(FitSettings(task, ONE, folds=2), numbers)
    else:
        result = fit(FitSettings(task, RECORD), system(n=2))
    (tmp_path / "confusion.png").write_bytes(b"of an earlier fit")
    files = write_fit(result, tmp_path)
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()} <= set(FILES)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(
        [path for path in files if path.suffix == ".png"]
    )
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    record = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert record["task"] == task and record["score"] == result.score.value
    assert len(record["candidates"]) == {"classify": 2, "regress": 2, "forecast": 0}[task]
    lines = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    assert len(rows) == record["predictions"] == len(result.evaluation.truth)
    if task == "classify":
        assert [row["predicted"] for row in rows] == result.evaluation.predicted.tolist()
        assert sum(row["truth"] == row["predicted"] for row in rows) == round(18 * record["score"])
    else:
        errors = [float(row["truth"]) - float(row["predicted"]) for row in rows]
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(errors))), record["score"])
        assert all(float(row["low95"]) <= float(row["high95"]) for row in rows)


def test_a_subset_is_counted_as_its_source_counts(tmp_path):
    data = load("digits", n=30, seed=3, standardize="none")
    result = fit(FitSettings("classify", ONE, folds=2), data)
    assert (result.numbers - 1).tolist() == data.selection["rows"]


def test_a_saved_model_predicts_as_before(tmp_path, classes, classified):
    write_fit(classified, tmp_path)
    found = predict(model_of(tmp_path), classes)
    expected = classified.model.predict(classes.x, lengths=classes.lengths)
    assert found.columns == ["series", "predicted", "p(fast)", "p(slow)"]
    assert [row[1] for row in found.rows] == expected.tolist()


def test_forecasts_of_a_saved_model_are_those_of_the_fit(tmp_path):
    record, later = system(), system(seed=1)
    result = fit(FitSettings("forecast", RECORD), record, later)
    save(result.model, tmp_path / "model.npz")
    rows = np.array(list(predict(model_of(tmp_path), later).rows))
    np.testing.assert_allclose(rows[:, 2], result.evaluation.predicted, atol=1e-9)
    half = result.evaluation.bands[:, -1]
    np.testing.assert_allclose(rows[:, 4] - rows[:, 3], 2 * half, atol=1e-9)


def test_labels_with_fractions_are_numbers(classes, numbers):
    assert task_of(classes) == "classify" and task_of(numbers) == "regress"


REFUSED = {
    "task: got 'sort'": lambda c, n: FitSettings("sort"),
    "cv: got 1": lambda c, n: FitSettings("classify", folds=1),
    "cv: got 10 folds of waves, which has 9 series of the most": lambda c, n: fit(
        FitSettings("classify", folds=10), c
    ),
    "cv: got 19 folds of rates": lambda c, n: fit(FitSettings("regress", folds=19), n),
    "cv: got 3 beside a test set": lambda c, n: fit(FitSettings("classify", folds=3), c, c),
    "data: got waves without labels": lambda c, n: fit(
        FitSettings("classify"), c._replace(labels=None)
    ),
    "task: got 'regress' with labels such as": lambda c, n: fit(FitSettings("regress"), c),
    "test: got 2 channels, expected 1": lambda c, n: fit(
        FitSettings("classify"), c, c._replace(x=np.repeat(c.x, 2, axis=2))
    ),
    "test: got the class 'none'": lambda c, n: fit(
        FitSettings("classify"), c, c._replace(labels=np.array(["none"] * 18))
    ),
    "data: got Dataset for the task 'forecast'": lambda c, n: fit(FitSettings("forecast"), c),
    "test: got 2 inputs, expected 1": lambda c, n: fit(
        FitSettings("forecast"), system(), system()._replace(x=np.zeros((1, 64, 2)))
    ),
    "architecture: got the readout 'mean'": lambda c, n: fit(FitSettings("forecast", ONE), system()),
    "cv: got 9 parts of the last quarter of 16 steps": lambda c, n: fit(
        FitSettings("forecast", RECORD, folds=9), system(16)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message, classes, numbers):
    with pytest.raises((TypeError, ValueError), match="^" + re.escape(message)):
        REFUSED[message](classes, numbers)


def test_one_class_of_one_series_each_has_no_folds(classes):
    apart = classes._replace(labels=np.array([f"class {i}" for i in range(18)]))
    with pytest.raises(ValueError, match="cv: got 5 folds of waves, which has 1 series"):
        fit(FitSettings("classify"), apart)


def test_records_are_read_from_tables(tmp_path):
    (tmp_path / "one.csv").write_text("level,pump,valve\n1,2,3\n4,5,6\n7,8,9\n")
    for target in ("level", 1, -3):
        found = records(tmp_path / "one.csv", target=target)
        assert found.x[0].tolist() == [[2, 3], [5, 6], [8, 9]] and found.y[0].tolist() == [1, 4, 7]
    rows = ["id\tt\tu\ty", "b\t2\t1.5\t3", "a\t1\t2.5\t4", "b\t1\t0.5\t2"]
    (tmp_path / "two.tsv").write_text("\n".join(rows))
    found = records(tmp_path / "two.tsv", target="y", long="id,t")
    assert found.lengths.tolist() == [2, 1] and found.x[:, :, 0].tolist() == [[0.5, 1.5], [2.5, 0]]
    assert found.y.tolist() == [[2, 3], [4, 0]]
    assert found.describe() == "two: 2 records of 1 to 2 steps, 1 input, output y"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("u,y\n1,2\n", {"target": "z"}, "target: .*no column named 'z'"),
        ("u,y\n1,2\n", {"target": None}, "target: got None"),
        ("u,y\n1,2\n", {"target": 0}, "target: got 0"),
        ("u,y\n1,2\n3,\n", {"target": "y"}, "line 3, column 2: the output is empty"),
        ("u,y\n1,2\n,4\n5,6\n", {"target": "y"}, "line 3, column 1: got a missing value"),
        ("y\n1\n2\n", {"target": "y"}, "has one column"),
        ("time,u,y\n0,1,2\n1,2,3\n", {"target": "y"}, "column 1"),
    ],
)
def test_tables_that_hold_no_records(tmp_path, text, options, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises((TypeError, ValueError), match=message):
        records(tmp_path / "a.csv", **options)


def test_records_stand_in_tables(tmp_path):
    (tmp_path / "a.txt").write_text("u,y\n1,2\n")
    with pytest.raises(ValueError, match=r"suffix '\.txt'"):
        records(tmp_path / "a.txt", target="y")

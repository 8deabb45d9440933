"""The commands that fit, predict and evaluate: options, output, and what they say when wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_cli import call, plain

from ntkrnn import LSTM, Elman
from ntkrnn.cli._stop import Terminated
from ntkrnn.estimators import load as load_model
from ntkrnn.studies import StudyError

SMALL = ("--architecture", "elman", "--nonlinearity", "relu", "--b-std", "0.3")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Waves of two rates with their classes, as tables to learn from and to predict; and a system."""
    folder = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    x = np.sin(np.arange(10) / (1 + np.arange(24) % 2)[:, None]) + 0.2 * rng.normal(size=(24, 10))
    names = np.where(np.arange(24) % 2, "slow", "fast")
    head = ",".join(f"s{i}" for i in range(10))
    for name, rows in (("train", slice(16)), ("later", slice(16, 24))):
        lines = [
            ",".join([*map(str, row), label]) for row, label in zip(x[rows], names[rows], strict=True)
        ]
        (folder / f"{name}.csv").write_text("\n".join([f"{head},class", *lines]) + "\n")
        bare = [line.rsplit(",", 1)[0] for line in lines]
        (folder / f"{name}-bare.csv").write_text("\n".join([head, *bare]) + "\n")
    u = rng.normal(size=48)
    y = np.convolve(u, [0.5, 0.25])[:48]
    lines = [f"{a},{b}" for a, b in zip(u, y, strict=True)]
    (folder / "system.csv").write_text("\n".join(["pump,level", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def fitted(tables, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "fit"
    options = ("--data", str(tables / "train.csv"), "--label-column", "class", *SMALL)
    return call("fit", *options, "--test", str(tables / "later.csv"), "--out", str(out)), out


def test_fit_prints_the_candidates_and_the_score(fitted):
    result, out = fitted
    text, record = plain(result.stdout), json.loads((out / "fit.json").read_text(encoding="utf-8"))
    assert "train: 16 sequences, 10 steps, 1 channel later: 8 sequences" in text
    for one in record["candidates"]:
        assert f"{one['leave_one_out_error']:.4g}" in text and one["ridge"] > 0
    assert sum(one["chosen"] for one in record["candidates"]) == 1
    low, high = record["interval"]
    assert f"accuracy {record['score']:.3f}, 95% interval ({low:.3f}, {high:.3f}), of later" in text
    assert str(out / "report.html") in text.replace(" ", "")
    assert load_model(out / "model.npz").architecture_[0] == Elman(
        nonlinearity="relu", b_std=0.3, readout="mean"
    )


def test_predict_prints_what_it_writes(fitted, tables, tmp_path):
    _, out = fitted
    options = ("predict", "--model", str(out), "--data", str(tables / "later-bare.csv"))
    printed = call(*options).stdout
    assert (
        printed.splitlines()[0] == "series,predicted,p(fast),p(slow)" and len(printed.splitlines()) == 9
    )
    assert "8 predictions in" in plain(call(*options, "--out", str(tmp_path / "p.csv")).stdout)
    assert (tmp_path / "p.csv").read_text(encoding="utf-8") == printed


def test_a_forecast_from_the_command_line(tables, tmp_path):
    options = ("--data", str(tables / "system.csv"), "--target", "level")
    text = plain(call("fit", *options, "--out", str(tmp_path)).stdout)
    assert "system: 1 record of 48 steps, 1 input, output level" in text
    assert "log_marginal_likelihood" in text and "the last quarter of system from its inputs" in text
    assert (tmp_path / "forecast.png").exists()
    printed = call("predict", "--model", str(tmp_path), *options).stdout.splitlines()
    assert printed[0] == "series,step,predicted,low95,high95" and len(printed) == 49
    refused = call("predict", "--model", str(tmp_path), *options[:2], expect=2)
    assert "--target: got None, expected its column" in plain(refused.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--w-std", "1.2"), "--w-std: is an option of one network"),
        (("--bidirectional",), "--bidirectional: is an option of one network"),
        (("--architecture", "rnn"), "--architecture: got 'rnn'"),
        (("--task", "forecast"), "--target: got nothing"),
        (("--task", "classify", "--target", "y"), "--target: got 'y' with --task classify"),
        (("--target", "y", "--label-column", "y"), "--label-column: got 'y' beside --target"),
        (("--target", "y", "--n", "3"), "--n: got 3 with --target"),
        (("--task", "sort"), "task: got 'sort'"),
        (("--cv", "1"), "cv: got 1"),
        (("--test", "digits", "--cv", "3"), "cv: got 3 beside a test set"),
        (("--kernel", "rbf"), "kernel: got 'rbf'"),
        (("--data", "nothing.csv"), "there is no file"),
    ],
)
def test_fit_refuses(options, message, tmp_path):
    result = call("fit", *options, "--out", str(tmp_path / "new"), expect=2)
    assert message in plain(result.stderr)
    assert not list(tmp_path.rglob("*.*"))


def test_fit_is_stopped_without_a_trace(monkeypatch, tmp_path):
    def stop(*given):
        raise Terminated

    monkeypatch.setattr("ntkrnn.studies.fit.fit", stop)
    result = call("fit", "--n", "20", "--out", str(tmp_path), expect=143)
    assert "stopped; nothing of this run is kept" in plain(result.stderr)
    assert not list(tmp_path.iterdir())


def test_predict_refuses_what_is_no_model(fitted, tables, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"nothing")
    data = ("--data", str(tables / "later-bare.csv"))
    refused = call("predict", "--model", str(tmp_path / "a.npz"), *data, expect=2)
    assert "holds no model" in plain(refused.stderr)
    assert "No such file" in plain(call("predict", "--model", str(tmp_path), *data, expect=2).stderr)
    _, out = fitted
    refused = call("predict", "--model", str(out), "--data", "digits", expect=2)
    assert "got d=8 channels, expected d=1" in plain(refused.stderr)
    refused = call("predict", "--model", str(out), *data, "--target", "y", expect=2)
    assert "expected no such option" in plain(refused.stderr)


def test_evaluate_prints_scores_and_goes_on(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x = np.sin(np.arange(9) / (1 + np.arange(20) % 2)[:, None]) + 0.2 * rng.normal(size=(20, 9))
    y = np.arange(20) % 2
    for name in ("one", "two"):
        np.savez(tmp_path / f"{name}.npz", X_train=x[:10], y_train=y[:10], X_test=x[10:], y_test=y[10:])
    (tmp_path / "published_accuracy.csv").write_text("dataset,Other,Third\none,50,90\ntwo,100,80\n")
    options = ("evaluate", "--suite", "ucr", "--data-dir", str(tmp_path), *SMALL)
    out = ("--out", str(tmp_path / "out"))
    text = plain(call(*options, *out).stdout)
    record = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in record["sets"]] == ["one", "two"]
    for one in record["sets"]:
        assert f"{one['name']} {one['score']:.4f}" in text
    assert "Against published_accuracy.csv" in text and "mean accuracy" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "pieces", "results.csv", "results.json", "results.md", "ranks.png",
    }  # fmt: skip

    def stop(*given):
        raise AssertionError("fitted again")

    monkeypatch.setattr("ntkrnn.studies.evaluate._run._measured", stop)
    assert plain(call(*options, *out, "--resume").stdout) == text


def test_evaluate_passes_its_options_on(monkeypatch, tmp_path):
    seen = {}

    def stop(settings, source, names, report, store):
        seen.update(settings=settings, names=names)
        raise StudyError("stopped here")

    monkeypatch.setattr("ntkrnn.studies.evaluate.evaluate", stop)
    options = ("--suite", "uci", "--data-dir", str(tmp_path), "--sets", "iris, zoo", "--kernel", "ntk")
    network = ("--architecture", "lstm", "--b-std", "0.3", "--seed", "4")
    result = call("evaluate", *options, *network, "--out", str(tmp_path / "out"), expect=2)
    assert "stopped here" in plain(result.stderr)
    settings = seen["settings"]
    assert settings.architecture == LSTM(b_std=0.3, readout="mean") and seen["names"] == ("iris", "zoo")
    assert (settings.suite, settings.kernel, settings.seed) == ("uci", "ntk", 4)
    refused = call("evaluate", "--suite", "uci", "--data-dir", "nowhere", "--out", "o", expect=2)
    assert "--data-dir: got 'nowhere'" in plain(refused.stderr)

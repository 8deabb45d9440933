"""The estimators on sets with published splits: layouts, scores, and the comparison with others."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.io import savemat

from ntkrnn import Elman
from ntkrnn.estimators import RecurrentKernelClassifier
from ntkrnn.studies import Pieces, StudyError, fingerprint
from ntkrnn.studies.evaluate import (
    EvaluateSettings,
    Published,
    SetScore,
    against,
    evaluate,
    in_shares,
    mean_ranks,
    read_published,
    score_columns,
    score_rows,
    write_evaluate,
)
from ntkrnn.studies.evaluate._sets import digest, sets_of

ONE = Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3, readout="mean")
UCR = EvaluateSettings("ucr", ONE)
SYSID = EvaluateSettings("sysid", Elman(nonlinearity="erf", w_std=0.9, b_std=0.3, readout="sequence"))
rng = np.random.default_rng(0)
X = np.round(
    np.sin(np.arange(12) / (1 + np.arange(16) % 2)[:, None]) + 0.4 * rng.normal(size=(16, 12)), 4
)
Y = np.arange(16) % 2 + 1


def write_ts(path, x, y, real=False):
    head = f"@univariate {str(x.ndim == 2).lower()}\n@{'target' if real else 'class'}Label true\n"
    channels = x[:, None] if x.ndim == 2 else np.moveaxis(x, 2, 1)
    lines = [":".join(",".join(map(str, row)) for row in one) for one in channels]
    body = "\n".join(f"{line}:{label}" for line, label in zip(lines, y, strict=True))
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{head}@data\n{body}\n")


@pytest.fixture
def archive(tmp_path):
    """Waves in three layouts; a set of several channels; one of real numbers."""
    for half, rows in (("TRAIN", slice(8)), ("TEST", slice(8, 16))):
        write_ts(tmp_path / "AsTs" / f"AsTs_{half}.ts", X[rows], Y[rows])
        np.savetxt(tmp_path / f"AsTsv_{half}.tsv", np.c_[Y, X][rows], delimiter="\t", fmt="%.6g")
        write_ts(tmp_path / "Two" / f"Two_{half}.ts", np.stack([X, X**2], 2)[rows], Y[rows])
        write_ts(tmp_path / "Real" / f"Real_{half}.ts", X[rows], Y[rows] + 0.5, real=True)
    np.savez(
        tmp_path / "AsNpz.npz", X_train=X[:8, :, None], y_train=Y[:8], X_test=X[8:, :, None],
        y_test=Y[8:], len_train=np.full(8, 12), len_test=np.full(8, 12),
    )  # fmt: skip
    return tmp_path


def test_every_layout_of_series_holds_the_same(archive):
    found = evaluate(UCR, archive)
    assert [one.name for one in found] == ["AsNpz", "AsTs", "AsTsv"]
    direct = RecurrentKernelClassifier(ONE).fit(X[:8], Y[:8]).score(X[8:], Y[8:])
    assert [one.score for one in found] == [direct] * 3
    assert found[0].sizes.tolist() == [8, 12, 1, 2] and found[0].tests.tolist() == [8]
    assert (found[0].seconds > 0).all()


def test_several_channels_are_another_suite(archive):
    (found,) = evaluate(EvaluateSettings("uea", ONE), archive)
    assert found.name == "Two" and found.sizes.tolist() == [8, 12, 2, 2]


def test_tables_have_the_splits_of_their_archive(tmp_path):
    folder = tmp_path / "tab"
    folder.mkdir()
    rows = "".join(
        f"{i + 1}\t" + "\t".join(map(str, row)) + f"\t{y}\n"
        for i, (row, y) in enumerate(zip(X, Y, strict=True))
    )
    (folder / "tab_R.dat").write_text(
        "\t".join(["", *(f"f{i}" for i in range(12)), "clase"]) + "\n" + rows
    )
    folds = [(np.delete(np.arange(16), np.arange(i, 16, 4)), np.arange(i, 16, 4)) for i in range(4)]
    (folder / "conxuntos_kfold.dat").write_text(
        "\n".join(" ".join(map(str, part)) for fold in folds for part in fold)
    )
    named = {
        f"fold{i}_{half}": part
        for i, fold in enumerate(folds)
        for half, part in zip(("train", "test"), fold, strict=True)
    }
    np.savez(tmp_path / "again.npz", X=X, y=Y, **named)
    again, tab = evaluate(EvaluateSettings("uci", ONE), tmp_path)
    expected = [RecurrentKernelClassifier(ONE).fit(X[a], Y[a]).score(X[b], Y[b]) for a, b in folds]
    assert tab.scores.tolist() == again.scores.tolist() == expected
    assert tab.score == np.mean(expected) and tab.tests.tolist() == [4] * 4


def test_systems_are_read_from_mat_csv_and_npz(tmp_path):
    u = rng.normal(size=80)
    y = np.convolve(u, 0.5 ** np.arange(6))[:80]
    parts = {"uEst": u[:40], "yEst": y[:40], "uVal": u[40:], "yVal": y[40:]}
    savemat(tmp_path / "a.mat", parts)
    names = ("u_train", "y_train", "u_test", "y_test")
    np.savez(tmp_path / "b.npz", **dict(zip(names, parts.values(), strict=True)))
    np.savetxt(
        tmp_path / "c.csv",
        np.c_[tuple(parts.values())],
        delimiter=",",
        header=",".join(parts),
        comments="",
        fmt="%.17g",
    )
    found = evaluate(SYSID, tmp_path)
    assert [one.name for one in found] == ["a", "b", "c"]
    np.testing.assert_allclose([one.score for one in found], found[0].score, rtol=1e-6)
    assert found[0].score < y[40:].std() and 0.5 < found[0].covered[0] <= 1
    assert score_columns(SYSID, None)[6:] == ("RMSE", "in 95% bands", "fit s")
    assert len(score_rows(SYSID, found, None)[0]) == len(score_columns(SYSID, None))


def test_finished_sets_are_not_fitted_again(archive, tmp_path, monkeypatch):
    marks = fingerprint(UCR)
    with Pieces(tmp_path / "pieces", marks, resume=False) as pieces:
        first = evaluate(UCR, archive, ["AsTs"], store=pieces)
    monkeypatch.setattr(RecurrentKernelClassifier, "fit", None)
    with Pieces(tmp_path / "pieces", marks, resume=True) as pieces:
        again = evaluate(UCR, archive, ["AsTs"], store=pieces)
        assert [one.score for one in again] == [one.score for one in first]
        # A set whose data changed is another one.
        write_ts(archive / "AsTs" / "AsTs_TEST.ts", X[8:] + 1, Y[8:])
        with pytest.raises(StudyError, match="AsTs"):
            evaluate(UCR, archive, ["AsTs"], store=pieces)


def test_a_digest_tells_sets_apart(archive):
    sets = {one.name: digest(one.read()) for one in sets_of("ucr", archive)}
    assert sets["AsTs"] != sets["Two"] and sets["AsTs"] == digest(sets_of("ucr", archive)[1].read())


def score_of(name, value):
    one = np.array([value])
    return SetScore(name, one, np.array([np.nan]), np.array([10]), np.ones(1), np.array([5, 9, 1, 2]))


SCORES = [score_of("a", 0.9), score_of("b", 0.8), score_of("c", 0.7), score_of("d", 0.6)]
THEIRS = Published(
    ("good", "poor", "rare"),
    {
        "a": np.array([0.95, 0.5, np.nan]),
        "b": np.array([0.8, 0.5, np.nan]),
        "c": np.array([0.75, 0.7, 0.1]),
        "z": np.array([1.0, 1.0, 1.0]),
    },
    "made.csv",
)


def test_wins_and_losses_are_on_the_sets_of_both():
    good, poor, rare = against(UCR, SCORES, THEIRS)
    assert (good.method, good.sets, good.wins, good.ties, good.losses) == ("good", 3, 0, 1, 2)
    assert good.ours == pytest.approx(0.8) and good.theirs == pytest.approx(2.5 / 3)
    assert (poor.wins, poor.ties, poor.losses) == (2, 1, 0)
    assert (rare.sets, rare.ours, rare.theirs) == (1, 0.7, 0.1) and np.isnan(rare.p)


def test_errors_win_where_they_are_smaller():
    found = {one.method: one for one in against(SYSID, SCORES, THEIRS)}
    assert (found["good"].wins, found["good"].ties, found["good"].losses) == (2, 1, 0)


def test_ranks_by_hand():
    found = mean_ranks(UCR, SCORES, THEIRS)
    # Sets a, b, c; of the methods rare has a third of them. Ties share a rank.
    assert found.methods == ("ntkrnn", "good", "poor") and found.sets == ("a", "b", "c")
    np.testing.assert_allclose(found.ranks, [(2 + 1.5 + 2.5) / 3, (1 + 1.5 + 1) / 3, (3 + 3 + 2.5) / 3])
    assert mean_ranks(UCR, SCORES[3:], THEIRS) is None


def test_wilcoxons_test_is_that_of_six_sets():
    scores = [score_of(str(i), 0.5 + 0.01 * i) for i in range(8)]
    theirs = Published(("other",), {str(i): np.array([0.4]) for i in range(8)}, "")
    # All eight signs agree: twice (1/2)^8.
    assert against(UCR, scores, theirs)[0].p == pytest.approx(2 / 2**8)


def test_published_tables(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text("dataset,train,test,One,Two words\na,10,20,91.5,\nb,10,20,50,100\n")
    found = in_shares(read_published(path), UCR)
    assert found.methods == ("One", "Two words")
    np.testing.assert_allclose(found.scores["a"], [0.915, np.nan])
    np.testing.assert_allclose(found.scores["b"], [0.5, 1.0])
    assert in_shares(read_published(path), SYSID).scores["b"].tolist() == [50, 100]


@pytest.mark.parametrize(
    "text", ["", "dataset\n", "dataset,A\n", "dataset,A\nx,much\n", "dataset,A,B\nx,1\n"]
)
def test_what_is_no_published_table(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(StudyError, match=r"p\.csv"):
        read_published(tmp_path / "p.csv")


def test_files_of_an_evaluation(tmp_path):
    scores = [score_of(name, 0.9 - 0.05 * i) for i, name in enumerate("abcdefg")]
    theirs = Published(
        ("A", "B"), {n: np.array([0.8, 0.1 * i]) for i, n in enumerate("abcdefg")}, "x.csv"
    )
    files = write_evaluate(UCR, scores, theirs, tmp_path)
    assert [path.name for path in files] == ["results.json", "results.csv", "results.md", "ranks.png"]
    record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [one["score"] for one in record["sets"]] == [one.score for one in scores]
    assert record["against"][0]["method"] == "A" and set(record["mean_ranks"]) == {"ntkrnn", "A", "B"}
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "| a | 5 | 10 | 9 | 1 | 2 | 0.9000 | 1.0 | 0.8000 | 0.0000 |" in text
    assert "mean accuracy 0.7500 over 7 sets" in text
    files = write_evaluate(UCR, scores, None, tmp_path)
    assert "ranks.png" not in {path.name for path in tmp_path.iterdir()} and len(files) == 3


@pytest.mark.parametrize(
    ("suite", "write", "message"),
    [
        ("ucr", {}, "has no sets of the suite 'ucr'"),
        ("ucr", {"a.npz": {"X": X}}, "a: .*has no array 'X_train'"),
        ("uci", {"a.npz": {"X": X}}, "a: .*has no array 'y'"),
        ("sysid", {"a.npz": {"u": X}}, "a: .*expected u_train"),
        ("sysid", {"a.mat": b"nothing"}, r"a: .*not a \.mat file"),
        ("ucr", {"a.npz": b"nothing"}, "a: .*cannot be read"),
        (
            "ucr",
            {"a.npz": {"X_train": X[:4], "y_train": Y[:4] * 0 + 1, "X_test": X[4:], "y_test": Y[4:]}},
            "a: y: got one class",
        ),
    ],
)
def test_folders_that_hold_no_sets(tmp_path, suite, write, message):
    for name, content in write.items():
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        else:
            np.savez(tmp_path / name, **content)
    with pytest.raises(StudyError, match=message):
        evaluate(EvaluateSettings(suite), tmp_path)


def test_a_set_that_is_not_there(archive):
    with pytest.raises(StudyError, match="has no set 'AsTz'; found AsNpz, AsTs"):
        evaluate(UCR, archive, ["AsTz"])
    with pytest.raises(ValueError, match="suite: got 'mnist'"):
        EvaluateSettings("mnist")

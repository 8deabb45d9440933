"""Trajectory studies: what they say, what they keep, and that being killed does not show."""

import dataclasses
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import ntkrnn
from ntkrnn.cli import app
from ntkrnn.data import load
from ntkrnn.studies import (
    Pieces,
    StudyError,
    TrajectorySettings,
    fingerprint,
    trajectory,
    write_trajectory,
)
from ntkrnn.studies.contrast import contrast, contrast_cases
from ntkrnn.studies.targets import targets_of
from ntkrnn.studies.trajectory_files import FILES
from ntkrnn.studies.trajectory_run import NEEDS, automatic_step, prepare
from ntkrnn.studies.trajectory_summary import fitted, not_finite, parts, suprema

SMALL = ["--n", "12", "--widths", "4,32", "--seeds", "2", "--steps", "20", "--batch-size", "4"]
SMALL += ["--target", "regression", "--no-contrast"]


@pytest.fixture(scope="module")
def digits():
    return load("digits", n=24)


@pytest.fixture(scope="module")
def result(digits):
    settings = TrajectorySettings(
        ntkrnn.Elman(b_std=0.1),
        widths=(8, 256),
        seeds=3,
        steps=40,
        batch_size=6,
        momentum=0.5,
        target="regression",
        contrast=False,
    )
    return trajectory(settings, digits)


def test_wide_networks_obey_and_narrow_ones_do_not(result):
    """Deviation, drift and movement of a neuron all shrink, by more than their spread over seeds."""
    for name in ("deviation_train", "deviation_test", "deviation_train_infinite", "drift"):
        narrow, wide = suprema(result, name)
        assert wide.max() < 0.5 * narrow.min(), name
    narrow, wide = suprema(result, "movement_neuron_w")
    assert wide.max() < narrow.min()
    # All runs learn, and both predictions say so.
    for piece in (piece for row in result.pieces for piece in row):
        assert piece["loss"][-1] < 0.5 * piece["loss"][0]
        assert piece["deviation_train"][0] == 0
        np.testing.assert_allclose(piece["loss"][0], piece["loss_linear"][0], rtol=1e-5)
        np.testing.assert_allclose(piece["loss"][0], piece["loss_infinite"][0], rtol=1e-5)


@pytest.mark.slow
def test_the_contrast_is_one(digits):
    settings = TrajectorySettings(ntkrnn.Elman(), widths=(64, 1024))
    problem, _ = prepare(settings, digits)
    wide, narrow, large = (contrast(settings, problem, *case) for case in contrast_cases(settings))
    part = [np.abs(np.log(c["loss"] / c["loss_linear"])).max() for c in (wide, narrow)]
    assert part[0] < 0.5 * part[1]
    # Beyond the largest stable step the linearised network diverges; the network finds a flatter place.
    assert large["loss_linear"][-1] > 1e6
    assert large["loss"][-1] < large["loss"][0]
    assert large["learning_rate"] == pytest.approx(2 * large["largest_step_before"])
    assert large["largest_step_after"] > 1.2 * large["largest_step_before"]


def test_the_mean_over_seeds_is_told_from_their_spread(result):
    """Made-up deviations with a known mean and a known spread."""
    rng = np.random.default_rng(0)
    seeds, size = 10, 4000
    made = [
        [
            {**result.pieces[0][0], "difference_test": 0.3 + 0.4 * rng.normal(size=(size, 1))}
            for _ in range(seeds)
        ]
        for _ in range(2)
    ]
    found = parts(result._replace(pieces=made))
    # Standard errors: of the mean over 40,000 numbers, and of a variance of as many.
    assert np.abs(found.shared - 0.3).max() < 5 * 0.4 / np.sqrt(seeds * size)
    rms = np.sqrt(np.mean(found.spread**2, axis=1))
    assert np.abs(rms - 0.4).max() < 5 * 0.4 / np.sqrt(2 * (seeds - 1) * size)


def test_files(result, tmp_path):
    files = write_trajectory(result, tmp_path)
    assert [file.name for file in files] == [
        "trajectory.json",
        "trajectory.npz",
        "loss_curves.png",
        "deviation_vs_width.png",
        "kernel_drift.png",
    ]
    record = json.loads(files[0].read_text())
    for name in ("deviation_train", "deviation_test", "deviation_train_infinite"):
        assert np.shape(record["sup_deviation"][name]) == (2, 3)
        slope = record["slopes"][name]
        assert slope["interval"][0] < slope["slope"] < slope["interval"][1]
    assert np.shape(record["kernel_drift"]) == (2, 3)
    assert np.shape(record["movement"]["neuron_w"]) == (2, 3)
    assert np.shape(record["final_loss"]["test_loss"]) == (2, 3)
    assert 0 < np.max(record["changed_signs"]) < 1
    with np.load(files[1]) as arrays:
        np.testing.assert_array_equal(arrays["drift"].max(axis=2), record["kernel_drift"])


def diverged(result):
    """As if what is predicted had left the floats in one run, and the whole of another."""
    pieces = [list(row) for row in result.pieces]
    late = np.where(pieces[0][0]["steps"] > 20, np.inf, 1.0)
    pieces[0][1] = {**pieces[0][1], "loss_linear": pieces[0][1]["loss_linear"] * late}
    pieces[0][2] = {
        name: value if name == "steps" else np.full(np.shape(value), np.nan)
        for name, value in pieces[0][2].items()
    }
    return result._replace(pieces=pieces)


def test_runs_that_diverge_are_told_and_left_out(result, tmp_path):
    broken = diverged(result)
    found = not_finite(broken)
    assert [(run["width"], run["seed"]) for run in found] == [(8, 1), (8, 2)]
    assert (found[0]["from_step"], found[0]["figures"]) == (22, ["loss_linear"])
    assert found[1]["from_step"] == 0 and "loss" in found[1]["figures"]
    fit = fitted(broken, "deviation_train")
    assert np.isnan(fit.slope) and fit.left_out == (8,)
    assert np.isnan(parts(broken).spread_fit.slope)
    # The infinite kernel's prediction is finite in the second run.
    lost = np.isnan(suprema(broken, "deviation_train_infinite"))
    np.testing.assert_array_equal(lost, [[False, False, True], [False] * 3])
    record = json.loads(write_trajectory(broken, tmp_path)[0].read_text())
    assert record["runs_not_finite"] == found
    assert {"final_loss.loss_linear", "kernel_drift", "slopes.drift.slope"} <= set(record["not_finite"])
    assert record["slopes"]["deviation_train"] == {
        "slope": None,
        "interval": [None, None],
        "confidence": 0.95,
        "widths_left_out": [8],
    }
    assert record["sup_deviation"]["deviation_train"][0][1:] == [None, None]
    assert all(value is not None for value in record["sup_deviation"]["deviation_train"][1])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES[:-1])


def test_a_study_writes_its_files_whatever_the_step(tmp_path):
    """Every run diverges at once."""
    options = [option for option in SMALL if option not in ("--batch-size", "4")] + ["--lr", "1e30"]
    done = CliRunner().invoke(app, ["trajectory", *options, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    assert re.search(
        r"width 4: 2 of 2 runs are not finite, .* from step \d+ on: in 2 the network", text
    )
    assert "between neighbouring widths none" in text and "nan" not in text
    assert "no slope: at widths 4, 32 a run is not finite" in text and "2 of 2" in text
    record = json.loads((tmp_path / "trajectory.json").read_text())
    assert record["final_loss"]["loss"] == [[None, None], [None, None]]
    assert "final_loss.loss" in record["not_finite"] and len(record["runs_not_finite"]) == 4
    # The batch of 16 is more than there is to train on.
    assert record["settings"]["batch_size"] == 9
    assert (tmp_path / "deviation_vs_width.png").exists()


@pytest.mark.parametrize("lost", [[1.0, 2.0, np.inf, np.nan], [np.nan] * 4], ids=["late", "at once"])
def test_a_contrast_that_diverges_is_told(result, tmp_path, lost):
    steps = np.arange(4)
    case = {"title": "a, b", "width": 8, "learning_rate": 1.0, "steps": steps, "drift": steps * 1.0}
    case |= {"largest_step_before": 0.5, "largest_step_after": np.nan}
    case |= {"loss": np.array(lost), "loss_linear": np.array(lost)}
    files = write_trajectory(result._replace(contrast=[case]), tmp_path)
    record = json.loads(files[0].read_text())
    assert record["contrast"][0]["loss"][2:] == [None, None]
    keys = ("largest_step_after", "loss", "loss_linear")
    assert set(record["not_finite"]) == {f"contrast[0].{key}" for key in keys}
    assert [file.name for file in files] == list(FILES)


@pytest.mark.slow
def test_the_default_step_of_narrow_networks(tmp_path):
    options = ["--widths", "8,16,32", "--seeds", "3", "--steps", "40", "--n", "24"]
    done = CliRunner().invoke(app, ["trajectory", *options, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "trajectory.json").read_text())["settings"]["batch_size"] == 16
    assert (tmp_path / "contrast.png").exists()


def test_the_default_batch_is_no_larger_than_the_training_set():
    settings = TrajectorySettings(ntkrnn.Elman(), widths=(4, 8))
    assert [settings.for_sequences(n).batch_size for n in (8, 20, 24, 1000)] == [6, 15, 16, 16]
    chosen = dataclasses.replace(settings, batch_size=16)
    assert chosen.for_sequences(24) == settings.for_sequences(24)
    with pytest.raises(StudyError, match="batch_size: got 16, expected at most the 6 training"):
        chosen.for_sequences(8)
    assert dataclasses.replace(settings, batch_size=None).for_sequences(8).batch_size is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "elman"}, "architecture: got 'elman' of type str, expected an architecture"),
        ({"widths": 8}, "widths: got 8, expected whole numbers such as"),
        ({"widths": "8,16"}, "widths: got '8,16'"),
        ({"widths": (8, 16.0)}, "widths: got 16.0"),
        ({"widths": (8, 8, 16)}, "widths: got [8, 8, 16], expected every width once"),
        ({"seeds": "3"}, "seeds: got '3'"),
        ({"seed": 0.5}, "seed: got 0.5"),
        ({"target": None}, "target: got None"),
        ({"learning_rate": "auto"}, "learning_rate: got 'auto'"),
        ({"learning_rate": float("inf")}, "learning_rate: got inf"),
        ({"momentum": None}, "momentum: got None"),
        ({"momentum": -0.1}, "momentum: got -0.1"),
        ({"batch_size": "all"}, "batch_size: got 'all'"),
        ({"batch_size": 2.0}, "batch_size: got 2.0"),
        ({"batch_size": True}, "batch_size: got True"),
        ({"steps": 1e3}, "steps: got 1000.0"),
        ({"train_share": 1.0}, "train_share: got 1.0"),
        ({"train_share": float("nan")}, "train_share: got nan"),
        ({"resamples": 10}, "resamples: got 10, expected at least 100"),
        ({"contrast": 1}, "contrast: got 1"),
    ],
)
def test_settings_are_refused_by_name(changes, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        TrajectorySettings(**{"architecture": ntkrnn.Elman(), **changes})
    assert str(caught.value).startswith(message)


def test_the_automatic_step_is_stable_for_every_batch():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(9, 5)) * np.linspace(0.2, 2, 9)[:, None]
    kernel = root @ root.T
    step = automatic_step(kernel, 3, 0.0)
    for _ in range(50):
        rows = rng.choice(9, 3, replace=False)
        assert step <= 2 * 3 / np.linalg.eigvalsh(kernel[np.ix_(rows, rows)])[-1]
    assert automatic_step(kernel, None, 0.5) == pytest.approx(
        0.25 * 2 * 9 / np.linalg.eigvalsh(kernel)[-1]
    )


def test_targets():
    signs, names = targets_of("one-vs-rest", np.array([3, 5, 3, 9]))
    np.testing.assert_array_equal(signs, [[1, -1, -1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]])
    assert names == ("3", "5", "9")
    values, _ = targets_of("regression", np.array([1, 2, 6]))
    # Real numbers, as a file says or shows them, are not classes unless they are asked for.
    assert targets_of("auto", np.array([1.0, 2, 6]))[0].tolist() == values.tolist()
    assert targets_of("auto", np.array([3, 5, 3, 9]))[0].tolist() == signs.tolist()
    assert targets_of("one-vs-rest", np.array([1.5, 2, 6]))[0].shape == (3, 3)
    assert values.mean() == pytest.approx(0)
    assert values.std() == pytest.approx(1)
    for labels, message in ((None, "no labels"), ([1, 1], "all labels are 1")):
        with pytest.raises(StudyError, match=message):
            targets_of("one-vs-rest", labels)
    with pytest.raises(StudyError, match="label of row 1 is nan; expected finite numbers"):
        targets_of("regression", [1.5, np.nan])
    with pytest.raises(StudyError, match="are not numbers"):
        targets_of("regression", ["a", "b"])


@pytest.mark.slow
def test_sequences_of_unequal_lengths_and_every_step(digits):
    """Readout "sequence" of padded series: the targets in the padding do not count."""
    lengths = np.arange(24, dtype=np.int32) % 8 + 1
    settings = TrajectorySettings(
        ntkrnn.Elman(readout="sequence"),
        widths=(4, 64),
        seeds=2,
        steps=10,
        target="regression",
        contrast=False,
    )
    found = trajectory(settings, digits._replace(lengths=lengths))
    assert (suprema(found, "deviation_train") > 0).all()
    dirty = digits.x.copy()
    dirty[np.arange(8)[None] >= lengths[:, None]] = np.nan
    again = trajectory(settings, digits._replace(lengths=lengths, x=dirty))
    np.testing.assert_array_equal(suprema(again, "deviation_train"), suprema(found, "deviation_train"))


# What is kept


def arrays_of(folder):
    with np.load(folder / "trajectory.npz") as arrays:
        return {name: arrays[name] for name in arrays}


def assert_same(one, other):
    assert set(one) == set(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def invoke(folder, *options):
    done = CliRunner().invoke(app, ["trajectory", *SMALL, *options, "--out", str(folder)])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    invoke(folder)
    return folder


@pytest.mark.slow
def test_being_killed_does_not_show(uninterrupted, tmp_path):
    """SIGKILL after two runs, one of them then damaged: what is resumed is the same to the bit."""
    command = [sys.executable, "-m", "ntkrnn", "trajectory", *SMALL, "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = next((line for line in process.stderr if line.startswith("2/")), None)
    process.kill()
    process.wait()
    process.stderr.close()
    assert said is not None, "it ended without two runs"
    kept = sorted(path.name for path in (tmp_path / "pieces").glob("*.msgpack"))
    assert {"width-4-seed-0.msgpack", "width-4-seed-1.msgpack"} <= set(kept)
    assert not (tmp_path / "trajectory.json").exists()
    first = tmp_path / "pieces" / "width-4-seed-0.msgpack"
    before = first.read_bytes()
    (tmp_path / "pieces" / "width-4-seed-1.msgpack").write_bytes(before[: len(before) // 2])
    done = invoke(tmp_path, "--resume")
    assert "width-4-seed-1.msgpack is damaged" in " ".join(done.output.split())
    assert first.read_bytes() == before
    assert_same(arrays_of(tmp_path), arrays_of(uninterrupted))


def test_interruption_leaves_what_was_done(uninterrupted, tmp_path, monkeypatch, request):
    """A real SIGINT, while the second run is about to be kept."""
    save = Pieces.save

    def interrupted(self, name, piece):
        if name.endswith("seed-1"):
            signal.raise_signal(signal.SIGINT)
        save(self, name, piece)

    monkeypatch.setattr(Pieces, "save", interrupted)
    # Where tests run in the background of a shell, the signal is ignored from the start.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, handler))
    done = CliRunner().invoke(app, ["trajectory", *SMALL, "--out", str(tmp_path)])
    assert done.exit_code == 130, done.output
    assert "1 of 4 runs are kept" in " ".join(done.output.split())
    with Pieces(tmp_path / "pieces", _marks(), resume=True) as pieces:
        piece = pieces.load("width-4-seed-0", NEEDS)
    assert piece is not None
    np.testing.assert_array_equal(piece["loss"], arrays_of(uninterrupted)["loss"][0, 0])


def _marks():
    settings = TrajectorySettings(
        ntkrnn.Elman(), widths=(4, 32), steps=20, batch_size=4, target="regression"
    )
    return fingerprint(settings, load("digits", n=12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimizer", "adam"], "--optimizer: got 'adam'"),
        (["--lr", "fast"], "--lr: got 'fast'"),
        (["--lr", "-1"], "learning_rate: got -1.0"),
        (["--lr", "nan"], "learning_rate: got nan"),
        (["--lr", "inf"], "learning_rate: got inf"),
        (["--momentum", "nan"], "momentum: got nan"),
        (["--seed", "-1"], "seed: got -1"),
        (["--seed", str(2**70)], "seed: got 1180591620717411303424, expected at most 4294967295"),
        (["--steps", "0"], "steps: got 0"),
        (["--batch-size", "-1"], "batch_size: got -1"),
        (["--n", "1", "--target", "regression"], "train_share: 0.75 of 1 sequences"),
        (["--widths", f"8,{2**31}"], "widths: got 2147483648, expected at most 2147483647"),
        (["--widths", "8,3000000", "--n", "8"], "widths: the parameters of a network of width 3000000"),
        (["--widths", "8"], "widths: got [8]"),
        (["--seeds", "1"], "seeds: got 1"),
        (["--target", "all"], "target: got 'all'"),
        (["--batch-size", "99", "--n", "8"], "batch_size: got 99"),
        (["--momentum", "1"], "momentum: got 1.0"),
        (["--trainable", "v"], "architecture: got trainable=('v',)"),
    ],
)
def test_bad_options_are_named(options, message, tmp_path):
    done = CliRunner().invoke(app, ["trajectory", *options, "--out", str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split()), done.output
    assert not (tmp_path / "trajectory.json").exists()

"""Trajectory studies: what they say, what they keep, and that being killed does not show."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import ntkrnn
from ntkrnn.cli._app import app
from ntkrnn.data import load
from ntkrnn.studies import (
    DamagedPieceWarning,
    Pieces,
    StudyError,
    TrajectorySettings,
    fingerprint,
    trajectory,
    write_trajectory,
)
from ntkrnn.studies.contrast import contrast, contrast_cases
from ntkrnn.studies.targets import targets_of
from ntkrnn.studies.trajectory_run import automatic_step, prepare
from ntkrnn.studies.trajectory_summary import parts, suprema

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
    assert values.mean() == pytest.approx(0)
    assert values.std() == pytest.approx(1)
    for labels, message in ((None, "no labels"), ([1, 1], "all labels are 1")):
        with pytest.raises(StudyError, match=message):
            targets_of("one-vs-rest", labels)
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
    piece = Pieces(tmp_path / "pieces", _marks(), resume=True).load("width-4-seed-0")
    assert piece is not None
    np.testing.assert_array_equal(piece["loss"], arrays_of(uninterrupted)["loss"][0, 0])


def _marks():
    settings = TrajectorySettings(
        ntkrnn.Elman(), widths=(4, 32), steps=20, batch_size=4, target="regression"
    )
    return fingerprint(settings, load("digits", n=12))


def test_pieces_are_whole_or_done_again(tmp_path):
    pieces, name = Pieces(tmp_path, _marks(), resume=False), "width-4-seed-0"
    piece = {"loss": np.arange(3.0, dtype=np.float32), "steps": np.arange(3)}
    assert pieces.load(name) is None
    pieces.save(name, piece)
    assert_same(pieces.load(name), piece)
    content = pieces.path(name).read_bytes()
    for damaged in (content[:-1], b"", b"x" + content, content[:-1] + b"\xff"):
        pieces.path(name).write_bytes(damaged)
        with pytest.warns(DamagedPieceWarning, match=r"width-4-seed-0\.msgpack is damaged"):
            assert pieces.load(name) is None
    assert not list(tmp_path.glob("*.part"))
    pieces.save(name, piece)
    # Anew: what an earlier sweep left is gone. With other settings it is not mixed in.
    with pytest.raises(StudyError, match="holds runs with steps = 20, and now it is 30"):
        Pieces(tmp_path, {**_marks(), "steps": "30"}, resume=True)
    assert Pieces(tmp_path, _marks(), resume=False).load(name) is None
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(StudyError, match="not readable as JSON"):
        Pieces(tmp_path, _marks(), resume=True)


def test_more_seeds_continue_a_sweep():
    """Widths and seeds add runs and change none."""
    before = fingerprint(
        TrajectorySettings(ntkrnn.Elman(), widths=(4, 32), seeds=2), load("digits", n=12)
    )
    after = fingerprint(
        TrajectorySettings(ntkrnn.Elman(), widths=(4, 8, 32), seeds=5), load("digits", n=12)
    )
    assert before == after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--optimizer", "adam"], "--optimizer: got 'adam'"),
        (["--lr", "fast"], "--lr: got 'fast'"),
        (["--lr", "-1"], "learning_rate: got -1.0"),
        (["--widths", "8"], "widths: got [8]"),
        (["--seeds", "1"], "seeds: got 1"),
        (["--target", "all"], "target: got 'all'"),
        (["--batch-size", "99", "--n", "8"], "batch_size: got 99"),
        (["--momentum", "1"], "momentum: got 1.0"),
        (["--trainable", "v"], "architecture: got trainable=('v',)"),
        (["--lr", "1e30", "--n", "8", "--batch-size", "2", "--nonlinearity", "relu"], "is not finite"),
    ],
)
def test_bad_options_are_named(options, message, tmp_path):
    done = CliRunner().invoke(app, ["trajectory", *options, "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split()), done.output
    assert not (tmp_path / "trajectory.json").exists()

"""A file format of somebody's own, read outside of the package: recordings in the WAV format."""

import wave

import numpy as np
import pytest

import ntkrnn
from ntkrnn.data import load
from ntkrnn.estimators import RecurrentKernelClassifier


def read_recordings(path):
    """A list of .wav files with a label each, ``file,label`` a line, as series of amplitudes."""
    series, labels = [], []
    for line in path.read_text().split():
        name, label = line.split(",")
        with wave.open(str(path.parent / name)) as recording:
            frames = np.frombuffer(recording.readframes(recording.getnframes()), np.int16)
            series.append(frames.reshape(-1, recording.getnchannels()) / 2**15)
        labels.append(label)
    return series, labels


@pytest.fixture
def recordings(tmp_path):
    """Two tones in noise, in stereo, of unequal length."""
    rng, lines, truth = np.random.default_rng(0), [], []
    for k in range(24):
        steps, label = 20 + k % 5, ("low", "high")[k % 2]
        phase = (0.3, 0.9)[k % 2] * np.arange(steps)[:, None] + rng.uniform(0, 6, 2)
        values = (2**13 * (np.sin(phase) + 0.1 * rng.standard_normal((steps, 2)))).astype(np.int16)
        with wave.open(str(tmp_path / f"{k}.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(values.tobytes())
        lines.append(f"{k}.wav,{label}")
        truth.append(values / 2**15)
    (tmp_path / "tones.list").write_text("\n".join(lines))
    return tmp_path / "tones.list", truth


def test_what_the_reader_gives_is_what_is_loaded(recordings):
    path, truth = recordings
    tones = load(path, reader=read_recordings, standardize="none")
    assert tones.name == "tones" and tones.x.shape == (24, 24, 2)
    assert tones.reading == ("read as 24 series of 20 to 24 steps and 2 channels, by read_recordings")
    for row, (steps, want) in enumerate(zip(tones.lengths, truth, strict=True)):
        np.testing.assert_array_equal(tones.x[row, :steps], want.astype(np.float32))
        assert not tones.x[row, steps:].any()
    assert list(tones.labels[:2]) == ["low", "high"]


def test_subsets_and_standardisation_are_those_of_every_format(recordings):
    path, _ = recordings
    tones = load(path, reader=read_recordings, n=10, seed=3, standardize="channel")
    valid = np.concatenate([x[:steps] for x, steps in zip(tones.x, tones.lengths, strict=True)])
    # Sums of 250 float32 numbers of size 1.
    np.testing.assert_allclose(valid.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(valid.std(0), 1, atol=1e-5)
    assert tones.selection["of"] == 24 and len(tones.selection["rows"]) == 10


def test_kernels_and_estimators_take_it(recordings):
    path, _ = recordings
    tones = load(path, reader=read_recordings)
    kernel = ntkrnn.network(ntkrnn.Elman()).kernel_fn(tones.x, lengths=tones.lengths).ntk
    assert kernel.shape == (24, 24)
    series = [x[:steps] for x, steps in zip(tones.x, tones.lengths, strict=True)]
    model = RecurrentKernelClassifier().fit(series[:16], tones.labels[:16])
    # The tones are three times apart in frequency: chance would be right on all of eight once in 256.
    assert model.score(series[16:], tones.labels[16:]) == 1


REFUSED = [
    (lambda path: [[1.0, 2.0]], TypeError, r"reader: got list from it"),
    (lambda path: ([], None), ValueError, r"reader: got no series"),
    (lambda path: ([[]], None), ValueError, r"reader: got .* of shape \(0,\) as series 0"),
    (lambda path: ([["a"]], None), ValueError, r"reader: got <U1 of shape \(1,\) as series 0"),
    (lambda path: ([[1.0], [[1.0, 2.0]]], None), ValueError, r"got 2 channels in series 1"),
    (lambda path: ([[1.0], [2.0]], ["a"]), ValueError, r"reader: got labels of shape \(1,\)"),
    (lambda path: ([[1.0, np.nan]], None), ValueError, r"series 0, step 1, channel 0: got a missing"),
    ("wav", TypeError, r"reader: got 'wav', expected a function"),
]


@pytest.mark.parametrize(("reader", "error", "message"), REFUSED)
def test_what_is_no_set_of_series_is_refused(recordings, reader, error, message):
    path, _ = recordings
    with pytest.raises(error, match=message):
        load(path, reader=reader)


def test_columns_and_missing_files_are_refused(recordings):
    path, _ = recordings
    with pytest.raises(ValueError, match="label_column: got 1 for a file that reader reads"):
        load(path, reader=read_recordings, label_column=1)
    with pytest.raises(OSError, match=r"none\.list"):
        load(path.with_name("none.list"), reader=read_recordings)

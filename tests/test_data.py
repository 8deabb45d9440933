"""Loading, subsets and standardisation, on built-in sets and on arrays in files."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntkrnn.data import KINDS, NAMES, load
from ntkrnn.data._standardize import standardize as standardize_array

EPS = float(np.finfo(np.float32).eps)
needs_aeon = pytest.mark.skipif(importlib.util.find_spec("aeon") is None, reason="needs aeon")


def save(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def ragged(tmp_path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A file of 7 sequences of 2 channels and unequal lengths, NaN in the padding."""
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 5.0, (7, 6, 2))
    lengths = np.array([6, 1, 4, 6, 2, 3, 5])
    x[np.arange(6) >= lengths[:, None]] = np.nan
    return save(tmp_path / "ragged.npz", X=x, lengths=lengths, y=np.arange(7)), x, lengths


def test_digits_are_rows_of_pixels():
    digits = load("digits", standardize="none")
    assert digits.x.shape == (1797, 8, 8)
    assert digits.x.dtype == np.float32
    assert digits.lengths is None
    assert digits.labels is not None and digits.labels.shape == (1797,)
    assert digits.x.min() == 0 and digits.x.max() == 16
    assert digits.selection == {"n": 1797, "of": 1797, "seed": None, "rows": None}
    assert digits.reading == ""
    assert digits.describe() == "digits: 1797 sequences, 8 steps, 8 channels, not standardised"


@needs_aeon
@pytest.mark.parametrize(
    ("name", "shape", "variable"),
    [
        ("japanese_vowels", (640, 29, 12), True),
        ("italy_power_demand", (1096, 24, 1), False),
        ("gunpoint", (200, 150, 1), False),
        ("basic_motions", (80, 100, 6), False),
    ],
)
def test_sets_from_aeon(name, shape, variable):
    data = load(name, standardize="none")
    assert data.x.shape == shape
    assert (data.lengths is not None) == variable
    assert data.labels is not None and len(data.labels) == shape[0]
    assert "training rows, then test rows" in data.source


@needs_aeon
def test_japanese_vowels_keep_their_values_and_lengths():
    from aeon.datasets import load_japanese_vowels

    data = load("japanese_vowels", standardize="none")
    series, labels = load_japanese_vowels()
    assert data.lengths is not None and data.labels is not None
    assert data.lengths.tolist() == [one.shape[1] for one in series]
    assert data.labels.tolist() == [int(label) for label in labels]
    for row in (0, 299, 639):
        steps = series[row].shape[1]
        np.testing.assert_array_equal(data.x[row, :steps], series[row].T.astype(np.float32))
        assert not data.x[row, steps:].any()
    assert "7 to 29 steps" in data.describe()


def test_subset_is_seeded_and_in_file_order(tmp_path):
    path = save(tmp_path / "sorted.npz", X=np.arange(50.0)[:, None], y=np.repeat([0, 1], 25))
    a, b = (load(path, n=12, seed=3, standardize="none") for _ in range(2))
    np.testing.assert_array_equal(a.x, b.x)
    rows = a.x[:, 0, 0].astype(int)
    assert rows.tolist() == a.selection["rows"] == sorted(set(rows))
    assert a.labels is not None and set(a.labels) == {0, 1}
    np.testing.assert_array_equal(a.labels, rows >= 25)
    assert a.selection == {"n": 12, "of": 50, "seed": 3, "rows": rows.tolist()}
    assert load(path, n=12, seed=4).selection["rows"] != rows.tolist()
    assert "12 of 50 sequences (seed 3)" in a.describe()


def test_at_most_takes_all_of_a_small_set(tmp_path):
    path = save(tmp_path / "small.npz", X=np.ones((3, 2)))
    assert len(load(path, at_most=5).x) == 3
    assert len(load(path, at_most=2).x) == 2


def test_subset_of_ragged_is_cut_to_its_longest(ragged):
    path, _, lengths = ragged
    data = load(path, n=2, seed=0, standardize="none")
    kept = lengths[data.selection["rows"]]
    assert data.x.shape[1] == kept.max()


def test_padding_is_zero_whatever_stood_there(ragged):
    path, x, lengths = ragged
    for kind in KINDS:
        data = load(path, standardize=kind)
        padding = np.arange(6) >= lengths[:, None]
        assert not data.x[padding].any()
        assert np.isfinite(data.x).all()
    raw = load(path, standardize="none")
    np.testing.assert_array_equal(raw.x[~padding], x[~padding].astype(np.float32))


def test_equal_lengths_need_no_lengths(tmp_path):
    x = np.arange(24.0).reshape(2, 6, 2)
    data = load(save(tmp_path / "cut.npz", X=x, lengths=np.array([4, 4])), standardize="none")
    assert data.lengths is None
    np.testing.assert_array_equal(data.x, x[:, :4].astype(np.float32))


# A mean of k float64 numbers is off by at most k eps64 relative to the largest; what remains is
# one rounding of each entry to float32, which shifts a mean of values of order 3 by at most 3 eps.
@pytest.mark.parametrize("kind", ["global", "channel", "series"])
def test_standardised_entries_have_mean_0_and_std_1(ragged, kind):
    path, x, lengths = ragged
    data = load(path, standardize=kind)
    valid = np.arange(6) < lengths[:, None]
    groups = {
        "global": [data.x[valid]],
        "channel": [data.x[valid][:, c] for c in range(2)],
        "series": [data.x[i, : lengths[i], c] for i in range(7) for c in range(2)],
    }[kind]
    for group in groups:
        group = group.astype(np.float64)
        tolerance = EPS * max(1.0, np.abs(group).max())
        assert abs(group.mean()) <= tolerance
        if group.size > 1:
            assert abs(group.std() - 1) <= 2 * tolerance
    mean, std = (np.array(data.standardization[key]) for key in ("mean", "std"))
    assert mean.shape == {"global": (), "channel": (2,), "series": (7, 2)}[kind]
    # The record says exactly what was done: undoing it gives the source back.
    shape = {"global": (), "channel": (1, 1, 2), "series": (7, 1, 2)}[kind]
    back = data.x * std.reshape(shape) + mean.reshape(shape)
    np.testing.assert_allclose(back[valid], x[valid], rtol=0, atol=2 * EPS * np.abs(x[valid]).max())


@pytest.mark.parametrize("kind", ["global", "channel", "series"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e30])
def test_constants_are_centred_and_left_unscaled(kind, value):
    x, record = standardize_array(np.full((3, 7, 2), value), None, kind)
    assert not x.any()
    assert np.all(np.array(record["std"]) == 1)


def test_only_the_constant_channel_is_left_unscaled():
    x = np.stack([np.full((4, 5), 2.0), np.arange(20.0).reshape(4, 5)], axis=-1)
    y, record = standardize_array(x, None, "channel")
    assert not y[..., 0].any()
    assert record["std"][0] == 1 and record["std"][1] == x[..., 1].std()


def test_standardisation_does_not_touch_the_argument(ragged):
    _, x, lengths = ragged
    before = x.copy()
    standardize_array(x, lengths, "series")
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"source": "digit"}, ValueError, "Did you mean 'digits'?"),
        ({"source": "Digits"}, ValueError, "Did you mean 'digits'?"),
        ({"source": "nothing_like_it"}, ValueError, "neither a built-in name"),
        ({"source": 3}, TypeError, "expected a built-in name"),
        ({"source": "digits", "n": 0}, ValueError, "n: got 0, expected a whole number"),
        ({"source": "digits", "n": 2.5}, ValueError, "n: got 2.5"),
        ({"source": "digits", "n": True}, ValueError, "n: got True"),
        ({"source": "digits", "n": 1798}, ValueError, "has 1797 sequences"),
        ({"source": "digits", "n": 3, "at_most": 3}, ValueError, "give one of the two"),
        ({"source": "digits", "at_most": 0}, ValueError, "at_most: got 0"),
        ({"source": "digits", "seed": -1}, ValueError, "seed: got -1"),
        ({"source": "digits", "standardize": "globl"}, ValueError, "Did you mean 'global'?"),
        ({"source": "digits", "standardize": 1}, ValueError, "none, global, channel, series"),
        ({"source": "no/such.npz"}, FileNotFoundError, "no/such.npz"),
        ({"source": "such.npz"}, FileNotFoundError, "looked from"),
    ],
)
def test_messages(arguments, error, message):
    source = arguments.pop("source")
    with pytest.raises(error) as caught:
        load(source, **arguments)
    assert message in str(caught.value)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError) as caught:
        load("mnist")
    for name in NAMES:
        assert name in str(caught.value)


@pytest.mark.parametrize("name", ["gunpoint", "digits"])
def test_missing_package_says_what_to_install(monkeypatch, name):
    package, remedy = {
        "gunpoint": ("aeon.datasets", 'pip install "ntkrnn[aeon]"'),
        "digits": ("sklearn.datasets", "pip install scikit-learn"),
    }[name]
    monkeypatch.setitem(sys.modules, package, None)  # What a missing module looks like.
    with pytest.raises(ImportError) as caught:
        load(name)
    assert remedy in str(caught.value)


def test_sets_that_aeon_does_not_carry_are_not_downloaded(monkeypatch, tmp_path):
    module = type(sys)("aeon.datasets")
    module.__file__ = str(tmp_path / "__init__.py")
    monkeypatch.setitem(sys.modules, "aeon", type(sys)("aeon"))
    monkeypatch.setitem(sys.modules, "aeon.datasets", module)
    with pytest.raises(FileNotFoundError, match="does not carry GunPoint"):
        load("gunpoint")


@pytest.mark.parametrize(
    ("value", "shown"), [(np.nan, "missing value"), (np.inf, "got inf"), (1e39, "range of float32")]
)
def test_entries_that_are_not_finite_are_located(tmp_path, value, shown):
    x = np.ones((3, 4, 2))
    x[2, 1, 1] = value
    with pytest.raises(ValueError) as caught:
        load(save(tmp_path / "bad.npz", X=x))
    assert shown in str(caught.value) and "row 2, step 1, channel 1" in str(caught.value)


def test_importing_the_package_needs_no_reader():
    code = (
        "import sys, ntkrnn.data; print([m for m in ('sklearn', 'aeon', 'pandas', 'matplotlib') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_pickle_is_ever_loaded(tmp_path):
    trace = tmp_path / "trace"

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(trace),)

    path = save(tmp_path / "bomb.npz", X=np.array([Bomb(), None], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        load(path)
    assert not trace.exists()

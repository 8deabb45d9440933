"""The comparison of finite and infinite width: errors, slopes, files, and two engines."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import ntkrnn
from ntkrnn import dual
from ntkrnn.cli import app
from ntkrnn.data import Dataset, load
from ntkrnn.studies import (
    CompareSettings,
    Engine,
    StudyError,
    compare,
    neural_tangents_engine,
    ntkrnn_engine,
    write_compare,
)
from ntkrnn.studies.memory import check_memory
from ntkrnn.studies.ntkrnn_engine import LIMIT_TOLERANCE

FLOAT = jnp.asarray(0.0).dtype
EPS = float(jnp.finfo(FLOAT).eps)

KEYS = {
    *("architecture", "dataset", "device", "versions", "widths", "seeds", "seconds"),
    *("ntk_error_mean", "ntk_error_std", "ntk_slope", "ntk_slope_interval"),
    *("nngp_error_mean", "nngp_error_std", "nngp_slope", "nngp_slope_interval"),
}


def dataset(n=6, steps=3, channels=2, lengths=None, labels=None, seed=0) -> Dataset:
    x = np.random.default_rng(seed).normal(size=(n, steps, channels)).astype(np.float32)
    if lengths is not None:
        lengths = np.array(lengths, np.int32)
        x[np.arange(steps) >= lengths[:, None]] = 0
    record = {"kind": "none", "over": "nothing", "mean": None, "std": None}
    selection = {"n": n, "of": n, "seed": None, "rows": None}
    return Dataset("made", x, lengths, labels, record, selection, "made for a test")


def _linear_infinite(arch, x, lengths):
    kernel = x[:, -1] @ x[:, -1].T / x.shape[2]
    return kernel, 2 * kernel


def _linear_finite(arch, params, x, lengths):
    states = x[:, -1] @ params["cells"][0]["forward"]["u"].T / np.sqrt(x.shape[2])
    kernel = states @ states.T / arch.width
    return kernel, 2 * kernel


# Kernels of a random projection: their relative error falls as 1/sqrt(width) exactly, at the cost
# of two small products.
LINEAR = Engine("linear", _linear_infinite, _linear_finite)


@pytest.fixture(scope="module")
def linear():
    settings = CompareSettings(ntkrnn.Elman(), widths=(16, 64, 256, 1024), seeds=12, seed=3)
    calls = []
    data = dataset(labels=np.array([1, 0, 1, 0, 2, 2]))
    return compare(settings, data, LINEAR, progress=lambda *call: calls.append(call)), calls


def test_errors_are_relative_frobenius_norms(linear):
    result, _ = linear
    x = jnp.asarray(result.dataset.x, FLOAT)
    arch = dataclasses.replace(result.settings.architecture, width=64)
    init_fn, _, _ = ntkrnn.network(arch)
    # The documented key of the network at (width, seed).
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(3), 64), 5)
    _, params = init_fn(key, (-1, 3, 2))
    expected = np.asarray(_linear_infinite(arch, x, None)[0], np.float64)
    got = np.asarray(_linear_finite(arch, params, x, None)[0], np.float64)
    error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
    # Products of d = 2 and m = 64 terms, each rounded once.
    assert result.nngp_errors[1, 5] == pytest.approx(error, abs=66 * EPS)
    assert result.ntk_errors.shape == result.nngp_errors.shape == (4, 12)


def test_slope_of_a_random_projection_is_minus_one_half(linear):
    result, _ = linear
    for fit in (result.ntk_fit, result.nngp_fit):
        low, high = fit.interval
        # The 95% interval is 3.9 standard errors wide; the truth lies within 4 of them.
        assert abs(fit.slope + 0.5) <= 4 * (high - low) / 3.9
        assert low < fit.slope < high


def test_progress_counts_every_network(linear):
    _, calls = linear
    # The limit, each network before and after, the end.
    assert calls[0] == (0, 0, "infinite width") and calls[-1] == (48, 48, "done")
    networks = calls[1:-1]
    assert [done for done, _, _ in networks] == [at for k in range(48) for at in (k, k + 1)]
    assert {total for _, total, _ in networks} == {48}
    assert networks[0][2] == "width 16, seed 1/12"
    assert networks[1][2].startswith("width 16, seed 1/12: NTK error ")


def test_networks_do_not_depend_on_what_else_is_compared(linear):
    result, _ = linear
    settings = CompareSettings(ntkrnn.Elman(), widths=(256, 64), seeds=3, seed=3)
    part = compare(settings, result.dataset, LINEAR)
    assert part.settings.widths == (64, 256)
    np.testing.assert_array_equal(part.ntk_errors, result.ntk_errors[1:3, :3])
    other = compare(dataclasses.replace(settings, seed=4), result.dataset, LINEAR)
    assert not np.any(other.ntk_errors == part.ntk_errors)
    assert len(np.unique(result.ntk_errors)) == result.ntk_errors.size


def test_one_compilation_a_width():
    traced = []

    def finite(arch, *rest):
        traced.append(arch.width)
        return _linear_finite(arch, *rest)

    settings = CompareSettings(ntkrnn.Elman(), widths=(4, 8, 16), seeds=5)
    compare(settings, dataset(), LINEAR._replace(finite=finite))
    assert traced == [4, 8, 16]


# files


def test_files(linear, tmp_path):
    result, _ = linear
    files = write_compare(result, tmp_path / "new" / "folder")
    assert [file.name for file in files] == [
        "compare.json",
        "kernels.npz",
        "error_vs_width.png",
        "kernels.png",
    ]
    assert sorted(file.name for file in files[0].parent.iterdir()) == sorted(
        file.name for file in files
    )
    for figure in files[2:]:
        content = figure.read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) > 10_000


def test_a_folder_in_the_way_of_a_file(linear, tmp_path):
    (tmp_path / "kernels.npz").mkdir()
    with pytest.raises(OSError):
        write_compare(linear[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kernels.npz"]


def test_json_schema(linear, tmp_path):
    result, _ = linear
    record = json.loads(write_compare(result, tmp_path)[0].read_text(encoding="utf-8"))
    assert set(record) >= KEYS
    assert record["architecture"] == json.loads(
        json.dumps(dataclasses.asdict(ntkrnn.Elman(width=1024)))
    )
    assert ntkrnn.Elman(**record["architecture"]) == ntkrnn.Elman(width=1024)
    assert {key: record["dataset"][key] for key in ("name", "n", "length", "channels")} == {
        "name": "made",
        "n": 6,
        "length": 3,
        "channels": 2,
    }
    assert record["dataset"]["standardization"]["kind"] == "none"
    assert record["widths"] == [16, 64, 256, 1024] and record["seeds"] == 12
    for name, errors in (("ntk", result.ntk_errors), ("nngp", result.nngp_errors)):
        np.testing.assert_allclose(record[f"{name}_error_mean"], errors.mean(axis=1), rtol=1e-15)
        np.testing.assert_allclose(record[f"{name}_error_std"], errors.std(axis=1, ddof=1))
        np.testing.assert_array_equal(record[f"{name}_errors"], errors)
        low, high = record[f"{name}_slope_interval"]
        assert low <= record[f"{name}_slope"] <= high
    assert record["seconds"] >= sum(record["seconds_per_width"]) > 0
    assert record["engine"] == "linear" and record["device"] and "jax" in record["versions"]
    assert record["settings"]["seed"] == 3


def test_kernels_file(linear, tmp_path):
    result, _ = linear
    with np.load(write_compare(result, tmp_path)[1], allow_pickle=False) as kernels:
        assert kernels["finite_widths"].tolist() == [16, 1024]
        assert kernels["ntk_finite"].shape == kernels["nngp_finite"].shape == (2, 6, 6)
        limit = kernels["ntk_infinite"].astype(np.float64)
        for i, kernel in zip((0, -1), kernels["ntk_finite"], strict=True):
            error = np.linalg.norm(kernel - limit) / np.linalg.norm(limit)
            assert error == pytest.approx(result.ntk_errors[i, 0], rel=1e-12)
        np.testing.assert_array_equal(kernels["labels"], result.dataset.labels)
        np.testing.assert_array_equal(kernels["x"], result.dataset.x)


def test_json_names_a_function_of_the_callers_own(linear, tmp_path):
    def bump(x):
        return x * jnp.exp(-x * x)

    arch = ntkrnn.Elman(nonlinearity=dual.nonlinearity(bump))
    settings = dataclasses.replace(linear[0].settings, architecture=arch)
    result = linear[0]._replace(settings=settings)
    record = json.loads(write_compare(result, tmp_path)[0].read_text(encoding="utf-8"))
    assert record["architecture"]["nonlinearity"]["fn"] == "bump"


# messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (64,)}, "at least two different widths"),
        ({"widths": (64, 64)}, "at least two different widths"),
        ({"widths": (64, 128, 64)}, "every width once"),
        ({"widths": (64, 0)}, "widths: got 0"),
        ({"widths": (64, 1.5)}, "widths: got 1.5"),
        ({"seeds": 1}, "the interval over seeds needs two"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"seed": -1}, "seed: got -1"),
        ({"seed": 2**32}, "seed: got 4294967296, expected at most 4294967295"),
        ({"seed": "0"}, "seed: got '0'"),
        ({"seeds": 2.0}, "seeds: got 2.0"),
        ({"seeds": True}, "seeds: got True"),
        ({"widths": 64}, "widths: got 64"),
        ({"widths": None}, "widths: got None"),
        ({"widths": ()}, "at least two different widths"),
        ({"widths": (64, 2**31)}, "widths: got 2147483648, expected at most"),
        ({"resamples": float("nan")}, "resamples: got nan"),
        ({"architecture": None}, "architecture: got None of type NoneType"),
        ({"architecture": ntkrnn.Elman}, "architecture: got <class"),
        ({"resamples": 10}, "resamples: got 10"),
        ({"architecture": ntkrnn.Elman(out_dim=2)}, "out_dim=2"),
    ],
)
def test_settings_messages(options, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        CompareSettings(**{"architecture": ntkrnn.Elman(), **options})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"infinite": lambda arch, x, n: (0 * x[:, 0, 0], x[:, 0, 0])}, "NNGP kernel is zero"),
        ({"infinite": lambda arch, x, n: (x[:, 0, 0], 0 * x[:, 0, 0])}, "NTK is zero"),
        (
            {"infinite": lambda arch, x, n: (jnp.inf * x[:, 0, 0], x[:, 0, 0])},
            "infinite-width NNGP kernel is not finite",
        ),
        ({"infinite": lambda arch, x, n: too_large()}, "x: three kernels would take 9 GiB"),
        ({"finite": lambda arch, params, x, n: too_large()}, "x: three kernels would take 9 GiB"),
    ],
)
def test_study_messages(change, message):
    engine = LINEAR._replace(**change)
    with pytest.raises(StudyError) as caught:
        compare(CompareSettings(ntkrnn.Elman(), widths=(4, 8), seeds=2), dataset(), engine)
    assert message in str(caught.value)


def too_large():
    raise ValueError("x: three kernels would take 9 GiB")


def test_networks_that_do_not_fit_are_refused_before_the_first():
    drawn = []
    engine = LINEAR._replace(infinite=lambda *given: drawn.append(given))
    with pytest.raises(StudyError, match="widths: the parameters of a network of width 3000000, and"):
        compare(CompareSettings(ntkrnn.Elman(), widths=(8, 3_000_000)), dataset(), engine)
    assert not drawn
    check_memory(ntkrnn.Diagonal(), (4, 1000), (3, 2, 2))  # a vector and no matrix


@pytest.mark.parametrize("value", ["not finite", "equal to its limit"])
def test_kernels_without_an_error_are_told_and_left_out(tmp_path, value):
    """One width of three overflows, or is its own limit: the JSON says it, and the line goes on."""

    def finite(arch, params, x, lengths):
        nngp, ntk = _linear_finite(arch, params, x, lengths)
        if arch.width == 8:
            ntk = jnp.inf * ntk if value == "not finite" else _linear_infinite(arch, x, lengths)[1]
        return nngp, ntk

    settings = CompareSettings(ntkrnn.Elman(), widths=(4, 8, 16), seeds=3)
    result = compare(settings, dataset(), LINEAR._replace(finite=finite))
    assert result.ntk_fit.left_out == (8,) and result.nngp_fit.left_out == ()
    whole = compare(settings, dataset(), LINEAR)
    np.testing.assert_array_equal(result.ntk_errors[[0, 2]], whole.ntk_errors[[0, 2]])
    record = json.loads(write_compare(result, tmp_path)[0].read_text(encoding="utf-8"))
    assert record["widths_without_slope"] == {"ntk": [8], "nngp": []}
    assert np.isfinite(record["ntk_slope"])
    lost = ["ntk_error_mean", "ntk_error_std", "ntk_errors"] if value == "not finite" else None
    assert record.get("not_finite") == lost
    assert (record["ntk_error_mean"][1] is None) == (value == "not finite")


# Finished networks


class Memory(dict):
    """A store that counts."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def load(self, name, needs=()):
        piece = self.get(name)
        if piece is not None:
            assert set(needs) <= set(piece)
            self.loaded.append(name)
        return piece

    def save(self, name, piece):
        self[name] = {key: np.asarray(value) for key, value in piece.items()}


def test_finished_networks_are_not_drawn_again():
    drawn = []

    def finite(arch, params, x, lengths):
        jax.debug.callback(lambda: drawn.append(arch.width))
        return _linear_finite(arch, params, x, lengths)

    engine, store = LINEAR._replace(finite=finite), Memory()
    settings = CompareSettings(ntkrnn.Elman(), widths=(4, 8, 16), seeds=2)
    whole = compare(settings, dataset(), LINEAR)
    first = compare(settings, dataset(), engine, store=store)
    jax.effects_barrier()
    assert drawn == [4, 4, 8, 8, 16, 16] and not store.loaded
    names = {f"width-{w}-seed-{s}" for w in (4, 8, 16) for s in (0, 1)}
    assert set(store) == names | {"infinite", "width-4-kernels", "width-16-kernels"}
    again = compare(settings, dataset(), engine, store=store)
    # Other ends of the list: their kernels are shown in the figures, and are drawn for that.
    fewer = compare(dataclasses.replace(settings, widths=(8, 16)), dataset(), engine, store=store)
    jax.effects_barrier()
    assert drawn[6:] == [8]
    for found in (first, again):
        for field in ("ntk_errors", "nngp_errors", "infinite", "narrowest", "widest"):
            np.testing.assert_array_equal(getattr(found, field), getattr(whole, field))
        assert (found.ntk_fit, found.nngp_fit) == (whole.ntk_fit, whole.nngp_fit)
    np.testing.assert_array_equal(fewer.ntk_errors, whole.ntk_errors[1:])


def test_a_sampled_limit_is_kept_with_its_errors():
    def sampled(arch, x, lengths):
        nngp, ntk = _linear_infinite(arch, x, lengths)
        return nngp, ntk, 0.1 * nngp, 0.2 * ntk

    store, settings = Memory(), CompareSettings(ntkrnn.Elman(), widths=(4, 8), seeds=2)
    for _ in range(2):
        result = compare(settings, dataset(), LINEAR._replace(infinite=sampled), store=store)
        assert result.limit_errors == pytest.approx((0.1, 0.2), rel=10 * EPS)
    assert "infinite" in store.loaded


SMALL = ["--n", "5", "--widths", "8,32", "--seeds", "2"]


def files_of(folder):
    """What two runs of one study have in common: all but times and dates."""
    with np.load(folder / "kernels.npz") as kernels:
        arrays = {name: kernels[name].tobytes() for name in kernels}
    record = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    return arrays, {
        key: value for key, value in record.items() if "seconds" not in key and key != "date"
    }


def test_being_killed_does_not_show(tmp_path, monkeypatch):
    """SIGKILL after two networks: what is resumed is the same to the bit."""
    invoke = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke
    done = invoke(app, ["compare", *SMALL, "--out", str(tmp_path / "whole")])
    assert done.exit_code == 0, done.output
    cut = tmp_path / "cut"
    command = [sys.executable, "-m", "ntkrnn", "compare", *SMALL, "--out", str(cut)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = next((line for line in process.stderr if line.startswith("2/")), None)
        process.kill()
    assert said is not None and said.startswith("2/4  width 8, seed 2/2: NTK error ")
    assert not (cut / "compare.json").exists()
    kept = {path.name: path.read_bytes() for path in (cut / "pieces").glob("width-8-*.msgpack")}
    assert set(kept) == {"width-8-seed-0.msgpack", "width-8-seed-1.msgpack", "width-8-kernels.msgpack"}
    done = invoke(app, ["compare", *SMALL, "--resume", "--out", str(cut)])
    assert done.exit_code == 0, done.output
    assert files_of(cut) == files_of(tmp_path / "whole")
    assert all((cut / "pieces" / name).read_bytes() == content for name, content in kept.items())
    assert not list(cut.rglob("*.part"))
    # More widths and seeds continue it; without --resume it begins anew, which is said.
    more = ["compare", "--n", "5", "--widths", "8,16,32", "--seeds", "2", "--out", str(cut)]
    done = invoke(app, [*more, "--engine", "neural-tangents", "--resume"])
    assert "holds runs with engine = ntkrnn, and now it is neural-tangents" in done.stderr
    done = invoke(app, [*more, "--seeds", "x"])
    assert done.exit_code == 2 and (cut / "pieces" / "infinite.msgpack").exists()
    monkeypatch.setattr("ntkrnn.cli._compare.compare", stopped_at_once)
    done = invoke(app, [*more, "--resume"])
    assert (done.exit_code, done.stderr.count("removed")) == (130, 0)
    assert f"stopped; 4 of 6 networks are kept in {cut / 'pieces'}. The same command" in done.stderr
    done = invoke(app, more)
    assert f"{cut / 'pieces'}: the 7 finished runs of an earlier study are removed" in done.stderr
    assert "stopped; 0 of 6 networks are kept" in done.stderr


def stopped_at_once(*given):
    raise KeyboardInterrupt


# the engines


def rounding(arch: ntkrnn.Elman, steps: int) -> float:
    """How far two correct evaluations of one kernel may be apart, relative Frobenius.

    A sum of k rounded terms is off by about sqrt(k) eps; here k is at most the number of states,
    each of T L steps adds such an error forwards and another backwards, and either evaluation of
    either side of the kernel makes it: 4 in all.
    """
    return 4 * EPS * steps * arch.depth * np.sqrt(arch.state_size + 1)


def engines_agree(arch: ntkrnn.Elman, data: Dataset) -> None:
    x = jnp.asarray(data.x, FLOAT)
    lengths = None if data.lengths is None else jnp.asarray(data.lengths)
    ours, theirs = ntkrnn_engine(), neural_tangents_engine()
    _, params = ntkrnn.network(arch).init_fn(jax.random.key(1), (-1, *x.shape[1:]))
    shape = (len(x), len(x)) + ((x.shape[1],) * 2 if arch.readout == "sequence" else ())
    for a, b in (
        (ours.infinite(arch, x, lengths), theirs.infinite(arch, x, lengths)),
        (ours.finite(arch, params, x, lengths), theirs.finite(arch, params, x, lengths)),
    ):
        for one, other in zip(a, b, strict=True):
            assert one.shape == other.shape == shape and one.dtype == other.dtype == FLOAT
            apart = np.linalg.norm(np.asarray(one) - np.asarray(other))
            assert apart <= rounding(arch, x.shape[1]) * np.linalg.norm(np.asarray(other))


SCALES = {"width": 8, "w_std": 1.2, "u_std": 0.8, "b_std": 0.3, "v_std": 1.3}
UNEQUAL = (4, 1, 3)


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        pytest.param({"readout": "last"}, None, marks=pytest.mark.slow),
        ({"readout": "last", "trainable": ("w", "b")}, UNEQUAL),
        pytest.param(
            {"readout": "mean", "depth": 2, "trainable": ("w", "v")}, UNEQUAL, marks=pytest.mark.slow
        ),
        pytest.param({"readout": "mean"}, None, marks=pytest.mark.slow),
        pytest.param({"readout": "last", "depth": 2}, UNEQUAL, marks=pytest.mark.slow),
        pytest.param({"readout": "last", "bidirectional": True}, None, marks=pytest.mark.slow),
        pytest.param({"readout": "last", "bidirectional": True}, UNEQUAL, marks=pytest.mark.slow),
        pytest.param(
            {"readout": "last", "bidirectional": True, "depth": 2, "trainable": ("u",)},
            None,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"readout": "mean", "bidirectional": True, "depth": 2}, UNEQUAL, marks=pytest.mark.slow
        ),
        pytest.param({"readout": "sequence"}, UNEQUAL, marks=pytest.mark.slow),
        pytest.param(
            {"readout": "sequence", "bidirectional": True, "nonlinearity": "relu"},
            None,
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_engines_agree_to_rounding(options, lengths):
    arch = ntkrnn.Elman(**{**SCALES, **options})
    engines_agree(arch, dataset(n=3, steps=4, channels=2, lengths=lengths))


@pytest.mark.slow
def test_engines_give_the_same_comparison():
    data = dataset(n=4, steps=3)
    settings = CompareSettings(ntkrnn.Elman(), widths=(8, 32), seeds=2)
    ours, theirs = (compare(settings, data, e()) for e in (ntkrnn_engine, neural_tangents_engine))
    assert (ours.engine, theirs.engine) == ("ntkrnn", "neural-tangents")
    # A relative error moves by at most what its two kernels do, relative to the limit.
    tolerance = 2 * rounding(ntkrnn.Elman(width=32), 3)
    for name in ("ntk_errors", "nngp_errors"):
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * (1 + b.max()))
    assert ours.ntk_fit.slope < 0


def test_what_neural_tangents_cannot_express():
    arch = ntkrnn.Elman(bidirectional=True, depth=2)
    data = dataset(n=3, steps=4, lengths=UNEQUAL)
    with pytest.raises(StudyError, match="use --engine ntkrnn"):
        neural_tangents_engine().infinite(arch, jnp.asarray(data.x), jnp.asarray(data.lengths))


def test_missing_neural_tangents_says_what_to_install(monkeypatch):
    def absent():
        raise ImportError("neural-tangents is not installed; run `pip install ...`.")

    monkeypatch.setattr("ntkrnn._compat.neural_tangents", absent)
    with pytest.raises(ImportError, match="pip install"):
        neural_tangents_engine()


def test_sequence_readout_and_unequal_lengths(tmp_path):
    data = dataset(n=4, steps=3, lengths=(3, 2, 3, 1), labels=np.array(list("abab")))
    settings = CompareSettings(ntkrnn.Elman(readout="sequence"), widths=(8, 64), seeds=2)
    result = compare(settings, data, ntkrnn_engine())
    assert result.infinite.ntk.shape == (4, 4, 3, 3)
    assert 0 < result.ntk_errors[1].mean() < result.ntk_errors[0].mean() < 2
    record = json.loads(write_compare(result, tmp_path)[0].read_text(encoding="utf-8"))
    assert record["dataset"]["lengths"] == [3, 2, 3, 1]


def test_a_sampled_limit_brings_its_errors(tmp_path):
    """Into the result and the file: a share of every error that is compared."""
    settings = CompareSettings(ntkrnn.GRU(), widths=(16, 64), seeds=3)
    result = compare(settings, dataset(n=4, steps=3), ntkrnn_engine())
    kernel_fn, x = ntkrnn.network(ntkrnn.GRU()).kernel_fn, jnp.asarray(result.dataset.x, FLOAT)
    limit = kernel_fn(x, tolerance=LIMIT_TOLERANCE)
    for k, (name, found) in enumerate(zip(("nngp", "ntk"), result.infinite, strict=True)):
        np.testing.assert_array_equal(found, getattr(limit, name))
        error = np.linalg.norm(getattr(limit, f"{name}_error")) / np.linalg.norm(found)
        assert result.limit_errors[k] == pytest.approx(error, rel=10 * EPS) and error > 0
    write_compare(result, tmp_path)
    record = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert record["nngp_limit_error"] == result.limit_errors[0]
    assert record["ntk_limit_error"] == result.limit_errors[1]


def test_digits_converge():
    """The real thing, small: the mean error falls, and the slope is -1/2 to its interval."""
    settings = CompareSettings(ntkrnn.Elman(), widths=(32, 256), seeds=8)
    result = compare(settings, load("digits", n=12), ntkrnn_engine())
    for errors, fit in (
        (result.ntk_errors, result.ntk_fit),
        (result.nngp_errors, result.nngp_fit),
    ):
        assert (np.diff(errors.mean(axis=1)) < 0).all()
        assert abs(fit.slope + 0.5) <= 4 * np.ptp(fit.interval) / 3.9


def test_studies_do_not_load_neural_tangents_or_pyplot():
    code = (
        "import sys, ntkrnn.studies; ntkrnn.studies.ntkrnn_engine(); "
        "print([m for m in ('neural_tangents', 'matplotlib.pyplot', 'sklearn', 'aeon') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

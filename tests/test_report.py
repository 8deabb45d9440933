"""Slopes with intervals, files that are whole or absent, and figures."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from ntkrnn._files import make_folder, remove_parts, write_atomically, write_json, write_npz
from ntkrnn.report import (
    Curve,
    KernelRow,
    Panel,
    along_training,
    error_against_width,
    finite_slope,
    kernel_images,
    loglog_slope,
    mean_and_std,
    run_panels,
    run_record,
    write_figure,
)
from ntkrnn.report.axes import drawn, kernel_colours
from ntkrnn.report.statistics import finite_or_nan

WIDTHS = np.array([64, 128, 256, 512, 1024, 2048])


def noisy_errors(rng: np.random.Generator, seeds: int, spread: float = 0.15) -> np.ndarray:
    """Errors 3 m^-1/2 times lognormal noise of mean 1, independent over widths and seeds."""
    noise = np.exp(spread * rng.normal(size=(len(WIDTHS), seeds)) - spread**2 / 2)
    return 3.0 * WIDTHS[:, None] ** -0.5 * noise


# slope


@pytest.mark.parametrize("power", [-0.5, -1.0, 0.25])
def test_slope_of_an_exact_power(power):
    errors = 3.0 * WIDTHS[:, None] ** power * np.ones(4)
    fit = loglog_slope(WIDTHS, errors)
    # A handful of float64 roundings of logarithms no larger than log 2048 < 8.
    tolerance = 64 * np.finfo(float).eps
    assert abs(fit.slope - power) <= tolerance
    assert abs(np.exp(fit.intercept) - 3.0) <= 3.0 * 8 * tolerance
    assert np.ptp(fit.interval) <= tolerance
    np.testing.assert_allclose(fit.error(WIDTHS), errors[:, 0], rtol=8 * tolerance)


def test_slope_takes_the_mean_before_the_logarithm():
    errors = np.array([[1.0, 3.0], [0.5, 0.5]])
    fit = loglog_slope(np.array([1, 2]), errors)
    assert fit.slope == pytest.approx(np.log(0.5 / 2.0) / np.log(2.0))


def test_slope_agrees_with_least_squares():
    errors = noisy_errors(np.random.default_rng(1), 5)
    fit = loglog_slope(WIDTHS, errors)
    slope, intercept = np.polyfit(np.log(WIDTHS), np.log(errors.mean(axis=1)), 1)
    assert fit.slope == pytest.approx(slope, rel=1e-10)
    assert fit.intercept == pytest.approx(intercept, rel=1e-10)


def test_slope_is_reproducible_and_its_order_of_widths_free():
    errors = noisy_errors(np.random.default_rng(2), 6)
    assert loglog_slope(WIDTHS, errors) == loglog_slope(WIDTHS, errors)
    assert loglog_slope(WIDTHS, errors, seed=1).interval != loglog_slope(WIDTHS, errors).interval
    turned = loglog_slope(WIDTHS[::-1], errors[::-1])
    assert turned.slope == pytest.approx(loglog_slope(WIDTHS, errors).slope, rel=1e-12)


@pytest.mark.parametrize("seeds", [3, 10])
def test_interval_covers_at_its_rate(seeds):
    """The count of covering intervals is binomial; its rate must lie within 4 standard errors."""
    rng = np.random.default_rng(20)
    repetitions = 400
    hits = 0
    for repetition in range(repetitions):
        low, high = loglog_slope(
            WIDTHS, noisy_errors(rng, seeds), resamples=1000, seed=repetition
        ).interval
        hits += low <= -0.5 <= high
    standard_error = (0.95 * 0.05 / repetitions) ** 0.5
    assert abs(hits / repetitions - 0.95) <= 4 * standard_error


def test_interval_narrows_with_seeds_and_widens_with_confidence():
    few, many = (
        np.ptp(loglog_slope(WIDTHS, noisy_errors(np.random.default_rng(3), s)).interval)
        for s in (5, 80)
    )
    assert many < few
    errors = noisy_errors(np.random.default_rng(4), 8)
    assert np.ptp(loglog_slope(WIDTHS, errors, confidence=0.5).interval) < np.ptp(
        loglog_slope(WIDTHS, errors).interval
    )


@pytest.mark.parametrize(
    ("widths", "errors", "options", "message"),
    [
        ([64], [[1.0, 2.0]], {}, "at least two"),
        ([64, 64], np.ones((2, 2)), {}, "at least two"),
        ([0, 64], np.ones((2, 2)), {}, "positive widths"),
        ([[1, 2]], np.ones((2, 2)), {}, "widths: got"),
        ([1, 2], np.ones(2), {}, "errors: got shape (2,)"),
        ([1, 2], np.ones((3, 2)), {}, "errors: got shape (3, 2)"),
        ([1, 2], np.ones((2, 1)), {}, "S >= 2 seeds"),
        ([1, 2], [[1.0, 0.0], [1.0, 1.0]], {}, "errors: got 0.0"),
        ([1, 2], [[1.0, np.nan], [1.0, 1.0]], {}, "errors: got nan"),
        ([1, 2], np.ones((2, 2)), {"confidence": 1.0}, "confidence: got 1.0"),
        ([1, 2], np.ones((2, 2)), {"resamples": 1}, "resamples: got 1"),
    ],
)
def test_slope_messages(widths, errors, options, message):
    with pytest.raises(ValueError) as caught:
        loglog_slope(np.array(widths), np.array(errors), **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_slope_of_what_is_finite(bad):
    """Widths with a run that diverged are left out whole, and named; the rest is the usual fit."""
    errors = noisy_errors(np.random.default_rng(7), 4)
    holes = errors.copy()
    holes[1, 2] = holes[4, 0] = bad
    fit = finite_slope(WIDTHS, holes)
    assert fit.left_out == (128, 1024)
    assert fit._replace(left_out=()) == loglog_slope(WIDTHS[[0, 2, 3, 5]], errors[[0, 2, 3, 5]])
    assert finite_slope(WIDTHS, errors) == loglog_slope(WIDTHS, errors)
    holes[[0, 2, 3], 1] = bad
    none = finite_slope(WIDTHS, holes)
    assert np.isnan([none.slope, *none.interval, none.intercept]).all()
    assert none.left_out == (64, 128, 256, 512, 1024)


def test_means_over_seeds_that_are_all_finite():
    mean, spread = mean_and_std(np.array([[1.0, 3.0], [np.inf, 1.0], [np.nan, 1.0]]))
    np.testing.assert_array_equal(mean, [2.0, np.nan, np.nan])
    np.testing.assert_array_equal(spread, [2**0.5, np.nan, np.nan])
    np.testing.assert_array_equal(finite_or_nan([1, np.inf, -1e300]), [1, np.nan, -1e300])
    np.testing.assert_array_equal(drawn([1, np.inf, -1e300]), [1, np.nan, np.nan])


# files


def test_write_leaves_the_old_file_when_the_writer_raises(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"before")

    def half(file):
        file.write(b"half of")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_atomically(path, half)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a.bin"]
    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "new.bin", half)
    assert os.listdir(tmp_path) == ["a.bin"]


def test_write_replaces_and_keeps_ordinary_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    path = tmp_path / "a.bin"
    for content in (b"first", b"second"):
        assert write_atomically(path, lambda file, c=content: file.write(c)) == path
        assert path.read_bytes() == content
    # Those that an ordinary write gives, not the private ones of a temporary file.
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "plain"]


def test_write_into_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "a.bin", lambda file: file.write(b""))


def test_json_takes_numpy_and_jax(tmp_path):
    import jax.numpy as jnp

    value = {
        "a": np.float32(0.5),
        "b": np.arange(3),
        "c": (1, None, True, "é"),
        "d": jnp.ones(2),
        "e": {"f": np.array(2.0), "g": [np.int64(3), np.bool_(False)]},
        "path": tmp_path / "x",
    }
    path = write_json(tmp_path / "a.json", value)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": [1, None, True, "é"],
        "d": [1.0, 1.0],
        "e": {"f": 2.0, "g": [3, False]},
        "path": str(tmp_path / "x"),
    }
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("bad", [np.nan, float("inf"), np.float32("-inf"), np.float64("nan")])
def test_json_says_what_is_not_finite(tmp_path, bad):
    """Null in its place, and the figure named once, whatever holds it."""
    value = {"a": 1.0, "b": {"c": np.array([[1.0, bad], [bad, 2.0]]), "d": bad}, "e": [{"f": (bad,)}]}
    text = write_json(tmp_path / "a.json", value).read_text(encoding="utf-8")

    def refused(constant):
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refused) == {
        "a": 1.0,
        "b": {"c": [[1.0, None], [None, 2.0]], "d": None},
        "e": [{"f": [None]}],
        "not_finite": ["b.c", "b.d", "e[0].f"],
    }


def test_json_refuses_other_types(tmp_path):
    with pytest.raises(TypeError, match=r"a\.json: x\[1\]\.y is of type set"):
        write_json(tmp_path / "a.json", {"x": [1, {"y": {2}}]})
    assert not os.listdir(tmp_path)


def test_errors_of_the_disk_name_the_file(tmp_path):
    """A full disk names none, and a rename the temporary one."""

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.json"
    with pytest.raises(OSError) as caught:
        write_atomically(path, full)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_json(tmp_path / "folder", {})
    assert caught.value.filename == str(tmp_path / "folder")
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(NotADirectoryError) as caught:
        write_json(write_json(path, {}) / "b.json", {})
    assert caught.value.filename == str(path / "b.json")


def test_folders_for_results(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir() and make_folder(tmp_path / "a" / "b").is_dir()
    with pytest.raises(ValueError, match="got an empty path, expected a folder for results"):
        make_folder("")
    (tmp_path / "file").write_text("")
    for path, kind in ((tmp_path / "file", FileExistsError), (tmp_path / "file/a", NotADirectoryError)):
        with pytest.raises(kind) as caught:
            make_folder(path)
        assert caught.value.filename == str(path)


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(PermissionError) as caught:
        make_folder(tmp_path)
    assert caught.value.filename == str(tmp_path)


def test_parts_of_writers_that_were_killed(tmp_path):
    names = [
        ".a.json.0123abcd.part",
        ".b.npz.99999999.part",
        ".c.part",
        "d.0123abcd.part",
        ".e.json.part",
    ]
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / ".f.json.0123abcd.part").mkdir()
    remove_parts(tmp_path, of=("b.npz",))
    assert set(names) - set(os.listdir(tmp_path)) == {names[1]}
    remove_parts(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*names[2:], ".f.json.0123abcd.part"])


def test_npz(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"x": np.eye(2), "names": np.array(["a", "b"])})
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["x"], np.eye(2))
        assert archive["names"].tolist() == ["a", "b"]
    with pytest.raises(TypeError, match=r"b\.npz: x is an array of Python objects"):
        write_npz(tmp_path / "b.npz", {"x": np.array([{}, []], dtype=object)})
    assert os.listdir(tmp_path) == ["a.npz"]


def test_run_record():
    record = run_record()
    assert record["device"]
    assert {"python", "ntkrnn", "jax", "jaxlib", "numpy", "scipy"} <= set(record["versions"])
    json.dumps(record)


# figures


def curves():
    rng = np.random.default_rng(5)
    errors = [noisy_errors(rng, 6) for _ in range(2)]
    return [
        Curve(name, WIDTHS, one, loglog_slope(WIDTHS, one))
        for name, one in zip(("NTK", "NNGP"), errors, strict=True)
    ]


def kernels(n=9):
    rng = np.random.default_rng(6)
    a = rng.normal(size=(n, 20))
    kernel = a @ a.T / 20
    noise = lambda scale: kernel + scale * rng.normal(size=(n, n))  # noqa: E731
    return [KernelRow(name, kernel, [("64", noise(0.3)), ("2048", noise(0.05))]) for name in "ab"]


def pixels(figure: Figure, path) -> np.ndarray:
    write_figure(path, figure, dpi=60)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return matplotlib.image.imread(path)[..., :3]


def legend_of(figure: Figure) -> list[str]:
    """Texts of the one legend, which stands beside the axes and not over what they show."""
    (legend,) = figure.legends
    assert not any(axes.get_legend() for axes in figure.axes)
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    return [text.get_text() for text in legend.get_texts()]


def test_error_figure(tmp_path):
    figure = error_against_width(curves(), title="T", subtitle="S")
    image = pixels(figure, tmp_path / "a.png")
    assert min(image.shape[:2]) > 200
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50  # Something is drawn.
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    texts = legend_of(figure)
    for curve in curves():
        slope = f"{curve.fit.slope:.2f}".replace("-", "−")
        assert any(curve.name in text and slope in text and "interval" in text for text in texts)
    assert any("predicted slope −0.50" in text for text in texts)
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [36, 36]  # Every seed of every width.
    (dashed,) = (line for line in axes.lines if line.get_linestyle() == "--")
    slope = np.polyfit(np.log(dashed.get_xdata()), np.log(dashed.get_ydata()), 1)[0]
    assert slope == pytest.approx(-0.5)
    assert axes.get_xlabel() and axes.get_ylabel() and axes.get_title() == "S"


def test_error_figure_shows_the_error_of_a_sampled_limit():
    exact, sampled = curves()
    figure = error_against_width([exact, sampled._replace(limit_error=0.0123)], title="T")
    (axes,) = figure.axes
    (dotted,) = (line for line in axes.lines if line.get_linestyle() == ":")
    assert set(dotted.get_ydata()) == {0.0123}
    texts = legend_of(figure)
    assert f"standard error of the sampled {sampled.name} limit: 1.23%" in texts


@pytest.mark.parametrize("everywhere", [False, True])
def test_figures_leave_gaps_where_runs_diverged(tmp_path, everywhere):
    """And are drawn, of whatever is left; warnings are errors here."""
    errors = noisy_errors(np.random.default_rng(8), 3)
    errors[(slice(None) if everywhere else slice(2)), 1] = np.inf
    errors[-1, 0], errors[-1, 2] = np.nan, 1e308
    fit = finite_slope(WIDTHS, errors)
    figure = error_against_width([Curve("NTK", WIDTHS, errors, fit)], title="T")
    pixels(figure, tmp_path / "a.png")
    texts = legend_of(figure)
    assert any("no slope" in text for text in texts) is everywhere
    steps, values = np.arange(6), np.stack([errors, errors]).transpose(0, 2, 1)
    pixels(along_training([8, 16], steps, values, title="T", quantity="q"), tmp_path / "b.png")
    panel = Panel("t", steps, [("network", values[0]), ("other", values[1, 0])])
    pixels(run_panels([panel], title="T", quantity="q"), tmp_path / "c.png")
    rows = kernels()
    bad = np.full((9, 9), np.inf) if everywhere else np.where(np.eye(9) > 0, np.nan, rows[0].infinite)
    rows = [row._replace(finite=[("8", bad), ("16", bad)]) for row in rows]
    pixels(kernel_images(rows, title="T"), tmp_path / "d.png")


def test_error_figure_of_two_widths_and_large_spread(tmp_path):
    errors = np.array([[1e-3, 2.0], [1e-4, 1.0]])
    widths = np.array([1, 1000])
    fit = loglog_slope(widths, errors)
    pixels(error_against_width([Curve("NTK", widths, errors, fit)], title="T"), tmp_path / "a.png")


def test_kernel_figure_shares_one_scale_a_row(tmp_path):
    rows = kernels()
    figure = kernel_images(rows, title="T")
    image = pixels(figure, tmp_path / "a.png")
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50
    drawn = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(drawn) == 8
    for row, images in zip(rows, (drawn[:4], drawn[4:]), strict=True):
        values = np.stack([row.infinite, *(kernel for _, kernel in row.finite)])
        # Signed kernels: symmetric about 0, up to the farther of the 1% and the 99% quantile.
        edge = np.abs(np.quantile(values, [0.01, 0.99])).max()
        assert {one.get_clim() for one in images[:3]} == {(-edge, edge)}
        assert {one.get_cmap().name for one in images} == {"RdBu_r"}
        low, high = images[3].get_clim()
        assert low == -high < 0
        np.testing.assert_array_equal(images[3].get_array(), values[2] - values[0])


def test_kernel_colours_are_those_of_most_entries():
    rng = np.random.default_rng(3)
    positive = rng.uniform(1, 2, size=(40, 40))
    outlier = positive.copy()
    outlier[0, 0] = 1e6
    plain_scale, robust = kernel_colours([positive]), kernel_colours([outlier, positive])
    assert robust.map == plain_scale.map == "viridis"
    assert robust.clipped and 1 <= robust.low < robust.high <= 2
    assert "1% and 99%" in robust.note
    # A few entries below 0 by rounding do not make a kernel signed; entries of both signs do.
    assert kernel_colours([positive - 1.001]).map == "viridis"
    signed = kernel_colours([positive - 1.5])
    assert signed.map == "RdBu_r" and signed.low == -signed.high
    for same in (np.ones((3, 3)), np.zeros((3, 3)), np.full((3, 3), np.nan)):
        found = kernel_colours([same])
        assert found.low < found.high and not found.note


def test_figure_of_a_bound_says_bound():
    texts = legend_of(error_against_width(curves(), title="T", bound=True))
    assert any("bound on the slope −0.50" in text for text in texts)
    assert not any("predicted" in text for text in texts)


def test_kernel_figure_sorts_by_label(tmp_path):
    rows = kernels()
    labels = np.array(["b", "a", "b", "a", "c", "a", "b", "c", "a"])
    figure = kernel_images(rows, title="T", labels=labels)
    order = np.argsort(labels, kind="stable")
    first = next(axes for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(first.images[0].get_array(), rows[0].infinite[np.ix_(order, order)])
    assert [text.get_text() for text in first.get_yticklabels()] == ["a", "b", "c"]
    assert "sorted by label" in figure.get_supxlabel()
    pixels(figure, tmp_path / "a.png")


def test_kernel_figure_of_equal_kernels_and_many_classes(tmp_path):
    kernel = np.eye(30)
    row = KernelRow("NTK", kernel, [("8", kernel), ("16", kernel)])
    pixels(kernel_images([row], title="T", labels=np.arange(30)), tmp_path / "a.png")


def test_figures_leave_pyplot_alone():
    code = (
        "import sys, ntkrnn.report; assert 'matplotlib' in sys.modules; "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

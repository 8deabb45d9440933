"""Figures of several plots; means and lines with their intervals."""

import matplotlib.image
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from ntkrnn.report import Line, Plot, plots, write_figure
from ntkrnn.report.statistics import line_fit, mean_interval

X = np.array([8.0, 16.0, 32.0, 64.0])
EPS = np.finfo(float).eps


def values(seeds=5):
    return X[:, None] ** -0.5 * np.random.default_rng(0).uniform(0.8, 1.2, size=(len(X), seeds))


# plots


def test_lines_are_drawn_as_they_are_meant():
    rows = values()
    figure = plots(
        [
            Plot(
                "one",
                "m",
                "error",
                [
                    Line("measured", X, rows, colour=3),
                    Line("predicted", X, rows, True, 3),
                    Line("scattered", X, rows, points=True),
                    Line("alone", X, rows[:, 0]),
                ],
                ticks=X,
            )
        ],
        title="T",
        subtitle="S",
    )
    (axes,) = figure.axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("one", "m", "error")
    assert axes.get_xscale() == axes.get_yscale() == "log"
    measured, predicted, scattered, alone = axes.lines
    for line in (measured, predicted, scattered):
        np.testing.assert_array_equal(line.get_xdata(), X)
        np.testing.assert_allclose(line.get_ydata(), rows.mean(axis=1), rtol=4 * EPS)
    np.testing.assert_array_equal(alone.get_ydata(), rows[:, 0])
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "None", "-"]
    assert predicted.get_marker() == "None" != measured.get_marker()
    assert measured.get_color() == predicted.get_color()
    # Numbers of colours that are given are not used up.
    assert len({line.get_color() for line in axes.lines}) == 3
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "measured",
        "predicted",
        "scattered",
        "alone",
    ]
    figure.draw_without_rendering()
    assert [text.get_text() for text in axes.get_xticklabels()] == ["8", "16", "32", "64"]
    assert figure.get_suptitle() == "T\nS"


@pytest.mark.parametrize("log", ["", "y"])
def test_bands_are_one_standard_deviation_and_never_reach_zero_on_logarithms(log):
    rows = np.array([[1.0, 3.0, 5.0], [0.01, 0.01, 10.0]])
    figure = plots([Plot("", "x", "y", [Line("a", np.arange(2.0), rows)], log)], title="T")
    (band,) = figure.axes[0].collections
    corners = np.asarray(band.get_paths()[0].vertices)
    for x, row in zip((0.0, 1.0), rows, strict=True):
        mean, spread = row.mean(), row.std(ddof=1)
        low = max(mean - spread, row.min()) if log else mean - spread
        ends = corners[corners[:, 0] == x, 1]
        assert ends.min() == pytest.approx(low) and ends.max() == pytest.approx(mean + spread)
    assert not log or corners[:, 1].min() > 0


@pytest.mark.parametrize(("count", "grid"), [(1, 1), (2, 2), (3, 3), (4, 6)])
def test_at_most_three_plots_stand_in_a_row(count, grid, tmp_path):
    names = [str(i) for i in range(count)]
    figure = plots([Plot(name, "x", "y", [Line("", X, values())]) for name in names], title="T")
    assert len(figure.axes) == grid
    assert [axes.get_title() for axes in figure.axes if axes.axison] == names
    assert all(axes.get_legend() is None for axes in figure.axes)  # no line has a name
    path = write_figure(tmp_path / "a.png", figure, dpi=50)
    image = matplotlib.image.imread(path)[..., :3]
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50


def test_what_was_not_measured_leaves_a_gap(tmp_path):
    rows = values()
    rows[1, 2] = np.nan
    figure = plots([Plot("", "x", "y", [Line("a", X, rows)])], title="T")
    found = np.asarray(figure.axes[0].lines[0].get_ydata())
    assert np.isnan(found).tolist() == [False, True, False, False]
    write_figure(tmp_path / "a.png", figure, dpi=50)
    write_figure(
        tmp_path / "b.png",
        plots([Plot("", "x", "y", [Line("a", X, np.full((4, 2), np.nan))])], title="T"),
        dpi=50,
    )


def test_many_lines_are_told_apart():
    figure = plots([Plot("", "x", "y", [Line(str(i), X, values()) for i in range(20)])], title="T")
    looks = {(line.get_color(), line.get_marker()) for line in figure.axes[0].lines}
    assert len(looks) == 20


@pytest.mark.parametrize("count", [24, 25, 1000])
def test_long_lines_keep_their_points_and_lose_some_markers(count):
    x = np.arange(1.0, count + 1)
    (axes,) = plots([Plot("", "x", "y", [Line("a", x, x)])], title="T").axes
    every = axes.lines[0].get_markevery()
    assert len(axes.lines[0].get_xdata()) == count
    assert len(x[::every]) <= 24 and (every == 1) == (count <= 24)


def names_of(legend):
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("count", [4, 5])
def test_a_long_legend_of_all_plots_stands_beside_them(count):
    names = [str(i) for i in range(count)]
    rows = [Plot("", "x", "y", [Line(name, X, values()) for name in names]) for _ in range(2)]
    figure = plots(rows, title="T")
    inside = [axes.get_legend() for axes in figure.axes]
    if count < 5:
        assert [names_of(legend) for legend in inside] == [names, names] and not figure.legends
    else:
        assert inside == [None, None] and [names_of(legend) for legend in figure.legends] == [names]
        figure.draw_without_rendering()
        right = max(axes.get_window_extent().x1 for axes in figure.axes)
        assert figure.legends[0].get_window_extent().x0 > right
    # Other names, and a plot alone, keep theirs inside.
    rows[1] = rows[1]._replace(lines=rows[1].lines[::-1])
    for one in (rows, rows[:1]):
        assert all(axes.get_legend() for axes in plots(one, title="T").axes)


def test_subtitles_break_into_lines_of_about_one_length():
    words = [f"word{i}" for i in range(40)] + ["n = 3"]
    figure = plots([Plot("", "x", "y", [])], title="T", subtitle=" ".join(words))
    title, *lines = figure.get_suptitle().splitlines()
    assert title == "T" and len(lines) == -(-len(" ".join(words)) // 70)
    assert max(map(len, lines)) - min(map(len, lines)) <= 2 * len("word99 ")
    assert " ".join(lines).replace("\N{NO-BREAK SPACE}", " ") == " ".join(words)
    assert "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}3" in lines[-1]
    long = "x" * 200  # a word that no line holds
    assert plots([Plot("", "x", "y", [])], title="T", subtitle=long).get_suptitle() == f"T\n{long}"


def test_no_plots_are_no_figure():
    with pytest.raises(ValueError, match="rows: got no plots"):
        plots([], title="T")


# statistics


@pytest.mark.parametrize("confidence", [0.5, 0.95])
@pytest.mark.parametrize("count", [2, 9])
def test_mean_interval_is_student_s(count, confidence):
    sample = np.random.default_rng(1).normal(3.0, 0.2, size=count)
    mean, (low, high) = mean_interval(sample, confidence)
    want = stats.ttest_1samp(sample, 0.0).confidence_interval(confidence)
    assert mean == np.mean(sample)
    assert (low, high) == pytest.approx((want.low, want.high), rel=64 * EPS * mean / (high - low))


def test_mean_interval_of_equal_values_is_a_point():
    assert mean_interval(np.full(4, 2.5)) == (2.5, (2.5, 2.5))


@pytest.mark.parametrize("bad", [[], [1.0], [[1.0, 2.0]]])
def test_mean_interval_messages(bad):
    with pytest.raises(ValueError, match=r"values: got .*, expected at least two numbers"):
        mean_interval(np.array(bad))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_interval(bad):
    mean, ends = mean_interval(np.array([1.0, bad, 2.0]))
    assert np.isnan([mean, *ends]).all()
    fit = line_fit(np.arange(3.0), np.array([1.0, bad, 2.0]))
    assert np.isnan([fit.slope, *fit.interval, fit.intercept, fit.residual]).all()


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_line_fit_is_linear_regression(confidence):
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 3, size=8)
    y = 2 - 0.7 * x + 0.3 * rng.normal(size=8)
    fit, want = line_fit(x, y, confidence), stats.linregress(x, y)
    half = stats.t.ppf((1 + confidence) / 2, 6) * want.stderr
    rel = 64 * EPS * 8  # sums of eight terms, of order one after centring
    assert fit.slope == pytest.approx(want.slope, rel=rel)
    assert fit.intercept == pytest.approx(want.intercept, rel=rel)
    assert fit.interval == pytest.approx((want.slope - half, want.slope + half), rel=2 * rel)
    assert fit.residual == pytest.approx(1 - want.rvalue**2, rel=rel / (1 - want.rvalue**2))


def test_line_fit_of_a_constant():
    fit = line_fit(np.arange(4.0), np.full(4, 2.0))
    assert (fit.slope, fit.interval, fit.intercept, fit.residual) == (0.0, (0.0, 0.0), 2.0, 0.0)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.0, 1.0, 1.0], [0.0, 1.0, 2.0]),
        ([0.0, 1.0, 2.0], [0.0, 1.0]),
        ([[0.0, 1.0, 2.0]], [[0.0, 1.0, 2.0]]),
    ],
)
def test_line_fit_messages(x, y):
    with pytest.raises(ValueError, match=r"x, y: got shapes .* at least three different x"):
        line_fit(np.array(x), np.array(y))


@pytest.mark.parametrize("plots_in_all", [1, 3, 4])
def test_legends_are_never_over_data(plots_in_all):
    x = np.arange(1, 30)
    lines = [Line(f"a name of some length, {i}", x, np.exp(-i - x / 9)) for i in range(4)]
    rows = [Plot("t", "x", "y", lines[: 2 + i], log="y") for i in range(plots_in_all)]
    words = [Plot("t", "x", "y", lines, words=["one\ntwo\nthree", "four"])]
    figure = plots(rows + words, title="T")
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    drawn = [axes for axes in figure.axes if axes.lines]
    for axes in drawn:
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert box.y1 < axes.get_window_extent().y0  # nor over the labels of the axis:
        assert box.y1 <= axes.xaxis.get_tightbbox(renderer).y0 + 1
        assert figure.bbox.y0 <= box.y0
        assert not any(box.overlaps(other.get_tightbbox(renderer)) for other in drawn if other != axes)


def test_whole_numbers_are_labelled_by_whole_numbers():
    def ticks(x, log=""):
        (axes,) = plots([Plot("", "lag", "y", [Line("", x, np.ones(len(x)))], log)], title="T").axes
        return axes.get_xticks()

    assert (ticks(np.arange(5)) % 1 == 0).all()
    assert (ticks(np.array([0.0, 0.5, 1.0])) % 1 != 0).any()

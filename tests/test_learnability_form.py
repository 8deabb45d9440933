"""The form of experiments: grids and what they gave, tables, declared quantities, verdicts."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from ntkrnn.report.statistics import exponent
from ntkrnn.studies.learnability import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    Measured,
    finding,
    grid,
    said,
    table,
)
from ntkrnn.studies.learnability._experiment import RELATIONS
from ntkrnn.studies.learnability._scaling import Claim, Quantity, Scaling

INF = float("inf")

# Grids

SETTINGS = SimpleNamespace(widths=(8, 16, 4), seeds=2, names=("A_b", "c"))


def product(settings, name, width, seed):
    """A number that says where it was measured."""
    return {"at": np.array([settings.names.index(name), width, seed]), "ragged": np.zeros(width)}


def alone(settings, pair):
    return {"pair": np.array(pair)}


GRID = grid(product, name="names", width="widths", seed="seeds") + grid(
    alone, pair=lambda settings: [(1, 2.5), (3, 1e20)]
)


def measured(settings=SETTINGS):
    return Measured(GRID, settings, {job.name: job.measure() for job in GRID.jobs(settings)})


def test_jobs_are_all_combinations_and_their_names_tell_them_apart():
    names = [job.name for job in GRID.jobs(SETTINGS)]
    assert names[:3] == ["a-b-width-8-seed-0", "a-b-width-8-seed-1", "a-b-width-16-seed-0"]
    assert names[-2:] == ["pair-1-2.5", "pair-3-1e20"]
    assert len(set(names)) == len(names) == 2 * 3 * 2 + 2
    close = grid(alone, pair=(0.1, np.nextafter(0.1, 1)))
    assert len({job.name for job in close.jobs(SETTINGS)}) == 2


def test_arrays_have_the_axes_of_the_grid_first_in_their_order():
    at = measured()("at")
    assert at.shape == (2, 3, 2, 3)
    for place in np.ndindex(2, 3, 2):
        n, w, s = place
        assert at[place].tolist() == [n, SETTINGS.widths[w], s]
    np.testing.assert_array_equal(measured()("at", name="c", seed=1), at[1, :, 1])
    np.testing.assert_array_equal(measured()("at", width=4), at[:, 2])
    np.testing.assert_array_equal(measured()("pair"), [[1, 2.5], [3, 1e20]])
    with pytest.raises(KeyError, match="no job of this experiment gives"):
        measured()("other")


def test_every_array_is_kept_with_its_axes():
    found = measured().arrays()
    assert found["widths"].tolist() == [8, 16, 4] and found["names"].tolist() == ["A_b", "c"]
    assert "seeds" not in found  # a number of repetitions is no axis to look up
    np.testing.assert_array_equal(found["at"], measured()("at"))
    # Of unequal shapes each stands alone.
    assert found["ragged.c-width-16-seed-1"].shape == (16,)
    assert "ragged" not in found
    equal = SimpleNamespace(**{**vars(SETTINGS), "widths": (8,)})
    assert measured(equal).arrays()["ragged"].shape == (2, 1, 2, 8)


# Tables


def test_rows_of_a_table_are_the_combinations_of_its_axes():
    spread = np.arange(8.0).reshape(2, 2, 2)
    shown = table(
        "t",
        {"cell": ("a", "b"), "m": (1, 2)},
        {"x": spread, "n": [[1, 2], [3, 4]], "y": [[0.12345, 2.0], [np.nan, 1e6]], "w": list("pqrs")},
    )
    assert shown.title == "t" and shown.columns == ("cell", "m", "x", "n", "y", "w")
    assert [row[:2] for row in shown.rows] == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]
    # Two numbers that differ by 1 have the standard deviation sqrt(1/2).
    assert [row[2] for row in shown.rows] == [f"{mean} ± 0.707" for mean in (0.5, 2.5, 4.5, 6.5)]
    assert [row[3:] for row in shown.rows] == [
        ("1", "0.123", "p"),
        ("2", "2", "q"),
        ("3", "nan", "r"),
        ("4", "1e+06", "s"),
    ]


# Declared quantities


@dataclasses.dataclass(frozen=True)
class Widths:
    widths: tuple[int, ...] = (8, 16, 32)
    seeds: int = 3


def test_declared_quantities_give_findings_table_and_figure():
    """Of exact powers of the width, whose exponents are known."""

    def measure(settings, width):
        noise = np.linspace(0.9, 1.1, settings.seeds)  # the same for all widths: slopes are exact
        return {"move": width**-0.5 * noise, "kept": width**0.0 * noise, "left": np.array(1 / width)}

    over = grid(measure, width="widths")
    pieces = {job.name: job.measure() for job in over.jobs(Widths())}
    scaling = Scaling(
        axis="width",
        symbol="m",
        panels={"Moves": "norm"},
        quantities=(
            Quantity(
                "move",
                "moves",
                "Moves",
                "measured",
                {"m^(−1/2)": -0.5, "m^(−1)": -1.0},
                exponent=Claim("the move", "equals", -0.5, "why", margin=0.25),
            ),
            Quantity("kept", "", "Moves", "kept"),
            Quantity("left", "loss", largest=Claim("share left", "at most", 0.1, "too much")),
        ),
        title="A title",
        subtitle="{seeds} networks",
        table="in all",
    )
    found = scaling(Widths(), Measured(over, Widths(), pieces))
    slope, largest = found.findings
    assert slope.quantity == "exponent of the move in m" and slope.margin == 0.25
    assert slope.value == pytest.approx(-0.5, abs=64 * np.finfo(float).eps)
    assert largest.quantity == "largest share left" and largest.value == 1 / 8
    assert largest.verdict == DISAGREES and largest.otherwise == "too much"
    assert found.table.columns == ("width", "moves", "loss")
    assert [row[0] for row in found.table.rows] == ["8", "16", "32"]
    (axes,) = found.figure.axes
    drawn = {line.get_label(): line for line in axes.lines}
    assert set(drawn) == {"measured", "m^(−1/2)", "m^(−1)", "kept"}
    # A guide starts where the measured means start, and has their colour if it is the first.
    np.testing.assert_allclose(drawn["m^(−1)"].get_ydata(), 8**-0.5 * 8 / np.array([8, 16, 32]))
    colours = {name: line.get_color() for name, line in drawn.items()}
    assert colours["measured"] == colours["m^(−1/2)"] != colours["m^(−1)"]
    assert colours["kept"] not in (colours["measured"], colours["m^(−1)"])
    assert "3 networks" in found.figure.get_suptitle()


# Verdicts


@pytest.mark.parametrize(
    ("relation", "margin", "interval", "verdict"),
    [
        # The whole interval in the predicted set, ends included; none of it; some of it.
        ("equals", 0.0, (2.0, 2.0), AGREES),
        ("equals", 0.0, (1.9, 2.0), INCONCLUSIVE),
        ("equals", 0.5, (1.5, 2.5), AGREES),
        ("equals", 0.5, (1.5, 2.6), INCONCLUSIVE),
        ("equals", 0.5, (2.5, 3.0), INCONCLUSIVE),
        ("equals", 0.5, (2.6, 3.0), DISAGREES),
        ("equals", 0.5, (0.0, 1.4), DISAGREES),
        ("equals", 0.5, (-INF, INF), INCONCLUSIVE),
        ("at most", 0.0, (1.0, 2.0), AGREES),
        ("at most", 0.0, (-INF, 2.0), AGREES),
        ("at most", 0.0, (2.0, 2.1), INCONCLUSIVE),
        ("at most", 0.0, (2.1, 2.2), DISAGREES),
        ("at most", 0.0, (2.1, INF), DISAGREES),
        ("at most", 0.5, (2.1, 2.5), AGREES),
        ("at most", 0.5, (2.1, 2.6), INCONCLUSIVE),
        ("at least", 0.0, (2.0, 3.0), AGREES),
        ("at least", 0.0, (2.0, INF), AGREES),
        ("at least", 0.0, (1.9, 3.0), INCONCLUSIVE),
        ("at least", 0.0, (1.0, 1.9), DISAGREES),
        ("at least", 0.0, (-INF, 1.9), DISAGREES),
        ("at least", 0.5, (1.5, 1.6), AGREES),
        ("at least", 0.5, (1.4, 1.6), INCONCLUSIVE),
    ],
)
def test_verdicts(relation, margin, interval, verdict):
    low, high = interval
    value = float(np.clip(2.0, low, high))
    found = finding("q", value, interval, relation=relation, predicted=2.0, margin=margin)
    assert found.verdict == verdict
    assert found[:6] == ("q", value, interval, 2.0, relation, margin)
    assert said(found).startswith("q: ") and said(found).endswith(f": {verdict}")


@pytest.mark.parametrize("relation", RELATIONS)
def test_verdicts_only_get_weaker_as_the_interval_widens(relation):
    """One that agrees or disagrees may become inconclusive, and never the opposite."""
    for value in np.linspace(-1, 1, 9):
        verdicts = [
            finding(
                "q", value, (value - w, value + w), relation=relation, predicted=0.1, margin=0.2
            ).verdict
            for w in np.linspace(0, 3, 25)
        ]
        decided = [verdict != INCONCLUSIVE for verdict in verdicts]
        assert decided == sorted(decided, reverse=True)
        assert set(verdicts) <= {verdicts[0], INCONCLUSIVE}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relation": "below"}, "relation: got 'below'"),
        ({"margin": -0.1}, "margin: got -0.1"),
        ({"margin": float("nan")}, "margin: got nan"),
        ({"value": 3.0}, "interval: got (1.0, 2.0), expected one that holds the value 3.0"),
        ({"interval": (2.0, 1.0)}, "interval: got (2.0, 1.0)"),
        ({"interval": (float("nan"), 2.0)}, "interval: got (nan, 2.0)"),
        ({"predicted": INF}, "predicted: got inf"),
    ],
)
def test_findings_that_cannot_be(changes, message):
    given = {"value": 1.5, "interval": (1.0, 2.0), "relation": "equals", "predicted": 1.0} | changes
    with pytest.raises(ValueError, match=re.escape(message)):
        finding("q", given.pop("value"), given.pop("interval"), **given)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("value", [float("nan"), INF, -INF])
def test_what_is_not_finite_tells_nothing(relation, value):
    interval = (value, value)
    found = finding("q", value, interval, relation=relation, predicted=1.0, otherwise="Perhaps.")
    assert found.verdict == INCONCLUSIVE and np.isnan(found.value)
    assert found.interval == (-INF, INF)
    assert found.otherwise == "What was measured is not finite. Perhaps."
    assert "nan" in said(found)


def test_slopes_of_powers():
    x = np.array([8, 16, 32, 64])
    values = 3.0 * x[:, None] ** -0.75 * np.array([0.9, 1.0, 1.1])
    found = finding("cost", *exponent(x, values), "equals", -0.75, margin=0.2)
    # The factors are the same at every x: the slope of the mean is exact.
    assert found.value == pytest.approx(-0.75, abs=64 * np.finfo(float).eps)
    assert found.interval[0] < -0.75 < found.interval[1]
    assert found.verdict == AGREES
    for relation, predicted, verdict in (
        ("at most", -1.5, DISAGREES),
        ("at least", -1.5, AGREES),
        ("equals", -0.6, INCONCLUSIVE),
    ):
        margin = 0.0 if verdict != INCONCLUSIVE else 0.15 + (found.interval[1] + 0.75) / 2
        again = finding("c", *exponent(x, values), relation, predicted, margin=margin)
        assert again.interval == found.interval
        assert again.verdict == verdict, relation


def test_slopes_leave_rows_out_where_a_seed_gave_nothing():
    x = np.array([8, 16, 32, 64])
    values = 3.0 * x[:, None] ** 1.5 * np.ones(2)
    holes = values.copy()
    holes[1, 0] = np.nan
    fit = lambda x, v: finding("c", *exponent(x, v), "equals", 1.5, margin=0.1)  # noqa: E731
    assert fit(x, holes) == fit(np.delete(x, 1), np.delete(values, 1, axis=0))
    holes[[0, 3], 1] = np.inf
    assert fit(x, holes).verdict == INCONCLUSIVE and np.isnan(fit(x, holes).value)

"""An architecture is data: frozen, hashable, readable, serialisable, and validated when made."""

import dataclasses
import json
import re
import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import TABLE
from marking import marked

import ntkrnn
from ntkrnn import GRU, LSTM, Diagonal, Elman, Leaky, dual
from ntkrnn.architectures import ARCHITECTURES

PACKAGE = Path(ntkrnn.__file__).parent
ALL = ("w", "u", "b", "v")


def own_function(x):
    return x / jnp.sqrt(1 + x * x)


@pytest.fixture(scope="module")
def own():
    """An architecture with a function of the caller's own."""
    return Elman(width=8, nonlinearity=dual.nonlinearity(own_function, name="algebraic"))


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, f.name) for kind in ARCHITECTURES.values() for f in dataclasses.fields(kind)],
)
def test_no_field_can_be_assigned(kind, field):
    arch = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(arch, field, getattr(arch, field))


def test_marks_are_of_rows_that_the_table_has():
    """A row that is renamed would leave the quick suite, or enter it, without a word."""
    rows = marked(TABLE, ("erf", "lstm"), slow=("lstm",), float64=())
    assert [row.values for row in rows] == [(name,) for name in TABLE]
    marks = {row.values[0]: [mark.name for mark in row.marks] for row in rows}
    assert (marks["erf"], marks["lstm"], marks["tanh"]) == (["float32"], ["slow"], ["slow"])
    for options in ({"quick": ("erv",)}, {"slow": ("erv",)}, {"float64": ("erv",)}):
        with pytest.raises(ValueError, match="marked: got 'erv', expected one of"):
            marked(TABLE, **options)


@pytest.mark.parametrize("name", TABLE)
def test_equal_by_value_and_usable_as_a_key(name):
    arch = TABLE[name]
    same = dataclasses.replace(arch)
    assert same is not arch
    assert same == arch
    assert hash(same) == hash(arch)
    assert {arch: name}[same] == name
    assert dataclasses.replace(arch, width=arch.width + 2) != arch
    assert len(set(TABLE.values())) == len(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_repr_evaluates_to_the_same_architecture(name):
    assert eval(repr(TABLE[name]), {n: getattr(ntkrnn, n) for n in ntkrnn.__all__}) == TABLE[name]


def test_repr_names_every_field_and_its_value():
    text = repr(Elman(width=16, nonlinearity="leaky_relu(0.1)", trainable=("v", "w")))
    for part in ("Elman(width=16", "nonlinearity='leaky_relu(0.1)'", "trainable=('w', 'v')"):
        assert part in text
    assert "\n" not in text


def test_repr_of_a_named_nonlinearity_with_settings_evaluates_too():
    arch = Elman(nonlinearity=dual.nonlinearity("tanh", max_variance=9))
    assert eval(repr(arch), {"Elman": Elman, "dual": dual}) == arch


def test_repr_of_an_own_function_shows_its_name(own):
    assert "dual.nonlinearity(algebraic, max_variance=4)" in repr(own)


@pytest.mark.parametrize("name", TABLE)
def test_round_trip_through_asdict_and_json(name):
    arch = TABLE[name]
    kind = type(arch)
    assert kind(**dataclasses.asdict(arch)) == arch
    back = kind(**json.loads(json.dumps(dataclasses.asdict(arch))))
    assert back == arch
    assert hash(back) == hash(arch)


def test_round_trip_keeps_the_settings_of_a_named_nonlinearity():
    arch = Elman(nonlinearity=dual.nonlinearity("tanh", max_variance=9))
    back = Elman(**json.loads(json.dumps(dataclasses.asdict(arch))))
    assert back == arch
    assert back.nonlinearity.max_variance == 9
    assert back != Elman(nonlinearity="tanh")


@pytest.mark.parametrize("fn", [own_function, jnp.arctan, jax.nn.mish], ids=["def", "jnp", "jitted"])
def test_asdict_round_trip_keeps_a_function_of_the_callers_own(fn):
    arch = Elman(width=8, nonlinearity=dual.nonlinearity(fn, name="mine"))
    back = Elman(**dataclasses.asdict(arch))
    assert back == arch
    assert hash(back) == hash(arch)


def test_a_nonlinearity_that_says_no_more_than_its_name_is_its_name():
    assert Elman(nonlinearity=dual.nonlinearity("erf")).nonlinearity == "erf"
    assert Elman(nonlinearity={"name": "relu"}) == Elman(nonlinearity="relu")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("v", "b", "u", "w"), ALL),
        (["v", "w"], ("w", "v")),
        ({"u"}, ("u",)),
        (("b", "b"), ("b",)),
        (ALL, ALL),
    ],
)
def test_trainable_is_kept_in_one_order(given, kept):
    assert Elman(trainable=given).trainable == kept
    assert hash(Elman(trainable=given)) == hash(Elman(trainable=kept))


@pytest.mark.parametrize("name", ["leaky_relu", "leaky_relu(0.2)", "leaky_relu( -1e-1 )"])
def test_parametrised_nonlinearity_names(name):
    assert Elman(nonlinearity=name).nonlinearity == name


@pytest.mark.parametrize("name", dual.names())
def test_every_listed_nonlinearity_makes_an_architecture(name):
    assert Elman(nonlinearity=name).nonlinearity == name


@pytest.mark.parametrize("value", [2, np.float32(2), np.float64(2), np.int64(2), np.array(2.0)])
@pytest.mark.parametrize("field", ["w_std", "u_std", "b_std", "v_std"])
def test_scales_from_any_number_become_floats(field, value):
    arch = Elman(**{field: value})
    assert type(getattr(arch, field)) is float
    assert arch == Elman(**{field: 2.0})
    assert hash(arch) == hash(Elman(**{field: 2.0}))
    json.dumps(dataclasses.asdict(arch))


@pytest.mark.parametrize("field", ["width", "depth", "out_dim"])
def test_counts_from_numpy_integers_become_ints(field):
    arch = Elman(**{field: np.int32(3)})
    assert type(getattr(arch, field)) is int
    assert arch == Elman(**{field: 3})


def test_a_zero_scale_is_allowed():
    assert Elman(w_std=0, b_std=0.0).w_std == 0.0


COUNT = "whole number"
BLOCK = r"\('w', 'u', 'b', 'v'\)"
INVALID = [
    # field, value, error, what came, what was expected
    ("width", 0, ValueError, "0", COUNT),
    ("width", -1, ValueError, "-1", COUNT),
    ("width", 2.5, TypeError, "2.5 of type float", COUNT),
    ("width", True, TypeError, "True of type bool", COUNT),
    ("width", "8", TypeError, "'8' of type str", COUNT),
    ("width", None, TypeError, "None", COUNT),
    ("depth", 0, ValueError, "0", COUNT),
    ("depth", 1.0, TypeError, "1.0 of type float", COUNT),
    ("out_dim", 0, ValueError, "0", COUNT),
    ("out_dim", "1", TypeError, "'1' of type str", COUNT),
    ("w_std", -1, ValueError, "-1", "at least 0"),
    ("w_std", float("nan"), ValueError, "nan", "finite"),
    ("u_std", float("inf"), ValueError, "inf", "finite"),
    ("w_std", "a", TypeError, "'a' of type str", "a finite number"),
    ("w_std", "1.5", TypeError, "'1.5' of type str", "a finite number"),
    ("b_std", None, TypeError, "None", "a finite number"),
    ("v_std", 1j, TypeError, "1j of type complex", "a finite number"),
    ("u_std", np.ones(2), TypeError, r"ndarray of shape \(2,\)", "a finite number"),
    ("readout", "middle", ValueError, "'middle'", "'last', 'mean', 'sequence'"),
    ("readout", None, TypeError, "None", "'last', 'mean', 'sequence'"),
    ("readout", np.arange(2), TypeError, r"array of shape \(2,\)", "'last', 'mean', 'sequence'"),
    ("bidirectional", 1, TypeError, "1 of type int", "True or False"),
    ("bidirectional", "yes", TypeError, "'yes' of type str", "True or False"),
    ("trainable", "w", TypeError, "'w'", BLOCK),
    ("trainable", 3, TypeError, "3", BLOCK),
    ("trainable", None, TypeError, "None", BLOCK),
    ("trainable", (), ValueError, r"\(\)", "nothing would be trained"),
    ("trainable", ("w", "x"), ValueError, r"\('w', 'x'\)", "'x' is not a block"),
    ("nonlinearity", "rleu", ValueError, "'rleu'", "expected one of abs, .*Did you mean 'relu'"),
    ("nonlinearity", "tan", ValueError, "'tan'", "Did you mean 'tanh'"),
    ("nonlinearity", "", ValueError, "''", "expected one of abs, "),
    ("nonlinearity", "leaky_relu(x)", ValueError, r"'leaky_relu\(x\)'", "a finite number"),
    ("nonlinearity", "leaky_relu(inf)", ValueError, r"'leaky_relu\(inf\)'", "a finite number"),
    ("nonlinearity", np.tanh, TypeError, "tanh", r"wrap .* ntkrnn\.dual\.nonlinearity\(fn\)"),
    ("nonlinearity", None, TypeError, "None", "a name such as 'erf'"),
    ("nonlinearity", {"name": "rleu"}, ValueError, "'rleu'", "Did you mean 'relu'"),
    ("nonlinearity", {"nme": "erf"}, ValueError, "'nme'", "expected those of a Nonlinearity"),
]


BLOCK_OF_DIAGONAL = r"\('w', 'u'\)"
INVALID_OF_DIAGONAL = [
    ("width", 0, ValueError, "0", COUNT),
    ("width", 5, ValueError, "5", r"an even number .* pass width=6 or symmetric=False"),
    ("alpha", -0.5, ValueError, "-0.5", "at least 0"),
    ("alpha", float("nan"), ValueError, "nan", "finite"),
    ("alpha", "a", TypeError, "'a' of type str", "a finite number"),
    ("symmetric", 1, TypeError, "1 of type int", "True or False"),
    ("trainable", ("w", "v"), ValueError, r"\('w', 'v'\)", f"{BLOCK_OF_DIAGONAL}; 'v' is not a block"),
    ("trainable", (), ValueError, r"\(\)", "nothing would be trained"),
    ("readout", "first", ValueError, "'first'", "'last', 'mean', 'sequence'"),
    ("nonlinearity", "tan", ValueError, "'tan'", "Did you mean 'tanh'"),
    ("out_dim", 0, ValueError, "0", COUNT),
]
INVALID_OF_CELLS = [
    (LSTM, "w_std", (1, 1, 1), ValueError, "3 values", r"a number or 4, for \['i', 'f', 'g', 'o'\]"),
    (LSTM, "b_mean", {"i": 0, "f": 1}, ValueError, r"\['f', 'i'\]", r"\['i', 'f', 'g', 'o'\]"),
    (LSTM, "b_mean", "1", TypeError, "'1'", "a finite number"),
    (GRU, "reset", "never", ValueError, "'never'", "'after', 'before'"),
    (GRU, "b_std", (1, 1, 1), ValueError, "3 values", r"a number or 4, for \['r', 'z', 'n', 'm'\]"),
    (Leaky, "rate", 1.5, ValueError, "1.5", "between 0 and 1"),
    (Leaky, "rate", -0.1, ValueError, "-0.1", "at least 0"),
    (Elman, "w_std", (1.0,), ValueError, "1 values", "a number"),
]
EVERY_INVALID = [
    *((Elman, *row) for row in INVALID),
    *((Diagonal, *row) for row in INVALID_OF_DIAGONAL),
    *INVALID_OF_CELLS,
]


@pytest.mark.parametrize(
    ("kind", "field", "value", "error", "came", "expected"),
    EVERY_INVALID,
    ids=[f"{kind.__name__}-{f}={value!r}".replace("\n", " ") for kind, f, value, *_ in EVERY_INVALID],
)
def test_an_invalid_field_is_refused_by_name(kind, field, value, error, came, expected):
    with pytest.raises(error) as caught:
        kind(**{field: value})
    message = str(caught.value)
    assert re.match(rf"{field}(\[\d\])?: got ", message), message
    assert re.search(came, message), message
    assert re.search(expected, message), message
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert Path(last.filename).is_relative_to(PACKAGE)
    assert last.line.startswith("raise")


def test_an_unknown_field_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'units'"):
        Elman(units=3)

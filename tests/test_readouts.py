"""Readouts as values: what they weigh, their names, and what is refused."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ntkrnn
from ntkrnn import readouts
from ntkrnn.readouts import Readout, weights_of

LENGTHS = np.array([5, 3, 1])
F32 = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("decay", [1e-3, 0.3, 0.9, 1 - 1e-6])
def test_exponential_weights_are_powers_that_add_up_to_one(decay, backward):
    got = np.asarray(weights_of(readouts.exponential(decay), 6, LENGTHS, backward, jnp.float32))
    for column, length in zip(got.T, LENGTHS, strict=True):
        powers = decay ** np.arange(length, dtype=float)
        want = powers / powers.sum()
        # Powers by exponentials of up to 5 log(1000): their roundings are those of the exponents.
        np.testing.assert_allclose(
            column[:length], want if backward else want[::-1], rtol=64 * F32, atol=0
        )
        assert not column[length:].any()


def test_exponential_runs_from_last_to_mean():
    assert readouts.exponential(0) == readouts.last and readouts.exponential(1.0) == readouts.mean
    assert ntkrnn.Elman(readout=readouts.exponential(1)).readout == "mean"
    x = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(np.float32)

    def kernel(readout):
        arch = ntkrnn.Elman(nonlinearity="erf", bidirectional=True, readout=readout)
        return ntkrnn.network(arch).kernel_fn(x, get="ntk", lengths=LENGTHS)

    # With e = 1e-5 the weights of a side move by 2e at "last", and by 4e at "mean" where the oldest of
    # five steps has lost 4e of itself: both sides by twice as much of the largest kernel of states.
    size = np.max(np.abs(kernel("sequence")))
    for end, near in (("last", 1e-5), ("mean", 1 - 1e-5)):
        got = kernel(readouts.exponential(near))
        np.testing.assert_allclose(got, kernel(end), atol=(8e-5 + 32 * F32) * size, rtol=0)
    between = kernel(readouts.exponential(0.5))
    assert np.max(np.abs(between - kernel("last"))) > 1e-2
    assert np.max(np.abs(between - kernel("mean"))) > 1e-2


@pytest.mark.parametrize("name", ["last", "mean"])
def test_the_shorter_ways_of_the_named_ones_are_their_weights(name):
    """The same readout without the facts: the engines then know of nothing but the weights."""

    @dataclasses.dataclass(frozen=True)
    class Plain(Readout):
        def weights(self, times, lengths, backward):
            return readouts.NAMED[name].weights(times, lengths, backward)

    x = np.random.default_rng(0).standard_normal((3, 5, 2)).astype(np.float32)
    for fields in ({"depth": 2, "bidirectional": True}, {}):
        one, two = (
            ntkrnn.network(ntkrnn.Elman(nonlinearity="erf", b_std=0.2, readout=readout, **fields))
            for readout in (name, Plain())
        )
        for a, b in zip(*(net.kernel_fn(x, None, None, LENGTHS) for net in (one, two)), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=64 * F32 * np.max(np.abs(b)))


@pytest.mark.parametrize(
    "readout",
    ["mean", readouts.exponential(0.7), readouts.weights([1.0, -0.5, 2.0])],
    ids=str,
)
@pytest.mark.parametrize("kind", [ntkrnn.GRU, ntkrnn.Diagonal])
def test_fields_go_through_json(kind, readout):
    arch = kind(width=8, readout=readout)
    assert kind(**json.loads(json.dumps(dataclasses.asdict(arch)))) == arch


def test_named_values_are_their_names():
    for name, value in readouts.NAMED.items():
        assert ntkrnn.LSTM(readout=value) == ntkrnn.LSTM(readout=name)
        assert ntkrnn.LSTM(readout=name).reading == value


class NoHash(Readout):
    __hash__ = None

    def weights(self, times, lengths, backward):
        return jnp.ones(())


class Short(Readout):
    def weights(self, times, lengths, backward):
        return jnp.ones((2, 1))


class Undefined(Readout):
    def weights(self, times, lengths, backward):
        return times / (times - 1)


class Fails(Readout):
    def weights(self, times, lengths, backward):
        return times @ lengths @ times


class WrongFact(Readout):
    final = True

    def weights(self, times, lengths, backward):
        return times == 0


class Stepwise(Readout):
    stepwise = True

    def weights(self, times, lengths, backward):
        return times == 0


@pytest.mark.parametrize(
    ("readout", "error", "message"),
    [
        ("lst", ValueError, r"readout: got 'lst', expected one of 'last', 'mean', 'sequence', or"),
        (0.9, TypeError, r"readout: got 0\.9 of type float, expected one of"),
        (Readout, TypeError, r"readout: got <class .*, expected one of"),
        (NoHash(), TypeError, r"readout: got NoHash, which has no hash"),
        (Short(), TypeError, r"readout: Short\.weights fails with times \[T, 1\]"),
        (
            Undefined(),
            ValueError,
            r"got weights of shape \(5, 4\) with NaN or inf of Undefined",
        ),
        (Fails(), TypeError, r"readout: Fails\.weights fails with times"),
        (WrongFact(), ValueError, r"got WrongFact with final = True, and weights other than those of"),
        (Stepwise(), TypeError, r"got Stepwise with stepwise = True"),
        ({"decay": 0.5}, ValueError, r"readout: got a mapping with the keys \['decay'\]"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Readout) else None,
)
def test_what_is_no_readout_is_refused(readout, error, message):
    with pytest.raises(error, match=message):
        ntkrnn.Elman(readout=readout)


@pytest.mark.parametrize("decay", [-0.1, 1.5, float("nan"), "half"])
def test_a_decay_is_a_fraction(decay):
    with pytest.raises((TypeError, ValueError), match=r"^decay: got"):
        readouts.exponential(decay)


@pytest.mark.parametrize("array", [[], [[1.0]], [1.0, np.inf], ["a"], 3.0])
def test_given_weights_are_finite_numbers_in_one_axis(array):
    with pytest.raises((TypeError, ValueError), match=r"^array: got"):
        readouts.weights(array)


@pytest.mark.parametrize("kind", [ntkrnn.Elman, ntkrnn.Diagonal])
def test_more_steps_than_weights_are_refused_before_anything_is_computed(kind):
    x, arch = np.zeros((2, 5, 3), np.float32), kind(width=8, readout=readouts.weights([1, 2]))
    init_fn, apply_fn, kernel_fn = ntkrnn.network(arch)
    _, params = init_fn(jax.random.key(0), x.shape)
    train = functools.partial(ntkrnn.dynamics.train, steps=1, optimizer=optax.sgd(0.1))
    for call in (
        lambda: apply_fn(params, x),
        lambda: kernel_fn(x[:, :2], x),
        lambda: ntkrnn.empirical_ntk_fn(arch)(x, None, params),
        lambda: train(arch, params, x, np.zeros(2)),
    ):
        with pytest.raises(ValueError, match=r"readout: got 2 weights, and x[12]? has T=5 steps"):
            call()


def test_a_readout_is_tried_inside_of_a_program_too():
    class Anew(Readout):
        def weights(self, times, lengths, backward):
            return 1.0 * (times == 0)

    x = np.random.default_rng(0).standard_normal((2, 3, 2)).astype(np.float32)

    def kernel(w_std):
        arch = ntkrnn.Elman(nonlinearity="erf", w_std=w_std, readout=Anew())
        return ntkrnn.network(arch).kernel_fn(x, get="nngp")

    first = ntkrnn.network(ntkrnn.Elman(nonlinearity="erf")).kernel_fn(x[:, :1], get="nngp")
    size = np.max(np.abs(first))
    np.testing.assert_allclose(jax.jit(kernel)(1.3), first, atol=32 * F32 * size, rtol=0)

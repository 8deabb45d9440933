"""What a study says of results that mean little."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import ntkrnn
from ntkrnn.data import load
from ntkrnn.studies.cautions import cautions, recurrent_gain

WELL = np.full((2, 5), 0.2)


def sequences(steps, n=3, size=1.0, lengths=None):
    """Tokens of one norm."""
    x = np.random.default_rng(0).normal(size=(n, steps, 4))
    x *= 2 * size / np.linalg.norm(x, axis=2, keepdims=True)  # mean square of an entry: size^2
    return load("digits", n=n)._replace(x=x, lengths=lengths, labels=None)


def said(arch=None, dataset=None, seeds=5, errors=WELL):
    dataset = sequences(8) if dataset is None else dataset
    return cautions(arch or ntkrnn.Elman(), dataset, (64, 128), seeds, errors)


def test_nothing_is_said_where_all_is_well():
    assert said() == []


@pytest.mark.parametrize(
    ("errors", "which"),
    [([2.0, 0.5], "width 64:"), ([2.0, 1.5], "widths 64 and 128:"), ([np.nan, 0.5], None)],
)
def test_errors_above_one_are_named_by_width(errors, which):
    found = said(errors=np.array(errors)[:, None] * np.ones(5))
    assert [which in one for one in found] == ([True] if which else [])


def test_two_seeds_are_few():
    (one,) = said(seeds=2)
    assert "2 seeds" in one and "five or more" in one
    assert said(seeds=3) == []


# The gain of the recurrence


def test_the_gain_is_that_of_a_quadrature():
    """The same recursion with Gauss-Hermite nodes of our own."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    arch = ntkrnn.Elman(nonlinearity="tanh", w_std=1.4, u_std=0.7, b_std=0.2)
    q = drive = 0.7**2 * 0.5**2 + 0.2**2
    for _ in range(12):
        slope = 1.4**2 * weights @ (1 / np.cosh(np.sqrt(q) * nodes) ** 4)
        q = 1.4**2 * weights @ np.tanh(np.sqrt(q) * nodes) ** 2 + drive
    found = recurrent_gain(arch, sequences(12, size=0.5))
    # Of a series of its own accuracy, in JAX's default precision.
    assert found == pytest.approx(slope, rel=1e-5)


def test_the_gain_is_the_rate_at_which_a_kernel_forgets():
    """One first token is replaced; what is left of it in the NNGP kernel falls by the gain a step."""
    arch = ntkrnn.Elman(nonlinearity="erf", w_std=1.1)
    data = sequences(24, n=1)
    x = np.concatenate([data.x, data.x])
    x[1, 0] = -x[0, 0]
    with jax.enable_x64(True):
        kernel_fn = ntkrnn.network(arch).kernel_fn
        left = []
        for steps in (20, 21):
            k = np.asarray(kernel_fn(x[:, :steps], None, "nngp"))
            left.append(0.5 * (k[0, 0] + k[1, 1]) - k[0, 1])
        gain = recurrent_gain(arch, data)
    # To first order in what is left, which is 1e-3 or less of the kernel.
    assert left[1] / left[0] == pytest.approx(gain, rel=1e-2)


def test_padding_does_not_count():
    whole = sequences(6, n=2)
    padded = whole.x.copy()
    padded[1, 3:] = 100.0
    part = whole._replace(x=padded, lengths=np.array([6, 3]))
    assert recurrent_gain(ntkrnn.Elman(8, "tanh"), part) == pytest.approx(
        recurrent_gain(ntkrnn.Elman(8, "tanh"), whole), rel=1e-6
    )


RELU = {"nonlinearity": "relu", "u_std": 1.0}


@pytest.mark.parametrize(
    ("steps", "w_std", "readout", "words"),
    [
        (64, 2**0.5, "last", None),  # a gain of 1
        (64, 2.0, "last", ("is 2 over 64 steps", "grow", "w_std of about 1.41")),
        (64, 2.0, "mean", ("is 2 over 64 steps", "grow")),
        (500, 4.0, "last", ("grow",)),  # overflows without a word
        (64, 1.0, "last", ("is 0.5 over 64 steps", "last 10 of 64 steps", "about 1.41")),
        (64, 1.0, "mean", None),  # every step is read
        (16, 2.0, "last", None),  # not long
        (64, 1.38, "last", None),  # (1.38^2/2)^64 = 0.04
        (64, 0.0, "last", None),  # without a recurrence on purpose
    ],
)
def test_long_sequences_with_a_gain_far_from_one(steps, w_std, readout, words):
    arch = ntkrnn.Elman(w_std=w_std, readout=readout, **RELU)
    found = said(arch, sequences(steps))
    assert len(found) == (words is not None)
    for word in words or ():
        assert word in found[0], found


def test_other_cells_have_no_such_gain():
    assert said(ntkrnn.LSTM(), sequences(64)) == []

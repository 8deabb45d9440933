"""Classifier, ridge regression and kernel transformer: what they choose, predict, refuse and save."""

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

import ntkrnn
from ntkrnn import Elman
from ntkrnn.data import block_means, differences, standardize
from ntkrnn.estimators import (
    RecurrentGPRegressor,
    RecurrentKernel,
    RecurrentKernelClassifier,
    RecurrentKernelRidge,
    load,
    save,
)

RELU = Elman(nonlinearity="relu", w_std=2**0.5, b_std=0.3, readout="mean")
ONE = {"architecture": RELU, "differences": False, "standardize": "series"}


def _waves(n=24, steps=20, seed=0):
    """Slow and fast waves of any phase, with noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    phase, t = rng.uniform(0, 2 * np.pi, (n, 1)), np.arange(steps)
    return np.sin(t * (0.4 + 0.5 * y[:, None]) + phase) + 0.1 * rng.normal(size=(n, steps)), y


def test_the_kernel_is_that_of_network_at_unit_diagonal():
    x, _ = _waves()
    found = RecurrentKernel(**ONE, dtype="float64").fit_transform(x)
    z, _ = standardize(x[:, :, None], None, "series")
    with jax.enable_x64(True):
        nngp = np.asarray(ntkrnn.network(RELU).kernel_fn(z).nngp)
    root = np.sqrt(np.diagonal(nngp))
    np.testing.assert_allclose(found, nngp / root[:, None] / root, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-12)


def test_differences_are_further_channels():
    """Of order 1: the kernel of [x, dx], each standardised; the average is over orders 0, 1 and 2."""
    x, _ = _waves(6)
    whole = RecurrentKernel(RELU, standardize="series", dtype="float64").fit_transform(x)
    z, _ = standardize(x[:, :, None], None, "series")
    first = differences(z)
    changes, _ = standardize(np.concatenate([first, differences(first)], axis=2), None, "series")
    every, kernels = np.concatenate([z, changes], axis=2), []
    for channels in (1, 2, 3):
        with jax.enable_x64(True):
            nngp = np.asarray(ntkrnn.network(RELU).kernel_fn(every[:, :, :channels]).nngp)
        root = np.sqrt(np.diagonal(nngp))
        kernels.append(nngp / root[:, None] / root)
    np.testing.assert_allclose(whole, np.mean(kernels, axis=0), atol=1e-12)


def test_rows_that_come_later_belong_to_the_same_kernel():
    x, _ = _waves()
    kernel = RecurrentKernel("auto", standardize="channel").fit(x)
    np.testing.assert_allclose(kernel.transform(x), kernel.fit_transform(x), atol=2e-6)


@pytest.mark.parametrize("cell", [ntkrnn.GRU, ntkrnn.LSTM])
def test_sampled_kernels_are_one_function_and_tell_their_error(cell):
    x, y = _waves(12, 8)
    model = RecurrentKernelClassifier(cell(readout="mean"), differences=False, standardize="series")
    kernel = model.fit(x, y).kernel_
    every = kernel.fit_transform(x)
    np.testing.assert_allclose(kernel.transform(x[:3]), every[:3], atol=1e-5)
    assert 0 < kernel.kernel_error_ < 0.05
    assert model.score(x, y) > 0.9


def test_coefficients_and_predictions_are_those_of_ridge_regression():
    x, y = _waves(30)
    model = RecurrentKernelRidge(**ONE, alphas=[1e-2]).fit(x[:20], y[:20])
    kernel = RecurrentKernel(**ONE).fit(x[:20])
    own, cross = kernel.fit_transform(x[:20]), kernel.transform(x[20:])
    mean = y[:20].mean()
    exact = np.linalg.solve(own + model.alpha_ * np.eye(20), y[:20] - mean)
    # Both solve the same float64 system, of a condition of at most 20/1e-2.
    np.testing.assert_allclose(model.dual_coef_[:, 0], exact, atol=1e-11)
    np.testing.assert_allclose(model.predict(x[20:]), mean + cross @ exact, atol=1e-11)
    np.testing.assert_allclose(model.alpha_, 1e-2, rtol=1e-6)


def test_the_leave_one_out_score_is_that_of_refits():
    x, y = _waves(16)
    model = RecurrentKernelClassifier(**ONE, alphas=[1e-2]).fit(x, y)
    kernel = RecurrentKernel(**ONE).fit_transform(x)
    signs = np.where(y[:, None] == [0, 1], 1.0, -1.0)
    signs -= signs.mean(axis=0)
    errors = []
    for i in range(16):
        rest = np.arange(16) != i
        inner = kernel[np.ix_(rest, rest)] + 1e-2 * np.eye(15)
        errors.append(signs[i] - kernel[i, rest] @ np.linalg.solve(inner, signs[rest]))
    np.testing.assert_allclose(model.loo_score_, np.mean(np.square(errors)), rtol=1e-6)


def test_the_choice_has_the_least_criterion_of_the_table():
    x, y = _waves(40)
    for selection in ("loo", "gcv", "marginal_likelihood"):
        model = RecurrentKernelClassifier(RELU, selection=selection).fit(x, y)
        table = pd.DataFrame(model.candidates_)
        assert len(table) == 2 and (table.criterion >= table.criterion.min()).all()
        best = table.iloc[table.criterion.argmin()]
        assert best.candidate == model.kernel_.describe() and best.alpha == model.alpha_
        assert best.loo_score == model.loo_score_


def test_a_list_is_averaged_or_selected_from():
    x, y = _waves()
    two = [RELU, Elman(nonlinearity="erf", readout="mean")]
    averaged = RecurrentKernelClassifier(two, standardize="series").fit(x, y)
    assert len(averaged.candidates_["alpha"]) == 1 and len(averaged.architecture_) == 6
    selected = RecurrentKernelClassifier(two, standardize="series", combine="select").fit(x, y)
    assert len(selected.candidates_["alpha"]) == 2 and len(selected.architecture_) == 3


def test_kernels_that_overflow_are_dropped_and_told():
    x, y = _waves(8, 60)
    chaotic = Elman(nonlinearity="erf", w_std=30.0, readout="mean")
    model = RecurrentKernelClassifier(
        [RELU, chaotic], combine="select", kernel="ntk", standardize="series", max_steps=60
    )
    with pytest.warns(UserWarning, match=r"candidate is dropped, series, erf.*w_std: got 30"):
        model.fit(x, y)
    assert np.isnan(model.candidates_["alpha"][1]) and "relu" in model.kernel_.describe()
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="architecture: got no candidate"):
        RecurrentKernelClassifier(chaotic, kernel="ntk", max_steps=60).fit(x, y)


def test_small_ridges_take_kernels_of_float64():
    x, y = _waves(40)
    small = RecurrentKernelClassifier(**ONE, alphas=[1e-7]).fit(x, y)
    large = RecurrentKernelClassifier(**ONE, alphas=[1e-2]).fit(x, y)
    assert (small.kernel_.dtype, large.kernel_.dtype) == ("float64", "float32")


def test_many_series_are_chosen_for_by_some_and_solved_for_all(monkeypatch):
    x, y = _waves(120)
    monkeypatch.setattr("ntkrnn.estimators._machine.EXACT", 100)
    monkeypatch.setattr("ntkrnn.estimators._machine.CHOOSING", 60)
    monkeypatch.setattr("ntkrnn.solvers._auto.EXACT", 100)
    model = RecurrentKernelClassifier(**ONE, alphas=[1e-1]).fit(x, y)
    signs = np.where(y[:, None] == [0, 1], 1.0, -1.0)
    kernel = RecurrentKernel(**ONE).fit_transform(x)
    exact = np.linalg.solve(kernel + model.alpha_ * np.eye(120), signs - signs.mean(axis=0))
    # The residual is at most 1e-7 of the targets, and the least eigenvalue at least the ridge.
    assert np.linalg.norm(model.dual_coef_ - exact) < 1e-7 * np.linalg.norm(signs) / model.alpha_
    assert model.score(*_waves(40, seed=1)) > 0.9 and np.isfinite(model.temperature_)


def test_probabilities_are_calibrated_on_what_was_left_out():
    """Labels that are random say nothing: probabilities near the shares of classes."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 12)), rng.integers(2, size=80)
    model = RecurrentKernelClassifier(**ONE).fit(x, y)
    p = model.predict_proba(rng.normal(size=(40, 12)))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    # Three standard errors of a share among 80.
    assert abs(p[:, 1].mean() - 0.5) < 3 * 0.5 / np.sqrt(80)
    assert p.max() < 0.9


def _forms(x):
    return {
        "jax": jnp.asarray(x),
        "channels": x[:, :, None],
        "list": [row[:, None] for row in x],
        "flat list": [list(row) for row in x],
        "pandas": pd.DataFrame(x),
    }


@pytest.mark.parametrize("form", ["jax", "channels", "list", "flat list", "pandas"])
def test_forms_of_one_input_are_one_input(form):
    x = np.round(_waves(10)[0], 3).astype(np.float32).astype(np.float64)
    want = RecurrentKernel(**ONE).fit_transform(x)
    np.testing.assert_array_equal(RecurrentKernel(**ONE).fit_transform(_forms(x)[form]), want)


def test_lengths_nan_and_lists_say_the_same():
    rng = np.random.default_rng(0)
    counts = rng.integers(5, 12, 9)
    counts[0] = 12
    series = [rng.normal(size=(count, 2)) for count in counts]
    padded = np.full((9, 12, 2), np.nan)
    for row, one in zip(padded, series, strict=True):
        row[: len(one)] = one
    want = RecurrentKernel().fit_transform(series)
    np.testing.assert_array_equal(RecurrentKernel().fit_transform(padded), want)
    filled = np.where(np.isnan(padded), 7.0, padded)
    np.testing.assert_array_equal(RecurrentKernel().fit_transform(filled, lengths=counts), want)


def test_series_may_be_longer_than_those_of_fit():
    x, y = _waves(30, 60)
    short = [row[:20, None] for row in x[:20]]
    model = RecurrentKernelClassifier(max_steps=10).fit(short, y[:20])
    assert model.predict([row[:, None] for row in x[20:]]).shape == (10,)
    with pytest.raises(ValueError, match=r"X has 60 features.*Series of other lengths"):
        RecurrentKernelClassifier(max_steps=10).fit(x[:20, :20], y[:20]).predict(x)


def test_lengths_are_routed():
    x, y = _waves(30)
    lengths = np.full(30, 20)
    lengths[::3] = 15
    with sklearn.config_context(enable_metadata_routing=True):
        model = RecurrentKernelClassifier(**ONE)
        model.set_fit_request(lengths=True).set_predict_request(lengths=True)
        model.set_score_request(lengths=True)
        search = GridSearchCV(model, {"alphas": [[1e-3], [1e-1]]}, cv=2)
        search.fit(x, y, lengths=lengths)
    assert search.best_estimator_.kernel_._kept.lengths.min() == 15


def test_the_tools_of_scikit_learn_take_them():
    x, y = _waves()
    assert (cross_val_predict(RecurrentKernelClassifier(**ONE), x, y, cv=3) == y).mean() > 0.8
    chained = make_pipeline(RecurrentKernel(**ONE), SVC(kernel="precomputed"))
    assert chained.fit(x, y).score(x, y) > 0.9
    process = GaussianProcessRegressor(RecurrentKernel(**ONE) + WhiteKernel(0.1), optimizer=None)
    kernel = RecurrentKernel(**ONE)
    own = kernel(x)
    exact = own @ np.linalg.solve(own + 0.1 * np.eye(len(x)), y)
    np.testing.assert_allclose(process.fit(x, y).predict(x), exact, atol=1e-4)
    np.testing.assert_allclose(kernel.diag(x), np.diagonal(kernel(x)), atol=1e-6)
    again = pickle.loads(pickle.dumps(RecurrentKernelClassifier(**ONE).fit(x, y)))
    assert again.score(x, y) > 0.9


EXTREMES = {
    "two series": (np.array([[0.0, 1.0, 2.0], [2.0, 0.0, 1.0]]), np.array([0, 1])),
    "one step": (np.arange(8.0)[:, None], np.arange(8) // 4),
    "one example a class": (np.random.default_rng(0).normal(size=(4, 9)), np.arange(4)),
    "constant series": (np.repeat(np.arange(6.0)[:, None], 7, axis=1), np.arange(6) // 3),
}


@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_are_fitted(case):
    """Each has an answer: with the smallest ridge a series is told from others that differ."""
    x, y = EXTREMES[case]
    model = RecurrentKernelClassifier().fit(x, y)
    assert model.score(x, y) == 1.0
    assert np.isfinite(model.predict_proba(x)).all()
    if len(set(y)) == len(y):  # nothing is learned from what was left out
        assert model.alpha_ == pytest.approx(1e-6) and model.loo_score_ == 0


def test_series_without_a_state_are_told_nothing_of():
    """Constant ones, each standardised by itself, are all 0 and all alike: the mean is predicted."""
    x = np.repeat(np.arange(4.0)[:, None], 5, axis=1)
    erf = Elman(nonlinearity="erf", b_std=0.0, readout="mean")
    model = RecurrentKernelRidge(erf, standardize="series", differences=False).fit(x, np.arange(4.0))
    np.testing.assert_allclose(model.predict(x), 1.5, atol=1e-12)


X = np.random.default_rng(0).normal(size=(6, 5))
GAP = np.where(np.arange(5) == 2, np.nan, X)


@pytest.mark.parametrize(
    ("change", "x", "y", "message"),
    [
        ({}, X, np.zeros(6), "y: got one class"),
        ({}, X, np.arange(5), "y: got 5 targets, expected 6"),
        ({}, X, [0, 1, 0, 1, 0, np.nan], "y: got NaN"),
        ({}, GAP, np.arange(6) % 2, r"X: got NaN in row 0, step 2"),
        ({}, np.full((2, 3), np.nan), [0, 1], "X: got only NaN in row 0"),
        ({}, [X[0], X[1, :3].reshape(1, 3)], [0, 1], r"X\[1\]: got d=3 channels"),
        ({"architecture": "lstm"}, X, np.arange(6) % 2, "architecture: got 'lstm'"),
        ({"architecture": []}, X, np.arange(6) % 2, "architecture: got an empty list"),
        ({"architecture": Elman(readout="sequence")}, X, np.arange(6) % 2, "architecture: got Elman"),
        ({"standardize": "rows"}, X, np.arange(6) % 2, "standardize: got 'rows'"),
        ({"kernel": "rbf"}, X, np.arange(6) % 2, "kernel: got 'rbf'"),
        ({"selection": "cv"}, X, np.arange(6) % 2, "selection: got 'cv'"),
        ({"combine": "sum"}, X, np.arange(6) % 2, "combine: got 'sum'"),
        ({"alphas": [0.0]}, X, np.arange(6) % 2, "alphas: got"),
        ({"max_steps": 0}, X, np.arange(6) % 2, "max_steps: got 0"),
        ({"differences": 2}, X, np.arange(6) % 2, "differences: got 2"),
    ],
)
def test_bad_input_is_named(change, x, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RecurrentKernelClassifier(**change).fit(x, y)


def test_bad_targets_of_regression_are_named():
    for y, message in (
        (X * 1j, "y: got dtype complex"),
        (np.full(6, np.inf), "y: got NaN or infinity"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            RecurrentKernelRidge().fit(X, y)
    with pytest.raises(TypeError, match="y: got a masked array"):
        RecurrentKernelClassifier().fit(X, np.ma.masked_array(np.arange(6) % 2))


MODELS = {
    "classifier": (RecurrentKernelClassifier(), np.array(["a", "b"] * 3)),
    "ridge": (RecurrentKernelRidge(RELU), np.arange(12.0).reshape(6, 2)),
    "kernel": (RecurrentKernel([RELU, ntkrnn.GRU(readout="mean")], differences=False), None),
    "process": (RecurrentGPRegressor(RELU, fitted=("w_std",)), np.arange(6.0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_predicts_the_same(name, tmp_path):
    model, y = MODELS[name]
    model = sklearn.clone(model).fit(pd.DataFrame(X, columns=list("abcde")), y)
    save(model, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    apply = "transform" if name == "kernel" else "predict"
    frame = pd.DataFrame(X + 0.1, columns=list("abcde"))
    np.testing.assert_array_equal(getattr(again, apply)(frame), getattr(model, apply)(frame))
    assert again.get_params() == model.get_params()
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:  # no entry needs a pickle
        assert json.loads(str(file["model"]))["format"] == 1 and all(file[k] is not None for k in file)


class OwnReadout(ntkrnn.readouts.Readout):
    def weights(self, times, lengths, backward):
        return times == 0


def test_what_is_no_model_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    with pytest.raises(ValueError, match=r"a\.npz: got a file that holds no model"):
        load(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"not an archive")
    with pytest.raises(ValueError, match=r"b\.npz: got a file that holds no model"):
        load(tmp_path / "b.npz")
    form = {"format": 2, "ntkrnn": "9.0", "model": None}
    np.savez(tmp_path / "c.npz", model=np.array(json.dumps(form)))
    with pytest.raises(ValueError, match=r"c\.npz: got a model of format 2, written by ntkrnn 9\.0"):
        load(tmp_path / "c.npz")
    evil = {"format": 1, "ntkrnn": "0", "model": {"type": "os.system", "parts": {}}}
    np.savez(tmp_path / "d.npz", model=np.array(json.dumps(evil)))
    with pytest.raises(ValueError, match=r"d\.npz: got a file that holds no model"):
        load(tmp_path / "d.npz")
    with pytest.raises(TypeError, match="model: got SVC"):
        save(SVC(), tmp_path / "e.npz")
    own = Elman(nonlinearity=ntkrnn.dual.nonlinearity(jnp.arctan), readout="mean")
    with pytest.raises(TypeError, match="a function of your own"):
        save(RecurrentKernel(own), tmp_path / "f.npz")
    with pytest.raises(TypeError, match=r"got the readout .*, a class of your own"):
        save(RecurrentKernel(Elman(readout=OwnReadout())), tmp_path / "f.npz")
    assert not (tmp_path / "f.npz").exists()


def test_a_saved_model_has_the_readout_that_it_had(tmp_path):
    arch = Elman(readout=ntkrnn.readouts.exponential(0.8), b_std=0.3)
    model = RecurrentKernel(arch).fit(X)
    save(model, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert again.get_params()["architecture"] == arch
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_block_means_are_integrals():
    x = np.random.default_rng(0).normal(size=(3, 12, 2))
    counts = np.array([12, 7, 1])
    means, lengths = block_means(x, counts, 5)
    rate = 12 / 5
    for row, count, mean, blocks in zip(x, counts, means, lengths, strict=True):
        assert blocks == np.ceil(count / rate)
        for j in range(blocks):
            start, end = j * rate, min((j + 1) * rate, count)
            share = [max(0.0, min(end, t + 1) - max(start, t)) for t in range(count)]
            np.testing.assert_allclose(mean[j], share @ row[:count] / (end - start), rtol=1e-12)
        assert not mean[blocks:].any()


def test_helpers_leave_padding_alone():
    x = np.full((2, 4, 1), np.nan)
    x[0, :, 0], x[1, :2, 0] = [1, 2, 4, 8], [3, 1]
    assert differences(x, [4, 2])[:, :, 0].tolist() == [[0, 1, 2, 4], [0, -2, 0, 0]]
    with pytest.raises(ValueError, match="x: got nan"):
        differences(x)
    kept, record = standardize(x, [4, 2], "channel")
    again, _ = standardize(x, [4, 2], "channel", like=record)
    np.testing.assert_array_equal(kept, again)
    with pytest.raises(ValueError, match="max_steps: got 0"):
        block_means(np.ones((1, 2, 1)), None, 0)

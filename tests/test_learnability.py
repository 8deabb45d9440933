"""Learnability: what the experiments are made of, and each of them from end to end."""

from __future__ import annotations

import dataclasses
import functools
import html
import html.parser
import json
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import matplotlib.image
import numpy as np
import pytest
from marking import marked
from matplotlib.figure import Figure
from typer.testing import CliRunner

import ntkrnn
from ntkrnn import dynamics, theory
from ntkrnn.cli import app
from ntkrnn.report import Line, Plot, plots
from ntkrnn.studies import Pieces, StudyError
from ntkrnn.studies.learnability import (
    AGREES,
    DISAGREES,
    EXPERIMENTS,
    INCONCLUSIVE,
    Conclusion,
    Experiment,
    Finding,
    Table,
    _run,
    finding,
    grid,
    learnability,
    write_learnability,
)
from ntkrnn.studies.learnability._experiment import RELATIONS
from ntkrnn.studies.learnability._files import summary
from ntkrnn.studies.learnability._kernels import learning_curve, ntk64, samples_needed, solve
from ntkrnn.studies.learnability._train import draw, fit_networks, sgd, stable_rate

DTYPE = jnp.zeros(()).dtype
EPS = float(jnp.finfo(DTYPE).eps)
INF = float("inf")

TINY = {
    "lazy-training": {"widths": (8, 32), "seeds": 2, "length": 4, "samples": 16, "steps": 20,
                      "batch_size": 8},
    "width-insensitivity": {"widths": (8, 16), "samples": (16,), "seeds": 2, "length": 3, "test": 20,
                            "steps": 5, "batch_size": 8},
    "additive-length": {"lengths": (4, 5), "seeds": 2, "samples": 64, "test": 40, "form_samples": 32,
                        "width": 8, "network_samples": 16, "steps": 5, "batch_size": 8},
    "early-token": {"lengths": (4, 5), "long_lengths": (8, 12, 16), "seeds": 2, "samples": 64,
                    "test": 40, "width": 8, "network_samples": 16, "steps": 5, "batch_size": 8},
    "complexity-ranks-error": {"length": 5, "samples": 32, "test": 40, "seeds": 2, "width": 8,
                               "steps": 5, "batch_size": 8},
    "n-variable": {"length": 6, "spans": (2, 4), "variables": (2, 3), "seeds": 2, "samples": 32,
                   "test": 40, "width": 8, "network_seeds": 1, "steps": 5, "batch_size": 8},
    "beyond-additive": {"length": 4, "samples": 64, "network_samples": (32,), "test": 40, "seeds": 2,
                        "width": 8, "steps": 5, "batch_size": 8},
    "rntk-sensitivity": {"length": 10, "dim": 2, "recurrent": (0.5, 1.0, 2.0), "pairs": 2, "seeds": 2,
                         "skip": 1},
    "token-to-token": {"lengths": (3,), "widths": (8,), "width": 8, "samples": (8, 16),
                       "kernel_samples": (8, 16), "test": 20, "seeds": 2},
    "ce24-neuron-movement": {"widths": (8, 32), "seeds": 2, "length": 4, "samples": 8, "steps": 5},
    "ce24-linearisation": {"widths": (8, 32), "seeds": 2, "length": 4, "samples": 8, "steps": 5},
    "ce24-cutoff": {"nonlinearities": ("identity", "sin"), "alphas": (0.5, 3.0), "length": 12,
                    "width": 64, "samples": 1, "seeds": 2},
    "ce24-certificate": {"cases": 2, "steps": 20, "largest_width": 64},
    "ce24-log-samples": {"counts": (8, 16, 32, 64), "widths": (16, 32), "groups": 2, "networks": 2},
    "ce24-dynamical-systems": {"systems": ("transport", "pendulum"), "seeds": 2, "length": 5,
                               "samples": 8, "test": 6, "width": 8, "elman_width": 8, "steps": 5},
    "gated-finite-width": {"widths": (8, 16), "cells": ("GRU",), "seeds": 3, "sequences": 2,
                           "samples": 256, "replicates": 2},
    "gated-real-sequences": {"sets": ("digits",), "cells": ("GRU",), "repetitions": 2, "train": 12,
                             "validation": 4, "test": 8, "samples": 64, "width": 8, "steps": 5},
    "gated-memory": {"biases": (0.0, 2.0), "cells": ("LSTM",), "length": 6, "dim": 2,
                     "repetitions": 2, "samples": 64},
}  # fmt: skip
# Compiled quickly; the others are in the full suite.
FAST = ("rntk-sensitivity", "beyond-additive")


def tiny(name):
    experiment = EXPERIMENTS[name]
    return dataclasses.replace(experiment.settings.quick(), **TINY[name])


@functools.cache
def done(name):
    return learnability(EXPERIMENTS[name], tiny(name))


# An experiment of arithmetic: what the framework does, without waiting for networks.


@dataclasses.dataclass(frozen=True)
class MadeUpSettings:
    jobs: int = 5
    size: int = 3
    seed: int = 0

    @classmethod
    def quick(cls):
        return cls(jobs=2)


def made_up(settings_of_jobs=None):
    def measure(settings, job):
        i = job
        (settings_of_jobs if settings_of_jobs is not None else []).append(i)
        draws = np.random.default_rng([settings.seed, i]).normal(size=(60, 60 * settings.size))
        return {"value": np.linalg.inv(draws @ draws.T), "error": np.array(np.nan)}

    def conclude(settings, measured):
        found = (
            finding("a <b> & c", 1.0, (-INF, 2.0), relation="at most", predicted=3.0, otherwise="no"),
            finding("d", 1.0, (0.5, 2.0), relation="equals", predicted=4.0, otherwise="x < y"),
        )
        figure = plots([Plot("", "x", "y", [Line("", np.arange(2.0), np.ones(2))], "")], title="t")
        table = Table("<table>", ("<x>",), (("</script>",),))
        return Conclusion(table, found, figure)

    about = "One <line>,\nand another."
    return Experiment(
        "made-up",
        "A <b> title",
        about,
        "nobody & co",
        MadeUpSettings,
        grid(measure, job="jobs"),
        conclude,
    )


# Kernels and samples


def test_samples_needed():
    sizes = [16, 32, 64, 128]
    assert samples_needed(sizes, np.array([1.2, 0.9, 0.5, 0.1]), 0.5) == 64
    # Halfway on the logarithmic scale.
    assert samples_needed(sizes, np.array([1.2, 0.8, 0.4, 0.1]), 0.6) == pytest.approx(32 * 2**0.5)
    # The first time it is reached counts.
    assert samples_needed(sizes, np.array([1.0, 0.4, 0.9, 0.1]), 0.5) < 32
    for errors in ([0.4, 0.3, 0.2, 0.1], [1.0, 0.9, 0.8, 0.7], [np.nan] * 4):
        assert np.isnan(samples_needed(sizes, np.array(errors), 0.5))


def problem(n, m=7):
    rng = np.random.default_rng(5)
    root = rng.normal(size=(n + m, 3 * n))
    kernel = root @ root.T / n
    return kernel[:n, :n], kernel[n:, :n], rng.normal(size=n), rng.normal(size=m)


def test_learning_curves_are_direct_solves():
    n = 24
    kernel, cross, y, y_test = problem(n)
    sizes = (3, 10, n)
    curve = learning_curve(kernel, y, cross, y_test, sizes)
    for size, error in zip(sizes, curve, strict=True):
        h = kernel[:size, :size]
        weights, *_ = np.linalg.lstsq(h, y[:size], rcond=None)
        want = np.sum((cross[:, :size] @ weights - y_test) ** 2) / np.sum((y_test - y_test.mean()) ** 2)
        # The ridge of 1e-12 of the mean of the diagonal, amplified by the condition.
        assert error == pytest.approx(want, rel=10 * 1e-12 * np.linalg.cond(h) * size)
    np.testing.assert_allclose(kernel @ solve(kernel, y), y, atol=1e-11 * np.linalg.cond(kernel))


def test_ntk64_is_float64_whatever_the_process():
    """The closed form of the theory is NumPy's own: nothing of JAX's precision is in it."""
    x = theory.sample_tokens(0, 6, 5, 3)
    arch = theory.wshc21_network(4, 3)
    for other in (None, theory.sample_tokens(1, 4, 5, 3)):
        got = ntk64(arch, x, other)
        assert got.dtype == np.float64
        want = theory.relu_recurrent_ntk(x, other)[:, :, -1, -1]
        # Some ten roundings a step, five steps, at variances up to 5.
        np.testing.assert_allclose(
            got, want, rtol=0, atol=10 * 5 * 5 * np.finfo(float).eps * want.max()
        )
    assert jnp.zeros(()).dtype == DTYPE  # and JAX's default is as it was


# Networks

X = np.random.default_rng(3).normal(size=(12, 4, 2))
Y = np.sin(X.sum(axis=(1, 2)))


@pytest.mark.slow
def test_draws_do_not_depend_on_how_many():
    arch = theory.wshc21_network(8, 2)
    one, two = draw(arch, 4, 1, X.shape), draw(arch, 4, 2, X.shape)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert b.shape == (2, *a.shape[1:])
        np.testing.assert_array_equal(a[0], b[0])
    assert sgd(0.25) is sgd(0.25)


def test_stable_rates_are_stable_for_every_batch():
    kernel = ntk64(theory.wshc21_network(8, 2), X)
    rate = stable_rate(kernel, share=1.0)
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, len(X)):
        for _ in range(20):
            rows = rng.choice(len(X), size, replace=False)
            # Three digits are kept of it.
            top = np.linalg.eigvalsh(kernel[np.ix_(rows, rows)])[-1]
            assert rate <= 1.005 * 2 * size / top
    assert stable_rate(kernel) == pytest.approx(rate / 4, rel=0.01)


def test_fit_networks_is_a_loop_over_batches():
    """JAX's derivative of the batch's loss, W alone changed, outputs less those at the start."""
    arch, steps, size, rate, seed = theory.wshc21_network(8, 2), 7, 3, 0.05, 2
    n = 8
    x, x_test = jnp.asarray(X[:n], DTYPE), jnp.asarray(X[n:], DTYPE)
    y, y_test = Y[:n], Y[n:]
    fitted = fit_networks(
        arch, X[:n], y, X[n:], y_test,
        learning_rate=rate, steps=steps, batch_size=size, seed=seed, seeds=2,
    )  # fmt: skip
    _, apply_fn, _ = ntkrnn.network(arch)
    apply_fn = jax.jit(apply_fn)
    for s in range(2):
        params = jax.tree.map(lambda a, s=s: a[s], draw(arch, seed, 2, X[:n].shape))
        start, start_test = (apply_fn(params, a)[:, 0] for a in (x, x_test))

        def loss(w, rows, params=params, start=start):
            cell = {**params["cells"][0]["forward"], "w": w}
            outputs = apply_fn({**params, "cells": [{"forward": cell}]}, x[rows])[:, 0]
            return jnp.mean((outputs - start[rows] - jnp.asarray(y, DTYPE)[rows]) ** 2) / 2

        gradient = jax.jit(jax.grad(loss))
        w = params["cells"][0]["forward"]["w"]
        key = jax.random.fold_in(jax.random.key(seed + 1), s)
        for rows in dynamics.batches(key, n, size, steps):
            w = w - rate * gradient(w, rows)
        params = {**params, "cells": [{"forward": {**params["cells"][0]["forward"], "w": w}}]}
        for got, moved, want in (
            (fitted.train_error, apply_fn(params, x)[:, 0] - start, y),
            (fitted.test_error, apply_fn(params, x_test)[:, 0] - start_test, y_test),
        ):
            by_hand = np.mean((np.asarray(moved, float) - want) ** 2) / np.var(want)
            # Outputs of size 3, sums of ten terms, seven steps; an error doubles a relative error.
            assert got[s] == pytest.approx(by_hand, rel=2 * 3 * 10 * (steps + 1) * EPS)


# The framework


def test_results_do_not_depend_on_the_number_of_workers(monkeypatch):
    found = {}
    for workers in (1, 3):
        monkeypatch.setattr(_run, "_workers", lambda workers=workers: workers)
        found[workers] = [
            learnability(experiment, settings).conclusion.arrays
            for experiment, settings in (
                (made_up(), MadeUpSettings()),
                (EXPERIMENTS["rntk-sensitivity"], tiny("rntk-sensitivity")),
            )
        ]
    for one, three in zip(found[1], found[3], strict=True):
        assert one.keys() == three.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], three[name])


def test_progress_and_kept_jobs(tmp_path):
    calls, seen = [], []
    experiment, settings = made_up(calls), MadeUpSettings()
    store = Pieces(tmp_path, {}, resume=False)
    store.save("job-3", {"value": np.eye(60), "error": np.array(0.0)})
    result = learnability(experiment, settings, store, lambda *now: seen.append(now))
    assert store.count() == 5 and store.count("job-[34]") == 2
    assert sorted(calls) == [0, 1, 2, 4]
    np.testing.assert_array_equal(result.conclusion.arrays["value"][3], np.eye(60))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5, 5]
    assert {total for _, total, _ in seen} == {5} and seen[-1][2] == "fitting"
    again = learnability(experiment, settings, store)
    assert len(calls) == 4
    np.testing.assert_array_equal(again.conclusion.arrays["value"], result.conclusion.arrays["value"])


def test_messages():
    experiment = made_up()
    with pytest.raises(TypeError, match="expected MadeUpSettings for 'made-up'"):
        learnability(experiment, tiny("early-token"))

    def fails(error):
        def measure(settings, job):
            raise error

        return experiment._replace(grid=grid(measure, job=(0,)))

    with pytest.raises(StudyError, match=r"made-up: job-0: 3-th leading minor; .*nearly so"):
        learnability(fails(np.linalg.LinAlgError("3-th leading minor")), MadeUpSettings())
    with pytest.raises(ValueError, match="a mistake"):  # one of the program's is shown whole
        learnability(fails(ValueError("a mistake")), MadeUpSettings())


def test_a_study_writes_its_files_whatever_was_measured(tmp_path):
    """Where nothing can be fitted: why, and what the jobs gave."""

    def conclude(settings, measured):
        raise np.linalg.LinAlgError("too few")

    result = learnability(made_up()._replace(conclude=conclude), MadeUpSettings(jobs=2))
    record = json.loads(write_learnability(result, tmp_path)[0].read_text(encoding="utf-8"))
    assert record["findings"] == []
    assert record["table"]["title"] == "Nothing can be fitted to what was measured: too few"
    assert record["table"]["rows"] == [["job-0", "error, value"], ["job-1", "error, value"]]
    with np.load(tmp_path / "made-up" / "made-up.npz") as arrays:
        assert set(arrays) == {f"job-{i}.{key}" for i in range(2) for key in ("error", "value")}
    assert "Nothing can be fitted" in Page((tmp_path / "report.html").read_text()).text


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in EXPERIMENTS]
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_experiment_whose_runs_diverged_writes_its_files(name, bad, tmp_path):
    """Every number that its jobs gave is lost, or every other one."""
    kept, experiment = {}, EXPERIMENTS[name]
    store = SimpleNamespace(load=lambda name, needs=(): kept.get(name), save=kept.__setitem__)
    learnability(experiment, tiny(name), store)
    for every in (1, 2):
        lost = {}
        for job, piece in kept.items():
            lost[job] = {key: np.array(array, float) for key, array in piece.items()}
            for array in lost[job].values():
                array.ravel()[::every] = bad
        store.load = lambda name, needs=(), lost=lost: lost.get(name)
        result = learnability(experiment, tiny(name), store)
        files = write_learnability(result, tmp_path / str(every))
        record = json.loads(files[0].read_text(encoding="utf-8"))
        assert record["experiment"] == name and all(file.exists() for file in files)
        for one in record["findings"]:
            assert one["value"] is not None or one["verdict"] == INCONCLUSIVE


def test_the_page_leaves_out_what_cannot_be_read(tmp_path):
    """Of experiments of other runs in the folder, told; the one that was run is there."""
    result = learnability(made_up(), MadeUpSettings(jobs=1))
    for name, content in (
        ("cut", '{"findings"'),
        ("old", '{"findings": [], "title": "t"}'),
        ("list", "[]"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.json").write_text(content)
    with pytest.warns(UserWarning) as caught:
        write_learnability(result, tmp_path)
    told = [str(warning.message) for warning in caught]
    assert ["cut.json" in told[0], "old.json" in told[1]] == [True, True] and len(told) == 2
    assert "left out of report.html" in told[0]
    check_page(tmp_path / "report.html", [result])


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def check_page(path, results):
    """One file, well-formed, that needs no other, with every title and verdict in it."""
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    sources = [attrs["src"] for _, attrs in page.tags if "src" in attrs]
    assert len(sources) == len(results)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in page.tags)
    ids = {attrs["id"] for tag, attrs in page.tags if tag == "h2"}
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert {f"#{one}" for one in ids} == set(links)
    assert ids == {result.experiment.name for result in results}
    verdicts = [attrs["class"] for tag, attrs in page.tags if tag == "span"]
    for result in results:
        assert result.experiment.title in page.text
        for one in result.conclusion.findings:
            assert one.quantity in page.text
            assert verdicts.count(one.verdict) >= 2  # in the list and in the section
            assert one.verdict == AGREES or one.otherwise in page.text
    found = [one.verdict for result in results for one in result.conclusion.findings]
    assert len(verdicts) == 2 * len(found)
    counts = ", ".join(f"{found.count(v)} {v}" for v in (AGREES, INCONCLUSIVE, DISAGREES))
    assert f"{len(results)} experiments with {len(found)} findings: {counts}." in page.text
    missing = [name for name in EXPERIMENTS if name not in ids]
    assert f"Missing: {', '.join(missing)};" in page.text
    assert f"ntkrnn learnability --experiment {','.join(missing)} --out ." in page.text
    return page


def check_files(result, folder):
    name = result.experiment.name
    paths = write_learnability(result, folder)
    own = folder / name
    assert paths == [
        *(own / f"{name}.{suffix}" for suffix in ("json", "npz", "png")),
        folder / "report.html",
    ]
    record = json.loads(paths[0].read_text(encoding="utf-8"))
    assert set(record) >= {
        "experiment", "title", "about", "source", "settings", "quick", "findings", "table", "seconds",
        "versions", "device",
    }  # fmt: skip
    assert record["settings"] == json.loads(json.dumps(dataclasses.asdict(result.settings)))
    found = result.conclusion.findings
    assert len(record["findings"]) == len(found) > 0
    for one, kept in zip(found, record["findings"], strict=True):
        ends = [end if np.isfinite(end) else None for end in one.interval]
        fields = set(Finding._fields) - ({"otherwise"} if one.verdict == AGREES else set())
        assert set(kept) == fields | {"confidence"}
        assert kept["interval"] == ends and kept["confidence"] == 0.95
        for field in fields - {"interval"}:
            assert kept[field] == getattr(one, field)
        assert kept["relation"] in RELATIONS and kept["verdict"] in (AGREES, DISAGREES, INCONCLUSIVE)
    with np.load(paths[1], allow_pickle=False) as arrays:
        assert set(arrays) == set(result.conclusion.arrays)
        for key in arrays:
            np.testing.assert_array_equal(arrays[key], result.conclusion.arrays[key])
    image = matplotlib.image.imread(paths[2])[..., :3]
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50
    return record


def test_files_of_what_is_made_up(tmp_path):
    """What looks like HTML is text; other studies in the folder stay out of the page."""
    result = learnability(made_up(), MadeUpSettings(jobs=1))
    (tmp_path / "trajectory").mkdir()
    (tmp_path / "trajectory" / "trajectory.json").write_text('{"settings": {}}')
    (tmp_path / "made-up").mkdir()
    (tmp_path / "made-up" / "other.json").write_text("not read")
    record = check_files(result, tmp_path)
    assert record["findings"][0]["interval"] == [None, 2.0]
    page = check_page(tmp_path / "report.html", [result])
    for text in ("a <b> & c", "<table>", "<x>", "</script>", "A <b> title", "nobody & co", "x < y"):
        assert text in page.text
    assert "−∞ … 2" in page.text
    assert "no" not in re.findall(r"<p>(.*?)</p>", (tmp_path / "report.html").read_text())
    assert not list(tmp_path.rglob("*.part"))


def test_the_record_says_whether_the_setting_is_the_small_one():
    for settings, quick in (
        (MadeUpSettings(), False),
        (MadeUpSettings.quick(), True),
        (dataclasses.replace(MadeUpSettings.quick(), seed=7), True),
        (dataclasses.replace(MadeUpSettings.quick(), size=7), False),
    ):
        assert summary(learnability(made_up(), settings))["quick"] is quick


# Every experiment


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_form(name):
    """What makes it one of the experiments; nothing is measured."""
    experiment = EXPERIMENTS[name]
    assert experiment.name == name and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z]+)*", name)
    assert len(experiment.about.splitlines()) == 2
    assert all(experiment.about.splitlines())
    assert experiment.title and experiment.source
    full, quick = experiment.settings(), experiment.settings.quick()
    assert full != quick and type(quick) is type(full)
    assert quick.seed == full.seed == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        full.seed = 1
    for settings in (full, quick):
        jobs = experiment.jobs(settings)
        names = [job.name for job in jobs]
        assert len(set(names)) == len(names) > 1
        assert all(re.fullmatch(r"[A-Za-z0-9.-]+", one) and one[0] != "." for one in names)
        assert json.loads(json.dumps(dataclasses.asdict(settings)))
    assert len(experiment.jobs(quick)) <= len(experiment.jobs(full))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_more_on_an_axis_adds_jobs_and_changes_none(name):
    """A field that is marked as an axis may be extended when a run is continued."""
    experiment, settings = EXPERIMENTS[name], tiny(name)
    before = [job.name for job in experiment.jobs(settings)]
    axes = [field.name for field in dataclasses.fields(settings) if field.metadata.get("axis")]
    assert axes
    for axis in axes:
        value = getattr(settings, axis)
        if isinstance(value, int):
            changed = value + 1
        elif isinstance(value[0], str):
            changed = value[:-1]  # of names there may be no more
        else:
            changed = (*value, max(value) + 1)
        after = [job.name for job in experiment.jobs(dataclasses.replace(settings, **{axis: changed}))]
        less, more = sorted((set(before), set(after)), key=len)
        assert less < more, axis


@pytest.mark.parametrize("name", marked(EXPERIMENTS, FAST))
def test_from_end_to_end(name, tmp_path):
    result = done(name)
    record = check_files(result, tmp_path)
    assert record["quick"] is False
    check_page(tmp_path / "report.html", [result])
    conclusion = result.conclusion
    assert isinstance(conclusion.figure, Figure)
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in conclusion.figure.axes)
    assert conclusion.table.rows
    assert all(len(row) == len(conclusion.table.columns) for row in conclusion.table.rows)


def test_the_page_gathers_what_the_folder_holds(tmp_path):
    results = [done("beyond-additive"), done("rntk-sensitivity")]
    for result in results:
        write_learnability(result, tmp_path)
    page = (tmp_path / "report.html").read_bytes()
    check_page(tmp_path / "report.html", results)
    write_learnability(results[0], tmp_path)
    assert (tmp_path / "report.html").read_bytes() == page


# The command


def call(*options, expect=0):
    found = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["learnability", *options])
    assert found.exit_code == expect, found.output
    return found


@pytest.fixture
def small(monkeypatch):
    """--quick takes the tiny setting."""
    settings = tiny("rntk-sensitivity")
    monkeypatch.setattr(type(settings), "quick", classmethod(lambda cls: settings))
    monkeypatch.setitem(EXPERIMENTS, "made-up", made_up())
    return lambda folder, *more, **kw: call(
        *("--experiment", "rntk-sensitivity", "--quick", *more, "--out", str(folder)), **kw
    )


def test_the_command_prints_and_writes(small, tmp_path):
    found = small(tmp_path / "new" / "out", "--seed", "3")
    text = " ".join(found.stdout.split())
    record = json.loads(
        (tmp_path / "new/out/rntk-sensitivity/rntk-sensitivity.json").read_text(encoding="utf-8")
    )
    assert record["settings"]["seed"] == 3 and record["quick"] is True
    for one in record["findings"]:
        assert one["quantity"] in text and f"{one['value']:.3g}" in text and one["verdict"] in text
    assert record["title"] in text and "report.html" in text
    assert "rntk-sensitivity 3/3" in found.stderr
    changed = small(tmp_path / "other", "--seed", "4").stdout
    assert changed != found.stdout


def test_several_experiments(small, tmp_path):
    text = call("--experiment", "made-up, rntk-sensitivity", "--quick", "--out", str(tmp_path)).stdout
    assert text.index("A <b> title") < text.index(EXPERIMENTS["rntk-sensitivity"].title)
    assert (tmp_path / "report.html").read_text().count("<h2") == 2


def arrays_of(folder):
    with np.load(folder / "rntk-sensitivity" / "rntk-sensitivity.npz") as arrays:
        return {name: arrays[name] for name in arrays}


def test_an_interruption_does_not_show(small, tmp_path, monkeypatch):
    small(tmp_path / "whole")
    save, saved = Pieces.save, []

    def interrupted(self, name, piece):
        if saved:
            raise KeyboardInterrupt
        saved.append(name)
        save(self, name, piece)

    with monkeypatch.context() as patch:
        patch.setattr(Pieces, "save", interrupted)
        found = small(tmp_path / "cut", expect=130)
    assert "1 jobs of rntk-sensitivity are kept" in " ".join(found.output.split())
    assert "--resume" in found.output
    assert not (tmp_path / "cut" / "rntk-sensitivity" / "rntk-sensitivity.json").exists()
    kept = tmp_path / "cut" / "rntk-sensitivity" / "pieces" / f"{saved[0]}.msgpack"
    written = lambda: (kept.stat().st_ino, kept.stat().st_mtime_ns)  # noqa: E731, reading moves atime
    before = written()
    found = small(tmp_path / "cut", "--resume")
    assert "rntk-sensitivity 1/3  measuring" in found.stderr
    assert written() == before
    whole, resumed = arrays_of(tmp_path / "whole"), arrays_of(tmp_path / "cut")
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name])
    # Without --resume it begins anew; with another setting it says which.
    assert "rntk-sensitivity 0/3  measuring" in small(tmp_path / "cut").stderr
    found = small(tmp_path / "cut", "--resume", "--seed", "1", expect=2)
    assert "with seed = 0, and now it is 1" in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lazy-training", {"seed": -1}, "seed: got -1"),
        ("lazy-training", {"seed": 2**32}, "seed: got 4294967296, expected at most 4294967295"),
        ("lazy-training", {"seeds": 1}, "seeds: got 1, expected at least 2"),
        ("lazy-training", {"steps": 0}, "steps: got 0"),
        ("lazy-training", {"steps": 1.5}, "steps: got 1.5"),
        ("lazy-training", {"steps": True}, "steps: got True"),
        ("lazy-training", {"widths": (8, "16")}, "widths: got '16'"),
        ("lazy-training", {"widths": (8, 8)}, "widths: got (8, 8), expected a tuple, every entry once"),
        ("lazy-training", {"widths": ()}, "widths: got ()"),
        ("lazy-training", {"widths": 8}, "widths: got 8"),
        ("early-token", {"level": float("nan")}, "level: got nan"),
        ("early-token", {"level": "low"}, "level: got 'low'"),
        ("ce24-cutoff", {"alphas": (0.5, float("inf"))}, "alphas: got inf"),
        ("ce24-linearisation", {"nonlinearity": 3}, "nonlinearity: got 3"),
        ("rntk-sensitivity", {"skip": -1}, "skip: got -1"),
        ("gated-memory", {"repetitions": 1}, "repetitions: got 1, expected at least 2"),
    ],
)
def test_settings_are_refused_by_name(name, changes, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        dataclasses.replace(EXPERIMENTS[name].settings(), **changes)
    assert str(caught.value).startswith(message)


def test_list_explains_each():
    text = call("--list").stdout
    for name, experiment in EXPERIMENTS.items():
        assert f"{name}: {experiment.title}" in text
        for line in experiment.about.splitlines():
            assert f"    {line}\n" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "OUT"], "--experiment: got None, expected all, or one or more of lazy-training"),
        (["--experiment", "", "--out", "OUT"], "--experiment: got ''"),
        (["--experiment", "lazy", "--out", "OUT"], "--experiment: got 'lazy'"),
        (["--experiment", "n-variable,lazy", "--out", "OUT"], "--experiment: got 'lazy'"),
        (["--experiment", "n-variable"], "--out: got nothing, expected a folder"),
        (["--experiment", "n-variable", "--seed", "-1", "--out", "OUT"], "seed: got -1"),
        (["--experiment", "n-variable", "--seed", str(2**32), "--out", "OUT"], "seed: got 4294967296"),
        (["--experiment", "n-variable", "--out", ""], "--out: got '', expected a folder"),
        (["--experiment", "n-variable", "--out", "FILE"], "File exists: "),
    ],
)
def test_bad_options_are_named(options, message, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ntkrnn.cli._learnability.learnability", lambda *a: pytest.fail("it began to measure")
    )
    (tmp_path / "file").write_text("")
    places = {"OUT": str(tmp_path / "out"), "FILE": str(tmp_path / "file")}
    found = call(*(places.get(option, option) for option in options), expect=2)
    lines = found.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"error: {message}"), found.stderr
    assert not (tmp_path / "out" / "report.html").exists()


def test_a_job_that_fails_is_one_line(small, tmp_path, monkeypatch):
    def fails(*given):
        raise StudyError("rntk-sensitivity: w-0.5: nothing")

    monkeypatch.setattr("ntkrnn.cli._learnability.learnability", fails)
    lines = small(tmp_path, expect=2).stderr.splitlines()
    assert [line for line in lines if line.strip()] == ["error: rntk-sensitivity: w-0.5: nothing"]


def test_workers_are_those_of_the_cpu(monkeypatch):
    monkeypatch.setattr(_run, "available_cores", lambda: 64)
    monkeypatch.setattr(_run, "jax", SimpleNamespace(default_backend=lambda: "cpu"))
    assert _run._workers() == 4
    monkeypatch.setattr(_run, "jax", SimpleNamespace(default_backend=lambda: "gpu"))
    assert _run._workers() == 1

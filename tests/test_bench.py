"""The benchmark: its peers compute the same kernels, and its verdicts follow from its figures."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import ntkrnn
from ntkrnn import bench
from ntkrnn.bench._finite import forward_backward, plain_network
from ntkrnn.bench._transcriptions import direct_last, direct_sequence, numpy_last, numpy_mean
from ntkrnn.cli import app


@pytest.mark.parametrize("nonlinearity", ["erf", "relu"])
def test_transcriptions_are_the_kernels(nonlinearity):
    """Written from the formulas, in covariances: in float64 they lose nothing that shows here."""
    x = jax.random.normal(jax.random.key(0), (5, 6, 3))
    host = np.asarray(x, np.float64)
    eps, steps = float(jnp.finfo(x.dtype).eps), x.shape[1]
    tolerance = 200 * eps  # as in test_infinite_reference
    for readout, peer in (("last", numpy_last), ("mean", numpy_mean)):
        arch = ntkrnn.Elman(nonlinearity=nonlinearity, readout=readout)
        got = ntkrnn.network(arch).kernel_fn(x)
        for ours, theirs in zip(got, peer(nonlinearity)(host), strict=True):
            assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)
    single = direct_last(nonlinearity)(x)
    double = numpy_last(nonlinearity)(host)
    for a, b in zip(single, double, strict=True):
        # arccos near rho = 1, on the diagonal, is known to the root of the rounding, at each step.
        assert np.linalg.norm(a - b) <= steps * eps**0.5 * np.linalg.norm(b)


def test_plain_network_is_the_network():
    arch = ntkrnn.Elman(width=7)
    x = jax.random.normal(jax.random.key(0), (3, 5, 2))
    _, apply_fn, _ = ntkrnn.network(arch)
    params = ntkrnn.network(arch).init_fn(jax.random.key(1), x.shape)[1]
    want = apply_fn(params, x)
    for unroll in (False, True):
        assert jnp.allclose(plain_network(params, x, unroll), want, rtol=1e-5, atol=1e-6)
    states, deltas = forward_backward(params, x)
    assert states.shape == deltas.shape == (5, 3, 7)
    assert jnp.allclose(states[-1] @ params["v"].T / 7**0.5, want, rtol=1e-5, atol=1e-6)


def _row(wanted, target):
    return bench.Row("a", "a", {"N": 1}, dict, target, wanted)


def _result(wanted, target, *ratios):
    ours = bench.Measured("ntkrnn", 1.0, 1.0, 1.0, (1.0, 1.0))
    peers = [bench.Measured(str(r), 1.0, r, r, (r, r)) for r in ratios]
    return bench.Result(_row(wanted, target), (ours, *peers))


@pytest.mark.parametrize(
    ("result", "figure", "met"),
    [
        (_result("at least", 4.0, 9.0, 5.0), 5.0, True),  # the fastest peer counts
        (_result("at least", 6.0, 9.0, 5.0), 5.0, False),
        (_result("at most", 3.2, 0.5), 2.0, True),
        (_result("at most", 3.2, 0.25), 4.0, False),
        (_result("near", 2.0, 1 / 2.1), 2.1, True),
        (_result("near", 2.0, 1 / 2.3), 2.3, False),
        (_result("at least", None, 9.0), 9.0, None),
    ],
)
def test_verdicts(result, figure, met):
    assert result.figure == pytest.approx(figure)
    assert result.met is met
    assert bench.record([result], {})["rows"][0]["met"] is met


def _seconds(seconds, target):
    ours = bench.Measured("ntkrnn", 9.0, seconds, 1.0, (1.0, 1.0))
    return bench.Result(_row("seconds", target), (ours,))


def test_verdicts_on_seconds():
    assert _seconds(0.3, 0.4).met and not _seconds(0.5, 0.4).met
    assert _seconds(0.5, 0.4).figure == 0.5
    fresh = bench.Fresh("a", "a", "kernel", {}, 1.0)
    assert bench.FreshResult(fresh, (0.9, 5.0, 0.8), (1.0, 1.0, 1.0)).met
    assert not bench.FreshResult(fresh, (1.1, 0.5, 1.2), (1.0, 1.0, 1.0)).met


def test_a_scan_over_the_plane_is_the_kernel_of_a_sequence():
    x = jax.random.normal(jax.random.key(0), (1, 7, 3))
    scales = (1.1, 0.9, 0.8)
    arch = ntkrnn.Elman(w_std=1.1, u_std=0.9, v_std=0.8, readout="sequence")
    ours = ntkrnn.network(arch).kernel_fn(x, get="ntk")[0, 0]
    theirs = direct_sequence("erf")(scales, x[0])
    # Covariances keep their digits away from rho = 1, on the diagonal here.
    bound = 7 * float(jnp.finfo(x.dtype).eps) ** 0.5
    assert np.linalg.norm(ours - theirs) <= bound * np.linalg.norm(ours)


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True])
def test_a_call_in_a_process_of_its_own(warm):
    options = {"nonlinearity": "relu", "readout": "last", "n": 2, "t": 2, "d": 1}
    row = bench.Fresh("a", "a", "kernel", options, 1e-9, warm=warm, repeats=2 - warm)
    result = bench.measure_fresh(row)
    assert len(result.seconds) == len(result.cpu_seconds) == row.repeats
    assert result.met is False
    json.dumps(bench.fresh_record([result]))


def test_what_goes_wrong_in_a_process_is_said():
    row = bench.Fresh("a", "a", "kernel", {"n": 1}, repeats=1)
    with pytest.raises(RuntimeError, match=r"a: [\s\S]*missing"):
        bench.measure_fresh(row)


def test_programs_that_disagree_are_not_timed():
    row = bench.Row("a", "a", {}, lambda: {"ntkrnn": lambda: np.ones(3), "peer": lambda: np.zeros(3)})
    with pytest.raises(AssertionError, match=r"a: peer differs by 1\.0e\+00"):
        bench.measure(row)


def test_rows_have_names_of_their_own():
    for quick in (False, True):
        names = [row.name for row in (*bench.rows(quick), *bench.fresh_rows(quick))]
        assert len(set(names)) == len(names)
    assert all(row.repeats >= 5 for row in bench.rows())


def test_one_row_from_the_command_line(tmp_path):
    only = "relu-last,relu-last"  # two that name it are one row
    done = CliRunner().invoke(app, ["bench", "--quick", "--only", only, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["relu-last"]
    programs = written["rows"][0]["programs"]
    assert [p["name"] for p in programs] == ["ntkrnn", "direct JAX", "NumPy"]
    assert all(p["median"] > 0 for p in programs)
    assert written["measured_on"]["platform"] == jax.devices()[0].platform
    assert "jax" in written["versions"]


@pytest.mark.parametrize("only", ["nope", "relu-last,nope"])
def test_unknown_row(only):
    done = CliRunner().invoke(app, ["bench", "--only", only])
    assert done.exit_code != 0
    assert "--only: got 'nope'" in done.output


@pytest.mark.slow
def test_everything_quickly(tmp_path):
    done = CliRunner().invoke(app, ["bench", "--quick", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "bench.json").read_text())
    assert {"memory", "ceilings", "scaling"} <= set(written)
    assert (tmp_path / "scaling.png").stat().st_size > 10_000

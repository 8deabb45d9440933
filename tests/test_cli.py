"""The command line: what it prints, writes and says when an option is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import ntkrnn
from ntkrnn._files import make_folder
from ntkrnn.cli import _app, app
from ntkrnn.cli._options import engine_named
from ntkrnn.cli._stop import Terminated
from ntkrnn.studies import StudyError
from ntkrnn.studies.lock import FolderLock
from ntkrnn.studies.records import dataset_record

SMALL = ["--n", "5", "--widths", "8,32", "--seeds", "2"]


def call(*arguments, expect: int = 0):
    result = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"}).invoke(app, list(arguments))
    if result.exit_code != expect and result.exception and result.exc_info:
        raise AssertionError(result.output) from result.exception
    assert result.exit_code == expect, result.output
    return result


def plain(text: str) -> str:
    """Without escape codes, boxes and line ends."""
    return re.sub(r"[\s│]+", " ", re.sub(r"\x1b\[[0-9;]*m", "", text))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "demo"
    return call("compare", *SMALL, "--seed", "7", "--out", str(folder)), folder


def test_compare_prints_a_table_the_slopes_and_the_files(compared):
    result, folder = compared
    text = plain(result.stdout)
    assert "digits: 5 of 1797 sequences (seed 7), 8 steps, 8 channels" in text
    for word in ("width", "NTK error", "NNGP error", "seconds", "±"):
        assert word in text
    record = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    for i, width in enumerate((8, 32)):
        assert re.search(rf"{width} .*{record['ntk_error_mean'][i]:.4f} ±", text)
    low, high = record["ntk_slope_interval"]
    assert (
        f"NTK slope {record['ntk_slope']:+.3f}, 95% interval ({low:+.3f}, {high:+.3f}), "
        "predicted -0.500"
    ) in text
    assert "NNGP slope" in text
    for name in ("compare.json", "kernels.npz", "error_vs_width.png", "kernels.png"):
        assert (folder / name).exists() and name in text


def test_compare_records_its_options(compared):
    _, folder = compared
    record = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    assert record["widths"] == [8, 32] and record["seeds"] == 2
    assert record["settings"]["seed"] == record["dataset"]["selection"]["seed"] == 7
    assert record["architecture"]["width"] == 32 and record["engine"] == "ntkrnn"


def test_compare_passes_every_option_on(monkeypatch, tmp_path):
    seen = {}

    def stop(settings, dataset, engine, store, progress):
        seen.update(settings=settings, dataset=dataset, engine=engine)
        raise StudyError("stopped here")

    monkeypatch.setattr("ntkrnn.cli._compare.compare", stop)
    np.savez(tmp_path / "a.npz", X=np.random.default_rng(0).normal(size=(9, 4, 2)))
    options = [
        *("--nonlinearity", "relu", "--readout", "mean", "--depth", "2", "--bidirectional"),
        *("--w-std", "1.4", "--u-std", "0.5", "--b-std", "0.1", "--v-std", "2"),
        *("--trainable", "b,w", "--standardize", "channel", "--engine", "neural-tangents"),
        *("--widths", "16,4", "--seeds", "3", "--seed", "5"),
    ]
    result = call(
        "compare", "--data", str(tmp_path / "a.npz"), *options, "--out", str(tmp_path), expect=2
    )
    assert "error: stopped here" in plain(result.stderr)
    assert seen["settings"].architecture == ntkrnn.Elman(
        nonlinearity="relu",
        readout="mean",
        depth=2,
        bidirectional=True,
        w_std=1.4,
        u_std=0.5,
        b_std=0.1,
        v_std=2.0,
        trainable=("w", "b"),
    )
    assert (seen["settings"].widths, seen["settings"].seeds, seen["settings"].seed) == (
        (4, 16),
        3,
        5,
    )
    assert seen["engine"].name == "neural-tangents"
    # Without --n a file of fewer than 64 sequences is taken whole.
    assert seen["dataset"].x.shape == (9, 4, 2)
    assert seen["dataset"].standardization["kind"] == "channel"


@pytest.mark.parametrize("command", ["compare", "trajectory"])
def test_columns_of_a_table_are_passed_on_and_told(monkeypatch, tmp_path, command):
    def stop(settings, dataset, *arguments):
        assert dataset.x.shape == (4, 3, 1) and dataset.labels.tolist() == ["x", "y"] * 2
        assert dataset_record(dataset)["reading"].startswith("read as 4 series of 3 steps, header")
        raise StudyError("stopped here")

    monkeypatch.setattr(f"ntkrnn.cli._{command}.{command}", stop)
    rows = [
        f"{name},{t},{t + 0.5},{label}"
        for name, label in zip("abcd", "xyxy", strict=True)
        for t in range(3)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["id,t,v,class", *rows]))
    options = ("--data", str(tmp_path / "a.csv"), "--out", str(tmp_path))
    result = call(command, *options, "--long", "id,t", "--label-column", "-1", expect=2)
    assert "error: stopped here" in plain(result.stderr)
    assert (
        "a: 4 sequences, 3 steps, 1 channel, standardised: global read as 4 series of 3 steps, header "
        "skipped, series told apart by column 'id' and sorted by column 't', labels from column 'class'"
    ) in plain(result.stdout)
    result = call(command, *options, expect=2)
    assert "give --long id,t --label-column class" in plain(result.stderr)
    result = call(command, "--label-column", "class", "--out", str(tmp_path), expect=2)
    assert "the built-in set 'digits', which has no columns" in plain(result.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--widths", "64"], "at least two different widths"),
        (["--widths", "64,64"], "at least two different widths"),
        (["--widths", "64,x"], "--widths: got 'x'"),
        (["--widths", "64,0"], "--widths: got '0'"),
        (["--widths", "64,-1"], "--widths: got '-1'"),
        (["--widths", "64,1.5"], "--widths: got '1.5'"),
        (["--widths", ""], "--widths: got ''"),
        (["--seeds", "1"], "the interval over seeds needs two"),
        (["--seed", "-1"], "seed: got -1"),
        (["--seed", str(2**32)], "seed: got 4294967296"),
        (["--v-std", "inf"], "v_std: got inf"),
        (["--widths", f"64,{10**30}"], f"widths: got {10**30}"),
        (["--n", "0"], "n: got 0"),
        (["--n", "5000"], "has 1797 sequences"),
        (["--data", "digit"], "Did you mean 'digits'?"),
        (["--data", "none/such.csv"], "there is no file none/such.csv"),
        (["--standardize", "chanel"], "Did you mean 'channel'?"),
        (["--engine", "jax"], "--engine: got 'jax', expected one of ntkrnn, neural-tangents"),
        (["--nonlinearity", "rellu"], "Did you mean 'relu'?"),
        (["--readout", "first"], "readout: got 'first'"),
        (["--depth", "0"], "depth: got 0"),
        (["--w-std", "-1"], "w_std: got -1"),
        (["--w-std", "nan"], "w_std: got nan"),
        (["--trainable", "w,x"], "'x' is not a block"),
        (["--trainable", ""], "nothing would be trained"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(tmp_path, options, message):
    result = call("compare", *options, "--out", str(tmp_path / "out"), expect=2)
    assert message in plain(result.stderr)
    assert plain(result.stderr).startswith("error: ")
    assert result.stdout == "" and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_options_that_are_no_numbers_and_a_missing_folder(tmp_path):
    result = call("compare", "--depth", "two", "--out", str(tmp_path), expect=2)
    assert "Invalid value for '--depth'" in plain(result.stderr)
    assert "--out" in call("compare", expect=2).stderr


COMMANDS = {
    "compare": SMALL,
    "trajectory": SMALL,
    "learnability": ["--experiment", "rntk-sensitivity", "--quick"],
    "bench": ["--quick", "--only", "sampling"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_out_that_is_no_folder(tmp_path, command):
    """Told before any work, with the path."""
    path = tmp_path / "taken"
    path.write_text("x")
    for out, message in (
        ("", "error: --out: got '', expected a folder for results, as --out out/first"),
        (str(path), f"error: File exists: {path}"),
        (str(path / "new"), f"error: Not a directory: {path / 'new'}"),
    ):
        result = call(command, *COMMANDS[command], "--out", out, expect=2)
        assert message in plain(result.stderr) and result.stdout == ""
        assert "stopped" not in result.stderr


def test_a_folder_in_use_is_told(tmp_path):
    with FolderLock(make_folder(tmp_path / "pieces")):
        result = call("compare", *SMALL, "--out", str(tmp_path), expect=2)
    message = f"error: {tmp_path / 'pieces'} is being written to by another run (process {os.getpid()})"
    assert message in plain(result.stderr)


@pytest.mark.parametrize("command", [*COMMANDS, "info"])
@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_stop_before_there_is_anything_is_told(monkeypatch, tmp_path, command, stop, code):
    def interrupted(*given, **options):
        raise stop

    for name in ("_network_options.load", "_learnability.out_folder"):
        monkeypatch.setattr(f"ntkrnn.cli.{name}", interrupted)
    monkeypatch.setattr("ntkrnn.bench.sampling", interrupted)
    monkeypatch.setattr("ntkrnn.cli._info.run_record", interrupted)
    options = [] if command == "info" else [*COMMANDS[command], "--out", str(tmp_path)]
    result = call(command, *options, expect=code)
    assert "stopped; nothing of this run is kept. The same command starts it anew." in result.stderr


WAITING = """
import signal, sys
import ntkrnn.cli._compare as command
from ntkrnn.cli import main

def waiting(settings, dataset, engine, store, progress):
    store.save("width-8-seed-0", {"errors": [1.0, 2.0]})
    progress(1, 4, "saved")
    signal.pause()

command.compare = waiting
main()
"""


def test_sigterm_is_a_stop(tmp_path):
    """Of a real process: what it has is kept, and said, and the folder is free again."""
    command = [sys.executable, "-c", WAITING, "compare", *SMALL, "--out", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if "saved" in line) == "1/4  saved\n"
        process.terminate()
        rest = plain(process.stderr.read())
    assert process.returncode == 143
    assert f"stopped; 1 of 4 networks are kept in {tmp_path / 'pieces'}." in rest
    assert "The same command with --resume continues." in rest and "Traceback" not in rest
    FolderLock(tmp_path / "pieces").release()
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / "compare.json").exists()


def test_results_that_cannot_be_written(monkeypatch, tmp_path):
    def full(result, folder):
        raise OSError(28, "No space left on device", str(folder / "kernels.npz"))

    monkeypatch.setattr("ntkrnn.cli._compare.compare", lambda *arguments: None)
    monkeypatch.setattr("ntkrnn.cli._compare.write_compare", full)
    result = call("compare", "--out", str(tmp_path), expect=2)
    message = f"error: No space left on device: {tmp_path / 'kernels.npz'}"
    assert message in plain(result.stderr)


def test_a_disk_that_is_full_in_the_middle_is_told_with_what_is_kept(monkeypatch, tmp_path):
    def full(settings, dataset, engine, store, progress):
        store.save("width-8-seed-0", {"errors": [1.0, 2.0]})
        monkeypatch.setattr(os, "fsync", no_space)
        store.save("width-8-seed-1", {"errors": [1.0, 2.0]})

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ntkrnn.cli._compare.compare", full)
    text = plain(call("compare", *SMALL, "--out", str(tmp_path), expect=2).stderr)
    piece = tmp_path / "pieces" / "width-8-seed-1.msgpack"
    assert f"error: No space left on device: {piece}" in text
    assert "1 of 4 networks are kept" in text and "--resume continues" in text


def test_nothing_to_compare(tmp_path):
    np.savez(tmp_path / "zero.npz", X=np.ones((4, 3)))
    result = call("compare", "--data", str(tmp_path / "zero.npz"), "--out", str(tmp_path), expect=2)
    assert "is zero" in plain(result.stderr)


def test_what_we_did_not_foresee_keeps_its_traceback(monkeypatch, tmp_path):
    def broken(*arguments):
        raise ValueError("a defect")

    monkeypatch.setattr("ntkrnn.cli._compare.compare", broken)
    result = CliRunner().invoke(app, ["compare", "--out", str(tmp_path)])
    assert isinstance(result.exception, ValueError) and "a defect" in str(result.exception)


@pytest.mark.filterwarnings("default")
def test_warnings_are_printed_beside_the_result(monkeypatch, tmp_path):
    def warned(*arguments):
        warnings.warn("the expansion is off", stacklevel=2)
        raise StudyError("stopped here")

    monkeypatch.setattr("ntkrnn.cli._compare.compare", warned)
    result = call("compare", "--out", str(tmp_path), expect=2)
    assert "warning: the expansion is off" in plain(result.stderr)


def test_engines_by_name(monkeypatch):
    assert engine_named("ntkrnn").name == "ntkrnn"

    def absent():
        raise ImportError("neural-tangents is not installed; run `pip install ...`.")

    monkeypatch.setattr("ntkrnn._compat.neural_tangents", absent)
    with pytest.raises(ImportError, match="pip install"):
        engine_named("neural-tangents")


def test_missing_extra_is_one_message(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    result = call("compare", "--data", "gunpoint", "--out", str(tmp_path), expect=2)
    assert 'pip install "ntkrnn[aeon]"' in plain(result.stderr)


def test_info():
    text = plain(call("info").stdout)
    for word in ("python", "ntkrnn", "jax", "diagonal", "CPU cores", "memory", "GiB", "device"):
        assert word in text
    assert f"backend {jax.default_backend()}" in text
    assert ntkrnn.__version__ in text


def test_version_and_help():
    assert call("--version").stdout.strip() == f"ntkrnn {ntkrnn.__version__}"
    text = plain(call("compare", "--help").stdout)
    for word in ("Data", "Network", "Run", "--widths", "--trainable", "--engine", "[aeon]"):
        assert word in text
    assert "64,128,256,512,1024,2048" in text


def test_help_of_the_group_is_that_of_its_commands():
    """The group has the first line of each, so that it need not load them."""
    shown = " ".join(plain(call("--help").stdout).replace("│", " ").split())
    for name, line in _app.COMMANDS.items():
        assert line in shown
        text = " ".join(plain(call(name, "--help").stdout).split())
        words = "[OPTIONS] COMMAND [ARGS]..." if name == "gram" else "[OPTIONS]"
        assert f"Usage: ntkrnn {name} {words} {line}" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ntkrnn compare --architecture l", ["leaky", "lstm"]),
        ("ntkrnn fit --readout ", ["last", "mean", "sequence"]),
        ("ntkrnn tr", ["trajectory"]),
    ],
)
def test_values_are_completed(words, expected):
    given = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    result = CliRunner().invoke(
        app, [], prog_name="ntkrnn", env={"_NTKRNN_COMPLETE": "complete_bash", **given}
    )
    assert result.output.split() == expected


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "ntkrnn", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"ntkrnn {ntkrnn.__version__}"


def test_compare_diagonal_networks(tmp_path):
    options = ("--architecture", "diagonal", "--alpha", "0.4", "--readout", "last")
    call("compare", *SMALL, *options, "--out", str(tmp_path))
    record = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert record["architecture"]["alpha"] == 0.4
    assert record["architecture"]["nonlinearity"] == "tanh"
    assert record["architecture"]["trainable"] == ["w", "u"]
    narrow, wide = record["ntk_error_mean"]
    assert wide < narrow


@pytest.mark.parametrize(
    ("options", "architecture"),
    [
        (("lstm", "--gate-nonlinearity", "erf"), ntkrnn.LSTM(gate_nonlinearity="erf")),
        (("gru", "--reset", "before", "--depth", "2"), ntkrnn.GRU(reset="before", depth=2)),
        (("leaky", "--rate", "0.2", "--bidirectional"), ntkrnn.Leaky(rate=0.2, bidirectional=True)),
        (("minimal-gru", "--w-std", "1.5"), ntkrnn.MinimalGRU(w_std=1.5)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("command", ["compare", "trajectory"])
def test_cells_by_name(monkeypatch, tmp_path, command, options, architecture):
    def stop(settings, *arguments, **named):
        assert settings.architecture == architecture
        raise StudyError("stopped here")

    monkeypatch.setattr(f"ntkrnn.cli._{command}.{command}", stop)
    result = call(command, "--architecture", *options, "--out", str(tmp_path), expect=2)
    assert "error: stopped here" in plain(result.stderr)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--alpha", "1"], "--alpha: got 1.0 with --architecture elman"),
        (["--architecture", "diagonal", "--depth", "2"], "--depth: got 2 with --architecture diagonal"),
        (["--architecture", "diagonal", "--bidirectional"], "--bidirectional: got True"),
        (["--architecture", "diagonal", "--alpha", "-1"], "alpha: got -1.0"),
        (["--architecture", "diagonal", "--trainable", "v"], "'v' is not a block"),
        (["--architecture", "diagonal", "--widths", "5,8"], "width: got 5, expected an even number"),
        (["--architecture", "rnn"], "--architecture: got 'rnn', expected one of elman, diagonal"),
        (["--rate", "0.5"], "--rate: got 0.5 with --architecture elman"),
        (
            ["--architecture", "leaky", "--rate", "2"],
            "rate: got 2.0, expected a number between 0 and 1",
        ),
        (["--architecture", "lstm", "--rate", "0.5"], "--rate: got 0.5 with --architecture lstm"),
        (["--architecture", "lstm", "--reset", "after"], "--reset: got after with --architecture lstm"),
        (["--architecture", "gru", "--reset", "never"], "reset: got 'never'"),
        (["--architecture", "leaky", "--gate-nonlinearity", "erf"], "--gate-nonlinearity: got erf"),
        (["--architecture", "gru", "--alpha", "1"], "--alpha: got 1.0 with --architecture gru"),
    ],
)
def test_options_of_another_architecture_are_one_message(tmp_path, options, message):
    result = call("compare", *options, "--out", str(tmp_path / "out"), expect=2)
    assert message in plain(result.stderr) and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_neural_tangents_has_no_diagonal_networks(tmp_path):
    options = ("--architecture", "diagonal", "--engine", "neural-tangents", "--out", str(tmp_path))
    result = call("compare", *SMALL, *options, expect=2)
    assert "got neural-tangents for a Diagonal network" in plain(result.stderr)

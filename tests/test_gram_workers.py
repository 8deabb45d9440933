"""Stores that workers fill: real processes, of which some are killed."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from test_gram_store import TILE, X, chunks, computed, linear
from typer.testing import CliRunner

from ntkrnn import gram
from ntkrnn.cli import app

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "gram"
    computed(folder)
    return folder


def test_two_workers_of_which_one_is_killed(tmp_path, whole):
    from ntkrnn.gram._engine import local_cluster

    killed = []
    with local_cluster(2) as cluster, distributed.Client(cluster) as client:

        def kill_one(done, total):
            if done == 2 and not killed:
                killed.append(client.run(os.getpid).popitem())
                os.kill(killed[0][1], signal.SIGKILL)

        computed(tmp_path / "g", client=client, progress=kill_one)
    assert killed
    assert chunks(tmp_path / "g") == chunks(whole)
    assert gram.verify(tmp_path / "g", progress=False) == (6, 0, ())


def process(*words):
    return subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_the_scheduler_is_killed_and_the_run_continued(tmp_path, whole):
    """By the address of a scheduler, as of a cluster elsewhere."""
    scheduler = process("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard")
    address = next(line for line in scheduler.stderr if "Scheduler at:" in line).split()[-1]
    worker = process("distributed.cli.dask_worker", address, "--nworkers", "1", "--death-timeout", "10")
    folder = tmp_path / "g"

    def kill(done, total):
        if done >= 2:
            scheduler.kill()

    try:
        with pytest.raises(gram.WorkersError, match="the scheduler is gone"):
            computed(folder, client=address, progress=kill)
    finally:
        for one in (scheduler, worker):
            one.kill()
            one.communicate()
    assert 2 <= gram.status(folder).done < 6
    computed(folder, client=1)
    assert chunks(folder) == chunks(whole)


def test_what_a_tile_raises_is_told(tmp_path):
    def broken(x1, x2=None):
        if len(x1) > 2:
            raise ValueError("x1: got what this kernel does not take.")
        return np.zeros((len(x1), len(x1 if x2 is None else x2)))

    told = pytest.raises(ValueError, match="what this kernel does not take")
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None) as client, told:
        computed(tmp_path / "g", arch=broken, client=client)


OVERTAKEN, CALLS = threading.Event(), []


def late_once(x1, x2=None):
    """The first worker that is given the last tile does not answer before a second one has it too."""
    if len(x1) == 44:
        CALLS.append(len(CALLS))
        if len(CALLS) > 1:
            OVERTAKEN.set()
        OVERTAKEN.wait(60)
    return linear(x1, x2)


def test_a_straggler_is_overtaken(tmp_path):
    with distributed.Client(processes=False, n_workers=2, dashboard_address=None) as client:
        matrix = computed(tmp_path / "g", arch=late_once, client=client)
    assert len(CALLS) == 2 and OVERTAKEN.is_set()
    assert (np.asarray(matrix) == np.asarray(computed(tmp_path / "h", arch=linear))).all()


def test_the_command_starts_workers_and_says_where_they_are_seen(tmp_path):
    words = [
        "gram",
        "compute",
        "--data",
        "digits",
        "--n",
        "100",
        "--store",
        str(tmp_path / "g"),
        "--workers",
        "1",
    ]
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, words)
    assert result.exit_code == 0 and "dashboard: http" in result.stderr and "1 of 1" in result.stdout


def test_a_worker_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ntkrnn.gram._job.__version__", "9.9")
    with pytest.raises(
        gram.WorkersError, match=r"a worker has ntkrnn 9\.9, the store is being written"
    ):
        computed(tmp_path / "g")


def test_a_scheduler_that_nobody_answers_for(tmp_path):
    with pytest.raises(gram.WorkersError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
        gram.compute(
            lambda x1, x2=None: np.zeros((len(x1), len(x1 if x2 is None else x2))),
            X,
            store=tmp_path / "g",
            tile=TILE,
            client="tcp://127.0.0.1:9",
            progress=False,
        )
    with pytest.raises(ValueError, match="client: got 0 workers"):
        computed(tmp_path / "h", client=0)

"""Compiled programs on disk: the second process reads what the first compiled."""

import os
import subprocess
import sys

import pytest
from refusals import refused

import ntkrnn
from ntkrnn._cache import FOLDER_VARIABLE

PROCESS = """
import collections, sys
import jax
seen = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **details: seen.update([event]))
import numpy as np
import ntkrnn
np.zeros(2) + jax.numpy.zeros(2)  # a compilation before the folder is named
assert str(ntkrnn.cache(sys.argv[1])) == sys.argv[1]
kernels = ntkrnn.network(ntkrnn.Elman()).kernel_fn(np.ones((3, 4, 2), np.float32))
counts = [seen[f"/jax/compilation_cache/cache_{kind}"] for kind in ("hits", "misses")]
print(*counts, kernels.ntk[0, 1])
"""


def process(*arguments, **environment):
    """The words that a fresh process prints."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env=others | environment,
    )
    return done.stdout.split()


def test_the_second_process_compiles_nothing(tmp_path):
    folder = str(tmp_path / "deep" / "programs")
    hits, misses, value = process("-c", PROCESS, folder)
    assert int(hits) == 0 and int(misses) > 0
    again = process("-c", PROCESS, folder)
    assert again == [misses, "0", value]


def test_the_command_line_keeps_programs_in_the_user_s_folder(tmp_path):
    process("-m", "ntkrnn", "learnability", "--list", XDG_CACHE_HOME=str(tmp_path))
    assert (tmp_path / "ntkrnn" / "programs").is_dir() or sys.platform != "linux"


def test_a_folder_that_the_environment_names_is_left_to_jax(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "own"))
    assert ntkrnn.cache() == tmp_path / "own" and not (tmp_path / "own").exists()
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert ntkrnn.cache() is None


def test_bad_arguments_are_named(tmp_path):
    refused(lambda: ntkrnn.cache(3), "folder", "got 3", error=TypeError)
    refused(lambda: ntkrnn.cache(""), "folder", "a path", error=TypeError)
    refused(lambda: ntkrnn.cache(tmp_path, max_bytes=0), "max_bytes", "at least 1", error=ValueError)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ntkrnn.cache(tmp_path / "file")

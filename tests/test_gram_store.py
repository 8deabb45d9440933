"""Stores of kernel matrices: what is in them, what ends a run early, what is refused."""

import errno
import functools
import os
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import ntkrnn
from ntkrnn import gram
from ntkrnn.cli import app
from ntkrnn.gram._tilestore import TileStore

zarr = pytest.importorskip("zarr")
ARCH = ntkrnn.Elman()
X = np.random.default_rng(0).normal(size=(300, 6, 2)).astype(np.float32)
TILE = 128
ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""Kernels of 6 steps are sums of some tens of terms of order 1, in another order in other tiles."""


class Stopped(Exception):
    pass


def stop_after(count):
    def report(done, total):
        if done >= count:
            raise Stopped

    return report


def computed(folder, x=X, arch=ARCH, **options):
    return gram.compute(arch, x, store=folder, **{"tile": TILE, "progress": False, **options})


def chunks(folder):
    found = {}
    for name in ("nngp", "ntk"):
        base = folder / name / "c"
        found |= {
            path.relative_to(folder): path.read_bytes() for path in base.rglob("*") if path.is_file()
        }
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "gram"
    computed(folder)
    return folder


def test_it_holds_what_kernel_fn_returns(whole):
    stored, exact = gram.open(whole), ntkrnn.network(ARCH).kernel_fn(X)
    for name in ("nngp", "ntk"):
        matrix, dense = getattr(stored, name), np.asarray(getattr(exact, name))
        assert matrix.shape == (300, 300) and matrix.dtype == np.float32
        np.testing.assert_allclose(np.asarray(matrix), dense, rtol=0, atol=ROUNDING * dense.max())
        assert (np.asarray(matrix) == np.asarray(matrix).T).all()


def test_only_the_upper_triangle_is_there(whole):
    found = {path.parts[2:] for path in chunks(whole)}
    assert found == {(str(i), str(j)) for i in range(3) for j in range(i, 3)}


@pytest.mark.parametrize(
    "index",
    [
        5,
        -1,
        (3, 299),
        (299, 3),
        slice(100, 290, 7),
        (slice(250, 20, -9), [0, 299, 130, 0]),
        (..., 200),
        (np.arange(300) % 50 == 0, slice(None)),
        ([1, 299], slice(0, 0)),
    ],
    ids=str,
)
def test_entries_are_read_as_numpy_reads_them(whole, index):
    matrix = gram.open(whole, "ntk")
    dense = np.asarray(matrix)
    expected = dense[index]
    if isinstance(index, tuple) and isinstance(index[1], list) and isinstance(index[0], list):
        expected = dense[np.ix_(*index)]
    assert (matrix[index] == expected).all() and matrix[index].shape == expected.shape


@pytest.mark.parametrize("index", [300, (0, -301), 1.5, "a", (0, 0, 0), np.ones(7, bool)], ids=repr)
def test_what_is_no_index_is_refused(whole, index):
    with pytest.raises(IndexError):
        gram.open(whole, "ntk")[index]


def test_operators(whole):
    matrix = gram.open(whole, "nngp")
    dense = np.asarray(matrix, np.float64)
    vectors = np.random.default_rng(1).normal(size=(300, 3))
    scale = 300 * np.abs(dense).max()
    expected = dense @ vectors
    np.testing.assert_allclose(matrix.product(vectors), expected, rtol=0, atol=1e-15 * scale * 4)
    operator = matrix.as_linear_operator()
    np.testing.assert_allclose(operator @ vectors[:, 0], expected[:, 0], rtol=0, atol=4e-15 * scale)
    np.testing.assert_allclose(operator.T @ vectors, expected, rtol=0, atol=4e-15 * scale)
    found = jax.jit(matrix.as_linear_operator("jax"))(vectors.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * scale)
    assert (matrix.diagonal() == dense.diagonal()).all()
    rebuilt = np.zeros((300, 300))
    for (rows, columns), tile in matrix.tiles():
        rebuilt[rows, columns] = tile
    assert (np.triu(rebuilt) == np.triu(dense)).all()
    with pytest.raises(ValueError, match=r"vectors: got shape \(299,\)"):
        matrix.product(np.ones(299))


def test_matrices_that_are_nowhere(whole):
    stored, lazy = np.asarray(gram.open(whole, "ntk")), gram.lazy(ARCH, X, tile=TILE)
    assert (np.asarray(lazy) == stored).all()
    close = {"rtol": 0, "atol": ROUNDING * stored.max()}
    np.testing.assert_allclose(lazy.columns([250, 3, 3]), stored[:, [250, 3, 3]], **close)
    np.testing.assert_allclose(lazy.diagonal(), stored.diagonal(), **close)


def test_two_sides_with_lengths(tmp_path):
    lengths1, lengths2 = np.arange(150) % 6 + 1, np.arange(40) % 3 + 4
    matrix = computed(
        tmp_path / "g", X[:150], x2=X[200:240], lengths1=lengths1, lengths2=lengths2, get="ntk"
    )
    dense = ntkrnn.network(ARCH).kernel_fn(X[:150], X[200:240], "ntk", lengths1, lengths2)
    assert matrix.shape == (150, 40)
    np.testing.assert_allclose(np.asarray(matrix), dense, rtol=0, atol=ROUNDING * float(dense.max()))
    vectors = np.random.default_rng(1).normal(size=150)
    found = matrix.as_linear_operator().rmatvec(vectors)
    size = 4e-15 * 150 * float(np.abs(dense).max())
    np.testing.assert_allclose(found, np.asarray(matrix, np.float64).T @ vectors, rtol=0, atol=size)


def test_readout_sequence_has_entries_of_all_steps(tmp_path):
    arch = ntkrnn.Elman(readout="sequence")
    matrix = computed(f"memory://{tmp_path.name}", X[:40], arch, tile=16, get="ntk")
    dense = np.asarray(ntkrnn.network(arch).kernel_fn(X[:40]).ntk)
    assert matrix.shape == dense.shape == (40, 40, 6, 6)
    np.testing.assert_allclose(np.asarray(matrix), dense, rtol=0, atol=ROUNDING * dense.max())
    assert (matrix[39, 2] == matrix[2, 39].T).all() and (
        matrix[20:, 3, 1, 2] == matrix[3, 20:, 2, 1]
    ).all()
    with pytest.raises(ValueError, match=r"expected \[N1, N2\]"):
        matrix.product(np.ones(40))


def test_sampled_kernels_are_of_the_same_networks_in_every_tile(tmp_path):
    found = computed(tmp_path / "g", X[:150], ntkrnn.LSTM(), get="nngp")
    exact = ntkrnn.network(ntkrnn.LSTM()).kernel_fn(X[:150], get=("nngp", "nngp_error"), replicates=16)
    assert found._fields == ("nngp", "nngp_error")
    for stored, dense in zip(found, exact, strict=True):
        size = float(np.abs(exact.nngp).max())
        np.testing.assert_allclose(np.asarray(stored), dense, rtol=0, atol=ROUNDING * size)
    limit = ntkrnn.Sampling(tolerance=0.01)
    with pytest.raises(ValueError, match=r"arch_or_kernel_fn: got tolerance=0.01"):
        computed(tmp_path / "h", arch=ntkrnn.network(ntkrnn.LSTM(), limit).kernel_fn)


def test_kernels_of_a_finite_network(tmp_path):
    arch = ntkrnn.Elman(width=16)
    _, params = ntkrnn.network(arch).init_fn(jax.random.key(0), (-1, 6, 2))
    ntk_fn = ntkrnn.empirical_ntk_fn(arch)
    matrix = computed(tmp_path / "g", arch=ntk_fn, params=params)
    dense = np.asarray(ntk_fn(X, None, params))
    np.testing.assert_allclose(np.asarray(matrix), dense, rtol=0, atol=ROUNDING * dense.max())
    other = jax.tree.map(lambda leaf: leaf * 1.001, params)
    with pytest.raises(gram.StoreError, match="params = "):
        computed(tmp_path / "g", arch=ntk_fn, params=other)


def test_two_functions_of_one_name_are_told_apart(tmp_path):
    def elman(scale):
        return ntkrnn.Elman(nonlinearity=ntkrnn.dual.nonlinearity(lambda x: scale * jax.numpy.tanh(x)))

    assert repr(elman(1.0)) == repr(elman(0.5))
    computed(tmp_path / "g", X[:20], elman(1.0))
    with pytest.raises(gram.StoreError, match="kernel of the first two sequences = "):
        computed(tmp_path / "g", X[:20], elman(0.5))


def linear(x1, x2=None, scale=1):
    other = x1 if x2 is None else x2
    return scale * np.einsum("itd,jtd->ij", x1, other)


def test_any_function_of_two_sets(tmp_path):
    matrix = computed(tmp_path / "g", arch=linear, get="linear")
    assert matrix.name == "linear"
    np.testing.assert_allclose(np.asarray(matrix), linear(X), rtol=0, atol=ROUNDING * linear(X).max())
    with pytest.raises(
        gram.StoreError, match=r"kernel = test_gram_store.linear, and this call has kernel = "
    ):
        computed(tmp_path / "g", arch=lambda x1, x2=None: linear(x1, x2), get="linear")
    twice = functools.partial(linear, scale=2)
    computed(tmp_path / "p", arch=functools.partial(linear, scale=1), get="linear")
    with pytest.raises(gram.StoreError, match="kernel of the first two sequences = "):
        computed(tmp_path / "p", arch=twice, get="linear")
    with pytest.raises(ValueError, match=r"returns \(2,\) for 2 and 2 sequences"):
        computed(tmp_path / "h", arch=lambda x1, x2=None: np.ones(len(x1)), get="linear")


def test_data_on_disk(tmp_path, whole):
    np.save(tmp_path / "x.npy", X)
    zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(50, 6, 2))
    for k, x in enumerate(
        (tmp_path / "x.npy", str(tmp_path / "x.zarr"), np.load(tmp_path / "x.npy", "r"))
    ):
        computed(tmp_path / f"g{k}", x)
        assert chunks(tmp_path / f"g{k}") == chunks(whole)
    computed(whole, tmp_path / "x.npy")  # the same numbers, wherever they are
    with pytest.raises(ValueError, match="x1: there is no file"):
        computed(tmp_path / "h", tmp_path / "none.npy")


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_run_that_was_ended_is_continued(tmp_path, whole, count):
    folder = tmp_path / "g"
    with pytest.raises(Stopped):
        computed(folder, progress=stop_after(count))
    done = gram.status(folder).done
    assert count <= done < 6
    with pytest.raises(gram.StoreError, match=f"has {done} of 6 tiles"):
        gram.open(folder)
    said = []
    computed(folder, progress=lambda done, total: said.append((done, total)))
    assert said[0][0] >= done and said[-1] == (6, 6)
    assert chunks(folder) == chunks(whole)


KILLED = """
import sys, numpy as np, ntkrnn
from ntkrnn import gram
from ntkrnn.cli import app
x = np.random.default_rng(0).normal(size=(300, 6, 2)).astype(np.float32)
if __name__ == "__main__":
    gram.compute(ntkrnn.Elman(), x, store=sys.argv[1], tile=128,
                 progress=lambda done, total: print(done, flush=True))
"""


def killed_after(folder, count):
    """A process that is killed when it has said so many tiles."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if int(line) >= count:
                process.send_signal(signal.SIGKILL)
                break


def test_a_process_may_be_killed_at_any_moment(tmp_path, whole):
    folder = tmp_path / "g"
    killed_after(folder, 0)  # before the first tile
    killed_after(folder, 2)  # and again, between two writes of the ledger
    assert len(chunks(folder)) >= 4  # of two matrices
    computed(folder)
    assert chunks(folder) == chunks(whole)
    assert gram.verify(folder, progress=False) == (6, 0, ())


def test_another_store_at_the_same_place_is_another_one(tmp_path):
    """What a process keeps of the sequences of a store is not taken for those of the next."""
    computed(tmp_path / "g", get="ntk")
    shutil.rmtree(tmp_path / "g")
    again = computed(tmp_path / "g", X[::-1], get="ntk")
    exact = np.asarray(ntkrnn.network(ARCH).kernel_fn(X[::-1]).ntk)
    np.testing.assert_allclose(np.asarray(again), exact, rtol=0, atol=ROUNDING * exact.max())


def test_what_a_killed_writer_left_is_removed(tmp_path, whole):
    folder = shutil.copytree(whole, tmp_path / "g")
    (folder / "ntk" / "c" / "0" / "1.0123456789abcdef.partial").write_bytes(b"half of a tile")
    computed(folder)
    assert chunks(folder) == chunks(whole)


def test_a_function_that_is_not_finite_is_refused(tmp_path):
    with pytest.raises(ValueError, match="arch_or_kernel_fn: got nan"):
        computed(tmp_path / "g", arch=lambda x1, x2=None: np.nan * linear(x1, x2))


def test_a_store_that_was_not_set_up_is_made_anew(tmp_path, whole):
    folder = tmp_path / "g"
    zarr.create_group(str(folder), attributes={"ntkrnn": {"unfinished": True}}).create_array(
        "nngp", shape=(3, 3), dtype="float32"
    )
    computed(folder)
    assert chunks(folder) == chunks(whole)


def test_a_lost_ledger_is_rebuilt_from_the_tiles(tmp_path, whole):
    folder = shutil.copytree(whole, tmp_path / "g")
    shutil.rmtree(folder / "ledger")
    said = []
    computed(folder, progress=lambda done, total: said.append(done))
    assert said == [6]  # nothing is computed
    assert gram.verify(folder, progress=False) == (6, 0, ())


def flipped(path):
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


def truncated(path):
    path.write_bytes(path.read_bytes()[:1000])


def removed(path):
    path.unlink()


def exchanged(path):
    shutil.copy(path.parent.parent / "0" / "0", path)  # whole, and of another tile


@pytest.mark.parametrize("harm", [flipped, truncated, removed, exchanged])
def test_damage_is_found_and_redone(tmp_path, whole, harm):
    folder = shutil.copytree(whole, tmp_path / "g")
    harm(folder / "ntk" / "c" / "1" / "2")
    if harm is not exchanged:  # its own checksum is right
        with pytest.raises(gram.DamagedTileError, match=r"tile \(1, 2\) of 'ntk'"):
            gram.open(folder, "ntk")[200, 290]
    assert gram.verify(folder, progress=False) == (6, 0, ((1, 2),))
    assert gram.status(folder).done == 5
    computed(folder)
    assert chunks(folder) == chunks(whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"x": X + 1}, r"x1 = \(300, 6, 2\) \w+, and this call has x1 = "),
        ({"x": X[:299]}, r"x1 = \(300, 6, 2\) \w+, and this call has x1 = \(299, 6, 2\)"),
        ({"lengths1": np.full(300, 5)}, "x1 = "),
        ({"arch": ntkrnn.Elman(w_std=1.5)}, "kernel = .*w_std=1.5"),
        ({"get": "ntk"}, "get = nngp, ntk, and this call has get = ntk"),
        ({"dtype": "float64"}, "dtype = float32, and this call has dtype = float64"),
        ({"tile": 64}, "tile = 128, and this call has tile = 64"),
        ({"resume": False}, "holds a kernel already"),
    ],
    ids=["data", "fewer", "lengths", "scale", "names", "dtype", "tile", "resume"],
)
def test_another_kernel_is_refused_with_both_values(whole, options, said):
    with pytest.raises(gram.StoreError, match=said):
        computed(whole, **options)


def test_another_version_is_refused(whole, monkeypatch):
    monkeypatch.setattr("ntkrnn.gram._kernel.__version__", "9.9")
    with pytest.raises(gram.StoreError, match=r"ntkrnn = .*, and this call has ntkrnn = 9\.9"):
        computed(whole)


def test_the_dtype_is_that_which_was_asked_for(tmp_path):
    matrix = computed(tmp_path / "g", X[:20].astype(np.float64), dtype="float64", get="nngp")
    with jax.enable_x64(True):
        dense = np.asarray(ntkrnn.network(ARCH).kernel_fn(X[:20].astype(np.float64)).nngp)
    np.testing.assert_allclose(np.asarray(matrix), dense, rtol=1e-13)


def test_folders_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("years")
    with pytest.raises(gram.StoreError, match=r"holds other files, such as thesis.tex"):
        computed(tmp_path / "a")
    zarr.create_group(str(tmp_path / "b"))
    with pytest.raises(gram.StoreError, match="zarr group of something else"):
        computed(tmp_path / "b")
    with pytest.raises(gram.StoreError, match="there is no folder"):
        gram.open(tmp_path / "c")
    with pytest.raises(gram.StoreError, match="holds no zarr group"):
        gram.open(tmp_path / "a")
    with pytest.raises(ValueError, match="store: got an empty path"):
        computed("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError, match="Permission denied"):
        computed(tmp_path / "g")


def test_one_writer_at_a_time(tmp_path):
    folder = tmp_path / "g"
    refused = []

    def second(done, total):
        if not refused:
            with pytest.raises(gram.StoreError, match="is being written by another process") as caught:
                computed(folder)
            refused.append(caught)

    computed(folder, progress=second)
    assert refused and gram.status(folder).done == 6


def test_a_full_disk_ends_the_run_with_a_message(tmp_path, whole, monkeypatch):
    folder, write = tmp_path / "g", TileStore.write
    written = []

    def full(self, name, i, j, tile):
        if len(written) >= 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(name)
        return write(self, name, i, j, tile)

    with monkeypatch.context() as patch:
        patch.setattr(TileStore, "write", full)
        with pytest.raises(OSError, match=r"no space is left for the store; . tiles") as caught:
            computed(folder)
    assert caught.value.errno == errno.ENOSPC
    computed(folder)
    assert chunks(folder) == chunks(whole)


def test_bad_data_names_where_it_is(tmp_path):
    x = X.copy()
    x[200, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"x1: got nan at row 72, step 3, channel 1.*counted from 128"):
        computed(tmp_path / "g", x)
    computed(tmp_path / "g", x, lengths1=np.full(300, 3))  # what stands in the padding never matters
    with pytest.raises(ValueError, match=r"x1: got rank 2 with shape \(300, 6\)"):
        computed(tmp_path / "h", X[:, :, 0])
    with pytest.raises(ValueError, match="x2: got d=1 channels"):
        computed(tmp_path / "h", x2=X[:, :, :1])
    with pytest.raises(ValueError, match="lengths2: got lengths without x2"):
        computed(tmp_path / "h", lengths2=np.full(300, 3))
    with pytest.raises(TypeError, match="arch_or_kernel_fn: got int"):
        computed(tmp_path / "h", arch=3)
    with pytest.raises(ValueError, match="params: got some with a kernel of infinite width"):
        computed(tmp_path / "h", params=[1.0])
    with pytest.raises(ValueError, match="dtype: got 'float16'"):
        computed(tmp_path / "h", dtype="half")
    with pytest.raises(TypeError, match="client: got float"):
        computed(tmp_path / "h", client=0.5)


def command(*words, expect=0):
    result = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, ["gram", *map(str, words)])
    assert result.exit_code == expect, result.output
    return " ".join(result.output.split())


def test_the_command_computes_checks_and_continues(tmp_path):
    folder = tmp_path / "g"
    given = ("--data", "digits", "--n", 200, "--nonlinearity", "relu", "--tile", 128, "--store", folder)
    assert "3 of 3" in command("compute", *given)
    before = chunks(folder)
    flipped(folder / "ntk" / "c" / "0" / "1")
    assert "2 of 3 tiles are whole, 0 missing, 1 damaged" in command(
        "verify", "--store", folder, expect=1
    )
    assert "2 of 3" in command("status", "--store", folder)
    assert "nonlinearity='relu'" in command("resume", "--store", folder)
    assert chunks(folder) == before
    assert "3 of 3 tiles are whole" in command("verify", "--store", folder)
    said = command("compute", *given[:-2], "--w-std", 2, "--store", folder, expect=2)
    assert "w_std=1.0" in said and "w_std=2.0" in said
    assert "--workers: got a number beside --scheduler" in command(
        "resume", "--store", folder, "--workers", 1, "--scheduler", "tcp://127.0.0.1:9", expect=2
    )


def test_a_store_of_python_is_not_continued_by_the_command(whole):
    assert "was made in Python" in command("resume", "--store", whole, expect=2)

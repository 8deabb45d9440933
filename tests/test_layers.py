"""The architecture of the package: imports run downwards, and importing it is light."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "ntkrnn"

# From the bottom up; modules on one line do not import each other.
LAYERS = [
    {"_version", "_types", "_progress"},
    {"_compat"},
    {"_checks", "_compile", "_derivatives", "_memory"},
    {"_cache", "_files", "_random", "dual", "readouts"},
    {"architectures"},
    {"_tiling", "cells", "quadrature"},
    {"infinite", "empirical"},
    {"gram"},
    {"_network", "dynamics", "solvers"},
    {"testing", "theory"},
    {"data", "report", "stax", "flax"},
    {"estimators"},
    {"studies", "bench"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# The same within the kernels of infinite width: rooms, and the files of the shell about them.
ROOMS = [
    {"_request", "_overflow"},
    {"pairs", "sampling", "neurons"},
    {"recursion", "leaky"},
    {"tiles"},
    {"_limits"},
    {"_kernel_fn"},
]


def _unit(path):
    """The layer that a file belongs to: its folder, or its own name at the top."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def _imports(path):
    """Names of the units of this package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == "ntkrnn":
                yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "ntkrnn":
                    yield parts[1] if len(parts) > 1 else "ntkrnn"


def _files():
    return sorted(
        p
        for p in PACKAGE.rglob("*.py")
        if p.parent != PACKAGE or p.stem not in ("__init__", "__main__")
    )


def test_every_file_has_a_layer():
    assert {_unit(path) for path in _files()} == set(LEVEL)


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_downwards(path):
    mine = _unit(path)
    for other in _imports(path):
        if other == "ntkrnn":
            # The public names as a whole: only for what stands above all of them.
            assert LEVEL[mine] > LEVEL["_network"], f"{path} imports the package it is part of"
        elif other in LEVEL and other != mine:
            assert LEVEL[other] < LEVEL[mine], f"{path} imports {other}, which is not below {mine}"


def _rooms_imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ntkrnn.infinite"):
            parts = node.module.split(".")
            yield from [parts[2]] if len(parts) > 2 else [alias.name for alias in node.names]


def test_rooms_of_infinite_width_import_downwards():
    level = {name: k for k, names in enumerate(ROOMS) for name in names}
    seen = set()
    for path in (PACKAGE / "infinite").rglob("*.py"):
        mine = path.relative_to(PACKAGE / "infinite").with_suffix("").parts[0]
        if mine == "__init__":
            continue
        seen.add(mine)
        for other in _rooms_imported(path):
            assert other == mine or level[other] < level[mine], f"{path} imports {other}"
    assert seen == set(level)


def _run(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.split()


def test_import_is_light():
    heavy = (
        *("neural_tangents", "tensorflow", "matplotlib", "sklearn", "scipy", "flax", "optax", "aeon"),
        *("zarr", "dask", "distributed", "fsspec"),
    )
    loaded = _run(
        "import sys, jax, jax.numpy; before = set(sys.modules); import ntkrnn; "
        "ntkrnn.network, ntkrnn.Elman, ntkrnn.empirical_ntk_fn, ntkrnn.Recursion, ntkrnn.readouts; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    assert not set(heavy) & set(loaded)


def test_names_are_loaded_when_they_are_asked_for():
    """Neither the package nor the help of its command waits for JAX."""
    loaded = _run("import sys, ntkrnn, ntkrnn.cli; dir(ntkrnn); print(*sys.modules)")
    assert "jax" not in loaded and "ntkrnn.cli" in loaded
    names = _run("import ntkrnn; print(*(type(getattr(ntkrnn, n)).__name__ for n in dir(ntkrnn)))")
    assert len(names) > 20


def test_lazy_modules_are_there():
    assert _run(
        "import ntkrnn; print(ntkrnn.stax.Recurrent.__name__, ntkrnn.data.load.__name__, "
        "ntkrnn.flax.apply_fn_from_module.__name__)"
    ) == [
        "Recurrent",
        "load",
        "apply_fn_from_module",
    ]

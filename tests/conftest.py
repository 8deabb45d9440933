"""Settings shared by every test: compiled programs, garbage collection, marks."""

import gc
import os
from pathlib import Path

# Compiling takes most of the time of the suite: what one run, one worker or one invocation compiled,
# the others read; and tracing is a quarter faster if no operation remembers where it was written.
# Set before JAX is imported, and through the environment, so that programs that tests start have it
# too; what the environment names already is used.
SETTINGS = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(__file__).parent.parent / ".cache" / "jax"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "JAX_TRACEBACK_IN_LOCATIONS_LIMIT": "0",
}
for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

import jax  # noqa: E402
import pytest  # noqa: E402

# Tracing makes millions of small objects that live long; a tenth of the time went into visiting them.
gc.freeze()
gc.set_threshold(200_000, 20, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """In float64 the rows of float32 are slow; what needs a GPU is skipped where there is none."""
    gpu = any(device.platform == "gpu" for device in jax.devices())
    for item in items:
        if item.get_closest_marker("gpu") and not gpu:
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))
        if item.get_closest_marker("float32") and jax.config.jax_enable_x64:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def strict():
    """Implicit promotion of dtypes or ranks is an error inside the test."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield

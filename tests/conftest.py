"""Settings shared by every test."""

import jax
import pytest


def pytest_collection_modifyitems(config, items):
    """Skip what needs a GPU where there is none."""
    del config
    if any(device.platform == "gpu" for device in jax.devices()):
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))


@pytest.fixture
def strict():
    """Implicit promotion of dtypes or ranks is an error inside the test."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield

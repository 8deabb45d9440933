"""Figures as files, and a record of what produced them."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import jax
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ntkrnn._compile import available_cores
from ntkrnn._files import write_atomically
from ntkrnn._version import __version__

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "scikit-learn", "matplotlib")
_OPTIONAL = ("neural-tangents",)


def write_figure(path: str | os.PathLike[str], figure: Figure, *, dpi: int = 150) -> Path:
    """Write a figure as PNG, without a display.

    Args:
        path: the file.
        figure: a figure that no window owns.
        dpi: pixels per inch.

    Returns:
        The path.
    """
    FigureCanvasAgg(figure)  # No pyplot: nothing global, and no display is ever asked for.
    return write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=dpi))


def run_record() -> dict[str, Any]:
    """Where, when, with what and by which command a study ran.

    Returns:
        ``{"device": str, "date": str, "command": str or None, "versions": {name: version}}``: the date
        in UTC, the command line of ``ntkrnn`` if that is what runs; neural-tangents appears if
        installed.

    Example:
        >>> sorted(run_record()["versions"])[:3]
        ['flax', 'jax', 'jaxlib']
    """
    versions = {"python": platform.python_version(), "ntkrnn": __version__}
    versions |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    for name in _OPTIONAL:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    program = Path(sys.argv[0])
    as_module = (program.parent.name, program.name) == ("ntkrnn", "__main__.py")
    by_command = as_module or program.stem == "ntkrnn"
    return {
        "device": device_name(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["ntkrnn", *sys.argv[1:]]) if by_command else None,
        "versions": versions,
    }


def device_name() -> str:
    """The device that JAX computes on by default, in words: "cpu: x86_64, 2 cores"."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"cpu: {platform.machine()}, {available_cores()} cores"
    many = f" ({len(devices)} devices)" if len(devices) > 1 else ""
    return f"{devices[0].platform}: {devices[0].device_kind}{many}"

"""``ntkrnn info``."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import re

import jax
from rich.table import Table
from rich.text import Text

from ntkrnn._compile import available_cores
from ntkrnn.architectures import ARCHITECTURES
from ntkrnn.cli._console import out
from ntkrnn.report import run_record


def info_command() -> None:
    """Print versions, architectures, devices, memory, and which extras are installed."""
    console = out()
    console.print(_grid("Versions", list(run_record()["versions"].items())))
    console.print(_grid("Architectures", _architectures()))
    console.print(_grid("Machine", _machine()))
    console.print(_grid("JAX", _jax()))
    console.print(_grid("Optional packages", _extras()))


def _grid(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(min_width=22)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(f"  {name}"), Text(value))
    return table


def _architectures() -> list[tuple[str, str]]:
    """What --architecture takes, with the fields of each."""
    return [
        (name, ", ".join(field.name for field in dataclasses.fields(kind)))
        for name, kind in ARCHITECTURES.items()
    ]


def _machine() -> list[tuple[str, str]]:
    rows = [
        ("system", f"{platform.system()} {platform.release()} ({platform.machine()})"),
        ("CPU cores", f"{available_cores()} usable of {os.cpu_count()}"),
    ]
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Not every system has these names.
        return [*rows, ("memory", "unknown")]
    return [*rows, ("memory", _size(total))]


def _jax() -> list[tuple[str, str]]:
    rows = [
        ("backend", jax.default_backend()),
        ("default float", str(jax.numpy.result_type(float))),
    ]
    for device in jax.devices():
        stats = device.memory_stats() or {}
        memory = f", {_size(stats['bytes_limit'])}" if "bytes_limit" in stats else ""
        if stats.get("bytes_in_use"):
            memory += f" ({_size(stats['bytes_in_use'])} in use)"
        rows.append((f"device {device.id}", f"{device.device_kind}{memory}"))
    return rows


def _extras() -> list[tuple[str, str]]:
    """Each optional package of each extra, with its version or how to get it."""
    try:
        wanted = importlib.metadata.requires("ntkrnn") or []
    except importlib.metadata.PackageNotFoundError:
        return [("ntkrnn", "runs from its sources, not installed; extras are unknown")]
    rows = []
    for line in wanted:
        match = re.match(r"([A-Za-z0-9._-]+).*extra\s*==\s*['\"]([\w-]+)['\"]", line)
        if match:
            package, extra = match.groups()
            rows.append((f"[{extra}] {package}", _version(package)))
    return rows


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"

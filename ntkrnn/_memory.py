"""How much memory there is, asked before work is begun that needs more.

An allocation that fails inside a compiled program ends the process, or the machine swaps until somebody
ends it. Results of kernels grow with N^2, or N^2 T^2: their bytes are known beforehand and compared
with what the machine has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import jax

from ntkrnn._compat import is_traced

LIMIT_VARIABLE = "NTKRNN_MEMORY_LIMIT"
"""Environment variable that replaces what is found out about the machine: "12G", "500M", bytes."""
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SMALL = 2**26
"""What fits anywhere: below it the machine is not asked."""


def size_in_words(count: float) -> str:
    """A number of bytes as people write it.

    Example:
        >>> size_in_words(320e9), size_in_words(2048)
        ('298 GiB', '2 KiB')
    """
    if count >= 2**60:  # a header may declare more than a float holds
        return "over a million TiB"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.3g} {unit}" if count < 1000 else f"{count:.0f} {unit}"


def available_bytes() -> int | None:
    """What this process may still take, of the machine and its control group; None if unknown.

    Raises:
        ValueError: if the environment variable says something else than a size.

    Cost: two or three small files are read.
    """
    said = os.environ.get(LIMIT_VARIABLE, "").strip()
    if said:
        match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?)(?:i?B)?", said, re.IGNORECASE)
        if match is None:
            raise ValueError(
                f"{LIMIT_VARIABLE}: got {said!r}, expected a size such as 12G, 500M, or a number of "
                "bytes."
            )
        return int(float(match[1]) * _UNITS[match[2].upper()])
    known = [size for size in (_machine(), _control_group()) if size is not None]
    return min(known) if known else None


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _control_group() -> int | None:
    """What the control group leaves, of its version 2 or 1: containers and batch systems set it."""
    root = Path("/sys/fs/cgroup")
    for limit, used in (
        (root / "memory.max", root / "memory.current"),
        (root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes"),
    ):
        try:
            return max(0, int(limit.read_text()) - int(used.read_text()) + _reclaimable(limit.parent))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return None


def _reclaimable(group: Path) -> int:
    """Cached files count as used, and are given up when memory is asked for."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    found = dict(line.split() for line in lines if len(line.split()) == 2)
    return int(found.get("inactive_file", 0))


def device_bytes(device: Any) -> int | None:
    """Memory that is free on a device of JAX: that of the machine for a CPU; None if unknown."""
    if device.platform == "cpu":
        return available_bytes()
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return None
    return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))


def _home(array: Any) -> Any:
    """The device that an array is on, or will be on where it is still being traced."""
    return jax.local_devices()[0] if is_traced(array) else next(iter(array.devices()))


def require(name: str, needed: float, what: str, remedy: str, at: Any = None) -> None:
    """Raise unless there is memory for what is about to be done.

    Args:
        name: the argument whose size decides.
        needed: bytes.
        what: that takes them, with its sizes: "two kernels of N=200000 sequences".
        remedy: what to do instead.
        at: a JAX array or a device where it is done; None for the host.

    Raises:
        ValueError: naming the argument, the bytes needed, the bytes there are, and the remedy.
    """
    if needed <= _SMALL and LIMIT_VARIABLE not in os.environ:
        return
    if at is None:
        there = available_bytes()
    else:
        there = device_bytes(_home(at) if isinstance(at, jax.Array) else at)
    if there is not None and needed > there:
        raise ValueError(
            f"{name}: {what} would take {size_in_words(needed)} of memory, and {size_in_words(there)} "
            f"are available; {remedy} If more is to be had than was found, set {LIMIT_VARIABLE}, for "
            f"example to {max(1, int(needed) * 11 // 10 // 2**30)}G."
        )

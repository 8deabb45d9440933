"""Settings and data of a study, as files and figures state them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ntkrnn.architectures import Architecture
from ntkrnn.data import Dataset
from ntkrnn.readouts import readout_record


def architecture_record(arch: Architecture, width: int) -> dict[str, Any]:
    """An architecture as JSON holds it; one record stands for all widths, and carries ``width``."""
    record = dataclasses.asdict(dataclasses.replace(arch, width=width))
    for field in ("nonlinearity", "gate_nonlinearity"):
        spec = record.get(field)
        if isinstance(spec, dict):
            # A function has no JSON form; its name is all that a file can say of it.
            spec["fn"] = None if spec["fn"] is None else spec["name"]
    readout = readout_record(arch.readout)
    record["readout"] = repr(arch.readout) if readout is None else readout
    return record


def dataset_record(dataset: Dataset) -> dict[str, Any]:
    """Where the sequences came from and what was done to them."""
    n, steps, channels = dataset.x.shape
    return {
        "name": dataset.name,
        "n": n,
        "length": steps,
        "channels": channels,
        "lengths": dataset.lengths,
        "source": dataset.source,
        "reading": dataset.reading,
        "selection": dataset.selection,
        "standardization": dataset.standardization,
    }


def network_in_words(arch: Architecture) -> str:
    """A network in a line of a figure."""
    trained = "" if arch.trainable == arch.blocks else f", trained {', '.join(arch.trainable)}"
    return f"{arch.title}, readout {arch.readout!r}{trained}"

"""Targets of a training run, from the labels of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ntkrnn.studies.engines import StudyError

TARGETS = ("auto", "one-vs-rest", "regression")


def targets_of(kind: str, labels: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Targets ``[N, O]`` and what each output stands for.

    "one-vs-rest": an output for each class, 1 for its sequences and -1 for the others; with two classes
    a single output. "regression": the labels as numbers, with mean 0 and standard deviation 1. "auto":
    regression where the labels are of a floating dtype, as :func:`ntkrnn.data.load` gives real numbers,
    one-vs-rest otherwise.

    Args:
        kind: one of :data:`TARGETS`.
        labels: ``[N]``.

    Returns:
        float64 targets and names.

    Raises:
        StudyError: if there are no labels, they are all the same, or not finite numbers where they must
            be.

    Example:
        >>> targets_of("one-vs-rest", ["a", "b", "a"])[0].ravel().tolist()
        [-1.0, 1.0, -1.0]
    """
    if labels is None:
        raise StudyError("the data have no labels to train on; give a file that has them.")
    labels = np.asarray(labels)
    if kind == "auto":
        kind = "regression" if labels.dtype.kind == "f" else "one-vs-rest"
    classes = np.unique(labels)
    if len(classes) < 2:
        raise StudyError(f"all labels are {classes[0]}; expected at least two different ones.")
    if kind == "regression":
        try:
            values = labels.astype(np.float64)
        except ValueError:
            raise StudyError(
                f"labels such as {labels[0]!r} are not numbers, which --target regression needs; "
                "take one-vs-rest."
            ) from None
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise StudyError(f"the label of row {row} is {labels[row]}; expected finite numbers.")
        return ((values - values.mean()) / values.std())[:, None], ("label",)
    wanted = classes[1:] if len(classes) == 2 else classes
    signs = np.where(labels[:, None] == wanted[None, :], 1.0, -1.0)
    return signs, tuple(str(name) for name in wanted)

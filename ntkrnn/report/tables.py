"""Tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ntkrnn._files import write_bytes


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows separated by commas, below a header.

    Example:
        >>> csv_text(["a", "b"], [[1, "x, y"]])
        'a,b\\n1,"x, y"\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write them as a file, whole or not at all."""
    return write_bytes(path, csv_text(columns, rows).encode())

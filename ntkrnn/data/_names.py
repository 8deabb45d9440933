"""Names of columns that say that a column holds no steps of a series."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_NAMES = {
    "label": "label labels class classes target targets category outcome",
    "id": "id ids uid index idx name names series subject unnamed",
    "time": "time times timestamp timestamps datetime date dates step hour day month year ds",
}
_ROLES = {word: role for role, words in _NAMES.items() for word in words.split()}
_LETTERS = {"y": "label", "t": "time"}
_HOLDS = {
    "label": "holds labels",
    "id": "tells rows or series apart",
    "time": "holds times",
}


def role_of(name: str, names: Sequence[str], *, letters: bool = True) -> str | None:
    """What a column with this name would hold instead of values: "label", "id", "time" or None.

    Numbered names of time and of things (day1, day2, ...) are steps of a series.

    Args:
        name: of the column.
        names: of all columns of values.
        letters: whether y and t have the meaning that they have in a table with a series a row.

    Example:
        >>> names = ["Class Label", "t", "day_1", "day_2", "width"]
        >>> [role_of(name, names) for name in names]
        ['label', 'time', None, None, None]
    """
    stem = _stem(name)
    role = _LETTERS.get(name.lower()) if letters else None
    for word in re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", stem).lower()):
        role = role or _ROLES.get(word)
    if role != "label" and stem != name and Counter(map(_stem, names))[stem] > 1:
        return None
    return role


def steps_only(where: str, cells: Sequence[tuple[int, str]], long: bool) -> None:
    """Refuse columns of values whose name says that they hold labels, names of rows or times.

    In a long table y is a coordinate or what is measured, and an only column holds the values whatever
    its name.

    Args:
        where: file and line of the header, to open a message.
        cells: column, counted from 1, and name of every column of values.
        long: whether series and time have columns.

    Raises:
        ValueError: naming the column, and the option that reads it.
    """
    names = [name for _, name in cells]
    held = [(column, name, role_of(name, names, letters=not long)) for column, name in cells]
    roles = {role: name for _, name, role in reversed(held) if role}
    if not roles or (long and len(cells) == 1):
        return
    column, name, role = next(one for one in held if one[2])
    start = (
        f"{where}, column {column}: {name!r}, which {_HOLDS[role or '']} by its name, would be read as "
        "values of a series."
    )
    if "id" in roles and "time" in roles and not long:
        labelled = "label" in roles and len(cells) > 3
        label = f" --label-column {_quoted(roles['label'])}" if labelled else ""
        pair = _quoted(f"{roles['id']},{roles['time']}")
        raise ValueError(
            f"{start} If every line is one time step of a series, the table is long: give --long {pair}"
            f"{label} (long={(roles['id'], roles['time'])!r}); otherwise drop the columns."
        )
    if role == "label":
        raise ValueError(
            f"{start} Give --label-column {_quoted(name)} (label_column={name!r}), or drop the column."
        )
    if role == "time" and not long:
        start += (
            " If every line is one time step, the table is long: it needs a column that tells the "
            "series apart, and --long ID,TIME (long=(ID, TIME))."
        )
    raise ValueError(f"{start} Drop the column, or give it the name of a step.")


def _quoted(text: str) -> str:
    return f"'{text}'" if re.search(r"[^\w,.-]", text) else text


def _stem(name: str) -> str:
    return re.sub(r"[\W_]*\d+$", "", name)

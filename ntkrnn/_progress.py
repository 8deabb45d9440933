"""How a long computation says how far it is, without every function between handing a callback on.

Whoever wants to know listens; whoever works tells. Nobody listens by default.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int, str], None]
"""``progress(done, total, what)``; a total of 0 where it is not known."""

_LISTENER: contextvars.ContextVar[Progress | None] = contextvars.ContextVar("listener", default=None)


@contextlib.contextmanager
def listening(progress: Progress) -> Iterator[None]:
    """Hear what is told inside of the ``with``, in this thread.

    Example:
        >>> with listening(lambda done, total, what: print(f"{what}: {done} of {total}")):
        ...     tell(1, 2, "parts")
        parts: 1 of 2
        >>> tell(2, 2, "parts")
    """
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(done: int, total: int, what: str) -> None:
    """Say how far one is to whoever listens."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(done, total, what)

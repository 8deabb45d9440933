"""What an estimator is at, told to who asks: a fit may take minutes, and a library does not print."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator

_LISTENER: contextvars.ContextVar[Callable[[str], None] | None] = contextvars.ContextVar(
    "listener", default=None
)


@contextlib.contextmanager
def progress(listener: Callable[[str], None]) -> Iterator[None]:
    """Within it, the estimators of this thread tell a listener what they are at.

    Args:
        listener: called with a few words: the candidate whose kernel is next, or the likelihood that a
            search has come to.

    Example:
        >>> import numpy as np
        >>> from ntkrnn.estimators import RecurrentKernelRidge, progress
        >>> x, heard = np.random.default_rng(0).normal(size=(6, 10)), []
        >>> with progress(heard.append):
        ...     _ = RecurrentKernelRidge(standardize="series").fit(x, x.sum(axis=1))
        >>> heard[0]
        'series, relu b=0.3 + erf b=0.3, differences'
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(what: str) -> None:
    """Tell the listener, if there is one."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(what)

"""Compiled programs kept on disk, so that the next process reads what this one compiled."""

from __future__ import annotations

import os
from pathlib import Path

import jax

from ntkrnn import _checks

FOLDER_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
"""Environment variable of JAX that names the folder."""
LARGEST = 2**30


def cache(folder: str | os.PathLike[str] | None = None, *, max_bytes: int = LARGEST) -> Path | None:
    """Keep compiled programs on disk from now on, for this process and those after it.

    Most of the first call of a kernel in a process goes into compiling; with what an earlier process
    left here it takes a third to a fifth of the time. This is JAX's own cache, with every program in it
    however short its compilation, and a bound on its size, beyond which the programs that were used
    longest ago are removed. What it holds depends on the versions of JAX and on the machine; nothing in
    it is ever wrong for another. The command line calls this; a library should leave it to its users.

    Args:
        folder: where; made if it is not there. None for ``ntkrnn/programs`` in the user's cache folder,
            unless ``JAX_COMPILATION_CACHE_DIR`` is set: then JAX has its folder already, or none if
            that is empty, and nothing is changed.
        max_bytes: the size that it may grow to, on average over a few programs.

    Returns:
        The folder; None if there is none.

    Raises:
        TypeError, ValueError: for a size that is none.
        OSError: if the folder cannot be made or written to.

    Cost: a few milliseconds for a program that is read, and for one that is written.

    Example:
        >>> import ntkrnn
        >>> folder = ntkrnn.cache()  # doctest: +SKIP
    """
    max_bytes = _checks.positive_integer("max_bytes", max_bytes)
    if folder is None:
        named = os.environ.get(FOLDER_VARIABLE)
        if named is not None:
            return Path(named) if named else None
        path = _users_folder()
    elif isinstance(folder, (str, os.PathLike)) and os.fspath(folder):
        path = Path(folder)
    else:
        raise TypeError(f"folder: got {folder!r}, expected a path, or None for the user's own folder.")
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_compilation_cache_max_size", max_bytes)
    jax.config.update("jax_compilation_cache_dir", str(path))
    # JAX looks for its folder at the first compilation, and never again unless it is told to.
    from jax.experimental.compilation_cache import compilation_cache

    compilation_cache.reset_cache()
    return path


def _users_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("ntkrnn", appauthor=False)) / "programs"

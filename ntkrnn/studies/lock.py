"""One writer at a time in a folder, by a lock that the system lets go of when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
import weakref
from pathlib import Path

from ntkrnn.studies.engines import StudyError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, wait: bool) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # a byte that nobody reads: locked ones cannot be
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


NAME = ".lock"
_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


class FolderLock:
    """The right to write in a folder, until :meth:`release` or the end of the process.

    The file ``.lock`` stays; what counts is the system's lock on it, which no crash leaves behind.
    Where the file system has no locks, a warning says that nothing keeps others out.

    Args:
        folder: that is there.
        wait: for another holder; otherwise it is an error that there is one.

    Raises:
        StudyError: if another process writes there, naming it.
        OSError: if the lock file cannot be made; names it.
    """

    def __init__(self, folder: Path, *, wait: bool = False) -> None:
        path = folder / NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self.release = weakref.finalize(self, os.close, descriptor)
        try:
            _lock(descriptor, wait)
        except OSError as error:
            if error.errno in _HELD:
                os.lseek(descriptor, 0, os.SEEK_SET)
                holder = os.read(descriptor, 100).decode(errors="replace").strip()
                self.release()
                raise StudyError(
                    f"{folder} is being written to by another run ({holder or 'of this program'}); "
                    "wait until it has ended, stop it, or take another folder."
                ) from None
            warnings.warn(
                f"{path}: the file system has no locks ({error.strerror}); nothing keeps a second run "
                "out of this folder.",
                stacklevel=2,
            )
        with contextlib.suppress(OSError):  # only for the message that others get
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"process {os.getpid()}\n".encode())

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()

"""One at a time: a lock between processes, held on a file for as long as a block lasts.

The lock is the operating system's and dies with the process that holds it, however that ends. The
empty file is removed by whoever lets go of it; it stays where a process was killed, and on Windows.
On a network drive the lock is as good as the drive's locks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from features.errors import InputError
from features.progress import note

__all__ = ["hold", "lock_of", "take"]

_STEP = 0.1  # seconds between two attempts
_SILENT = 2.0  # seconds of waiting that are not worth a word
_TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


def lock_of(path: Path, part: str = "") -> Path:
    """The file of the lock on a file, or on a part of what it holds: a hidden one beside it.

    >>> lock_of(Path("shop/mlflow.db")).as_posix(), lock_of(Path("mlflow.db"), "churn").name
    ('shop/.mlflow.db.lock', '.mlflow.db.churn.lock')
    """
    return path.with_name(f".{path.name}.{part}.lock" if part else f".{path.name}.lock")


@contextlib.contextmanager
def hold(path: Path, what: str, *, seconds: float = 3600.0) -> Iterator[None]:
    """Hold the lock on a file inside the block; wait for whoever holds it, and say so.

    A process must not ask again for a lock that it holds: it would wait for itself.

    Args:
        path: The file of the lock; made where it is not there, and removed at the end.
        what: What is locked, as in "Another process uses {what}".
        seconds: How long to wait at most.

    Raises:
        InputError: The file cannot be made, or the wait was too long.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with hold(Path(folder) / "a.lock", "it"):
    ...         try:
    ...             with hold(Path(folder) / "a.lock", "the example", seconds=0):
    ...                 pass
    ...         except InputError as error:
    ...             print(error.message)
    Another process uses the example.
    """
    start, said = time.monotonic(), False
    while (handle := _made_and_taken(path)) is None:
        waited = time.monotonic() - start
        if waited >= seconds:
            held = f", and has not let go of it in {seconds:,.0f} seconds" if seconds else ""
            raise InputError(
                f"Another process uses {what}{held}.",
                f"Wait until it has finished, or end it. The lock is {path}.",
            )
        if waited >= _SILENT and not said:
            note(f"Waiting: another process uses {what}.")
            said = True
        time.sleep(_STEP)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file
            path.unlink()
        os.close(handle)  # lets go of the lock


def take(path: Path) -> int | None:
    """Take the lock on a file if nobody holds it, for as long as the handle is open.

    Returns:
        The handle, to be closed with `os.close`; None when somebody holds the lock.

    Raises:
        OSError: The file is not there or cannot be opened.
    """
    return _locked(path, os.open(path, os.O_RDWR))


def _made_and_taken(path: Path) -> int | None:
    try:
        return _locked(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o666))
    except OSError as error:
        raise InputError(
            f"The lock {path} cannot be made ({error.strerror or error}).",
            "Make sure that you may write in its folder.",
        ) from error


def _locked(path: Path, handle: int) -> int | None:
    """The handle with the lock, or None and the handle closed."""
    with contextlib.suppress(FileNotFoundError):
        # Whoever held it may have removed the file meanwhile: a lock on that one keeps nobody out.
        if _taken(handle) and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    os.close(handle)
    return None


def _taken(handle: int) -> bool:
    """Take the lock if nobody holds it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True

"""Write a file aside and move it into its place when it is whole.

A process that is killed leaves the file aside behind. The next that writes the same file removes
it; one that somebody still writes is locked, and stays.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.locking import take

__all__ = ["aside_of", "written_aside"]


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A new, empty, hidden file beside `target` that replaces it when the block ends well.

    Args:
        target: What is written; if it is there, its permissions are kept.

    Yields:
        The path to write to.

    Raises:
        OSError: It cannot be written or moved. `target` is as it was and nothing else is left.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_aside(Path(folder) / "list.csv") as path:
    ...         _ = path.write_text("whole")
    ...     [(p.name, p.read_text()) for p in Path(folder).iterdir()]
    [('list.csv', 'whole')]
    """
    for old in aside_of(target):
        _remove_if_nobodys(old)
    path, lock = _made(target)
    try:
        if target.exists():
            path.chmod(target.stat().st_mode & 0o7777)
        yield path
        _sync(path)
        path.replace(target)
        if os.name == "posix":
            _sync(target.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)


def aside_of(target: Path) -> list[Path]:
    """The files that are being written, or were left, beside a file."""
    start, end = f".{target.name}.", ".tmp"
    return [
        path
        for path in target.parent.iterdir()
        if path.name.startswith(start)
        and path.name.endswith(end)
        and len(path.name) == len(start) + 12 + len(end)
    ]


def _made(target: Path) -> tuple[Path, int]:
    """A new file and the lock on it."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        path.open("xb").close()  # permissions follow the umask, as of any file
        with suppress(FileNotFoundError):  # somebody took it for one that was left
            lock = take(path)
            if lock is not None:
                return path, lock


def _remove_if_nobodys(path: Path) -> None:
    try:
        lock = take(path)
    except OSError:
        return
    if lock is not None:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            pass
        finally:
            os.close(lock)


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

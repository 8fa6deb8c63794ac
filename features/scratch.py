"""One folder for all temporary files of a process, so that none of a killed one stays for long.

Temporary files hold customers' rows: tables as they are read, and what the engine has no memory
for. They are removed when they are done with. A process that is killed leaves its folder behind,
and the next one removes it: the folder is locked for as long as its process lives.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import InputError
from features.locking import take

__all__ = ["PREFIX", "own_scratch"]

PREFIX = "regulars-"
"""How the names of the folders begin, in the system's folder for temporary files."""

_LOCK = ".in-use"


@contextmanager
def own_scratch() -> Iterator[Path]:
    """Have everything temporary in one new folder inside the block; remove it afterwards.

    Folders of processes that are gone are removed, too.

    Raises:
        InputError: There is no folder for temporary files that can be written to.
    """
    try:
        place = Path(tempfile.gettempdir())
        _sweep(place)
        folder, lock = _made(place)
    except OSError as error:
        raise InputError(
            f"No folder for temporary files can be made: {error.strerror or error}.",
            "Make room, or name another folder in TMPDIR.",
        ) from None
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _made(place: Path) -> tuple[Path, int]:
    """A new folder and the lock on it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        (folder / _LOCK).touch()
        with contextlib.suppress(FileNotFoundError):  # somebody took it for one that was left
            lock = take(folder / _LOCK)
            if lock is not None:
                return folder, lock


def _sweep(place: Path) -> None:
    """Remove the folders that nobody holds; one without a lock is not yet held, or not ours."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, or just being removed
            lock = take(folder / _LOCK)
            if lock is not None:
                # Held until it is gone, so that a maker who is just beginning does not take it.
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

"""Trouble that is neither the data's nor the program's: a full disk, or a server that is gone.

Libraries report it in many ways; people need one sentence and what to do.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Iterator

from features.errors import InputError

__all__ = ["explained"]

_SAFE = "What was there before is as it was"
_FULL = f"{_SAFE}. Make room, then run the command again."
_FORBIDDEN = f"{_SAFE}. See that the place may be written to, then run the command again."
_AGAIN = f"{_SAFE}. Bring it back, then run the command again."

_ERRORS = {
    errno.ENOSPC: ("No space left on the disk", _FULL),
    errno.EDQUOT: ("No space left in the quota of the disk", _FULL),
    errno.EROFS: ("Read-only file system", _FORBIDDEN),
    errno.EACCES: ("Permission denied", _FORBIDDEN),
    errno.EPERM: ("Operation not permitted", _FORBIDDEN),
    errno.EIO: ("The disk failed to read or write", f"{_SAFE}. Check the disk."),
    errno.EMFILE: ("Too many open files", "Raise the limit (ulimit -n)."),
    errno.ENFILE: ("Too many open files", "Close other programs."),
    errno.ENOMEM: ("Not enough memory", "Close other programs, or use a larger machine."),
}

# What databases say of the same, and of a server that is gone.
_WORDS = (
    (r"database or disk is full|No space left on device|disk is full", errno.ENOSPC),
    (r"readonly database|Read-only file system", errno.EROFS),
    (r"disk I/O error", errno.EIO),
    (r"unable to open database file|Permission denied", errno.EACCES),
)
_LOCKED = re.compile("database is locked")
_GONE = re.compile(
    "Max retries exceeded|Connection refused|Connection aborted|Connection reset|"
    "RemoteDisconnected|server closed the connection|connection .* lost|terminating connection"
)
_LIBRARIES = {
    *("shutil", "sqlite3", "sqlalchemy", "duckdb", "_duckdb", "mlflow", "requests", "urllib3"),
    *("psycopg", "pyarrow"),
}


def explained(problem: BaseException) -> InputError | None:
    """What to tell of an error that a library raised, None where it may be our own defect.

    >>> print(explained(OSError(errno.ENOSPC, "No space left on device", "/srv/model.json")))
    No space left on the disk: /srv/model.json.
    What was there before is as it was. Make room, then run the command again.
    >>> explained(KeyError("customer_id")) is None
    True
    """
    for each in _chain(problem):
        if isinstance(each, MemoryError):
            return InputError(f"{_ERRORS[errno.ENOMEM][0]}.", _ERRORS[errno.ENOMEM][1])
        if isinstance(each, OSError) and each.errno in _ERRORS:
            words, hint = _ERRORS[each.errno]
            where = f": {each.filename}" if each.filename else ""
            return InputError(f"{words}{where}.", hint)
    for each in _chain(problem):
        if type(each).__module__.split(".")[0] not in _LIBRARIES:
            continue
        said = str(each)
        for words, number in _WORDS:
            if re.search(words, said):
                return InputError(f"{_ERRORS[number][0]}.", _ERRORS[number][1])
        if isinstance(each, sqlite3.OperationalError) and _LOCKED.search(said):
            return InputError(
                "The MLflow database is locked by another program.",
                "Wait until that has finished, then run the command again.",
            )
        if _GONE.search(said):
            where = "MLflow server" if "psycopg" not in type(each).__module__ else "database server"
            return InputError(f"The {where} does not answer any more.", _AGAIN)
    return None


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """The error, and those that it came of."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [problem]
    while todo:
        each = todo.pop(0)
        if each is None or any(each is known for known in seen):
            continue
        seen.append(each)
        yield each
        todo += [each.__cause__, each.__context__]

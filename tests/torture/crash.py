"""Run the command line, and die by kill -9 at the n-th moment at which it would change the disk.

    python crash.py MOMENT TRACE COMMAND ...

A moment is a file opened for writing, a rename, a removal, a folder made or removed, each statement
that changes an SQLite database, and each step of the score ledger's transaction; the process dies
before it happens. MOMENT is a number, or a pattern that the moment matches; with 0 the command runs
to its end. What it did is written to TRACE, a line a moment.
"""

import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from typing import Any

ALWAYS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
QUIET = re.compile(r"__pycache__|^/dev/|^/proc/|\.lock$|\.in-use$|numba|matplotlib")
CHANGES = re.compile(r"\s*(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|BEGIN|COMMIT)", re.IGNORECASE)


def main(last: str, trace: str, arguments: list[str]) -> None:
    """Count moments and die at the one asked for."""
    told = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    lock, seen = threading.Lock(), 0

    def moment(what: str) -> None:
        nonlocal seen
        with lock:
            seen += 1
            os.write(told, f"{seen}\t{what}\n".encode())
            if str(seen) == last or (not last.isdecimal() and re.search(last, what)):
                os.killpg(0, signal.SIGKILL)

    def statement(sql: str) -> None:
        if CHANGES.match(sql):
            moment("sql " + " ".join(sql.split()[:3]))

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(given[0], str):
            path, _, flags = given
            if flags & WRITES and not QUIET.search(path):
                moment(f"open {path}")
        elif event in ALWAYS and not QUIET.search(os.fsdecode(given[0])):
            moment(f"{event} {os.fsdecode(given[0])}")

    connect = sqlite3.connect

    def connected(*given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(statement)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connected
    sys.addaudithook(hook)
    from serving.ledger_store import _File

    for name in ("make", "run", "add"):
        setattr(_File, name, _noted(getattr(_File, name), f"ledger {name}", moment))
    sys.argv = ["regulars", *arguments]
    from regulars.__main__ import main as regulars

    regulars()


def _noted(method: Callable[..., Any], what: str, moment: Callable[[str], None]) -> Any:
    def noted(*given: Any, **named: Any) -> Any:
        moment(what)
        return method(*given, **named)

    return noted


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

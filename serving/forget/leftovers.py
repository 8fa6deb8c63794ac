"""What commands that were stopped have left beside their outputs: customers may be in it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from features.locking import take

__all__ = ["leftovers", "remove"]

_FILE = re.compile(r"[.].+[.][0-9a-f]{12}[.]tmp|[.].+[.]forget([.]wal)?")
_FOLDER = re.compile(r"[.].+[.]parts")


def leftovers(folder: Path) -> list[Path]:
    """Half-written files, and folders of finished parts, in a folder."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if (_FOLDER if path.is_dir() else _FILE).fullmatch(path.name)
    ]


def remove(path: Path, *, apply: bool = True) -> bool:
    """Remove what nobody uses any more; an output that was not finished is made anew.

    Returns:
        Whether it is gone, or without `apply` could be; not where a running command holds it.
    """
    lock = path.with_suffix(".lock") if path.is_dir() else path
    handle = None
    try:
        if lock.exists():
            handle = take(lock)
            if handle is None:
                return False
        if not apply:
            return True
        if path.is_dir():
            shutil.rmtree(path)
            lock.unlink(missing_ok=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True

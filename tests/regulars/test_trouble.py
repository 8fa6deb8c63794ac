"""Errors of disks, stores and servers are told in a sentence; our own are not hidden by one."""

import errno
import shutil
import sqlite3

import duckdb
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from regulars.trouble import explained


def raised(problem, *, cause=None):
    try:
        raise problem from cause
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "No space left on the disk: /a"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "Permission denied: /a"),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]), "No space left"),
        (sqlite3.OperationalError("database or disk is full"), "No space left"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "Read-only"),
        (sqlite3.OperationalError("database is locked"), "locked by another program"),
        (duckdb.IOException("Could not write file: No space left on device"), "No space left"),
        (
            OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
            "No space left",
        ),
        (
            MlflowException("API request failed with exception Max retries exceeded with url"),
            "The MLflow server does not answer",
        ),
        (MemoryError(), "Not enough memory"),
    ],
)
def test_what_is_told(problem, words):
    told = explained(raised(problem))
    assert told is not None
    assert words in told.message
    assert told.hint


def test_what_an_error_came_of_is_looked_for():
    told = explained(raised(RuntimeError("x"), cause=OSError(errno.ENOSPC, "No space left")))
    assert told is not None
    assert "No space" in told.message


@pytest.mark.parametrize(
    "problem",
    [KeyError("x"), ValueError("No space left on device"), OSError(errno.ENOENT, "not there")],
)
def test_what_may_be_our_own_defect_is_not_explained_away(problem):
    assert explained(raised(problem)) is None

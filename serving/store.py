"""Reach an MLflow registry: one that is there, whose errors are told in one sentence."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from features.errors import InputError
from features.reading.addresses import shown_store
from features.reading.postgres import check_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["TRAIN", "open_registry"]

TRAIN = "Run `regulars train` first."
"""What to do where there is no registry yet."""


@contextlib.contextmanager
def open_registry(tracking_uri: str | None = None) -> Iterator[tuple[MlflowClient, str]]:
    """A client of the registry and its address, for the block; errors in it become ours.

    Args:
        tracking_uri: Where MLflow keeps its records; MLflow's own setting when left out.

    Raises:
        InputError: There is no MLflow database, it does not answer, or it gave an error.
    """
    import mlflow

    uri = tracking_uri or mlflow.get_tracking_uri()
    _check_reachable(uri)
    with _mlflow_errors(uri):
        yield mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri), uri


def _check_reachable(uri: str) -> None:
    """Refuse a registry that is not there, before MLflow creates one or waits for minutes."""
    parts = urlsplit(uri)
    check_store(uri)
    if parts.scheme == "sqlite":
        _check_sqlite(unquote(uri.split("://", 1)[1].split("?", 1)[0].removeprefix("/")), uri)
    elif parts.scheme in ("", "file"):
        raise InputError(
            f"MLflow keeps no registry in plain folders such as {uri}.",
            'Use tracking_uri = "sqlite:///mlflow.db" or the address of an MLflow server.',
        )
    elif parts.scheme in ("http", "https") and parts.hostname:
        proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(
            parts.hostname
        )
        if not proxied:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            try:
                socket.create_connection((parts.hostname, port), timeout=10).close()
            except OSError as error:
                raise InputError(
                    f"The MLflow server {shown_store(uri)} does not answer "
                    f"({error.strerror or error}).",
                    "Start it, or correct tracking_uri or MLFLOW_TRACKING_URI.",
                ) from error


def _check_sqlite(name: str, uri: str) -> None:
    path = Path(name)
    if not name or name == ":memory:" or not path.exists() or path.stat().st_size == 0:
        raise InputError(
            f"There is no MLflow database {path if name else uri}.",
            f"{TRAIN} If you have trained already, correct tracking_uri or MLFLOW_TRACKING_URI.",
        )
    try:
        # Opened for reading only: MLflow itself would fill any SQLite file with its tables.
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        ) as con:
            tables = {row[0] for row in con.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise InputError(
            f"{path} is not a database that can be read ({error}).",
            "Correct tracking_uri, or bring the file back from a copy.",
        ) from error
    if not {"registered_models", "model_versions"} <= tables:
        raise InputError(f"{path} is not an MLflow database.", f"Correct tracking_uri. {TRAIN}")


@contextlib.contextmanager
def _mlflow_errors(uri: str) -> Iterator[None]:
    """Turn the errors of MLflow and of its database into ours."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        reason = str(error).strip().split("\n", 1)[0].replace(uri, shown_store(uri))
        raise InputError(
            f"MLflow at {shown_store(uri)} gave an error: {reason}",
            "Check tracking_uri or MLFLOW_TRACKING_URI and that the server or database is up.",
        ) from error
    except ImportError as error:
        raise InputError(
            f"A library for {shown_store(uri)} is not installed: {error}", "Install it with pip."
        ) from error

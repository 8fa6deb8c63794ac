"""Look for customers in what MLflow keeps: it should hold none, and this says whether it does."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InputError

__all__ = ["artifact_folders", "holding"]

_PICTURES = {".png", ".webp", ".jpg", ".jpeg", ".gif"}
_CODE = {".py", ".pyc"}
_BLOCK = 1 << 22
_ENDS = re.compile(rb"[\s\"'<>,;=\[\](){}:|]+")
_NUMBER = re.compile(r"[0-9]+([.][0-9]+)?")


def artifact_folders(tracking_uri: str) -> list[Path] | None:
    """The folders on this machine in which a tracking store keeps its files, and the store itself.

    Returns:
        Folders and files to look through, none where there is no store yet; None where it is a
        server's.

    Raises:
        InputError: The store cannot be asked.
    """
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if not tracking_uri.startswith("sqlite:///"):
        return None
    store = Path(unquote(tracking_uri.removeprefix("sqlite:///").split("?", 1)[0]))
    if not store.is_file():
        return []
    try:
        found = mlflow.MlflowClient(tracking_uri, tracking_uri).search_experiments()
    except (MlflowException, SQLAlchemyError) as problem:
        raise InputError(f"MLflow gave an error: {str(problem).splitlines()[0]}") from None
    places = [store]
    for experiment in found:
        parts = urlsplit(experiment.artifact_location)
        if parts.scheme in ("", "file"):
            places.append(Path(unquote(parts.path)))
    return [place for place in places if place.exists()]


def holding(places: Collection[Path], ids: Collection[str]) -> dict[Path, frozenset[str]]:
    """The files in which an id stands as a word of its own.

    Source code and pictures are left out; arrays are read, and looked into where they hold text.
    An id that is a plain number is looked for in quotes only: numbers are everywhere.

    Args:
        places: Folders, which are searched with all below them, and files.
        ids: The customers.

    Returns:
        File -> who is in it; files without any are not among them.
    """
    quoted = {who for who in ids if _NUMBER.fullmatch(who)}
    words = {who.encode(): who for who in ids if who not in quoted}
    simple = {word for word in words if not _ENDS.search(word)}
    others = [word for word in words if word not in simple]
    others += [f'"{who}"'.encode() for who in quoted] + [f"'{who}'".encode() for who in quoted]
    found: dict[Path, frozenset[str]] = {}
    for path in _files(places):
        here: set[str] = set()
        for text in _texts(path):
            if simple:
                here |= {words[word] for word in simple.intersection(_ENDS.split(text))}
            here |= {word.decode().strip("\"'") for word in others if word in text}
        if here:
            found[path] = frozenset(here)
    return found


def _files(places: Collection[Path]) -> Iterator[Path]:
    for place in places:
        inside = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (
            path
            for path in inside
            if path.is_file() and path.suffix.lower() not in _PICTURES | _CODE
        )


def _texts(path: Path) -> Iterator[bytes]:
    """What a file holds, in pieces that overlap by more than an id is long."""
    if path.suffix in (".npz", ".parquet"):
        try:
            yield from _packed(path)
        except (ValueError, OSError, zipfile.BadZipFile, pa.ArrowException):
            return  # no file of ours
        return
    with path.open("rb") as file:
        before = b""
        while block := file.read(_BLOCK):
            yield before + block
            before = block[-1024:]


def _packed(path: Path) -> Iterator[bytes]:
    """The texts in a compressed file, one a line, in quotes."""
    columns: Iterator[list[object]]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            texts = (arrays[name] for name in arrays.files)
            columns = (each.ravel().tolist() for each in texts if each.dtype.kind in "US")
            for values in columns:
                yield "\n".join(f'"{value}"' for value in values).encode()
    else:
        for column in pq.read_table(path).columns:
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                yield "\n".join(f'"{value}"' for value in column.to_pylist()).encode()

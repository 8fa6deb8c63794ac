"""Save a fitted model as a folder of stock objects, and load it back after checking it.

A folder holds the files that the model writes itself (LightGBM text, JSON, `.npz` arrays
without pickled objects) and `card.json`, which says what the model is and carries the SHA-256
of every other file. Nothing is ever pickled, so loading a folder runs no code from it. The
same model gives the same bytes: keys are sorted and there is no time stamp.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from .base import ModelError, SavableModel

__all__ = [
    "CARD",
    "CONTENT_TAG",
    "FORMAT_VERSION",
    "KINDS",
    "content_digest",
    "dump_json",
    "load",
    "read_card",
    "save",
]

CARD = "card.json"
FORMAT_VERSION = 2

KINDS: Mapping[str, tuple[str, str]] = {
    "churn": (".churn", "ChurnModel"),
    "clv": (".clv", "CustomerLifetimeValue"),
    "clv_learned": (".hybrid", "LearnedLifetimeValue"),
    "clv_stack": (".ensemble", "StackedLifetimeValue"),
    "uplift": (".uplift.model", "UpliftModel"),
    "segments": (".segmentation", "CustomerSegments"),
    "next_purchase": (".next_purchase", "NextPurchase"),
}
"""Model kind -> the module and the class that read it, imported only when asked for."""

CONTENT_TAG = "content_sha256"
"""Tag under which a registry notes what the files and the code of a version were."""

_LARGEST = 1 << 30  # bytes that an array file may unpack to
_OWN_KEYS = ("kind", "format_version", "regulars_version", "extra", "files")
_REMEDY = "Train again, or copy the whole model folder anew from where it was saved."


def save(
    model: SavableModel,
    folder: str | Path,
    *,
    extra: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a fitted model to a new folder.

    Args:
        model: A fitted model of one of `KINDS`.
        folder: Where to write. It must not exist yet, or be an empty folder.
        extra: Anything JSON-able to keep on the card beside the model's own description, for
            instance the metrics of its evaluation or the fingerprint of its data.
        files: Further text files by name, which the card vouches for like the model's own.

    Returns:
        The folder. Its `card.json` holds what the model says of itself at the top level, plus
        `kind`, `format_version`, `regulars_version`, `extra` and `files` (name -> SHA-256).

    Raises:
        ModelError: The folder is in use, cannot be written, or the card is not valid JSON.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(
            f"cannot save a model to {target}: it exists and is not an empty folder",
            "Give a folder that does not exist yet.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and moved into place: a folder that has a card is always complete.
        with tempfile.TemporaryDirectory(
            prefix=f".{target.name}-", dir=target.parent, ignore_cleanup_errors=True
        ) as temporary:
            aside = Path(temporary) / "model"
            aside.mkdir()
            _write(model, aside, extra or {}, files or {})
            if target.exists():
                target.rmdir()
            shutil.move(aside, target)
    except OSError as error:
        raise ModelError(
            f"cannot save a model to {target}: {error.strerror or error}",
            "Check that the disk has room and that you may write there.",
        ) from error
    return target


def load(folder: str | Path, kind: str | None = None) -> Any:
    """Read back a model that `save` wrote, after checking every byte of it.

    Args:
        folder: The model folder.
        kind: Expected kind; any when left out.

    Returns:
        The model, of the class that `KINDS` names for its kind. Its predictions equal those of
        the saved model bit for bit.

    Raises:
        ModelError: Naming the file that is missing, changed or unreadable, and what to do.
    """
    card = read_card(folder)
    if kind is not None and card["kind"] != kind:
        raise ModelError(
            f"{Path(folder) / CARD}: expected a model of kind {kind!r}, found {card['kind']!r}",
            "Point at the folder of the other model.",
        )
    module_name, class_name = KINDS[card["kind"]]
    module = importlib.import_module(module_name, package=__package__)
    model_class = cast("type[SavableModel]", getattr(module, class_name))
    try:
        description = {key: value for key, value in card.items() if key not in _OWN_KEYS}
        return model_class.from_folder(Path(folder), description)
    except ModelError:
        raise
    except (
        *(OSError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError),
        *(OverflowError, MemoryError, RecursionError, zipfile.BadZipFile, zlib.error),
    ) as error:
        # The bytes are the ones that were saved, so the writer was another program or version.
        raise ModelError(
            f"{folder}: the files are intact but do not make a {card['kind']} model "
            f"({type(error).__name__}: {error})",
            _REMEDY,
        ) from error


def read_card(folder: str | Path) -> dict[str, Any]:
    """Read `card.json` and check that it and every file it lists are as they were saved.

    Args:
        folder: The model folder.

    Returns:
        The card.

    Raises:
        ModelError: Naming the file that is missing, changed, foreign or unreadable.
    """
    directory = Path(folder)
    path = directory / CARD
    card = _parse_card(path)
    version = card.get("format_version")
    if version != FORMAT_VERSION:
        saved = card.get("regulars_version", "of an unknown version")
        raise ModelError(
            f"{path}: format_version is {version!r}, written by Regulars {saved}; this program "
            f"({_regulars_version()}) reads {FORMAT_VERSION}",
            "Train again, or load it with the version of regulars that saved it.",
        )
    if card.get("kind") not in KINDS:
        raise ModelError(
            f"{path}: unknown model kind {card.get('kind')!r}; known: {', '.join(KINDS)}", _REMEDY
        )
    files = card.get("files")
    if not isinstance(files, dict):
        raise ModelError(f"{path}: 'files' is not a table of names and checksums", _REMEDY)
    for name, checksum in files.items():
        if name == CARD or Path(name).name != name or "\\" in name or name.startswith("."):
            raise ModelError(f"{path}: {name!r} is not the plain name of a model file", _REMEDY)
        file = directory / name
        if not file.is_file() or file.is_symlink():
            raise ModelError(f"{file}: listed in {CARD} but missing", _REMEDY)
        if _sha256(file) != checksum:
            raise ModelError(f"{file}: changed or damaged since it was saved", _REMEDY)
        if name.endswith(".npz") and _unpacked(file) > _LARGEST:
            raise ModelError(f"{file}: unpacks to more than a model can hold", _REMEDY)
    # A file that the card does not vouch for must not be read by a model by accident.
    present = {p.name for p in directory.iterdir() if not p.name.startswith(".")}
    if foreign := sorted(present - set(files) - {CARD}):
        raise ModelError(
            f"{directory / foreign[0]}: not part of this model ({CARD} does not list it)",
            "Move it out of the model folder.",
        )
    return card


def content_digest(parts: Mapping[str, Path]) -> str:
    """The SHA-256 of files and folders: their names, paths and bytes, compiled Python left out.

    Kept apart from the files, it tells whether anybody has changed them: a card can vouch for the
    files beside it, but not for itself.

    Args:
        parts: Name -> file or folder.
    """
    digest = hashlib.sha256()
    for name, part in sorted(parts.items()):
        files = [part] if part.is_file() else [p for p in part.rglob("*") if p.is_file()]
        for path in sorted(files, key=lambda path: path.relative_to(part).as_posix()):
            relative = path.relative_to(part)
            if "__pycache__" in relative.parts or path.suffix == ".pyc":
                continue
            digest.update(f"{name}\0{relative.as_posix()}\0{_sha256(path)}\0".encode())
    return digest.hexdigest()


def dump_json(value: Any) -> str:
    """Return canonical JSON: sorted keys, two spaces, a final newline, no NaN or infinity.

    Floats are written with the shortest text that reads back to the same bits.

    Raises:
        ModelError: The value holds something that JSON cannot say.
    """
    try:
        return (
            json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"cannot be written as JSON: {error}") from error


def _write(
    model: SavableModel, folder: Path, extra: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    if model.kind not in KINDS:
        raise ModelError(f"unknown model kind {model.kind!r}; known: {', '.join(KINDS)}")
    description = model.to_folder(folder)
    for name, text in files.items():
        if (folder / name).exists():
            raise ModelError(f"{name} is the name of a file of the model itself")
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    if clash := sorted(set(description) & set(_OWN_KEYS)):
        raise ModelError(f"the description of a model may not use the keys {', '.join(clash)}")
    card = {
        **description,
        "kind": model.kind,
        "format_version": FORMAT_VERSION,
        "regulars_version": _regulars_version(),
        "extra": dict(extra),
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    (folder / CARD).write_text(dump_json(card), encoding="utf-8", newline="\n")


def _parse_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path}: not found, so {path.parent} is not a model folder",
            "Train first, or give the folder that holds card.json.",
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})", _REMEDY) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({error})", _REMEDY) from error
    if not isinstance(card, dict):
        raise ModelError(f"{path}: not the card of a model", _REMEDY)
    return card


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpacked(path: Path) -> int:
    """Bytes that a zip archive says it unpacks to; 0 where it is none, which its reader says."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        return 0


def _regulars_version() -> str:
    try:
        return metadata.version("regulars")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "source"

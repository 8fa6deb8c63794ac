"""Models inside models: the files of each, flat in one folder, told apart by a prefix."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from .artifact import KINDS
from .base import ModelError, SavableModel

__all__ = ["read_nested", "write_nested"]


def write_nested(model: SavableModel, folder: Path, prefix: str) -> dict[str, Any]:
    """Write a model's files to `folder`, each name behind `prefix`; return its description."""
    with tempfile.TemporaryDirectory() as temporary:
        description = model.to_folder(Path(temporary))
        files = sorted(path.name for path in Path(temporary).iterdir())
        for name in files:
            shutil.copyfile(Path(temporary) / name, folder / f"{prefix}{name}")
    return {"kind": model.kind, "prefix": prefix, "files": files, "card": description}


def read_nested(folder: Path, description: Mapping[str, Any]) -> Any:
    """Read back what `write_nested` wrote.

    Raises:
        ModelError: A kind that this version does not know, or a file that is missing.
    """
    kind = description["kind"]
    if kind not in KINDS:
        raise ModelError(f"{folder}: unknown model kind {kind!r}; known: {', '.join(KINDS)}")
    module_name, class_name = KINDS[kind]
    module = importlib.import_module(module_name, package=__package__)
    model_class = cast("type[SavableModel]", getattr(module, class_name))
    with tempfile.TemporaryDirectory() as temporary:
        for name in description["files"]:
            whole = f"{description['prefix']}{name}"
            if any(Path(part).name != part or "\\" in part for part in (name, whole)):
                raise ModelError(f"{folder}: {whole!r} is not the plain name of a model file")
            path = folder / whole
            try:
                shutil.copyfile(path, Path(temporary) / name)
            except OSError as error:
                raise ModelError(f"{path} is missing or damaged: {error}.") from error
        return model_class.from_folder(Path(temporary), description["card"])

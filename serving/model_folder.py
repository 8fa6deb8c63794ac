"""The folder of a logged model: copied aside, and refused unless it is one of ours and whole.

What MLflow stores is looked at before anything in it runs. Refused are a model that is pickled,
a loader or code path other than ours, links, paths that lead out of the folder, files that the
card does not vouch for, and content that differs from what the registry noted when the version
was registered. Compiled Python is never copied, because it would run in place of the source.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import InputError
from models.artifact import CONTENT_TAG, content_digest, read_card
from models.base import ModelError

__all__ = ["RETRAIN", "check_folder", "copy_folder"]

RETRAIN = (
    "Run `regulars train` again. If the project folder was moved, its old place is still noted "
    "in mlflow.db: move it back, or train in the new place."
)
_REGISTER = "Run `regulars train` to register one."
_CODE_LOADER = "mlflow.pyfunc.loaders.code_model"
_PICKLES = {".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill"}
_FLAVOR = {
    "artifacts", "cloudpickle_version", "code", "env", "loader_module", "model_code_path",
    "python_model", "python_version", "streamable",
}  # fmt: skip
"""Keys of the flavor whose meaning is known here; one that is not could point elsewhere."""


def copy_folder(folder: Path, target: Path, label: str) -> None:
    """Copy a model's folder, links as links and compiled Python left out.

    What is checked is then what is loaded, whatever happens to the original meanwhile.

    Raises:
        InputError: A file is missing or cannot be copied, or there is no room for it.
    """
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc")
    try:
        shutil.copytree(folder, target, symlinks=True, ignore=left_out, dirs_exist_ok=True)
    except OSError as error:
        if os.strerror(errno.ENOSPC) in str(error):  # shutil.Error has no number, only words
            raise InputError(
                f"There is no room in {target.parent} for the copy of {label} that is loaded.",
                "Make room there, or name another folder for temporary files in TMPDIR.",
            ) from error
        reason = str(error).splitlines()[0]
        raise InputError(f"The files of {label} cannot be read: {reason}", RETRAIN) from error


def check_folder(
    folder: Path, label: str, tags: Mapping[str, str], shown: Path
) -> tuple[dict[str, Any], Path]:
    """Refuse a model that is pickled, foreign, altered or damaged.

    Args:
        folder: The model's folder.
        label: What messages call the model.
        tags: Tags of the version; `models.artifact.CONTENT_TAG` says what its content was when
            it was registered. A version without it (older than the tag) is not compared.
        shown: Where the files come from, for messages.

    Returns:
        The card, and the folder that it stands in.

    Raises:
        InputError: Naming what is wrong.
    """
    flavor, code, source, model = _described(folder, label, shown)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise _refused(label, f"{shown / path.relative_to(folder)} is a link")
    pickles = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICKLES)
    unknown = sorted(set(flavor) - _FLAVOR)
    if (
        pickles
        or unknown
        or flavor["loader_module"] != _CODE_LOADER
        or flavor.get("python_model")
        or flavor.get("code")
    ):
        at = shown / (pickles[0].relative_to(folder) if pickles else "MLmodel")
        what = f"{at}: {', '.join(unknown)}" if unknown and not pickles else at
        raise InputError(
            f"{label} was refused: it is not a plain model from code ({what}). "
            "Pickled models are never loaded, because reading one can run anything.",
            _REGISTER,
        )
    inside = folder.resolve()
    for path in (code.resolve(), source.resolve(), model.resolve()):
        if not path.is_relative_to(inside):
            raise _refused(label, f"{path} is outside the model's folder {shown}")
        if not path.exists():
            missing = shown / path.relative_to(inside)
            raise InputError(f"The files of {label} are missing: {missing}", RETRAIN)
    try:
        card = read_card(model)
    except ModelError as error:
        message = error.message.replace(str(folder), str(shown))
        raise InputError(f"{label} cannot be used: {message}", error.hint) from error
    noted = tags.get(CONTENT_TAG)
    if noted is not None and noted != content_digest(
        {"model": model, "code": source, "pyfunc": code}
    ):
        raise InputError(
            f"{label} was refused: its files or its code are not those that were registered "
            f"({shown}).",
            "Find out who changed them. Then bring the folder back from a copy, or train again.",
        )
    return card, model


def _described(folder: Path, label: str, shown: Path) -> tuple[dict[str, Any], Path, Path, Path]:
    """What `MLmodel` says: the flavor, the file that MLflow runs, our source and our artifact."""
    import yaml  # type: ignore[import-untyped]

    try:
        described = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
        flavor = dict(described["flavors"]["python_function"])
        code = folder / Path(flavor["model_code_path"]).name
        paths = {key: folder / entry["path"] for key, entry in flavor["artifacts"].items()}
        flavor["loader_module"]
        return flavor, code, paths["code"], paths["model"]
    except OSError as error:
        reason = str(error).replace(str(folder), str(shown))
        raise InputError(f"The files of {label} are missing: {reason}", RETRAIN) from error
    except (
        *(KeyError, TypeError, AttributeError, ValueError, RecursionError),
        yaml.YAMLError,
    ) as error:
        raise InputError(
            f"{label} is not a model that Regulars logged: {shown / 'MLmodel'} does not describe "
            "a model from code with its two artifacts.",
            _REGISTER,
        ) from error


def _refused(label: str, why: str) -> InputError:
    return InputError(f"{label} was refused: {why}.", _REGISTER)

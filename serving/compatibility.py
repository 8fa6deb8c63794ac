"""Refuse a model whose features are not what they were when it was trained, and list how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.catalogue import CATALOGUE, catalogue_hash
from features.compatibility import feature_changes, reads_of
from features.errors import InputError
from features.extra import extra_source
from features.progress import note
from features.settings import FeatureSettings

if TYPE_CHECKING:
    from serving.registry import RegisteredModel

__all__ = ["check_features"]

_HINT = (
    "Run `regulars train` again, or go back to the features of then: that version of Regulars, "
    "and the file under `extra` in [features]."
)


def check_features(model: RegisteredModel, settings: FeatureSettings | None = None) -> None:
    """Refuse a model if a feature that it reads is gone or defined otherwise by now.

    Features that it does not read cannot hurt it: if only they differ, that is noted.

    Args:
        model: As loaded.
        settings: Features beside the catalogue, as of now.

    Raises:
        InputError: With the differences: what is gone, new and defined otherwise.
    """
    settings = settings or FeatureSettings()
    trained = f"{model.label} was trained by Regulars {model.card.get('regulars_version', '?')}"
    facts = {**model.card, **model.card.get("extra", {})}
    if "feature_hashes" not in facts:
        _check_whole(model, settings, trained)
        return
    changes = feature_changes(model.card, settings)
    touching = changes.touching(reads_of(model.card))
    if touching:
        others = changes.without(touching)
        beside = f" Beside these, {others.words()}." if others else ""
        raise InputError(
            f"{trained} with other features than those of today. Of those that it reads, "
            f"{touching.words()}.{beside}",
            _HINT,
        )
    if changes:
        note(
            f"{trained} with other features than those of today, but it reads none of them: "
            f"{changes.words()}."
        )


def _check_whole(model: RegisteredModel, settings: FeatureSettings, trained: str) -> None:
    """The same by one hash of all features, which is what cards of earlier versions have."""
    hashed = model.card.get("catalogue_hash")
    if hashed is None or hashed == catalogue_hash(extra_source=extra_source(settings)):
        return
    gone = sorted(set(model.card.get("feature_names", ())) - {row.name for row in CATALOGUE})
    difference = (
        f"It needs features that are not in the catalogue: {', '.join(gone)}."
        if gone
        else "The names are the same, but the definition of at least one feature has changed."
    )
    raise InputError(
        f"{trained} with another catalogue of features, or another file of extra ones. "
        f"{difference}",
        _HINT,
    )

"""Do features mean here and now what they meant when a model was trained?

Training keeps a short hash of every row of the catalogue with the model (`feature_facts`), so that
scoring can say which features are gone, new or defined otherwise. What a model does not read
cannot hurt it: only features that it reads are a reason to refuse it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from features.catalogue import CATALOGUE
from features.contracts import FEATURES as CONTRACTS
from features.extra import extra_source
from features.feature import Feature
from features.settings import FeatureSettings

__all__ = ["Changes", "feature_changes", "feature_facts", "reads_of"]

_ROWS: tuple[Feature, ...] = (*CATALOGUE, *CONTRACTS)
_SUMMARY = ("frequency", "recency", "T", "monetary_value", "first_value")  # not features
_SHOWN = 10  # names in a sentence


@dataclass(frozen=True)
class Changes:
    """How the features of today differ from those of a model's training.

    Attributes:
        gone: Names that are not in the catalogue any more.
        new: Names that were not in it then.
        changed: Names whose row is another one.
        own: Whether the file of the user's own features is another one.
    """

    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    own: bool = False

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.gone or self.new or self.changed or self.own)

    def touching(self, reads: Iterable[str]) -> "Changes":
        """Those that matter to a model that reads some features.

        Features that are neither in the catalogue of today nor in that of the training may come
        from the user's own file, so a model that reads one is touched by another file.
        """
        names = set(reads)
        known = {row.name for row in _ROWS} | {*self.gone, *_SUMMARY}
        return Changes(
            tuple(name for name in self.gone if name in names),
            (),
            tuple(name for name in self.changed if name in names),
            self.own and bool(names - known),
        )

    def without(self, others: "Changes") -> "Changes":
        """Those that are not among some others."""
        return Changes(
            tuple(name for name in self.gone if name not in others.gone),
            tuple(name for name in self.new if name not in others.new),
            tuple(name for name in self.changed if name not in others.changed),
            self.own and not others.own,
        )

    def words(self) -> str:
        """The differences in a sentence without an end; empty where there are none.

        >>> Changes(gone=("a",), new=("b", "c")).words()
        'gone: a; new: b, c'
        """
        parts = [
            f"{what}: {_listed(names)}"
            for what, names in (
                ("gone", self.gone),
                ("new", self.new),
                ("defined otherwise", self.changed),
            )
            if names
        ]
        return "; ".join([*parts, *(["another file of your own features"] if self.own else [])])


def feature_facts(settings: FeatureSettings | None = None) -> dict[str, Any]:
    """What a model's card keeps of the features that it was trained with.

    Args:
        settings: Features beside the catalogue; None for a model that never reads any.

    Returns:
        `feature_hashes`: name -> hash of its row, for the catalogue and the contract features;
        with settings `own_features`: hash of the text of the user's own file, empty without one.
    """
    facts: dict[str, Any] = {"feature_hashes": {row.name: _hash(row) for row in _ROWS}}
    if settings is not None:
        source = extra_source(settings)
        hashed = hashlib.sha256(source.encode()).hexdigest()[:16]
        facts["own_features"] = hashed if source else ""
    return facts


def feature_changes(card: Mapping[str, Any], settings: FeatureSettings | None = None) -> Changes:
    """Compare what a card keeps (`feature_facts`) with the features of today.

    Args:
        card: Of a model; the facts are on it, or under `extra`.
        settings: Features beside the catalogue, as of now.

    A card without these facts, such as that of a model that reads no features, has no changes.

    >>> feature_changes(feature_facts()) == feature_changes({}) == Changes()
    True
    """
    facts = {**card.get("extra", {}), **card}
    then = facts.get("feature_hashes")
    if not isinstance(then, Mapping):
        return Changes()
    today = feature_facts(settings or FeatureSettings())
    now = today["feature_hashes"]
    return Changes(
        tuple(name for name in then if name not in now),
        tuple(name for name in now if name not in then),
        tuple(name for name in now if name in then and then[name] != now[name]),
        "own_features" in facts and facts["own_features"] != today["own_features"],
    )


def reads_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that a model reads, by its card.

    >>> reads_of({"feature_names": ["a"], "input_columns": ["T"]})
    ('a', 'T')
    """
    return (*card.get("feature_names", ()), *card.get("input_columns", ()))


def _hash(row: Feature) -> str:
    return hashlib.sha256(json.dumps(asdict(row), sort_keys=True).encode()).hexdigest()[:12]


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

"""What can be said about a customer, in every language.

`TOPICS` says what facts there are, which features they need and when they hold. A language
holds the words: one text for each fact, and how its numbers are written. A sentence states
what anybody can check on the ledger; which one is said, and to whom, is decided in `reasons`.

A new fact is a `Message` in one of the topics and a text under its key in each language. A new
language is one file like `english` and one entry in `LANGUAGES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..base import ModelError
from .chinese import CHINESE
from .contracts import CONTRACT_TOPICS
from .english import ENGLISH
from .language import Language
from .message import Bools, Columns, Floats, Message, Topic, is_known
from .money import MONEY_TOPICS
from .relations import RELATION_TOPICS
from .timing import TIMING_TOPICS
from .trend import TREND_TOPICS

__all__ = [
    "LANGUAGES",
    "TOPICS",
    "Bools",
    "Columns",
    "Floats",
    "Language",
    "Message",
    "Topic",
    "get_language",
    "is_known",
]

LANGUAGES: Mapping[str, Language] = MappingProxyType({"en": ENGLISH, "zh": CHINESE})
"""The languages, by their ISO 639-1 codes."""

TOPICS: tuple[Topic, ...] = (
    *TIMING_TOPICS,
    *MONEY_TOPICS,
    *TREND_TOPICS,
    *RELATION_TOPICS,
    *CONTRACT_TOPICS,
)
"""What can be said, group by group."""


def get_language(code: str) -> Language:
    """Return a language of `LANGUAGES`.

    Raises:
        ModelError: There is none with this code.
    """
    if code not in LANGUAGES:
        raise ModelError(
            f"there are no texts in the language {code!r}",
            f"Languages: {', '.join(LANGUAGES)}.",
        )
    return LANGUAGES[code]

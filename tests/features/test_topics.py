"""Topics: found again in labelled sentences, the same for any order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from features.topics import FEWEST_TEXTS, OTHER, find_topics

LABELLED = pd.read_csv(Path(__file__).with_name("labelled_texts.csv"))


def texts(language: str) -> pd.DataFrame:
    return LABELLED[LABELLED["language"] == language]


def test_five_topics_are_recovered() -> None:
    for language in ("en", "zh"):
        own = texts(language)
        found = find_topics(list(own["text"]), language, number=5)
        assert found is not None
        table = pd.crosstab(own["topic"].to_numpy(), np.array(found.labels())).to_numpy()
        rows, columns = linear_sum_assignment(-table)
        # Sixty short sentences are little: one in six may lie elsewhere.
        assert table[rows, columns].sum() / len(own) >= 0.83, language


@pytest.mark.parametrize("language", ["en", "zh"])
def test_number_by_stability_gives_pure_topics(language: str) -> None:
    own = texts(language)
    found = find_topics(list(own["text"]), language)
    assert found is not None
    assert 3 <= len(found.names) <= 8
    assert 0 <= found.stability <= 1
    table = pd.crosstab(own["topic"].to_numpy(), np.array(found.labels()))
    assert table.max().sum() / len(own) >= 0.8


def test_order_and_repetition_of_texts_are_nothing() -> None:
    own = list(texts("en")["text"])
    found = find_topics(own, "en")
    order = np.random.default_rng(1).permutation(len(own))
    shuffled = find_topics([own[i] for i in order] * 2, "en")
    assert found is not None
    assert shuffled is not None
    assert shuffled.names == found.names
    assert shuffled.of.tolist() == found.of[order].tolist() * 2


def test_topics_are_described_and_most_frequent_first() -> None:
    found = find_topics(list(texts("zh")["text"]), "zh", number=5)
    assert found is not None
    sizes = np.bincount(found.of[found.of >= 0])
    assert (np.diff(sizes) <= 0).all()
    assert [name.split() for name in found.names] == [list(row[:3]) for row in found.words]
    assert {"快递", "客服", "退款"} <= {word for row in found.words for word in row}


def test_a_text_without_a_known_word_has_no_topic() -> None:
    found = find_topics([*texts("en")["text"], "Zyzzyva quixotry."], "en", number=4)
    assert found is not None
    assert found.labels()[-1] == OTHER


def test_too_little_to_find_topics() -> None:
    assert find_topics(["late parcel"] * 500, "en") is None
    assert (
        find_topics([f"word{chr(97 + i % 26)}{'x' * i}" for i in range(FEWEST_TEXTS)], "en") is None
    )

"""Language and sentiment on sentences that were written for the purpose."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.text import languages, sentiments

LABELLED = pd.read_csv(Path(__file__).with_name("labelled_texts.csv"))


def scored(language: str) -> tuple[np.ndarray, np.ndarray]:
    own = LABELLED[LABELLED["language"] == language]
    return sentiments(list(own["text"]), list(own["language"])), (
        own["sentiment"] == "positive"
    ).to_numpy()


def test_labelled_set_is_balanced() -> None:
    sizes = LABELLED.groupby(["language", "topic", "sentiment"]).size()
    assert len(sizes) == 20
    assert (sizes == 6).all()
    assert not LABELLED["text"].duplicated().any()


def test_languages_of_labelled_texts() -> None:
    assert (languages(list(LABELLED["text"])) == LABELLED["language"]).mean() >= 0.98


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wo bleibt meine Bestellung?", "de"),
        ("Ma commande n'est toujours pas arrivée.", "fr"),
        ("Ainda não recebi o produto que comprei na loja.", "pt"),
        ("", ""),
        ("12345 !!! :-)", ""),
    ],
)
def test_other_languages(text: str, expected: str) -> None:
    assert languages([text]).tolist() == [expected]


def test_short_chinese_remarks_are_chinese() -> None:
    remarks = ["物流太慢", "客服态度差", "垃圾", "好", "很好", "OK 很好"]
    assert languages(remarks).tolist() == ["zh"] * len(remarks)


# A third of short English remarks hold no word of the lexicon and score 0, which counts as wrong.
# The order of remarks is what averages live on: it is the share of pairs put right.
@pytest.mark.parametrize(("language", "signs", "pairs"), [("en", 0.70, 0.95), ("zh", 0.85, 0.92)])
def test_sentiment_of_labelled_texts(language: str, signs: float, pairs: float) -> None:
    score, kind = scored(language)
    assert ((score >= -1) & (score <= 1)).all()
    assert (np.sign(score) == np.where(kind, 1, -1)).mean() >= signs
    assert (np.subtract.outer(score[kind], score[~kind]) > 0).mean() >= pairs


def test_no_model_no_sentiment() -> None:
    found = sentiments(["Wunderbar!", "Great!", "¡Genial!"], ["de", "en", "es"])
    assert np.isnan(found).tolist() == [True, False, True]
    assert sentiments([], []).shape == (0,)


def test_a_text_is_scored_by_itself() -> None:
    texts = ["I love it", "I hate it", "It is a box"]
    together = sentiments(texts, ["en"] * 3)
    alone = [sentiments([text], ["en"])[0] for text in texts]
    assert together.tolist() == alone
    assert together[0] > together[2] > together[1]

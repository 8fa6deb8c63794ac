"""The value x risk matrix and its plays."""

import itertools

import numpy as np
import pandas as pd
import pytest

from models.base import TIERS, ModelError
from models.messages.plays import (
    ABSENT_TEXTS,
    AVERAGE_TEXTS,
    CLUSTER_TEXTS,
    PLAY_TEXTS,
    SEGMENT_TEXTS,
)
from models.playbook import PLAYBOOK, matrix, play, play_of
from models.segments import SEGMENTS


def test_every_cell_has_a_play_of_its_own():
    assert set(PLAYBOOK) == set(itertools.product(TIERS, repeat=2))
    assert len(set(PLAYBOOK.values())) == 9


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_text_is_there_in_every_language(language):
    assert set(PLAY_TEXTS[language]) == set(PLAYBOOK.values())
    assert set(SEGMENT_TEXTS[language]) == set(SEGMENTS)
    assert set(CLUSTER_TEXTS[language]) == set(CLUSTER_TEXTS["en"])
    assert ABSENT_TEXTS[language]
    assert AVERAGE_TEXTS[language]
    for value, risk in PLAYBOOK:
        found = play(value, risk, language)
        assert found.title
        assert found.text.endswith((".", "。"))


def test_what_is_no_tier_or_no_language_is_refused():
    with pytest.raises(ModelError, match="tiers are low"):
        play("huge", "low")
    with pytest.raises(ModelError, match="language"):
        play("high", "low", "fr")
    with pytest.raises(ModelError, match="nothing else"):
        play_of(pd.Series(["huge"]), pd.Series(["low"]))


def test_the_matrix_adds_up():
    scored = pd.DataFrame(
        {
            "value_tier": ["high", "high", "low", None],
            "risk_tier": ["high", "high", "low", "low"],
            "clv": [100.0, 50.0, 4.0, 7.0],
            "churn_probability": [0.9, 0.5, 0.25, 0.1],
        }
    )
    found = matrix(scored).set_index("playbook")
    assert len(found) == 9
    assert found["customers"].sum() == 3
    assert found.loc["save", ["customers", "clv", "value_at_risk"]].tolist() == [2, 150.0, 115.0]
    assert found.loc["save", "churn_probability"] == pytest.approx(0.7)
    assert found.loc["welcome", "share"] == pytest.approx(1 / 3)
    assert np.isnan(found.loc["grow", "churn_probability"])
    assert list(play_of(scored["value_tier"], scored["risk_tier"]))[2:] == ["welcome", None]

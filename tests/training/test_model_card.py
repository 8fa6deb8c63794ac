"""Tests of training.model_card and of the cards that trainings write with it."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models.metrics.bootstrap import Interval, resample
from training.churn_card import level_words
from training.clv_candidates import Forecast
from training.clv_card import interval_table
from training.model_card import LIMIT, interval_text, model_card, shortened, table


def test_a_card_that_is_too_long_loses_its_last_sections_and_says_so() -> None:
    whole = model_card("Model", {"Use": "To warn.", "Data": "x" * 3000, "More": "y" * 3000})
    card = shortened(whole)
    assert len(card) <= LIMIT
    assert "To warn." in card
    assert "## Data" in card
    assert "## More" not in card
    assert card.endswith("*Shortened: the whole card is `model_card.md` of the run.*")


def test_a_short_card_stays_as_it_is() -> None:
    card = model_card("Model", {"Use": "To warn."})
    assert shortened(card) == card


def test_sections_stand_in_order_and_empty_ones_are_left_out() -> None:
    card = model_card("Model", {"A": "1", "B": "", "C": "3"})
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        "# Model", "## A", "## C",
    ]  # fmt: skip


def test_a_table_keeps_its_columns() -> None:
    lines = table(["a", "b"], [["1", "2"], ["3", "4"]]).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {3}


def test_an_unknown_interval_is_a_dash() -> None:
    assert interval_text(Interval(1.0, np.nan, np.nan)) == "-"


def intervals(came: np.ndarray, said: np.ndarray, seed: int = 0) -> pd.DataFrame:
    labels = pd.DataFrame({"future_purchases": came, "future_spend": 10 * came})
    shop, history = SimpleNamespace(seed=seed), SimpleNamespace(labels=labels)
    past = Forecast(pd.Series(came * 0 + 1), pd.Series(came * 0 + 10), None)
    fitting = cast(Any, SimpleNamespace(history=history, shop=shop))
    return interval_table(Forecast(pd.Series(said), pd.Series(10 * said), None), past, fitting)


def test_intervals_hold_the_value_and_shrink_with_customers() -> None:
    rng = np.random.default_rng(0)
    rates = rng.gamma(1.0, 2.0, 4000)
    bought = rng.poisson(rates).astype(float)
    widths = []
    for n in (200, 4000):
        found = intervals(bought[:n], rates[:n])
        assert list(found.columns) == ["measure", "value", "low", "high"]
        assert (found["low"] <= found["value"]).all()
        assert (found["value"] <= found["high"]).all()
        found = found.set_index("measure")
        assert list(found.index) == [
            f"{what}/{name}" for what in ("purchases", "clv") for name in ("rmse", "bias", "gini")
        ]
        said = found.loc["purchases/bias"]
        assert said["value"] == (rates[:n].sum() / bought[:n].sum() - 1.0)
        assert abs(said["value"]) < 0.25
        widths.append(said["high"] - said["low"])
    assert widths[0] > 2 * widths[1]  # with the square root of 20


def test_intervals_are_those_of_the_seed() -> None:
    came, said = np.array([0.0, 1.0, 5.0, 0.0]), np.array([0.5, 1.0, 2.0, 0.1])
    pd.testing.assert_frame_equal(intervals(came, said, 3), intervals(came, said, 3))


def test_what_cannot_be_measured_has_no_interval() -> None:
    nothing = np.zeros(4)
    assert "purchases/bias" not in set(intervals(nothing, np.ones(4))["measure"])


@pytest.mark.parametrize(
    ("customers", "said", "told"),
    [(1000, 0.62, True), (1000, 0.54, False), (20, 0.62, False)],
)
def test_a_level_is_said_to_be_off_beyond_5_points_and_beyond_chance(
    customers: int, said: float, told: bool
) -> None:
    left = np.tile([0.0, 1.0], customers // 2)
    p = np.full(customers, said)
    judged: Any = SimpleNamespace(
        p=p, churned=left, resampled=resample(left, p, replicates=50, seed=0)
    )
    words = level_words(judged)
    assert ("62.0% on average where 50.0% left" in words, words != "") == (told, told)

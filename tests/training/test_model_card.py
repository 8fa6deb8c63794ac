"""Tests of training.model_card and of the cards that trainings write with it."""

import numpy as np

from models.metrics.bootstrap import Interval
from training.clv_card import amount_intervals
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


def test_intervals_hold_the_value_and_shrink_with_customers() -> None:
    rng = np.random.default_rng(0)
    rates = rng.gamma(1.0, 2.0, 4000)
    bought = rng.poisson(rates).astype(float)
    widths = []
    for n in (200, 4000):
        found = amount_intervals(bought[:n], rates[:n], "purchases")
        assert set(found) == {"purchases/rmse", "purchases/bias", "purchases/gini"}
        assert all(each.low <= each.value <= each.high for each in found.values())
        widths.append(found["purchases/bias"].high - found["purchases/bias"].low)
        assert abs(found["purchases/bias"].value) < 0.25
    assert widths[0] > 2 * widths[1]  # with the square root of 20


def test_intervals_are_those_of_the_seed() -> None:
    y, p = [0.0, 1.0, 5.0, 0.0], [0.5, 1.0, 2.0, 0.1]
    assert amount_intervals(y, p, "clv", seed=3) == amount_intervals(y, p, "clv", seed=3)

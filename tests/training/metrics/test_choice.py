"""The simplest candidate as good as the best: in shops whose truth is known."""

import numpy as np
import pytest
from scipy.special import expit

from models.decision import Offer
from models.metrics.profit import customer_profit
from training import metrics

SPREAD = 1.3


def shop(rng, n, *noise, base=0.0, value=60.0):
    """Outcomes, values, and calibrated forecasts that see the log-odds through noise."""
    z = rng.normal(base, SPREAD, n)
    y = (rng.random(n) < expit(z)).astype(float)
    forecasts = []
    for error in noise:
        # The posterior mean of a logistic of a normal (MacKay 1992), given z + noise.
        share = SPREAD**2 / (SPREAD**2 + error**2)
        mean = base + share * (z + rng.normal(0.0, error, n) - base)
        forecasts.append(expit(mean / np.sqrt(1 + np.pi * SPREAD**2 * (1 - share) / 8)))
    return y, rng.lognormal(np.log(value), 0.8, n), forecasts


def share_of_wins(n, noise, shops=60, **more):
    """How often the second, less simple candidate is taken."""
    rng = np.random.default_rng(0)
    wins = 0
    for seed in range(shops):
        y, value, (rule, model) = shop(rng, n, *noise, **more)
        found = metrics.simplest_not_worse(
            y, {"rule": rule, "model": model}, value, Offer(), replicates=300, seed=seed
        )
        wins += found.winner == "model"
    return wins / shops


def test_a_better_model_is_not_lost_in_a_small_shop():
    noise = (1.6, 0.5)
    y, value, forecasts = shop(np.random.default_rng(9), 400_000, *noise)
    rule, model = (metrics.campaign_profit(y, p, value, Offer()).realised for p in forecasts)
    assert 1.07 < model / rule < 1.10
    assert share_of_wins(500, noise) > 0.9


def test_where_everybody_is_worth_a_contact_the_probabilities_decide():
    assert share_of_wins(500, (1.5, 0.5), base=1.0, value=200.0) > 0.9


def test_of_two_that_are_as_good_the_simpler_is_taken_more_often_than_not():
    assert share_of_wins(2000, (0.5, 0.5)) < 0.4


def test_of_twins_the_simpler_is_taken():
    y, value, (p,) = shop(np.random.default_rng(0), 300, 0.5)
    found = metrics.simplest_not_worse(y, {"a": p, "b": p}, value, Offer())
    assert found.winner == "a"
    assert found.table["verdict"].tolist() == [
        "chosen",
        "as good as the best, but less simple than a",
    ]


def test_money_has_a_veto_over_better_probabilities():
    rng = np.random.default_rng(1)
    y, value, (p,) = shop(rng, 20_000, 0.3, value=30.0)
    # Better everywhere but around the threshold, where it puts everybody on the wrong side.
    close = np.abs(customer_profit(p, value, Offer())) < 4
    blind = np.where(close, np.where(customer_profit(p, value, Offer()) > 0, 0.01, 0.99), p)
    rough = np.where(close, p, np.where(p > 0.5, 0.99, 0.01))
    found = metrics.simplest_not_worse(y, {"rough": rough, "blind": blind}, value, Offer())
    rows = found.table.set_index("candidate")
    assert found.winner == rows["realised_profit"].idxmax()
    assert rows["verdict"].str.contains("earns significantly less").sum() == 1


def test_the_table_says_how_far_and_how_sure():
    y, value, (rule, model) = shop(np.random.default_rng(2), 5000, 2.0, 0.3)
    found = metrics.simplest_not_worse(y, {"rule": rule, "model": model}, value, Offer())
    rows = found.table.set_index("candidate")
    earned = metrics.campaign_profit(y, rule, value, Offer()).realised
    assert rows.loc["rule", "realised_profit"] == pytest.approx(earned)
    assert rows.loc["rule", "brier"] == pytest.approx(metrics.brier(y, rule))
    assert rows.loc["rule", "profit_behind"] == pytest.approx(
        rows.loc["model", "realised_profit"] - earned
    )
    for part in ("profit", "brier"):
        row = rows.loc["rule"]
        assert 0 < row[f"{part}_low"] < row[f"{part}_behind"] < row[f"{part}_high"]
        assert row[f"{part}_p"] < 0.05
        assert rows.loc["model", f"{part}_behind"] == 0.0
        assert np.isnan(rows.loc["model", f"{part}_p"])
    assert found.winner == "model"
    assert "earns significantly less than model" in rows.loc["rule", "verdict"]
    assert found.reason.endswith("rule is not")


def test_a_profit_that_is_surely_but_hardly_lower_is_as_good():
    rng = np.random.default_rng(6)
    y, value, (p,) = shop(rng, 20_000, 0.3, value=3000.0)
    # Nearly everyone is worth a contact: all lists earn nearly the same, and who is sharper wins.
    dull = np.clip(p, 0.02, None) * 0.5 + 0.5 * y.mean()
    found = metrics.simplest_not_worse(y, {"dull": dull, "sharp": p}, value, Offer())
    rows = found.table.set_index("candidate")
    best = rows["realised_profit"].max()
    assert (rows["profit_behind"] < 0.01 * best).all()
    assert not rows["verdict"].str.contains("earns").any()
    assert found.winner == "sharp"


def test_order_of_rows_changes_nothing():
    y, value, (rule, model) = shop(np.random.default_rng(3), 400, 1.0, 0.5)
    customers = np.random.default_rng(4).integers(0, 150, y.size)
    order = np.random.default_rng(5).permutation(y.size)
    first = metrics.simplest_not_worse(y, {"rule": rule, "model": model}, value, Offer(), customers)
    again = metrics.simplest_not_worse(
        y[order],
        {"rule": rule[order], "model": model[order]},
        value[order],
        Offer(),
        customers[order],
    )
    assert first.table.equals(again.table)
    assert first.reason == again.reason


def test_one_candidate_wins_and_none_is_refused():
    found = metrics.simplest_not_worse([1.0, 0.0], {"only": [0.6, 0.2]}, 100.0, Offer())
    assert (found.winner, found.reason) == ("only", "the only candidate")
    with pytest.raises(ValueError, match="at least one candidate"):
        metrics.simplest_not_worse([1.0], {}, 100.0, Offer())

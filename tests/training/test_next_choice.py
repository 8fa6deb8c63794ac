"""Which forecast of the next purchase is used: planted habits, planted companions, pure chance."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError, NotEnoughDataError
from features.ledger import Ledger
from features.simulate import simulate
from features.window import ObservationWindow, last_closed_cutoff
from models.next_purchase import METHODS
from training import next_choice
from training.metrics.items import ranked_items
from training.next_choice import compare, read_period
from training.next_purchase import NextSettings, train_next

CUTOFFS = (dt.date(2024, 4, 1), dt.date(2024, 7, 1))
ITEMS = [f"kind {letter}" for letter in "ABCDEFGH"]


def shop(choose, customers=400, seed=0):
    """A ledger of one order a month; `choose(rng, customer, month)` names the item."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"c{customer:03d}", dt.datetime(2024, month, int(rng.integers(1, 28))), 10.0, item)
        for customer in range(customers)
        for month in range(1, 10)
        if (item := choose(rng, customer, month)) is not None
    ]
    rows.append(("c000", dt.datetime(2024, 9, 30), 10.0, ITEMS[0]))
    return Ledger.from_frames(
        pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount", "category"])
    )


def habit(rng, customer, month):
    """Seven in ten orders are of the customer's favourite."""
    return ITEMS[customer % 8] if rng.random() < 0.7 else ITEMS[rng.integers(8)]


def companions(rng, customer, month):
    """Some months after an item of one half of the shop comes its companion in the other half."""
    start, pause = 1 + customer % 6, 1 + customer % 3
    first = (customer // 18) % 4
    return {start: ITEMS[first], start + pause: ITEMS[first + 4]}.get(month)


def chance(rng, customer, month):
    return ITEMS[rng.integers(8)]


def compared(ledger):
    periods = [
        read_period(ledger, ObservationWindow(ledger.first_day, cutoff, 0, 90), "category")
        for cutoff in CUTOFFS
    ]
    return compare(periods[0], periods[1], "category")


def test_where_people_buy_what_they_buy_anyway_that_is_used_and_named():
    found = compared(shop(habit))
    assert found.methods["next"] == "repeat"
    assert "what they buy anyway" in found.reasons[0]
    table = found.table.set_index(["question", "method"])
    assert table.loc[("next", "repeat"), "gain_low"] > 0.2
    assert table.loc[("next", "repeat"), "chosen"]
    assert (table["ndcg_low"] <= table["ndcg"]).all()
    assert (table["ndcg"] <= table["ndcg_high"]).all()


def test_companions_are_learned_where_there_are_any():
    found = compared(shop(companions))
    assert found.methods["new"] == "ease"
    row = found.table.set_index(["question", "method"]).loc[("new", "ease")]
    assert row["gain_low"] > 0.1
    assert row["chosen"]


def test_chance_is_left_to_a_baseline():
    found = compared(shop(chance))
    table = found.table
    assert table.loc[table["chosen"], "baseline"].all()
    assert set(table.loc[table["question"] == "next", "method"]) == set(METHODS["next"])


def test_histories_end_before_the_cutoff_and_what_came_next_begins_after_it():
    ledger = shop(companions)
    window = ObservationWindow(ledger.first_day, CUTOFFS[0], 0, 90)
    period = read_period(ledger, window, "category")
    assert (period.baskets.last_day < np.datetime64(CUTOFFS[0])).all()
    # Everyone bought one item first and its companion later: what is new is the companion.
    model = period.fit("category", {"next": "repeat", "new": "popularity"}, 200.0)
    measured = period.measure(model, "new", 8)
    assert np.nanmean(measured["hit_rate"]) == 1.0


def test_a_large_shop_is_judged_by_a_sample_that_is_always_the_same(monkeypatch):
    monkeypatch.setattr(next_choice, "MAX_CUSTOMERS", 50)
    ledger = shop(habit)
    window = ObservationWindow(ledger.first_day, CUTOFFS[0], 0, 90)
    first, again = (read_period(ledger, window, "category") for _ in range(2))
    assert len(first.judged) == 50
    assert first.judged.tolist() == again.judged.tolist()


def test_too_few_customers_or_too_short_a_history_are_refused():
    with pytest.raises(NotEnoughDataError, match="at least 100"):
        compared(shop(habit, customers=60))
    with pytest.raises(NotEnoughDataError, match="two label windows"):
        train_next(shop(habit), NextSettings(horizon_days=200), tracking=None)
    plain = Ledger.from_frames(
        pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})
    )
    with pytest.raises(InputError, match="do not say what was bought"):
        train_next(plain, tracking=None)


def test_ranked_items_on_a_list_counted_by_hand():
    hits = np.array([[True, False, True], [False, False, False]])
    found = ranked_items(hits, np.array([2, 5]))
    assert found["recall"].tolist() == [1.0, 0.0]
    assert found["ndcg"][0] == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3)))
    with pytest.raises(ValueError, match="who bought"):
        ranked_items(hits, np.array([0, 1]))
    with pytest.raises(ValueError, match="counts"):
        ranked_items(hits, np.array([1]))


@pytest.mark.slow
def test_the_simulated_shop_has_favourites_and_nothing_else_to_learn(tmp_path):
    # More than half of the orders begin with a favourite category; the others are drawn by lot.
    simulate(tmp_path, customers=2000, days=800, seed=4)
    orders = pd.read_csv(tmp_path / "orders.csv", dtype=str)
    orders["amount"] = orders["Quantity"].astype(float) * orders["Price"].astype(float)
    columns = {"Customer ID": "customer_id", "InvoiceDate": "timestamp", "Category": "category"}
    orders = orders.rename(columns=columns)[[*columns.values(), "amount"]].dropna()
    orders = orders[orders["timestamp"].str.match(r"20\d\d-(?!02-30)")]
    ledger = Ledger.from_frames(orders)
    reach = dt.timedelta(days=90)
    test = last_closed_cutoff(ledger.last_day, 90)
    found = compare(
        *(
            read_period(ledger, ObservationWindow(ledger.first_day, cutoff, 0, 90), "category")
            for cutoff in (test - reach, test)
        ),
        "category",
    )
    assert found.methods["next"] == "repeat"
    assert found.methods["new"] in ("popularity", "recent_popularity")
    table = found.table.set_index(["question", "method"])
    assert table.loc[("next", "repeat"), "gain_low"] > 0.1


@pytest.mark.slow
@pytest.mark.data
def test_on_real_baskets_habits_win_the_next_item_and_companions_what_is_new(
    development_data, monkeypatch
):
    monkeypatch.setattr("models.next_purchase.MAX_ITEMS", 800)  # nobody has to wait for 2,000
    rows = pd.read_parquet(development_data / "online_retail_ii_2010.parquet")
    rows = rows[rows["customer_id"].notna() & rows["product_id"].str.match(r"\d{5}")]
    ledger = Ledger.from_frames(rows[["customer_id", "timestamp", "amount", "product_id"]])
    test = last_closed_cutoff(ledger.last_day, 90)
    periods = [
        read_period(ledger, ObservationWindow(ledger.first_day, cutoff, 0, 90), "product_id")
        for cutoff in (test - dt.timedelta(days=90), test)
    ]
    found = compare(periods[0], periods[1], "product_id")
    assert dict(found.methods) == {"next": "repeat", "new": "ease"}
    row = found.table.set_index(["question", "method"]).loc[("new", "ease")]
    assert row["gain_low"] > 0.03
    assert row["hit_rate"] > 0.4

"""Recency-weighted means against a plain computation."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.recent_spend import HALF_LIVES, RECENT_COLUMNS, recent_spend
from features.rhythm import with_gaps
from features.window import ObservationWindow
from models.spend import SPEND_MODELS, recent_columns

WINDOW = ObservationWindow(dt.date(2023, 1, 1), dt.date(2024, 7, 1))


def recent(transactions, window=WINDOW):
    ledger = Ledger.from_frames(transactions)
    bought = with_gaps(ledger.purchases(window.cutoff), window)
    table = recent_spend(bought, window).order_by("customer_id").to_pyarrow()
    return table.to_pandas().set_index("customer_id")


@pytest.fixture(scope="module")
def transactions():
    rng = np.random.default_rng(5)
    days = rng.integers(0, 500, 400)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i:02d}" for i in rng.integers(0, 60, 400)],
            "timestamp": pd.Timestamp("2023-01-01") + pd.to_timedelta(days, "D"),
            "amount": rng.gamma(2.0, 20.0, 400).round(2) + 0.01,
        }
    )


def test_weights_halve_with_every_half_life(transactions):
    found = recent(transactions)
    assert tuple(found.columns) == RECENT_COLUMNS
    days = transactions.groupby(["customer_id", "timestamp"], as_index=False)["amount"].sum()
    last = days.groupby("customer_id")["timestamp"].transform("max")
    for half_life in HALF_LIVES:
        days["w"] = 0.5 ** ((last - days["timestamp"]).dt.days / half_life)
        days["ww"], days["wv"] = days["w"] ** 2, days["w"] * days["amount"]
        sums = days.groupby("customer_id")[["w", "ww", "wv"]].sum()
        weight, value = recent_columns(half_life)
        np.testing.assert_allclose(found[weight], sums["w"] ** 2 / sums["ww"], rtol=1e-5)
        np.testing.assert_allclose(found[value], sums["wv"] / sums["w"], rtol=1e-5)
        once = days.groupby("customer_id").size() == 1
        assert (found.loc[once, weight] == 1.0).all()
        assert (found[weight] <= days.groupby("customer_id").size() + 1e-9).all()


def test_neither_row_order_nor_later_rows_change_a_bit(transactions):
    found = recent(transactions)
    later = transactions.assign(timestamp=pd.Timestamp("2024-07-01"))
    shuffled = pd.concat([later, transactions]).sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(recent(shuffled), found, check_exact=True)


def test_the_models_read_these_columns():
    half_lives = [int(name.rsplit("_", 1)[1]) for name in SPEND_MODELS if "_recent_" in name]
    assert [c for h in half_lives for c in recent_columns(h)] == list(RECENT_COLUMNS)

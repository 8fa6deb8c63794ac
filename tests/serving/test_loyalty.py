import numpy as np
import pandas as pd
import pytest

from benchmarks.recovery_loyalty import one_seed
from features.ledger import Ledger
from features.measures.table import COLUMNS
from serving.loyalty import loyalty_effects


def shop(seed: int = 0, n: int = 400, at_purchase: bool = True) -> Ledger:
    """Customers with their own rates; who has bought more joins more often; no effect."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01")
    sales, points = [], []
    for i in range(n):
        days = np.unique(rng.integers(0, 360, rng.poisson(3 + 12 * rng.random())))
        sales += [(f"c{i}", start + day, 10.0) for day in days]
        joins = np.flatnonzero(rng.random(len(days)) < 0.04 + 0.02 * np.arange(len(days)))
        if len(joins):
            points.append((f"c{i}", start + days[joins[0]] + (0 if at_purchase else 400), 5))
    return Ledger.from_frames(
        pd.DataFrame(sales, columns=["customer_id", "timestamp", "amount"]),
        loyalty=pd.DataFrame(points, columns=["customer_id", "timestamp", "points"]),
    )


def test_rows_of_the_long_table():
    effects = loyalty_effects(shop(), 60)
    table = effects.found.frame.set_index(["measure", "segment"])
    assert list(effects.found.frame.columns) == list(COLUMNS)
    assert list(table.index) == [
        (f"loyalty_effect_{kind}", f"outcome={outcome}")
        for kind in ("raw", "adjusted")
        for outcome in ("purchases", "spend", "purchase_rate")
    ]
    assert set(table["period"]) == {"all"}
    assert table["unit"].tolist() == ["purchases", "money", "share"] * 2
    assert table["low"].lt(table["value"]).all()
    assert table["value"].lt(table["high"]).all()
    adjusted = table.loc[("loyalty_effect_adjusted", "outcome=purchases")]
    assert adjusted["low"] < 0 < adjusted["high"]
    # Every purchase is 10.
    spend = table.loc[("loyalty_effect_adjusted", "outcome=spend")]
    assert spend["value"] == pytest.approx(10 * adjusted["value"], rel=1e-6)
    assert effects.purchases is not None
    assert effects.purchases.label == "observational estimate"
    assert any("raw difference is no effect" in note for note in effects.found.notes)


def test_what_is_missing_is_said():
    both = ("loyalty_effect_raw", "loyalty_effect_adjusted")
    ledger = shop(n=60)
    bare = Ledger.from_frames(ledger.transactions.to_pyarrow().to_pandas())
    for effects, words in (
        (loyalty_effects(bare), "no table"),
        (loyalty_effects(shop(n=60, at_purchase=False), 5), "not over"),
        (loyalty_effects(ledger, 400), "not over"),
    ):
        assert not len(effects.found.frame)
        assert [missing.measures for missing in effects.found.missing] == [both]
        assert words in effects.found.missing[0].needs
    few = loyalty_effects(shop(n=30), 60).found
    assert set(few.frame["measure"]) == {"loyalty_effect_raw"}
    assert few.missing[0].measures == ("loyalty_effect_adjusted",)


def test_one_who_joined_is_too_few_to_learn_who_joins():
    ledger = shop(n=60)
    moves = ledger.tables["loyalty"].to_pyarrow().to_pandas().iloc[:1]
    sales = ledger.transactions.to_pyarrow().to_pandas()
    found = loyalty_effects(Ledger.from_frames(sales, loyalty=moves), 60).found
    assert "Too few" in found.missing[0].needs


def test_customers_who_all_spend_the_same_have_no_spread():
    days = ["2024-01-01", "2024-06-01"]
    sales = pd.DataFrame([(who, day, 1.06) for who in "abcd" for day in days])
    joined = pd.DataFrame({"customer_id": ["a", "b"], "timestamp": days[0], "points": 1})
    ledger = Ledger.from_frames(
        sales.set_axis(["customer_id", "timestamp", "amount"], axis=1), loyalty=joined
    )
    raw = loyalty_effects(ledger, 60).found.frame.set_index("segment")
    assert raw.loc["outcome=spend", ["value", "low", "high"]].tolist() == [0, 0, 0]


@pytest.mark.slow
def test_on_a_shop_whose_truth_is_known_the_adjusted_effect_covers_it():
    found = one_seed((1, 3000, 90))
    assert found["raw_low"] > 2 * found["truth"]
    assert found["low"] <= found["truth"] <= found["high"]
    assert found["change_low"] <= found["true_change"] <= found["change_high"]
    assert found["true_change"] == pytest.approx(0.2, abs=0.01)

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.inactivity import inactivity_curve, purchase_spells, states
from features.ledger import Ledger


def ledger(rows):
    customers, days = zip(*rows, strict=True)
    return Ledger.from_frames(
        pd.DataFrame({"customer_id": customers, "timestamp": pd.to_datetime(days), "amount": 5.0})
    )


def curve(shop, cutoffs, follow_up, days):
    with purchase_spells(shop) as spells:
        return inactivity_curve(spells, cutoffs, follow_up, days)


CUTOFF = dt.date(2024, 3, 1)
ROWS = [
    ("back_early", "2024-02-20"),  # silent for 10 days
    ("back_early", "2024-03-05"),
    ("back_late", "2024-01-31"),  # silent for 30 days
    ("back_late", "2024-03-30"),
    ("gone", "2024-01-11"),  # silent for 50 days
    ("gone_lately", "2024-02-25"),  # silent for 5 days
    ("back_too_late", "2024-01-01"),  # silent for 60 days
    ("back_too_late", "2024-03-31"),  # after the follow-up of 30 days
    ("new", "2024-03-02"),  # not known at the cutoff
]


def test_the_curve_of_five_customers_by_hand():
    found = curve(ledger(ROWS), [CUTOFF], 30, [5, 10, 29, 30, 59, 60])
    # back: 10 and 30 days of silence; not back: 50, 5, 60.
    assert (found.customers, found.returned) == (5, 2)
    assert [(p.days, p.called_churned, p.came_back) for p in found.points] == [
        (5, 4, 2),
        (10, 3, 1),
        (29, 3, 1),
        (30, 2, 0),
        (59, 1, 0),
        (60, 0, 0),
    ]
    assert [p.type_1 for p in found.points] == [1, 1 / 2, 1 / 2, 0, 0, 0]
    assert [p.type_2 for p in found.points] == [1 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3, 1]
    assert [p.false_churn for p in found.points] == [2 / 4, 1 / 3, 1 / 3, 0, 0, None]
    assert (found.best_days, found.as_good, found.open_ended) == (30, (30, 30), False)


def test_cutoffs_are_pooled_by_customers():
    earlier = dt.date(2024, 2, 1)  # three known: back_late, gone, back_too_late; none is back
    one, two, both = (
        curve(ledger(ROWS), cutoffs, 25, [10, 30])
        for cutoffs in ([earlier], [CUTOFF], [earlier, CUTOFF])
    )
    assert one is None
    assert both.customers == two.customers + 3
    assert [p.called_churned for p in both.points] == [3 + 2, 2 + 1]


def test_a_purchase_on_the_cutoff_lies_in_the_follow_up():
    shop = ledger([("a", "2024-02-01"), ("a", "2024-03-01"), ("b", "2024-02-01")])
    with purchase_spells(shop) as spells:
        rows = states(spells, [CUTOFF]).to_pyarrow().to_pylist()
    assert sorted((row["silence"], row["wait"] < 1000, row["wait"] == 0) for row in rows) == [
        (29, False, False),
        (29, True, True),
    ]


def test_with_a_gap_who_is_known_is_still_decided_at_the_cutoff():
    with purchase_spells(ledger(ROWS)) as spells:
        rows = states(spells, [CUTOFF], [0, 10]).to_pyarrow().to_pylist()
    waits = {gap: sorted(r["wait"] for r in rows if r["gap_days"] == gap)[:3] for gap in (0, 10)}
    assert [sum(row["gap_days"] == gap for row in rows) for gap in (0, 10)] == [5, 5]
    # The purchase of 5 March lies before 11 March and so before a label window that begins then.
    assert waits[0] == [4, 29, 30]
    assert waits[10][:2] == [19, 20]
    assert waits[10][2] > 10_000


@pytest.fixture(scope="module")
def many():
    random = np.random.default_rng(3)
    days = pd.Timestamp("2022-01-01") + pd.to_timedelta(random.integers(0, 700, 4000), "D")
    return pd.DataFrame(
        {"customer_id": random.integers(0, 900, 4000).astype(str), "timestamp": days, "amount": 1.0}
    )


def test_what_comes_after_the_follow_up_changes_nothing(many):
    cutoffs = [dt.date(2023, 1, 1), dt.date(2023, 2, 1)]
    early = many[many["timestamp"] < "2023-05-02"]  # the follow-up ends on 1 May
    assert len(early) < len(many)
    whole, cut = (
        curve(Ledger.from_frames(rows), cutoffs, 89, range(5, 91, 5)) for rows in (many, early)
    )
    assert whole == cut


def test_the_order_of_rows_changes_nothing(many):
    cutoffs = [dt.date(2023, 1, 1)]
    ordered, shuffled = (
        curve(Ledger.from_frames(rows), cutoffs, 90, range(5, 91, 5))
        for rows in (many, many.sample(frac=1.0, random_state=1))
    )
    assert ordered == shuffled


def test_both_errors_move_one_way_with_the_days(many):
    found = curve(Ledger.from_frames(many), [dt.date(2023, 1, 1)], 90, range(1, 200))
    first, second = ([getattr(p, name) for p in found.points] for name in ("type_1", "type_2"))
    assert first == sorted(first, reverse=True)
    assert second == sorted(second)


@pytest.mark.parametrize(
    "rows",
    [
        [("a", "2024-02-01"), ("a", "2024-03-02"), ("b", "2024-02-02"), ("b", "2024-03-03")],
        [("a", "2024-02-01"), ("b", "2024-02-02")],
    ],
    ids=["everybody is back", "nobody is back"],
)
def test_without_both_kinds_there_is_no_curve(rows):
    assert curve(ledger(rows), [CUTOFF], 30, [10, 20]) is None


@pytest.mark.parametrize(("cutoffs", "days"), [([], [10]), ([CUTOFF], []), ([CUTOFF], [0])])
def test_a_curve_of_nothing_is_refused(cutoffs, days):
    with pytest.raises(InputError):
        curve(ledger(ROWS), cutoffs, 30, days)


def tables(shop):
    return set(shop.con.con.execute("SELECT table_name FROM duckdb_tables()").fetchall())


def test_returns_are_no_purchases_and_nothing_is_left_in_the_engine():
    shop = Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": ["a", "a", "b", "b"],
                "timestamp": pd.to_datetime(
                    ["2024-02-01", "2024-03-02", "2024-02-01", "2024-03-02"]
                ),
                "amount": [5.0, -5.0, 5.0, 5.0],
            }
        )
    )
    assert shop.days is not None
    before = tables(shop)
    found = curve(shop, [CUTOFF], 30, [10])
    assert (found.customers, found.returned) == (2, 1)
    assert tables(shop) == before

"""Periods, segments, intervals and the long table."""

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest
from ibis import _
from scipy import stats

from features.errors import InputError
from features.ledger import Ledger
from features.measures import MEASURES, Found, ask, measure
from features.measures.intervals import mean_interval, ratio_interval, share_interval
from features.measures.periods import Periods
from features.measures.table import COLUMNS, Measure, Missing, gather, rows, segment


def ledger(**tables: pd.DataFrame) -> Ledger:
    return Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": ["a", "b", "a", "c"],
                "timestamp": ["2024-01-01", "2024-02-29", "2024-03-31", "2024-04-30"],
                "amount": [1, 2, 4, 8],
            }
        ),
        **tables,
    )


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("month", ["2023-12", "2024-01", "2024-02", "2024-03"]),
        ("quarter", ["2023-Q4", "2024-Q1"]),
        ("year", []),
    ],
)
def test_only_whole_periods(by: str, labels: list[str]) -> None:
    # Fridays to Sundays this shop is closed: from Friday 1 December its year begins on the 4th.
    periods = Periods(by, dt.date(2023, 10, 2), dt.date(2024, 4, 29), closed=(6,))  # type: ignore[arg-type]
    whole = [period.label for period in periods.whole]
    assert whole[-len(labels) :] == labels or not labels
    assert all(period.end <= dt.date(2024, 4, 30) for period in periods.whole)
    assert periods.left_out[-1].end > dt.date(2024, 4, 29)
    assert periods.left_out[-1].label in periods.sentence


@pytest.mark.parametrize("by", ["month", "quarter", "year"])
def test_days_of_a_period_in_the_engine_and_in_python(by: str) -> None:
    periods = Periods(by, dt.date(2022, 5, 5), dt.date(2026, 1, 1))  # type: ignore[arg-type]
    days = [dt.date(2021, 12, 31), dt.date(2023, 1, 1), dt.date(2024, 2, 29), dt.date(2026, 3, 31)]
    table = ibis.memtable({"day": days}, schema={"day": "date"})
    found = ibis.duckdb.connect().to_pyarrow(periods.number(table.day)).to_pylist()
    assert found == [periods.position(day) for day in days]


def test_sums_by_period_and_segment() -> None:
    customers = pd.DataFrame({"customer_id": ["a", "b", "x"], "country": ["NL", "B|E", "NL"]})
    with ask(ledger(customers=customers), by="quarter", segments=("country", "cohort")) as asked:
        found = asked.totals(asked.purchases, money=_.value.sum(), n=_.count())
    whole = found[found["period"] == "all"].set_index("segment")["money"].to_dict()
    assert whole == {
        "all": 15,
        "country=NL": 5,
        "country=B/E": 2,
        "country=unknown": 8,
        "cohort=2024-Q1": 7,
        "cohort=2024-Q2": 8,
    }
    quarter = found[found["period"] == "2024-Q1"].set_index("segment")["money"].to_dict()
    assert quarter == {"all": 7, "country=NL": 5, "country=B/E": 2, "cohort=2024-Q1": 7}
    assert found["money"].dtype == "float64"
    assert found["n"].dtype == "int64"


def test_nothing_is_left_in_the_engine() -> None:
    shop = ledger()
    assert shop.days is not None
    listed = "SELECT table_name FROM duckdb_tables()"
    before = set(shop.con.con.execute(listed).fetchall())
    measure(shop, segments=("cohort",))
    assert set(shop.con.con.execute(listed).fetchall()) == before


def test_segments_that_cannot_be() -> None:
    with (
        pytest.raises(InputError, match=r"no segment column 'contry'\.\nDid you mean country"),
        ask(
            ledger(customers=pd.DataFrame({"customer_id": ["a"], "country": ["NL"]})),
            segments=("contry",),
        ),
    ):
        pass
    ids = [f"c{i}" for i in range(61)]
    many = pd.DataFrame({"customer_id": ids, "city": ids})
    with (
        pytest.raises(InputError, match="has 62 values"),
        ask(ledger(customers=many), segments=("city",)),
    ):
        pass
    with pytest.raises(InputError, match="not by 'week'"), ask(ledger(), by="week"):  # type: ignore[arg-type]
        pass


def test_the_table_keeps_its_contract() -> None:
    found = measure(ledger(), segments=("cohort",)).frame
    assert tuple(found.columns) == COLUMNS
    assert found["value"].notna().all()
    assert not found.duplicated(["measure", "period", "segment"]).any()
    units = {row.name: row.unit for row in MEASURES}
    assert (found["unit"] == found["measure"].map(units)).all()
    assert found["n"].dtype == "int64"
    assert [str(t) for t in found.dtypes[["value", "low", "high"]]] == ["float64"] * 3


def test_every_measure_has_one_definition() -> None:
    names = [row.name for row in MEASURES]
    assert len(set(names)) == len(names)
    for row in MEASURES:
        assert row.definition
        assert row.definition[-1] != "."
        assert row.title[0].isupper()


def test_what_is_gathered_keeps_its_order() -> None:
    a = Measure("a", "count", "A", "a")
    table = pd.DataFrame({"period": ["all"], "segment": ["all"], "x": [3]})
    found = gather(
        [
            Found(rows(a, table, "x"), notes=("one", "two")),
            Found(missing=(Missing(("b",), "No b."),), notes=("one",)),
        ]
    )
    assert found.notes == ("one", "two")
    assert [str(m) for m in found.missing] == ["b: No b."]
    assert len(found.frame) == 1
    assert len(gather([]).frame) == 0
    assert segment(topic="a|b", age=1) == "topic=a/b|age=1"


def test_shares_and_means_against_the_book() -> None:
    # Wilson's interval of 15 in 20, as in Newcombe (1998), Statistics in Medicine 17:857.
    share, low, high = share_interval([15, 0], [20, 0])
    assert (share[0], low[0], high[0]) == pytest.approx((0.75, 0.5313, 0.8881), abs=1e-4)
    assert np.isnan([share[1], low[1], high[1]]).all()
    x = np.array([1.0, 4.0, 9.0, 3.0])
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert [v[0] for v in mean_interval(x.sum(), x @ x, len(x))] == pytest.approx(
        [x.mean(), expected.low, expected.high]
    )


def test_a_ratio_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    b = rng.gamma(2.0, 3.0, (2000, 60))
    a = 4 * b + rng.normal(0, 5, b.shape)
    found = ratio_interval(
        a.sum(1), b.sum(1), (a * a).sum(1), (b * b).sum(1), (a * b).sum(1), np.full(2000, 60)
    )
    assert ((found[1] < 4) & (found[2] > 4)).mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    "rows_",
    [
        [("a", "2024-01-01", 3)],
        [("a", "2024-01-01", -3), ("b", "2024-03-01", -3)],
    ],
)
def test_the_smallest_shops(rows_: list[tuple[str, str, float]]) -> None:
    transactions = pd.DataFrame(rows_, columns=["customer_id", "timestamp", "amount"])
    acquired = pd.DataFrame({"customer_id": ["a"], "channel": ["x"], "cost": [3]})
    shop = Ledger.from_frames(transactions, acquisition=acquired)
    found = measure(shop, segments=("cohort",))
    assert found.missing
    assert found.frame["value"].notna().all()

"""Each kind of break is found where it was put, and nothing in a shop that is whole."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.breaks import KINDS, Break, find_breaks, note_breaks
from features.ledger import Ledger
from features.progress import reporting

DAY = pd.Timestamp("2023-10-10")  # a Tuesday, 281 days after the first
Edit = Callable[[pd.DataFrame], pd.DataFrame]


def day_of(shop: pd.DataFrame) -> pd.Series:
    return shop["timestamp"].dt.normalize()


def within(shop: pd.DataFrame, start: pd.Timestamp, days: int) -> pd.Series:
    return (day_of(shop) >= start) & (day_of(shop) < start + pd.Timedelta(days=days))


def found_in(shop: pd.DataFrame, **tables: pd.DataFrame) -> tuple[Break, ...]:
    return find_breaks(Ledger.from_frames(shop, **tables))


def missing(days: int) -> Edit:
    return lambda shop: shop[~within(shop, DAY, days)]


def cut_off(shop: pd.DataFrame) -> pd.DataFrame:
    last = day_of(shop) == day_of(shop).max()
    return shop[~(last & (shop["timestamp"].dt.hour >= 11))]


def thin_tail(shop: pd.DataFrame) -> pd.DataFrame:
    late = day_of(shop) > day_of(shop).max() - pd.Timedelta(days=21)
    return shop[~late | (np.arange(len(shop)) % 16 == 0)]


def no_new_customers(shop: pd.DataFrame) -> pd.DataFrame:
    first = shop.groupby("customer_id")["timestamp"].transform("min")
    return shop[first < DAY]


def crowd(ids: list[str], sign: int = 1) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ids,
            "timestamp": DAY + pd.Timedelta(hours=9),
            "order_id": [f"x{i}" for i in range(len(ids))],
            "product_id": "p",
            "amount": np.round(np.linspace(5, 60, len(ids)), 2) * sign,
        }
    )


def newcomers(shop: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([shop, crowd([f"new{i}" for i in range(200)])])


def comeback(shop: pd.DataFrame) -> pd.DataFrame:
    last = shop.groupby("customer_id")["timestamp"].max()
    silent = last.index[last < DAY - pd.Timedelta(days=190)]
    return pd.concat([shop, crowd(list(silent))])


def mass_return(shop: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([shop, crowd(sorted(shop["customer_id"].unique())[:150], -1)])


def credit(shop: pd.DataFrame) -> pd.DataFrame:
    week = shop.loc[within(shop, DAY, 7) & (shop["amount"] > 0), "amount"].sum()
    return pd.concat([shop, crowd(["c00001"], -1).assign(amount=-2 * week)])


def new_ids(share: float) -> Edit:
    def edit(shop: pd.DataFrame) -> pd.DataFrame:
        number = shop["customer_id"].str[1:].astype(int)
        renamed = (shop["timestamp"] >= DAY) & (number % 100 < 100 * share)
        return shop.assign(
            customer_id=shop["customer_id"].where(~renamed, "n" + shop["customer_id"])
        )

    return edit


def copied_day(shop: pd.DataFrame) -> pd.DataFrame:
    copy = shop[within(shop, DAY, 1)]
    return pd.concat([shop, copy.assign(timestamp=copy["timestamp"] + pd.Timedelta(days=30))])


def loaded_twice(shop: pd.DataFrame) -> pd.DataFrame:
    copy = shop[within(shop, DAY, 1)]
    return pd.concat([shop, copy.assign(order_id="z" + copy["order_id"])])


def cents(days: int, share: float = 1.0) -> Edit:
    def edit(shop: pd.DataFrame) -> pd.DataFrame:
        some = within(shop, DAY, days) & (np.arange(len(shop)) % 10 < 10 * share)
        return shop.assign(amount=shop["amount"].where(~some, shop["amount"] * 100).round(2))

    return edit


@pytest.mark.parametrize(
    ("kind", "edit", "grave"),
    [
        ("missing_days", missing(2), False),
        ("missing_days", missing(5), True),
        ("missing_days", missing(30), True),
        ("last_day", cut_off, False),
        ("thin_days", thin_tail, True),
        ("arrivals", newcomers, False),
        ("arrivals", no_new_customers, True),
        ("reactivations", comeback, False),
        ("id_changes", new_ids(1.0), True),
        ("id_changes", new_ids(0.4), True),
        ("returns", mass_return, False),
        ("large_return", credit, False),
        ("repeated_day", copied_day, True),
        ("doubled_rows", loaded_twice, True),
        ("scale", cents(400), True),
        ("scale", cents(7), True),
        ("scale", cents(400, 0.3), True),
    ],
)
def test_what_was_broken_is_found(shop: pd.DataFrame, kind: str, edit: Edit, grave: bool) -> None:
    found = [one for one in found_in(edit(shop)) if one.kind == kind]
    assert len(found) == 1
    one = found[0]
    assert one.grave == grave
    assert str(one.first) in one.words
    if edit not in (cut_off, thin_tail):
        # A copied day is told under its new date; weeks begin up to six days earlier.
        assert abs((one.first - DAY.date()).days - 30 * (edit is copied_day)) <= 6


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("customers", [150, 2000])
def test_a_whole_shop_has_no_breaks(
    make_shop: Callable[..., pd.DataFrame], seed: int, customers: int
) -> None:
    assert found_in(make_shop(seed, customers)) == ()


def test_what_comes_after_the_cutoff_is_not_seen(shop: pd.DataFrame) -> None:
    ledger = Ledger.from_frames(missing(30)(shop))
    assert find_breaks(ledger, DAY.date()) == ()


def test_order_of_rows_changes_nothing(shop: pd.DataFrame) -> None:
    broken = new_ids(1.0)(missing(5)(shop))
    assert found_in(broken) == found_in(broken.sample(frac=1, random_state=1))


def test_a_subscription_is_no_repeated_day() -> None:
    days = pd.date_range("2023-01-01", periods=12, freq="MS")
    rows = [(f"c{i}", day + pd.Timedelta(hours=1), 9.99) for day in days for i in range(60)]
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    assert [one for one in found_in(frame) if one.kind in ("repeated_day", "doubled_rows")] == []


def test_holidays_at_christmas_and_easter_are_not_grave(
    make_shop: Callable[..., pd.DataFrame],
) -> None:
    shop = make_shop(4)
    for start, days in (("2023-12-24", 10), ("2023-04-07", 4)):
        shop = shop[~within(shop, pd.Timestamp(start), days)]
    found = found_in(shop)
    assert [one.kind for one in found] == ["missing_days"]
    assert not found[0].grave
    assert "holidays" in found[0].words


def test_a_table_that_falls_silent(shop: pd.DataFrame) -> None:
    events = shop[["customer_id", "timestamp"]].assign(event="view")
    whole = found_in(shop, events=events)
    assert whole == ()
    broken = found_in(shop, events=events[events["timestamp"] < "2024-02-01"])
    assert [one.kind for one in broken] == ["silent_table"]
    assert broken[0].first == dt.date(2024, 2, 1)


def test_a_short_history_or_one_without_sales_has_no_usual_days(shop: pd.DataFrame) -> None:
    assert found_in(shop[shop["timestamp"] < "2023-01-20"]) == ()
    assert found_in(shop.assign(amount=-shop["amount"].abs())) == ()


def test_grave_breaks_are_noted_first_and_old_ones_left_out(shop: pd.DataFrame) -> None:
    said: list[str] = []

    class Listener:
        def note(self, message: str) -> None:
            said.append(message)

        def task(self, description: str, total: int | None) -> object:
            raise AssertionError

    ledger = Ledger.from_frames(missing(5)(newcomers(shop.copy())))
    with reporting(Listener()):  # type: ignore[arg-type]
        note_breaks(ledger)
        assert said[0].startswith("Nothing was sold on 5 open days")
        said.clear()
        note_breaks(ledger, days=30)
        assert said == []


def test_a_break_says_all_of_itself_in_json(shop: pd.DataFrame) -> None:
    (one,) = found_in(missing(5)(shop))
    assert one.kind in KINDS
    assert one.to_dict()["first"] == "2023-10-10"


@pytest.mark.data
def test_breaks_of_public_ledgers_are_the_known_ones(development_data: Path) -> None:
    def ledger(name: str) -> Ledger:
        columns = ["customer_id", "timestamp", "amount", "order_id", "product_id", "quantity"]
        frame = pd.read_parquet(development_data / name).rename(columns={"date": "timestamp"})
        return Ledger.from_frames(frame[[c for c in columns if c in frame]])

    retail = find_breaks(ledger("online_retail_ii_2010.parquet"))
    assert [(one.kind, one.grave) for one in retail] == [("missing_days", False)]
    assert "2010-04-02 to 2010-04-05" in retail[0].words  # Easter
    cohort = find_breaks(ledger("cdnow_sample.parquet"))
    assert [(one.kind, one.first) for one in cohort] == [("arrivals", dt.date(1997, 3, 26))]
    olist = find_breaks(ledger("olist_sample_orders.parquet"))
    assert {one.first for one in olist} >= {dt.date(2017, 11, 24), dt.date(2018, 8, 30)}

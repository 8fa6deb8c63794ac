import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.errors import NotEnoughDataError
from features.ledger import Ledger
from features.progress import reporting
from features.purchases import purchases
from features.snapshot import build_panel, build_snapshot, snapshot_expression
from features.window import ObservationWindow

FIRST = dt.date(2023, 1, 1)


@pytest.fixture(scope="module")
def shop() -> Ledger:
    rng = np.random.default_rng(5)
    size = 400
    days = pd.to_timedelta(np.sort(rng.integers(0, 500, size)), unit="D")
    return Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": rng.choice(["10", "9", "ä", "Z", "a"], size),
                "timestamp": pd.Timestamp(FIRST) + days,
                "amount": rng.integers(-500, 5000, size) / 100,
            }
        )
    )


def test_the_frames_share_one_sorted_index(shop: Ledger) -> None:
    snapshot = build_snapshot(shop, ObservationWindow(FIRST, dt.date(2023, 12, 1)))
    assert snapshot.labels is not None
    assert list(snapshot.features.index) == sorted(["10", "9", "ä", "Z", "a"])
    for frame in (snapshot.features, snapshot.rfm, snapshot.labels):
        assert frame.index.name == "customer_id"
        assert frame.index.equals(snapshot.features.index)
        assert (frame.dtypes == np.float64).all()


def test_labels_exist_only_once_the_horizon_is_over(shop: Ledger) -> None:
    closed = shop.last_day - dt.timedelta(days=89)
    assert build_snapshot(shop, ObservationWindow(FIRST, closed)).labels is not None
    late = ObservationWindow(FIRST, closed + dt.timedelta(days=1))
    assert build_snapshot(shop, late).labels is None


def test_days_without_data_are_no_silence(shop: Ledger) -> None:
    latest = shop.last_day + dt.timedelta(days=1)
    assert len(build_snapshot(shop, ObservationWindow(FIRST, latest)).features) == 5
    with pytest.raises(NotEnoughDataError, match="after the end of the data"):
        build_snapshot(shop, ObservationWindow(FIRST, latest + dt.timedelta(days=1)))


def test_labels_can_be_left_out(shop: Ledger) -> None:
    window = ObservationWindow(FIRST, dt.date(2023, 6, 1))
    plain = build_snapshot(shop, window, labels=False)
    assert plain.labels is None
    full = build_snapshot(shop, window)
    pd.testing.assert_frame_equal(plain.features, full.features, check_exact=True)
    pd.testing.assert_frame_equal(plain.rfm, full.rfm, check_exact=True)


def test_rows_before_the_start_are_not_observed(shop: Ledger) -> None:
    start = dt.date(2023, 9, 1)
    snapshot = build_snapshot(shop, ObservationWindow(start, dt.date(2023, 12, 1)))
    assert snapshot.features["tenure_days"].max() <= 91


def test_a_cutoff_before_the_first_purchase_is_refused() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "a"],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-06-01"]),
            "amount": [-1.0, 5.0],
        }
    )
    window = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 3, 1))
    with pytest.raises(NotEnoughDataError, match="before the cutoff 2024-03-01"):
        build_snapshot(Ledger.from_frames(frame), window)


def test_the_unit_of_the_ledger_decides_what_is_counted() -> None:
    frame = pd.DataFrame(
        {
            "customer_id": ["a", "a"],
            "timestamp": pd.to_datetime(["2024-01-01", "2024-01-01"]),
            "amount": [4.0, 5.0],
            "order_id": ["1", "2"],
        }
    )
    ledger = Ledger.from_frames(frame)
    window = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 1, 2))
    by_order = Ledger(ledger.con, ledger.tables, ledger.quality, purchase_unit="order")
    assert build_snapshot(ledger, window).rfm["frequency"].tolist() == [0]
    assert build_snapshot(by_order, window).rfm["frequency"].tolist() == [1]


@pytest.mark.parametrize("unit", ["day", "order"])
@pytest.mark.parametrize("late", [False, True])
def test_a_snapshot_of_a_ledger_is_that_of_its_transactions(unit: str, late: bool) -> None:
    rng = np.random.default_rng(6)
    size = 600
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice(list("abcdefgh"), size),
            "timestamp": pd.Timestamp(FIRST) + pd.to_timedelta(rng.integers(0, 9000, size), "h"),
            "amount": rng.integers(-2000, 5000, size) / 100,
            "order_id": rng.integers(0, 300, size).astype(str),
            "product_id": rng.choice(["p", "q", "r"], size),
            "discount": rng.integers(0, 100, size) / 100,
        }
    )
    if late:
        frame["known_at"] = frame["timestamp"] + pd.to_timedelta(rng.integers(0, 900, size), "h")
    held = Ledger.from_frames(frame)
    ledger = Ledger(held.con, held.tables, held.quality, purchase_unit=unit)
    assert (ledger.days is None) == late
    for start, cutoff in ((FIRST, dt.date(2023, 9, 1)), (dt.date(2023, 4, 1), dt.date(2023, 7, 9))):
        window = ObservationWindow(start, cutoff)
        query = snapshot_expression(ledger.transactions, window, unit, labels=True)
        direct = query.to_pyarrow().to_pandas().set_index("customer_id").sort_index()
        snapshot = build_snapshot(ledger, window)
        assert snapshot.labels is not None
        for part in (snapshot.features, snapshot.rfm, snapshot.labels):
            pd.testing.assert_frame_equal(direct[list(part.columns)], part, check_exact=True)
        found = ledger.purchases(cutoff)
        expected = purchases(ledger.transactions, cutoff, unit)
        assert sorted_rows(found).equals(sorted_rows(expected))


def sorted_rows(table: ir.Table) -> pa.Table:
    return table.order_by(table.columns).to_pyarrow()


class Count:
    """Counts what is reported."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None

    @contextmanager
    def task(self, description: str, total: int | None) -> Iterator["Count"]:
        self.total = total
        yield self

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def note(self, message: str) -> None:
        raise AssertionError(message)


def test_a_panel_is_its_snapshots_and_says_how_far_it_is(shop: Ledger) -> None:
    windows = [ObservationWindow(FIRST, dt.date(2023, month, 1)) for month in (4, 5, 6)]
    count = Count()
    with reporting(count):
        panel = build_panel(shop, windows)
    assert (count.done, count.total) == (3, 3)
    assert [snapshot.window for snapshot in panel] == windows
    alone = build_snapshot(shop, windows[1])
    pd.testing.assert_frame_equal(panel[1].features, alone.features, check_exact=True)

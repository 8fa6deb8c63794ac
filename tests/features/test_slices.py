"""A customer's features are the same to the bit in whatever slice of the shop they are taken."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.settings import FeatureSettings
from features.slices import Slices
from features.snapshot import build_snapshot
from features.subscriptions import subscription_snapshot
from features.window import ObservationWindow

CUSTOMERS = 90
EXTRA = """
def features(tables, window):
    spent = tables["transactions"].group_by("customer_id").agg(spent=lambda t: t.amount.sum())
    whole = spent.spent.cast("float64")
    return spent.select("customer_id", share=whole / whole.max().over())
"""


@pytest.fixture(scope="module")
def shop() -> Ledger:
    """A shop with every table of the contract."""
    rng = np.random.default_rng(11)

    def rows(n: int, start: int = 0, stop: int = 600) -> pd.DataFrame:
        ids = np.char.add("c", rng.integers(0, CUSTOMERS, n).astype(str))
        at = pd.Timestamp("2023-01-01") + pd.to_timedelta(
            rng.integers(start * 1440, stop * 1440, n), unit="min"
        )
        return pd.DataFrame({"customer_id": ids, "timestamp": at})

    bought = rows(900).assign(
        amount=rng.integers(-300, 9000, 900) / 100,
        product_id=rng.choice(list("pqrstuv"), 900),
        category=rng.choice(list("xyz"), 900),
        channel=rng.choice(["web", "shop"], 900),
    )
    started = rows(60).rename(columns={"timestamp": "started_at"})
    length = pd.to_timedelta(rng.integers(20, 700, 60), unit="D")
    ended = (started["started_at"] + length).where(rng.random(60) < 0.4)
    tickets = rows(80, 200).rename(columns={"timestamp": "opened_at"})
    tickets["resolved_at"] = tickets["opened_at"] + pd.Timedelta(hours=5)
    ids = [f"c{i}" for i in range(CUSTOMERS)]
    return Ledger.from_frames(
        bought,
        events=rows(500, 300).assign(event=rng.choice(["view", "cart", "open"], 500)),
        surveys=rows(120, 250).assign(
            kind=rng.choice(["nps", "csat"], 120), score=rng.integers(0, 6, 120)
        ),
        tickets=tickets,
        contacts=rows(300, 100).assign(campaign="mail", opened=rng.random(300) < 0.5),
        loyalty=rows(60, 150).assign(kind="earn", points=rng.integers(1, 90, 60)),
        subscriptions=started.assign(ended_at=ended, fee=9.5),
        customers=pd.DataFrame({"customer_id": ids, "zone": rng.choice(["1", "2", "02"], 90)}),
        acquisition=pd.DataFrame(
            {"customer_id": ids, "channel": "search", "cost": rng.integers(1, 9, 90) / 2}
        ),
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> FeatureSettings:
    """Attributes and a feature of the user's own, which compares a customer with all others."""
    path: Path = tmp_path_factory.mktemp("extra") / "extra.py"
    path.write_text(EXTRA)
    return FeatureSettings(extra=str(path), attributes=("zone",))


def test_slices_are_the_whole(shop: Ledger, settings: FeatureSettings) -> None:
    window = ObservationWindow(shop.first_day, dt.date(2024, 7, 15))
    whole = build_snapshot(shop, window, labels=False, settings=settings)
    holders = subscription_snapshot(shop, window, labels=False, settings=settings)
    slices = Slices(shop, window)
    slices.settle(settings, 40)
    ids = slices.everyone(0, slices.customers)
    assert ids == sorted(ids)
    pd.testing.assert_frame_equal(slices.sample(1000)[0], whole.rfm, check_exact=True)
    every_second, _ = slices.sample(slices.customers // 2)
    assert set(every_second.index) <= set(ids[::2])
    taken, contracts = [], []
    for some in (ids[::2], [*ids[1::2], "nobody"]):
        slices.show(some)
        taken.append(slices.snapshot())
        contracts.append(slices.contracts())
    for parts, expected in ((taken, whole), (contracts, holders)):
        assert parts[0].catalogue == expected.catalogue
        for name in ("features", "rfm"):
            found = pd.concat([getattr(part, name) for part in parts]).sort_index()
            pd.testing.assert_frame_equal(found, getattr(expected, name), check_exact=True)


def test_a_slice_may_be_empty(shop: Ledger) -> None:
    slices = Slices(shop, ObservationWindow(shop.first_day, dt.date(2024, 7, 15)))
    slices.settle(FeatureSettings(), 1000)
    slices.show(["nobody"])
    assert slices.snapshot().features.empty

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.marketing import FEATURES
from features.snapshot import build_snapshot
from features.window import ObservationWindow

FIRST = dt.date(2023, 1, 1)
WINDOW = ObservationWindow(FIRST, dt.date(2024, 7, 1))

SALES = pd.DataFrame(
    [
        ("other", "2023-01-01", 1.0),
        ("a", "2024-06-10", 20.0),
        ("quiet", "2024-06-10", 20.0),
        ("other", "2024-09-30", 1.0),
    ],
    columns=["customer_id", "timestamp", "amount"],
)

CONTACTS = pd.DataFrame(
    [
        ("other", "2023-01-02", None, None, None, None),
        ("a", "2023-06-01", "treatment", True, True, True),  # too old for any window
        ("a", "2023-08-01", "treatment", False, False, False),
        ("a", "2024-04-20", "treatment", True, True, True),
        ("a", "2024-04-25", "control", None, None, None),
        ("a", "2024-06-05", None, True, False, None),
        ("a", "2024-06-10", "treatment", False, False, True),  # not yet known to be redeemed
        ("a", "2024-06-24", "treatment", True, True, None),  # nor this one to be opened
        ("a", "2024-06-30", "control", True, True, True),
        ("a", "2024-07-01", "treatment", True, True, True),
    ],
    columns=["customer_id", "timestamp", "arm", "opened", "clicked", "redeemed"],
).assign(campaign="spring")

LOYALTY = pd.DataFrame(
    [
        ("other", "2023-01-02", 10, "gold", "enrol"),
        ("a", "2024-01-01", 50, "bronze", "enrol"),
        ("a", "2024-05-01", 100.5, "silver", "earn"),
        ("a", "2024-05-01", -20, "bronze", "burn"),
        ("a", "2024-06-01", 0, None, "letter"),
        ("a", "2024-06-02", -30, None, "Expired"),
        ("a", "2024-07-01", 1000, "gold", "earn"),
    ],
    columns=["customer_id", "timestamp", "points", "tier", "kind"],
)


def features(window: ObservationWindow = WINDOW, **tables: pd.DataFrame) -> pd.DataFrame:
    return build_snapshot(Ledger.from_frames(SALES, **tables), window).features


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return features(contacts=CONTACTS, loyalty=LOYALTY)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contacts_30", 3),
        ("contacts_90", 4),
        # April 20, June 5 and June 10: the one of June 24 is seven days old and no more.
        ("open_rate_90", (2 + 1) / (3 + 2)),
        ("click_rate_90", (1 + 1) / (3 + 2)),
        ("redeem_rate_365", (1 + 1) / (2 + 2)),
        ("has_contacts", 1),
        ("is_member", 1),
        ("points_balance", 50 + 100.5 - 20 - 30),
        ("days_since_points", 61),
        ("has_loyalty", 1),
    ],
)
def test_a_customer_who_is_written_to(found: pd.DataFrame, name: str, expected: float) -> None:
    assert found.loc["a", name] == pytest.approx(expected, rel=1e-12)


def test_the_last_tier_noted_counts(found: pd.DataFrame) -> None:
    assert found["loyalty_tier"].dtype == "str"
    # Two were noted at one moment: the last by name, whatever the order of the rows.
    assert found.loc["a", "loyalty_tier"] == "silver"
    turned = features(loyalty=LOYALTY.iloc[::-1])
    assert turned.loc["a", "loyalty_tier"] == "silver"
    assert found["loyalty_tier"].isna()["quiet"]


def test_who_is_left_alone(found: pd.DataFrame) -> None:
    row = found.loc["quiet"]
    assert (row[["contacts_30", "contacts_90", "is_member"]] == 0).all()
    missing = ["open_rate_90", "click_rate_90", "redeem_rate_365"]
    missing += ["points_balance", "days_since_points"]
    assert row[missing].isna().all()


def test_columns_that_are_not_there_are_left_out() -> None:
    found = features(
        contacts=CONTACTS[["customer_id", "timestamp", "campaign"]],
        loyalty=LOYALTY[["customer_id", "timestamp", "points"]],
    )
    assert found.loc["a", "contacts_90"] == 6  # nobody says who was left out
    rates = {"open_rate_90", "click_rate_90", "redeem_rate_365", "loyalty_tier"}
    assert not rates & set(found.columns)
    assert found.loc["a", "days_since_points"] == 29  # nor what an expiry is


def test_sources_that_have_not_begun() -> None:
    early = ObservationWindow(FIRST, dt.date(2023, 1, 2))
    found = features(early, contacts=CONTACTS, loyalty=LOYALTY)
    flags = ["has_contacts", "has_loyalty"]
    assert (found[flags] == 0).all().all()
    assert found[[row.name for row in FEATURES if row.name not in flags]].isna().all().all()


def test_points_add_up_the_same_in_any_order() -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "customer_id": "a",
            "timestamp": "2024-05-01",
            "points": np.round(10.0 ** rng.integers(-3, 9, 500) * rng.random(500), 4),
        }
    )
    one = features(loyalty=rows).loc["a", "points_balance"]
    other = features(loyalty=rows.iloc[::-1]).loc["a", "points_balance"]
    assert one == other

import datetime as dt

import pandas as pd
import pytest

from features.errors import InputError
from features.ledger import Ledger
from features.settings import FeatureSettings
from features.snapshot import Snapshot, build_snapshot
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 7, 1))

SALES = pd.DataFrame(
    [
        ("a", "2024-02-01", 5.0, "web"),
        ("b", "2024-01-01", 5.0, "store"),
        ("b", "2024-03-01", 5.0, "app"),
        ("c", "2024-08-01", 5.0, "app"),
    ],
    columns=["customer_id", "timestamp", "amount", "channel"],
)
WON = pd.DataFrame(
    {
        "customer_id": ["a", "c"],
        "channel": ["search", "x"],
        "cost": [2.5, 1],
        "campaign": ["s", "t"],
    }
)
PEOPLE = pd.DataFrame(
    [
        ("a", "NL", "34", "01", "2024-01-01"),
        ("a", "BE", "35", "01", "2024-06-01"),
        ("a", "FR", "36", "01", "2024-07-02"),
        ("c", "DE", "50", "02", "2024-01-01"),
    ],
    columns=["customer_id", "country", "age", "district", "known_at"],
)


def snapshot(*names: str, **tables: pd.DataFrame) -> Snapshot:
    return build_snapshot(
        Ledger.from_frames(SALES, **tables), WINDOW, settings=FeatureSettings(attributes=names)
    )


def test_how_a_customer_was_won_is_always_there() -> None:
    found = snapshot(acquisition=WON).features
    assert found.loc["a", ["acquisition_channel", "acquisition_cost"]].tolist() == ["search", 2.5]
    assert found.loc["b", ["acquisition_channel", "acquisition_cost"]].isna().all()
    assert "acquisition_cost" not in snapshot(acquisition=WON.drop(columns="cost")).features


def test_other_attributes_are_used_only_when_named() -> None:
    assert not [n for n in snapshot(customers=PEOPLE).features if n.startswith("customer_")]
    taken = snapshot("country", "age", "customers.district", customers=PEOPLE)
    row = taken.features.loc["a"]
    # The last row known at the cutoff; a number where all values are, and no code is one.
    assert row[["customer_country", "customer_age"]].tolist() == ["BE", 35.0]
    assert row["customer_district"] == "01"
    kinds = {f.name: f.kind for f in taken.catalogue if f.name.startswith("customer_")}
    assert kinds == {
        "customer_country": "category",
        "customer_age": "number",
        "customer_district": "category",
    }
    assert taken.features.loc["b", list(kinds)].isna().all()


def test_attributes_of_the_first_purchase_and_of_the_campaign() -> None:
    found = snapshot("transactions.channel", "campaign", "acquisition.channel", acquisition=WON)
    assert found.features["first_channel"].tolist() == ["web", "store"]
    assert found.features.loc["a", "acquisition_campaign"] == "s"
    assert list(found.features.columns).count("acquisition_channel") == 1


def test_a_table_without_known_at_is_taken_as_it_is() -> None:
    rows = PEOPLE.drop(columns="known_at").drop_duplicates("customer_id", keep="last")
    taken = snapshot("country", customers=rows)
    assert taken.features.loc["a", "customer_country"] == "FR"
    (row,) = [f for f in taken.catalogue if f.name == "customer_country"]
    assert "unchanging" in row.definition


def test_a_name_that_no_table_has_is_an_error() -> None:
    with pytest.raises(InputError, match="No table has the attribute 'gender'"):
        snapshot("gender", customers=PEOPLE)

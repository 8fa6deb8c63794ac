import datetime as dt

import pandas as pd
import pytest

from features.attributes import attribute_names, attributes
from features.errors import InputError
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 6, 1))


def transactions() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("b", "2024-02-01 09:00", 10.0, None),
            ("b", "2024-02-01 10:00", 10.0, "web"),
            ("b", "2024-02-01 11:00", 10.0, "shop"),
            ("b", "2024-03-01 08:00", 10.0, "shop"),
            ("a", "2024-01-05 08:00", -5.0, "returns"),
            ("a", "2024-01-09 08:00", 5.0, "app"),
            ("a", "2024-01-09 08:00", 5.0, "zine"),
            ("c", "2024-07-01 08:00", 5.0, "web"),
        ],
        columns=["customer_id", "timestamp", "amount", "channel"],
    )


def customers() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["a", "b", "c", "z"],
            "age": ["31", None, "x", "40"],
            "region": ["01", "02", "03", "04"],
            "gender": ["f", "m", "f", "f"],
        }
    )


def test_attributes_stand_on_the_index_of_the_snapshot() -> None:
    shop = Ledger.from_frames(transactions(), customers=customers())
    found = attributes(shop, WINDOW, ["gender", "age", "region", "channel"])
    assert found.index.equals(build_snapshot(shop, WINDOW).rfm.index)
    assert list(found.columns) == ["gender", "age", "region", "channel"]
    assert found["gender"].tolist() == ["f", "m"]
    assert found["age"].dtype == float  # of the customers there are, all known ages are numbers
    assert found.loc["a", "age"] == 31.0
    assert pd.isna(found.loc["b", "age"])
    assert found["region"].tolist() == ["01", "02"]  # codes stay as they are written


def test_a_transaction_column_is_taken_from_the_first_purchase() -> None:
    shop = Ledger.from_frames(transactions())
    # b: the first row that says a channel; a: the return before is no purchase, equal times by text
    assert attributes(shop, WINDOW, ["channel"])["channel"].tolist() == ["app", "web"]


def test_nothing_after_the_cutoff_changes_an_attribute() -> None:
    later = pd.DataFrame(
        [("a", "2024-06-01 00:00", 9.0, "later"), ("b", "2024-09-01", 9.0, "later")],
        columns=["customer_id", "timestamp", "amount", "channel"],
    )
    known = pd.DataFrame(
        {
            "customer_id": ["a", "a", "b"],
            "tier": ["gold", "silver", "basic"],
            "known_at": ["2024-02-01", "2024-03-01", None],
        }
    )
    news = pd.DataFrame(
        {
            "customer_id": ["a", "b"],
            "tier": ["lost", "lost"],
            "known_at": ["2024-06-02", "2024-07-01"],
        }
    )
    before = Ledger.from_frames(transactions(), customers=known)
    after = Ledger.from_frames(
        pd.concat([transactions(), later]), customers=pd.concat([known, news])
    )
    expected = attributes(before, WINDOW, ["tier", "channel"])
    assert expected["tier"].tolist() == ["silver", "basic"]
    pd.testing.assert_frame_equal(attributes(after, WINDOW, ["tier", "channel"]), expected)
    much_later = ObservationWindow(dt.date(2024, 1, 1), dt.date(2024, 8, 1))
    assert attributes(after, much_later, ["tier"])["tier"].tolist()[:2] == ["lost", "lost"]


def test_a_table_can_be_named() -> None:
    acquisition = pd.DataFrame({"customer_id": ["a"], "channel": ["search"], "cost": ["2.5"]})
    shop = Ledger.from_frames(transactions(), acquisition=acquisition)
    names = attribute_names(shop)
    assert names["channel"] == "acquisition"
    assert names["transactions.channel"] == "transactions"
    found = attributes(shop, WINDOW, ["channel", "transactions.channel", "cost"])
    assert found.loc["a"].tolist() == ["search", "app", 2.5]
    assert pd.isna(found.loc["b", "channel"])
    assert found["cost"].dtype == float


def test_an_unknown_name_lists_what_there_is() -> None:
    shop = Ledger.from_frames(transactions(), customers=customers())
    with pytest.raises(InputError, match="gendre") as error:
        attributes(shop, WINDOW, ["gendre"])
    assert "Did you mean gender" in str(error.value)
    assert "age, channel, gender, region" in str(error.value)
    with pytest.raises(InputError):
        attributes(shop, WINDOW, ["amount"])

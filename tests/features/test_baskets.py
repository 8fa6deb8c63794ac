"""Baskets on a table small enough to count by hand."""

import datetime as dt

import pandas as pd
import pytest

from features.baskets import bought_items, item_column, next_items
from features.errors import InputError
from features.ledger import Ledger
from features.window import ObservationWindow

ROWS = [
    ("a", "2024-01-01 10:00", 5.0, "Gifts"),
    ("a", "2024-01-01 11:00", 5.0, " gifts "),  # the same day and item
    ("a", "2024-02-01 10:00", 5.0, "Gifts"),
    ("a", "2024-02-01 10:00", -5.0, "Garden"),  # a return
    ("a", "2024-02-02 10:00", 0.0, "Garden"),  # a free sample
    ("b", "2024-02-03 10:00", 7.0, "GARDEN"),
    ("b", "2024-03-05 10:00", 7.0, "Gifts"),
    ("b", "2024-03-05 12:00", 7.0, "Kitchen"),
    ("b", "2024-03-09 12:00", 7.0, "Garden"),  # later than the next purchase
    ("c", "2024-03-02 10:00", 7.0, "Kitchen"),  # nobody before the cutoff
    ("c", "2024-08-02 10:00", 7.0, "Gifts"),  # after the window
]
CUTOFF = dt.date(2024, 3, 1)


@pytest.fixture(scope="module")
def ledger():
    columns = ["customer_id", "timestamp", "amount", "category"]
    return Ledger.from_frames(pd.DataFrame(ROWS, columns=columns))


def entries(found):
    return {
        (found.customers[r], found.items[c]): int(days)
        for r, c, days in zip(found.row, found.column, found.days, strict=True)
    }


def test_days_with_a_sale_of_each_item_before_the_cutoff(ledger):
    found = bought_items(ledger, CUTOFF, "category")
    assert entries(found) == {("a", "gifts"): 2, ("b", "garden"): 1}
    assert list(found.names) == ["GARDEN", "Gifts"]  # by the commonest spelling known then
    assert found.last_day.astype(str).tolist() == ["2024-02-01", "2024-02-03"]


def test_what_came_next_is_the_first_day_of_the_label_window(ledger):
    window = ObservationWindow(dt.date(2024, 1, 1), CUTOFF, 0, 60)
    found = next_items(ledger, window, "category")
    assert entries(found) == {("b", "gifts"): 1, ("b", "kitchen"): 1, ("c", "kitchen"): 1}


def test_the_category_comes_before_the_product_and_one_is_needed(ledger):
    assert item_column(ledger) == "category"
    with pytest.raises(InputError, match="no product_id"):
        item_column(ledger, "product_id")
    plain = Ledger.from_frames(
        pd.DataFrame({"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [1.0]})
    )
    with pytest.raises(InputError, match="no category and no product_id"):
        item_column(plain)

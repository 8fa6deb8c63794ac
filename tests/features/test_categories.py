import datetime as dt

import numpy as np
import pandas as pd

from features.categories import categories_bought, category_features
from features.ledger import Ledger
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2022, 1, 1), dt.date(2024, 7, 1))

# customer, days before the cutoff, amount, category
ROWS = [
    ("even", 365, 10, "tea"),
    ("even", 10, 4, "cups"),
    ("even", 9, 6, "cups"),
    ("even", 8, -6, "cups"),
    ("even", 7, 10, "pots"),
    ("even", 7, 99, None),
    ("one", 7, 0.01, "tea"),
    ("one", 366, 50, "cups"),
    ("none", 1, 5, None),
]


def test_the_spread_is_over_the_value_of_sale_lines() -> None:
    frame = pd.DataFrame(ROWS, columns=["customer_id", "age", "amount", "category"])
    frame["timestamp"] = pd.Timestamp(WINDOW.cutoff) - pd.to_timedelta(frame.pop("age"), unit="D")
    bought = categories_bought(Ledger.from_frames(frame).transactions, WINDOW)
    found = bought.select("category_buyer", **category_features(bought, WINDOW))
    table = found.to_pyarrow().to_pandas().set_index("category_buyer").sort_index()
    assert list(table.index) == ["even", "one"]
    assert table.n_categories_365.tolist() == [3, 1]
    np.testing.assert_allclose(table.category_entropy_365, [np.log(3), 0], rtol=1e-9)
    np.testing.assert_allclose(table.top_category_share_365, [1 / 3, 1], rtol=1e-15)

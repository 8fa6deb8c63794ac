import datetime as dt

import pandas as pd

from features.ledger import Ledger
from features.products import products_bought
from features.window import ObservationWindow

WINDOW = ObservationWindow(dt.date(2022, 1, 1), dt.date(2024, 7, 1))

# customer, days before the cutoff, amount, product
ROWS = [
    ("ann", 400, 5, "tea"),
    ("ann", 370, 5, "tea"),
    ("ann", 360, 5, "tea"),
    ("ann", 50, 5, "cup"),
    ("bob", 80, 5, "tea"),
    ("bob", 60, 5, "tea"),
    ("bob", 60, 5, "tea"),
    ("bob", 50, 5, "cup"),
    ("bob", 40, 5, "cup"),
    ("bob", 30, 5, "pot"),
    ("bob", 20, -5, "pot"),
    ("cat", 10, 5, "pot"),
    ("dan", 10, -5, "pot"),
]


def test_the_main_product_is_due_by_the_gaps_of_everybody() -> None:
    frame = pd.DataFrame(ROWS, columns=["customer_id", "age", "amount", "product_id"])
    frame["timestamp"] = pd.Timestamp(WINDOW.cutoff) - pd.to_timedelta(frame.pop("age"), unit="D")
    rows = Ledger.from_frames(frame).transactions
    found = products_bought(rows, WINDOW).order_by("product_buyer").to_pyarrow().to_pylist()
    # Tea comes back after 30, 10 and 20 days, a cup after 10, and nobody buys a second pot.
    assert found == [
        row("ann", products=2, recent=1, new=1, days=360, gap=20),
        row("bob", products=3, recent=3, new=3, days=40, gap=10),
        row("cat", products=1, recent=1, new=1, days=10, gap=None),
    ]


def row(
    buyer: str, products: int, recent: int, new: int, days: int, gap: float | None
) -> dict[str, object]:
    return {
        "product_buyer": buyer,
        "products": products,
        "recent_products": recent,
        "new_products": new,
        "main_product_days": days,
        "main_product_gap": gap,
    }

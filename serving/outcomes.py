"""What the customers of a scored list did afterwards, by the definitions of training.

Outcomes are read from the tables as they are today, so a row that came in late counts. Who is in no
table any more (forgotten, or given another id) has no outcome: that would read as one who left.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.contracts import RENEWAL_DAYS, contract_ends
from features.expressions import at_least
from features.labels import future_activity
from features.purchases import customer_days, purchases, purchases_in
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = [
    "churned",
    "first_messages",
    "first_returns",
    "is_over",
    "known_customers",
    "list_window",
    "timing_curve",
    "value_outcomes",
]

_YEAR_DAYS = 365.25  # of the models' discounting


def list_window(ledger: Ledger, row: Mapping[str, Any], kind: str) -> ObservationWindow | None:
    """The window that a list is judged by.

    Args:
        ledger: The trusted tables.
        row: Of the table of lists (`serving.score_ledger.LIST_TYPES`).
        kind: "churn": the label window of the churn model; "clv": the horizon of the value model.

    Returns:
        The window; None where the list names no horizon, or no table reaches back to its cutoff.
    """
    gap = int(row["gap_days"]) if kind == "churn" else 0
    days = row["horizon_days"] if kind == "churn" else row["clv_horizon_days"]
    if pd.isna(days) or float(days) < 1 or row["as_of"].date() <= ledger.first_day:
        return None
    return ObservationWindow(ledger.first_day, row["as_of"].date(), gap, round(float(days)))


def is_over(ledger: Ledger, window: ObservationWindow, label: str = "purchases") -> bool:
    """Whether the data holds the whole label window, so that its outcome is known.

    Args:
        ledger: The trusted tables.
        window: Has the label window.
        label: "purchases", or "subscriptions": whether a contract was renewed is known later.
    """
    end = window.label_end
    if label == "subscriptions":
        end += dt.timedelta(days=RENEWAL_DAYS)
    return end <= ledger.last_day + dt.timedelta(days=1)


def known_customers(ledger: Ledger) -> pd.Index[str]:
    """The ids that transactions or contracts hold."""
    tables = [ledger.tables[name] for name in ("transactions", "subscriptions")
              if name in ledger.tables]  # fmt: skip
    ids = [table.select("customer_id").distinct() for table in tables]
    rows = ids[0] if len(ids) == 1 else ibis.union(*ids, distinct=True)
    found: pd.Index[str] = pd.Index(_frame(ledger, rows)["customer_id"], dtype="str")
    return found


def churned(
    ledger: Ledger, window: ObservationWindow, ids: pd.Index[str], label: str = "purchases"
) -> npt.NDArray[np.float64]:
    """Who left in a label window that is over: 1, else 0.

    Args:
        ledger: The trusted tables.
        window: Has the label window.
        ids: The customers.
        label: "purchases": who bought nothing in it; "subscriptions": whose contract ended in it.
    """
    if label == "subscriptions":
        left = _frame(ledger, contract_ends(ledger.tables["subscriptions"], window))
        return np.asarray(ids.isin(left["customer_id"]), dtype=np.float64)
    query = future_activity(ledger.transactions, window, ledger.purchase_unit, ledger.days)
    bought = _frame(ledger, query.filter(query.future_purchases > 0).select("customer_id"))
    return 1.0 - np.asarray(ids.isin(bought["customer_id"]), dtype=np.float64)


def value_outcomes(
    ledger: Ledger, window: ObservationWindow, ids: pd.Index[str], annual_discount_rate: float
) -> pd.DataFrame:
    """What customers bought in a window that is over.

    Args:
        ledger: The trusted tables.
        window: Has the window; money is discounted to its cutoff.
        ids: The customers.
        annual_discount_rate: 0.10 means that money a year from now counts for 1 / 1.10.

    Returns:
        On `ids`: `purchases`, `spend` (as in `features.labels`) and `discounted`: the same money,
        each day's worth 1 / (1 + rate) for every year of 365.25 days from the cutoff to its noon.
    """
    query = future_activity(ledger.transactions, window, ledger.purchase_unit, ledger.days)
    found = _frame(ledger, query).set_index("customer_id")
    days = ledger.days
    if days is None:
        days = customer_days(window.future(ledger.transactions))
    days = window.future(days, "day")
    passed = days.day.delta(ibis.literal(window.cutoff), unit="day").cast("float64") + 0.5
    factor = (-math.log1p(annual_discount_rate) / _YEAR_DAYS * passed).exp()
    worth = (days.value.cast("float64") * factor).round(6)
    # Summed as decimals: the same bytes in any order of rows.
    summed = days.group_by("customer_id").agg(net=worth.cast("decimal(38, 6)").sum())
    discounted = _frame(
        ledger,
        summed.select("customer_id", discounted=at_least(summed.net, 0).cast("float64")),
    ).set_index("customer_id")
    return pd.DataFrame(
        {
            "purchases": found["future_purchases"].reindex(ids, fill_value=0.0),
            "spend": found["future_spend"].reindex(ids, fill_value=0.0),
            "discounted": discounted["discounted"].reindex(ids, fill_value=0.0),
        },
        index=ids,
        dtype="float64",
    )


def first_messages(ledger: Ledger, window: ObservationWindow) -> pd.Series[float] | None:
    """When each customer was first sent something that may have moved them.

    Args:
        ledger: The trusted tables.
        window: Messages from its cutoff to the end of its label window count, in any arm but a
            control arm.

    Returns:
        Days from the cutoff, with their fraction, on customer_id; only customers who were sent
        something. None where there is no table of contacts.
    """
    if "contacts" not in ledger.tables:
        return None
    rows = ledger.tables["contacts"]
    start, end = (dt.datetime.combine(d, dt.time()) for d in (window.cutoff, window.label_end))
    rows = rows.filter(rows.timestamp >= start, rows.timestamp < end)
    if "arm" in rows.columns:
        rows = rows.filter(rows.arm.fill_null("") != "control")
    first = rows.group_by("customer_id").agg(at=rows.timestamp.min())
    return _since(_frame(ledger, first), window.cutoff)


def first_returns(ledger: Ledger, window: ObservationWindow) -> pd.Series[float]:
    """When each customer first bought in a label window, over or not.

    Returns:
        Days from the cutoff, with their fraction, on customer_id; only customers who bought in it.
    """
    return _since(_frame(ledger, _returns(ledger, window)), window.cutoff)


def _since(found: pd.DataFrame, cutoff: dt.date) -> pd.Series[float]:
    at = found.set_index("customer_id")["at"].sort_index()
    days = (at - pd.Timestamp(cutoff)) / pd.Timedelta(days=1)
    return days.astype("float64")


def timing_curve(ledger: Ledger, window: ObservationWindow) -> npt.NDArray[np.float64] | None:
    """When those came back who came back in a label window that is over.

    Args:
        ledger: The trusted tables.
        window: Has the label window.

    Returns:
        For each of its days, the share who had come back by the end of it: of all customers who
        had bought before the cutoff and bought again in the window; None where nobody did.
    """
    bought = purchases(ledger.transactions, window.cutoff, ledger.purchase_unit, ledger.days)
    returned = _returns(ledger, window).semi_join(bought, "customer_id")
    day = returned["at"].date().delta(ibis.literal(window.label_start), unit="day")
    days = returned.select(day=day.cast("int64"))
    counts = _frame(ledger, days.group_by("day").agg(n=days.count()))
    by_day = np.bincount(
        counts["day"].to_numpy(np.int64),
        weights=counts["n"].to_numpy(np.float64),
        minlength=window.horizon_days,
    )
    total = by_day.sum()
    return np.cumsum(by_day) / total if total > 0 else None


def _returns(ledger: Ledger, window: ObservationWindow) -> ir.Table:
    """The time of each customer's first purchase in the label window: customer_id, at."""
    rows = window.future(ledger.transactions)
    days = customer_days(rows) if ledger.days is None else window.future(ledger.days, "day")
    bought = purchases_in(rows, days, ledger.purchase_unit)
    return bought.group_by("customer_id").agg(at=bought.first_sale.min())


def _frame(ledger: Ledger, query: ir.Table) -> pd.DataFrame:
    found: pd.DataFrame = ledger.con.to_pyarrow(query).to_pandas()
    return found

"""What each customer's transactions say at a cutoff, as one expression on the engine.

The work has four levels: transactions -> customer-days -> purchases -> one row of exact sums
a customer, over purchases and over days -> formulas on these sums. Counts and money stay
integers and decimals until the last level, so neither row order nor threads change a single
bit.

Each family of features is a module: its `FEATURES` are their rows of the catalogue, `*_sums`
says what to add up over purchases (`*_day_sums`: over days), and `*_features` turns the sums into
features. What speaks of single lines has a table of its own: `*_bought`, `channels_used`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.basket import basket_day_sums, basket_features, basket_sums
from features.categories import categories_bought, category_features
from features.channels import channel_features, channels_used
from features.expressions import days_before, ratio
from features.frequency import frequency_features, frequency_sums
from features.habits import habit_features, habit_sums
from features.products import product_features, products_bought, repurchases, usual_gaps
from features.purchases import customer_days, purchases_in
from features.recency import recency_day_sums, recency_features, recency_sums
from features.recent_spend import RECENT_COLUMNS, recent_features, recent_sums
from features.regularity import (
    clumpiness,
    clumpiness_sums,
    common_unevenness,
    regularity_features,
    regularity_statistics,
    regularity_sums,
)
from features.rfm import log_gap_units, log_gaps, weeks
from features.rhythm import (
    gap_distribution,
    gap_lengths,
    gap_statistics,
    rhythm_features,
    rhythm_sums,
    with_gaps,
)
from features.spend import spend_day_sums, spend_features, spend_sums
from features.trend import season_features, trend_features, trend_sums, with_busy
from features.window import ObservationWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir

__all__ = ["RFM_COLUMNS", "added_up", "behaviour", "shared_sums"]

RFM_COLUMNS = (
    *("frequency", "recency", "T", "monetary_value", "first_value", "log_gaps"),
    *RECENT_COLUMNS,
)


def behaviour(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    days: ir.Table | None = None,
    shared: Mapping[str, ir.Table] | None = None,
) -> ir.Table:
    """Every feature that comes from transactions, and the RFM summary beside them.

    Args:
        transactions: The standard table.
        window: What is observed.
        unit: What a purchase is: "day" or "order".
        days: The `customer_days`, where they are at hand and no row has a known_at.
        shared: What `shared_sums` gives of all customers, put together by `added_up`, where the
            rows are those of some.

    Returns:
        One row a customer with at least one purchase before the cutoff, in no particular
        order: customer_id, the columns `RFM_COLUMNS` (recency and T in weeks) and the
        features of transactions that `features.catalogue` lists under the origin "engine":
        numbers as float64, categories as text. Features of columns that the source does not
        have are left out.
    """
    rows, days, bought, customers = _summed(transactions, window, unit, days)
    if shared is None:
        shares = gap_distribution(bought, customers)
    else:
        shares = gap_distribution(bought, customers, shared["gaps"])
        customers = customers.cross_join(shared["uneven"])
    money = days.group_by(payer=days.customer_id).agg(
        **recency_day_sums(days), **spend_day_sums(days, window), **basket_day_sums(days, window)
    )
    customers = customers.left_join(money, customers.customer_id == money.payer)
    customers = customers.left_join(shares, customers.days_since_last == shares.days)
    if "product_id" in rows.columns:
        usual = None if shared is None else shared["products"]
        products = products_bought(rows, window, usual)
        customers = customers.left_join(products, customers.customer_id == products.product_buyer)
    if "category" in rows.columns:
        spread = categories_bought(rows, window)
        customers = customers.left_join(spread, customers.customer_id == spread.category_buyer)
    if "channel" in rows.columns:
        channels = channels_used(rows, window)
        customers = customers.left_join(channels, customers.customer_id == channels.channel_user)
    columns = {
        **_rfm(customers),
        **recency_features(customers, window),
        **frequency_features(customers, window),
        **spend_features(customers, window),
        **rhythm_features(customers, window),
        **regularity_features(customers),
        "clumpiness": clumpiness(customers),
        **trend_features(customers, window),
        **basket_features(customers),
        **product_features(customers, window),
        **category_features(customers, window),
        **channel_features(customers),
        **habit_features(customers),
        **season_features(window),
    }
    return customers.select(
        "customer_id",
        **{
            name: value if value.type().is_string() else value.cast("float64")
            for name, value in columns.items()
        },
    )


def shared_sums(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    days: ir.Table | None = None,
) -> dict[str, ir.Table]:
    """What the features of one customer take from all customers, added up.

    All are whole numbers, so that the sums of parts add up to those of the whole, exactly.

    Args:
        transactions: The standard table.
        window: What is observed.
        unit: What a purchase is: "day" or "order".
        days: The `customer_days`, where they are at hand and no row has a known_at.

    Returns:
        `gaps` (`features.rhythm.gap_lengths`), `uneven` (one row with
        `features.regularity.common_unevenness`) and, where the source has products, `products`
        (`features.products.repurchases`).
    """
    rows, _, bought, customers = _summed(transactions, window, unit, days)
    found = {"gaps": gap_lengths(bought), "uneven": customers.agg(**common_unevenness(customers))}
    if "product_id" in rows.columns:
        found["products"] = repurchases(rows)
    return found


def added_up(parts: Mapping[str, ir.Table]) -> dict[str, ir.Table]:
    """What `behaviour` takes, from the rows of `shared_sums` of all parts of the customers."""
    gaps, uneven = parts["gaps"], parts["uneven"]
    found = {
        "gaps": gaps.group_by("days").agg(gaps=gaps.gaps.sum().cast("int64")),
        "uneven": uneven.agg(
            all_uneven=uneven.all_uneven.sum().cast("int64"),
            all_freedom=uneven.all_freedom.sum().cast("int64"),
        ),
    }
    if "products" in parts:
        again = parts["products"]
        times = again.group_by("product", "gap").agg(times=again.times.sum().cast("int64"))
        found["products"] = usual_gaps(times)
    return found


def _summed(
    transactions: ir.Table, window: ObservationWindow, unit: str, days: ir.Table | None
) -> tuple[ir.Table, ir.Table, ir.Table, ir.Table]:
    """The known rows, their days, the purchases, and what these add up to for each customer."""
    rows = window.known(transactions)
    days = customer_days(rows) if days is None else window.known(days, "day")
    bought = with_busy(with_gaps(purchases_in(rows, days, unit), window), window)
    customers = bought.group_by("customer_id").agg(
        **recency_sums(bought),
        **frequency_sums(bought, window),
        **spend_sums(bought, window),
        **rhythm_sums(bought, window),
        **regularity_sums(bought),
        **clumpiness_sums(bought, window),
        **trend_sums(bought, window),
        **basket_sums(bought, window),
        **habit_sums(bought, window),
        **recent_sums(bought, window),
        log_gap_units=log_gap_units(bought.gap).sum(),
    )
    customers = customers.mutate(
        days_since_last=days_before(customers.last_day, window),
        tenure_days=days_before(customers.first_day, window),
        **gap_statistics(customers),
        **regularity_statistics(customers),
    )
    return rows, days, bought, customers


def _rfm(customers: ir.Table) -> dict[str, ir.Value]:
    c = customers
    repeats = c.purchases - 1
    return {
        "frequency": repeats,
        "recency": weeks(c.last_day.delta(c.first_day, unit="day")),
        "T": weeks(c.tenure_days),
        "monetary_value": ratio(c.value - c.first_value, repeats).fill_null(0.0),
        "first_value": c.first_value,
        "log_gaps": log_gaps(c.log_gap_units, repeats),
        **recent_features(c),
    }

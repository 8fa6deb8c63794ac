"""Groups of customers compared: what came after, raw and among those with the same past.

An association is no effect: who is unhappy or writes a ticket was not drawn by lot. The adjusted
difference compares customers whose purchases before were alike (strata of recency and frequency)
and says nothing of what else sets them apart.

A customer may be in several rows. Intervals take a customer's rows as one draw: variances are sums
over customers of squared influences (the linearisation of Binder 1983, "On the Variances of
Asymptotically Normal Estimators from Complex Surveys"). Influences are rounded to whole numbers and
squared as decimals, so that no order of rows matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from features.measures.intervals import share_interval

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = ["PAST_DAYS", "STRATA", "Difference", "difference", "group_means", "with_past_and_future"]

PAST_DAYS = 365
"""Days before a moment whose purchases make its stratum."""

RECENCY = (7, 30, 90, 180)
FREQUENCY = (1, 2, 4)
STRATA = (
    "strata of days since the last purchase (up to 7, 30, 90, 180, more) by purchases in the "
    f"{PAST_DAYS} days before (up to 1, 2, 4, more)"
)

_DIGITS = 1e6


def with_past_and_future(moments: ir.Table, purchases: ir.Table, horizon_days: int) -> ir.Table:
    """What each customer bought before a day, and from that day on.

    Args:
        moments: customer_id, start (date: the first day of what comes after) and any columns that
            tell rows of one customer and start apart. Two equal rows count as one.
        purchases: customer_id, day, value.
        horizon_days: What comes after is `[start, start + horizon_days)`.

    Returns:
        The rows of `moments` with stratum (int64; see `STRATA`; without a purchase before it is
        the last of recency), past (purchases in the `PAST_DAYS` before), bought (int64: 1 with a
        purchase after, else 0) and spend (decimal, 0 without one).
    """
    bought = purchases.select(buyer="customer_id", day="day", value="value")
    end = (moments.start + ibis.interval(days=horizon_days)).cast("date")
    begin = (moments.start - ibis.interval(days=PAST_DAYS)).cast("date")
    both = moments.left_join(
        bought,
        [moments.customer_id == bought.buyer, bought.day >= begin, bought.day < end],
    )
    after = both.day >= both.start
    made = both.group_by(*moments.columns).agg(
        last=both.day.max(where=~after),
        past=both.count(where=~after),
        bought=both.count(where=after),
        spend=both.value.sum(where=after),
    )
    since = made.start.delta(made["last"], unit="day").fill_null(PAST_DAYS + 1)
    recency = sum(((since > days).cast("int64") for days in RECENCY), ibis.literal(0))
    frequency = sum(((made.past > count).cast("int64") for count in FREQUENCY), ibis.literal(0))
    return made.select(
        *moments.columns,
        stratum=recency * (len(FREQUENCY) + 1) + frequency,
        past=made.past,
        bought=(made.bought > 0).cast("int64"),
        spend=made.spend.fill_null(0),
    )


def group_means(rows: ir.Table, group: str, outcome: str) -> pd.DataFrame:
    """The mean outcome of each group, with an interval that knows whose rows are whose.

    Args:
        rows: customer_id, the group and the outcome (a whole number or decimal).
        group: Column of text.
        outcome: Column of 0 and 1 as whole numbers, for a share, or of decimals.

    Returns:
        Sorted by group: group, mean, low, high, n (rows). For a share the interval is Wilson's
        with the number of independent rows that the variance stands for. Low and high are NaN
        where all amounts are equal, and for a single customer.
    """
    cells = (
        rows.group_by(group)
        .agg(n=rows.count(), total=rows[outcome].sum().cast("float64"))
        .order_by(group)
        .to_pyarrow()
        .to_pandas()
    )
    cells["mean"] = cells["total"] / cells["n"]
    scale = _scale(cells)
    joined = _beside(rows, cells[[group, "mean"]], [group])
    influence = ((joined[outcome].cast("float64") - joined["mean"]) * scale).round().cast("int64")
    own = joined.group_by("customer_id", group).agg(pull=influence.sum())
    spread = own.group_by(group).agg(squares=_square(own.pull).sum(), customers=own.count())
    cells = cells.merge(spread.to_pyarrow().to_pandas(), on=group)
    n, customers = cells["n"].to_numpy(float), cells["customers"].to_numpy(float)
    mean = cells["mean"].to_numpy(float)
    # With one customer the variance is unknown, not zero.
    few = np.where(customers > 1, customers / np.maximum(customers - 1, 1), np.nan)
    variance = cells["squares"].astype(float).to_numpy() * few / (scale * n) ** 2
    if rows[outcome].type().is_integer():
        bernoulli = mean * (1 - mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = np.where(variance > 0, np.minimum(bernoulli / variance, n), customers)
        low, high = share_interval(mean * effective, effective)[1:]
    else:
        # Equal amounts say nothing of how far they spread.
        error = np.sqrt(np.where(variance > 0, variance, np.nan))
        half = stats.t.ppf(0.975, np.maximum(customers - 1, 1)) * error
        low, high = mean - half, mean + half
    return pd.DataFrame(
        {group: cells[group], "mean": mean, "low": low, "high": high, "n": cells["n"]}
    )


@dataclass(frozen=True)
class Difference:
    """The mean outcome of one group less that of another.

    Attributes:
        raw: Difference of the two means, with low and high at 95 %.
        adjusted: Mean over the first group of (outcome - mean of the second group's rows in the
            same stratum), with low and high; rows whose stratum the second group lacks are left
            out.
        n: Rows of the first group.
        compared: Those that the adjusted difference is made of.
    """

    raw: tuple[float, float, float]
    adjusted: tuple[float, float, float]
    n: int
    compared: int


def difference(rows: ir.Table, outcome: str, strata: Sequence[str]) -> Difference | None:
    """How the outcome of the rows with `exposed` differs from that of the others.

    Args:
        rows: customer_id, exposed (bool), the outcome and the strata.
        outcome: Column of 0 and 1 as whole numbers, for a share, or of decimals.
        strata: Columns that are alike in rows that may be compared.

    Returns:
        None where one of the two groups has no rows. Where a group has no spread of its own (all
        of them left), Wilson's bound of its share widens the interval; where all amounts of a
        group are equal, low and high are NaN.
    """
    cells = (
        rows.group_by(*strata)
        .agg(
            n1=rows.count(where=rows.exposed),
            n0=rows.count(where=~rows.exposed),
            y1=rows[outcome].sum(where=rows.exposed).cast("float64").fill_null(0),
            y0=rows[outcome].sum(where=~rows.exposed).cast("float64").fill_null(0),
        )
        .order_by(*strata)
        .to_pyarrow()
        .to_pandas()
    )
    n1, n0 = int(cells["n1"].sum()), int(cells["n0"].sum())
    if not n1 or not n0:
        return None
    mean1, mean0 = cells["y1"].sum() / n1, cells["y0"].sum() / n0
    shared = (cells["n1"] > 0) & (cells["n0"] > 0)
    compared = int(cells.loc[shared, "n1"].sum())
    base = (cells["y0"] / cells["n0"]).where(shared, 0.0)
    expected = float((cells["n1"] * base)[shared].sum())
    adjusted = (float(cells.loc[shared, "y1"].sum()) - expected) / compared if compared else np.nan
    scale = _scale(pd.DataFrame({"n": [n1 + n0], "total": [cells[["y1", "y0"]].abs().sum().sum()]}))
    weights = cells[list(strata)].assign(
        shared=shared.astype("int64"),
        base=base,
        weight=(cells["n1"] / cells["n0"]).where(shared, 0.0),
    )
    joined = _beside(rows, weights, strata)
    y, exposed = joined[outcome].cast("float64"), joined.exposed
    plain = exposed.ifelse(y - float(mean1), -(n1 / n0) * (y - float(mean0)))
    theta = float(adjusted) if compared else 0.0
    within = exposed.ifelse(
        joined.shared * (y - joined.base - theta), -joined.weight * (y - joined.base)
    )
    own = joined.group_by("customer_id").agg(
        plain=(plain * scale).round().cast("int64").sum(),
        within=(within * scale).round().cast("int64").sum(),
    )
    told = own.agg(
        plain=_square(own.plain).sum(), within=_square(own.within).sum(), customers=own.count()
    )
    found = told.to_pyarrow().to_pylist()[0]
    customers = int(found["customers"])
    quantile = stats.t.ppf(0.975, max(customers - 1, 1)) * np.sqrt(
        customers / (customers - 1) if customers > 1 else np.nan
    )
    below, above = _unseen(rows, outcome)

    def interval(value: float, squares: float, n: int) -> tuple[float, float, float]:
        if not n:
            return np.nan, np.nan, np.nan
        half = quantile * float(np.sqrt(float(squares))) / (scale * n)
        return (
            float(value),
            float(value - np.hypot(half, below)),
            float(value + np.hypot(half, above)),
        )

    return Difference(
        interval(mean1 - mean0, found["plain"], n1),
        interval(float(adjusted), found["within"], compared),
        n1,
        compared,
    )


def _unseen(rows: ir.Table, outcome: str) -> tuple[float, float]:
    """How far the difference could be lower and higher for groups without a spread of their own.

    As in `features.measures.satisfaction`, the distances from a share to its Wilson bounds add up
    in squares (Newcombe 1998).
    """
    told = rows.group_by("exposed").agg(
        n=rows.customer_id.nunique(), low=rows[outcome].min(), high=rows[outcome].max()
    )
    below = above = 0.0
    for row in told.to_pyarrow().to_pylist():
        if row["low"] != row["high"]:
            continue
        if not rows[outcome].type().is_integer():
            return np.nan, np.nan
        share, low, high = (
            float(x[0]) for x in share_interval([row["low"] * row["n"]], [row["n"]])
        )
        ends = (share - low, high - share)
        below = float(np.hypot(below, ends[0 if row["exposed"] else 1]))
        above = float(np.hypot(above, ends[1 if row["exposed"] else 0]))
    return below, above


def _scale(cells: pd.DataFrame) -> float:
    """What makes an outcome a whole number with six digits or more."""
    typical = float(cells["total"].abs().sum() / cells["n"].sum())
    return _DIGITS / max(1.0, typical)


def _square(value: ir.IntegerValue) -> ir.DecimalValue:
    whole = value.cast("decimal(19, 0)")
    return whole * whole


def _beside(rows: ir.Table, constants: pd.DataFrame, keys: Sequence[str]) -> ir.Table:
    """Rows with the constants of their keys."""
    renamed = constants.rename(columns={key: f"{key}_key" for key in keys})
    held = ibis.memtable(pa.Table.from_pandas(renamed, preserve_index=False))
    joined = rows.join(held, [rows[key] == held[f"{key}_key"] for key in keys])
    return joined.drop(*(f"{key}_key" for key in keys))

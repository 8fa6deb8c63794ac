"""What happened in the horizon after a cutoff: the truth that models are trained on."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from features.errors import InputError
from features.expressions import at_least
from features.purchases import customer_days, purchases_in
from features.schema import nearest
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

__all__ = ["ELIGIBILITY", "LABELS", "LabelSpec", "due_in_window", "eligible", "future_activity"]

ELIGIBILITY = ("everyone", "cadence")
"""Whom the model is trained and measured on: all known customers, or those with a rhythm."""

LABELS = ("churned", "future_purchases", "future_spend")
"""churned (1 for no purchase in the label window, else 0), purchases and spend in it."""


@dataclass(frozen=True)
class LabelSpec:
    """What "churned" means, and on whom it is learned. Stored with every churn model.

    A customer known at a cutoff t has churned if there is no purchase in the label window
    `[t + gap, t + gap + horizon)`. See docs/label.md for how to choose.

    Attributes:
        horizon_days: Length of the label window.
        gap_days: Days between the cutoff and the label window.
        eligibility: Who trains the model and whom the headline measures are of: "everyone"
            known at the cutoff, or "cadence": customers whose next purchase is due about then
            (see `eligible`). Everyone is scored either way.
        slack: With "cadence", how far from the label window the next purchase may be due, as
            a share of the horizon.

    Raises:
        InputError: A value is of the wrong kind or out of range.

    >>> LabelSpec.from_dict(LabelSpec(horizon_days=60).to_dict())
    LabelSpec(horizon_days=60, gap_days=0, eligibility='everyone', slack=0.5)
    """

    horizon_days: int = 90
    gap_days: int = 0
    eligibility: Literal["everyone", "cadence"] = "everyone"
    slack: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name, least in (("horizon_days", 1), ("gap_days", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(
                    f"{name} is {value!r}.", f"It must be a whole number from {least}."
                )
        if self.eligibility not in ELIGIBILITY:
            raise InputError(
                f"eligibility is {self.eligibility!r}.",
                f"It must be one of: {', '.join(ELIGIBILITY)}.",
            )
        number = isinstance(self.slack, (int, float)) and not isinstance(self.slack, bool)
        if not number or not (math.isfinite(self.slack) and self.slack >= 0):
            raise InputError(f"slack is {self.slack!r}.", "It must be 0 or more.")

    @property
    def reach_days(self) -> int:
        """Days from the cutoff to the end of the label window."""
        return self.gap_days + self.horizon_days

    def window(self, start: dt.date, cutoff: dt.date) -> ObservationWindow:
        """The window of a cutoff, in a source that begins with the day `start`."""
        return ObservationWindow(start, cutoff, self.gap_days, self.horizon_days)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSpec:
        """Read what `to_dict` wrote; keys left out have their defaults.

        Raises:
            InputError: A key is unknown, or a value cannot be used.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(
                    f"A label has no {name}.", nearest(name, known) or f"Known: {', '.join(known)}."
                )
        return cls(**values)


def eligible(rfm: pd.DataFrame, spec: LabelSpec) -> pd.Series[bool]:
    """Who trains the model, and whom its headline measures are of.

    It depends on nothing but what is known at the cutoff, so it is the same at training and
    scoring. It says nothing about who is scored: that is everyone.

    Args:
        rfm: frequency, recency and T (weeks), as `Snapshot.rfm` has them.
        spec: What churned means.

    Returns:
        True for all with eligibility "everyone"; with "cadence" as `due_in_window` says. On
        the index of `rfm`.
    """
    if spec.eligibility == "everyone":
        found = rfm["frequency"] >= 0
    else:
        found = due_in_window(rfm["frequency"], rfm["recency"], rfm["T"], spec)
    return found.rename("eligible")


def due_in_window(frequency: Any, recency: Any, T: Any, spec: LabelSpec) -> Any:
    """Whether a customer's own rhythm puts the next purchase near the label window.

    With n purchases, the next one is due at `E = last + (last - first) / (n - 1)`. It is near
    the window if E lies in `[t + gap - slack * horizon, t + gap + (1 + slack) * horizon]`, both
    ends included. One-time buyers, and those with all purchases on one day, have no rhythm.

    Args:
        frequency: Purchases minus one. This and the next two are columns of one table, of
            pandas or of the engine: there is one formula for both.
        recency: First to last purchase, in weeks.
        T: First purchase to cutoff, in weeks.
        spec: What churned means.

    Returns:
        A boolean column.
    """
    span, known = (recency * 7).round(), (T * 7).round()  # whole days again
    # frequency * (E - t), so that nothing is divided and both ends are exact.
    due = span + (span - known) * frequency
    slack = spec.slack * spec.horizon_days
    low, high = spec.gap_days - slack, spec.reach_days + slack
    return (frequency > 0) & (span > 0) & (due >= low * frequency) & (due <= high * frequency)


def future_activity(
    transactions: ir.Table,
    window: ObservationWindow,
    unit: str = "day",
    days: ir.Table | None = None,
) -> ir.Table:
    """Purchases and spend of each customer in the label window.

    Only rows of the label window are looked at, whenever they came in, so no row is part of
    both a feature and a label. An order with lines on both sides of the window's edge
    therefore counts on each side with the lines that lie there.

    Args:
        transactions: The standard table.
        window: Has the label window.
        unit: What a purchase is: "day" or "order".
        days: The `customer_days` of the transactions, where they are at hand.

    Returns:
        One row a customer with any row in the window (who is absent did nothing):
        customer_id; future_purchases (float64), purchases by the same definition as in
        features; future_spend (float64), the sum of all amounts in the window, returns
        taken off, and 0 where returns outweigh sales: what comes back of earlier sales is
        no negative future.
    """
    rows = window.future(transactions)
    days = customer_days(rows) if days is None else window.future(days, "day")
    bought = purchases_in(rows, days, unit)
    counts = bought.group_by(buyer=bought.customer_id).agg(purchases=bought.count())
    spend = days.group_by("customer_id").agg(net=days.value.sum())
    both = spend.left_join(counts, spend.customer_id == counts.buyer)
    return both.select(
        "customer_id",
        future_purchases=both.purchases.fill_null(0).cast("float64"),
        future_spend=at_least(both.net, 0).cast("float64"),
    )

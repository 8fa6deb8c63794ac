"""What can be said about a customer: one sentence a row, with the features it needs.

A sentence states facts that anybody can check on the ledger. Which of them is said, and to
whom, is decided in `reasons`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Formatter

import numpy as np
import numpy.typing as npt

__all__ = ["KINDS", "MESSAGES", "Message", "fill"]

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, Floats]


@dataclass(frozen=True)
class Message:
    """One way to speak about a reason group.

    Args:
        group: The reason group.
        needs: Features that must have a value.
        text: `{name:kind}` is the number `name` written as a kind of `KINDS`.
        when: Further condition on the arrays of the needed features, shape (n,) each.
        reads: 1 when the sentence can only be read as a reason to worry, -1 as a good sign.
            The trees may have learned the opposite (who sends goods back also buys), but said
            aloud it would puzzle; then the next reason takes its place.
        derived: Further numbers for the text, from the same arrays.
    """

    group: str
    needs: tuple[str, ...]
    text: str
    when: Callable[[Columns], npt.NDArray[np.bool_]] | None = None
    reads: int = 0
    derived: Mapping[str, Callable[[Columns], Floats]] = field(default_factory=dict)

    def fits(self, columns: Columns) -> npt.NDArray[np.bool_] | None:
        """Return for whom the message can be used, None when a feature is not there at all."""
        if any(name not in columns for name in self.needs):
            return None
        known = [np.isfinite(columns[name]) for name in self.needs]
        fit: npt.NDArray[np.bool_] = np.logical_and.reduce(known)
        return fit if self.when is None else fit & self.when(columns)

    def say(self, columns: Columns) -> list[str]:
        """Return the sentence for each row of the needed features, without a capital letter."""
        numbers = {name: columns[name] for name in self.needs}
        numbers |= {name: derive(columns) for name, derive in self.derived.items()}
        return fill(self.text, numbers)


def fill(text: str, numbers: Columns) -> list[str]:
    """Fill one text for many customers.

    Examples:
        >>> fill("{visits:purchases} so far", {"visits": np.array([1.0, 2.0])})
        ['1 purchase so far', '2 purchases so far']
    """
    count = len(next(iter(numbers.values())))
    parts: list[list[str]] = []
    for literal, name, kind, _ in Formatter().parse(text):
        if literal:
            parts.append([literal] * count)
        if name is not None:
            # Each number is written once per distinct value.
            distinct, code = np.unique(numbers[name], return_inverse=True)
            written = [KINDS[kind or "number"](value) for value in distinct.tolist()]
            parts.append([written[c] for c in code.tolist()])
    return ["".join(pieces) for pieces in zip(*parts, strict=True)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.3g}"


def _plural(one: str, many: str) -> Callable[[float], str]:
    def say(value: float) -> str:
        rounded = round(value)
        return f"no {one}" if not rounded else f"{rounded:,} {one if rounded == 1 else many}"

    return say


KINDS: Mapping[str, Callable[[float], str]] = {
    "days": _plural("day", "days"),
    "every": lambda v: "day" if round(v) == 1 else f"{round(v):,} days",
    "purchases": _plural("purchase", "purchases"),
    "products": _plural("product", "different products"),
    "count": lambda v: f"{round(v):,}",
    "money": lambda v: f"{round(v):,}",
    "percent": lambda v: f"{round(100 * v)} %",
    "number": _number,
}
"""Kind of number -> how it is written."""


def _less_than(feature: str, limit: float) -> Callable[[Columns], npt.NDArray[np.bool_]]:
    return lambda columns: np.asarray(columns[feature] < limit)


def _bought_once(group: str) -> Message:
    return Message(
        group,
        ("is_one_time", "days_since_last"),
        "bought once, {days_since_last:days} ago",
        lambda c: c["is_one_time"] == 1,
    )


def _frequency(window: int) -> tuple[Message, ...]:
    count = f"n_purchases_{window}"
    span = f"in the last {window} days"
    return (
        Message("frequency", (count,), f"no purchase {span}", _less_than(count, 0.5), reads=1),
        Message("frequency", (count,), f"{{{count}:purchases}} {span}"),
    )


def _spend(window: int) -> tuple[Message, ...]:
    money = f"net_spend_{window}"
    span = f"in the last {window} days"
    return (
        Message(
            "spend",
            (money,),
            f"sent back {{excess:money}} more than was bought {span}",
            _less_than(money, -0.5),
            reads=1,
            derived={"excess": lambda c: -c[money]},
        ),
        Message("spend", (money,), f"spent nothing {span}", _less_than(money, 0.5), reads=1),
        Message("spend", (money,), f"spent {{{money}:money}} {span}"),
    )


def _overdue(columns: Columns) -> npt.NDArray[np.bool_]:
    return np.asarray(columns["days_since_last"] > columns["gap_mean"])


def _fewer(columns: Columns) -> npt.NDArray[np.bool_]:
    return np.asarray(2 * columns["n_purchases_90"] < columns["n_purchases_180"])


def _more(columns: Columns) -> npt.NDArray[np.bool_]:
    return np.asarray(2 * columns["n_purchases_90"] > columns["n_purchases_180"])


def _lower_half(columns: Columns) -> npt.NDArray[np.bool_]:
    share = columns["spend_percentile"]
    return np.asarray((columns["net_spend_365"] >= 0.5) & (share >= 0.01) & (share < 0.5))


def _upper_half(columns: Columns) -> npt.NDArray[np.bool_]:
    share = columns["spend_percentile"]
    return np.asarray((columns["net_spend_365"] >= 0.5) & (share >= 0.5) & (share <= 0.99))


_WINDOWS = (365, 180, 90, 30)  # the widest that the history covers is the one to speak of

MESSAGES: tuple[Message, ...] = (
    _bought_once("lateness"),
    *(
        Message(
            "lateness",
            ("gap_mean", "days_since_last"),
            "usually buys every {gap_mean:every}; last purchase {days_since_last:days} ago",
            when,
            reads,
        )
        for when, reads in ((_overdue, 1), (None, -1))
    ),
    Message("lateness", ("days_since_last",), "last purchase {days_since_last:days} ago"),
    _bought_once("rhythm"),
    Message(
        "rhythm",
        ("gap_mean", "gap_max"),
        "{gap_mean:days} between purchases on average, {gap_max:count} at most",
        lambda c: c["gap_max"] > c["gap_mean"],
    ),
    Message("rhythm", ("gap_mean",), "{gap_mean:days} between purchases on average"),
    _bought_once("frequency"),
    *(message for window in _WINDOWS for message in _frequency(window)),
    Message("frequency", ("n_purchases_all",), "{n_purchases_all:purchases} so far"),
    *(
        Message(
            "spend",
            ("net_spend_365", "spend_percentile"),
            "spent {net_spend_365:money} in the last 365 days, "
            "more than {spend_percentile:percent} of customers",
            when,
            reads,
        )
        for when, reads in ((_lower_half, 1), (_upper_half, -1))
    ),
    *(message for window in _WINDOWS for message in _spend(window)),
    Message("spend", ("aov_365",), "{aov_365:money} a purchase"),
    Message(
        "trend",
        ("n_purchases_180",),
        "no purchase in the last 180 days",
        _less_than("n_purchases_180", 0.5),
        reads=1,
    ),
    *(
        Message(
            "trend",
            ("n_purchases_90", "n_purchases_180"),
            "{n_purchases_90:purchases} in the last 90 days, {before:count} in the 90 days before",
            when,
            reads,
            derived={"before": lambda c: c["n_purchases_180"] - c["n_purchases_90"]},
        )
        for when, reads in ((_fewer, 1), (_more, -1), (None, 0))
    ),
    Message("basket", ("n_products_365",), "{n_products_365:products} in the last 365 days"),
    Message(
        "returns",
        ("return_rate_365",),
        "sent back {return_rate_365:percent} of what was bought in the last 365 days",
        lambda c: c["return_rate_365"] >= 0.005,
        reads=1,
    ),
    Message(
        "returns",
        ("return_rate_365",),
        "sent nothing back in the last 365 days",
        lambda c: c["return_rate_365"] == 0,
        reads=-1,
    ),
    Message(
        "discounts",
        ("discount_share_365",),
        "saved {discount_share_365:percent} through discounts in the last 365 days",
        lambda c: c["discount_share_365"] >= 0.005,
    ),
    Message(
        "discounts",
        ("discount_share_365",),
        "no discount in the last 365 days",
        lambda c: c["discount_share_365"] == 0,
    ),
    Message("tenure", ("tenure_days",), "first purchase {tenure_days:days} ago"),
)
"""The first message of a group that fits a customer is taken."""

"""What the calendar factor is learned from: purchases by day, and the dates of public holidays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.errors import InputError, NotEnoughDataError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["DailyPurchases", "daily_counts", "daily_purchases", "public_holidays"]


@dataclass(frozen=True)
class DailyPurchases:
    """Purchases of all customers by day.

    Attributes:
        first_day: The day of the first purchase, and of the first entries.
        repeats: Repeat purchases on each day before the cutoff, (days,).
        births: First purchases on each day, (days,).
    """

    first_day: dt.date
    repeats: npt.NDArray[np.int64]
    births: npt.NDArray[np.int64]


def daily_counts(bought: ir.Table) -> ir.Table:
    """Count purchases by day.

    Args:
        bought: One row a purchase, as `features.purchases.purchases` gives at a cutoff.

    Returns:
        One row a day with any purchase, in order: day, purchases and births (first purchases
        of a customer), both int64.
    """
    first = bought.group_by("customer_id").agg(first=bought.day.min())
    births = first.group_by(day=first["first"]).agg(births=lambda t: t.count())
    counts = bought.group_by("day").agg(purchases=bought.count())
    both = counts.left_join(births, "day")
    return both.select(
        both.day, both.purchases, births=both.births.fill_null(0).cast("int64")
    ).order_by("day")


def daily_purchases(ledger: Ledger, cutoff: dt.date) -> DailyPurchases:
    """Count the purchases known at the cutoff by day, on the engine.

    Raises:
        NotEnoughDataError: Nobody bought anything before the cutoff.
    """
    table = daily_counts(ledger.purchases(cutoff)).to_pyarrow().to_pydict()
    if not table["day"]:
        raise NotEnoughDataError(
            f"No customer has a purchase before the cutoff {cutoff}.", "Choose a later cutoff."
        )
    first_day = table["day"][0]
    at = [(day - first_day).days for day in table["day"]]
    purchases, births = np.zeros((2, (cutoff - first_day).days), dtype=np.int64)
    purchases[at] = table["purchases"]
    births[at] = table["births"]
    return DailyPurchases(first_day, purchases - births, births)


def public_holidays(
    country: str, first_year: int, last_year: int, offsets: Sequence[int] = (-1, 0, 1)
) -> dict[str, list[dt.date]]:
    """The public holidays of a country and the days around them, by name.

    Args:
        country: ISO 3166 code, where it matters with the subdivision: "FR", "GB-ENG", "DE-BY".
        first_year: First year.
        last_year: Last year.
        offsets: Days from the holiday: 0 the day itself, -1 the day before, ...

    Returns:
        Name -> dates, ascending: "Good Friday", "Good Friday -1", "Good Friday +1", ... Dates
        that a calendar by the moon makes uncertain are taken as expected.

    Raises:
        InputError: The library `holidays` is not installed or does not know the country.
    """
    try:
        import holidays
    except ImportError:
        raise InputError(
            "Public holidays need the library holidays, which is not installed.",
            "Install it with: pip install 'regulars[calendar]'.",
        ) from None
    code, _, part = country.upper().partition("-")
    try:
        known = holidays.country_holidays(
            code, subdiv=part or None, years=range(first_year, last_year + 1)
        )
    except NotImplementedError as error:
        raise InputError(
            f"The holidays of {country!r} are not known: {error}",
            'Write an ISO 3166 code such as "FR" or "GB-ENG".',
        ) from None
    found: dict[str, list[dt.date]] = {}
    for day in sorted(known):
        for name in known.get_list(day):
            for offset in offsets:
                key = name.removesuffix(" (estimated)") + (f" {offset:+d}" if offset else "")
                found.setdefault(key, []).append(day + dt.timedelta(days=offset))
    return found

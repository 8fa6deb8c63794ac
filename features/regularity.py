"""Regularity: how even the gaps between purchases are, and where the present one stands.

Logarithms are rounded to whole units, so that sums of them, and of their squares, are exact and
depend on no row order and no threads. Orders of the same day count as half a day apart in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from features.expressions import at_least, at_most, days_before, when, within
from features.feature import Feature
from features.rfm import LOG_UNITS, SAME_DAY
from features.window import ObservationWindow

if TYPE_CHECKING:
    import ibis.expr.types as ir

__all__ = [
    "FEATURES",
    "PRIOR_SPREAD",
    "clumpiness",
    "clumpiness_sums",
    "common_unevenness",
    "regularity_features",
    "regularity_statistics",
    "regularity_sums",
]

PRIOR_SPREAD = 3
"""How many degrees of freedom the whole customer base weighs in `regularity_k`."""

FEATURES: tuple[Feature, ...] = (
    Feature(
        "overdue_z",
        "(ln days_since_last - mean of ln gap) / sample standard deviation of ln gap; "
        "undefined below 4 purchases and where all gaps are alike",
        "all",
        "U",
        1,
        "lateness",
        core=False,
    ),
    Feature(
        "gap_trend",
        "least-squares slope of ln gap on the number of the gap: 0.1 means that each gap is "
        "a tenth longer than the one before; undefined below 5 purchases",
        "all",
        "U",
        0,
        "trend",
        core=False,
    ),
    Feature(
        "regularity_k",
        "shape of a gamma distribution of the gaps: 1 is a purchase at random times, more is "
        "more regular. From ln(mean gap) - mean of ln gap, which is shrunk to that of all "
        "customers; undefined below 4 purchases and where the gaps of each are all alike",
        "all",
        "U",
        0,
        "rhythm",
        minimum=0,
        core=False,
    ),
    Feature(
        "burstiness",
        "from -1 (all gaps alike) over 0 (random times) to 1 (all purchases at once), with the "
        "correction for few gaps of Kim and Jo (2016); undefined below 3 purchases",
        "all",
        "U",
        0,
        "rhythm",
        minimum=-1,
        maximum=1,
        core=False,
    ),
    Feature(
        "clumpiness",
        "1 + sum of x ln x / ln(n + 1) over the n + 1 parts x into which the n days with a "
        "purchase cut the last 365 days, or the time since the first purchase if that is "
        "shorter; the first purchase is no such day. Near 0 when the days are evenly spread; "
        "undefined below 2 such days (Zhang, Bradlow and Small 2015)",
        "365",
        "U",
        0,
        "rhythm",
        minimum=0,
        maximum=1,
        core=False,
    ),
)
"""How even the customer's rhythm is."""

_SQUARE_UNITS = 2.0**26
"""Coarser than `LOG_UNITS`, so that the square of a logarithm is a whole number of 64 bits."""


def regularity_sums(bought: ir.Table) -> dict[str, ir.Value]:
    """What is added up over a customer's gaps, as `features.rhythm.with_gaps` gives them."""
    days = (bought.gap == 0).ifelse(SAME_DAY, bought.gap.cast("float64"))
    units = (days.ln() * _SQUARE_UNITS).round().cast("int64")
    return {
        "shortest_gap": bought.gap.min(),
        "half_days": (days * 2).cast("int64").sum(),
        "gap_logs": units.sum(),
        "gap_log_squares": (units * units).sum(),
        "gap_log_places": (units * bought.place).sum(),
    }


def regularity_statistics(customers: ir.Table) -> dict[str, ir.Value]:
    """How uneven a customer's gaps are: gaps * (ln(mean gap) - mean of ln gap), in whole units.

    Missing below 4 purchases. `log_gap_units` is the sum of what `features.rfm` calls so.
    """
    c = customers
    gaps = (c.purchases - 1).cast("float64")
    mean = c.half_days.cast("float64") / 2.0 / gaps
    uneven = (gaps * mean.ln() * LOG_UNITS).round().cast("int64") - c.log_gap_units
    some = (c.longest_gap > c.shortest_gap).ifelse(at_least(uneven, 0), 0)
    return {"unevenness": (c.purchases >= 4).ifelse(some, ibis.null("int64"))}


def common_unevenness(customers: ir.Table) -> dict[str, ir.IntegerScalar]:
    """What the unevenness of all customers adds up to: `all_uneven`, and `all_freedom`."""
    c = customers
    return {
        "all_uneven": c.unevenness.sum(),
        "all_freedom": (c.purchases - 2).sum(where=c.unevenness.notnull()),
    }


def regularity_features(customers: ir.Table) -> dict[str, ir.Value]:
    """Features of regularity from the sums and `regularity_statistics`.

    Where the rows are those of some customers, the columns of `common_unevenness` stand beside.
    """
    c = customers
    gaps = (c.purchases - 1).cast("float64")
    logs, squares = (c[name].cast("float64") for name in ("gap_logs", "gap_log_squares"))
    # In units of the logarithms, squared; exact zeros are told by the gaps themselves.
    variance = (gaps * squares - logs * logs) / (gaps * (gaps - 1.0))
    spread = when((c.purchases >= 4) & (c.longest_gap > c.shortest_gap), at_least(variance, 0.0))
    now = c.days_since_last.cast("float64").ln() * _SQUARE_UNITS
    slope = (c.gap_log_places.cast("float64") - (gaps + 1.0) / 2.0 * logs) / _SQUARE_UNITS
    return {
        "overdue_z": (now - logs / gaps) / when(spread > 0, spread.sqrt()),
        "gap_trend": slope / when(c.purchases >= 5, gaps * (gaps * gaps - 1.0) / 12.0),
        "regularity_k": _shape(c),
        "burstiness": _burstiness(c),
    }


def _shape(customers: ir.Table) -> ir.FloatingValue:
    """The gamma shape, from a mean of own and common unevenness.

    2 k n s of n gaps is about chi-squared with n - 1 degrees of freedom, s being ln(mean) -
    mean of ln: so s is averaged as variances are. The shape solves ln k - digamma(k) = s, by
    the closed form of Thom (1958), "A note on the gamma distribution", Monthly Weather Review
    86(4).
    """
    c = customers
    everything = ibis.window()
    if "all_uneven" in c.columns:
        uneven, whole = c.all_uneven, c.all_freedom
    else:
        uneven, whole = (total.over(everything) for total in common_unevenness(c).values())
    own = c.unevenness.cast("float64") / LOG_UNITS
    freedom = when(c.unevenness.notnull(), c.purchases - 2)
    common = uneven.cast("float64") / LOG_UNITS / whole
    s = (own + PRIOR_SPREAD * common) / (freedom + PRIOR_SPREAD)
    s = when(s > 0, s)
    return (1.0 + (1.0 + 4.0 * s / 3.0).sqrt()) / (4.0 * s)


def _burstiness(customers: ir.Table) -> ir.FloatingValue:
    """Equation 22 of Kim and Jo (2016), "Measuring burstiness for finite event sequences".

    Physical Review E 94, 032311; r is the coefficient of variation of the n gaps.
    """
    c = customers
    n = (c.purchases - 1).cast("float64")
    total = c.last_day.delta(c.first_day, unit="day").cast("float64")
    # Sums of whole days are exact in a double.
    squares = at_least(n * c.gap_squares.cast("float64") - total * total, 0.0)
    r = squares.sqrt() / when((c.purchases >= 3) & (total > 0), total)
    more, less = (n + 1.0).sqrt(), at_least(n - 1.0, 0.0).sqrt()
    found = (more * r - less) / ((more - 2.0) * r + less)
    return at_most(at_least(found, -1.0), 1.0)


def clumpiness_sums(
    bought: ir.Table, window: ObservationWindow, days: int = 365
) -> dict[str, ir.Value]:
    """What is added up over a customer's purchases to see how they clump in the last `days`."""
    # From the purchase before, or from the day before the window. The first purchase has no gap.
    part = at_most(bought.gap, days + 1 - days_before(bought.day, window))
    inside = within(bought.day, window, days) & (part > 0)
    return {
        "parts": bought.count(where=inside),
        "part_logs": (_x_ln_x(part) * LOG_UNITS).round().cast("int64").sum(where=inside),
    }


def clumpiness(customers: ir.Table, days: int = 365) -> ir.FloatingValue:
    """H_p of Zhang, Bradlow and Small (2015), "Predicting customer value using clumpiness".

    Marketing Science 34(2). Time is counted from the first purchase on, which is no event.

    Args:
        customers: The sums, days_since_last and tenure_days.
        days: Length of the window that the sums were taken over.
    """
    c = customers
    length = at_most(c.tenure_days, days + 1).cast("float64")
    logs = c.part_logs.cast("float64") / LOG_UNITS + _x_ln_x(c.days_since_last)
    found = 1.0 + (logs / length - length.ln()) / when(c.parts >= 2, c.parts + 1).ln()
    return at_most(at_least(found, 0.0), 1.0)


def _x_ln_x(days: ir.NumericValue) -> ir.FloatingValue:
    """Days times their logarithm, 0 where there are none."""
    return days.cast("float64") * at_least(days, 1).cast("float64").ln()

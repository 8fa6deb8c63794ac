"""The calendar factor of a shop, learned before a cutoff, or why there is none."""

import datetime as dt

import numpy as np

from features.ledger import Ledger
from features.rfm import rfm_counts
from features.seasons import daily_purchases, public_holidays
from models.base import ModelError
from models.calendar import Calendar
from models.calendar_learning import learn

__all__ = ["learn_calendar"]

_COMING_YEARS = 21
"""Years after the cutoff for which holidays are kept: a horizon of twenty years and some."""

_FLAT = 0.01
"""A season whose logarithm has a smaller standard deviation over the weeks is none."""


def learn_calendar(
    ledger: Ledger, cutoff: dt.date, *, country: str | None = None
) -> tuple[Calendar | None, str]:
    """Learn the calendar factor from the purchases known at a cutoff.

    Args:
        ledger: The trusted tables.
        cutoff: Nothing from this day on is used.
        country: ISO 3166 code of the country whose public holidays count, such as "GB-ENG".

    Returns:
        The calendar, and a sentence on what it shows; or None, and the reason: too little
        history, or no season to be seen.

    Raises:
        InputError: The country's holidays are not known.
        NotEnoughDataError: Nobody bought anything before the cutoff.
    """
    daily = daily_purchases(ledger, cutoff)
    days = (
        public_holidays(country, daily.first_day.year, cutoff.year + _COMING_YEARS)
        if country
        else None
    )
    rfm = rfm_counts(ledger.purchases(cutoff), cutoff).to_pyarrow().to_pandas()
    try:
        calendar = learn(rfm, daily.repeats, cutoff, days)
    except ModelError as error:
        return None, error.message
    season = np.array(calendar.season)
    if np.log(season).std() < _FLAT:
        return None, "The history shows no season: all weeks of the year are within a percent."
    high, low = season.argmax(), season.argmin()
    return calendar, (
        f"Purchase rates are {season[high]:.2f} times the mean in {_around(high, cutoff)} and "
        f"{season[low]:.2f} times in {_around(low, cutoff)}."
    )


def _around(point: np.intp, cutoff: dt.date) -> str:
    """The time of year of a point of the season."""
    day = dt.date(cutoff.year, 1, 1) + dt.timedelta(days=int((point + 0.5) / 52 * 365))
    part = "early" if day.day <= 10 else "mid" if day.day <= 20 else "late"
    return f"{part} {day:%B}"

"""Retention: how many customers of a cohort still buy, and how long customers stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from ibis import _
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.rates import confint_poisson

from features.measures.intervals import LEVEL, share_interval
from features.measures.lives import lives
from features.measures.periods import ALL
from features.measures.segments import COHORT
from features.measures.table import Found, Measure, Missing, rows

if TYPE_CHECKING:
    from features.measures.segments import Question

__all__ = ["LEAST", "MEASURES", "MONTH", "retention"]

MONTH = 365.25 / 12
"""Days of a month, where months are an age and not a date."""

LEAST = 10
"""Ages that fewer customers have been observed to are not shown: chance would draw them."""

RETENTION = Measure(
    "retention_rate",
    "share",
    "Retention rate",
    "of the customers of a cohort (the period of the first purchase), those with a purchase in "
    "the period that is `age` periods later; for everyone and each segment also pooled over the "
    "cohorts that are old enough, as period all",
    n="customers of the cohort",
)
SURVIVAL = Measure(
    "survival_rate",
    "share",
    "Survival rate",
    "share of customers who are not lost `age` months after their first purchase, that is who "
    "have not been silent for more than churn_days since; customers who are not lost at the end "
    "of the data count up to their age then. With log-log intervals",
    source="Kaplan and Meier 1958, JASA 53:457, by statsmodels SurvfuncRight",
    n="customers observed to that age",
)
KEPT = Measure(
    "mean_survival",
    "months",
    "Months as a customer",
    "mean months until a customer is lost, of the first `age` months (restricted mean survival "
    "time: the area under the survival curve up to there), churn_days of silence included",
    source="Klein and Moeschberger 2003, Survival Analysis, 4.5",
    n="customers",
)
LIFETIME = Measure(
    "customer_lifetime",
    "months",
    "Customer lifetime (1 / churn)",
    "months that customers were active in / times one became lost: the mean lifetime if the "
    "chance of leaving were the same for all and at any age. It is what the classic CLV uses. "
    "With the exact Poisson interval",
    source="occurrence / exposure; Garwood 1936, Biometrika 28:437, by statsmodels confint_poisson",
    n="times a customer became lost",
)

MEASURES = (RETENTION, SURVIVAL, KEPT, LIFETIME)


def retention(asked: Question) -> Found:
    """The cohort triangle, its pooled curve, survival by age, and lifetimes.

    Args:
        asked: The question.

    Returns:
        - retention_rate: a cell of the triangle has the period that was measured and the
          segment `cohort=2024-01|age=3`; the pooled curve has the period "all" and `age=3` or
          `country=GB|age=3`. Age 0 is left out. Wilson intervals.
        - survival_rate (period "all", `age=3` in months), mean_survival (`age=12`, 24, ...)
          and customer_lifetime, for everyone and each segment.
    """
    parts = [_triangle(asked), _survival(asked), _lifetime(asked)]
    return Found(
        pd.concat([part.frame for part in parts], ignore_index=True),
        tuple(missing for part in parts for missing in part.missing),
    )


def _triangle(asked: Question) -> Found:
    whole = len(asked.periods.whole)
    needs = f"It takes two whole periods by {asked.periods.by}, and purchases in the first."
    nothing = Found(missing=(Missing((RETENTION.name,), needs),))
    if whole < 2:
        return nothing
    others = tuple(name for name in asked.segments if name != COHORT)
    during = asked.periods.during(asked.active)
    cells = asked.totals(
        during.mutate(cohort=during.period - during.age).drop("period"),
        day=None,
        by=("cohort", "age"),
        segments=others,
        buyers=_.count(),
    )
    cells = cells[cells["cohort"] >= 0]
    parts = []
    for segment, own in cells.groupby("segment"):
        counts = np.zeros((whole, whole))
        counts[own["cohort"], own["age"]] = own["buyers"]
        size = counts[:, 0]
        cohort, age = (x.ravel() for x in np.indices(counts.shape))
        reached = (age > 0) & (cohort + age < whole)
        if segment == ALL:
            cohort, age = cohort[reached], age[reached]
            names = asked.periods.labels(cohort.tolist())
            table = pd.DataFrame(
                {
                    "period": asked.periods.labels((cohort + age).tolist()),
                    "segment": [f"cohort={c}|age={a}" for c, a in zip(names, age, strict=True)],
                    "size": size[cohort],
                    "buyers": counts[cohort, age],
                }
            )
            parts.append(table[table["size"] > 0])
        ages = np.arange(1, whole)
        pooled = pd.DataFrame(
            {
                "period": ALL,
                "segment": [f"{_before(segment)}age={a}" for a in ages],
                "size": [size[: whole - a].sum() for a in ages],
                "buyers": [counts[: whole - a, a].sum() for a in ages],
            }
        )
        parts.append(pooled[pooled["size"] > 0])
    if not parts:
        return nothing
    table = pd.concat(parts, ignore_index=True)
    value, low, high = share_interval(table["buyers"], table["size"])
    return Found(rows(RETENTION, table, value, "size", low, high))


def _before(segment: object) -> str:
    return "" if segment == ALL else f"{segment}|"


def _survival(asked: Question) -> Found:
    """Survival by months of age and restricted means, from days to the end of the first life."""
    first = lives(asked).filter(_.number == 0)
    counted = asked.totals(first, day=None, by=("days", "lost"), customers=_.count())
    curve: list[dict[str, object]] = []
    means: list[dict[str, object]] = []
    for segment, own in counted.groupby("segment"):
        days = np.repeat(own["days"].to_numpy(), own["customers"])
        lost = np.repeat(own["lost"].to_numpy(), own["customers"])
        months = np.arange(1, int(days.max() // MONTH) + 1)
        at_risk = np.array([(days >= age * MONTH).sum() for age in months])
        months, at_risk = months[at_risk >= LEAST], at_risk[at_risk >= LEAST]
        if not lost.any() or not len(months):
            continue
        fitted = SurvfuncRight(days, lost)
        share, low, high = _at(fitted, np.asarray(months * MONTH, np.float64))
        for i, age in enumerate(months.tolist()):
            place = f"{_before(segment)}age={age}"
            curve.append(_row(place, int(at_risk[i]), share[i], low[i], high[i]))
        for age in range(12, int(months[-1]) + 1, 12):
            mean, low_mean, high_mean = _restricted_mean(fitted, age * MONTH)
            place = f"{_before(segment)}age={age}"
            means.append(_row(place, len(days), mean, low_mean, high_mean))
    if not curve:
        needs = f"Fewer than {LEAST} customers were observed for a month, or nobody became lost."
        return Found(missing=(Missing((SURVIVAL.name, KEPT.name), needs),))
    missing: tuple[Missing, ...] = ()
    parts = [_long(SURVIVAL, curve)]
    if means:
        parts.append(_long(KEPT, means))
    else:
        needs = f"Fewer than {LEAST} customers were observed for a year."
        missing = (Missing((KEPT.name,), needs),)
    return Found(pd.concat(parts, ignore_index=True), missing)


def _row(segment: str, n: int, value: float, low: float, high: float) -> dict[str, object]:
    return {"segment": segment, "n": n, "value": value, "low": low, "high": high}


def _long(measure: Measure, found: list[dict[str, object]]) -> pd.DataFrame:
    return rows(measure, pd.DataFrame(found).assign(period=ALL), "value", "n", "low", "high")


Floats = npt.NDArray[np.float64]


def _at(fitted: SurvfuncRight, days: Floats) -> tuple[Floats, Floats, Floats]:
    """Survival at some ages, with log-log intervals (Klein and Moeschberger 2003, 4.3.2)."""
    place = np.searchsorted(fitted.surv_times, days, side="right") - 1
    share = np.where(place >= 0, fitted.surv_prob[place], 1.0)
    error = np.where(place >= 0, fitted.surv_prob_se[place], 0.0)
    inside = (share > 0) & (share < 1)
    log = np.log(share, out=np.full(len(share), -1.0), where=inside)
    width = norm.ppf(0.5 + LEVEL / 2) * error / np.where(inside, share * log, 1.0)
    low = np.where(inside, share ** np.exp(-width), share)
    high = np.where(inside, share ** np.exp(width), share)
    return share, low, high


def _restricted_mean(fitted: SurvfuncRight, days: float) -> tuple[float, float, float]:
    """Area under the curve up to `days`, in months, with its normal interval."""
    early = fitted.surv_times <= days
    times = np.concatenate([[0.0], fitted.surv_times[early], [days]])
    share = np.concatenate([[1.0], fitted.surv_prob[early]])
    area = share * np.diff(times)
    mean = area.sum()
    # What lies under the curve after each loss.
    after = np.cumsum(area[::-1])[::-1][1:]
    events, risk = fitted.n_events[early], fitted.n_risk[early]
    left = risk - events
    weight = np.divide(events, risk * left, out=np.zeros(len(events)), where=left > 0)
    width = norm.ppf(0.5 + LEVEL / 2) * np.sqrt((after**2 * weight).sum())
    return mean / MONTH, (mean - width) / MONTH, (mean + width) / MONTH


def _lifetime(asked: Question) -> Found:
    """Months per loss: exposure over occurrence, of all lives."""
    found = asked.totals(lives(asked), day=None, days=_.days.sum(), lost=_.lost.sum())
    found = found[found["lost"] > 0]
    if not len(found):
        needs = "Nobody became lost by the end of the data: a longer history is needed."
        return Found(missing=(Missing((LIFETIME.name,), needs),))
    months = found["days"].to_numpy() / MONTH
    lost = found["lost"].to_numpy()
    low, high = confint_poisson(lost, months, method="exact-c", alpha=1 - LEVEL)
    return Found(rows(LIFETIME, found, months / lost, "lost", 1 / high, 1 / low))

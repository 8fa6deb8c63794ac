"""What the lists of the past, and those that still run, ask of a person.

A figure is a matter for a person when its whole 95 % interval lies beyond the limit: the more
customers, the smaller the error that is found, and few customers raise no alarm. Only the latest
cohort of the model in use asks for something: an older one was already looked at, and a model that
was replaced needs no training.
"""

from __future__ import annotations

import datetime as dt
import math

import pandas as pd

from serving.findings import Finding, Severity
from serving.look_back import Lookback, MonitorSettings

__all__ = ["early_findings", "estimate_findings", "performance_findings"]

_EARLY_DAYS = 14  # days of a horizon from which its returns are a matter for a person
_HELD = 0.80  # of intervals that are to hold 90 %, the share that may hold
_GONE = 0.05  # share of a list that may be in no table any more
_TRAIN = "Train again with the newest data: `regulars train`."
_CHECK = "Check that the newest rows are all there (`regulars check`)"


def performance_findings(
    looked: Lookback, settings: MonitorSettings, champions: tuple[str, ...] = ()
) -> list[Finding]:
    """How closed lists did, the latest first.

    Args:
        looked: The lists.
        settings: The limits.
        champions: Name and version of the models in use, such as `regulars-churn/3`; the lists of
            others ask for nothing. Empty: it is not known, and every model counts.

    Returns:
        Findings of the area `performance`; `subject` is the cutoff, followed by the part of the
        list where it is not the one by which the model is judged.
    """
    table = looked.cohorts
    found: list[Finding] = []
    for kind in ("churn", "clv"):
        here = table[table["kind"] == kind]
        in_use = here[here["model"].isin(champions)] if champions else here
        latest = in_use["as_of"].max()
        for day in sorted(here["as_of"].unique(), reverse=True):
            for list_id, cohort in here[here["as_of"] == day].groupby("list_id", sort=True):
                about = looked.lists.set_index("list_id").loc[list_id]
                model = str(cohort["model"].iloc[0])
                live = day == latest and (not champions or model in champions)
                judge = _churn_findings if kind == "churn" else _value_findings
                found += judge(_Cohort(cohort, about, live), settings)
    return found


class _Cohort:
    """The measures of one list."""

    def __init__(self, table: pd.DataFrame, about: pd.Series, live: bool) -> None:
        self.table, self.about, self.live = table, about, live
        self.day: dt.date = table["as_of"].iloc[0].date()
        self.model = str(table["model"].iloc[0])

    def get(self, measure: str, part: str | None = None) -> pd.Series | None:
        """A measure of the judged part, or of another one."""
        rows = self.table[self.table["measure"] == measure]
        rows = rows[rows["judged"]] if part is None else rows[rows["part"] == part]
        return None if rows.empty else rows.iloc[0]

    def subject(self, part: str = "") -> str:
        """The cutoff, and which part of the list."""
        return f"{self.day} {part}".strip()

    def severity(self, beyond: bool, crossed: bool, gravest: Severity = "act") -> Severity:
        """What a figure asks for that is surely beyond its limit, or seems so."""
        if not self.live:
            return "fine"
        return gravest if beyond else "watch" if crossed else "fine"

    def finding(
        self,
        row: pd.Series,
        words: str,
        *,
        part: str = "",
        limit: float = math.nan,
        severity: Severity = "fine",
        remedy: str = "",
    ) -> Finding:
        """A finding of one of its measures."""
        return Finding(
            "performance", self.subject(part), str(row["measure"]), float(row["value"]),
            float(row["low"]), float(row["high"]), limit, int(row["n"]), severity, words,
            "" if severity == "fine" else remedy,
        )  # fmt: skip


def _churn_findings(cohort: _Cohort, settings: MonitorSettings) -> list[Finding]:
    gap, rate, mean = (cohort.get(name) for name in ("calibration_gap", "churn_rate", "mean_p"))
    if gap is None or rate is None or mean is None:
        return []
    who = f"{gap['n']:,} customers scored on {cohort.day} by {cohort.model}"
    if gap["n"] < settings.min_customers:
        words = f"Of {who} {rate['value']:.1%} left; they are too few to judge the model by."
        return [cohort.finding(rate, words)]
    found = [_level(cohort, who, gap, rate, mean, settings)]
    found += _order(cohort, who, settings)
    for name, words in (
        ("brier", "The mean squared error of the churn probabilities of {who} is {value:.3f}."),
        ("ece", "In groups of equal forecast, the share of {who} who left is off by {value:.1%}."),
    ):
        row = cohort.get(name)
        if row is None or not cohort.live:
            continue
        limit = math.nan
        severity: Severity = "fine"
        if name == "ece":
            limit = settings.calibration_gap
            severity = cohort.severity(False, row["low"] > limit)
        found.append(
            cohort.finding(
                row,
                words.format(who=who, value=row["value"]),
                limit=limit,
                severity=severity,
                remedy=_TRAIN,
            )
        )
    return found + _money(cohort, who) + _others(cohort)


def _level(
    cohort: _Cohort,
    who: str,
    gap: pd.Series,
    rate: pd.Series,
    mean: pd.Series,
    settings: MonitorSettings,
) -> Finding:
    limit = settings.calibration_gap
    beyond = gap["low"] > limit or gap["high"] < -limit
    words = (
        f"Of {who} {rate['value']:.1%} left; {mean['value']:.1%} were expected (difference "
        f"{_points(gap['value'])} points, 95 % interval {_points(gap['low'])} to "
        f"{_points(gap['high'])}; {limit * 100:.0f} are tolerated)."
    )
    if cohort.get("calibration_gap", "contacted") is not None and gap["part"] == "untouched":
        words += " Customers who were sent something are left out, and others stand for them."
    way = "high" if gap["value"] > 0 else "low"
    remedy = (
        f"{_TRAIN} Until then, read the churn probabilities as about "
        f"{abs(gap['value']) * 100:.0f} points too {way}."
    )
    severity = cohort.severity(beyond, abs(gap["value"]) > limit)
    return cohort.finding(gap, words, limit=limit, severity=severity, remedy=remedy)


def _order(cohort: _Cohort, who: str, settings: MonitorSettings) -> list[Finding]:
    row, tested = cohort.get("roc_auc"), cohort.about["test_auc"]
    if row is None:
        return []
    words = (
        f"Of {who}, one who left had a higher churn probability than one who stayed in "
        f"{row['value']:.1%} of pairs"
    )
    comparable = bool(cohort.about["whole"]) and cohort.about["eligibility"] == "everyone"
    if pd.isna(tested) or not comparable:
        return [cohort.finding(row, f"{words}.")]
    limit = float(tested) - settings.auc_drop
    severity = cohort.severity(row["high"] < limit, row["value"] < limit)
    words += f"; in the training's test it was {tested:.1%}."
    return [cohort.finding(row, words, limit=limit, severity=severity, remedy=_TRAIN)]


def _money(cohort: _Cohort, who: str) -> list[Finding]:
    real, told = cohort.get("realised_profit"), cohort.get("expected_profit")
    if real is None or told is None:
        return []
    words = (
        f"The offers planned for {who} would have earned {real['value']:.2f} each by what they "
        f"did, {told['value']:.2f} by what was foretold, if offers do what is assumed."
    )
    loses, over = real["high"] < 0.0, told["value"] > real["high"]
    remedy = (
        "Check save_rate, offer_cost and value under [decision] before the next list is sent."
        if loses
        else f"Expect less of the next list. {_TRAIN}"
    )
    severity = cohort.severity(loses, over)
    return [cohort.finding(real, words, limit=0.0, severity=severity, remedy=remedy)]


def _others(cohort: _Cohort) -> list[Finding]:
    """What is no judgement of the model: treated outcomes, and customers who are gone."""
    found = []
    gap, rate, mean = (
        cohort.get(name, "contacted") for name in ("calibration_gap", "churn_rate", "mean_p")
    )
    if gap is not None and rate is not None and mean is not None and cohort.live:
        words = (
            f"Of {gap['n']:,} customers of the list of {cohort.day} who were sent something since, "
            f"{rate['value']:.1%} left; {mean['value']:.1%} were expected. What they did is "
            "forecast and message together, and does not judge the model."
        )
        found.append(cohort.finding(gap, words, part="contacted"))
    gone = cohort.get("gone_share", "all")
    if gone is not None and gone["value"] > 0.0 and cohort.live:
        words = (
            f"{gone['value']:.1%} of the customers scored on {cohort.day} are in no table any "
            "more, so that nobody knows what they did."
        )
        severity = cohort.severity(False, gone["value"] > _GONE)
        remedy = "Find out whether customers were given new ids or rows were deleted."
        found.append(
            cohort.finding(gone, words, part="all", limit=_GONE, severity=severity, remedy=remedy)
        )
    return found


def _value_findings(cohort: _Cohort, settings: MonitorSettings) -> list[Finding]:
    found = []
    limit = settings.clv_bias
    for name, what in (
        ("clv_bias", "value"), ("spend_bias", "spend"), ("purchases_bias", "number of purchases"),
    ):  # fmt: skip
        row = cohort.get(name)
        if row is None or row["n"] < settings.min_customers:
            continue
        beyond = row["low"] > limit or row["high"] < -limit
        way = "above" if row["value"] > 0 else "below"
        words = (
            f"The {what} foretold for {row['n']:,} customers on {cohort.day} by {cohort.model} was "
            f"{abs(row['value']):.0%} {way} the one that came (95 % interval {row['low']:+.0%} to "
            f"{row['high']:+.0%}; {limit:.0%} are tolerated)."
        )
        gravest: Severity = "act" if name == "clv_bias" else "watch"
        severity = cohort.severity(beyond, abs(row["value"]) > limit, gravest)
        remedy = "Train the value model again: `regulars train clv`."
        found.append(cohort.finding(row, words, limit=limit, severity=severity, remedy=remedy))
    held = cohort.get("clv_held")
    if held is not None and held["n"] >= settings.min_customers and cohort.live:
        words = (
            f"The value of {held['value']:.0%} of {held['n']:,} customers lies in the interval "
            f"that was stated on {cohort.day}; 90 % were meant."
        )
        severity = cohort.severity(False, held["high"] < _HELD)
        remedy = "Train the value model again, and do not promise its intervals until then."
        found.append(cohort.finding(held, words, limit=_HELD, severity=severity, remedy=remedy))
    return found


def estimate_findings(
    looked: Lookback, settings: MonitorSettings, champions: tuple[str, ...] = ()
) -> list[Finding]:
    """How the latest list that still runs is likely to do, if its probabilities are right.

    Args:
        looked: The lists.
        settings: The limits.
        champions: As for `performance_findings`.

    Returns:
        Findings of the area `estimate`. They never need a person now: an estimate takes the
        calibration for granted, and says nothing of it.
    """
    table = looked.estimates
    if champions:
        table = table[table["model"].isin(champions)]
    if table.empty:
        return []
    last = table[table["as_of"] == table["as_of"].max()]
    last = last[last["list_id"] == last["list_id"].max()]
    about = looked.lists.set_index("list_id").loc[last["list_id"].iloc[0]]
    day = last["as_of"].iloc[0].date()
    whom = f"{int(last['n'].iloc[0]):,} customers scored on {day}"
    comparable = bool(about["whole"]) and about["eligibility"] == "everyone"
    limit = float(about["test_auc"]) - settings.auc_drop if comparable else math.nan
    words = {
        "roc_auc": "The AUC of the {whom} will be about {value:.3f}, if their probabilities are "
        "right.",
        "brier": "The Brier score of the {whom} will be about {value:.3f}, if their probabilities "
        "are right.",
        "churn_rate": "Of the {whom} {value:.1%} are expected to leave.",
        "precision": "Of the customers listed among the {whom} {value:.1%} are expected to leave.",
        "profit": "The offers planned for the {whom} are expected to earn {value:.2f} each.",
    }
    found = []
    for row in last.to_dict("records"):
        name = str(row["measure"])
        low_auc = name == "roc_auc" and row["high"] < limit
        found.append(
            Finding(
                "estimate",
                str(day),
                f"estimated_{name}",
                row["value"],
                row["low"],
                row["high"],
                limit if name == "roc_auc" else math.nan,
                int(row["n"]),
                "watch" if low_auc else "fine",
                words[name].format(whom=whom, value=row["value"]),
                "Look at the drift of the features; train again if it stays." if low_auc else "",
            )
        )
    return found


def early_findings(
    looked: Lookback, settings: MonitorSettings, champions: tuple[str, ...] = ()
) -> list[Finding]:
    """Whether as many customers are back as should be, of lists that still run.

    Outside the band by more than the tolerated calibration gap, as far as it shows by that day,
    needs a person once two weeks have passed; outside the band is a reason to look again.

    Args:
        looked: The lists.
        settings: The limits.
        champions: As for `performance_findings`.

    Returns:
        One finding of the area `early` a list.
    """
    found = []
    for _, days in looked.early.groupby("list_id", sort=True):
        row = days.sort_values("day").iloc[-1]
        n, day = int(row["n"]), row["as_of"].date()
        room = settings.calibration_gap * float(row["curve"])
        least, most = row["low"] - room, row["high"] + room
        outside = not row["low"] <= row["observed"] <= row["high"]
        beyond = not least <= row["observed"] <= most
        live = not champions or row["model"] in champions
        severity: Severity = "fine"
        if live and n >= settings.min_customers and outside:
            # A band from one earlier horizon does not hold what differs from one to the next.
            sure = beyond and row["day"] >= _EARLY_DAYS and row["windows"] > 1
            severity = "act" if sure else "watch"
        fewer = row["observed"] < row["expected"]
        words = (
            f"After {row['day']} days {row['observed']:.1%} of {n:,} customers scored on {day} by "
            f"{row['model']} are back; {row['expected']:.1%} were expected, {row['low']:.1%} to "
            f"{row['high']:.1%} by chance."
        )
        remedy = (
            f"{_CHECK}. If they are, {'more' if fewer else 'fewer'} customers leave than foretold: "
            "train again with the newest data."
        )
        limit = float(least if fewer else most)
        found.append(
            Finding(
                "early",
                str(day),
                "early_returns",
                float(row["observed"]),
                float(row["low"]),
                float(row["high"]),
                limit,
                n,
                severity,
                words,
                remedy if severity != "fine" else "",
            )
        )
    return found


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"

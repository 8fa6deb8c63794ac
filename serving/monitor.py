"""Everything that is watched about one business at one cutoff, gathered.

What is missing is said with what would bring it, and stops nothing else: without a model the data
is still looked at, without recorded lists the inputs are still compared.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from features.errors import InputError
from features.progress import task
from features.settings import FeatureSettings
from serving.advice import Advice, Case, advise
from serving.drift import Drift, DriftSettings, UnknownExemptionError, look_for_drift
from serving.findings import Finding, Severity, ordered, worst
from serving.ledger_breaks import break_findings
from serving.look_back import Lookback, MonitorSettings, look_back
from serving.model_inputs import Snapshots
from serving.performance import early_findings, estimate_findings, performance_findings
from serving.registry import CHURN, CLV
from serving.scorer import default_cutoff
from serving.standing import InUse, Standing, standing

if TYPE_CHECKING:
    from features.ledger import Ledger
    from serving.score_ledger import ScoreLedger

__all__ = ["Lack", "Monitoring", "Watch", "monitor"]

_VALUE = frozenset({"purchases_bias", "spend_bias", "clv_bias", "clv_held"})
_LAST_YEAR = 365
_LATE = 7  # days behind the longest silence of the last year, after which somebody is called


@dataclass(frozen=True)
class Watch:
    """How to look.

    Attributes:
        tracking_uri: Where MLflow keeps its records.
        score_ledger: Where scored lists are recorded; None: nowhere.
        cohorts: Limits of how models did.
        drift: Limits of how customers have changed.
        features: Features beside the catalogue, as in training.
        today: The day on which this is asked, to tell whether data still arrives; None: that is not
            asked, as for a cutoff in the past.
        in_use: Registered model -> how its champion came to be that, as far as it is known.
    """

    tracking_uri: str
    score_ledger: ScoreLedger | None = None
    cohorts: MonitorSettings = field(default_factory=MonitorSettings)
    drift: DriftSettings = field(default_factory=DriftSettings)
    features: FeatureSettings | None = None
    today: dt.date | None = None
    in_use: Mapping[str, InUse] = field(default_factory=dict)


@dataclass(frozen=True)
class Lack:
    """Something that could be watched and is not, because something is missing.

    Attributes:
        code: no_model, ledger_off, no_lists, none_closed, no_contacts or no_reference.
        subject: Of what: a registered model; empty otherwise.
        day: When it comes by itself.
        words: What is missing, and how to get it.
    """

    code: str
    words: str
    subject: str = ""
    day: dt.date | None = None


@dataclass(frozen=True)
class Monitoring:
    """What was found.

    Attributes:
        as_of: The cutoff.
        findings: In the order of `serving.findings.ordered`.
        advice: One for each model.
        lacks: What could not be watched.
        lookback: How the recorded lists did; None where none is recorded.
        drift: Registered model -> how its customers have changed.
    """

    as_of: dt.date
    findings: tuple[Finding, ...]
    advice: tuple[Advice, ...]
    lacks: tuple[Lack, ...] = ()
    lookback: Lookback | None = None
    drift: Mapping[str, Drift] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """The gravest of the findings."""
        return worst(self.findings)


def monitor(
    ledger: Ledger,
    cutoff: dt.date | None,
    watch: Watch,
    *,
    snapshots: Snapshots | None = None,
) -> Monitoring:
    """Look at the data, the models and their recorded lists.

    Args:
        ledger: The trusted tables.
        cutoff: Everything before its midnight is known; the day after the last when None.
        watch: How to look.
        snapshots: Those that have been taken already.

    Returns:
        What was found. A registry, a model or a score ledger that cannot be read is a finding,
        which calls for a person; the rest is looked at all the same.

    Raises:
        InputError: The cutoff lies outside the data, or a setting is wrong.
    """
    day = default_cutoff(ledger) if cutoff is None else cutoff
    _check(ledger, day)
    snapshots = snapshots or Snapshots(ledger, watch.features)
    with task("Looking for breaks in the data", total=1) as looking:
        data = [*break_findings(ledger, day), *_age(ledger, watch.today)]
        looking.advance()
    models, found, lacks = _standings(day, watch)
    drift: dict[str, Drift] = {}
    with task("Comparing customers with those of the training", total=len(models)) as comparing:
        for name, each in models.items():
            try:
                drift[name] = look_for_drift(
                    ledger, day, each.model, watch.drift, watch.features, snapshots=snapshots
                )
            except UnknownExemptionError:
                raise
            except InputError as problem:
                found.append(_unreadable(name, "registry", problem))
            else:
                if drift[name].table.empty:
                    lacks.append(_no_reference(each))
            comparing.advance()
    lookback, ours, more = _lists(ledger, watch, models)
    lacks += more
    if "contacts" not in ledger.tables and lookback is not None:
        lacks.append(
            Lack(
                "no_contacts",
                "There is no table contacts: nobody knows who was sent something, so customers "
                "whom a message has kept count as wrong predictions. Add it to the source.",
            )
        )
    about = [*found, *ours, *(one for each in drift.values() for one in each.findings)]
    advice = tuple(
        advise(_case(name, models.get(name), drift.get(name), ours, day), day, data)
        for name in (CHURN, CLV)
    )
    return Monitoring(day, tuple(ordered([*data, *about])), advice, tuple(lacks), lookback, drift)


def _check(ledger: Ledger, cutoff: dt.date) -> None:
    latest = default_cutoff(ledger)
    if not ledger.first_day < cutoff <= latest:
        raise InputError(
            f"The cutoff {cutoff} lies outside the data.",
            f"Use a day from {ledger.first_day + dt.timedelta(days=1)} to {latest}.",
        )


def _age(ledger: Ledger, today: dt.date | None) -> list[Finding]:
    """Whether data still arrives: as late as never in the last year is too late."""
    if today is None:
        return []
    since = ledger.last_day - dt.timedelta(days=_LAST_YEAR)
    rows = ledger.con.con.execute(
        "SELECT DISTINCT CAST(timestamp AS DATE) AS day FROM transactions "
        "WHERE timestamp >= $1 ORDER BY day",
        [since],
    ).fetchall()
    days = pd.to_datetime([row[0] for row in rows])
    longest = int(pd.Series(days).diff().dt.days.max()) if len(days) > 1 else 1
    age = (today - ledger.last_day).days
    # Yesterday is what a nightly run can have at best.
    limit = longest + 1
    severity: Severity = "fine" if age <= limit else "watch" if age <= limit + _LATE else "act"
    plural = "" if age == 1 else "s"
    return [
        Finding(
            "data",
            "transactions",
            "age_days",
            float(age),
            limit=float(limit),
            n=len(days),
            severity=severity,
            words=f"The last transaction is of {ledger.last_day}, {age} day{plural} ago; the "
            f"longest silence of the year before it was {longest}.",
            remedy=""
            if severity == "fine"
            else "See whether the tables are still loaded: days without data read as silence of "
            "customers. If the data ends in the past on purpose, say --cutoff.",
        )
    ]


def _standings(
    cutoff: dt.date, watch: Watch
) -> tuple[dict[str, Standing], list[Finding], list[Lack]]:
    models: dict[str, Standing] = {}
    found: list[Finding] = []
    lacks: list[Lack] = []
    with task("Loading the models", total=2) as loading:
        for name in (CHURN, CLV):
            try:
                each = standing(name, cutoff, watch.tracking_uri, watch.in_use.get(name))
            except InputError as problem:
                if "regulars train" in problem.hint and "no MLflow database" in problem.message:
                    each = None
                else:
                    found.append(_unreadable(name, "registry", problem))
                    continue
            if each is None:
                command = f"regulars train {name.removeprefix('regulars-')}"
                words = f"There is no model {name} in use: run `{command}`."
                lacks.append(Lack("no_model", words, name))
            else:
                models[name] = each
                found += each.findings()
            loading.advance()
    return models, found, lacks


def _no_reference(each: Standing) -> Lack:
    return Lack(
        "no_reference",
        f"{each.model.label} keeps no picture of the customers it learned from, so nothing is said "
        "about how they have changed: it was trained by an earlier version. Train again.",
        each.model.label,
    )


def _lists(
    ledger: Ledger, watch: Watch, models: Mapping[str, Standing]
) -> tuple[Lookback | None, list[Finding], list[Lack]]:
    """How the recorded lists did."""
    place = watch.score_ledger
    if place is None:
        words = (
            "Scored lists are not recorded, so nobody can tell later whether they were right: name "
            "a file under [monitor] score_ledger."
        )
        return None, [], [Lack("ledger_off", words)]
    try:
        with task("Holding recorded lists against what happened", total=1) as looking:
            found = look_back(ledger, place, watch.cohorts)
            looking.advance()
    except InputError as problem:
        return None, [_unreadable("score ledger", "score_ledger", problem)], []
    if found.lists.empty:
        words = (
            "No list is recorded yet: `regulars score` records each, and they are judged when "
            "their horizon is over."
        )
        return None, [], [Lack("no_lists", words)]
    lacks = []
    if found.cohorts.empty:
        day = _first_end(found)
        lacks.append(
            Lack(
                "none_closed",
                "No recorded list is over yet" + (f"; the first one is on {day}." if day else "."),
                day=day,
            )
        )
    champions = tuple(each.model.label for each in models.values())
    judged = [
        one
        for judge in (performance_findings, estimate_findings, early_findings)
        for one in judge(found, watch.cohorts, champions)
    ]
    return found, judged, lacks


def _unreadable(subject: str, measure: str, problem: InputError) -> Finding:
    return Finding(
        "model",
        subject,
        measure,
        severity="act",
        words=problem.message,
        remedy=problem.hint or "Mend it, and run the command again.",
    )


def _case(
    name: str,
    stands: Standing | None,
    drift: Drift | None,
    lists: Sequence[Finding],
    cutoff: dt.date,
) -> Case:
    if stands is None:
        return Case(name)
    of_value = name == CLV
    own = [one for one in lists if (one.measure in _VALUE) == of_value]
    findings = [*own, *(drift.findings if drift is not None else ())]
    closes = None
    if not of_value:
        # Early returns are of the list of that day, drift is of today's customers.
        early = [one for one in own if one.area == "early" and one.severity == "act"]
        since = min((dt.date.fromisoformat(one.subject) for one in early), default=cutoff)
        card = stands.model.card
        closes = since + dt.timedelta(days=int(card["gap_days"]) + int(card["horizon_days"]))
    return Case(name, stands.model.label, findings, stands.unseen_days, closes, stands.in_use)


def _first_end(lookback: Lookback) -> dt.date | None:
    """When the first of the lists that still run is over."""
    running = lookback.lists[lookback.lists["churn_state"] == "open"]
    reach = (running["gap_days"] + running["horizon_days"]).astype("float64")
    ends = (running["as_of"] + pd.to_timedelta(reach, unit="D")).dropna()
    return None if ends.empty else ends.min().date()

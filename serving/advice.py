"""Whether to train again, and why: the rules, from what was found.

A model that is trained again learns from every label that has closed since. So training again helps
when such labels are there and show what has changed, and not before; and on data that is broken it
does harm. In this order, for each model:

1. There is no model: train.
2. The data is broken, or has stopped: look at it first. Whatever is learned from it is wrong.
3. Closed labels show that the model errs, and there are labels that it has not seen: retrain. If
   only its level is off, this is a calibration that has shifted; training calibrates anew.
4. It errs, or customers come back at another pace than foretold, or its inputs have changed:
   retrain if there are labels that it has not seen, and when the labels close that show it.
5. A month of labels that it has not seen: retrain, as every month. Measured on a churn model over
   several years, the staying power of its predictions is low, and models should be adapted
   regularly (Risselada, Verhoef and Bijmolt 2010, Journal of Interactive Marketing 24, 198-208).
6. Else nothing, until that month is over.

Where a person chose the champion, the advice says so: after a training the gate judges anew, and
may promote the same kind of model again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from serving.findings import Finding
from serving.standing import MONTH_DAYS, InUse

__all__ = ["ACTIONS", "Action", "Advice", "Case", "advise"]

Action = Literal["train", "look_first", "retrain", "wait", "nothing"]
ACTIONS: tuple[Action, ...] = get_args(Action)
"""`train`: there is no model; `look_first`: mend the data, then ask again; `retrain`: now; `wait`:
retrain on a later day; `nothing`: train on a later day, as every month."""

_LEVEL = frozenset({"calibration_gap", "ece", "clv_bias", "spend_bias", "purchases_bias"})
_BROKEN = ("breaks", "data")
_CHANGED = ("estimate", "early", "score_drift", "drift")


@dataclass(frozen=True)
class Case:
    """What is known of one model.

    Attributes:
        name: Its registered name.
        label: Name and version; empty where there is none.
        findings: About it: how it did, what has changed.
        unseen_days: Days of labels that it has not learned from; None where it does not say.
        closes: Day on which the labels close that show what has changed; None where none will, as
            of a model that learns from histories.
        in_use: How it came to be champion, where that is known.
    """

    name: str
    label: str = ""
    findings: Sequence[Finding] = ()
    unseen_days: int | None = None
    closes: dt.date | None = None
    in_use: InUse | None = None


@dataclass(frozen=True)
class Advice:
    """What to do about a model.

    Attributes:
        name: The registered name.
        action: One of `ACTIONS`.
        day: When, where the action is for a later day.
        reason: One or two sentences with figures.
        code: The rule that spoke: no_model, broken, stopped, level, errs, changed, month, fresh.
        by_hand: How the champion came to be that, where a person chose it; the reason says so, too.
    """

    name: str
    action: Action
    day: dt.date | None
    reason: str
    code: str
    by_hand: InUse | None = None


def advise(case: Case, cutoff: dt.date, data: Sequence[Finding] = ()) -> Advice:
    """Advise on one model.

    Args:
        case: What is known of it.
        cutoff: The day of the findings.
        data: Findings about the data (areas breaks and data).

    >>> case = Case("regulars-churn", "regulars-churn/3", unseen_days=40)
    >>> advice = advise(case, dt.date(2024, 6, 1))
    >>> advice.action, advice.code
    ('retrain', 'month')
    """
    advice = _by_rule(case, cutoff, data)
    chosen = case.in_use
    if chosen is None or not chosen.by_hand:
        return advice
    reason = (
        f"{advice.reason} Mind that {case.label} was chosen by hand ({chosen.why}): after a "
        "training the gate judges anew, and may promote the same kind of model as before."
    )
    return replace(advice, reason=reason, by_hand=chosen)


def _by_rule(case: Case, cutoff: dt.date, data: Sequence[Finding]) -> Advice:
    """The first rule that holds."""
    if not case.label:
        command = f"regulars train {case.name.removeprefix('regulars-')}"
        return Advice(
            case.name, "train", None, f"There is no model in use: run `{command}`.", "no_model"
        )
    broken = [one for one in data if one.severity == "act" and one.area in _BROKEN]
    if broken:
        stopped = broken[0].area == "data"
        why = (
            "Nothing newer than that can be learned."
            if stopped
            else "A model that is trained on this learns the fault."
        )
        code = "stopped" if stopped else "broken"
        return Advice(case.name, "look_first", None, f"{broken[0].words} {why}", code)
    unseen = MONTH_DAYS if case.unseen_days is None else case.unseen_days
    new_labels = unseen >= MONTH_DAYS
    errs = [one for one in case.findings if one.area == "performance" and one.severity == "act"]
    if errs and new_labels:
        if all(one.measure in _LEVEL for one in errs):
            why = (
                f"{errs[0].words} It still puts customers in the right order, so the level has "
                "moved; training calibrates it anew on the newest labels."
            )
            return Advice(case.name, "retrain", None, why, "level")
        return Advice(
            case.name,
            "retrain",
            None,
            f"{errs[0].words} There are {unseen} days of labels that it has not seen.",
            "errs",
        )
    changed = [one for one in case.findings if one.area in _CHANGED and one.severity == "act"]
    later = cutoff + dt.timedelta(days=max(MONTH_DAYS - unseen, 0))
    if errs or changed:
        words = (errs or changed)[0].words
        shows = case.closes if changed and case.closes and case.closes > cutoff else None
        if new_labels:
            again = f" Train once more on {shows}, when the labels that show it close."
            why = f"{words} There are {unseen} days of labels that it has not seen."
            why += again if shows else ""
            return Advice(case.name, "retrain", None, why, "changed")
        day = shows or later
        why = f"{words} No label that it has not seen shows it yet; the next ones do on {day}."
        return Advice(case.name, "wait", day, why, "changed")
    if new_labels:
        return Advice(
            case.name,
            "retrain",
            None,
            f"There are {unseen} days of labels that it has not seen; a model is trained again "
            "every month.",
            "month",
        )
    seen = "all labels" if not unseen else f"all labels but those of the last {unseen} days"
    return Advice(case.name, "nothing", later, f"It has seen {seen}.", "fresh")

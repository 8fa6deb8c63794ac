"""How the models in use stand: who chose them, what they have learned from, and what waits."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from serving.findings import Finding, Severity
from serving.registry import load_if_any
from serving.versions import newest_version

if TYPE_CHECKING:
    from serving.registry import RegisteredModel

__all__ = ["LATE_DAYS", "MONTH_DAYS", "OVERDUE_DAYS", "InUse", "Standing", "standing"]

MONTH_DAYS = 31
"""Days of labels that a model has not seen after which training again learns something: churn is
learned from one cutoff a month."""
LATE_DAYS = 62
"""A monthly training was missed: look into it."""
OVERDUE_DAYS = 93
"""Three were missed."""

_WAYS = {
    "gate": "has been champion since {day}, chosen by the gate",
    "hand": "has been champion since {day}, put into use by hand",
    "rollback": "has been champion since {day}, put back by hand",
    "outside": "is champion, as was found on {day}",
}


@dataclass(frozen=True)
class InUse:
    """How a version came to be champion.

    Attributes:
        since: The day, UTC.
        way: "gate": at the end of its training; "hand" and "rollback": `regulars promote`;
            "outside": not by Regulars, noticed on that day.
        why: The reason that was given.
        by: Who did it by hand.
    """

    since: dt.date
    way: Literal["gate", "hand", "rollback", "outside"]
    why: str
    by: str = ""

    @property
    def by_hand(self) -> bool:
        """Whether a person chose it, and no gate."""
        return self.way != "gate"

    def finding(self, label: str, overruled: bool) -> Finding:
        """Who chose the version, when and why; to be watched where a person overruled the gate."""
        who = f" ({self.by})" if self.by else ""
        severity: Severity = "watch" if self.by_hand and overruled else "fine"
        return Finding(
            "model",
            label,
            "in_use",
            severity=severity,
            words=f"{label} {_WAYS[self.way].format(day=self.since)}{who}: {self.why.rstrip('.')}.",
            remedy=""
            if severity == "fine"
            else "See whether the reason still holds before the next training: the gate judges "
            "anew, and may promote the same kind of model again.",
        )


@dataclass(frozen=True)
class Standing:
    """A registered model that is in use.

    Attributes:
        model: The champion.
        unseen_days: Days of data that it has not learned from; None where it does not say.
        newest: The newest version, if it is another one.
        gate: What was decided about that one: "promoted" (and it was replaced since), "kept",
            "refused", or empty where nothing was.
        reason: Why.
        in_use: How it came to be champion; None where that is not known.
    """

    model: RegisteredModel
    unseen_days: int | None
    newest: str = ""
    gate: str = ""
    reason: str = ""
    in_use: InUse | None = None

    def findings(self) -> list[Finding]:
        """Who chose it, whether it is old, and whether another version waits."""
        label = self.model.label
        found = []
        if self.in_use is not None:
            found.append(self.in_use.finding(label, overruled=self.gate == "promoted"))
        if self.unseen_days is not None:
            days = self.unseen_days
            severity: Severity = (
                "fine" if days <= LATE_DAYS else "watch" if days <= OVERDUE_DAYS else "act"
            )
            found.append(
                Finding(
                    "model",
                    label,
                    "unseen_days",
                    float(days),
                    limit=float(LATE_DAYS),
                    severity=severity,
                    words=f"{label} has learned nothing from the last {days} "
                    f"day{'' if days == 1 else 's'}."
                    if days
                    else f"{label} has learned from the newest data.",
                    remedy=""
                    if severity == "fine"
                    else "Run `regulars train`, and see why it did not run every month.",
                )
            )
        if self.newest:
            waits = not self.gate
            if self.gate == "promoted":
                what = "was champion before it"
            else:
                what = f"was {self.gate}" if self.gate else "was never compared with it"
                what += f": {self.reason}" if self.reason else ""
            found.append(
                Finding(
                    "model",
                    label,
                    "newer_version",
                    float(self.newest),
                    severity="watch" if waits else "fine",
                    words=f"Version {self.newest} is newer than {label} and {what}.",
                    remedy="Compare them, and move the alias with `regulars promote`."
                    if waits
                    else "",
                )
            )
        return found


def standing(
    name: str, cutoff: dt.date, tracking_uri: str, in_use: InUse | None = None
) -> Standing | None:
    """How a registered model stands at a cutoff.

    Args:
        name: The registered model.
        cutoff: The day of the findings.
        tracking_uri: Where MLflow keeps its records.
        in_use: How its champion came to be that, where it is known.

    Returns:
        None where no version of it is in use.

    Raises:
        InputError: The registry or the model cannot be read.
    """
    model = load_if_any(name, tracking_uri=tracking_uri)
    if model is None:
        return None
    until = model.trained_until
    days = None if until is None else max((cutoff - until).days, 0)
    version, tags = newest_version(name, tracking_uri)
    if int(version) <= int(model.version):
        return Standing(model, days, in_use=in_use)
    return Standing(model, days, version, tags.get("gate", ""), tags.get("reason", ""), in_use)

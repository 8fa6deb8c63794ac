"""How the models in use stand: what they have learned from, and whether another one waits."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.findings import Finding, Severity
from serving.registry import load_if_any, newest_version

if TYPE_CHECKING:
    from serving.registry import RegisteredModel

__all__ = ["LATE_DAYS", "MONTH_DAYS", "OVERDUE_DAYS", "Standing", "standing"]

MONTH_DAYS = 31
"""Days of labels that a model has not seen after which training again learns something: churn is
learned from one cutoff a month."""
LATE_DAYS = 62
"""A monthly training was missed: look into it."""
OVERDUE_DAYS = 93
"""Three were missed."""


@dataclass(frozen=True)
class Standing:
    """A registered model that is in use.

    Attributes:
        model: The champion.
        unseen_days: Days of data that it has not learned from; None where it does not say.
        newest: The newest version, if it is another one.
        gate: What was decided about that one: "kept", "refused", or empty where nothing was.
        reason: Why.
    """

    model: RegisteredModel
    unseen_days: int | None
    newest: str = ""
    gate: str = ""
    reason: str = ""

    def findings(self) -> list[Finding]:
        """Whether it is old, and whether another version waits."""
        label = self.model.label
        found = []
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
                    words=f"{label} has learned nothing from the last {days} days.",
                    remedy=""
                    if severity == "fine"
                    else "Run `regulars train`, and see why it did not run every month.",
                )
            )
        if self.newest:
            waits = not self.gate
            what = f"was {self.gate}" if self.gate else "was never compared with it"
            found.append(
                Finding(
                    "model",
                    label,
                    "newer_version",
                    float(self.newest),
                    severity="watch" if waits else "fine",
                    words=f"Version {self.newest} is newer than {label} and {what}"
                    f"{f': {self.reason}' if self.reason else ''}.",
                    remedy="Compare them, and move the alias with `regulars promote`."
                    if waits
                    else "",
                )
            )
        return found


def standing(name: str, cutoff: dt.date, tracking_uri: str) -> Standing | None:
    """How a registered model stands at a cutoff.

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
        return Standing(model, days)
    return Standing(model, days, version, tags.get("gate", ""), tags.get("reason", ""))

"""What was found when a business and its models were looked at: one finding a fact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import pandas as pd

__all__ = [
    "AREAS",
    "FINDING_DTYPES",
    "SEVERITIES",
    "Area",
    "Finding",
    "Severity",
    "findings_table",
    "ordered",
    "worst",
]

Area = Literal[
    "breaks", "data", "model", "performance", "early", "estimate", "score_drift", "drift"
]
AREAS: tuple[Area, ...] = get_args(Area)
"""What a finding is about, in the order in which a person looks: whether the tables can be trusted,
whether the models are there, how they did, how they are likely to do, what has changed."""

Severity = Literal["act", "watch", "fine"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""`act`: a person is needed; `watch`: look again at the next cutoff; `fine`: nothing to do."""

FINDING_DTYPES = {
    "area": "str",
    "subject": "str",
    "measure": "str",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "limit": "float64",
    "n": "int64",
    "severity": "str",
    "words": "str",
    "remedy": "str",
}
"""Columns of the long table of findings, in order, and their pandas types."""

_NAN = float("nan")


@dataclass(frozen=True)
class Finding:
    """One fact about the data, a model or its predictions, and what it asks of a person.

    Attributes:
        area: What it is about.
        subject: Of what it was measured: a table, a feature, a model, a cohort.
        measure: Name of the figure, a word in snake case that stays the same from night to night.
        value: The figure; NaN where there is none.
        low: Lower end of its 95 % interval; NaN without one.
        high: Upper end.
        limit: The figure from which on it is no longer fine; NaN without one.
        n: Customers, rows or days that the figure rests on; 0 where nothing was counted.
        severity: What it asks of a person.
        words: One sentence, with its numbers, for somebody who does not know the figure.
        remedy: What to do; empty when it is fine.

    Raises:
        ValueError: A severity other than fine without a remedy.

    >>> Finding("data", "transactions", "age_days", 9.0, limit=2.0, severity="act",
    ...         words="The last transaction is 9 days old.", remedy="Load the newest rows.").limit
    2.0
    """

    area: Area
    subject: str
    measure: str
    value: float = _NAN
    low: float = _NAN
    high: float = _NAN
    limit: float = _NAN
    n: int = 0
    severity: Severity = "fine"
    words: str = ""
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.severity != "fine" and not self.remedy:
            raise ValueError(f"{self.measure} of {self.subject} asks for something: say what.")


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Findings as a person reads them: what needs one first, then by area, then as they came."""
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), AREAS.index(one.area)))


def worst(findings: Iterable[Finding]) -> Severity:
    """The gravest severity; "fine" where there is no finding.

    >>> worst([])
    'fine'
    """
    found = {one.severity for one in findings}
    return next((severity for severity in SEVERITIES if severity in found), "fine")


def findings_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Findings as a long table, one row each in the order of `ordered`, with `FINDING_DTYPES`."""
    rows = [asdict(one) for one in ordered(findings)]
    return pd.DataFrame(rows, columns=list(FINDING_DTYPES)).astype(FINDING_DTYPES)

"""What a break asks of a person depends on how grave and how long ago it is."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from serving.ledger_breaks import break_findings


def ledger(*gaps: tuple[str, str]) -> Ledger:
    """Forty purchases a day for 500 days, but for some spans."""
    days = pd.date_range("2023-01-01", periods=500)
    for first, last in gaps:
        days = days[(days < first) | (days > last)]
    rng = np.random.default_rng(1)
    many = np.repeat(days, 40)
    frame = pd.DataFrame(
        {
            "customer_id": rng.integers(0, 3000, len(many)).astype(str),
            "timestamp": many,
            "amount": rng.lognormal(3, 0.5, len(many)).round(2),
        }
    )
    return Ledger.from_frames(frame)


def test_a_whole_ledger_has_one_finding_that_says_so() -> None:
    (only,) = break_findings(ledger())
    assert (only.severity, only.measure, only.value, only.n) == ("fine", "breaks", 0.0, 500)


@pytest.mark.parametrize(
    ("gap", "severity"),
    [
        (("2024-05-01", "2024-05-05"), "act"),
        (("2023-11-06", "2023-11-10"), "watch"),
        (("2023-03-06", "2023-03-10"), "fine"),
        (("2024-05-01", "2024-05-01"), "watch"),
        (("2023-11-06", "2023-11-06"), "fine"),
    ],
)
def test_the_longer_ago_the_less_it_asks(gap: tuple[str, str], severity: str) -> None:
    (only,) = break_findings(ledger(gap))
    assert only.measure == "missing_days"
    assert only.severity == severity
    assert bool(only.remedy) == (severity != "fine")
    assert only.subject == (gap[0] if gap[0] == gap[1] else "..".join(gap))


def test_a_cutoff_before_it_does_not_know_it() -> None:
    (only,) = break_findings(ledger(("2024-05-01", "2024-05-05")), dt.date(2024, 4, 1))
    assert only.measure == "breaks"

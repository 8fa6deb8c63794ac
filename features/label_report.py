"""The label report: is the horizon right, how often is "churned" wrong, and how much hangs on it.

Everything is counted on the engine and comes out as counts. Base rates are of the labels that
training uses; the D-curve and the sensitivity read purchases as the whole ledger shows them
today, which differs only where rows become known late or later returns cancel orders.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.base_rates import MAX_CUTOFFS, ChurnRate, churn_rates
from features.errors import NotEnoughDataError
from features.inactivity import InactivityCurve, inactivity_curve, purchase_spells, states
from features.label_facts import LabelReport, Sensitivity
from features.labels import LabelSpec, due_in_window
from features.progress import task
from features.rfm import rfm_summary
from features.window import last_closed_cutoff, monthly_cutoffs, split_cutoffs

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.ledger import Ledger

__all__ = ["HORIZONS", "LabelReport", "Sensitivity", "label_report", "trainable"]

HORIZONS = (30, 60, 90, 180, 365)
"""Horizons that are suggested, in days."""

_TRIED_HORIZONS = (30, 60, 90, 120, 180)
_TRIED_GAPS = (0, 7, 14, 30)
_STEP = 5
_LONGEST_SILENCE = 365
_SENSITIVITY_CUTOFFS = 12  # every season once
_MIN_SENSITIVITY_CUTOFFS = 3


def label_report(
    ledger: Ledger, spec: LabelSpec, rates: Sequence[ChurnRate] | None = None
) -> LabelReport:
    """Look at the label before anything is trained on it.

    The D-curve takes its cutoffs from the middle third of the history (at most a year is left
    on either side): so much data before each cutoff bounds the silences that can be seen, and
    so much after it is the follow-up. The sensitivity is counted at the latest twelve monthly
    cutoffs that the longest horizon and gap shown leave closed.

    Args:
        ledger: The trusted tables.
        spec: What churned means.
        rates: The base rates, where `churn_rates` has counted them already.

    Returns:
        The report.
    """
    with task("Looking at the label", total=3) as progress:
        rates = churn_rates(ledger, spec) if rates is None else tuple(rates)
        progress.advance()
        with purchase_spells(ledger) as spells:
            curve = _curve(ledger, spells)
            progress.advance()
            cutoffs, horizons = _common_cutoffs(ledger, spec)
            gaps = sorted({*_TRIED_GAPS, spec.gap_days})
            tried = _sensitivity(spells, cutoffs, horizons, gaps, ledger.last_day)
            progress.advance()
    customers, one_time, due = _today(ledger, spec)
    wished = suggested = None
    if curve is not None:
        wished = _nearest(curve.best_days, HORIZONS)
        suggested = _nearest(
            curve.best_days, [days for days in HORIZONS if trainable(ledger, days, spec.gap_days)]
        )
    return LabelReport(
        spec,
        ledger.last_day + dt.timedelta(days=1),
        customers,
        one_time,
        due,
        rates,
        curve,
        suggested,
        wished,
        tried,
        tuple(cutoffs),
    )


def trainable(ledger: Ledger, horizon_days: int, gap_days: int = 0) -> bool:
    """Whether the history is long enough to train, calibrate and test with a horizon."""
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon_days, gap_days)
    try:
        split_cutoffs(cutoffs, horizon_days, gap_days)
    except NotEnoughDataError:
        return False
    return True


def _nearest(days: int, among: Sequence[int]) -> int | None:
    return min(among, key=lambda each: abs(math.log(each / days)), default=None)


def _today(ledger: Ledger, spec: LabelSpec) -> tuple[int, int, int]:
    as_of = ledger.last_day + dt.timedelta(days=1)
    rfm = rfm_summary(ledger.purchases(as_of), as_of)
    due = due_in_window(rfm.frequency, rfm.recency, rfm["T"], spec)
    found = rfm.agg(
        customers=rfm.count(),
        one_time=(rfm.frequency == 0).sum().coalesce(0),
        due=due.sum().coalesce(0),
    )
    row = found.to_pyarrow().to_pylist()[0]
    return int(row["customers"]), int(row["one_time"]), int(row["due"])


def _curve(ledger: Ledger, spells: ir.Table) -> InactivityCurve | None:
    history = (ledger.last_day - ledger.first_day).days + 1
    reach = min(_LONGEST_SILENCE, history // 3)
    if reach < HORIZONS[0]:
        return None
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, reach, 0, min_history_days=reach)
    return inactivity_curve(spells, cutoffs[-MAX_CUTOFFS:], reach, range(_STEP, reach + 1, _STEP))


def _common_cutoffs(ledger: Ledger, spec: LabelSpec) -> tuple[list[dt.date], list[int]]:
    """Cutoffs at which all horizons and gaps can be compared, and the horizons that fit."""
    horizons = sorted({*_TRIED_HORIZONS, spec.horizon_days})
    gap = max(*_TRIED_GAPS, spec.gap_days)
    while horizons:
        found = monthly_cutoffs(ledger.first_day, ledger.last_day, horizons[-1], gap)
        if len(found) >= _MIN_SENSITIVITY_CUTOFFS:
            return found[-_SENSITIVITY_CUTOFFS:], horizons
        horizons.pop()
    return [], []


def _sensitivity(
    spells: ir.Table,
    cutoffs: Sequence[dt.date],
    horizons: Sequence[int],
    gaps: Sequence[int],
    last_day: dt.date,
) -> tuple[Sensitivity, ...]:
    if not cutoffs:
        return ()
    found = states(spells, cutoffs, gaps)
    counts = {"customers": found.count()}
    for days in horizons:
        later = found.wait >= days
        counts[f"churned_{days}"] = later.sum()
        counts[f"back_{days}"] = (later & (found.wait < 2 * days)).sum()
    rows = found.group_by("cutoff", "gap_days").agg(**counts).to_pyarrow().to_pylist()
    report = []
    for days in horizons:
        for gap in gaps:
            at = [row for row in rows if row["gap_days"] == gap]
            closed = last_closed_cutoff(last_day, 2 * days, gap)
            followed = [row for row in at if row["cutoff"] <= closed]
            if at:
                report.append(
                    Sensitivity(
                        days,
                        gap,
                        sum(row["customers"] for row in at),
                        sum(row[f"churned_{days}"] for row in at),
                        len(followed),
                        sum(row[f"churned_{days}"] for row in followed),
                        sum(row[f"back_{days}"] for row in followed),
                    )
                )
    return tuple(report)

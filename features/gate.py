"""The data gate: what the data has to hold for a model to learn something, and what it lacks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.base_rates import ChurnRate, churn_rates
from features.errors import NotEnoughDataError
from features.labels import LabelSpec
from features.sale_days import Gap, sale_days
from features.window import monthly_cutoffs, split_cutoffs

if TYPE_CHECKING:
    from features.ledger import Ledger

__all__ = ["Buyers", "GateCheck", "count_buyers", "data_gate", "gate_problems"]

MIN_BUYERS = 500
MIN_HISTORY_DAYS = 180
MIN_REPEAT_BUYERS = 100
MIN_OUTCOMES = 50


@dataclass(frozen=True)
class GateCheck:
    """One condition that the data has to meet for a model to learn something.

    Attributes:
        check: Short name.
        found: What the data has.
        needed: What is needed.
        ok: Whether it is met.
        words: What it means, and what follows when it is not met.
    """

    check: str
    found: float
    needed: float
    ok: bool
    words: str


@dataclass(frozen=True)
class Buyers:
    """How many have bought.

    Attributes:
        buyers: Customers with a purchase.
        repeat: Those of them with more than one.
        purchases: Purchases.
    """

    buyers: int
    repeat: int
    purchases: int


def count_buyers(ledger: Ledger) -> Buyers:
    """Count customers and purchases over the whole history."""
    bought = ledger.purchases(ledger.last_day + dt.timedelta(days=1))
    each = bought.group_by("customer_id").agg(n=bought.count())
    found = each.agg(
        buyers=each.count(),
        repeat=(each.n > 1).sum().coalesce(0),
        purchases=each.n.sum().coalesce(0),
    )
    return Buyers(**{name: int(n) for name, n in found.to_pyarrow().to_pylist()[0].items()})


def gate_problems(ledger: Ledger, spec: LabelSpec) -> tuple[GateCheck, ...]:
    """The conditions that are not met, for a training that is about to begin.

    It looks at one cutoff only, the latest, and takes a few queries. None of the conditions
    makes a training impossible but "cutoffs", which `features.window.split_cutoffs` refuses;
    with the others a model is fitted, and its measures show what it is worth.

    Args:
        ledger: The trusted tables.
        spec: What churned means.

    Returns:
        The failed checks; their `words` say what follows.
    """
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, spec.horizon_days, spec.gap_days)
    latest = churn_rates(ledger, spec, cutoffs[-1:])
    checks = data_gate(
        ledger,
        spec,
        count_buyers(ledger),
        latest[0] if latest else None,
        sale_days(ledger).gaps,
    )
    return tuple(check for check in checks if not check.ok)


def data_gate(
    ledger: Ledger,
    spec: LabelSpec,
    buyers: Buyers,
    latest: ChurnRate | None,
    gaps: Sequence[Gap],
) -> tuple[GateCheck, ...]:
    """Check whether the data is enough.

    Args:
        ledger: The trusted tables.
        spec: What churned means.
        buyers: How many have bought.
        latest: The outcomes at the latest closed cutoff, where there is one.
        gaps: Times without any sale.

    Returns:
        One a condition; "outcomes" only where there is a closed cutoff.
    """
    history = (ledger.last_day - ledger.first_day).days + 1
    checks = [
        _at_least(
            "buyers",
            buyers.buyers,
            MIN_BUYERS,
            f"{buyers.buyers:,} customers have bought.",
            "With few customers the rates are uncertain and probabilities stay close to the "
            "average; take in more history or more shops.",
        ),
        _at_least(
            "repeat_buyers",
            buyers.repeat,
            MIN_REPEAT_BUYERS,
            f"{buyers.repeat:,} customers have bought more than once.",
            "Without repeat purchases nothing tells how often customers come back; CLV is then "
            "little more than the average.",
        ),
        _at_least(
            "history_days",
            history,
            MIN_HISTORY_DAYS,
            f"The history covers {history:,} day{'' if history == 1 else 's'}.",
            "Slow buyers cannot be told from lost ones in so short a time; export all orders.",
        ),
        _cutoffs(ledger, spec),
    ]
    if latest is not None:
        checks.append(_outcomes(spec, latest))
    recent = ledger.last_day - dt.timedelta(days=spec.reach_days)
    long = [gap for gap in gaps if gap.days >= 7 and gap.last >= recent]
    spans = ", ".join(f"{gap.first} to {gap.last}" for gap in long)
    checks.append(
        GateCheck(
            "recent_gaps",
            len(long),
            0,
            not long,
            f"No sale at all from {spans}. If rows are missing there, customers look lost who "
            "are not; export this time again."
            if long
            else f"No week without sales in the last {spec.reach_days} days.",
        )
    )
    return tuple(checks)


def _at_least(check: str, found: int, needed: int, fact: str, consequence: str) -> GateCheck:
    ok = found >= needed
    words = fact if ok else f"{fact} At least {needed:,} are needed. {consequence}"
    return GateCheck(check, found, needed, ok, words)


def _outcomes(spec: LabelSpec, latest: ChurnRate) -> GateCheck:
    cadence = spec.eligibility == "cadence"
    customers = latest.due if cadence else latest.customers
    churned = latest.due_churned if cadence else latest.churned
    fewer = min(churned, customers - churned)
    who = "eligible customers" if cadence else "customers"
    after = f"that begin {spec.gap_days} days after it" if spec.gap_days else "that follow"
    words = (
        f"At the cutoff {latest.cutoff}, {churned:,} of {customers:,} {who} did not buy in the "
        f"{spec.horizon_days} days {after}."
    )
    if fewer < MIN_OUTCOMES:
        words += (
            f" At least {MIN_OUTCOMES} who buy and {MIN_OUTCOMES} who do not are needed to "
            "tell them apart; take in more customers, or choose a horizon nearer to the "
            "usual time between purchases."
        )
    return GateCheck("outcomes", fewer, MIN_OUTCOMES, fewer >= MIN_OUTCOMES, words=words)


def _cutoffs(ledger: Ledger, spec: LabelSpec) -> GateCheck:
    horizon, gap = spec.horizon_days, spec.gap_days
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon, gap)
    try:
        split = split_cutoffs(cutoffs, horizon, gap)
    except NotEnoughDataError as error:
        return GateCheck(
            "cutoffs", len(cutoffs), 3, ok=False, words=f"{error.message} {error.hint}"
        )
    words = (
        f"{len(cutoffs)} monthly cutoffs have {spec.reach_days} days after them: "
        f"{len(split.train)} to train, {len(split.calibration)} to calibrate, {split.test} to test."
    )
    return GateCheck("cutoffs", len(cutoffs), 3, ok=True, words=words)

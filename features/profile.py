"""What a ledger holds, and whether it is enough to learn from."""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from features.errors import NotEnoughDataError
from features.labels import future_activity
from features.ledger import Ledger
from features.schema import quote
from features.window import ObservationWindow, monthly_cutoffs, split_cutoffs

__all__ = ["ChurnRate", "Gap", "GateCheck", "Profile", "profile"]

MIN_BUYERS = 500
MIN_HISTORY_DAYS = 180
MIN_REPEAT_BUYERS = 100
MIN_OUTCOMES = 50
MAX_CUTOFFS = 24
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Gap:
    """A run of days without any sale, longer than chance explains.

    Attributes:
        first: Its first day.
        last: Its last day.
        days: Its length in days.
    """

    first: dt.date
    last: dt.date
    days: int


@dataclass(frozen=True)
class ChurnRate:
    """How many customers known at a cutoff did not buy in the horizon after it.

    Attributes:
        cutoff: The cutoff.
        customers: Customers with a purchase before it.
        churned: Those of them without a purchase in the label window.
    """

    cutoff: dt.date
    customers: int
    churned: int

    @property
    def rate(self) -> float:
        """Share of churned customers."""
        return self.churned / self.customers


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
class Profile:
    """What the transactions hold.

    Attributes:
        rows: Trusted transactions.
        customers: Customers with any transaction.
        buyers: Customers with a purchase (a positive net day or order).
        purchases: Purchases.
        first_day: Day of the first transaction.
        last_day: Day of the last one.
        history_days: Days from the first to the last, both counted.
        sales: Sum of the positive amounts.
        returns: Transactions with a negative amount.
        returned_share: Their value as a share of sales.
        duplicates: Exact repeats that were set aside.
        duplicates_kept: Exact repeats that were kept.
        without_customer: Rows that were set aside because they name no customer.
        without_customer_share: The same as a share of the rows read.
        one_time_share: Share of buyers with one purchase.
        closed_weekdays: Weekdays on which the shop hardly ever sells.
        days_without_sales: Days without a sale, closed weekdays not counted.
        gaps: Runs of such days that are longer than chance explains.
        churn: Base churn rate at each monthly cutoff, the latest 24.
        horizon_days: The horizon that the rates are for.
        gate: Whether the data is enough.
    """

    rows: int
    customers: int
    buyers: int
    purchases: int
    first_day: dt.date
    last_day: dt.date
    history_days: int
    sales: float
    returns: int
    returned_share: float
    duplicates: int
    duplicates_kept: int
    without_customer: int
    without_customer_share: float
    one_time_share: float
    closed_weekdays: tuple[str, ...]
    days_without_sales: int
    gaps: tuple[Gap, ...]
    churn: tuple[ChurnRate, ...]
    horizon_days: int
    gate: tuple[GateCheck, ...]

    @property
    def ready(self) -> bool:
        """Whether every check of the gate is met."""
        return all(check.ok for check in self.gate)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON: dates in ISO form, an undefined share as None."""
        found = {name: _plain(value) for name, value in asdict(self).items()}
        found["churn"] = [{**_plain(asdict(rate)), "rate": rate.rate} for rate in self.churn]
        found["ready"] = self.ready
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def profile(ledger: Ledger, horizon_days: int, gap_days: int = 0) -> Profile:
    """Describe the transactions of a ledger and check whether they are enough.

    Args:
        ledger: The trusted tables.
        horizon_days: Length of the label window of the base churn rate.
        gap_days: Days between a cutoff and its label window.
    """
    row = ledger.con.con.execute(
        "SELECT count(*), count(DISTINCT customer_id), "
        "CAST(coalesce(sum(amount) FILTER (amount > 0), 0) AS DOUBLE), "
        "count(*) FILTER (amount < 0), "
        "CAST(coalesce(-sum(amount) FILTER (amount < 0), 0) AS DOUBLE) FROM transactions"
    ).fetchall()[0]
    rows, customers, sales, returns, returned = row
    first, last = ledger.first_day, ledger.last_day
    counts = ledger.purchases(last + dt.timedelta(days=1))
    each = counts.group_by("customer_id").agg(n=counts.count())
    buyers, repeaters, bought = (
        int(value)
        for value in each.agg(
            buyers=each.count(),
            repeaters=(each.n > 1).sum().coalesce(0),
            bought=each.n.sum().coalesce(0),
        )
        .to_pyarrow()
        .to_pylist()[0]
        .values()
    )
    quality = ledger.quality.tables["transactions"]
    without_customer = quality.quarantined.get("no_customer", 0)
    closed, silent, gaps = _gaps(_sale_days(ledger), first, last)
    churn = _churn_rates(ledger, horizon_days, gap_days)
    return Profile(
        rows=rows,
        customers=customers,
        buyers=buyers,
        purchases=bought,
        first_day=first,
        last_day=last,
        history_days=(last - first).days + 1,
        sales=sales,
        returns=returns,
        returned_share=returned / sales if sales else math.nan,
        duplicates=quality.quarantined.get("duplicate", 0),
        duplicates_kept=quality.policies.get("duplicates_kept", 0),
        without_customer=without_customer,
        without_customer_share=without_customer / quality.read,
        one_time_share=(buyers - repeaters) / buyers if buyers else math.nan,
        closed_weekdays=tuple(_WEEKDAYS[day] for day in closed),
        days_without_sales=silent,
        gaps=gaps,
        churn=churn,
        horizon_days=horizon_days,
        gate=_gate(ledger, buyers, repeaters, churn, gaps, horizon_days, gap_days),
    )


def _sale_days(ledger: Ledger) -> set[dt.date]:
    found = ledger.con.con.execute(
        f"SELECT DISTINCT CAST({quote('timestamp')} AS DATE) FROM transactions WHERE amount > 0"  # noqa: S608
    ).fetchall()
    return {day for (day,) in found}


def _gaps(
    sold: set[dt.date], first: dt.date, last: dt.date
) -> tuple[list[int], int, tuple[Gap, ...]]:
    """Closed weekdays, silent days on open weekdays, and the gaps.

    A weekday is closed when fewer than one in ten of at least four has a sale. A run of
    silent open days is a gap when, at the share of silent days found, fewer than 0.05 runs
    of its length are expected in the history.
    """
    days = [first + dt.timedelta(days=i) for i in range((last - first).days + 1)]
    closed = []
    for weekday in range(7):
        of_kind = [day for day in days if day.weekday() == weekday]
        if len(of_kind) >= 4 and sum(day in sold for day in of_kind) * 10 < len(of_kind):
            closed.append(weekday)
    if len(closed) == 7:
        closed = []
    open_days = [day for day in days if day.weekday() not in closed or day in sold]
    silent = sum(day not in sold for day in open_days)
    if not silent:
        return closed, 0, ()
    share = silent / len(open_days)
    longest = math.log(0.05 / len(open_days)) / math.log(share) if share < 1 else math.inf
    gaps = []
    run: list[dt.date] = []
    for day in [*open_days, None]:
        if day is not None and day not in sold:
            run.append(day)
            continue
        if len(run) >= max(2, longest):
            gaps.append(Gap(run[0], run[-1], (run[-1] - run[0]).days + 1))
        run = []
    return closed, silent, tuple(gaps)


def _churn_rates(ledger: Ledger, horizon_days: int, gap_days: int) -> tuple[ChurnRate, ...]:
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon_days, gap_days)
    rates = []
    for cutoff in cutoffs[-MAX_CUTOFFS:]:
        window = ObservationWindow(ledger.first_day, cutoff, gap_days, horizon_days)
        known = ledger.purchases(cutoff).select("customer_id").distinct()
        after = future_activity(ledger.transactions, window, ledger.purchase_unit, ledger.days)
        returned = after.filter(after.future_purchases > 0).select("customer_id")
        total = int(known.count().to_pyarrow().as_py())
        stayed = int(known.semi_join(returned, "customer_id").count().to_pyarrow().as_py())
        if total:
            rates.append(ChurnRate(cutoff, total, total - stayed))
    return tuple(rates)


def _gate(
    ledger: Ledger,
    buyers: int,
    repeaters: int,
    churn: Sequence[ChurnRate],
    gaps: Sequence[Gap],
    horizon_days: int,
    gap_days: int,
) -> tuple[GateCheck, ...]:
    history = (ledger.last_day - ledger.first_day).days + 1
    reach = horizon_days + gap_days
    checks = [
        _at_least(
            "buyers",
            buyers,
            MIN_BUYERS,
            f"{buyers:,} customers have bought.",
            "With few customers the rates are uncertain and probabilities stay close to the "
            "average; take in more history or more shops.",
        ),
        _at_least(
            "repeat_buyers",
            repeaters,
            MIN_REPEAT_BUYERS,
            f"{repeaters:,} customers have bought more than once.",
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
        _horizon_check(ledger, horizon_days, gap_days),
    ]
    if churn:
        latest = churn[-1]
        fewer = min(latest.churned, latest.customers - latest.churned)
        words = (
            f"At the cutoff {latest.cutoff}, {latest.churned:,} of {latest.customers:,} "
            f"customers did not buy in the {horizon_days} days that follow."
        )
        if fewer < MIN_OUTCOMES:
            words += (
                f" At least {MIN_OUTCOMES} who buy and {MIN_OUTCOMES} who do not are needed to "
                "tell them apart; take in more customers, or choose a horizon nearer to the "
                "usual time between purchases."
            )
        checks.append(
            GateCheck("outcomes", fewer, MIN_OUTCOMES, fewer >= MIN_OUTCOMES, words=words)
        )
    recent = ledger.last_day - dt.timedelta(days=reach)
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
            else f"No week without sales in the last {reach} days.",
        )
    )
    return tuple(checks)


def _at_least(check: str, found: int, needed: int, fact: str, consequence: str) -> GateCheck:
    ok = found >= needed
    words = fact if ok else f"{fact} At least {needed:,} are needed. {consequence}"
    return GateCheck(check, found, needed, ok, words)


def _horizon_check(ledger: Ledger, horizon_days: int, gap_days: int) -> GateCheck:
    cutoffs = monthly_cutoffs(ledger.first_day, ledger.last_day, horizon_days, gap_days)
    try:
        split = split_cutoffs(cutoffs, horizon_days, gap_days)
    except NotEnoughDataError as error:
        return GateCheck(
            "cutoffs", len(cutoffs), 3, ok=False, words=f"{error.message} {error.hint}"
        )
    words = (
        f"{len(cutoffs)} monthly cutoffs have {horizon_days} days after them: "
        f"{len(split.train)} to train, {len(split.calibration)} to calibrate, {split.test} to test."
    )
    return GateCheck("cutoffs", len(cutoffs), 3, ok=True, words=words)

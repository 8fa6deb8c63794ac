"""What holds for any ledger, checked on random small ones through the real engine."""

import datetime as dt
import math
from collections import defaultdict
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.labels import LABELS
from features.purchases import customer_days, purchases
from features.recent_spend import HALF_LIVES
from features.rfm import rfm_counts, rfm_summary
from features.snapshot import snapshot_expression
from features.window import ObservationWindow

CUTOFF = dt.date(2024, 3, 1)
MIDNIGHT = dt.datetime(2024, 3, 1)
# A gap, so that rows exist which belong to neither side.
WINDOW = ObservationWindow(dt.date(2022, 12, 1), CUTOFF, gap_days=5, horizon_days=40)
SHORT = ObservationWindow(dt.date(2023, 12, 15), CUTOFF, gap_days=0, horizon_days=40)
SCHEMA = {
    "customer_id": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "amount": "DECIMAL(18,4)",
    "order_id": "VARCHAR",
    "product_id": "VARCHAR",
    "discount": "DECIMAL(18,4)",
    "category": "VARCHAR",
    "quantity": "DOUBLE",
    "cost": "DECIMAL(18,4)",
    "channel": "VARCHAR",
    "known_at": "TIMESTAMP",
}
OF_TRANSACTIONS = [
    feature
    for feature in CATALOGUE
    if feature.origin == "engine" and all(s.startswith("transactions.") for s in feature.sources)
]
UNITS = ["day", "order"]
NAN = float("nan")

examples = settings(max_examples=6, deadline=None)


# The ledgers ---------------------------------------------------------------------------


class Row(NamedTuple):
    customer: str
    moment: dt.datetime
    amount: Decimal
    order: str | None
    product: str | None
    discount: Decimal | None
    category: str | None
    quantity: float | None
    cost: Decimal | None
    channel: str | None
    known: dt.datetime | None

    @property
    def day(self) -> dt.date:
        return self.moment.date()


def moments(first: int, last: int) -> st.SearchStrategy[dt.datetime]:
    """Moments by their day relative to the cutoff; midnights are frequent on purpose."""
    minute = st.sampled_from([0, 0, 1, 600, 1439])
    return st.builds(
        lambda day, minutes: MIDNIGHT + dt.timedelta(days=day, minutes=minutes),
        # Few distinct days make customer-days with several rows common.
        st.one_of(st.integers(first, last), st.sampled_from([first, last, max(first, -90)])),
        minute,
    )


def cents(low: int, high: int) -> st.SearchStrategy[Decimal]:
    return st.integers(low, high).map(lambda value: Decimal(value) / 100)


def rows_between(first: int, last: int, late: bool = False) -> st.SearchStrategy[list[Row]]:
    """Rows dated between two days relative to the cutoff; `late` ones are known after it."""
    moment = moments(first, last)
    known = (
        st.integers(1, 30).map(lambda minutes: MIDNIGHT + dt.timedelta(minutes=minutes))
        if late
        else st.sampled_from([None, dt.datetime(2020, 1, 1), MIDNIGHT])
    )
    amounts = st.one_of(cents(1, 9_999), cents(-5_000, 0), st.just(Decimal("10")))
    return st.lists(
        st.builds(
            Row,
            st.sampled_from(["a", "b", "c"]),
            moment,
            amounts,
            st.sampled_from([None, "1", "2", "3", "4", "5", "6"]),
            st.sampled_from([None, "p", "q", "r"]),
            st.one_of(st.none(), cents(0, 500)),
            st.sampled_from([None, "x", "y", "z"]),
            st.sampled_from([None, -1.0, 1.0, 2.5]),
            st.one_of(st.none(), cents(-2_000, 2_000)),
            st.sampled_from([None, "web", "app"]),
            known,
        ),
        max_size=24,
    )


past = rows_between(-440, -1)
unknown = st.one_of(rows_between(0, 60), rows_between(-440, -1, late=True))


@cache
def engine() -> ibis.BaseBackend:
    con = ibis.duckdb.connect(threads=1)
    columns = ", ".join(f"{name} {kind}" for name, kind in SCHEMA.items())
    con.raw_sql(f"CREATE TABLE transactions ({columns})").fetchall()
    return con


@cache
def query(name: str, unit: str, window: ObservationWindow = WINDOW) -> str:
    """The statement that runs an expression, planned once."""
    rows = engine().table("transactions")
    bought = purchases(rows, window.cutoff, unit)
    prompt = rows.drop("known_at")
    days = customer_days(prompt)
    netted = purchases(prompt, window.cutoff, unit, days)
    expressions = {
        "snapshot": lambda: snapshot_expression(rows, window, unit, labels=True),
        "summary": lambda: rfm_summary(bought, window.cutoff),
        "counts": lambda: rfm_counts(bought, window.cutoff),
        "prompt snapshot": lambda: snapshot_expression(prompt, window, unit, labels=True),
        "netted snapshot": lambda: snapshot_expression(
            prompt, window, unit, labels=True, days=days
        ),
        "netted summary": lambda: rfm_summary(netted, window.cutoff),
    }
    statement = f"{name}_{unit}_{window.horizon_days}_{window.gap_days}".replace(" ", "_")
    sql = engine().compile(expressions[name]())
    engine().con.execute(f"PREPARE {statement} AS {sql}").fetchall()
    return f"EXECUTE {statement}"


def run(
    name: str, rows: list[Row], unit: str = "day", window: ObservationWindow = WINDOW
) -> pd.DataFrame:
    """Run an expression over rows."""
    con = engine().con
    con.execute("DELETE FROM transactions").fetchall()
    if rows:
        marks = ", ".join("?" for _ in SCHEMA)
        con.executemany(f"INSERT INTO transactions VALUES ({marks})", rows)
    frame = con.execute(query(name, unit, window)).df()
    keys = [key for key in ("customer_id", "frequency", "recency", "T") if key in frame.columns]
    frame = frame.sort_values(keys).reset_index(drop=True)
    return frame.set_index("customer_id") if "customer_id" in frame.columns else frame


def known_side(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=list(LABELS))


# The properties ------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past)
@examples
def test_values_stay_within_their_bounds(unit: str, rows: list[Row]) -> None:
    frame = run("snapshot", rows, unit)
    assert (frame.recency >= 0).all()
    assert (frame.recency <= frame["T"]).all()
    assert (frame.recency[frame.frequency == 0] == 0).all()
    assert (frame.monetary_value[frame.frequency == 0] == 0).all()
    assert (frame.monetary_value[frame.frequency > 0] > 0).all()
    for feature in OF_TRANSACTIONS:
        values = frame[feature.name]
        if feature.kind == "number":
            assert not np.isinf(values).any(), feature.name
        if feature.minimum is not None:
            assert (values.dropna() >= feature.minimum).all(), feature.name
        if feature.maximum is not None:
            assert (values.dropna() <= feature.maximum).all(), feature.name
        if "U" not in feature.null_class:
            assert values.notna().all(), feature.name


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past)
@examples
def test_a_window_that_begins_before_the_source_is_missing_and_not_zero(
    unit: str, rows: list[Row]
) -> None:
    frame = run("snapshot", rows, unit, SHORT)
    for feature in OF_TRANSACTIONS:
        if "C" in feature.null_class:
            days = 730 if feature.name == "yoy_same_window" else int(feature.window)
            short = not SHORT.observes(days)
            assert frame[feature.name].isna().all() == (short or frame.empty), feature.name


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past, more=unknown, seed=st.randoms(use_true_random=False))
@examples
def test_rows_of_the_future_change_nothing_that_is_known(unit, rows, more, seed) -> None:
    mixed = [*rows, *more]
    seed.shuffle(mixed)
    before, after = run("snapshot", rows, unit), run("snapshot", mixed, unit)
    pd.testing.assert_frame_equal(known_side(before), known_side(after), check_exact=True)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past, other=past, future=rows_between(5, 44))
@examples
def test_rows_of_the_past_change_no_label(unit, rows, other, future) -> None:
    first = run("snapshot", [*rows, *future], unit)
    second = run("snapshot", [*other, *future, *rows_in_the_gap()], unit)
    both = first.index.intersection(second.index)
    names = list(LABELS)
    pd.testing.assert_frame_equal(
        first.loc[both, names], second.loc[both, names], check_exact=True, check_index_type=False
    )


def rows_in_the_gap() -> list[Row]:
    moment = MIDNIGHT + dt.timedelta(days=4, hours=23)
    return [Row(name, moment, Decimal(5), *[None] * 8) for name in "abc"]


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past, future=rows_between(5, 44), seed=st.randoms(use_true_random=False))
@examples
def test_the_order_of_the_rows_changes_nothing(unit, rows, future, seed) -> None:
    rows = [*rows, *future]
    shuffled = list(rows)
    seed.shuffle(shuffled)
    before, after = run("snapshot", rows, unit), run("snapshot", shuffled, unit)
    pd.testing.assert_frame_equal(before, after, check_exact=True)


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past, data=st.data())
@examples
def test_splitting_a_purchase_within_its_day_changes_nothing(unit, rows, data) -> None:
    large = [place for place, row in enumerate(rows) if row.amount > 1]
    assume(large)
    place = data.draw(st.sampled_from(large))
    row = rows[place]
    part = data.draw(cents(1, int(row.amount * 100) - 1))
    minute = data.draw(st.integers(0, 1439))
    again = dt.datetime.combine(row.day, dt.time()) + dt.timedelta(minutes=minute)
    cost = None if row.cost is None else Decimal(0)
    split = [
        *rows[:place],
        row._replace(moment=again, amount=row.amount - part),
        *rows[place + 1 :],
        row._replace(amount=part, discount=None, quantity=None, cost=cost),
    ]
    before, after = run("snapshot", rows, unit), run("snapshot", split, unit)
    time = ["hour_entropy_365"]  # a part may be the day's first line
    pd.testing.assert_frame_equal(
        before.drop(columns=time), after.drop(columns=time), check_exact=True
    )


@pytest.mark.parametrize("unit", UNITS)
@given(
    rows=past,
    customer=st.sampled_from(["a", "new"]),
    moment=moments(-440, -9),
    delay=st.integers(0, 8),
)
@examples
def test_a_returned_purchase_is_no_purchase(unit, rows, customer, moment, delay) -> None:
    # A return on a later day takes back a purchase only where it names its order.
    back = dt.datetime.combine(moment.date(), dt.time(23, 59))
    back += dt.timedelta(days=delay if unit == "order" else 0)
    days = {moment.date(), back.date()}
    rows = [row for row in rows if row.customer != customer or row.day not in days]
    order = "returned" if unit == "order" else None
    price = Decimal("19.99")
    bought = Row(customer, moment, price, order, "p", None, "x", None, None, "web", None)
    returned = [bought, bought._replace(moment=back, amount=-price)]
    before, after = run("snapshot", rows, unit), run("snapshot", [*rows, *returned], unit)
    assert list(before.index) == list(after.index)
    # These speak about the lines themselves; net spend moves between two days.
    lines = {"days_since_last_return", "return_rate_365", "discount_share_365"}
    columns = {f"transactions.{name}" for name in ("product_id", "category", "channel")}
    lines |= {feature.name for feature in OF_TRANSACTIONS if columns & {*feature.sources}}
    if back.date() != moment.date():
        lines |= {name for name in before.columns if "spend" in name or name == "aov_365"}
    pd.testing.assert_frame_equal(
        before.drop(columns=list(lines)), after.drop(columns=list(lines)), check_exact=True
    )


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past)
@examples
def test_the_counts_expand_to_the_summary(unit: str, rows: list[Row]) -> None:
    summary = run("summary", rows, unit)
    counts = run("counts", rows, unit)
    clock = ["frequency", "recency", "T"]
    assert not counts.duplicated(clock).any()
    expanded = counts.loc[counts.index.repeat(counts.weight), clock].reset_index(drop=True)
    expected = summary[clock].sort_values(clock).reset_index(drop=True)
    pd.testing.assert_frame_equal(expanded, expected, check_exact=True, check_dtype=False)
    snapshot = run("snapshot", rows, unit)
    pd.testing.assert_frame_equal(
        snapshot[[*clock, "monetary_value"]], summary.astype(float), check_exact=True
    )


@pytest.mark.parametrize(("unit", "window"), [("day", SHORT), ("order", WINDOW)], ids=UNITS)
@given(rows=st.one_of(past, st.builds(list.__add__, past, rows_between(0, 60))))
@examples
def test_days_netted_once_give_what_the_rows_before_each_cutoff_give(unit, window, rows) -> None:
    rows = [row._replace(known=None) for row in rows]
    direct = run("prompt snapshot", rows, unit, window)
    netted = run("netted snapshot", rows, unit, window)
    pd.testing.assert_frame_equal(direct, netted, check_exact=True)
    whole = run("snapshot", rows, unit, window)
    pd.testing.assert_frame_equal(direct, whole, check_exact=True)
    pd.testing.assert_frame_equal(
        run("summary", rows, unit, window),
        run("netted summary", rows, unit, window),
        check_exact=True,
    )


# An independent reckoning ---------------------------------------------------------------


def reckon(rows: list[Row], unit: str, window: ObservationWindow) -> dict[str, dict[str, object]]:
    """Every feature and label by plain loops, straight from the definitions."""
    midnight = dt.datetime.combine(window.cutoff, dt.time())
    known = [r for r in rows if r.moment < midnight and (r.known is None or r.known <= midnight)]
    future = [r for r in rows if window.label_start <= r.day < window.label_end]
    orders = reckon_purchases(known, unit)
    later = reckon_purchases(future, unit)
    gaps_of = {c: [(b.day - a.day).days for a, b in pairwise(own)] for c, own in orders.items()}
    out: dict[str, dict[str, object]] = {}
    for c, own in orders.items():
        lines = [r for r in known if r.customer == c]
        horizon = later.get(c, [])
        out[c] = {
            **reckon_purchase_features(own, lines, gaps_of[c], window),
            **reckon_gap_features(c, own, gaps_of, window),
            **reckon_line_features(own, lines, known, window),
            "month_sin": 0.866025403784,
            "month_cos": 0.5,
            "churned": float(not horizon),
            "future_purchases": len(horizon),
            "future_spend": max(float(sum(r.amount for r in future if r.customer == c)), 0.0),
        }
    return out


class Purchase(NamedTuple):
    day: dt.date
    value: Decimal
    lines: list[Row]


def reckon_purchases(rows: list[Row], unit: str) -> dict[str, list[Purchase]]:
    baskets = defaultdict(list)
    for row in rows:
        by_order = unit == "order" and row.order is not None
        key = ("order", row.order) if by_order else ("day", row.day)
        baskets[row.customer, key].append(row)
    bought = defaultdict(list)
    for (customer, _), lines in baskets.items():
        if (value := sum(row.amount for row in lines)) > 0:
            bought[customer].append(Purchase(min(row.day for row in lines), value, lines))
    return {customer: sorted(found, key=lambda p: p[:2]) for customer, found in bought.items()}


def age(day: dt.date, window: ObservationWindow = WINDOW) -> int:
    return (window.cutoff - day).days


def shannon(parts: list[float]) -> float:
    shares = [part / sum(parts) for part in parts if part]
    return -sum(q * math.log(q) for q in shares) if shares else NAN


def reckon_purchase_features(
    own: list[Purchase], lines: list[Row], gaps: list[int], window: ObservationWindow
) -> dict[str, object]:
    def n(low: int, high: int) -> int:
        return sum(low <= age(p.day) <= high for p in own)

    def net(low: int, high: int) -> float:
        return float(sum(r.amount for r in lines if low <= age(r.day) <= high))

    k = len(gaps)
    since, tenure = age(own[-1].day), age(own[0].day)
    year = [p for p in own if age(p.day) <= 365]
    values = [float(p.value) for p in year]
    months = [float(sum(p.value for p in own if (age(p.day) - 1) // 30 == m)) for m in range(6)]
    trend = sum((2.5 - m) * value for m, value in enumerate(months)) / 17.5
    busy = [sum(0 <= (p.day - q.day).days < 90 for q in year) for p in year]
    last_year = window.label_start - dt.timedelta(365), window.label_end - dt.timedelta(365)
    first = [min(r.moment for r in p.lines if r.amount > 0) for p in year]
    hours = [moment.hour // 6 for moment in first if moment.time() > dt.time()]
    cheap = [any((r.discount or 0) > 0 for r in p.lines if r.amount >= 0) for p in year]
    recent = {}
    for half in HALF_LIVES:
        weight = [round(1e6 * 0.5 ** ((age(p.day) - since) / half)) for p in own]
        money = sum(float(p.value) * w for p, w in zip(own, weight, strict=True))
        recent[f"recent_weight_{half}"] = sum(weight) ** 2 / sum(w * w for w in weight)
        recent[f"recent_value_{half}"] = money / sum(weight)
    return {
        "frequency": k,
        "recency": (own[-1].day - own[0].day).days / 7,
        "T": tenure / 7,
        "monetary_value": float(sum(p.value for p in own[1:])) / k if k else 0.0,
        "first_value": float(own[0].value),
        "log_gaps": sum(math.log((gap or 0.5) / 7) for gap in gaps),
        **recent,
        "days_since_last": since,
        "tenure_days": tenure,
        "first_to_last_days": tenure - since,
        "recency_ratio": since / (tenure + 1),
        **{f"n_purchases_{w}": n(1, w) for w in (30, 90, 180, 365)},
        "n_purchases_all": k + 1,
        "purchase_rate_12m": n(1, 365) * 365 / min(365, tenure) if tenure >= 30 else NAN,
        "active_months_12": len({(p.day.year, p.day.month) for p in year}),
        "is_one_time": float(k == 0),
        **{f"net_spend_{w}": net(1, w) for w in (30, 90, 180, 365)},
        "aov_365": net(1, 365) / n(1, 365) if year else NAN,
        "max_order_365": max(values, default=NAN),
        "cv_order_value": np.std(values, ddof=1) / np.mean(values) if len(year) >= 3 else NAN,
        "last_order_ratio": float(own[-1].value / sum(p.value for p in own[:-1])) * k if k else NAN,
        "first_order_value": float(own[0].value),
        "purchase_change_90": np.log((n(1, 90) + 1) / (n(91, 180) + 1)),
        "spend_change_90": np.log((max(net(1, 90), 0) + 1) / (max(net(91, 180), 0) + 1)),
        "share_recent": n(1, 90) / n(1, 365) if year else NAN,
        "spend_slope_6m": trend / np.mean(months) if any(months) else NAN,
        "peak_drop": 1 - n(1, 90) / max(busy) if year else NAN,
        "yoy_same_window": sum(last_year[0] <= p.day < last_year[1] for p in own),
        "promo_order_share_365": np.mean(cheap) if year else NAN,
        "weekend_share_365": np.mean([p.day.isoweekday() >= 6 for p in year]) if year else NAN,
        "hour_entropy_365": shannon([hours.count(part) for part in range(4)]) if hours else NAN,
    }


def reckon_gap_features(
    customer: str, own: list[Purchase], gaps_of: dict[str, list[int]], window: ObservationWindow
) -> dict[str, object]:
    gaps, k = gaps_of[customer], len(gaps_of[customer])
    since, tenure = age(own[-1].day), age(own[0].day)
    mean = max(sum(gaps) / k, 1.0) if k else NAN
    everyone = [gap for each in gaps_of.values() for gap in each]
    share_all = sum(g <= since for g in everyone) / len(everyone) if everyone else NAN
    lapses = [age(own[i + 1].day) for i, gap in enumerate(gaps) if gap > window.horizon_days]
    logs = [math.log(gap or 0.5) for gap in gaps]
    uneven = k >= 3 and len(set(gaps)) > 1
    late = (math.log(since) - np.mean(logs)) / np.std(logs, ddof=1) if uneven else NAN
    r = np.std(gaps) / np.mean(gaps) if k >= 2 and sum(gaps) else NAN
    # Zhang, Bradlow and Small: days are numbered from 1 to N, the first purchase is day 0.
    size = min(365, tenure - 1)
    days = sorted({size + 1 - age(p.day) for p in own if own[0].day < p.day and age(p.day) <= 365})
    parts = [(b - a) / (size + 1) for a, b in pairwise([0, *days, size + 1])]
    clumps = 1 - shannon(parts) / math.log(len(parts)) if len(days) >= 2 else NAN
    return {
        "gap_mean": mean,
        "gap_median": np.median(gaps) if k else NAN,
        "gap_cv": float(np.std(gaps, ddof=1)) / mean if k >= 2 else NAN,
        "gap_last": gaps[-1] if k else NAN,
        "gap_last_ratio": gaps[-1] / max(np.mean(gaps[:-1]), 1.0) if k >= 2 else NAN,
        "gap_max": max(gaps) if k else NAN,
        "overdue_ratio": since / mean,
        "overdue_percentile": (3 * share_all + sum(g <= since for g in gaps)) / (3 + k),
        "expected_purchases_naive": window.horizon_days / mean,
        "n_prior_lapses": sum(g > window.horizon_days for g in gaps),
        "last_lapse_days_ago": min(lapses, default=NAN),
        "overdue_z": late,
        "gap_trend": np.polyfit(range(k), logs, 1)[0] if k >= 4 else NAN,
        "regularity_k": reckon_shape(customer, gaps_of),
        "burstiness": (math.sqrt(k + 1) * r - math.sqrt(k - 1))
        / ((math.sqrt(k + 1) - 2) * r + math.sqrt(k - 1))
        if k >= 2
        else NAN,
        "clumpiness": clumps,
    }


def reckon_shape(customer: str, gaps_of: dict[str, list[int]]) -> float:
    long = {c: [gap or 0.5 for gap in gaps] for c, gaps in gaps_of.items() if len(gaps) >= 3}
    if customer not in long:
        return NAN
    uneven = {c: len(g) * (math.log(np.mean(g)) - np.mean(np.log(g))) for c, g in long.items()}
    common = sum(uneven.values()) / sum(len(g) - 1 for g in long.values())
    s = (uneven[customer] + 3 * common) / (len(long[customer]) - 1 + 3)
    return (1 + math.sqrt(1 + 4 * s / 3)) / (4 * s) if s > 1e-8 else NAN


def reckon_line_features(
    own: list[Purchase], lines: list[Row], known: list[Row], window: ObservationWindow
) -> dict[str, object]:
    year = [r for r in lines if age(r.day) <= 365]
    sales = [r for r in year if r.amount > 0]
    orders = sum(age(p.day) <= 365 for p in own)
    sold = float(sum(r.amount for r in sales))
    returned = -float(sum(r.amount for r in year if r.amount < 0))
    discount = float(sum(r.discount or 0 for r in year if r.amount >= 0))
    listed = float(sum(r.amount for r in year if r.amount >= 0)) + discount
    items = [r.quantity for r in sales if (r.quantity or 0) > 0]
    costs = [(r, abs(r.cost)) for r in year if r.cost is not None]
    first_bought = {}
    for r in sorted(lines, key=lambda r: r.day, reverse=True):
        if r.amount > 0 and r.product:
            first_bought[r.product] = r.day
    lately = {r.product for r in sales if age(r.day) <= 90} - {None}
    new = [product for product in lately if age(first_bought[product]) <= 90]
    spend = defaultdict(float)
    for r in sales:
        if r.category:
            spend[r.category] += float(r.amount)
    now, before = main_channel(sales, 1, 90), main_channel(sales, 91, 365)
    return {
        "days_since_last_return": min((age(r.day) for r in lines if r.amount < 0), default=NAN),
        "margin_365": float(sum(r.amount + (cost if r.amount < 0 else -cost) for r, cost in costs)),
        "return_rate_365": min(returned / sold, 1.0) if sold else NAN,
        "discount_share_365": discount / listed if listed else NAN,
        "items_per_order_365": sum(items) / orders if items and orders else NAN,
        "n_products_365": len({r.product for r in sales} - {None}),
        "new_product_share_90": len(new) / len(lately) if lately else NAN,
        "replenishment_due_ratio": reckon_replenishment(lines, known),
        "n_categories_365": len(spend),
        "category_entropy_365": shannon([*spend.values()]),
        "top_category_share_365": max(spend.values()) / sum(spend.values()) if spend else NAN,
        "channel_main": main_channel(sales, 1, 365),
        "channel_switch": float(now != before) if now and before else NAN,
    }


def main_channel(sales: list[Row], low: int, high: int) -> str | None:
    days = defaultdict(set)
    for r in sales:
        if r.channel and low <= age(r.day) <= high:
            days[r.channel].add(r.day)
    return max(((len(d), max(d), name) for name, d in days.items()), default=(0, 0, None))[2]


def reckon_replenishment(lines: list[Row], known: list[Row]) -> float:
    def product_days(rows: list[Row]) -> dict[tuple[str, str], list[dt.date]]:
        days = defaultdict(set)
        for r in rows:
            if r.amount > 0 and r.product:
                days[r.customer, r.product].add(r.day)
        return {key: sorted(found) for key, found in days.items()}

    ranks = [(len(days), days[-1], name) for (_, name), days in product_days(lines).items()]
    if not ranks:
        return NAN
    _, last, main = max(ranks)
    every = [days for (_, name), days in product_days(known).items() if name == main]
    gaps = [(b - a).days for days in every for a, b in pairwise(days)]
    return age(last) / max(np.median(gaps), 1.0) if gaps else NAN


# Logarithms and squares are summed in whole units; what rounding takes away shows where a
# difference of such sums is small.
ROUNDED = ["overdue_z", "gap_trend", "regularity_k", "clumpiness", "category_entropy_365"]
ROUNDED += ["cv_order_value", "hour_entropy_365"]


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past, future=unknown)
@settings(parent=examples, max_examples=25)
def test_the_engine_agrees_with_plain_loops(unit, rows, future) -> None:
    frame = run("snapshot", [*rows, *future], unit)
    reckoned = reckon([*rows, *future], unit, WINDOW)
    expected = pd.DataFrame.from_dict(reckoned, orient="index", columns=list(frame.columns))
    expected = expected.sort_index()
    assert list(frame.index) == list(expected.index)
    if len(expected):
        text = [feature.name for feature in OF_TRANSACTIONS if feature.kind == "category"]
        numbers = [name for name in frame.columns if name not in {*text, *ROUNDED}]
        for name in text:
            assert frame[name].fillna("").tolist() == expected[name].fillna("").tolist(), name
        for name in numbers:
            np.testing.assert_allclose(
                frame[name], expected[name].astype(float), rtol=1e-12, atol=1e-9, err_msg=name
            )
        for name in ROUNDED:
            np.testing.assert_allclose(
                frame[name], expected[name].astype(float), rtol=1e-3, atol=1e-6, err_msg=name
            )

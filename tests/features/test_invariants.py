"""What holds for any ledger, checked on random small ones through the real engine."""

import datetime as dt
import math
from collections import defaultdict
from decimal import Decimal
from functools import cache
from itertools import pairwise

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
    "known_at": "TIMESTAMP",
}
UNITS = ["day", "order"]

examples = settings(max_examples=10, deadline=None)


# The ledgers ---------------------------------------------------------------------------


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


def rows_between(first: int, last: int, late: bool = False) -> st.SearchStrategy[list[tuple]]:
    """Rows dated between two days relative to the cutoff; `late` ones are known after it."""
    moment = moments(first, last)
    known = (
        st.integers(1, 30).map(lambda minutes: MIDNIGHT + dt.timedelta(minutes=minutes))
        if late
        else st.sampled_from([None, dt.datetime(2020, 1, 1), MIDNIGHT])
    )
    amounts = st.one_of(cents(1, 9_999), cents(-5_000, 0), st.just(Decimal("10")))
    return st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            moment,
            amounts,
            st.sampled_from([None, "1", "2", "3", "4", "5", "6"]),
            st.sampled_from([None, "p", "q", "r"]),
            st.one_of(st.none(), cents(0, 500)),
            known,
        ),
        max_size=12,
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
    name: str, rows: list[tuple], unit: str = "day", window: ObservationWindow = WINDOW
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
def test_values_stay_within_their_bounds(unit: str, rows: list[tuple]) -> None:
    frame = run("snapshot", rows, unit)
    assert (frame.recency >= 0).all()
    assert (frame.recency <= frame["T"]).all()
    assert (frame.recency[frame.frequency == 0] == 0).all()
    assert (frame.monetary_value[frame.frequency == 0] == 0).all()
    assert (frame.monetary_value[frame.frequency > 0] > 0).all()
    for feature in CATALOGUE:
        if feature.origin == "engine":
            values = frame[feature.name]
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
    unit: str, rows: list[tuple]
) -> None:
    frame = run("snapshot", rows, unit, SHORT)
    for feature in CATALOGUE:
        if feature.origin == "engine" and "C" in feature.null_class:
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


def rows_in_the_gap() -> list[tuple]:
    moment = MIDNIGHT + dt.timedelta(days=4, hours=23)
    return [(name, moment, Decimal(5), None, None, None, None) for name in "abc"]


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
    large = [place for place, row in enumerate(rows) if row[2] > 1]
    assume(large)
    place = data.draw(st.sampled_from(large))
    customer, moment, amount, order, product, discount, known = rows[place]
    part = data.draw(cents(1, int(amount * 100) - 1))
    minute = data.draw(st.integers(0, 1439))
    again = dt.datetime.combine(moment.date(), dt.time()) + dt.timedelta(minutes=minute)
    split = [
        *rows[:place],
        (customer, again, amount - part, order, product, discount, known),
        *rows[place + 1 :],
        (customer, moment, part, order, product, None, known),
    ]
    before, after = run("snapshot", rows, unit), run("snapshot", split, unit)
    pd.testing.assert_frame_equal(before, after, check_exact=True)


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
    rows = [row for row in rows if row[0] != customer or row[1].date() not in days]
    order = "returned" if unit == "order" else None
    returned = [
        (customer, moment, Decimal("19.99"), order, "p", None, None),
        (customer, back, Decimal("-19.99"), order, "p", None, None),
    ]
    before, after = run("snapshot", rows, unit), run("snapshot", [*rows, *returned], unit)
    assert list(before.index) == list(after.index)
    # These speak about the lines themselves; net spend moves between two days.
    lines = {"days_since_last_return", "return_rate_365", "n_products_365", "discount_share_365"}
    if back.date() != moment.date():
        lines |= {name for name in before.columns if "spend" in name or name == "aov_365"}
    pd.testing.assert_frame_equal(
        before.drop(columns=list(lines)), after.drop(columns=list(lines)), check_exact=True
    )


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past)
@examples
def test_the_counts_expand_to_the_summary(unit: str, rows: list[tuple]) -> None:
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


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("window", [WINDOW, SHORT], ids=["long", "short"])
@given(rows=st.one_of(past, st.builds(list.__add__, past, rows_between(0, 60))))
@examples
def test_days_netted_once_give_what_the_rows_before_each_cutoff_give(unit, window, rows) -> None:
    rows = [(*row[:-1], None) for row in rows]
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


def reckon(rows: list[tuple], unit: str, window: ObservationWindow) -> dict[str, dict[str, float]]:
    """Every feature and label by plain loops, straight from the definitions."""
    midnight = dt.datetime.combine(window.cutoff, dt.time())
    known = [r for r in rows if r[1] < midnight and (r[6] is None or r[6] <= midnight)]
    future = [r for r in rows if window.label_start <= r[1].date() < window.label_end]
    bought = reckon_purchases(known, unit)
    gaps_of = {c: [(b[0] - a[0]).days for a, b in pairwise(v)] for c, v in bought.items()}
    all_gaps = [gap for gaps in gaps_of.values() for gap in gaps]
    later = reckon_purchases(future, unit)
    nan = float("nan")
    out: dict[str, dict[str, float]] = {}
    for c, own in bought.items():
        lines = [(r[1].date(), r[2], r[4], r[5] or Decimal(0)) for r in known if r[0] == c]
        age = {day: (window.cutoff - day).days for day, *_ in [*lines, *own]}

        def n(low: int, high: int, own=own, age=age) -> int:
            return sum(low <= age[day] <= high for day, _ in own)

        def net(low: int, high: int, lines=lines, age=age) -> float:
            return float(sum(a for day, a, *_ in lines if low <= age[day] <= high))

        year = [line for line in lines if age[line[0]] <= 365]
        sold = float(sum(a for _, a, *_ in year if a > 0))
        returned = -float(sum(a for _, a, *_ in year if a < 0))
        listed = float(sum(a + d for _, a, _, d in year if a >= 0))
        discount = float(sum(d for _, a, _, d in year if a >= 0))
        since, tenure = age[own[-1][0]], age[own[0][0]]
        gaps, k = gaps_of[c], len(gaps_of[c])
        mean = max(sum(gaps) / k, 1.0) if k else nan
        last_year = window.label_start - dt.timedelta(365), window.label_end - dt.timedelta(365)
        values = [value for day, value in own if age[day] <= 365]
        share_all = sum(g <= since for g in all_gaps) / len(all_gaps) if all_gaps else nan
        backs = [age[day] for day, a, *_ in lines if a < 0]
        horizon = later.get(c, [])
        recent = {}
        for half in HALF_LIVES:
            weight = [round(1e6 * 0.5 ** ((age[day] - since) / half)) for day, _ in own]
            money = sum(float(v) * w for (_, v), w in zip(own, weight, strict=True))
            recent[f"recent_weight_{half}"] = sum(weight) ** 2 / sum(w * w for w in weight)
            recent[f"recent_value_{half}"] = money / sum(weight)
        out[c] = {
            "frequency": k,
            "recency": (own[-1][0] - own[0][0]).days / 7,
            "T": tenure / 7,
            "monetary_value": float(sum(v for _, v in own[1:])) / k if k else 0.0,
            "first_value": float(own[0][1]),
            "log_gaps": sum(math.log((gap or 0.5) / 7) for gap in gaps),
            **recent,
            "days_since_last": since,
            "tenure_days": tenure,
            "days_since_last_return": min(backs) if backs else nan,
            **{f"n_purchases_{w}": n(1, w) for w in (30, 90, 180, 365)},
            "n_purchases_all": k + 1,
            "purchase_rate_12m": n(1, 365) * 365 / min(365, tenure) if tenure >= 30 else nan,
            "is_one_time": float(k == 0),
            **{f"net_spend_{w}": net(1, w) for w in (30, 90, 180, 365)},
            "aov_365": net(1, 365) / n(1, 365) if n(1, 365) else nan,
            "max_order_365": float(max(values)) if values else nan,
            "first_order_value": float(own[0][1]),
            "gap_mean": mean,
            "gap_cv": float(np.std(gaps, ddof=1)) / mean if k >= 2 else nan,
            "gap_last": gaps[-1] if k else nan,
            "gap_max": max(gaps) if k else nan,
            "overdue_ratio": since / mean,
            "overdue_percentile": (3 * share_all + sum(g <= since for g in gaps)) / (3 + k),
            "n_prior_lapses": sum(g > window.horizon_days for g in gaps),
            "purchase_change_90": np.log((n(1, 90) + 1) / (n(91, 180) + 1)),
            "spend_change_90": np.log((max(net(1, 90), 0) + 1) / (max(net(91, 180), 0) + 1)),
            "share_recent": n(1, 90) / n(1, 365) if n(1, 365) else nan,
            "yoy_same_window": sum(last_year[0] <= day < last_year[1] for day, _ in own),
            "n_products_365": len({p for _, a, p, _ in year if a > 0 and p is not None}),
            "return_rate_365": min(returned / sold, 1.0) if sold else nan,
            "discount_share_365": discount / listed if listed else nan,
            "month_sin": 0.866025403784,
            "month_cos": 0.5,
            "churned": float(not horizon),
            "future_purchases": len(horizon),
            "future_spend": max(float(sum(r[2] for r in future if r[0] == c)), 0.0),
        }
    return out


def reckon_purchases(rows: list[tuple], unit: str) -> dict[str, list[tuple[dt.date, Decimal]]]:
    baskets = defaultdict(list)
    for customer, moment, amount, order, *_ in rows:
        by_order = unit == "order" and order is not None
        key = ("order", order) if by_order else ("day", moment.date())
        baskets[customer, key].append((moment.date(), amount))
    bought = defaultdict(list)
    for (customer, _), lines in baskets.items():
        if (value := sum(amount for _, amount in lines)) > 0:
            bought[customer].append((min(day for day, _ in lines), value))
    return {customer: sorted(found) for customer, found in bought.items()}


@pytest.mark.parametrize("unit", UNITS)
@given(rows=past, future=unknown)
@settings(parent=examples, max_examples=40)
def test_the_engine_agrees_with_plain_loops(unit, rows, future) -> None:
    frame = run("snapshot", [*rows, *future], unit)
    expected = pd.DataFrame.from_dict(
        reckon([*rows, *future], unit, WINDOW), orient="index", columns=list(frame.columns)
    )
    expected = expected.sort_index().astype(float)
    assert list(frame.index) == list(expected.index)
    if len(expected):
        np.testing.assert_allclose(frame.to_numpy(), expected.to_numpy(), rtol=1e-12, atol=1e-9)

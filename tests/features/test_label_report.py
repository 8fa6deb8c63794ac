import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from features.base_rates import churn_rates
from features.label_report import HORIZONS, label_report, trainable
from features.labels import LabelSpec
from features.ledger import Ledger


def shop(usual_gap_days, *, days=1095, customers=1200, seed=0):
    """Customers who buy about every so many days until they leave; some leave at once."""
    random = np.random.default_rng(seed)
    rate = random.gamma(3.0, 1.0 / (3.0 * usual_gap_days), customers)
    start = random.uniform(0.0, days, customers)
    stays = np.where(random.random(customers) < 0.3, 0.0, random.exponential(700.0, customers))
    count = random.poisson(rate * stays)
    who = np.repeat(np.arange(customers), count)
    when = start[who] + random.random(who.size) * stays[who]
    who, when = np.append(np.arange(customers), who), np.append(start, when)
    kept = when < days
    return pd.DataFrame(
        {
            "customer_id": who[kept].astype(str),
            "timestamp": pd.Timestamp("2021-01-01") + pd.to_timedelta(when[kept], "D").floor("D"),
            "amount": 10.0,
        }
    )


@pytest.fixture(scope="module")
def monthly():
    return Ledger.from_frames(shop(45))


def report_of(ledger):
    """With base rates of few cutoffs, for speed."""
    cutoffs = [dt.date(2022, 1, 1), dt.date(2023, 1, 1), dt.date(2023, 9, 1)]
    return label_report(ledger, LabelSpec(), churn_rates(ledger, LabelSpec(), cutoffs))


@pytest.fixture(scope="module")
def report(monthly):
    return report_of(monthly)


@pytest.mark.parametrize(("usual_gap", "expected"), [(7, 30), (20, 60), (45, 90), (180, 180)])
def test_the_slower_the_buyers_the_longer_the_suggested_horizon(usual_gap, expected):
    found = label_report(Ledger.from_frames(shop(usual_gap)), LabelSpec(), rates=())
    assert found.suggested_horizon_days == found.wished_horizon_days == expected
    assert any(f"horizon_days = {expected}" in line for line in found.words) == (expected != 90)


def test_the_history_bounds_what_is_suggested():
    ledger = Ledger.from_frames(shop(180, days=330))
    found = label_report(ledger, LabelSpec(), rates=())
    assert found.curve.follow_up_days == 110
    assert found.suggested_horizon_days in HORIZONS
    assert trainable(ledger, found.suggested_horizon_days)
    assert not trainable(ledger, 180)
    assert any("cannot be seen in so short a history" in line for line in found.words)


def test_the_curve_has_as_much_before_each_cutoff_as_after(monthly, report):
    curve = report.curve
    reach = dt.timedelta(days=curve.follow_up_days)
    assert curve.points[-1].days <= curve.follow_up_days
    assert min(curve.cutoffs) - reach >= monthly.first_day
    assert max(curve.cutoffs) + reach <= monthly.last_day + dt.timedelta(days=1)


def test_counts_at_the_end_of_the_data(monthly, report):
    buyers = (
        monthly.transactions.to_pyarrow().to_pandas().groupby("customer_id")["timestamp"].nunique()
    )
    assert (report.customers, report.one_time) == (len(buyers), (buyers == 1).sum())
    assert 0 < report.due < report.customers - report.one_time
    assert report.as_of == monthly.last_day + dt.timedelta(days=1)


def test_a_longer_horizon_calls_fewer_churned_at_the_same_cutoffs(report):
    assert {(s.horizon_days, s.gap_days) for s in report.sensitivity} == {
        (h, g) for h in (30, 60, 90, 120, 180) for g in (0, 7, 14, 30)
    }
    assert len(report.sensitivity_cutoffs) == 12
    for gap in (0, 7, 14, 30):
        tried = [each for each in report.sensitivity if each.gap_days == gap]
        assert len({each.customers for each in tried}) == 1
        rates = [each.rate for each in tried]
        assert rates == sorted(rates, reverse=True)


def test_the_sensitivity_counts_as_the_base_rates_do(monthly, report):
    rates = churn_rates(monthly, LabelSpec(60, 14), report.sensitivity_cutoffs)
    [found] = [s for s in report.sensitivity if (s.horizon_days, s.gap_days) == (60, 14)]
    followed = [rate for rate in rates if rate.came_back is not None]
    assert found.customers == sum(rate.customers for rate in rates)
    assert found.churned == sum(rate.churned for rate in rates)
    assert found.followed == len(followed)
    assert found.followed_churned == sum(rate.churned for rate in followed)
    assert found.came_back == sum(rate.came_back for rate in followed)


def test_the_horizon_and_the_gap_in_use_are_in_the_sensitivity(monthly):
    found = label_report(monthly, LabelSpec(45, 3), rates=())
    assert (45, 3) in {(s.horizon_days, s.gap_days) for s in found.sensitivity}


def test_the_order_of_rows_changes_nothing(monthly, report):
    rows = monthly.transactions.to_pyarrow().to_pandas().sample(frac=1.0, random_state=2)
    assert report_of(Ledger.from_frames(rows)) == report


def test_without_rates_at_hand_they_are_counted():
    ledger = Ledger.from_frames(shop(20, days=200, customers=100))
    assert label_report(ledger, LabelSpec()).rates == churn_rates(ledger, LabelSpec()) != ()


@pytest.mark.data
def test_on_a_real_ledger(development_data):
    rows = pd.read_parquet(development_data / "online_retail_ii_2010.parquet")
    found = label_report(Ledger.from_frames(rows), LabelSpec())
    assert (found.rates[-1].customers, found.rates[-1].churned) == (3311, 1381)
    assert found.curve.follow_up_days == 121
    assert found.suggested_horizon_days == 60
    assert 0.3 < found.reactivation_rate < 0.45  # the shop sells gifts: many come back late


def test_it_is_plain_json(report):
    said = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert said["spec"] == LabelSpec().to_dict()
    assert said["one_time_share"] == report.one_time / report.customers
    assert len(said["cutoffs"]) == len(report.rates)
    assert said["d_curve"]["best_days"] == report.curve.best_days


@pytest.mark.parametrize(
    "rows",
    [
        {"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [5.0]},
        {"customer_id": ["a"], "timestamp": ["2024-01-01"], "amount": [-5.0]},
        {"customer_id": ["a", "b"], "timestamp": ["2024-01-01", "2024-06-01"], "amount": [5.0] * 2},
    ],
    ids=["one purchase", "one return", "two strangers"],
)
def test_next_to_nothing_is_no_error(rows):
    found = label_report(Ledger.from_frames(pd.DataFrame(rows)), LabelSpec())
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.curve is None
    assert found.suggested_horizon_days is None
    assert any("No horizon can be suggested" in line for line in found.words)


def test_the_words_say_how_often_churned_is_wrong(report):
    back = report.reactivation_rate
    assert any(
        line.startswith(f"{back:.0%} of those called churned came back") for line in report.words
    )


def test_purchases_counted_by_order_are_looked_at_too():
    rows = shop(45, customers=300).assign(order_id=lambda t: "o" + t.index.astype(str))
    by_day = Ledger.from_frames(rows)
    by_order = Ledger(by_day.con, by_day.tables, by_day.quality, "order")
    days, orders = (label_report(each, LabelSpec(), rates=()) for each in (by_day, by_order))
    assert orders.curve == days.curve  # two orders of a day are one day on which one bought
    assert orders.sensitivity == days.sensitivity

"""Slices of all customers at many cutoffs."""

import datetime as dt

import numpy as np
import pytest

from models.decision import Offer
from training.churn_panel import ChurnSettings, churn_panel


@pytest.fixture(scope="module")
def small(ledger):
    settings = ChurnSettings(horizon_days=30, margin=0.5)
    return churn_panel(ledger, settings, [dt.date(2023, 6, 1), dt.date(2023, 4, 1)])


def test_slices_ascend_and_their_parts_fit_together(small):
    assert list(small.slices) == [dt.date(2023, 4, 1), dt.date(2023, 6, 1)]
    for s in small.slices.values():
        n = len(s.features)
        assert len(s.churned) == len(s.one_time) == len(s.eligible) == len(s.value) == n
        assert (s.features.select_dtypes("number").dtypes == np.float32).all()
        assert s.features.index.equals(s.labels.index)
        assert np.array_equal(s.one_time, s.features["is_one_time"].to_numpy() == 1)


def test_the_value_is_what_is_expected_of_who_stays_times_the_margin(small):
    s = small.slices[dt.date(2023, 6, 1)]
    np.testing.assert_allclose(s.value, 0.5 * s.features["value_if_alive"], rtol=1e-6)
    assert (s.value > 0).all()


def test_a_fixed_value_wins(ledger):
    settings = ChurnSettings(horizon_days=30, value=80.0, offer=Offer(save_rate=0.2))
    (s,) = churn_panel(ledger, settings, [dt.date(2023, 5, 1)]).slices.values()
    assert (s.value == 80.0).all()


def test_the_last_day_has_no_labels(ledger):
    day = ledger.last_day + dt.timedelta(days=1)
    panel = churn_panel(ledger, ChurnSettings(horizon_days=30), [day])
    assert panel.slices[day].labels is None
    assert panel.closed_by(day) == []


def test_cadence_leaves_out_one_time_buyers(ledger):
    settings = ChurnSettings(horizon_days=30, eligibility="cadence")
    (s,) = churn_panel(ledger, settings, [dt.date(2023, 6, 1)]).slices.values()
    assert 0 < s.eligible.sum() < len(s.eligible)
    assert not (s.eligible & s.one_time).any()


def test_cutoffs_are_closed_by_a_day_when_their_window_has_ended(panel):
    days = list(panel.slices)
    reach = panel.settings.reach
    assert panel.closed_by(days[0] + reach) == [days[0]]
    assert panel.closed_by(days[0] + reach - dt.timedelta(days=1)) == []


def test_a_sample_holds_the_same_customers_at_every_cutoff(panel):
    some = panel.sample(1200)
    who = [set(s.features.index) for s in some.slices.values()]
    assert 60 < len(who[0]) < 240
    assert all(each == who[0] for each in who)
    assert panel.sample(10_000) is panel
    again = panel.sample(600)
    assert set(next(iter(again.slices.values())).features.index) < who[0]

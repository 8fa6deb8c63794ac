import numpy as np
import pytest
from scipy import stats

from models.base import ModelError
from models.uplift.power import (
    break_even_effect,
    customers_for_mean,
    customers_for_share,
    detectable_mean,
    detectable_share,
    plan,
)


def test_ten_to_twelve_per_cent_as_in_the_textbooks():
    # h = 2 asin sqrt(0.12) - 2 asin sqrt(0.10); n = ((z_0.975 + z_0.8) / h)^2 2
    h = 2 * (np.arcsin(np.sqrt(0.12)) - np.arcsin(np.sqrt(0.10)))
    n = 2 * ((stats.norm.isf(0.025) + stats.norm.isf(0.2)) / h) ** 2
    assert customers_for_share(0.10, 0.02) == (int(np.ceil(n)),) * 2


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_what_so_many_customers_show_is_the_effect_they_were_planned_for(share):
    treated, control = customers_for_share(0.25, 0.03, treated_share=share)
    assert treated / (treated + control) == pytest.approx(share, abs=0.001)
    found = detectable_share(0.25, treated + control, treated_share=share)
    assert found == pytest.approx(0.03, rel=0.001)
    arms = customers_for_mean(70, 5, treated_share=share)
    assert detectable_mean(70, sum(arms), treated_share=share) == pytest.approx(5, rel=0.001)


def test_equal_arms_need_the_fewest():
    need = {s: sum(customers_for_share(0.2, 0.02, treated_share=s)) for s in (0.1, 0.5, 0.9)}
    assert need[0.5] == min(need.values())


def test_the_power_is_what_it_says():
    rng = np.random.default_rng(0)
    n, m = customers_for_share(0.2, 0.05)
    a, b = rng.binomial(n, 0.25, 2000) / n, rng.binomial(m, 0.2, 2000) / m
    z = (a - b) / np.sqrt(a * (1 - a) / n + b * (1 - b) / m)
    assert np.mean(np.abs(z) > stats.norm.isf(0.025)) == pytest.approx(0.8, abs=0.03)


def test_days_count_the_waiting_and_the_last_window():
    found = plan(0.10, 0.02, window_days=30, available=5670, customers_a_day=100)
    assert (found.customers, found.days) == (7670, 20 + 30)
    assert plan(0.10, 0.02, window_days=30, available=8000).days == 30
    assert plan(0.10, 0.02, window_days=30, available=10).days is None


def test_an_effect_that_pays():
    assert break_even_effect(2.0, 50.0) == 0.04
    with pytest.raises(ModelError):
        break_even_effect(2.0, 0.0)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((0.9, 0.2), {}), ((0.1, 0.0), {}), ((0.1, 0.02), {"power": 1.0}), ((0, 0.1), {})],
)
def test_what_cannot_be_planned_is_refused(arguments, options):
    with pytest.raises(ModelError):
        customers_for_share(*arguments, **options)


@pytest.mark.parametrize("effect", [1e-9, 1e9])
def test_an_effect_beyond_all_measure_is_refused(effect):
    with pytest.raises(ModelError, match="no number of customers"):
        customers_for_mean(1.0, effect)

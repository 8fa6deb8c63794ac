"""Whom to contact: the threshold, what it is equivalent to, and who is never worth it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import ModelError
from models.decision import (
    Offer,
    break_even,
    contact,
    effect_value,
    expected_cost,
    expected_value,
    value_at_stake,
)

chances = st.floats(0.0, 1.0)
costs = st.floats(0.0, 100.0)
offers = st.builds(Offer, costs, costs, chances, chances)


def test_the_published_threshold():
    assert break_even(200.0, Offer(1.0, 10.0, 0.30)) == pytest.approx(0.16418, abs=5e-6)


def test_at_break_even_a_contact_earns_nothing():
    value = np.array([30.0, 200.0, 1000.0])
    offer = Offer(2.0, 12.0, 0.4, 0.7)
    at = break_even(value, offer)
    worthwhile = at <= 1.0
    assert worthwhile.any()
    earned = expected_value(at[worthwhile], value[worthwhile], offer)
    assert earned == pytest.approx(0.0, abs=1e-9)


@given(chances, st.floats(0.0, 1e4), offers)
def test_above_break_even_is_the_same_as_worth_a_contact(p, value, offer):
    earned = float(expected_value(p, value, offer))
    if abs(earned) > 1e-6:  # on the edge itself rounding may decide
        assert bool(p > break_even(value, offer)) == (earned > 0) == bool(contact(p, value, offer))


@given(st.floats(0.0, 100.0), offers)
def test_whoever_brings_no_more_than_the_offer_costs_is_never_contacted(value, offer):
    value = min(value, offer.offer_cost)
    assert not contact(1.0, value, offer)
    assert break_even(value, offer) > 1.0


def test_a_customer_of_unknown_value_or_risk_is_not_contacted():
    p, value = [0.9, np.nan, 0.9], [np.nan, 200.0, 200.0]
    assert contact(p, value, Offer()).tolist() == [False, False, True]
    assert np.isnan(expected_value(p, value, Offer())).tolist() == [True, True, False]
    assert np.isnan(break_even(value, Offer())).tolist() == [True, False, False]


def test_the_value_counts_only_once_the_customer_stays():
    # Certain to leave, certain to be kept, at no cost: the whole value. Certain to stay: none.
    free = Offer(0.0, 0.0, 1.0)
    assert expected_value([1.0, 0.0], 200.0, free).tolist() == [200.0, 0.0]


def test_what_is_lost_with_a_customer_is_no_more_than_a_new_one_costs():
    found = value_at_stake([100.0, 100.0, 100.0, np.nan], [20.0, 500.0, np.nan, 20.0])
    assert found[:3].tolist() == [20.0, 100.0, 100.0]
    assert np.isnan(found[3])


@pytest.mark.parametrize(
    "wrong",
    [{"contact_cost": -1.0}, {"offer_cost": np.nan}, {"save_rate": 1.5}, {"redemption": -0.1}],
)
def test_an_impossible_offer_is_refused(wrong):
    with pytest.raises(ModelError, match=next(iter(wrong))):
        Offer(**wrong)


def test_an_impossible_probability_is_refused():
    with pytest.raises(ModelError, match="between 0 and 1"):
        expected_value([0.2, 30.0], 200.0, Offer())


@given(chances, st.floats(0.0, 1e4), offers)
def test_an_effect_of_p_times_the_save_rate_is_the_assumed_rule(p, value, offer):
    kept = p * offer.save_rate
    earned = expected_value(p, value, offer)
    assert effect_value(kept, p, value, offer) == pytest.approx(earned, abs=1e-6)
    assert expected_cost(kept, p, offer) + earned == pytest.approx(kept * value, abs=1e-6)


def test_an_effect_by_hand():
    offer = Offer(1.0, 10.0, redemption=0.5)
    # 8 % are kept and take it, so do half of the 60 % who stay anyway.
    assert expected_cost(0.08, 0.4, offer) == pytest.approx(1.0 + 10.0 * 0.38)
    assert effect_value(0.08, 0.4, 200.0, offer) == pytest.approx(16.0 - 4.8)
    # Somebody who is driven away does not redeem for it.
    assert effect_value(-0.08, 0.4, 200.0, offer) == pytest.approx(-16.0 - 4.0)
    assert np.isnan(effect_value([np.nan, 0.1], [0.4, np.nan], 200.0, offer)).all()


def test_an_impossible_effect_is_refused():
    with pytest.raises(ModelError, match="between -1 and 1"):
        effect_value(1.5, 0.4, 200.0, Offer())
    with pytest.raises(ModelError, match="between 0 and 1"):
        expected_cost(0.5, 1.4, Offer())

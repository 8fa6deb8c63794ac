"""Who gets which offer: the best list under limits, ties, and a control group by lot."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.allocation import NOBODY, allocate, held_back
from models.base import ModelError


def case(seed, customers=200, offers=3):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 4.0, (customers, offers)), rng.uniform(0.5, 3.0, (customers, offers))


def total(table, offer, who=slice(None)):
    rows = np.arange(len(offer))
    return float(np.where(offer == NOBODY, 0.0, table[rows, offer])[who].sum())


def test_without_limits_everybody_gets_the_offer_that_earns_most_or_none():
    worth, cost = case(0)
    found = allocate(worth, cost)
    best = np.where(worth.max(1) > 0, worth.argmax(1), NOBODY)
    assert (found.offer == best).all()
    assert found.price == 0.0
    assert found.surplus == pytest.approx(np.maximum(worth.max(1), 0.0))


def test_a_limit_of_size_takes_those_who_earn_most():
    worth, cost = case(1)
    found = allocate(worth, cost, most=20)
    on = found.offer != NOBODY
    assert on.sum() == 20
    assert worth.max(1)[on].min() >= worth.max(1)[~on].max()


def test_a_budget_for_one_offer_takes_those_who_earn_most_for_their_cost():
    worth, cost = case(2, offers=1)
    found = allocate(worth, cost, budget=60.0)
    on = found.offer != NOBODY
    rate = (worth / cost)[:, 0]
    assert 57.0 < cost[on].sum() <= 60.0
    assert rate[on].min() >= rate[~on].max()
    assert found.price == pytest.approx(rate[on].min(), rel=0.1)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.0, 8.0), st.none() | st.integers(0, 5))
def test_no_list_is_better_by_more_than_what_is_next(seed, budget, most):
    worth, cost = case(seed, 5, 2)
    best = 0.0
    for chosen in itertools.product(range(-1, 2), repeat=5):
        offer = np.array(chosen)
        size = (offer != NOBODY).sum()
        if total(cost, offer) <= budget and (most is None or size <= most):
            best = max(best, total(worth, offer))
    found = allocate(worth, cost, budget=budget, most=most)
    assert total(cost, found.offer) <= budget
    assert most is None or (found.offer != NOBODY).sum() <= most
    # One customer is cut by the budget, and another by the size.
    assert total(worth, found.offer) >= best - (1 if most is None else 2) * worth.max()


def test_customers_who_are_the_same_fill_the_budget_in_the_order_given():
    worth, cost = np.full((6, 1), 4.0), np.full((6, 1), 2.0)
    order = np.array([5, 0, 4, 1, 3, 2])
    for limits in ({"budget": 6.5}, {"most": 3}, {"budget": 100.0, "most": 3}):
        found = allocate(worth, cost, order=order, **limits)
        assert np.flatnonzero(found.offer != NOBODY).tolist() == [1, 3, 5]


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.none() | st.floats(1.0, 300.0), st.none() | st.integers(1, 150))
def test_the_order_of_rows_changes_nothing(seed, budget, most):
    worth, cost = case(seed)
    worth = worth.round(0)  # many ties
    control = np.random.default_rng(seed).random(200) < 0.2
    order = np.random.default_rng(seed + 1).permutation(200)
    mixed = np.random.default_rng(seed + 2).permutation(200)
    limits = {"budget": budget, "most": most}
    first = allocate(worth, cost, held_back=control, order=order, **limits)
    again = allocate(
        worth[mixed], cost[mixed], held_back=control[mixed], order=order[mixed], **limits
    )
    assert (again.offer == first.offer[mixed]).all()
    assert again.price == first.price


def test_the_control_costs_nothing_and_is_like_the_others():
    worth, cost = case(3, 20_000, 1)
    control = held_back(range(20_000), 0.25, "2025-07-01", 0)
    found = allocate(worth, cost, budget=3000.0, held_back=control)
    on = found.offer != NOBODY
    assert 2995.0 < cost[on & ~control].sum() <= 3000.0
    assert control[on].mean() == pytest.approx(0.25, abs=0.02)
    assert worth[on & control].mean() == pytest.approx(worth[on & ~control].mean(), rel=0.05)


def test_who_is_the_same_as_those_contacted_can_be_in_the_control():
    control = np.arange(1000) % 4 == 0
    same = np.ones((1000, 1))
    for limits in ({"budget": 300.0}, {"most": 300}):
        found = allocate(same, same, held_back=control, **limits)
        on = found.offer != NOBODY
        assert (on & ~control).sum() == 300
        assert (on & control).sum() == pytest.approx(100, abs=1)


def test_what_is_not_known_or_not_allowed_is_not_given():
    found = allocate([[np.nan, 2.0], [np.nan, np.nan], [3.0, 2.0]], [[1.0, 1.0]] * 3)
    assert found.offer.tolist() == [1, NOBODY, 0]
    assert allocate(np.empty((0, 2)), np.empty((0, 2)), budget=1.0).offer.tolist() == []


def test_a_free_offer_needs_no_budget():
    assert allocate([[1.0], [2.0]], [[0.0], [1.0]], budget=0.0).offer.tolist() == [0, NOBODY]


def test_the_lot_is_the_same_tomorrow_and_another_for_another_campaign():
    ids = [f"C{i}" for i in range(5000)]
    first = held_back(ids, 0.1, "2025-07-01", 0)
    assert first.mean() == pytest.approx(0.1, abs=0.015)
    assert (held_back(ids[::-1], 0.1, "2025-07-01", 0)[::-1] == first).all()
    assert held_back(ids, 0.2, "2025-07-01", 0)[first].all()
    for other in (("2025-07-01", 1), ("2025-08-01", 0)):
        again = held_back(ids, 0.1, *other)
        assert (again & first).mean() == pytest.approx(0.01, abs=0.006)
    # Known answers: a new version of the code must not draw other customers.
    assert np.flatnonzero(first)[:5].tolist() == [36, 53, 56, 62, 69]
    assert held_back([], 0.5).tolist() == []
    assert held_back(["a"], 0.0).tolist() == [False]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: allocate([1.0], [1.0]), "one worth and one cost"),
        (lambda: allocate([[1.0]], [[-1.0]]), "below 0"),
        (lambda: allocate(np.zeros((2, 0)), np.zeros((2, 0))), "no offer"),
        (lambda: allocate([[1.0]], [[1.0]], budget=-1.0), "below 0"),
        (lambda: allocate([[1.0]], [[1.0]], most=-1), "below 0"),
        (lambda: held_back(["a"], 1.5), "between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call, says):
    with pytest.raises(ModelError, match=says):
        call()

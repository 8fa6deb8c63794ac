"""What a customer is worth who is kept: where it comes from, and what wins over what."""

import numpy as np
import pytest

from models.base import ModelError
from models.worth import value_if_kept

KNOWN = [100.0, np.nan, 300.0]


def test_a_customer_of_unknown_value_is_worth_the_mean_of_the_others():
    assert value_if_kept(KNOWN, margin=0.5).tolist() == [50.0, 100.0, 150.0]


def test_without_a_spend_model_everybody_is_good_for_a_first_purchase():
    assert value_if_kept([np.nan] * 2, margin=0.5, first_value=30.0).tolist() == [15.0, 15.0]


def test_a_contract_brings_its_fee_for_a_year():
    assert value_if_kept(KNOWN, margin=0.5, fee=[10.0, 20.0, np.nan]).tolist() == [
        60.0,
        120.0,
        90.0,
    ]


def test_what_the_user_says_wins_and_has_the_margin_taken_off():
    assert value_if_kept(KNOWN, margin=0.5, fixed=80.0, fee=[1.0] * 3).tolist() == [80.0] * 3


def test_nobody_is_worth_more_than_a_replacement():
    found = value_if_kept(KNOWN, acquisition_cost=[20.0, np.nan, 500.0])
    assert found.tolist() == [20.0, 200.0, 300.0]


@pytest.mark.parametrize("given", [{}, {"fee": [np.nan] * 2}])
def test_where_nothing_says_it_the_user_is_asked(given):
    with pytest.raises(ModelError, match=r"\[decision\] value"):
        value_if_kept([np.nan] * 2, **given)


def test_nobody_is_no_problem():
    assert value_if_kept([]).tolist() == []

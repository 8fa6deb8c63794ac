"""Tier cut points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import TIERS, ModelError
from models.tiers import Tiers


def test_shares_are_met_on_distinct_values():
    values = np.random.default_rng(1).permutation(1000).astype(float)
    tiers = Tiers.learn(values).assign(values)
    assert [np.mean(tiers == name) for name in TIERS] == [0.5, 0.3, 0.2]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], ["medium"]),
        ([3.0, 3.0, 3.0], ["medium"] * 3),
        ([0.0, 0.0, 0.0, 9.0], ["low", "low", "low", "high"]),
        ([1.0, 9.0, 9.0, 9.0, 9.0], ["low"] + ["high"] * 4),
    ],
)
def test_ties_share_a_tier(values, expected):
    assert list(Tiers.learn(values).assign(values)) == expected


@given(st.lists(st.floats(-1e300, 1e300), min_size=1), st.lists(st.floats(allow_nan=False)))
def test_a_greater_value_never_has_a_lower_tier(values, others):
    tiers = Tiers.learn(values)
    assert tiers.medium_above <= tiers.high_above
    rank = [TIERS.index(t) for t in tiers.assign(sorted(others))]
    assert rank == sorted(rank)
    assert Tiers.from_dict(tiers.to_dict()) == tiers


@pytest.mark.parametrize("values", [[], [np.nan], [1.0, np.inf]])
def test_bad_values_are_refused(values):
    with pytest.raises(ModelError, match="tiers need"):
        Tiers.learn(values)


def test_missing_values_are_refused():
    with pytest.raises(ModelError, match="no tier"):
        Tiers(0.1, 0.2).assign([np.nan])


def test_low_never_reaches_above_its_limit():
    tiers = Tiers.learn(np.linspace(0.6, 0.99, 100), low_at_most=0.5)
    assert set(tiers.assign(np.linspace(0.6, 0.99, 100))) == {"medium", "high"}
    assert list(tiers.assign([0.5, 0.51])) == ["low", "medium"]


def test_a_limit_that_is_not_reached_changes_nothing():
    values = np.linspace(0.01, 0.2, 100)
    assert Tiers.learn(values, low_at_most=0.5) == Tiers.learn(values)

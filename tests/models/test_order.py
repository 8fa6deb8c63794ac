"""An order of rows that depends on nothing but what is in them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.order import canonical_order


@given(st.permutations(range(12)))
def test_whatever_order_rows_come_in_they_leave_in_the_same(order):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)).astype(np.float32), rng.integers(0, 2, 12).astype(float)
    X[3, 1] = np.nan
    there = list(order)
    again = canonical_order(X[there], y[there])
    np.testing.assert_array_equal(X[there][again], X[canonical_order(X, y)])


def test_outcomes_are_part_of_a_row():
    X = np.zeros((2, 1))
    first = canonical_order(X, np.array([0.0, 1.0]))
    assert canonical_order(X, np.array([1.0, 0.0])).tolist() == first[::-1].tolist()


def test_canonical_order_sees_through_zero_signs_and_kinds_of_nan():
    strange = np.uint64(0x7FF8000000000001).view(np.float64)
    X = np.array([[0.0, np.nan], [1.0, 2.0], [3.0, 4.0]])
    same = np.array([[-0.0, strange], [1.0, 2.0], [3.0, 4.0]])
    y = np.array([0.0, 1.0, 0.0])
    assert canonical_order(X, y).tolist() == canonical_order(same, y).tolist()

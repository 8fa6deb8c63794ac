"""Categories: levels that are worth telling apart, and their codes."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from models.categories import (
    MAX_LEVELS,
    MIN_LEVEL_ROWS,
    UNKNOWN,
    category_codes,
    learn_levels,
)


def rows(**counts):
    """A column with each level so many times."""
    return pd.Series([level for level, count in counts.items() for _ in range(count)])


def test_levels_are_ranked_by_rows_then_by_name_and_rare_ones_are_one():
    column = rows(rare=MIN_LEVEL_ROWS - 1, b=30, a=30, most=50)
    levels = learn_levels([column])
    assert levels == ("most", "a", "b")
    codes = category_codes(pd.Series(["a", "rare", "new", UNKNOWN, None, "most"]), levels)
    np.testing.assert_array_equal(codes, [1, 3, 3, 3, np.nan, 0])
    halves = [column.iloc[::2], column.iloc[1::2]]
    assert learn_levels(halves) == levels


def test_only_the_most_frequent_levels_are_told_apart():
    column = pd.concat([rows(**{f"level{k:03d}": 100 - k}) for k in range(40)])
    levels = learn_levels([column])
    assert levels == tuple(f"level{k:03d}" for k in range(MAX_LEVELS))


@given(st.permutations(["x"] * 25 + ["y"] * 30 + [None] * 4 + ["z"] * 3), st.integers(0, 62))
def test_levels_depend_on_no_order(column, cut):
    series = pd.Series(column, dtype="str")
    assert learn_levels([series.iloc[:cut], series.iloc[cut:]]) == ("y", "x")

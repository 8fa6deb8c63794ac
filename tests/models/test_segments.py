"""RFM scores, cut points and segments."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import ModelError
from models.segments import GRID, SCORE_COLUMNS, SEGMENTS, RfmCuts, behaviour_of, segment_of

# Putler's table, as the R package rfm repeats it: the ranges that a segment may cover, of the
# recency score and of the mean of the other two. Of its scale from 0, 1 is the lowest score here.
PUBLISHED = {
    "Champions": ((4, 5), (4, 5)),
    "Loyal Customers": ((2, 5), (3, 5)),
    "Potential Loyalists": ((3, 5), (1, 3)),
    "New Customers": ((4, 5), (1, 1)),
    "Promising": ((3, 4), (1, 1)),
    "Need Attention": ((2, 3), (2, 3)),
    "About To Sleep": ((2, 3), (1, 2)),
    "At Risk": ((1, 2), (2, 5)),
    "Can't Lose Them": ((1, 1), (4, 5)),
    "Hibernating": ((1, 2), (1, 2)),
    "Lost": ((1, 2), (1, 2)),
}


def behaviour(days, purchases, spend):
    return pd.DataFrame(
        {"days_since_last": days, "purchases": purchases, "spend": spend}, dtype="float64"
    )


def test_every_triple_of_scores_has_exactly_one_segment_and_every_segment_a_triple():
    triples = np.array(list(itertools.product(range(1, 6), repeat=3)))
    named = segment_of(*triples.T)
    assert len(named) == 125
    assert set(named) == set(SEGMENTS)


@pytest.mark.parametrize("recency", range(1, 6))
@pytest.mark.parametrize("mean", range(1, 6))
def test_a_pair_of_scores_lies_in_the_published_range_of_its_segment(recency, mean):
    name = SEGMENTS[GRID[recency - 1][mean - 1]]
    (low, high), (least, most) = PUBLISHED[name]
    assert low <= recency <= high
    assert least <= mean <= most


def test_known_answers_of_the_scheme():
    scores = [(5, 5, 5), (5, 1, 1), (4, 1, 1), (3, 3, 3), (1, 5, 5), (1, 1, 1), (2, 4, 4)]
    assert list(segment_of(*np.array(scores).T)) == [
        "Champions", "New Customers", "Promising", "Need Attention", "Can't Lose Them", "Lost",
        "At Risk",
    ]  # fmt: skip


@pytest.mark.parametrize("score", [0, 6, 2.5, np.nan])
def test_a_score_that_is_none_is_refused(score):
    with pytest.raises(ModelError, match="1 to 5"):
        segment_of([score], [3], [3])


def test_cut_points_are_quintiles_where_nobody_is_alike():
    n = 1000
    rng = np.random.default_rng(3)
    frame = behaviour(*(rng.permutation(n) for _ in range(3)))
    cuts = RfmCuts.learn(frame)
    for name in SCORE_COLUMNS:
        assert cuts.score(frame)[name].value_counts().tolist() == [200] * 5
    newest = frame["days_since_last"].idxmin()
    assert cuts.score(frame).loc[newest, "recency_score"] == 5


def test_customers_who_bought_once_share_a_score_and_the_others_the_four_above():
    purchases = [1] * 70 + [2] * 12 + [3] * 8 + [5] * 6 + [9] * 4
    cuts = RfmCuts.learn(behaviour(range(100), purchases, range(100)))
    assert cuts.purchases == (1, 2, 3, 5)
    scores = cuts.score(behaviour([1] * 5, [1, 2, 3, 4, 50], [1] * 5))["frequency_score"]
    assert scores.tolist() == [1, 2, 3, 4, 5]


def test_nobody_bought_twice():
    cuts = RfmCuts.learn(behaviour([10, 20, 30], [1, 1, 1], [5, 5, 5]))
    assert cuts.score(behaviour([10], [1], [5]))["frequency_score"].tolist() == [1]
    assert cuts.score(behaviour([10], [2], [9]))["frequency_score"].tolist() == [5]


@given(
    st.lists(
        st.tuples(st.integers(0, 2000), st.integers(1, 40), st.floats(0, 1e9)),
        min_size=1,
        max_size=40,
    )
)
def test_better_customers_never_have_lower_scores_and_all_have_a_segment(rows):
    frame = behaviour(*zip(*rows, strict=True))
    cuts = RfmCuts.learn(frame)
    assigned = cuts.assign(frame)
    assert set(assigned["rfm_segment"]) <= set(SEGMENTS)
    assert RfmCuts.from_dict(cuts.to_dict()) == cuts
    for value, score, sign in (
        ("days_since_last", "recency_score", -1),
        ("purchases", "frequency_score", 1),
        ("spend", "monetary_score", 1),
    ):
        order = np.argsort(sign * frame[value].to_numpy(), kind="stable")
        assert (
            assigned[score].is_monotonic_increasing
            or (np.diff(assigned[score].to_numpy()[order]) >= 0).all()
        )


def test_a_customer_changes_segment_because_of_itself():
    rng = np.random.default_rng(0)
    frame = behaviour(rng.integers(1, 400, 500), rng.geometric(0.5, 500), rng.gamma(2, 50, 500))
    cuts = RfmCuts.learn(frame)
    before = cuts.assign(frame)["rfm_segment"]
    # A thousand rich customers arrive, a hundred leave: nobody else notices.
    crowd = behaviour([1] * 1000, [50] * 1000, [9e4] * 1000)
    crowd.index += 10_000
    after = cuts.assign(pd.concat([frame.iloc[100:], crowd]))["rfm_segment"]
    assert after.loc[before.index[100:]].equals(before.iloc[100:])


def test_given_cut_points_are_taken_as_they_are():
    given = {"recency_days": (30, 90, 180, 365)}
    cuts = RfmCuts.learn(behaviour(range(50), [1] * 50, range(50)), given)
    assert cuts.recency_days == (30, 90, 180, 365)
    scores = cuts.score(behaviour([0, 30, 31, 365, 366], [1] * 5, [1] * 5))["recency_score"]
    assert scores.tolist() == [5, 5, 4, 2, 1]


@pytest.mark.parametrize("cuts", [(1, 2, 3), (4, 3, 2, 1), (1, 2, 3, np.nan), (1, 2, 3, np.inf)])
def test_cut_points_that_cannot_be_used_are_refused(cuts):
    with pytest.raises(ModelError, match="four ascending numbers"):
        RfmCuts((1, 2, 3, 4), cuts, (1, 2, 3, 4))


def test_behaviour_comes_from_the_rfm_summary():
    rfm = pd.DataFrame(
        {
            "frequency": [0.0, 2.0],
            "recency": [0.0, 4.0],
            "T": [10.0, 10.0],
            "monetary_value": [0.0, 15.0],
            "first_value": [20.0, 5.0],
        },
        index=["a", "b"],
    )
    found = behaviour_of(rfm)
    assert found.loc["a"].tolist() == [70, 1, 20]
    assert found.loc["b"].tolist() == [42, 3, 35]
    with pytest.raises(ModelError, match="without a purchase"):
        behaviour_of(rfm.assign(frequency=[np.nan, 1.0]))
    with pytest.raises(ModelError, match="first_value"):
        behaviour_of(rfm.drop(columns="first_value"))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import ModelError
from models.uplift.sequential import outcomes_after

NOBODY = [False] * 5


def test_weights_by_hand():
    got = outcomes_after(
        ["a", "a", "a", "a", "b"],
        [0, 5, 9, 40, 3],
        [[1, 10.0], [1, 20.0], [2, 30.0], [1, 40.0], [1, 50.0]],
        joins=NOBODY,
        member=NOBODY,
        chance=[0.5, 0.2, 0.75, 0.1, 0.1],
        horizon_days=40,
    )
    # From day 0: day 5 plain, day 9 over 1 - 0.2, day 40 also over 1 - 0.75.
    first = 1 + 2 / 0.8 + 1 / 0.8 / 0.25
    assert got[:, 0] == pytest.approx([first, 2 + 1 / 0.25, 1, 0, 0])
    assert got[0, 1] == pytest.approx(20 + 30 / 0.8 + 40 / 0.8 / 0.25)


def test_who_joins_is_followed_and_the_others_are_cut_off_there():
    got = outcomes_after(
        ["a"] * 5,
        [0, 1, 2, 3, 4],
        np.ones(5),
        joins=[False, False, True, False, False],
        member=[False, False, False, True, True],
        chance=[0.0, 0.0, 0.9, 0.9, 0.9],
        horizon_days=30,
    )
    assert got.tolist() == [2, 1, 2, 1, 0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), unique=True, max_size=30))
def test_without_joining_it_is_a_plain_sum(rows):
    rows = sorted(rows)
    who, day = [row[0] for row in rows], [row[1] for row in rows]
    no = [False] * len(rows)
    got = outcomes_after(
        who,
        day,
        np.ones(len(rows)),
        joins=no,
        member=no,
        chance=np.zeros(len(rows)),
        horizon_days=9,
    )
    want = [sum(w == v and d < e <= d + 9 for v, e in rows) for w, d in rows]
    assert got.tolist() == want


def test_weighting_gives_what_would_have_been_without_joining():
    # Everyone buys every day with chance 0.3, but members with 0.9; a purchase leads to joining
    # with chance 0.2. Who has not joined is at 0.3 for all of the 20 days.
    rng = np.random.default_rng(0)
    n, days = 4000, 21
    who, when, joins, member = [], [], [], []
    for customer in range(n):
        inside = False
        for day in range(days):
            if day == 0 or rng.random() < (0.9 if inside else 0.3):
                joined = not inside and rng.random() < 0.2
                who.append(customer)
                when.append(day)
                joins.append(joined)
                member.append(inside)
                inside = inside or joined
    chance = np.where(member, 0.0, 0.2)
    got = outcomes_after(
        who, when, np.ones(len(who)), joins=joins, member=member, chance=chance, horizon_days=20
    )
    first = (np.array(when) == 0) & ~np.array(joins)
    error = got[first].std() / np.sqrt(first.sum())
    assert got[first].mean() == pytest.approx(0.3 * 20, abs=4 * error)
    assert error < 0.15


def test_refusals():
    two = {"joins": [False] * 2, "member": [False] * 2, "horizon_days": 5}
    with pytest.raises(ModelError, match="order"):
        outcomes_after(["a", "a"], [2, 1], [1, 1], chance=[0, 0], **two)
    with pytest.raises(ModelError, match="chance"):
        outcomes_after(["a", "a"], [1, 2], [1, 1], chance=[0, 1], **two)
    assert outcomes_after([], [], [], joins=[], member=[], chance=[], horizon_days=1).size == 0

import datetime as dt

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.labels import LabelSpec, due_in_window, eligible
from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow

CADENCE = LabelSpec(horizon_days=90, eligibility="cadence")


def rfm(frequency, recency_days, age_days):
    return pd.DataFrame(
        {"frequency": [frequency], "recency": [recency_days / 7], "T": [age_days / 7]},
        index=pd.Index(["a"], name="customer_id"),
    ).astype("float64")


@pytest.mark.parametrize(
    ("frequency", "recency", "age", "expected"),
    [
        # The next purchase is due (recency / frequency) days after the last, which was
        # (age - recency) days before the cutoff: within -45 and 135 days of it is eligible.
        (0, 0, 10, False),  # one purchase: no rhythm
        (1, 0, 10, False),  # two orders on one day: no rhythm either
        (1, 30, 60, True),  # due on the cutoff
        (1, 30, 105, True),  # due 45 days before it: the edge counts
        (1, 30, 106, False),
        (1, 135, 135, True),  # due 135 days after it: the edge counts
        (1, 136, 136, False),
        (3, 60, 125, True),  # every 20 days, due 45 days before
        (3, 60, 126, False),
    ],
)
def test_who_is_due_by_hand(frequency, recency, age, expected):
    found = eligible(rfm(frequency, recency, age), CADENCE)
    assert found.tolist() == [expected]
    assert found.index.tolist() == ["a"]
    assert found.dtype == bool


def test_everyone_means_everyone():
    assert eligible(rfm(0, 0, 1000), LabelSpec()).all()


def test_a_gap_moves_the_window():
    due_in_140_days = rfm(1, 140, 140)
    assert not eligible(due_in_140_days, CADENCE).all()
    late = LabelSpec(horizon_days=90, gap_days=30, eligibility="cadence")
    assert eligible(due_in_140_days, late).all()


@given(st.integers(1, 50), st.integers(1, 2000), st.integers(0, 2000), st.integers(1, 400))
def test_the_formula_without_division_is_the_one_with_it(frequency, span, since, horizon):
    spec = LabelSpec(horizon, eligibility="cadence")
    # Times 2 * frequency, everything is a whole number.
    due = 2 * (span - since * frequency)
    expected = -horizon * frequency <= due <= 3 * horizon * frequency
    found = due_in_window(
        *(pd.Series([float(x)]) for x in (frequency, span / 7, (span + since) / 7)), spec
    )
    assert found.tolist() == [expected]


def test_eligibility_is_the_same_with_and_without_labels():
    random = pd.Series(range(400))
    ledger = Ledger.from_frames(
        pd.DataFrame(
            {
                "customer_id": (random * 7919 % 151).astype(str),
                "timestamp": pd.Timestamp("2024-01-01")
                + pd.to_timedelta(random * 104729 % 300, "D"),
                "amount": 1.0,
            }
        )
    )
    window = ObservationWindow(ledger.first_day, dt.date(2024, 6, 1))
    with_labels, without = (build_snapshot(ledger, window, labels=on) for on in (True, False))
    found = eligible(with_labels.rfm, CADENCE)
    assert 0 < found.sum() < len(found)
    pd.testing.assert_series_equal(found, eligible(without.rfm, CADENCE))


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon_days": 0},
        {"horizon_days": 30.0},
        {"horizon_days": True},
        {"gap_days": -1},
        {"eligibility": "regulars"},
        {"slack": -0.1},
        {"slack": float("nan")},
        {"slack": "wide"},
        {"horizon": 30},
    ],
)
def test_what_has_no_meaning_is_refused(wrong):
    with pytest.raises(InputError) as caught:
        LabelSpec.from_dict(wrong)
    assert caught.value.hint


def test_a_label_survives_the_card_of_a_model():
    spec = LabelSpec(60, 7, "cadence", 0.25)
    assert LabelSpec.from_dict(spec.to_dict()) == spec
    assert LabelSpec.from_dict({}) == LabelSpec()
    assert spec.window(dt.date(2024, 1, 1), dt.date(2024, 7, 1)).label_end == dt.date(2024, 9, 6)

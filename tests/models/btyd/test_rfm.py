"""Impossible histories are refused with the row and a remedy."""

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd.histories import compress
from models.btyd.rfm import check_all_spend, check_histories, check_spend

GOOD = {"frequency": 2.0, "recency": 10.0, "T": 20.0, "monetary_value": 30.0}


def with_bad_row(**bad):
    return pd.DataFrame([GOOD, {**GOOD, **bad}], index=["00021", "00042"])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"recency": 21.0}, "recency is longer than T"),
        ({"frequency": -1.0}, "frequency is not a whole number"),
        ({"frequency": 1.5}, "frequency is not a whole number"),
        ({"frequency": 0.0}, "recency is above 0 though frequency is 0"),
        ({"recency": -1.0}, "recency is negative"),
        ({"T": -1.0, "recency": 0.0}, "T is negative"),
        ({"T": np.nan}, "T is missing"),
        ({"recency": np.inf}, "recency is missing or not finite"),
    ],
)
def test_an_impossible_row_is_named(bad, message):
    with pytest.raises(ModelError, match=f"'00042': {message}") as caught:
        check_histories(with_bad_row(**bad))
    assert caught.value.hint


@pytest.mark.parametrize("money", [0.0, -5.0, np.nan])
def test_a_repeat_buyer_without_a_positive_value_is_named(money):
    with pytest.raises(ModelError, match="'00042': monetary_value"):
        check_spend(with_bad_row(monetary_value=money))


def test_the_value_of_a_one_time_buyer_is_not_read():
    x, money, _ = check_spend(with_bad_row(frequency=0.0, recency=0.0, monetary_value=np.nan))
    assert (x[1], money[1]) == (0.0, 0.0)


@pytest.mark.parametrize("money", [0.0, -5.0, np.nan])
def test_a_first_purchase_without_a_positive_value_is_named(money):
    frame = with_bad_row().assign(first_value=[10.0, money])
    with pytest.raises(ModelError, match="'00042': first_value is not") as caught:
        check_all_spend(frame)
    assert f"first_value={money}" in caught.value.message
    assert "leave out" in caught.value.hint


def test_the_first_purchase_is_one_more_value():
    frame = with_bad_row(frequency=0.0, recency=0.0, monetary_value=0.0)
    count, mean, _ = check_all_spend(frame.assign(first_value=[12.0, 58.0]))
    assert (count.tolist(), mean.tolist()) == ([3.0, 1.0], [24.0, 58.0])


def test_columns_must_be_there_and_numeric():
    frame = with_bad_row()
    with pytest.raises(ModelError, match="no column 'T'"):
        check_histories(frame.drop(columns="T"))
    with pytest.raises(ModelError, match="not numeric"):
        check_histories(frame.assign(T=["a", "b"]))
    with pytest.raises(ModelError, match="weight is not positive"):
        check_histories(frame.assign(weight=[1.0, 0.0]))


def test_merging_keeps_every_customer():
    frame = pd.DataFrame([GOOD, GOOD, {**GOOD, "T": 25.0}]).assign(weight=[1.0, 2.0, 4.0])
    nodes = compress(check_histories(frame))
    assert sorted(zip(nodes.T, nodes.weight, strict=True)) == [(20.0, 3.0), (25.0, 4.0)]

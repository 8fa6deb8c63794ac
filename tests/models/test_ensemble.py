"""Stacks: weights that are earned, means that are means, and one file format."""

import json

import numpy as np
import pandas as pd
import pytest

from models import artifact
from models.base import CLV_COLUMNS, ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue, quantile_columns
from models.ensemble import StackedLifetimeValue, stack_weights
from models.spend import GammaGamma

SPEND = GammaGamma.from_parameters(p=6.0, q=5.0, gamma=28.0, spend_of="all_purchases")
FIRST = CustomerLifetimeValue(
    ModifiedBetaGeoNBD.from_parameters(r=0.8, alpha=8.0, a=0.6, b=3.4), SPEND
)
SECOND = CustomerLifetimeValue(BetaGeoNBD.from_parameters(r=0.6, alpha=7.0, a=0.6, b=3.0), SPEND)


@pytest.fixture(scope="module")
def rfm(shop):
    return shop.at(70, 12)[0].iloc[:80]


def test_expectations_are_weighted_means_times_the_level(rfm):
    stack = StackedLifetimeValue({"a": FIRST, "b": SECOND}, [0.7, 0.3], 1.1, 0.9)
    found, a, b = (model.predict(rfm, 200) for model in (stack, FIRST, SECOND))
    assert tuple(found.columns) == CLV_COLUMNS
    pd.testing.assert_index_equal(found.index, rfm.index)
    for name, level in (("expected_purchases", 1.1), ("expected_spend", 0.9), ("clv", 0.9)):
        np.testing.assert_allclose(found[name], level * (0.7 * a[name] + 0.3 * b[name]))
    np.testing.assert_allclose(found["p_alive"], 0.7 * a["p_alive"] + 0.3 * b["p_alive"])
    assert (found["purchases_low"] <= found["purchases_high"]).all()
    assert (found["purchases_high"] % 1 == 0).all()
    known = a["next_purchase_days"].notna() & b["next_purchase_days"].notna()
    both = 0.7 * a["next_purchase_days"] + 0.3 * b["next_purchase_days"]
    np.testing.assert_allclose(found.loc[known, "next_purchase_days"], both[known])


def test_quantiles_are_averaged_as_the_intervals_are(rfm):
    stack = StackedLifetimeValue({"a": FIRST, "b": SECOND}, [0.7, 0.3], 1.1, 0.9)
    found = stack.predict(rfm, 200, quantiles=np.array([0.05, 0.5, 0.95]))
    for low, mid, high in quantile_columns((0.05, 0.5, 0.95)):
        assert (found[low] <= found[mid]).all()
        assert (found[mid] <= found[high]).all()
    for name in ("purchases", "clv"):
        np.testing.assert_allclose(found[f"{name}_q0.05"], found[f"{name}_low"])
        np.testing.assert_allclose(found[f"{name}_q0.95"], found[f"{name}_high"])
    light = stack.predict(rfm, 200, intervals=False)
    np.testing.assert_allclose(light["clv"], found["clv"])
    assert light[["clv_low", "purchases_high", "next_purchase_days"]].isna().all(axis=None)


def test_a_new_customer_is_the_mean_of_what_the_members_say():
    stack = StackedLifetimeValue({"a": FIRST, "b": SECOND}, [0.7, 0.3], 1.1, 0.9)
    nobody = pd.DataFrame(index=["x"])
    found, a, b = (m.predict_new_customers(nobody, 200) for m in (stack, FIRST, SECOND))
    np.testing.assert_allclose(found["clv"], 0.9 * (0.7 * a["clv"] + 0.3 * b["clv"]))


def test_one_member_is_that_model(rfm):
    stack = StackedLifetimeValue({"a": FIRST, "b": SECOND}, [1.0, 0.0])
    assert list(stack.members) == ["a"]
    pd.testing.assert_frame_equal(stack.predict(rfm), FIRST.predict(rfm))


def test_it_is_saved_with_its_members(rfm, tmp_path):
    stack = StackedLifetimeValue({"a": FIRST, "b": SECOND}, [0.7, 0.3], 1.1, 0.9)
    folder = artifact.save(stack, tmp_path / "model")
    again = artifact.load(folder, "clv_stack")
    assert again.input_columns == stack.input_columns == FIRST.input_columns
    pd.testing.assert_frame_equal(again.predict(rfm), stack.predict(rfm), check_exact=True)
    card = json.loads((folder / "card.json").read_text())
    assert [member["name"] for member in card["members"]] == ["a", "b"]
    assert stack.diagnostics["stack"]["weights"] == {"a": 0.7, "b": 0.3}
    assert set(stack.posterior_summary()["member"]) == {"a", "b"}


@pytest.mark.parametrize(
    ("members", "weights", "level", "message"),
    [
        ({}, None, 1.0, "at least one"),
        ({"a": FIRST}, [0.5], 1.0, "add up to 1"),
        ({"a": FIRST, "b": SECOND}, [1.5, -0.5], 1.0, "at least 0"),
        ({"a": FIRST}, None, 0.0, "above 0"),
    ],
)
def test_impossible_stacks_are_refused(members, weights, level, message):
    with pytest.raises(ModelError, match=message):
        StackedLifetimeValue(members, weights, level)


def test_weights_go_to_those_who_earn_them():
    rng = np.random.default_rng(0)
    p = rng.gamma(1.0, 1.0, (20_000, 3))
    y = rng.poisson(0.6 * p[:, 0] + 0.4 * p[:, 1])
    np.testing.assert_allclose(stack_weights(p, y), [0.6, 0.4, 0.0], atol=0.03)


def test_little_data_leaves_weights_about_equal():
    rng = np.random.default_rng(1)
    p = rng.gamma(1.0, 1.0, (12, 2))
    weights = stack_weights(p, rng.poisson(p[:, 0]), share=0.2)
    assert abs(weights - 0.5).max() < 0.25


def test_order_and_level_of_the_outcome_change_nothing():
    rng = np.random.default_rng(2)
    p = rng.gamma(1.0, 1.0, (500, 2))
    y = rng.poisson(p[:, 0]).astype(float)
    order = rng.permutation(500)
    np.testing.assert_array_equal(stack_weights(p, y), stack_weights(p[order], y[order]))
    np.testing.assert_allclose(stack_weights(p, 3 * y), stack_weights(p, y), atol=1e-9)
    assert stack_weights(p, np.zeros(500)).tolist() == [0.5, 0.5]
    with pytest.raises(ModelError, match="expected"):
        stack_weights(p, y[:3])

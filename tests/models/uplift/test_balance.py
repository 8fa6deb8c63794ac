import numpy as np
import pandas as pd
import pytest

from models.uplift.balance import check_balance


def customers(n=800, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"spend": rng.gamma(1, 50, n), "visits": rng.poisson(3, n).astype(float)},
        index=[f"c{i}" for i in range(n)],
    )
    frame.loc[frame.index[::7], "visits"] = np.nan
    return frame, (rng.random(n) < 0.5).astype(float)


def test_a_random_assignment_looks_random():
    frame, treated = customers()
    found = check_balance(frame, treated, planned_share=0.5)
    assert found.random
    assert found.p_value > 0.01
    assert found.ratio_p > 0.001
    assert "looks random" in found.verdict
    assert list(found.table.columns) == ["treated", "control", "difference", "p_value"]


def test_an_assignment_by_spend_is_found_out():
    frame, _ = customers()
    rng = np.random.default_rng(1)
    treated = (rng.random(len(frame)) < 0.3 + 0.4 * frame["spend"].rank(pct=True)).astype(float)
    found = check_balance(frame, treated)
    assert not found.random
    assert found.p_value == pytest.approx(0.001)
    assert found.table.index[0] == "spend"
    assert "most in spend" in found.verdict


def test_a_loss_of_customers_on_one_side_is_found_out():
    frame, treated = customers()
    keep = (treated == 1) | (np.arange(len(frame)) % 3 > 0)
    found = check_balance(frame[keep], treated[keep], planned_share=0.5)
    assert not found.random
    assert found.ratio_p < 0.001
    assert "planned size" in found.verdict


def test_whether_a_value_is_missing_is_tested_too():
    frame, _ = customers()
    rng = np.random.default_rng(2)
    missing = frame["visits"].isna().to_numpy()
    treated = (rng.random(len(frame)) < np.where(missing, 0.9, 0.5)).astype(float)
    assert not check_balance(frame, treated).random


def test_the_p_value_is_even_over_random_assignments():
    frame, _ = customers(120)
    found = [
        check_balance(
            frame, np.random.default_rng(s).permutation(np.arange(120) % 2), permutations=99
        ).p_value
        for s in range(100)
    ]
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) <= 0.1) < 0.25


def test_the_order_of_rows_changes_nothing():
    frame, treated = customers()
    order = np.random.default_rng(3).permutation(len(frame))
    one, other = check_balance(frame, treated), check_balance(frame.iloc[order], treated[order])
    assert one.p_value == other.p_value
    pd.testing.assert_frame_equal(one.table, other.table)


def test_without_covariates_only_the_ratio_is_tested():
    found = check_balance(pd.DataFrame(index=range(10)), np.arange(10) % 2, planned_share=0.5)
    assert found.random
    assert np.isnan(found.p_value)
    assert found.ratio_p == 1


def test_the_limiting_distribution_agrees_with_the_draws(monkeypatch):
    frame, treated = customers(3000, seed=4)
    drawn = check_balance(frame, treated, permutations=1999).p_value
    monkeypatch.setattr("models.uplift.balance.MANY", 0)
    assert check_balance(frame, treated).p_value == pytest.approx(drawn, abs=0.04)


def test_arms_that_differ_only_in_what_is_missing():
    treated = np.repeat([1.0, 0.0], 60)
    for here in ([np.nan] * 60, [np.nan] * 58 + [1.0, 1.0]):
        found = check_balance(pd.DataFrame({"x": [*here, *[1.0] * 60]}), treated)
        assert not found.random
        assert "where values are missing" in found.verdict

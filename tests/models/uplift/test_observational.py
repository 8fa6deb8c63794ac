import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.uplift.nuisance import design
from models.uplift.observational import (
    LABEL,
    observational_effect,
    standardised_differences,
)


def shop(
    seed: int, n: int = 1500, effect: float = 2.0
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Good customers join more often, and buy more whether they join or not."""
    rng = np.random.default_rng(seed)
    habit = rng.normal(size=n)
    country = rng.choice(["DE", "GB"], n)
    chance = 1 / (1 + np.exp(-(-1 + habit + 0.5 * (country == "GB"))))
    treated = rng.random(n) < chance
    outcome = 10 + 3 * habit + 2 * (country == "GB") + effect * treated + rng.normal(size=n)
    return treated, outcome, pd.DataFrame({"habit": habit, "country": country})


def test_raw_is_biased_and_adjusted_covers_the_truth():
    covered = 0
    for seed in range(20):
        found = observational_effect(*shop(seed))
        assert found.raw.low > 3.5  # the truth is 2
        covered += found.adjusted.low <= 2 <= found.adjusted.high
        assert found.balance.loc["habit", "before"] > 0.5
        assert abs(found.balance["after"]).max() < 0.1
    assert covered >= 18


def test_with_one_yes_or_no_covariate_it_is_the_difference_within_strata():
    # 300 of 400 treated where x is 1, 100 of 500 where it is 0; the effect is 4 and 1.
    x = np.repeat([1, 1, 0, 0], [300, 100, 100, 400])
    treated = np.repeat([1, 0, 1, 0], [300, 100, 100, 400])
    noise = np.tile([-1.0, 1.0], 450)
    outcome = 10 + 5 * x + treated * np.where(x == 1, 4, 1) + noise
    found = observational_effect(treated, outcome, pd.DataFrame({"x": x}))
    assert found.raw.value == pytest.approx((300 * 19 + 100 * 11) / 400 - (100 * 15 + 4000) / 500)
    assert found.adjusted.value == pytest.approx((300 * 4 + 100 * 1) / 400, abs=0.02)
    assert found.comparison_mean == pytest.approx((300 * 15 + 100 * 10) / 400, abs=0.02)
    assert found.relative.value == pytest.approx(
        found.treated_mean / found.comparison_mean - 1, rel=1e-12
    )
    assert (found.n_treated, found.n_control, found.customers_treated) == (400, 500, 400)
    # Weights 3 for 100 and 1/4 for 400 of the untreated: (400)^2 / (900 + 25).
    assert found.effective_control == pytest.approx(400**2 / 925, rel=0.02)
    assert found.label == LABEL


def test_outcomes_below_zero_have_a_sensitivity_but_no_ratio():
    treated, outcome, known = shop(7)
    found = observational_effect(treated, outcome - 20, known)
    assert np.isnan(found.relative.value)
    assert found.e_value > found.e_value_limit > 1


def test_no_effect_is_found_where_there_is_none():
    found = observational_effect(*shop(3, n=4000, effect=0.0))
    assert found.raw.low > 1
    assert found.adjusted.low < 0 < found.adjusted.high
    assert found.e_value_limit == 1


def test_the_order_of_rows_is_nothing():
    treated, outcome, known = shop(1, n=600)
    order = np.random.default_rng(0).permutation(600)
    one = observational_effect(treated, outcome, known)
    other = observational_effect(treated[order], outcome[order], known.iloc[order])
    assert one.adjusted == other.adjusted
    assert one.raw == other.raw
    pd.testing.assert_frame_equal(one.balance, other.balance)


def test_units_are_nothing():
    treated, outcome, known = shop(2, n=600)
    one = observational_effect(treated, outcome, known)
    cents = observational_effect(treated, outcome * 100, known.assign(habit=known["habit"] * 7 + 3))
    assert cents.adjusted.value == pytest.approx(100 * one.adjusted.value, rel=1e-6)
    assert cents.adjusted.low == pytest.approx(100 * one.adjusted.low, rel=1e-6)
    assert cents.relative.value == pytest.approx(one.relative.value, rel=1e-6)
    assert cents.e_value == pytest.approx(one.e_value, rel=1e-6)


def test_rows_of_one_customer_count_as_one():
    treated, outcome, known = shop(4, n=800)
    one = observational_effect(treated, outcome, known)
    twice = pd.concat([known, known])
    same = observational_effect(np.tile(treated, 2), np.tile(outcome, 2), twice)
    apart = observational_effect(
        np.tile(treated, 2), np.tile(outcome, 2), twice, clusters=np.arange(1600)
    )
    width = [found.adjusted.high - found.adjusted.low for found in (one, same, apart)]
    assert width[1] == pytest.approx(width[0], rel=0.05)
    assert width[2] == pytest.approx(width[0] / np.sqrt(2), rel=0.05)
    assert same.customers_treated == one.customers_treated


def test_missing_values_are_told_apart():
    treated, outcome, known = shop(5)
    known = known.assign(age=np.where(treated, np.nan, 30.0 + np.arange(len(known)) % 7))
    with pytest.raises(ModelError, match=r"comparable|unlike"):
        observational_effect(treated, outcome, known)
    described = design(pd.DataFrame({"a": [1.0, np.nan, 3.0, 8.0], "same": 1.0}))
    assert described.to_dict("list") == {"a": [1, 3, 3, 8], "a missing": [0, 1, 0, 0]}


def test_rare_levels_are_taken_together():
    text = pd.Series(["x"] * 20 + ["y"] * 25 + ["z", None], dtype="str")
    assert list(design(pd.DataFrame({"t": text})).sum().items()) == [
        ("t=other", 2),
        ("t=x", 20),
        ("t=y", 25),
    ]


@pytest.mark.parametrize("case", ["few", "lengths", "arms", "certain", "constant", "infinite"])
def test_refusals(case):
    treated, outcome, known = shop(6, n=400)
    match case:
        case "few":
            treated = np.arange(400) < 10
        case "lengths":
            outcome = outcome[:-1]
        case "arms":
            treated = treated + 1
        case "certain":
            treated = known["habit"].to_numpy() > 0
        case "constant":
            known = pd.DataFrame({"x": np.ones(400)})
        case "infinite":
            known = known.assign(habit=np.inf)
    with pytest.raises(ModelError) as caught:
        observational_effect(treated, outcome, known)
    assert caught.value.hint


def test_differences_by_hand():
    treated = np.array([True, True, False, False])
    x = pd.DataFrame({"x": [3.0, 5.0, 0.0, 4.0]})
    # Means 4 and 2; variances 1 and 4. With weights 1 and 3 the second mean is 3.
    table = standardised_differences(treated, x, np.array([1.0, 1.0, 1.0, 3.0]))
    assert table.loc["x", "before"] == pytest.approx(2 / np.sqrt(2.5))
    assert table.loc["x", "after"] == pytest.approx(1 / np.sqrt(2.5))

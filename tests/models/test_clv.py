"""Customer lifetime value: the formula, the intervals, and independence of the company kept."""

import json

import numpy as np
import pandas as pd
import pytest

from models.base import CLV_COLUMNS, RFM_COLUMNS, ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma


def known(spend_of="repeat_purchases"):
    return CustomerLifetimeValue(
        ModifiedBetaGeoNBD.from_parameters(r=0.8, alpha=8.0, a=0.7, b=2.5),
        GammaGamma.from_parameters(p=6.0, q=4.0, gamma=15.0, spend_of=spend_of),
    )


@pytest.fixture(scope="module")
def fitted(regulars):
    return CustomerLifetimeValue().fit(regulars, seed=3, method="laplace")


def test_the_columns_are_consistent_and_on_the_customers_index(fitted, regulars):
    before = regulars.copy()
    found = fitted.predict(regulars)
    pd.testing.assert_frame_equal(regulars, before)
    pd.testing.assert_index_equal(found.index, regulars.index)
    assert tuple(found.columns) == CLV_COLUMNS
    assert np.isfinite(found.drop(columns="next_purchase_days")).all(axis=None)
    assert (found["clv"] <= found["expected_spend"]).all()
    assert (found["purchases_low"] <= found["purchases_high"]).all()
    assert (found["clv_low"] <= found["clv_high"]).all()
    assert ((found["clv_high"] == 0) == (found["purchases_high"] == 0)).mean() > 0.99
    # The chance of silence and the interval of the count tell the same story.
    silent = found["probability_no_purchase"] > 0.95
    assert (found.loc[silent, "purchases_high"] == 0).all()
    assert (found.loc[~silent, "purchases_high"] > 0).all()


def test_predictive_intervals_cover_a_simulated_future(fitted, regulars):
    found = fitted.predict(regulars, horizon_days=364, annual_discount_rate=0.0, interval=0.8)
    count, spend = regulars["future_purchases"], regulars["future_spend"]
    # Counts are lumpy: count the ends by half to see the nominal level.
    rng = np.random.default_rng(0)
    pmf = fitted.purchases.purchase_distribution(regulars, 52.0, 200)
    below = np.concatenate([np.zeros((len(pmf), 1)), pmf.cumsum(axis=1)], axis=1)
    k, rows = np.minimum(count.to_numpy(), 200), np.arange(len(pmf))
    pit = below[rows, k] + rng.random(len(k)) * pmf[rows, k]
    assert ((pit > 0.1) & (pit < 0.9)).mean() == pytest.approx(0.8, abs=0.04)
    assert count.between(found["purchases_low"], found["purchases_high"]).mean() > 0.8
    buying = found["purchases_low"] > 0
    inside = spend.between(found["clv_low"], found["clv_high"])
    assert inside[buying].mean() == pytest.approx(0.8, abs=0.1)
    assert inside.mean() > 0.78
    assert found["expected_spend"].sum() == pytest.approx(spend.sum(), rel=0.12)


def test_intervals_equal_brute_force_simulation():
    customers = pd.DataFrame(
        {
            "frequency": [0.0, 4.0, 20.0],
            "recency": [0.0, 30.0, 50.0],
            "T": [30.0, 35.0, 51.0],
            "monetary_value": [0.0, 25.0, 60.0],
        }
    )
    found = known().predict(customers, annual_discount_rate=0.0, interval=0.8)
    rng, n = np.random.default_rng(0), 100_000
    for i, (x, _, T, z) in enumerate(customers.to_numpy()):
        alive = rng.random(n) < found["p_alive"].iloc[i]
        count = rng.poisson(rng.gamma(0.8 + x, 1 / (8.0 + T), n) * 365 / 7)
        last = rng.geometric(rng.beta(0.7, 2.5 + x + 1, n))
        count = np.where(alive, np.minimum(count, last), 0)
        nu = rng.gamma(4.0 + 6.0 * x, 1 / (15.0 + x * z), n)
        spend = np.where(count > 0, rng.gamma(6.0 * np.maximum(count, 1), 1 / nu), 0.0)
        row = found.iloc[i]
        assert row["expected_purchases"] == pytest.approx(count.mean(), rel=0.02)
        assert row["probability_no_purchase"] == pytest.approx((count == 0).mean(), abs=0.005)
        assert row["expected_spend"] == pytest.approx(spend.mean(), rel=0.03)
        for level, suffix in ((0.1, "low"), (0.9, "high")):
            assert (count < row[f"purchases_{suffix}"]).mean() <= level + 0.005
            assert (count <= row[f"purchases_{suffix}"]).mean() >= level - 0.005
            value = row[f"clv_{suffix}"]
            assert (spend < value).mean() <= level + 0.01
            assert (spend <= value).mean() >= level - 0.01


ONCE = pd.DataFrame(
    {
        "frequency": [0.0, 0.0, 2.0],
        "recency": [0.0, 0.0, 9.0],
        "T": [10.0, 10.0, 10.0],
        "monetary_value": [0.0, 0.0, 58.0],
        "first_value": [5.0, 58.0, 58.0],
    }
)


def test_a_one_time_buyer_is_worth_what_they_spent_drawn_towards_the_mean():
    found = known("all_purchases").predict(ONCE)
    spend = (found["expected_spend"] / found["expected_purchases"]).to_numpy()
    # p (gamma + x z) / (p x + q - 1), the first purchase counted among x.
    exact = 6 * (15 + np.array([5.0, 58.0, 3 * 58.0])) / (6 * np.array([1.0, 1.0, 3.0]) + 3)
    np.testing.assert_allclose(spend, exact)
    low, high = found["clv_high"].iloc[:2]
    assert low < high
    plain = known().predict(ONCE)
    mean = 6 * 15 / 3
    assert (plain["expected_spend"] / plain["expected_purchases"]).iloc[:2].tolist() == (
        pytest.approx([mean, mean])
    )


def test_intervals_hold_when_all_purchases_are_read():
    who = ONCE.iloc[[2]]
    rng, n = np.random.default_rng(0), 100_000
    found = known("all_purchases").predict(who, annual_discount_rate=0.0, interval=0.8).iloc[0]
    alive = rng.random(n) < found["p_alive"]
    count = rng.poisson(rng.gamma(2.8, 1 / 18.0, n) * 365 / 7)
    last = rng.geometric(rng.beta(0.7, 2.5 + 3, n))
    count = np.where(alive, np.minimum(count, last), 0)
    nu = rng.gamma(4.0 + 6.0 * 3, 1 / (15.0 + 3 * 58.0), n)
    spend = np.where(count > 0, rng.gamma(6.0 * np.maximum(count, 1)) / nu, 0.0)
    assert found["expected_spend"] == pytest.approx(spend.mean(), rel=0.02)
    for level, value in ((0.1, found["clv_low"]), (0.9, found["clv_high"])):
        assert (spend < value).mean() <= level + 0.01
        assert (spend <= value).mean() >= level - 0.01


def test_what_spend_is_learned_from_is_kept_and_asked_for_again(regulars, tmp_path):
    rng = np.random.default_rng(4)
    frame = regulars.assign(first_value=rng.gamma(6.0, 5.0, len(regulars)))
    model = CustomerLifetimeValue().fit(frame, seed=3, method="laplace")
    assert model.input_columns == (*RFM_COLUMNS, "first_value")
    assert model.diagnostics["spend"]["spend_of"] == "all_purchases"
    description = json.loads(json.dumps(model.to_folder(tmp_path)))
    assert description["input_columns"] == list(model.input_columns)
    again = CustomerLifetimeValue.from_folder(tmp_path, description)
    some = frame.iloc[:20]
    pd.testing.assert_frame_equal(again.predict(some), model.predict(some))
    with pytest.raises(ModelError, match="no column 'first_value'"):
        again.predict(regulars)
    with pytest.raises(ModelError, match="'c00001': first_value"):
        again.predict(some.assign(first_value=some["first_value"].where(np.arange(20) != 1, 0.0)))
    without = CustomerLifetimeValue().fit(regulars, seed=3, method="laplace")
    assert without.input_columns == RFM_COLUMNS
    pd.testing.assert_frame_equal(without.predict(some), without.predict(regulars.iloc[:20]))


def test_clv_is_margin_times_discounted_spend(regulars):
    model, some = known(), regulars.iloc[:20]
    plain = model.predict(some, annual_discount_rate=0.0)
    found = model.predict(some, annual_discount_rate=0.2, margin=0.25)
    np.testing.assert_allclose(plain["clv"], plain["expected_spend"], rtol=1e-12)
    # Expected purchases week by week, each discounted from the middle of its week.
    edges = np.linspace(0.0, 365 / 7, 81)
    expected = np.stack([model.purchases.expected_purchases(some, t) for t in edges])
    middle = 0.5 * (edges[1:] + edges[:-1])
    factor = 1.2 ** (-middle * 7 / 365.25)
    discounted = (np.diff(expected, axis=0) * factor[:, None]).sum(axis=0)
    by_week = 0.25 * discounted * plain["expected_spend"] / plain["expected_purchases"]
    np.testing.assert_allclose(found["clv"], by_week, rtol=1e-5)


def test_a_customers_figures_depend_on_nobody_else(fitted, regulars):
    everybody = fitted.predict(regulars)
    for some, size in ((regulars.sample(frac=1.0, random_state=1), 64), (regulars.iloc[5:9], 1)):
        alone = fitted.predict(some, block_size=size)
        pd.testing.assert_frame_equal(alone, everybody.loc[some.index], rtol=1e-11)


def test_saving_keeps_every_digit_and_no_customer(fitted, regulars, tmp_path):
    description = json.loads(json.dumps(fitted.to_folder(tmp_path)))
    assert [f.name for f in tmp_path.iterdir()] == ["draws.npz"]
    assert (tmp_path / "draws.npz").stat().st_size < 100_000
    again = CustomerLifetimeValue.from_folder(tmp_path, description)
    pd.testing.assert_frame_equal(again.predict(regulars), fitted.predict(regulars))
    assert again.diagnostics["purchases"]["k_hat"] == fitted.diagnostics["purchases"]["k_hat"]


def test_a_model_saved_before_there_were_designs_is_read(fitted, regulars, tmp_path):
    description = fitted.to_folder(tmp_path)
    old = {k: v for k, v in description.items() if not k.endswith("_design")}
    again = CustomerLifetimeValue.from_folder(tmp_path, old)
    some = regulars.iloc[:20]
    pd.testing.assert_frame_equal(again.predict(some), fitted.predict(some))


def test_fitting_twice_saves_the_same_bytes(fitted, regulars, tmp_path):
    saved = []
    for name, model in (
        ("one", fitted),
        ("two", CustomerLifetimeValue().fit(regulars, seed=3, method="laplace")),
    ):
        (tmp_path / name).mkdir()
        description = model.to_folder(tmp_path / name)
        saved.append((json.dumps(description), (tmp_path / name / "draws.npz").read_bytes()))
    assert saved[0] == saved[1]


def test_a_damaged_or_foreign_folder_is_refused(fitted, tmp_path):
    description = fitted.to_folder(tmp_path)
    for foreign in ({"purchase_model": "x"}, {"spend_model": "x"}, {"time_unit": "days"}):
        with pytest.raises(ModelError, match="cannot read"):
            CustomerLifetimeValue.from_folder(tmp_path, {**description, **foreign})
    (tmp_path / "draws.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ModelError, match="damaged"):
        CustomerLifetimeValue.from_folder(tmp_path, description)


def test_extreme_customers_get_finite_figures():
    customers = pd.DataFrame(
        {
            "frequency": [0.0, 10_000.0, 5_000.0, 1_000.0, 3.0],
            "recency": [0.0, 1044.0, 720.0, 364.0, 0.01],
            "T": [0.0, 1044.0, 730.0, 365.0, 0.01],
            "monetary_value": [0.0, 10.0, 1e6, 0.01, 5.0],
        }
    )
    found = known().predict(customers, horizon_days=7305)
    assert np.isfinite(found).all(axis=None)
    whale = found.iloc[1]
    assert whale["purchases_low"] < whale["expected_purchases"] < whale["purchases_high"]


def test_the_next_purchase_of_a_living_customer_is_the_median_wait(fitted):
    customer = pd.DataFrame(
        {"frequency": [4.0], "recency": [30.0], "T": [35.0], "monetary_value": [25.0]}
    )
    days = known().predict(customer)["next_purchase_days"].iloc[0]
    rng = np.random.default_rng(0)
    wait = rng.exponential(1 / rng.gamma(4.8, 1 / 43.0, 200_000))
    assert days == pytest.approx(7 * np.median(wait), rel=0.02)
    slow = CustomerLifetimeValue(
        BetaGeoNBD.from_parameters(r=0.05, alpha=8.0, a=0.7, b=2.5), known().spend
    )
    never = customer.assign(frequency=0.0, recency=0.0)
    assert np.isnan(slow.predict(never)["next_purchase_days"].iloc[0])


def test_the_mode_alone_carries_no_intervals(regulars):
    found = CustomerLifetimeValue().fit(regulars, method="map").predict(regulars.iloc[:5])
    intervals = ["purchases_low", "purchases_high", "clv_low", "clv_high"]
    assert found[intervals].isna().all(axis=None)
    assert found.drop(columns=intervals).notna().all(axis=None)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"horizon_days": 0}, "horizon_days"),
        ({"interval": 1.0}, "interval"),
        ({"margin": -0.1}, "margin"),
        ({"annual_discount_rate": -1.0}, "annual_discount_rate"),
        ({"n_draws": 0}, "n_draws"),
        ({"block_size": 0}, "block_size"),
    ],
)
def test_impossible_arguments_are_named(regulars, bad, message):
    with pytest.raises(ModelError, match=message):
        known().predict(regulars.iloc[:2], **bad)


def test_an_unknown_model_and_an_unfitted_one_are_named(regulars):
    with pytest.raises(ModelError, match="bg_nbd, mbg_nbd"):
        CustomerLifetimeValue().fit(regulars, purchase_model="nbd")
    with pytest.raises(ModelError, match="not fitted"):
        CustomerLifetimeValue().predict(regulars)


def test_nobody_to_score_gives_an_empty_list(regulars):
    assert len(known().predict(regulars.iloc[:0])) == 0

"""Predictions at scale: shared tables, intervals that hold, draws, and every valid input."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from models.base import CLV_COLUMNS, ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoCNBD, ModifiedBetaGeoNBD, ParetoNBD
from models.calendar import Calendar
from models.clv import (
    EXPECTATION_COLUMNS,
    HISTORY_COLUMNS,
    NEXT_PURCHASE_COLUMNS,
    CustomerLifetimeValue,
    quantile_columns,
)
from models.predictive import question as question_module
from models.spend import GammaGamma

BG = {"r": 0.8, "alpha": 8.0, "a": 0.7, "b": 2.5}
PARETO = {"r": 0.8, "alpha": 8.0, "s": 0.7, "beta": 20.0}
SPEND = {"p": 6.0, "q": 4.0, "gamma": 15.0}
KINDS = [(BetaGeoNBD, BG), (ModifiedBetaGeoNBD, BG), (ParetoNBD, PARETO)]


def spread(parameters, draws, seed, size=0.05):
    rng = np.random.default_rng(seed)
    return {k: v * np.exp(size * rng.standard_normal(draws)) for k, v in parameters.items()}


def uncertain(kind, parameters, draws=40, **description):
    """A model with a posterior round known parameters."""
    return CustomerLifetimeValue(
        kind.from_draws(spread(parameters, draws, 1), {"inference": "nuts"}, **description),
        GammaGamma.from_draws(spread(SPEND, draws, 2, 0.02), {"inference": "nuts"}),
    )


def known(kind=BetaGeoNBD, parameters=BG):
    return CustomerLifetimeValue(
        kind.from_parameters(**parameters), GammaGamma.from_parameters(**SPEND)
    )


def some_customers(n=400, seed=5):
    """Histories by the day, with a few frequencies and many lengths of T."""
    rng = np.random.default_rng(seed)
    T = rng.integers(1, 1500, n)
    x = np.minimum(rng.negative_binomial(0.6, 0.25, n), T)
    recency = np.where(x > 0, np.maximum(np.ceil(T * rng.random(n) ** 0.5), x), 0)
    return pd.DataFrame(
        {
            "frequency": x.astype(float),
            "recency": recency / 7.0,
            "T": T / 7.0,
            "monetary_value": np.where(x > 0, rng.gamma(6.0, 5.0, n), 0.0),
            "first_value": rng.gamma(6.0, 5.0, n),
        },
        index=[f"c{i:04d}" for i in range(n)],
    )


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_shared_work_gives_what_each_customer_gets_alone(kind, parameters):
    model, customers = uncertain(kind, parameters, draws=8), some_customers(200)
    together = model.predict(customers)
    alone = pd.concat([model.predict(customers.iloc[[i]]) for i in range(0, 200, 25)])
    pd.testing.assert_frame_equal(together.loc[alone.index], alone, rtol=1e-9)


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_the_columns_are_the_purchase_model_s_own_averages(kind, parameters):
    model, customers = uncertain(kind, parameters), some_customers(150)
    found = model.predict(customers, 364, annual_discount_rate=0.0, n_draws=40)
    purchases = model.purchases
    for column, expected in (
        ("p_alive", purchases.probability_alive(customers)),
        ("expected_purchases", purchases.expected_purchases(customers, 52.0)),
        ("probability_no_purchase", purchases.probability_no_purchase(customers, 52.0)),
    ):
        np.testing.assert_allclose(found[column], expected, rtol=1e-8)
    # Quantiles of the exact mixture over all draws.
    cdf = purchases.purchase_distribution(customers, 52.0, 250).cumsum(axis=1)
    for column, level in (("purchases_low", 0.05), ("purchases_high", 0.95)):
        exact = (cdf < level).sum(axis=1)
        assert (found[column] == exact).mean() > 0.999


def test_regular_buyers_whose_future_depends_on_recency_are_worked_out_one_by_one():
    description = ModifiedBetaGeoCNBD(k=2).describe()
    model = uncertain(ModifiedBetaGeoCNBD, BG, description=description)
    customers = some_customers(60)
    found = model.predict(customers, 364, n_draws=40, expectation_interval=True)
    expected = model.purchases.expected_purchases(customers, 52.0, quantiles=(0.05, 0.95))
    np.testing.assert_allclose(found["expected_purchases"], expected[:, 0], rtol=1e-9)
    np.testing.assert_allclose(found["purchases_mean_low"], expected[:, 1], rtol=1e-9)
    assert np.isfinite(found.drop(columns="next_purchase_days")).all(axis=None)
    # The mean discount factor is taken over fewer draws where it is not asked for by draw.
    quick = model.predict(customers, 364, n_draws=40)
    np.testing.assert_allclose(found["clv"], quick["clv"], rtol=1e-4)


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_an_endless_horizon_is_worth_the_residual_transactions(kind, parameters):
    model, customers = uncertain(kind, parameters, draws=10), some_customers(60)
    found = model.predict(customers, np.inf, annual_discount_rate=0.15, margin=0.3)
    purchases, spend = model.purchases, model.spend
    residual = purchases.discounted_expected_residual_transactions(customers, 0.15)
    money = spend.expected_spend(customers["frequency"], customers["monetary_value"])
    np.testing.assert_allclose(found["clv"], 0.3 * residual * money, rtol=1e-8)
    assert found[["expected_purchases", "expected_spend", "clv_low"]].isna().all(axis=None)
    long = model.predict(customers, 365.25 * 80, annual_discount_rate=0.15, margin=0.3)
    np.testing.assert_allclose(long["clv"], found["clv"], rtol=2e-4)
    with pytest.raises(ModelError, match="positive discount rate"):
        model.predict(customers, np.inf, annual_discount_rate=0.0)


def test_the_interval_of_the_mean_is_another_column_and_another_thing():
    model, customers = uncertain(BetaGeoNBD, BG, draws=200), some_customers(200)
    found = model.predict(customers, 364, expectation_interval=True, interval=0.8)
    assert tuple(found.columns) == (*CLV_COLUMNS, *EXPECTATION_COLUMNS)
    bounds = model.purchases.expected_purchases(customers, 52.0, quantiles=(0.1, 0.9))
    np.testing.assert_allclose(found["purchases_mean_low"], bounds[:, 1], rtol=1e-8)
    np.testing.assert_allclose(found["purchases_mean_high"], bounds[:, 2], rtol=1e-8)
    inside = found["clv"].between(found["clv_mean_low"], found["clv_mean_high"])
    assert inside.all()
    narrow = found["clv_mean_high"] - found["clv_mean_low"]
    assert (narrow < found["clv_high"] - found["clv_low"])[found["clv_high"] > 0].mean() > 0.99
    single = known().predict(customers, 364, annual_discount_rate=0.0, expectation_interval=True)
    np.testing.assert_allclose(single["clv_mean_low"], single["clv"], rtol=1e-9)


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_the_next_purchase_comes_by_its_quantiles_with_their_probability(kind, parameters):
    model, customers = known(kind, parameters), some_customers(60)
    found = model.predict(customers, interval=0.8, next_purchase_interval=True)
    assert tuple(found.columns) == (*CLV_COLUMNS, *NEXT_PURCHASE_COLUMNS)
    purchases = model.purchases
    for i in range(0, 60, 7):
        row = customers.iloc[[i]]
        alive = purchases.probability_alive(row)[0]

        def bought(weeks, row=row, alive=alive):
            return (1.0 - purchases.probability_no_purchase(row, weeks)[0]) / alive

        for column, level in (
            ("next_purchase_low", 0.1), ("next_purchase_days", 0.5), ("next_purchase_high", 0.9),
        ):  # fmt: skip
            days = found[column].iloc[i]
            if bought(3652.5 / 7) < level:
                assert np.isnan(days)
            else:
                exact = 7.0 * brentq(lambda t, level=level: bought(t) - level, 1e-9, 522.0)
                assert days == pytest.approx(exact, rel=2e-5)


def test_the_wait_is_averaged_over_draws_by_how_likely_each_finds_the_customer_alive():
    model, customers = uncertain(BetaGeoNBD, BG, draws=30), some_customers(20)
    draws, found = model.purchases.posterior, model.predict(some_customers(20))
    for i in (0, 7, 13):
        x, recency, T = customers.iloc[i][["frequency", "recency", "T"]]
        alive = model.purchases._alive(draws, *(np.full((1, 1), v) for v in (x, recency, T)))[0]
        r, alpha = draws["r"] + x, draws["alpha"] + T

        def waiting(t, alive=alive, r=r, alpha=alpha):
            return (alive * (1 + t / alpha) ** -r).sum() / alive.sum() - 0.5

        exact = 7.0 * brentq(waiting, 1e-6, 1e6)
        if exact < 3652.5:
            assert found["next_purchase_days"].iloc[i] == pytest.approx(exact, rel=1e-5)


def simulated(kind, n, seed):
    """Customers of a known process: their summary, and what they did in the year after."""
    rng = np.random.default_rng(seed)
    rate, T = rng.gamma(0.8, 1 / 8.0, n), rng.uniform(5, 100, n)
    nu, rows = rng.gamma(4.0, 1 / 15.0, n), []
    p, life = rng.beta(0.7, 2.5, n), rng.exponential(1.0 / rng.gamma(0.7, 1 / 20.0, n))
    for i in range(n):
        now, past, future = 0.0, [], 0
        coin = kind is not ParetoNBD
        alive = kind is not ModifiedBetaGeoNBD or rng.random() > p[i]
        while alive:
            now += rng.exponential(1 / rate[i])
            if now > T[i] + 52.0 or (not coin and now > life[i]):
                break
            if now <= T[i]:
                past.append(now)
            else:
                future += 1
            alive = not coin or rng.random() > p[i]
        spend = rng.gamma(6.0 * len(past), 1 / nu[i]) / len(past) if past else 0.0
        later = rng.gamma(6.0 * future, 1 / nu[i]) if future else 0.0
        rows.append((len(past), past[-1] if past else 0.0, T[i], spend, future, later))
    columns = ["frequency", "recency", "T", "monetary_value", "purchases", "value"]
    return pd.DataFrame(rows, columns=columns)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_ninety_percent_predictive_intervals_cover_ninety_percent(kind, parameters):
    customers, model = simulated(kind, 3000, 11), known(kind, parameters)
    bought, value = model.draw(customers, 364, n=200, seed=3)
    rng = np.random.default_rng(0)
    for actual, draws in ((customers["purchases"], bought), (customers["value"], value)):
        # The place among the draws, at random among equals: uniform if they are right.
        y = actual.to_numpy()[:, None]
        below, equal = (draws < y).sum(axis=1), (draws == y).sum(axis=1)
        place = (below + rng.random(len(y)) * (equal + 1)) / (draws.shape[1] + 1)
        assert ((place > 0.05) & (place < 0.95)).mean() == pytest.approx(0.90, abs=0.02)
    found = model.predict(customers, 364, annual_discount_rate=0.0)
    silent = found["clv_high"] == 0.0
    assert customers["value"].between(found["clv_low"], found["clv_high"]).mean() > 0.88
    assert (customers["value"][silent] == 0.0).mean() > 0.94
    buying = found["probability_no_purchase"] < 0.05
    inside = customers["value"].between(found["clv_low"], found["clv_high"])[buying]
    assert inside.mean() == pytest.approx(0.90, abs=5 * np.sqrt(0.09 / buying.sum()))


def test_draws_have_the_predicted_means_and_quantiles():
    customers = some_customers(40)
    model = uncertain(ModifiedBetaGeoNBD, BG, draws=500)
    found = model.predict(customers, 364, annual_discount_rate=0.0, n_draws=500, interval=0.8)
    bought, value = model.draw(customers, 364, n=20_000, seed=1)
    assert bought.shape == value.shape == (40, 20_000)
    # Nearly all who are gone draw nothing but zeros, so their spread is no guide.
    noise = np.sqrt((bought.var(axis=1) + found["expected_purchases"]) / 20_000)
    assert (np.abs(bought.mean(axis=1) - found["expected_purchases"]) < 5 * noise).all()
    noise = np.sqrt((value.var(axis=1) + 30.0 * found["expected_spend"]) / 20_000)
    assert (np.abs(value.mean(axis=1) - found["expected_spend"]) < 5 * noise).all()
    assert ((value == 0.0) == (bought == 0)).all()
    for column, level in (("clv_low", 0.1), ("clv_high", 0.9)):
        bound = found[column].to_numpy()[:, None]
        assert ((value < bound).mean(axis=1) <= level + 0.015).all()
        assert ((value <= bound).mean(axis=1) >= level - 0.015).all()


def test_draws_repeat_with_the_seed_and_add_up_to_totals_with_parameter_uncertainty():
    customers = some_customers(100)
    purchases = BetaGeoNBD.from_draws(spread(BG, 50, 1, 0.3), {"inference": "nuts"})
    model = CustomerLifetimeValue(purchases, GammaGamma.from_parameters(**SPEND))
    bought, _ = model.draw(customers, 364, n=50, seed=1)
    again, _ = model.draw(customers, 364, n=50, seed=1)
    other, _ = model.draw(customers, 364, n=50, seed=2)
    np.testing.assert_array_equal(bought, again)
    assert (bought != other).any()
    # Column j goes by posterior draw j for everybody.
    totals = [
        BetaGeoNBD.from_parameters(**{k: v[j] for k, v in purchases.posterior.items()})
        .expected_purchases(customers, 52.0)
        .sum()
        for j in range(50)
    ]
    assert np.corrcoef(totals, bought.sum(axis=0))[0, 1] > 0.5
    with pytest.raises(ModelError, match="finite"):
        model.draw(customers, np.inf)
    with pytest.raises(ModelError, match="n is 0"):
        model.draw(customers, 30, n=0)


def test_customers_first_seen_after_the_fit_are_predicted_from_the_same_parameters():
    customers = some_customers(120)
    model = CustomerLifetimeValue().fit(customers.iloc[:80], method="map")
    known_ids, found = set(customers.index[:80]), model.predict(customers.iloc[80:])
    assert not known_ids & set(found.index)
    assert found["clv"].notna().all()
    pd.testing.assert_frame_equal(found, model.predict(customers).iloc[80:], rtol=1e-9)


def test_somebody_without_a_purchase_gets_the_estimate_of_a_new_customer():
    model = uncertain(ModifiedBetaGeoNBD, BG, draws=100)
    found = model.predict_new_customers(pd.DataFrame(index=["x", "y"]), 364, 0.0, n_draws=100)
    assert tuple(found.columns) == CLV_COLUMNS
    assert found.index.tolist() == ["x", "y"]
    expected = model.purchases.expected_purchases_new_customer(52.0)
    np.testing.assert_allclose(found["expected_purchases"], expected, rtol=1e-9)
    mean_spend = model.spend.expected_spend([0.0], [0.0])[0]
    np.testing.assert_allclose(found["expected_spend"], expected * mean_spend, rtol=1e-9)
    # The same when spend is learned from all purchases: the first one is not known either.
    all_of_them = CustomerLifetimeValue(
        model.purchases,
        GammaGamma.from_draws(model.spend.posterior, {"spend_of": "all_purchases"}),
    )
    other = all_of_them.predict_new_customers(pd.DataFrame(index=["x", "y"]), 364, 0.0, n_draws=100)
    np.testing.assert_allclose(other["clv"], found["clv"], rtol=1e-12)


def test_what_was_and_what_is_expected_make_the_total():
    customers = some_customers(50)
    found = known().predict(customers, margin=0.4, history=True)
    assert tuple(found.columns) == (*CLV_COLUMNS, *HISTORY_COLUMNS)
    money = customers["first_value"] + customers["frequency"] * customers["monetary_value"]
    np.testing.assert_allclose(found["historic_value"], 0.4 * money, rtol=1e-12)
    np.testing.assert_allclose(found["total_value"], 0.4 * money + found["clv"], rtol=1e-12)
    with pytest.raises(ModelError, match="first_value"):
        known().predict(customers.drop(columns="first_value"), history=True)


def test_a_month_is_a_twelfth_of_a_year_and_a_year_costs_the_annual_rate():
    customers = some_customers(30)
    month, plain = 365.25 / 12, known().predict(some_customers(30), 365.25 / 12, 0.0)
    found = known().predict(customers, month, annual_discount_rate=0.5)
    factor = found["clv"] / plain["clv"]
    assert (factor < 1.0).all()
    assert (factor > 1.5 ** (-1 / 12)).all()
    # Short horizons are discounted by half of their length, whatever the customer.
    week = known().predict(customers, 7.0, 0.5)["clv"] / known().predict(customers, 7.0, 0.0)["clv"]
    np.testing.assert_allclose(week, 1.5 ** (-3.5 / 365.25), rtol=1e-4)


CUTOFF = dt.date(2024, 11, 15)


def test_a_flat_calendar_changes_nothing():
    customers, model = some_customers(60), uncertain(BetaGeoNBD, BG)
    flat = CustomerLifetimeValue(model.purchases, model.spend, Calendar.of(np.ones(52)))
    found = flat.predict(customers, 300, 0.2, cutoff=CUTOFF)
    plain = model.predict(customers, 300, 0.2)
    # Discounting month by month leaves a little out.
    pd.testing.assert_frame_equal(found, plain, rtol=3e-4)


def test_before_christmas_more_is_expected_and_in_january_less(tmp_path):
    customers, model = some_customers(60), uncertain(BetaGeoNBD, BG)
    season = np.where((np.arange(52) >= 46) & (np.arange(52) < 51), 4.0, 1.0)
    busy = CustomerLifetimeValue(model.purchases, model.spend, Calendar.of(season))
    before = busy.predict(customers, 30, cutoff=dt.date(2024, 11, 20))
    after = busy.predict(customers, 30, cutoff=dt.date(2025, 1, 10))
    assert (before["expected_purchases"] > 2.0 * after["expected_purchases"]).mean() > 0.9
    buyers = customers["frequency"] > 2
    waits = before["next_purchase_days"] < after["next_purchase_days"]
    assert waits[buyers].mean() > 0.9
    year = busy.predict(customers, 365, cutoff=CUTOFF)["clv"].sum()
    assert year == pytest.approx(model.predict(customers, 365)["clv"].sum(), rel=0.15)
    residual = busy.predict(customers, np.inf, cutoff=CUTOFF)["clv"]
    assert (residual > 0.0).all()
    with pytest.raises(ModelError, match="no cutoff"):
        busy.predict(customers)
    again = CustomerLifetimeValue.from_folder(tmp_path, busy.to_folder(tmp_path))
    pd.testing.assert_frame_equal(
        again.predict(customers, 30, cutoff=CUTOFF), busy.predict(customers, 30, cutoff=CUTOFF)
    )
    bought, _ = busy.draw(customers, 30, n=50, cutoff=dt.date(2024, 11, 20))
    assert bought.mean() == pytest.approx(before["expected_purchases"].mean(), rel=0.2)


def test_segments_keep_their_own_parameters_when_worked_on_together(tmp_path):
    customers = some_customers(300).assign(channel=["web", "shop", "fair"] * 100)
    purchases = ModifiedBetaGeoNBD(segment="channel").fit(customers, method="laplace")
    model = CustomerLifetimeValue(purchases, GammaGamma.from_parameters(**SPEND))
    assert "channel" in model.input_columns
    found = model.predict(customers, 364, n_draws=50)
    alone = model.predict(customers.iloc[[5]], 364, n_draws=50)
    pd.testing.assert_frame_equal(found.iloc[[5]], alone, rtol=1e-9)
    draws = found["expected_purchases"] - purchases.expected_purchases(customers, 52.0)
    assert draws.abs().max() < 0.1 * found["expected_purchases"].max()
    again = CustomerLifetimeValue.from_folder(tmp_path, model.to_folder(tmp_path))
    pd.testing.assert_frame_equal(again.predict(customers, 364, n_draws=50), found)
    newcomer = model.predict_new_customers(customers[["channel"]].iloc[:3], 364)
    assert newcomer["clv"].nunique() == 3


def test_covariates_that_differ_for_everybody_are_worked_out_one_by_one():
    rng = np.random.default_rng(0)
    customers = some_customers(80).assign(age=rng.normal(size=80))
    purchases = BetaGeoNBD(covariates={"rate": ["age"]}).fit(customers, method="laplace")
    model = CustomerLifetimeValue(purchases, GammaGamma.from_parameters(**SPEND))
    count = len(purchases.posterior["r"])
    found = model.predict(customers, 364, 0.0, n_draws=count)
    expected = purchases.expected_purchases(customers, 52.0)
    np.testing.assert_allclose(found["expected_purchases"], expected, rtol=1e-8)
    assert found["clv_high"].notna().all()


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_extreme_draws_give_finite_figures(kind, parameters, factor):
    rng = np.random.default_rng(2)
    draws = {
        name: np.append(value * np.exp(rng.standard_normal(5)), value * factor)
        for name, value in parameters.items()
    }
    model = CustomerLifetimeValue(
        kind.from_draws(draws, {"inference": "nuts"}), GammaGamma.from_parameters(**SPEND)
    )
    customers = some_customers(15)
    for horizon in (1.0, 7305.0):
        found = model.predict(customers, horizon, expectation_interval=True)
        assert np.isfinite(found.drop(columns="next_purchase_days")).all(axis=None)
        assert (found["purchases_low"] <= found["purchases_high"]).all()
        assert (found["clv_low"] <= found["clv_high"]).all()


LEVELS = (0.01, 0.05, 0.3, 0.5, 0.7, 0.95, 0.99)


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_quantiles_are_those_of_the_interval_at_every_level(kind, parameters):
    model, customers = uncertain(kind, parameters), some_customers(80)
    of_purchases, of_clv = (list(names) for names in quantile_columns(LEVELS))
    assert of_purchases[1] == "purchases_q0.05"
    found = model.predict(customers, margin=0.5, quantiles=np.array(LEVELS))
    assert tuple(found.columns) == (*CLV_COLUMNS, *of_purchases, *of_clv)
    pd.testing.assert_frame_equal(found[list(CLV_COLUMNS)], model.predict(customers, margin=0.5))
    for names in (of_purchases, of_clv):
        assert (np.diff(found[names].to_numpy(), axis=1) >= 0).all()
    for name in ("purchases", "clv"):
        for low, high in (("0.01", "0.99"), ("0.05", "0.95"), ("0.3", "0.7")):
            said = model.predict(customers, margin=0.5, interval=1.0 - 2.0 * float(low))
            np.testing.assert_allclose(found[f"{name}_q{low}"], said[f"{name}_low"], rtol=1e-9)
            np.testing.assert_allclose(found[f"{name}_q{high}"], said[f"{name}_high"], rtol=1e-9)


def test_quantiles_of_very_frequent_and_of_new_customers():
    model, often = known(ModifiedBetaGeoNBD), some_customers(3)
    often = often.assign(frequency=5000.0, recency=900.0, T=901.0, monetary_value=7.0)
    found = model.predict(often, 7305, quantiles=LEVELS)
    for names in quantile_columns(LEVELS):
        assert (np.diff(found[list(names)].to_numpy(), axis=1) >= 0).all()
    np.testing.assert_allclose(found["purchases_q0.95"], found["purchases_high"], rtol=1e-9)
    new = model.predict_new_customers(pd.DataFrame(index=["a"]), quantiles=[0.95])
    assert new["clv_q0.95"].item() == pytest.approx(new["clv_high"].item())
    endless = model.predict(often, np.inf, quantiles=[0.5])
    assert endless[["purchases_q0.5", "clv_q0.5"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("kind", "parameters", "description"),
    [*((*each, None) for each in KINDS), (ModifiedBetaGeoCNBD, BG, {"k": 2})],
)
def test_expectations_alone_are_the_same_and_the_rest_is_missing(kind, parameters, description):
    if description is not None:
        description = ModifiedBetaGeoCNBD(k=2).describe()
    more = {} if description is None else {"description": description}
    model, customers = uncertain(kind, parameters, draws=10, **more), some_customers(60)
    whole, light = (model.predict(customers, 200, intervals=flag) for flag in (True, False))
    said = ["p_alive", "probability_no_purchase", "expected_purchases", "expected_spend", "clv"]
    assert tuple(light.columns) == CLV_COLUMNS
    pd.testing.assert_frame_equal(light[said], whole[said], rtol=1e-12)
    assert light.drop(columns=said).isna().all(axis=None)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"quantiles": [0.5, 1.0]}, "level 1.0"),
        ({"quantiles": [np.nan]}, "level nan"),
        ({"quantiles": [0.5, 0.2, 0.5]}, "twice: 0.5, 0.2, 0.5"),
        ({"intervals": False, "quantiles": [0.5]}, "intervals=False leaves out"),
        ({"intervals": False, "next_purchase_interval": True}, "intervals=False leaves out"),
    ],
)
def test_levels_that_mean_nothing_are_refused(asked, message):
    with pytest.raises(ModelError, match=message):
        known().predict(some_customers(2), **asked)


def test_what_is_kept_between_predictions_changes_nothing():
    customers = some_customers(30)
    for parameters in (SPEND, {**SPEND, "p": 2.0}, SPEND):
        model = CustomerLifetimeValue(
            BetaGeoNBD.from_parameters(**BG), GammaGamma.from_parameters(**parameters)
        )
        first = model.predict(customers)
        question_module._amounts.cache_clear()
        pd.testing.assert_frame_equal(model.predict(customers), first, check_exact=True)

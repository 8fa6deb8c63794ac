"""Shifted beta-geometric against the published numbers."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from models.base import ModelError
from models.subscription import ShiftedBetaGeometric, lifetimes_from_survivors

# Fader & Hardie (2007), "How to Project Customer Retention", table 1: survivors of 1000 after
# each year; the models are fitted on the first seven.
REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241, 223, 207, 194, 183, 173]
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491, 468, 445, 427, 409, 394]

PUBLISHED = ShiftedBetaGeometric.from_parameters(alpha=0.668, beta=3.806, period="year")


def fitted(survivors, **options):
    return ShiftedBetaGeometric("year").fit(survivors[:8], **options)


@pytest.mark.parametrize(
    ("survivors", "alpha", "beta", "log_likelihood"),
    [(REGULAR, 0.70408, 1.18204, -1680.2652), (HIGH_END, 0.66809, 3.80610, -1611.1581)],
)
def test_maximum_likelihood_fader_hardie_2007(survivors, alpha, beta, log_likelihood):
    model = fitted(survivors, method="map", priors="flat")
    assert model.parameters["alpha"] == pytest.approx(alpha, abs=6e-6)
    assert model.parameters["beta"] == pytest.approx(beta, abs=6e-6)
    assert model.log_likelihood(survivors[:8]) == pytest.approx(log_likelihood, abs=6e-5)
    assert model.diagnostics["customers"] == 1000
    assert model.diagnostics["nodes"] == 8


@pytest.mark.parametrize(
    ("survivors", "expected"),
    [
        (REGULAR, [100, 62.7, 47.4, 38.8, 33.2, 29.2, 26.2, 23.9, 22, 20.4, 19.1, 18, 17]),
        (HIGH_END, [100, 85.1, 74.7, 67, 61, 56.2, 52.2, 48.9, 46, 43.6, 41.4, 39.5, 37.8]),
    ],
)
def test_projected_survival_fader_hardie_2007(survivors, expected):
    model = fitted(survivors, method="map", priors="flat")
    found = 100.0 * model.survival(range(13))
    np.testing.assert_allclose(found, expected, atol=0.0501)
    np.testing.assert_allclose(found, np.array(survivors) / 10.0, atol=2.5)


@pytest.mark.parametrize(
    ("alpha", "beta", "expected", "paper"),
    [
        (3.8, 15.2, [3.31, 3.451, 3.587, 3.717, 3.842], [3.31, 3.45, 3.59, 3.72, 3.84]),
        (0.067, 0.267, [7.671, 9.455, 9.851, 10.056, 10.189], [7.68, 9.46, 9.86, 10.06, 10.19]),
    ],
)
def test_discounted_expected_residual_lifetime_fader_hardie_2010(alpha, beta, expected, paper):
    # The paper counts the periods a customer has been active, one more than the renewals.
    model = ShiftedBetaGeometric.from_parameters(alpha, beta, "year")
    found = model.discounted_expected_residual_lifetime(np.arange(5), 0.10)
    np.testing.assert_allclose(found, expected, atol=5.1e-4)
    np.testing.assert_allclose(found, paper, atol=0.0101)


def test_residual_lifetime_is_the_discounted_sum_of_survival():
    t = np.arange(0, 4000)
    for m in (0, 3, 40):
        still = PUBLISHED.probability_renews(m, t + 1)
        now = float((still / 1.1**t).sum())
        found = PUBLISHED.discounted_expected_residual_lifetime(m, 0.10)[0]
        assert found == pytest.approx(now, rel=1e-9)
        later = PUBLISHED.discounted_expected_residual_lifetime(m, 0.10, due="next")[0]
        assert later == pytest.approx(now / 1.1, rel=1e-9)
    monthly = ShiftedBetaGeometric.from_parameters(alpha=0.668, beta=3.806)
    rate = 1.1 ** (1 / 12) - 1
    assert monthly.discounted_expected_residual_lifetime(2, 0.10) == pytest.approx(
        monthly.discounted_expected_residual_lifetime(2, period_discount_rate=rate)
    )


def test_residual_lifetime_of_extreme_parameters_is_finite():
    for alpha, beta in ((1e-3, 1e-3), (1e-2, 500.0), (300.0, 0.01), (2000.0, 9000.0)):
        model = ShiftedBetaGeometric.from_parameters(alpha, beta)
        found = model.discounted_expected_residual_lifetime([0, 1, 100, 10_000], 0.10)
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert (np.diff(found) > 0).all()


def test_lifetime_and_retention():
    model = ShiftedBetaGeometric.from_parameters(alpha=2.5, beta=6.0)
    t = np.arange(0, 200_000)
    assert model.expected_lifetime()[0] == pytest.approx(model.survival(t).sum(), rel=1e-4)
    assert model.expected_lifetime(within=30)[0] == pytest.approx(model.survival(t[:30]).sum())
    assert model.expected_lifetime([4])[0] == pytest.approx((2.5 + 6.0 + 4 - 1) / 1.5)
    assert PUBLISHED.expected_lifetime()[0] == np.inf
    assert np.isfinite(PUBLISHED.expected_lifetime(within=50)[0])
    retention = model.retention_rate(np.arange(1, 20))
    np.testing.assert_allclose(
        retention, np.cumprod(retention) / np.r_[1, np.cumprod(retention)[:-1]]
    )
    np.testing.assert_allclose(np.cumprod(retention), model.survival(np.arange(1, 20)))
    assert (np.diff(retention) > 0).all()
    assert model.probability_renews([3, 9], 1) == pytest.approx(retention[[3, 9]])


def test_contracts_and_survivors_say_the_same():
    table = lifetimes_from_survivors(HIGH_END[:8])
    rows = table.loc[table.index.repeat(table["weight"].astype(int)), ["periods", "ended"]]
    one = fitted(HIGH_END, method="map")
    other = ShiftedBetaGeometric("year").fit(rows, method="map")
    assert other.parameters == pytest.approx(one.parameters)
    assert other.log_likelihood(rows) == pytest.approx(one.log_likelihood(HIGH_END[:8]))


@pytest.mark.parametrize("method", [pytest.param("nuts", marks=pytest.mark.slow), "laplace"])
def test_the_posterior_and_its_quantiles(method):
    model = fitted(REGULAR, seed=1, method=method)
    found = model.survival([0, 4, 12], quantiles=(0.05, 0.95))
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found[0], 1.0)
    assert (found[1:, 1] < found[1:, 0]).all()
    assert (found[1:, 0] < found[1:, 2]).all()
    assert found[2, 0] == pytest.approx(0.17, abs=0.02)
    value = model.discounted_expected_residual_lifetime([0, 0, 5], 0.1, quantiles=(0.5,))
    np.testing.assert_array_equal(value[0], value[1])
    assert value[2, 0] > value[0, 0]
    again = fitted(REGULAR, seed=1, method=method)
    for name in model.names:
        np.testing.assert_array_equal(model.posterior[name], again.posterior[name])


def test_the_truth_is_recovered_from_censored_contracts():
    rng = np.random.default_rng(6)
    lasts = rng.geometric(rng.beta(1.5, 12.0, 8000))
    seen = rng.integers(0, 30, 8000)
    contracts = pd.DataFrame({"periods": np.minimum(lasts, seen), "ended": lasts <= seen})
    model = ShiftedBetaGeometric().fit(contracts, seed=2, method="laplace")
    for name, true in {"alpha": 1.5, "beta": 12.0}.items():
        low, high = np.quantile(model.posterior[name], [0.005, 0.995])
        assert low < true < high


def test_it_survives_saving():
    model = ShiftedBetaGeometric(30).fit(REGULAR[:8], method="laplace")
    described = json.loads(json.dumps(model.describe()))
    again = ShiftedBetaGeometric.from_draws(model.posterior, model.diagnostics, described)
    assert again.period == 30
    assert again.diagnostics == model.diagnostics
    np.testing.assert_array_equal(
        again.discounted_expected_residual_lifetime([0, 3], 0.1, quantiles=(0.1,)),
        model.discounted_expected_residual_lifetime([0, 3], 0.1, quantiles=(0.1,)),
    )


@pytest.mark.parametrize(
    ("contracts", "message"),
    [
        ([1000], "customers at the start and after one renewal"),
        ([1000, 869, 900], "period 2: 900"),
        ([1000, np.nan], "period 1"),
        ([1000, 1000, 1000], "No contract has ended"),
        ([1000, 0], "No contract was ever renewed"),
        (pd.DataFrame({"periods": [2, 3]}), "no column 'ended'"),
        (pd.DataFrame({"periods": [2, 2.5], "ended": [True, True]}), "Row 1: periods is not"),
        (pd.DataFrame({"periods": [2, -1], "ended": [True, False]}), "Row 1: periods is not"),
        (pd.DataFrame({"periods": [2, 0], "ended": [True, True]}), "Row 1: a contract that has"),
        (pd.DataFrame({"periods": [2, 1], "ended": [1, 2]}), "Row 1: ended is not"),
        (pd.DataFrame({"periods": [2, 1], "ended": [1, np.nan]}), "Row 1: ended is not"),
        (pd.DataFrame({"periods": ["two"], "ended": [True]}), "not numeric"),
        (pd.DataFrame({"periods": [2], "ended": [True], "weight": [0.0]}), "Row 0: weight"),
        (pd.DataFrame({"periods": [], "ended": []}), "no contracts"),
    ],
)
def test_impossible_contracts_are_refused(contracts, message):
    with pytest.raises(ModelError, match=message):
        ShiftedBetaGeometric().fit(contracts, method="map")


def test_impossible_questions_are_refused():
    with pytest.raises(ModelError, match="alpha of ShiftedBetaGeometric is not positive"):
        ShiftedBetaGeometric.from_parameters(alpha=0.0, beta=1.0)
    with pytest.raises(ModelError, match="beta of ShiftedBetaGeometric is not positive"):
        ShiftedBetaGeometric.from_parameters(alpha=1.0, beta=np.inf)
    with pytest.raises(ModelError, match="Unknown period"):
        ShiftedBetaGeometric("fortnight")
    with pytest.raises(ModelError, match="not fitted"):
        ShiftedBetaGeometric().survival([1])
    with pytest.raises(ModelError, match="renewal is"):
        PUBLISHED.retention_rate([0])
    with pytest.raises(ModelError, match="times is"):
        PUBLISHED.survival([1.5])
    with pytest.raises(ModelError, match="either annual_discount_rate"):
        PUBLISHED.discounted_expected_residual_lifetime([0])
    with pytest.raises(ModelError, match="discount rate is 0"):
        PUBLISHED.discounted_expected_residual_lifetime([0], 0.0)
    with pytest.raises(ModelError, match="Quantiles need posterior draws"):
        PUBLISHED.survival([1], quantiles=(0.1,))


@pytest.mark.data
def test_telco_survival_is_that_of_kaplan_and_meier_in_the_first_year():
    folder = os.environ.get("REGULARS_DATA")
    if not folder:
        pytest.skip("REGULARS_DATA is not set")
    telco = pd.read_parquet(Path(folder) / "telco.parquet")
    ended = (telco["Churn"] == "Yes").to_numpy()
    # Who leaves in month t was billed for t months; tenure 0 has not come to a renewal.
    contracts = pd.DataFrame({"periods": telco["tenure"].to_numpy(), "ended": ended})
    model = ShiftedBetaGeometric("month").fit(contracts, seed=0, method="laplace")
    months = np.arange(1, 13)
    lost = np.array([(ended & (telco["tenure"] == t)).sum() for t in months])
    at_risk = np.array([(telco["tenure"] >= t).sum() for t in months])
    survival = model.survival(months)
    assert (np.diff(survival) < 0).all()
    np.testing.assert_allclose(survival, np.cumprod(1.0 - lost / at_risk), atol=0.03)


@pytest.mark.slow
def test_simulation_based_calibration():
    """Ranks of the truth among the draws are uniform: Talts et al. (2018), arXiv:1804.06788."""
    rng = np.random.default_rng(12)
    priors = {"alpha": (1.0, 0.5), "beta": (4.0, 0.5)}
    ranks = []
    while len(ranks) < 80:
        true = {name: median * np.exp(sd * rng.normal()) for name, (median, sd) in priors.items()}
        lasts = rng.geometric(rng.beta(true["alpha"], true["beta"], 200).clip(1e-12))
        seen = rng.integers(0, 15, 200)
        contracts = pd.DataFrame({"periods": np.minimum(lasts, seen), "ended": lasts <= seen})
        model = ShiftedBetaGeometric().fit(
            contracts, seed=len(ranks), method="laplace", priors=priors
        )
        ranks.append([(model.posterior[name][::4] < true[name]).sum() for name in true])
    for found in np.array(ranks).T:
        held = np.histogram(found, np.linspace(0, 101, 6))[0]
        assert chisquare(held).pvalue > 1e-3

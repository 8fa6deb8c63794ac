"""Pareto/NBD against the published numbers, its own limits and a known process."""

import os
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import nbinom, rankdata

from models.btyd import ParetoNBD
from models.btyd.future import WEEKS_A_YEAR
from models.btyd.histories import compress
from models.btyd.pareto_formulas import purchase_by, silence
from models.btyd.rfm import check_histories
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma


def pareto(*point):
    return ParetoNBD.from_parameters(**dict(zip(ParetoNBD.names, point, strict=True)))


def rfm(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


EXACT = pareto(0.55327705, 10.57768345, 0.6062402, 11.66874241)
BTYD = pareto(0.5533971, 10.5801985, 0.6060625, 11.6562237)  # parameters of the R vignette


def simulate_pareto(n, seed, r=0.8, alpha=8.0, s=0.8, beta=20.0):
    rng = np.random.default_rng(seed)
    T = rng.integers(70, 700, n) / 7.0
    rate = rng.gamma(r, 1.0 / alpha, n)
    life = rng.exponential(1.0 / rng.gamma(s, 1.0 / beta, n))
    seen = np.minimum(life, T)
    x = rng.poisson(rate * seen)
    # The last of x uniform times has the law of the x-th root of a uniform number.
    recency = np.where(x > 0, seen * rng.random(n) ** (1.0 / np.maximum(x, 1)), 0.0)
    return pd.DataFrame({"frequency": x, "recency": recency, "T": T})


# published numbers


@pytest.mark.data
def test_cdnow_maximum_likelihood_fader_hardie_lee_2005(cdnow):
    model = ParetoNBD().fit(cdnow, method="map", priors="flat")
    assert model.parameters == pytest.approx(
        {"r": 0.55327705, "alpha": 10.57768345, "s": 0.6062402, "beta": 11.66874241}, rel=3e-6
    )
    assert model.log_likelihood(cdnow) == pytest.approx(-9594.976179, abs=1e-6)


@pytest.mark.data
def test_cdnow_standard_errors(cdnow):
    nodes = compress(check_histories(cdnow))
    point = np.array([0.55327705, 10.57768345, 0.6062402, 11.66874241])
    hessian = np.empty((4, 4))
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-5 * point[i]
        up, down = (
            ParetoNBD()._log_likelihood((point + h)[:, None], nodes)[1][:, 0] for h in (step, -step)
        )
        hessian[i] = (up - down) / (2.0 * step[i])
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    np.testing.assert_allclose(errors[:3], [0.0476, 0.8427, 0.1873], atol=6e-5)
    # Published from a Hessian by differences; by exact gradients it is 6.2111.
    assert errors[3] == pytest.approx(6.2105, abs=7e-4)


def test_new_customer_fader_hardie_2005():
    found = pareto(0.55, 10.56, 0.61, 11.64).expected_purchases_new_customer(np.arange(10.0))
    expected = [
        0.0, 0.05077821, 0.09916088, 0.14542507, 0.18979930,
        0.23247466, 0.27361274, 0.31335159, 0.35181024, 0.38909211,
    ]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=0, atol=5.1e-9)
    assert EXACT.expected_purchases_new_customer(52.0) == pytest.approx(1.473434, abs=5e-7)


def test_new_customer_pymc_marketing_tests():
    model = pareto(0.5534, 10.5802, 0.6061, 11.6562)
    found = model.expected_purchases_new_customer([1.0, 3.0, 6.0])
    np.testing.assert_allclose(found, [0.051004534, 0.146124272, 0.275050637], rtol=3e-9)


def test_customer_1516_of_the_btyd_vignette():
    customer = rfm((26, 30.857142857, 31))
    assert BTYD.expected_purchases(customer, 52.0)[0] == pytest.approx(25.456, abs=2.5e-3)
    assert EXACT.expected_purchases(customer, 52.0)[0] == pytest.approx(25.456, abs=1.1e-3)
    assert EXACT.probability_alive(customer)[0] == pytest.approx(0.99787, abs=5e-6)


def test_one_time_buyers_may_be_gone():
    assert BTYD.probability_alive(rfm((0, 0, 39)))[0] == pytest.approx(0.2942, abs=1e-4)


def test_increasing_frequency_paradox():
    customers = rfm(*((x, 20, 39) for x in (10, 15, 20, 25)))
    found = BTYD.expected_purchases(customers, 52.0)
    np.testing.assert_allclose(found, [0.7062, 0.1442, 0.0225, 0.00309], rtol=6e-4)


def test_conditional_expectation_lifetimes():
    model = pareto(0.55, 10.56, 0.61, 11.64)
    found = model.expected_purchases(rfm((10, 35, 39)), 2.0)[0]
    assert found == pytest.approx(0.38841172, abs=5e-9)


def test_underflow_pair_lifetimes():
    model = pareto(0.55, 10.58, 0.61, 11.67)
    found = model.expected_purchases(rfm((132, 200, 200), (133, 200, 200)), 10.0)
    np.testing.assert_allclose(found, [6.2060518, 6.2528722], rtol=0, atol=5e-8)


def test_residual_transactions_fader_hardie_lee_rfm_and_clv():
    model = pareto(0.5629966, 12.559037, 0.4081095, 10.5148048)
    annual = np.expm1(0.0027 * WEEKS_A_YEAR)

    def dert(*rows):
        return model.discounted_expected_residual_transactions(rfm(*rows), annual)

    assert dert((7, 35, 77.86))[0] == pytest.approx(1.86418333, abs=5e-9)
    assert model.probability_alive(rfm((7, 35, 77.86)))[0] == pytest.approx(0.10074631, abs=5e-9)
    expected = [
        2.19916, 2.84353, 2.86713, 2.44541, 1.8405, 1.26242, 0.80962, 0.4948, 0.29202, 0.16793,
    ]  # fmt: skip
    found = dert(*((x, 30, 77.86) for x in range(1, 11)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=5.1e-6)
    others = dert((14, 77, 77.86), (0, 0, 77.86), (7, 70, 77.86))
    np.testing.assert_allclose(others, [35.477816, 0.36475593, 17.524823], rtol=1e-7)


@pytest.fixture(scope="module")
def holdout(cdnow):
    rows = pd.read_parquet(Path(os.environ["REGULARS_DATA"]) / "cdnow_sample.parquet")
    rows = rows.assign(day=rows["date"].dt.normalize())
    rows = rows[rows["day"] >= pd.Timestamp("1997-10-01")]
    days = rows.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    by_customer = days.groupby("customer_id")["amount"]
    found = pd.DataFrame({"purchases": by_customer.size(), "spend": by_customer.sum()})
    return found.reindex(cdnow.index).fillna(0.0)


@pytest.mark.data
def test_cdnow_holdout_of_39_weeks(cdnow, holdout):
    expected, actual = EXACT.expected_purchases(cdnow, 39.0), holdout["purchases"].to_numpy()
    gap = expected - actual
    assert actual.sum() == 1882
    assert expected.sum() == pytest.approx(1665.5, abs=0.05)
    assert gap.sum() / actual.sum() == pytest.approx(-0.115, abs=5e-4)
    assert np.abs(gap).mean() == pytest.approx(0.7545, abs=5e-5)
    assert np.sqrt((gap**2).mean()) == pytest.approx(1.6028, abs=6e-5)
    assert np.corrcoef(expected, actual)[0, 1] == pytest.approx(0.6302, abs=5e-5)
    assert np.abs(gap).sum() / actual.sum() == pytest.approx(0.945, abs=5e-4)
    by_frequency = pd.Series(expected).groupby(cdnow["frequency"].clip(upper=7).to_numpy()).mean()
    table = [0.138, 0.600, 1.196, 1.714, 2.399, 2.907, 3.819, 6.403]
    np.testing.assert_allclose(by_frequency, table, rtol=0, atol=1.6e-3)


@pytest.mark.data
def test_cdnow_being_gone_ranks_the_silent_customers(cdnow, holdout):
    rank = rankdata(1.0 - EXACT.probability_alive(cdnow))
    silent = (holdout["purchases"] == 0).to_numpy()
    n = silent.sum()
    auc = (rank[silent].sum() - n * (n + 1) / 2) / (n * (~silent).sum())
    assert auc == pytest.approx(0.7262, abs=5e-5)


@pytest.mark.data
def test_cdnow_spend_in_the_holdout(cdnow, holdout):
    spend = GammaGamma.from_parameters(p=6.24956901, q=3.74422526, gamma=15.44353252)
    value = spend.expected_spend(cdnow["frequency"], cdnow["monetary_value"])
    expected = EXACT.expected_purchases(cdnow, 39.0) * value
    gap = expected - holdout["spend"].to_numpy()
    assert gap.sum() / holdout["spend"].sum() == pytest.approx(-0.148, abs=1e-3)
    assert np.abs(gap).mean() == pytest.approx(29.45, abs=0.02)
    assert np.sqrt((gap**2).mean()) == pytest.approx(72.18, abs=0.02)


@pytest.mark.data
def test_cdnow_weekly_tracking_btyd_vignette(cdnow):
    born = (cdnow["T"].max() - cdnow["T"]).to_numpy()
    total = [
        EXACT.expected_purchases_new_customer(np.maximum(week - born, 0.0)).sum()
        for week in range(19, 26)
    ]
    expected = [78.308, 76.419, 74.648, 72.983, 71.414, 69.933]
    np.testing.assert_allclose(np.diff(total), expected, rtol=0, atol=5e-3)


@pytest.mark.data
def test_apparel_maximum_likelihood_and_holdout():
    folder = os.environ.get("REGULARS_DATA")
    if not folder:
        pytest.skip("REGULARS_DATA is not set")
    rows = pd.read_parquet(Path(folder) / "apparel_sim.parquet")
    time = next(c for c in rows.columns if pd.api.types.is_datetime64_any_dtype(rows[c]))
    day = rows[time].dt.normalize()
    days = rows.assign(day=day).drop_duplicates(["customer_id", "day"])
    cutoff = pd.Timestamp("2005-01-02") + pd.Timedelta(weeks=104)
    seen = days[days["day"] <= cutoff].groupby("customer_id")["day"]
    first, last = seen.min(), seen.max()
    summary = pd.DataFrame(
        {
            "frequency": seen.size() - 1,
            "recency": (last - first).dt.days / 7.0,
            "T": (cutoff - first).dt.days / 7.0,
        }
    )
    assert len(summary) == 600
    assert summary["frequency"].sum() == 1266
    model = ParetoNBD().fit(summary, method="map", priors="flat")
    assert model.log_likelihood(summary) == pytest.approx(-5848.098, abs=5e-4)
    assert model.parameters == pytest.approx(
        {"r": 1.44894, "alpha": 48.63488, "s": 0.56125, "beta": 46.8821}, rel=2e-4
    )
    actual = (
        days[days["day"] > cutoff].groupby("customer_id").size().reindex(summary.index).fillna(0)
    )
    gap = model.expected_purchases(summary, 207.142857) - actual
    assert actual.sum() == 1317
    assert gap.sum() + 1317 == pytest.approx(1455.5, abs=0.1)
    assert gap.abs().mean() == pytest.approx(2.040, abs=6e-4)
    assert np.sqrt((gap**2).mean()) == pytest.approx(3.329, abs=6e-4)


# the likelihood


def exact_log_likelihood(r, alpha, s, beta, x, recency, T):
    """Fader & Hardie (2005), the difference of two hypergeometric functions, in 60 digits."""
    x, recency, T = (mpmath.mpf(v) for v in (x, recency, T))
    r, alpha, s, beta = (mpmath.mpf(v) for v in (r, alpha, s, beta))
    m = r + x

    def part(t):
        top = max(alpha, beta) + t
        second = s + 1 if alpha >= beta else m
        gap = abs(alpha - beta) / top
        return mpmath.hyp2f1(m + s, second, m + s + 1, gap) / top ** (m + s)

    bracket = 1 / ((alpha + T) ** m * (beta + T) ** s) + s / (m + s) * (part(recency) - part(T))
    same = mpmath.loggamma(m) - mpmath.loggamma(r) + r * mpmath.log(alpha) + s * mpmath.log(beta)
    return same + mpmath.log(bracket)


def hard_cases(n, seed):
    rng = np.random.default_rng(seed)

    def spread(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    for i in range(n):
        point = spread(0.02, 20), spread(0.01, 3000), spread(0.02, 60), spread(0.01, 3000)
        x, T = (0 if i % 5 == 0 else int(spread(1, 1e4))), spread(1e-3, 1044)
        share = (rng.random(), 1.0 - 1e-9, 1.0, 1e-6)[i % 4]
        yield point, x, T * share if x else 0.0, T


def test_the_likelihood_equals_the_hypergeometric_one_in_60_digits():
    with mpmath.workdps(60):
        for point, x, recency, T in hard_cases(60, seed=5):
            found = pareto(*point).log_likelihood(rfm((x, recency, T)))
            exact = float(exact_log_likelihood(*point, x, recency, T))
            scale = abs(gammaln(point[0] + x)) + abs((point[0] + x) * np.log(point[1] + T))
            # 1e-10 of the likelihood itself; logarithms of its factors are this large.
            assert found == pytest.approx(exact, abs=1e-10 + 1e-15 * scale, rel=0)


def test_the_gradient_is_exact_in_60_digits():
    with mpmath.workdps(60):
        for point, x, recency, T in hard_cases(12, seed=6):
            nodes = compress(check_histories(rfm((x, recency, T))))
            gradient = ParetoNBD()._log_likelihood(np.array(point)[:, None], nodes)[1][:, 0]
            for i in range(4):
                up, down = (
                    exact_log_likelihood(
                        *(v * (1 + (i == j) * mpmath.mpf(step)) for j, v in enumerate(point)),
                        x, recency, T,
                    )
                    for step in ("1e-20", "-1e-20")
                )  # fmt: skip
                slope = float((up - down) / mpmath.mpf("2e-20"))
                assert gradient[i] * point[i] == pytest.approx(slope, rel=1e-8, abs=1e-9)


def test_one_pass_over_many_times_equals_customers_one_by_one():
    customers = simulate_pareto(300, seed=2)
    cells = np.arange(300) % 3
    points = np.array([[0.5, 0.9, 2.0], [10.0, 3.0, 40.0], [0.6, 1.2, 0.3], [12.0, 90.0, 2.0]])
    h = check_histories(customers)
    nodes = compress(type(h)(h.frequency, h.recency, h.T, h.weight, cells))
    value, gradient = ParetoNBD()._log_likelihood(points, nodes)
    total, slope = 0.0, np.zeros((4, 3))
    for i in range(300):
        alone = compress(check_histories(customers.iloc[[i]]))
        one, by = ParetoNBD()._log_likelihood(points[:, [cells[i]]], alone)
        total += one
        slope[:, cells[i]] += by[:, 0]
    assert value == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-9)


# limits


def test_nobody_leaves_when_the_dropout_rate_is_negligible():
    model = pareto(0.7, 9.0, 1e-9, 10.0)
    law = nbinom(0.7, 9.0 / (9.0 + 30.0))
    newcomer = rfm((0, 0, 0))
    np.testing.assert_allclose(
        model.purchase_distribution(newcomer, 30.0, 12)[0], law.pmf(np.arange(13)), atol=1e-8
    )
    history = rfm((5, 20, 30))
    expected = law.logpmf(5) + gammaln(6) - 5 * np.log(30.0)
    assert model.log_likelihood(history) == pytest.approx(expected, abs=1e-7)
    assert model.probability_alive(history)[0] == pytest.approx(1.0, abs=1e-7)


def test_large_s_and_beta_give_everybody_the_same_dropout_rate():
    rate, r, alpha, t = 0.05, 0.7, 9.0, 26.0
    model = pareto(r, alpha, 1e9, 1e9 / rate)
    expected = r / alpha * -np.expm1(-rate * t) / rate
    assert model.expected_purchases_new_customer(t) == pytest.approx(expected, rel=1e-6)
    with mpmath.workdps(20):
        bracket = mpmath.quad(
            lambda u: rate * mpmath.exp(-rate * u) * (alpha + u) ** -(r + 2), [10, 20, 30]
        ) + mpmath.exp(-rate * 30) * (alpha + 30) ** -(r + 2)
        exact = gammaln(r + 2) - gammaln(r) + r * np.log(alpha) + float(mpmath.log(bracket))
    assert model.log_likelihood(rfm((2, 10, 30))) == pytest.approx(exact, abs=1e-6)


def test_the_expectation_passes_smoothly_through_s_equal_one():
    found = [
        pareto(0.5, 10.0, s, 12.0).expected_purchases_new_customer(39.0)
        for s in (1.0 - 1e-9, 1.0, 1.0 + 1e-9)
    ]
    assert found[1] == pytest.approx(0.5 * 12.0 / 10.0 * np.log(1 + 39.0 / 12.0), rel=1e-14)
    np.testing.assert_allclose(found, found[1], rtol=1e-8)


# every valid input


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(0, 10_000),
    T=st.floats(0.0, 1044.0),
    share=st.floats(0.0, 1.0),
    t=st.floats(0.0, 1044.0),
    alpha=st.floats(0.05, 1000.0),
    s=st.floats(0.05, 30.0),
    beta=st.floats(0.05, 1000.0),
)
def test_predictions_are_finite_and_ordered_for_every_valid_history(x, T, share, t, alpha, s, beta):
    model = pareto(0.4, alpha, s, beta)
    customer = rfm((x, min(T * share, T) if x else 0.0, T))
    assert np.isfinite(model.log_likelihood(customer))
    alive = model.probability_alive(customer)[0]
    silence = [model.probability_no_purchase(customer, h)[0] for h in (t / 2, t)]
    expected = [model.expected_purchases(customer, h)[0] for h in (t / 2, t)]
    assert 0.0 <= alive <= 1.0
    assert 0.0 <= silence[1] <= silence[0] * (1 + 1e-12) <= 1.0 + 2e-12
    assert np.isfinite(expected).all()
    assert expected[1] >= expected[0] * (1 - 1e-12)
    assert expected[1] >= (1.0 - silence[1]) * (1 - 1e-7) - 1e-12
    dert = model.discounted_expected_residual_transactions(customer, 0.1)[0]
    assert np.isfinite(dert)
    pmf = model.purchase_distribution(customer, t, 6)[0]
    assert (pmf >= 0.0).all()
    assert pmf.sum() <= 1.0 + 1e-9
    assert pmf[0] == pytest.approx(silence[1], abs=1e-9)


# inference


@pytest.mark.slow
def test_nuts_recovers_the_truth_and_laplace_agrees():
    customers = simulate_pareto(200, seed=4)
    priors = {"s": (0.8, 0.5), "beta": (20.0, 0.5)}
    model = ParetoNBD().fit(customers, seed=3, method="nuts", priors=priors)
    report = model.diagnostics
    assert report["r_hat"] <= 1.01
    assert report["ess"] >= 400
    assert report["divergences"] == 0
    laplace = ParetoNBD().fit(customers, seed=3, method="laplace", priors=priors)
    for name, truth in {"r": 0.8, "alpha": 8.0, "s": 0.8, "beta": 20.0}.items():
        values, others = np.log(model.posterior[name]), np.log(laplace.posterior[name])
        low, high = np.quantile(values, [0.005, 0.995])
        assert low < np.log(truth) < high
        assert others.mean() == pytest.approx(values.mean(), abs=0.3 * values.std())


@pytest.mark.data
@pytest.mark.slow
def test_cdnow_posterior_is_centred_on_the_published_estimate(cdnow):
    model = ParetoNBD().fit(cdnow, seed=1, method="nuts")
    published = {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
    for name, values in model.posterior.items():
        gap = np.log(values).mean() - np.log(published[name])
        assert abs(gap) < 0.8 * np.log(values).std()


def test_lifetime_value_with_pareto_nbd(tmp_path):
    customers = simulate_pareto(40, seed=8).assign(monetary_value=25.0)
    customers.loc[customers["frequency"] == 0, "monetary_value"] = 0.0
    rng = np.random.default_rng(0)
    point = dict(zip(ParetoNBD.names, (0.8, 8.0, 0.8, 20.0), strict=True))
    draws = {name: v * np.exp(0.1 * rng.standard_normal(50)) for name, v in point.items()}
    clv = CustomerLifetimeValue(
        ParetoNBD.from_draws(draws, {"inference": "nuts"}),
        GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44),
    )
    table = clv.predict(customers, horizon_days=364, n_draws=50)
    purchases = clv.purchases
    np.testing.assert_allclose(
        table["expected_purchases"], purchases.expected_purchases(customers, 52.0), rtol=1e-8
    )
    np.testing.assert_allclose(table["p_alive"], purchases.probability_alive(customers), rtol=1e-12)
    np.testing.assert_allclose(
        table["probability_no_purchase"],
        purchases.probability_no_purchase(customers, 52.0),
        rtol=1e-8,
    )
    pmf = purchases.purchase_distribution(customers, 52.0, 200)
    at_least = pmf[:, ::-1].cumsum(axis=1)[:, ::-1]
    for row, high in zip(at_least, table["purchases_high"], strict=True):
        assert row[int(high) + 1] <= 0.05 + 1e-9 <= row[int(high)] + 2e-9
    description = clv.to_folder(tmp_path)
    again = CustomerLifetimeValue.from_folder(tmp_path, description)
    pd.testing.assert_frame_equal(again.predict(customers, horizon_days=364, n_draws=50), table)


@given(
    st.floats(-3.0, 5.0), st.floats(-1.0, 6.0), st.floats(-3.0, 3.0), st.floats(-1.0, 6.0),
    st.floats(0.05, 0.6),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_purchases_by_many_times_are_what_silence_leaves(r, alpha, s, beta, step):
    r, alpha, s, beta = np.exp([r, alpha, s, beta])
    times = min(alpha, beta) / (1.0 + r) * np.exp(-6.0 + step * np.arange(40))
    found = [float(each) for each in purchase_by(r, alpha, s, beta, times)]
    np.testing.assert_allclose(found, 1.0 - silence(r, alpha, s, beta, times), atol=5e-7)

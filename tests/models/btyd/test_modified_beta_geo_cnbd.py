"""MBG/CNBD-k against its limit MBG/NBD, high-precision sums and simulation."""

import datetime as dt

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.special import betaincinv

from models.base import ModelError
from models.btyd import ModifiedBetaGeoCNBD, ModifiedBetaGeoNBD
from models.btyd.modified_beta_geo_cnbd import wheat_morrison
from models.calendar import Calendar
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma

TRUE = {"r": 0.85, "alpha": 1.45, "a": 0.79, "b": 2.42}  # of BTYDplus's own tests


def rfm(*rows):
    return pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)


SOME = rfm((0, 0, 0), (0, 0, 40), (1, 5, 40), (3, 30, 38.9), (12, 60, 61), (300, 300, 302))


def simulate(n, k, T, horizon, seed):
    """Customers by the story of the model, event by event."""
    rng = np.random.default_rng(seed)
    rate, leave = rng.gamma(TRUE["r"], 1 / TRUE["alpha"], n), rng.beta(TRUE["a"], TRUE["b"], n)
    gaps = rng.gamma(k, size=(400, n)) / rate
    times = np.cumsum(gaps, axis=0)
    # Purchase i is followed by purchase i + 1 unless the customer leaves.
    stays = np.cumprod(rng.random((400, n)) > leave, axis=0).astype(bool)
    made = stays & (times < T + horizon)
    past = made & (times <= T)
    x = past.sum(axis=0)
    alive = np.where(x > 0, np.take_along_axis(stays, x[None], axis=0)[0], stays[0])
    return pd.DataFrame(
        {
            "frequency": x,
            "recency": np.where(past, times, 0.0).max(axis=0),
            "T": T,
            "log_gaps": (np.log(gaps) * past).sum(axis=0),
            "future": (made & ~past).sum(axis=0),
            "alive": alive,
        }
    ).astype(float)


@pytest.fixture(scope="module")
def regular_buyers():
    T = np.random.default_rng(5).integers(1, 9, 3000) * 12.0
    return simulate(3000, 3, T, 32.0, seed=7)


def test_k_equal_to_1_is_mbg_nbd():
    parameters = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}
    one = ModifiedBetaGeoCNBD.from_parameters(k=1, **parameters)
    other = ModifiedBetaGeoNBD.from_parameters(**parameters)
    assert one.log_likelihood(SOME) == pytest.approx(other.log_likelihood(SOME), rel=1e-13)
    np.testing.assert_allclose(one.probability_alive(SOME), other.probability_alive(SOME))
    for t in (0.5, 520.0):
        for ask in ("expected_purchases", "probability_no_purchase"):
            found, expected = getattr(one, ask)(SOME, t), getattr(other, ask)(SOME, t)
            np.testing.assert_allclose(found, expected, rtol=1e-8)
        np.testing.assert_allclose(
            one.purchase_distribution(SOME, t, 12),
            other.purchase_distribution(SOME, t, 12),
            atol=1e-13,
        )
    np.testing.assert_allclose(
        one.discounted_expected_residual_transactions(SOME),
        other.discounted_expected_residual_transactions(SOME),
        rtol=1e-8,
    )
    weeks = [1.0, 3.0, 6.0]
    np.testing.assert_allclose(
        one.expected_purchases_new_customer(weeks), other.expected_purchases_new_customer(weeks)
    )
    T, recency = np.array([38.9, 10.0]), np.array([30.0, 5.0])
    np.testing.assert_allclose(
        one._future(one.posterior, 3.0, T, recency).next_purchase(),
        other._future(other.posterior, 3.0, T).next_purchase(),
    )


def test_the_likelihood_is_the_integral_over_rate_and_dropout():
    k, x, recency, T, logs = 3, 2, 11.0, 14.0, np.log(5.0) + np.log(6.0)
    model = ModifiedBetaGeoCNBD.from_parameters(k=k, **TRUE)
    r, alpha, a, b = TRUE.values()

    def given(rate):
        gaps = mpmath.exp((k - 1) * logs) / mpmath.factorial(k - 1) ** x
        bought = rate ** (k * x) * gaps * mpmath.exp(-rate * recency)
        wait = rate * (T - recency)
        silent = sum(wait**j / mpmath.factorial(j) for j in range(k)) * mpmath.exp(-wait)
        stay = mpmath.beta(a, b + x + 1) / mpmath.beta(a, b)
        leave = mpmath.beta(a + 1, b + x) / mpmath.beta(a, b)
        density = alpha**r * rate ** (r - 1) * mpmath.exp(-alpha * rate) / mpmath.gamma(r)
        return density * bought * (stay * silent + leave)

    exact = mpmath.log(mpmath.quad(given, [0, 1, 4, 30]))
    customer = rfm((x, recency, T)).assign(log_gaps=logs)
    assert model.log_likelihood(customer) == pytest.approx(float(exact), rel=1e-9)


def exact_expectation(model, x, recency, T, t):
    """Expected purchases, purchase by purchase, to 30 digits."""
    with mpmath.workdps(30):
        r, alpha, a, b = (mpmath.mpf(model.parameters[name]) for name in model.names)
        k, reach = model.k, mpmath.mpf(t) / (alpha + T)
        z, shape = reach / (1 + reach), r + k * x
        silence = (mpmath.mpf(T) - recency) / (alpha + T)
        phases = [mpmath.rf(shape, j) * silence**j / mpmath.factorial(j) for j in range(k)]
        odds = a / (b + x) * ((alpha + T) / (alpha + recency)) ** shape
        total = mpmath.mpf(0)
        for j, phase in enumerate(phases):
            n, mass, made, survive = 0, (1 + reach) ** -(shape + j), mpmath.mpf(0), mpmath.mpf(1)
            while True:
                total += phase * mass * made
                if n > (shape + k) * reach + k and mass * (made + 1) < 1e-22 * total:
                    break
                mass *= z * (shape + j + n) / (n + 1)
                n += 1
                if (j + n) % k == 0:
                    made += survive
                    m = (j + n) // k
                    survive *= (b + x + m) / (a + b + x + m)
        return float(total / (sum(phases) + odds))


@pytest.mark.parametrize(
    ("k", "x", "recency", "T", "t"),
    [
        (2, 0, 0, 40, 52.0),
        (2, 0, 0, 1, 260.0),
        (3, 2, 30, 38.9, 0.05),
        (3, 2, 30, 38.9, 1040.0),
        (8, 0, 0, 5, 0.5),
        (8, 1, 3, 5, 260.0),
        (8, 40, 100, 101, 4.0),
        (5, 500, 729, 730, 26.0),
        (4, 10_000, 1043.9, 1044, 10.0),
    ],
)
def test_expected_purchases_to_eight_digits(k, x, recency, T, t):
    model = ModifiedBetaGeoCNBD.from_parameters(k=k, **TRUE)
    found = model.expected_purchases(rfm((x, recency, T)), t)[0]
    assert found == pytest.approx(exact_expectation(model, x, recency, T, t), rel=1e-8)


def test_what_many_customers_share_is_what_one_has():
    draws = {name: value * np.array([0.9, 1.0, 1.2]) for name, value in TRUE.items()}
    model = ModifiedBetaGeoCNBD.from_draws(draws, {"k": 4})
    T = np.linspace(31.0, 200.0, 400)
    many = pd.DataFrame({"frequency": 3.0, "recency": T - np.linspace(0.0, 30.0, 400), "T": T})
    some = [0, 57, 399]
    for t in (1.0, 52.0, 520.0):
        together = model.expected_purchases(many, t)[some]
        alone = [model.expected_purchases(many.iloc[[i]], t)[0] for i in some]
        np.testing.assert_allclose(together, alone, rtol=1e-10)


def test_many_horizons_of_a_new_customer_are_each_by_itself():
    draws = {name: value * np.array([0.9, 1.0, 1.2]) for name, value in TRUE.items()}
    model = ModifiedBetaGeoCNBD.from_draws(draws, {"k": 2})
    weeks = np.linspace(0.0, 60.0, 120)  # enough of them to share a series
    together = model.expected_purchases_new_customer(weeks)
    alone = [model.expected_purchases_new_customer(float(t)) for t in weeks]
    np.testing.assert_allclose(together, alone, rtol=1e-10, atol=1e-12)
    counts = model.purchase_distribution_new_customer(weeks[:60], 200)
    np.testing.assert_allclose(counts @ np.arange(201), together[:60], atol=1e-6)


def test_discounting_is_the_integral_of_the_expectation():
    model = ModifiedBetaGeoCNBD.from_parameters(k=5, **TRUE)
    future = model._future(model.posterior, 6.0, np.array([40.0]), np.array([37.0]))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    for t, rate in ((52.0, 0.0018), (52.0, 0.05)):
        left, width = np.arange(20) * t / 20, t / 20
        s = (left[:, None] + width * (1 + nodes) / 2).ravel()
        ds = np.tile(width / 2 * weights, 20)
        curve = future.expected(s[:, None])[:, 0]
        by_parts = np.exp(-rate * t) * future.expected(t)[0, 0]
        by_parts += rate * np.sum(ds * np.exp(-rate * s) * curve)
        assert future.discounted(t, rate)[0, 0] == pytest.approx(by_parts, rel=1e-9)


def test_half_of_the_living_have_bought_at_the_median_wait():
    model = ModifiedBetaGeoCNBD.from_parameters(k=4, **TRUE)
    T, recency = np.array([8.0, 40.0, 300.0]), np.array([8.0, 12.0, 299.0])
    for x in (1.0, 20.0, 2000.0):
        future = model._future(model.posterior, x, T, recency)
        wait = future.next_purchase()
        np.testing.assert_allclose(future.none(wait), 0.5, rtol=1e-10)
        np.testing.assert_allclose(future.tail(np.array(1.0), wait), 0.5, rtol=1e-9)


def test_who_is_late_has_left_if_purchases_are_regular():
    late = rfm((12, 36, 40))
    on_time = rfm((12, 36, 38))
    fit = {"a": 0.5, "b": 4.0}
    random = ModifiedBetaGeoCNBD.from_parameters(k=1, r=4.0, alpha=12.0, **fit)
    regular = ModifiedBetaGeoCNBD.from_parameters(k=8, r=32.0, alpha=12.0, **fit)
    assert regular.probability_alive(on_time)[0] > random.probability_alive(on_time)[0]
    very_late = rfm((12, 36, 46))
    assert regular.probability_alive(very_late)[0] < random.probability_alive(very_late)[0]
    assert regular.probability_alive(late)[0] > regular.probability_alive(very_late)[0]


def test_predictions_hold_in_a_simulated_future(regular_buyers):
    model = ModifiedBetaGeoCNBD.from_parameters(k=3, **TRUE)
    future = regular_buyers["future"]
    pmf = model.purchase_distribution(regular_buyers, 32.0, 120)
    mean = pmf @ np.arange(121)
    variance = pmf @ np.arange(121) ** 2 - mean**2
    np.testing.assert_allclose(
        mean, model.expected_purchases(regular_buyers, 32.0), rtol=1e-6, atol=1e-9
    )
    assert abs((future - mean).sum()) < 3.0 * np.sqrt(variance.sum())
    none = model.probability_no_purchase(regular_buyers, 32.0)
    assert abs(((future == 0) - none).sum()) < 3.0 * np.sqrt((none * (1 - none)).sum())
    alive = model.probability_alive(regular_buyers)
    assert abs((regular_buyers["alive"] - alive).sum()) < 3.0 * np.sqrt((alive * (1 - alive)).sum())


def test_fit_finds_k_and_the_parameters(regular_buyers):
    before = regular_buyers.copy()
    model = ModifiedBetaGeoCNBD().fit(regular_buyers, method="laplace")
    pd.testing.assert_frame_equal(regular_buyers, before)
    assert model.k == model.diagnostics["k"] == 3
    by_k = model.diagnostics["log_likelihood_by_k"]
    assert max(by_k, key=by_k.get) == "3"
    assert model.diagnostics["log_likelihood_at_mode"] == pytest.approx(by_k["3"], abs=1e-6)
    for name, true in TRUE.items():
        low, high = np.quantile(model.posterior[name], [0.001, 0.999])
        assert low < true < high, name
    again = ModifiedBetaGeoCNBD.from_draws(model.posterior, model.diagnostics, {**model.describe()})
    assert again.k == 3
    np.testing.assert_array_equal(
        again.expected_purchases(regular_buyers[:20], 9.0),
        model.expected_purchases(regular_buyers[:20], 9.0),
    )


def test_gaps_on_operational_time_are_possible_and_choose_k(regular_buyers):
    season = np.where(np.arange(52) >= 44, 6.0, 0.5)
    summary = Calendar.of(season).operational(regular_buyers, dt.date(2024, 2, 1))
    report = ModifiedBetaGeoCNBD().fit(summary, method="map").diagnostics
    assert report["k"] > 1
    # Equal gaps have the greatest sum of logarithms there is, on either clock.
    weeks = np.array([7.0, 14.0, 39.0])
    equal = pd.DataFrame({"frequency": 7.0, "recency": weeks, "T": 40.0, "log_gaps": 0.0})
    equal["log_gaps"] = 7.0 * np.log(weeks / 7.0 + 0.5 / 7.0)
    moved = Calendar.of(season).operational(equal, dt.date(2024, 2, 1))
    model = ModifiedBetaGeoCNBD.from_parameters(k=2, r=1.0, alpha=2.0, a=1.0, b=2.0)
    assert np.isfinite(model.log_likelihood(moved))


def test_lifetime_value_with_regular_buyers_survives_saving(tmp_path):
    draws = {name: value * np.array([0.9, 1.0, 1.1]) for name, value in TRUE.items()}
    purchases = ModifiedBetaGeoCNBD.from_draws(draws, {"inference": "nuts", "k": 3})
    spend = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44)
    model = CustomerLifetimeValue(purchases, spend)
    customers = SOME.assign(monetary_value=np.where(SOME["frequency"] > 0, 30.0, 0.0))
    found = model.predict(customers, horizon_days=365)
    expected = purchases.expected_purchases(customers, 365 / 7)
    np.testing.assert_allclose(found["expected_purchases"], expected, rtol=1e-9)
    again = CustomerLifetimeValue.from_folder(tmp_path, model.to_folder(tmp_path))
    pd.testing.assert_frame_equal(again.predict(customers, horizon_days=365), found)


@pytest.mark.data
def test_cdnow_shows_no_regularity_btydplus(cdnow_gaps):
    assert ModifiedBetaGeoCNBD().fit(cdnow_gaps, method="map", priors="flat").k == 1


@pytest.fixture
def cdnow_gaps(development_data):
    frame = pd.read_parquet(development_data / "cdnow_sample.parquet")
    day = pd.to_datetime(frame["date"]).dt.normalize()
    bought = pd.DataFrame({"customer": frame["customer_id"], "day": day}).drop_duplicates()
    bought = bought[bought["day"] < "1997-10-01"].sort_values(["customer", "day"])
    gap = bought.groupby("customer")["day"].diff().dt.days / 7.0
    by = bought.assign(log=np.log(gap)).groupby("customer")
    first, last = by["day"].min(), by["day"].max()
    return pd.DataFrame(
        {
            "frequency": by.size() - 1.0,
            "recency": (last - first).dt.days / 7.0,
            "T": (pd.Timestamp("1997-09-30") - first).dt.days / 7.0,
            "log_gaps": by["log"].sum(),
        }
    )


@pytest.mark.parametrize("k", [1, 2, 4])
def test_wheat_morrison_of_gamma_gaps(k):
    # first / (first + second) is Beta(k, k), here at its evenly spaced quantiles.
    share = betaincinv(k, k, (np.arange(20_000) + 0.5) / 20_000)
    assert wheat_morrison(share, 1.0 - share) == pytest.approx(k, rel=1e-3)
    gaps = np.random.default_rng(1).gamma(k, size=(2, 200_000))
    assert wheat_morrison(*gaps) == pytest.approx(k, rel=0.02)


def test_errors_say_what_to_do(regular_buyers):
    without = regular_buyers.drop(columns="log_gaps")
    with pytest.raises(ModelError, match="no column 'log_gaps'") as caught:
        ModifiedBetaGeoCNBD().fit(without, method="map")
    assert "k=2" in caught.value.hint
    fixed = ModifiedBetaGeoCNBD(k=2).fit(without, method="map")
    assert fixed.k == 2
    assert "log_likelihood_at_mode" not in fixed.diagnostics
    with pytest.raises(ModelError, match="log_gaps"):
        fixed.log_likelihood(without)
    in_days = regular_buyers.assign(
        log_gaps=regular_buyers["log_gaps"] + regular_buyers["frequency"] * np.log(7.0)
    )
    with pytest.raises(ModelError, match="do not allow"):
        ModifiedBetaGeoCNBD().fit(in_days, method="map")
    with pytest.raises(ModelError, match="whole number of at least 1"):
        ModifiedBetaGeoCNBD(k=0)
    with pytest.raises(ModelError, match="parameters k, r, alpha, a, b"):
        ModifiedBetaGeoCNBD.from_parameters(**TRUE)
    with pytest.raises(ModelError, match="needs k"):
        ModifiedBetaGeoCNBD.from_draws({name: [v] for name, v in TRUE.items()})
    with pytest.raises(ModelError, match="not fitted"):
        _ = ModifiedBetaGeoCNBD().k
    with pytest.raises(ModelError, match="positive"):
        wheat_morrison([1.0, 0.0], [1.0, 1.0])

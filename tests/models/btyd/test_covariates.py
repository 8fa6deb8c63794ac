"""Covariates, for every purchase model."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd import PURCHASE_MODELS, BetaGeoNBD, ModifiedBetaGeoNBD
from models.btyd.covariates import Column, Design
from models.btyd.histories import compress

MODELS = [k for k in PURCHASE_MODELS.values() if k.effects and k.time_unit == "weeks"]


def new(kind, **asked):
    """A model to fit; how regular customers are is not the question here."""
    return kind(k=2, **asked) if kind.label == "mbg_cnbd_k" else kind(**asked)


def simulate(n, seed, rate=0.0, dropout=0.0) -> pd.DataFrame:
    """MBG/NBD customers whose rate and dropout odds are multiplied by exp(rate), exp(dropout)."""
    rng = np.random.default_rng(seed)
    T = rng.integers(35, 700, n) / 7.0
    half = 0.5 * np.broadcast_to(dropout, n)
    rates = rng.gamma(0.8, 1 / 8.0, n) * np.exp(rate)
    p = rng.beta(0.7 * np.exp(half), 2.5 * np.exp(-half))
    clock, x, last = np.zeros(n), np.zeros(n), np.zeros(n)
    alive = rng.random(n) > p
    while alive.any():
        clock += rng.exponential(1.0, n) / rates
        alive &= clock <= T
        x[alive] += 1
        last[alive] = clock[alive]
        alive &= rng.random(n) > p
    return pd.DataFrame({"frequency": x, "recency": np.minimum(np.round(last, 1), T), "T": T})


def a_shop(n=3000, seed=1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    gender = rng.choice(["f", "m", "x"], n, p=[0.5, 0.4, 0.1])
    age = rng.normal(45.0, 15.0, n)
    member = rng.random(n) < 0.3
    rate = 0.5 * (gender == "m") + 0.02 * (age - 45.0)
    rfm = simulate(n, seed, rate=rate, dropout=-0.8 * member)
    return rfm.assign(gender=gender, age=age, member=member)


@pytest.fixture(scope="module")
def shop() -> pd.DataFrame:
    return a_shop()


ASKED = {"rate": ["gender", "age"], "dropout": ["member"]}


@pytest.fixture(scope="module")
def fitted(shop):
    return ModifiedBetaGeoNBD(covariates=ASKED).fit(shop, method="laplace", seed=4)


def test_known_coefficients_are_recovered(fitted):
    truth = {"rate[gender=m]": 0.5, "rate[gender=x]": 0.0, "dropout[member=1]": -0.8}
    truth["rate[age]"] = 0.02 * fitted.describe()["design"]["columns"][1]["sd"]
    for name, value in truth.items():
        draws = fitted.posterior[name]
        assert abs(draws.mean() - value) < 4.0 * draws.std(), name
        assert draws.std() < 0.25
    assert fitted.parameter_names[:4] == ("r", "alpha", "a", "b")


def test_covariates_that_matter_raise_the_likelihood(shop, fitted):
    plain = ModifiedBetaGeoNBD().fit(shop, method="map")
    assert fitted.log_likelihood(shop) > plain.log_likelihood(shop) + 20.0


@pytest.mark.parametrize("kind", MODELS)
def test_the_gradient_is_the_slope_of_the_log_posterior(kind, shop):
    model = new(kind, covariates=ASKED)
    few = shop.head(60).assign(frequency=lambda t: t.frequency.clip(upper=20))
    target = model._target(compress(model._learn(few)), "weak")
    assert target.names == model.parameter_names
    point = target.start + np.linspace(-0.3, 0.3, len(target.start))
    _, gradient = target.log_posterior(point)
    for i, step in enumerate(1e-5 * np.eye(len(point))):
        up, down = target.log_posterior(point + step)[0], target.log_posterior(point - step)[0]
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("kind", MODELS)
def test_a_covariate_cell_is_the_plain_model_with_moved_parameters(kind, shop):
    """Scored as one of many, a customer gets what a model of their own parameters gives."""
    names = [*kind.names, "rate[gender=m]", "dropout[age]"]
    rng = np.random.default_rng(0)
    draws = {name: np.exp(0.1 * rng.standard_normal(20)) for name in names}
    design = Design(
        {"rate": ("gender",), "dropout": ("age",)},
        (Column("gender", levels=("f", "m")), Column("age", mean=40.0, sd=16.0)),
    )
    description = {"design": design.describe(), "k": 2}
    model = kind.from_draws(draws, {"inference": "nuts"}, description)
    few = pd.DataFrame(
        {"frequency": [0, 2, 2, 5], "recency": [0.0, 9, 9, 30], "T": [20.0, 30, 30, 40]}
    ).assign(gender=["f", "m", "f", "m"], age=[40.0, 24.0, 24.0, 56.0])
    for i, (rate, dropout) in enumerate(((0, 0), (1, -1), (0, -1), (1, 1))):
        own = dict(draws)
        for name, share in kind.effects["rate"].items():
            own[name] = own[name] * np.exp(share * rate * draws["rate[gender=m]"])
        for name, share in kind.effects["dropout"].items():
            own[name] = own[name] * np.exp(share * dropout * draws["dropout[age]"])
        alone = kind.from_draws(
            {name: own[name] for name in kind.names}, {"inference": "nuts", "k": 2}
        )
        row = few.iloc[[i]]
        for ask in (
            lambda m, row: m.expected_purchases(row, 10.0, quantiles=(0.1, 0.9)),
            lambda m, row: m.probability_alive(row),
            lambda m, row: m.probability_no_purchase(row, 10.0),
            lambda m, row: m.purchase_distribution(row, 10.0, 3),
        ):
            np.testing.assert_allclose(ask(model, few)[i], ask(alone, row)[0], rtol=1e-9)
        np.testing.assert_allclose(
            model.expected_purchases_new_customer(10.0, customers=few)[i],
            alone.expected_purchases_new_customer(10.0),
            rtol=1e-9,
        )


def test_a_customers_figures_depend_on_nobody_else(shop, fitted):
    few = shop.head(40)
    together = fitted.expected_purchases(few, 26.0, quantiles=(0.05,))
    backwards = fitted.expected_purchases(few[::-1], 26.0, quantiles=(0.05,))[::-1]
    alone = [
        fitted.expected_purchases(few.iloc[[i]], 26.0, quantiles=(0.05,))[0] for i in range(40)
    ]
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together, alone)


def test_a_model_comes_back_from_its_draws_and_description(shop, fitted):
    description = json.loads(json.dumps(fitted.describe()))
    again = ModifiedBetaGeoNBD.from_draws(fitted.posterior, fitted.diagnostics, description)
    np.testing.assert_array_equal(
        again.expected_purchases(shop, 10.0), fitted.expected_purchases(shop, 10.0)
    )
    assert again.input_columns == fitted.input_columns
    assert again.input_columns == ("frequency", "recency", "T", "gender", "age", "member")
    assert again.describe() == fitted.describe()
    draws = {k: v for k, v in fitted.posterior.items() if k != "rate[age]"}
    with pytest.raises(ModelError, match=r"no draws of rate\[age\]"):
        ModifiedBetaGeoNBD.from_draws(draws, None, description)


def test_new_and_missing_values_are_the_reference_and_are_counted(shop, fitted):
    odd = shop.head(4).assign(
        gender=["?", "f", None, "f"], age=[45.0, np.nan, 45.0, 45.0], member=[1, 0, True, 0.0]
    )
    assert fitted.unseen(odd) == {"gender": 2, "age": 1, "member": 0}
    mean = fitted.describe()["design"]["columns"][1]["mean"]
    usual = odd.assign(gender="f", age=[45.0, mean, 45.0, 45.0], member=[True, False, True, False])
    np.testing.assert_allclose(
        fitted.expected_purchases(odd, 9.0), fitted.expected_purchases(usual, 9.0), rtol=1e-12
    )


def test_missing_text_is_a_level_and_missing_numbers_are_reported(shop):
    rfm = shop.head(1000).copy()
    rfm.loc[rfm.index[:200], ["gender", "age"]] = None
    model = ModifiedBetaGeoNBD(covariates={"rate": ["gender", "age"]}).fit(rfm, method="map")
    assert "rate[gender=(missing)]" in model.parameters
    assert model.diagnostics["unseen"] == {"gender": 0, "age": 200}


def test_a_constant_column_has_no_effect(shop):
    rfm = shop.head(1000).assign(one=7.0, word="same")
    model = ModifiedBetaGeoNBD(covariates={"rate": ["one", "word"]}).fit(rfm, method="map")
    plain = ModifiedBetaGeoNBD().fit(rfm, method="map")
    assert model.parameters == pytest.approx(plain.parameters, rel=1e-6)


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"rate": ["height"]}, "no column 'height'"),
        ({"rate": ["T"]}, "belongs to the history"),
        ({"spend": ["age"]}, "Covariates cannot move 'spend'"),
        ({"rate": "age"}, "are one text"),
        ({"rate": ["when"]}, "holds times"),
        ({"rate": ["id"]}, "has 300 levels"),
        ({"rate": ["nothing"]}, "missing for every customer"),
        ({"rate": ["broken"]}, "is infinite"),
    ],
)
def test_what_cannot_be_used_is_said(shop, covariates, message):
    rfm = shop.head(300).assign(
        when=pd.Timestamp("2024-01-01"), id=[f"i{i}" for i in range(300)], nothing=None
    )
    rfm["broken"] = np.r_[np.inf, np.arange(299.0)]
    with pytest.raises(ModelError, match=message):
        BetaGeoNBD(covariates=covariates).fit(rfm, method="map")


def test_predictions_need_the_columns_and_their_kind(shop, fitted):
    with pytest.raises(ModelError, match="no column 'age'"):
        fitted.probability_alive(shop.drop(columns="age"))
    with pytest.raises(ModelError, match="'age' holds text"):
        fitted.probability_alive(shop.head(3).assign(age="old"))


def test_an_extreme_value_is_predicted_finitely(shop, fitted):
    far = shop.head(5).assign(age=[-1e12, 1e12, 1e300, 500.0, -500.0])
    assert np.isfinite(fitted.expected_purchases(far, 520.0)).all()


def test_nobody_is_predicted_for_nobody(shop, fitted):
    assert fitted.expected_purchases(shop.head(0), 5.0).shape == (0,)
    assert fitted.unseen(shop.head(0)) == {"gender": 0, "age": 0, "member": 0}


def test_the_frame_is_left_alone(shop):
    rfm = shop.head(500)
    before = rfm.copy()
    model = ModifiedBetaGeoNBD(covariates=ASKED).fit(rfm, method="map")
    model.expected_purchases(rfm, 3.0)
    pd.testing.assert_frame_equal(rfm, before)


@pytest.mark.data
@pytest.mark.parametrize("kind", MODELS)
def test_apparel_customers_differ_by_gender_and_channel(kind, development_data: Path):
    rows = pd.read_parquet(development_data / "apparel_sim.parquet")
    end = rows["date"].min() + pd.Timedelta(weeks=104)
    rows = rows[rows["date"] < end]
    days = rows.groupby("customer_id")["date"]
    moments = rows.drop_duplicates(["customer_id", "date"]).set_index("customer_id")["date"]
    gaps = moments.sort_values(kind="stable").groupby(level=0).diff().dt.days
    weeks = (days.max() - days.min()).dt.days / 7.0
    rfm = pd.DataFrame(
        {
            "frequency": days.nunique() - 1,
            "recency": weeks,
            "T": (end - days.min()).dt.days / 7.0,
            "gender": rows.groupby("customer_id")["gender"].first(),
            "channel": rows.groupby("customer_id")["channel"].first(),
            "log_gaps": np.log(gaps[gaps > 0] / 7.0).groupby(level=0).sum(),
        }
    ).fillna({"log_gaps": 0.0})
    both = {"rate": ["gender", "channel"], "dropout": ["gender", "channel"]}
    plain = new(kind).fit(rfm, method="map")
    model = new(kind, covariates=both).fit(rfm, method="map")
    # Four more coefficients; by chance alone twice the gain is a chi-square of 4, 95 %: 9.5.
    assert model.log_likelihood(rfm) > plain.log_likelihood(rfm) + 4.75

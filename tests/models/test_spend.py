"""Gamma-Gamma against the published numbers, and its variants."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from models.base import ModelError
from models.spend import SPEND_MODELS, GammaGamma, scale_by_draw, spend_by_draw

PUBLISHED = GammaGamma.from_parameters(p=6.25, q=3.74, gamma=15.44)


@pytest.mark.data
def test_cdnow_maximum_likelihood_hardie_note_025(cdnow):
    model = GammaGamma().fit(cdnow, method="map", priors="flat")
    assert model.parameters == pytest.approx(
        {"p": 6.24956901, "q": 3.74422526, "gamma": 15.44353252}, rel=3e-6
    )
    assert model.log_likelihood(cdnow) == pytest.approx(-4055.917695, abs=1e-6)
    assert model.expected_spend([0], [0.0])[0] == pytest.approx(35.1704, abs=2e-3)
    assert model.diagnostics["correlation"] == pytest.approx(0.1139, abs=5e-5)
    assert model.diagnostics["customers"] == 946


@pytest.mark.data
def test_first_ten_customers_of_the_hardie_sheet(cdnow):
    ids = [4, 21, 50, 71, 86, 111, 112, 113, 114, 131]
    ten = cdnow.loc[[f"{i:05d}" for i in ids]]
    model = GammaGamma().fit(cdnow, method="map", priors="flat")
    found = model.expected_spend(ten["frequency"], ten["monetary_value"])
    expected = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    np.testing.assert_allclose(found, expected, atol=0.0051)


@pytest.mark.parametrize(
    ("x", "z", "expected"),
    [
        (2, 22.35, 24.6637),
        (1, 11.77, 18.9169),
        (0, 0.0, 35.219),
        (7, 73.74, 71.4697),
        (3, 35.0, 35.0279),
    ],
)
def test_expected_spend_at_the_published_point(x, z, expected):
    assert PUBLISHED.expected_spend([x], [z])[0] == pytest.approx(expected, abs=1e-4)


def test_the_truth_is_recovered_with_quantiles(regulars):
    model = GammaGamma().fit(regulars, seed=1, method="laplace")
    for name, true in {"p": 6.0, "q": 4.0, "gamma": 15.0}.items():
        low, high = np.quantile(model.posterior[name], [0.005, 0.995])
        assert low < true < high
    found = model.expected_spend([1, 0], [30.0, 0.0], quantiles=(0.05, 0.95))
    assert found.shape == (2, 3)
    assert (found[:, 1] < found[:, 0]).all()
    assert (found[:, 0] < found[:, 2]).all()


def test_an_infinite_mean_is_refused_with_advice():
    with pytest.raises(ModelError, match=r"q is 0\.9") as caught:
        GammaGamma.from_parameters(p=6.0, q=0.9, gamma=15.0)
    assert "cap" in caught.value.hint
    rng = np.random.default_rng(0)
    wild = pd.DataFrame(
        {"frequency": np.ones(3000), "monetary_value": 10.0 * rng.pareto(0.5, 3000) + 1e-3}
    )
    with pytest.raises(ModelError, match="not finite"):
        GammaGamma().fit(wild, method="map")


def test_too_little_to_learn_from_is_refused():
    nobody = pd.DataFrame({"frequency": [0.0, 0.0], "monetary_value": [0.0, 0.0]})
    with pytest.raises(ModelError, match="found 0 repeat buyers"):
        GammaGamma().fit(nobody)
    with pytest.raises(ModelError, match="not fitted"):
        GammaGamma().expected_spend([1], [2.0])


@pytest.mark.data
def test_cdnow_one_time_buyers_have_an_estimate_of_their_own(cdnow_first):
    model = GammaGamma().fit(cdnow_first, method="map", priors="flat")
    assert model.diagnostics["customers"] == len(cdnow_first)
    once = cdnow_first[cdnow_first["frequency"] == 0]
    found = model.expected_spend(*model.values(once))
    # Drawn towards the mean of all, and in the order of what they spent.
    assert np.corrcoef(found, once["first_value"])[0, 1] > 0.999
    assert found.std() < once["first_value"].std()


def with_first(regulars):
    rng = np.random.default_rng(4)
    level = regulars["monetary_value"].where(regulars["frequency"] > 0, 20.0)
    return regulars.assign(first_value=rng.gamma(6.0, level / 6.0))


def test_all_purchases_are_the_first_and_the_repeat_ones(regulars):
    frame = with_first(regulars)
    all_of_them = GammaGamma().fit(frame, method="map")
    assert all_of_them.spend_of == all_of_them.diagnostics["spend_of"] == "all_purchases"
    count, mean = all_of_them.values(frame)
    x, z, first = (frame[c] for c in ("frequency", "monetary_value", "first_value"))
    np.testing.assert_array_equal(count, x + 1)
    np.testing.assert_allclose(count * mean, first + x * z)
    # The same fit as one that is told the numbers and means outright.
    outright = pd.DataFrame({"frequency": count, "monetary_value": mean})
    told = GammaGamma().fit(outright, method="map")
    assert told.spend_of == "repeat_purchases"
    assert told.parameters == pytest.approx(all_of_them.parameters)
    assert told.log_likelihood(outright) == pytest.approx(all_of_them.log_likelihood(frame))


def test_repeat_purchases_alone_do_not_read_the_first(regulars):
    model = GammaGamma().fit(regulars, method="map")
    frame = with_first(regulars)
    for one, other in zip(model.values(frame), model.values(regulars), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_of_all_purchases_needs_the_first_one(regulars):
    model = GammaGamma.from_parameters(p=6.0, q=4.0, gamma=15.0, spend_of="all_purchases")
    with pytest.raises(ModelError, match="no column 'first_value'") as caught:
        model.values(regulars)
    assert "first purchase" in caught.value.hint
    with pytest.raises(ModelError, match="Unknown spend_of"):
        GammaGamma.from_parameters(p=6.0, q=4.0, gamma=15.0, spend_of="first")


# variants


def saved_and_loaded(model):
    return GammaGamma.from_draws(
        model.posterior, model.diagnostics, json.loads(json.dumps(model.describe()))
    )


def buyers(n, *, power=0.0, seed=0):
    """Gamma-Gamma customers (6, 4, 15) whose level goes with a power of 1 + frequency."""
    rng = np.random.default_rng(seed)
    frequency = rng.negative_binomial(0.8, 0.2, n).astype(float)
    region = rng.choice(["north", "south"], n, p=[0.7, 0.3])
    level = (1 + frequency) ** power * np.where(region == "south", 1.3, 1.0)
    nu = rng.gamma(4.0, 1 / 15.0, n) / level
    total = rng.gamma(6.0 * np.maximum(frequency, 1)) / nu
    return pd.DataFrame(
        {
            "frequency": frequency,
            "monetary_value": np.where(frequency > 0, total / np.maximum(frequency, 1), 0.0),
            "first_value": rng.gamma(6.0, 1 / nu),
            "region": region,
        }
    )


VARIANTS = [
    {"scale_by": "frequency"},
    {"scale_by": "tier"},
    {"covariates": ["region"]},
    {"segment": "region"},
    {"scale_by": "frequency", "covariates": ["region"]},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_a_variant_is_a_customer_with_a_scale_and_survives_saving(options):
    frame = buyers(1200, power=0.2)
    before = frame.copy()
    model = GammaGamma(**options).fit(frame, method="laplace")
    pd.testing.assert_frame_equal(frame, before)
    x, z = model.values(frame)
    draws, design = model.posterior, model.effects(frame)
    by_hand = spend_by_draw(draws, x, z, scale_by_draw(draws, design)).mean(axis=1)
    np.testing.assert_allclose(model.predict(frame), by_hand)
    again = saved_and_loaded(model)
    assert again.label == model.label
    assert again.input_columns == model.input_columns
    columns = list(model.input_columns)
    np.testing.assert_array_equal(again.predict(frame[columns]), model.predict(frame))
    assert again.log_likelihood(frame) == pytest.approx(model.log_likelihood(frame))
    with pytest.raises(ModelError, match="Use predict"):
        model.expected_spend([1], [20.0])
    with pytest.raises(ModelError, match="no column"):
        model.predict(frame.drop(columns=columns[-1]))


def test_effects_of_frequency_and_of_an_attribute_are_found():
    frame = buyers(3000, power=0.3, seed=3)
    model = GammaGamma(scale_by="frequency", covariates=["region"]).fit(frame, method="laplace")
    for name, true in {"effect:frequency": 0.3, "effect:region=south": np.log(1.3)}.items():
        low, high = np.quantile(model.posterior[name], [0.005, 0.995])
        assert low < true < high
    plain = GammaGamma().fit(frame, method="laplace")
    assert model.log_likelihood(frame) > plain.log_likelihood(frame) + 25
    tiers = GammaGamma(scale_by="tier").fit(frame, method="laplace")
    levels = [v for name, v in tiers.parameters.items() if name.startswith("effect:")]
    assert levels == sorted(levels)


def test_an_effect_of_nothing_is_nothing():
    frame = buyers(3000, seed=5)
    flat = frame.assign(region=np.random.default_rng(0).choice(list("abcdefgh"), len(frame)))
    model = GammaGamma(segment="region").fit(flat, method="laplace")
    assert model.describe()["effects"]["segment_spread"] < 0.12
    plain = GammaGamma().fit(frame, method="laplace")
    ratio = model.predict(flat) / plain.predict(frame)
    assert 0.9 < ratio.min() < ratio.max() < 1.1


def test_dependence_of_frequency_and_spend_is_reported_with_advice():
    dependent = GammaGamma().fit(buyers(1000, power=0.6), method="map").diagnostics
    assert dependent["rank_correlation"] > 0.15
    assert (
        dependent["rank_correlation_low"]
        < dependent["rank_correlation"]
        < dependent["rank_correlation_high"]
    )
    assert dependent["rank_correlation_p"] < 1e-6
    assert "gamma_gamma_by_frequency" in dependent["advice"]
    allowed = GammaGamma(scale_by="tier").fit(buyers(1000, power=0.6), method="map").diagnostics
    assert "allows for it by tier" in allowed["advice"]
    independent = GammaGamma().fit(buyers(1000).drop(columns="region"), method="map").diagnostics
    assert independent["advice"] == ""
    assert abs(independent["correlation"]) < 0.15


def test_correlations_count_a_weight_as_so_many_customers():
    frame = buyers(400, power=0.4)
    weight = np.random.default_rng(0).integers(1, 4, len(frame))
    repeated = frame.loc[frame.index.repeat(weight)].reset_index(drop=True)
    one = GammaGamma().fit(frame.assign(weight=weight), method="map").diagnostics
    other = GammaGamma().fit(repeated, method="map").diagnostics
    for name in ("rank_correlation", "rank_correlation_low", "rank_correlation_p"):
        assert one[name] == pytest.approx(other[name])
    x, z = GammaGamma.from_parameters(6, 4, 15, "all_purchases").values(repeated)
    assert other["rank_correlation"] == pytest.approx(
        pd.Series(x).corr(pd.Series(z), method="spearman")
    )


def test_weighted_purchases_are_fractional_ones():
    rng = np.random.default_rng(2)
    x, nu = rng.uniform(1.0, 6.0, 4000), rng.gamma(4.0, 1 / 15.0, 4000)
    frame = pd.DataFrame({"recent_weight_180": x, "recent_value_180": rng.gamma(6.0 * x) / nu / x})
    model = GammaGamma(half_life_days=180).fit(frame, method="laplace")
    assert model.label in SPEND_MODELS
    assert model.spend_of == "recent_purchases"
    assert model.input_columns == ("recent_weight_180", "recent_value_180")
    for name, true in {"p": 6.0, "q": 4.0, "gamma": 15.0}.items():
        low, high = np.quantile(model.posterior[name], [0.005, 0.995])
        assert low < true < high
    again = saved_and_loaded(model)
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    with pytest.raises(ModelError, match="no column 'recent_weight_90'"):
        GammaGamma(half_life_days=90).fit(frame)
    frame.loc[7, "recent_value_180"] = 0.0
    with pytest.raises(ModelError, match=r"Row 7: .*recent_value_180=0"):
        model.predict(frame)


def test_the_basis_says_who_has_no_value_of_their_own():
    frame = pd.DataFrame({"frequency": [2, 0], "monetary_value": [22.35, 0.0]})
    assert PUBLISHED.basis(frame).tolist() == ["own", "population"]
    assert PUBLISHED.predict(frame).round(4).tolist() == [24.6637, 35.219]
    all_of_them = GammaGamma.from_parameters(6.25, 3.74, 15.44, "all_purchases")
    assert all_of_them.basis(frame.assign(first_value=10.0)).tolist() == ["own", "own"]


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan, np.inf])
def test_a_purchase_without_a_positive_value_is_refused_by_its_row(value):
    frame = buyers(50)
    frame.index = [f"c{i}" for i in range(50)]
    row = frame.index[frame["frequency"] > 0][3]
    frame.loc[row, "monetary_value"] = value
    with pytest.raises(ModelError, match=f"Row '{row}': monetary_value"):
        GammaGamma().fit(frame)


def test_a_mean_that_does_not_settle_names_the_largest_customers():
    rng = np.random.default_rng(0)
    wild = pd.DataFrame(
        {"frequency": np.ones(3000), "monetary_value": 10.0 * rng.pareto(0.5, 3000) + 1e-3}
    )
    with pytest.raises(ModelError, match=r"largest customers, 30 of 3,000, hold \d+%"):
        GammaGamma().fit(wild, method="map")
    few = pd.DataFrame(
        {"frequency": 1.0, "monetary_value": rng.gamma(6, 1 / rng.gamma(1.5, size=40))}
    )
    model = GammaGamma().fit(few, seed=1, method="laplace")
    assert np.isfinite(model.predict(few)).all()
    assert (model.posterior["q"] > 1).all()


def test_options_that_make_no_sense_are_refused():
    frame = buyers(300)
    with pytest.raises(ModelError, match="Unknown scale_by"):
        GammaGamma(scale_by="size")
    with pytest.raises(ModelError, match="what is to be learned"):
        GammaGamma(covariates=["first_value"]).fit(frame)
    with pytest.raises(ModelError, match="no column 'age'"):
        GammaGamma(covariates=["age"]).fit(frame)
    once = frame.assign(frequency=1.0, monetary_value=frame["first_value"])
    with pytest.raises(ModelError, match="equally often"):
        GammaGamma(scale_by="frequency").fit(once)
    with pytest.raises(ModelError, match="no two tiers"):
        GammaGamma(scale_by="tier").fit(frame.head(60))
    described = GammaGamma(scale_by="frequency").fit(frame, method="map").describe()
    with pytest.raises(ModelError, match="lack effect:frequency"):
        GammaGamma.from_draws({"p": [6.0], "q": [4.0], "gamma": [15.0]}, None, described)


def test_a_prior_of_the_users_own_is_heeded():
    frame = buyers(300)
    for options in ({}, {"scale_by": "frequency"}):
        firm = GammaGamma(**options).fit(frame, method="map", priors={"p": (20.0, 0.01)})
        assert firm.parameters["p"] == pytest.approx(20.0, rel=0.02)
        assert firm.diagnostics["priors"] == {"p": [20.0, 0.01]}
    with pytest.raises(ModelError, match="not a parameter"):
        GammaGamma(scale_by="tier").fit(frame, method="map", priors={"r": (1.0, 1.0)})


@pytest.mark.slow
def test_a_variant_by_nuts():
    model = GammaGamma(scale_by="tier").fit(buyers(600, power=0.2), seed=3)
    assert model.diagnostics["inference"] == "nuts"
    assert len(model.posterior["effect:frequency:0+"]) == len(model.posterior["p"])


def test_spend_stays_with_its_customer_whatever_the_order_of_ids():
    # pymc-marketing 0.19.2 labels spend by sorted ids, so that it goes to the wrong customers.
    frame = buyers(200)
    frame.index = pd.Index(np.random.default_rng(1).permutation(200), name="customer_id")
    model = GammaGamma.from_parameters(6.0, 4.0, 15.0, "all_purchases")
    by_id = pd.Series(model.predict(frame), index=frame.index).sort_index()
    np.testing.assert_array_equal(by_id, model.predict(frame.sort_index()))


def test_customers_without_a_purchase_of_known_value_do_no_harm():
    # pymc-marketing 0.19.2: their likelihood is not a number.
    frame = pd.DataFrame({"frequency": [2, 0, 7], "monetary_value": [22.35, 0.0, 73.74]})
    known = frame[frame["frequency"] > 0]
    assert PUBLISHED.log_likelihood(frame) == PUBLISHED.log_likelihood(known)
    assert np.isfinite(PUBLISHED.log_likelihood(frame))


@pytest.mark.slow
def test_simulation_based_calibration():
    """Ranks of the truth among the draws are uniform: Talts et al. (2018), arXiv:1804.06788."""
    rng = np.random.default_rng(11)
    priors = {"p": (5.0, 0.3), "q": (2.5, 0.3), "gamma": (15.0, 0.3)}
    slope_sd = 0.5
    ranks = []
    while len(ranks) < 80:
        true = {name: median * np.exp(sd * rng.normal()) for name, (median, sd) in priors.items()}
        slope = slope_sd * rng.normal()
        frequency = rng.geometric(0.4, 150).astype(float)
        centred = np.log1p(frequency) - np.log1p(frequency).mean()
        nu = rng.gamma(1.0 + true["q"], 1 / true["gamma"], 150) * np.exp(-slope * centred)
        money = rng.gamma(true["p"] * frequency) / nu / frequency
        frame = pd.DataFrame({"frequency": frequency, "monetary_value": money})
        model = GammaGamma(scale_by="frequency").fit(
            frame, seed=len(ranks), method="laplace", priors=priors
        )
        draws = {name: values[::4] for name, values in model.posterior.items()}
        truth = {**true, "q": 1.0 + true["q"], "effect:frequency": slope}
        ranks.append([(draws[name] < truth[name]).sum() for name in truth])
    for found in np.array(ranks).T:
        held = np.histogram(found, np.linspace(0, 101, 6))[0]
        assert chisquare(held).pvalue > 1e-3

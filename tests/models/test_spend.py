"""Gamma-Gamma against the published numbers."""

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.spend import GammaGamma

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

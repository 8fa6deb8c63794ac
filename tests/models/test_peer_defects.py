"""Defects that were found in other CLV libraries, each with a test that ours is free of it.

Reproduced in pymc-marketing 0.19.2; those of its RFM summary are in
tests/features/test_peer_defects.py.
"""

import numpy as np
import pandas as pd
import pytest

from models import artifact
from models.base import ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma

BG = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
PARETO = {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
SPEND = {"p": 6.25, "q": 3.74, "gamma": 15.44}
KINDS = [(BetaGeoNBD, BG), (ModifiedBetaGeoNBD, BG), (ParetoNBD, PARETO)]


def rfm(*rows, **more):
    frame = pd.DataFrame(rows, columns=["frequency", "recency", "T"], dtype=float)
    return frame.assign(monetary_value=np.where(frame["frequency"] > 0, 30.0, 0.0), **more)


def with_posterior(spend_spread):
    rng = np.random.default_rng(0)
    spend = {k: v * np.exp(spend_spread * rng.standard_normal(200)) for k, v in SPEND.items()}
    purchases = {k: np.full(200, v) for k, v in BG.items()}
    return CustomerLifetimeValue(
        BetaGeoNBD.from_draws(purchases, {"inference": "nuts"}),
        GammaGamma.from_draws(spend, {"inference": "nuts"}),
    )


def test_1_no_purchase_at_frequency_zero_has_no_term_for_customers_who_are_gone():
    model = CustomerLifetimeValue(
        BetaGeoNBD.from_parameters(**BG), GammaGamma.from_parameters(**SPEND)
    )
    found = model.predict(rfm((0, 0, 39), (0, 0, 1)), horizon_days=39 * 7)
    assert found["probability_no_purchase"].tolist() == (
        pytest.approx([0.85576752, 0.5996], abs=5e-5)
    )


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_1_no_purchase_is_the_first_term_of_the_distribution_in_every_model(kind, parameters):
    model, customers = kind.from_parameters(**parameters), rfm((0, 0, 39), (0, 0, 1), (3, 20, 39))
    np.testing.assert_allclose(
        model.probability_no_purchase(customers, 39.0),
        model.purchase_distribution(customers, 39.0, 1)[:, 0],
        rtol=1e-10,
    )


def test_2_spend_goes_to_the_right_customers_whatever_the_order_of_their_ids():
    customers = pd.DataFrame(
        {
            "frequency": [4.0, 4.0, 4.0],
            "recency": [30.0, 30.0, 30.0],
            "T": [39.0, 39.0, 39.0],
            "monetary_value": [500.0, 5.0, 50.0],
        },
        index=["c", "a", "b"],
    )
    model = with_posterior(0.02)
    found = model.predict(customers)
    assert found["expected_spend"].idxmax() == "c"
    assert found["expected_spend"].idxmin() == "a"
    _, value = model.draw(customers, 365, n=400)
    assert value.mean(axis=1).argmax() == 0
    assert value.mean(axis=1).argmin() == 1
    ordered = model.predict(customers.sort_index())
    pd.testing.assert_frame_equal(found.sort_index(), ordered, rtol=1e-12)


def test_3_uncertain_spend_widens_the_values_and_the_frame_stays_as_it_was():
    customers = rfm((0, 0, 5), (1, 9, 10))
    before = customers.copy()
    spread = []
    for model in (with_posterior(1e-6), with_posterior(0.3)):
        _, value = model.draw(customers, 365, n=2000, seed=1)
        found = model.predict(customers, expectation_interval=True, history=False)
        spread.append(
            (
                np.log(value[value > 0]).std(),
                (found["clv_high"] - found["clv_low"]).mean(),
                (found["clv_mean_high"] - found["clv_mean_low"]).mean(),
            )
        )
    assert (np.array(spread[1]) > np.array(spread[0])).all()
    pd.testing.assert_frame_equal(customers, before)


def test_4_a_saved_model_predicts_and_its_folder_can_be_written_again(tmp_path):
    model, customers = with_posterior(0.02), rfm((4, 30, 39), (0, 0, 39))
    artifact.save(model, tmp_path / "model")
    loaded = artifact.load(tmp_path / "model")
    # The file is not held open: it can be replaced, and the model lives on.
    (tmp_path / "model" / "draws.npz").unlink()
    pd.testing.assert_frame_equal(loaded.predict(customers), model.predict(customers))
    loaded.to_folder(tmp_path / "model")
    again = artifact.load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(customers), model.predict(customers))


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_5_heavy_buyers_and_long_horizons_are_finite(kind, parameters):
    customers = rfm(
        (500, 360, 365), (1000, 364, 365), (2000, 365, 365), (5000, 720, 730),
        (10_000, 1044, 1044), (1000, 10, 100), (0, 0, 0), (0, 0, 1044), (3, 0.001, 1044),
    )  # fmt: skip
    model = kind.from_parameters(**parameters)
    for weeks in (1.0, 365.0, 3650.0):
        assert np.isfinite(model.expected_purchases(customers, weeks)).all()
        silence = model.probability_no_purchase(customers, weeks)
        assert ((silence >= 0.0) & (silence <= 1.0)).all()
    assert np.isfinite(model.log_likelihood(customers))
    found = CustomerLifetimeValue(model, GammaGamma.from_parameters(**SPEND)).predict(
        customers, horizon_days=3650
    )
    assert np.isfinite(found.drop(columns="next_purchase_days")).all(axis=None)


@pytest.mark.parametrize("kind", [BetaGeoNBD, ModifiedBetaGeoNBD])
@pytest.mark.parametrize(("a", "b"), [(1.0, 2.426), (0.4, 0.6), (1.0, 1e-3)])
def test_5_a_of_one_and_a_plus_b_of_one_are_nothing_special(kind, a, b):
    customers = rfm((0, 0, 39), (2, 30, 39), (1000, 364, 365))
    here, nearby = (
        kind.from_parameters(r=0.243, alpha=4.414, a=a * f, b=b).expected_purchases(customers, 52.0)
        for f in (1.0, 1.0 + 1e-7)
    )
    assert np.isfinite(here).all()
    np.testing.assert_allclose(here, nearby, rtol=1e-5)


def test_5_the_likelihood_of_mbg_is_finite_for_many_purchases_long_ago():
    model = ModifiedBetaGeoNBD.from_parameters(a=0.8, b=2.5, r=0.25, alpha=4.0)
    assert np.isfinite(model.log_likelihood(rfm((300, 5, 365))))


@pytest.mark.parametrize("ids", [[10, 20], ["x", "y"], [(1, "a"), (2, "b")]])
def test_6_customers_may_have_any_ids(ids):
    customers = rfm((4, 30, 39), (0, 0, 39)).set_axis(pd.Index(ids, tupleize_cols=False))
    found = with_posterior(0.02).predict(customers)
    assert found.index.tolist() == ids
    assert found["clv"].notna().all()


def test_6_spend_of_customers_without_repeat_purchases_is_the_mean_and_no_nan():
    model = GammaGamma.from_parameters(**SPEND)
    alone, both = rfm((4, 30, 39)), rfm((4, 30, 39), (0, 0, 39))
    assert model.log_likelihood(both) == model.log_likelihood(alone)
    assert model.expected_spend([0.0, 1.0], [0.0, 30.0])[0] == (
        pytest.approx(6.25 * 15.44 / 2.74, rel=1e-12)
    )
    with pytest.raises(ModelError, match="not a positive amount"):
        model.expected_spend([1.0], [0.0])


def test_8_one_time_buyers_are_ranked_by_silence_where_p_alive_cannot_tell_them_apart():
    customers = rfm(*((0, 0, T) for T in (1, 10, 39, 100)))
    found = with_posterior(0.02).predict(customers)
    assert (found["p_alive"] == 1.0).all()  # by the definition of BG/NBD
    assert found["probability_no_purchase"].is_monotonic_increasing
    assert found["probability_no_purchase"].nunique() == 4

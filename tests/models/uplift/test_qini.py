import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.uplift.qini import autoc, qini, qini_band, qini_curve, true_qini, uplift_at


def trial(n=600, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    treated = (rng.random(n) < 0.6).astype(int)
    score = rng.normal(size=n).round(1) + 0.4 * y * treated
    return y, treated, score


@pytest.mark.filterwarnings("ignore:Function stable_cumsum is deprecated")
@pytest.mark.parametrize("seed", range(5))
def test_agreement_with_scikit_uplift(seed):
    sklift = pytest.importorskip("sklift.metrics")
    y, treated, score = trial(seed=seed)
    x, q = sklift.qini_curve(y, score, treated)
    curve = qini_curve(y, treated, score)
    np.testing.assert_allclose(curve["share"] * len(y), x, atol=1e-9)
    np.testing.assert_allclose(curve["gain"] * treated.sum(), q, atol=1e-9)
    found = qini(y, treated, score, replicates=0)
    assert found.sklift.value == pytest.approx(sklift.qini_auc_score(y, score, treated), abs=1e-12)
    for share in (0.1, 0.3, 0.7):
        for strategy in ("overall", "by_group"):
            theirs = sklift.uplift_at_k(y, score, treated, strategy, share)
            assert uplift_at(y, treated, score, share, strategy) == pytest.approx(theirs)


def test_the_curve_by_hand():
    # by score: (y, treated) = (1, T), (0, C), (1, C), (0, T)
    curve = qini_curve([1, 0, 1, 0], [1, 0, 0, 1], [4, 3, 2, 1])
    # q = 1 - 0, 1 - 0, 1 - 1 * 1 / 2, 1 - 1 * 2 / 2; for each of 2 treated customers
    assert curve["gain"].tolist() == [0, 0.5, 0.5, 0.25, 0]
    assert curve["random"].tolist() == [0, 0, 0, 0, 0]


def test_the_curve_ends_at_the_average_effect():
    y, treated, score = trial()
    effect = y[treated == 1].mean() - y[treated == 0].mean()
    assert qini_curve(y, treated, score)["gain"].iloc[-1] == pytest.approx(effect, abs=1e-12)


def test_equal_scores_say_nothing_whatever_the_order_of_rows():
    y, treated, score = trial()
    found = qini(y, treated, np.zeros(len(y)), replicates=0)
    assert found.area.value == found.autoc.value == 0
    order = np.random.default_rng(1).permutation(len(y))
    moved = qini(y[order], treated[order], score[order], replicates=0)
    assert moved.area.value == pytest.approx(
        qini(y, treated, score, replicates=0).area.value, abs=1e-12
    )


def test_a_good_ranking_beats_chance_and_its_reverse_loses():
    rng = np.random.default_rng(0)
    n = 4000
    effect = rng.choice([0.0, 0.3], n)
    treated = rng.integers(0, 2, n)
    y = (rng.random(n) < 0.2 + effect * treated).astype(int)
    good, bad = (qini(y, treated, sign * effect, replicates=100) for sign in (1, -1))
    assert good.beats_random
    assert not bad.beats_random
    assert good.area.low < true_qini(effect, effect) < good.area.high
    assert autoc(y, treated, effect) > 0 > autoc(y, treated, -effect)
    assert not qini(y, treated, rng.random(n), replicates=100, seed=1).beats_random


def test_the_bootstrap_draws_customers_with_all_their_rows():
    y, treated, score = trial()
    twice = [np.concatenate([a, a]) for a in (y, treated, score)]
    ids = np.tile(np.arange(len(y)), 2)
    clustered = qini(*twice, customers=ids, replicates=50)
    once = qini(y, treated, score, replicates=50)
    np.testing.assert_allclose(clustered.replicates, once.replicates, atol=1e-12)


def test_spend_can_be_ranked_by_but_has_no_perfect_order():
    y, treated, score = trial()
    found = qini(y * 12.5, treated, score, replicates=20)
    assert found.area.value == pytest.approx(
        12.5 * qini(y, treated, score, replicates=0).area.value
    )
    assert np.isnan(found.sklift.value)


def test_the_band_holds_the_curve():
    y, treated, score = trial()
    band = qini_band(y, treated, score, points=11, replicates=100)
    assert band["share"].tolist() == pytest.approx(np.linspace(0, 1, 11))
    inside = band.iloc[1:]
    assert ((inside["low"] <= inside["gain"]) & (inside["gain"] <= inside["high"])).mean() > 0.8


def test_what_does_not_fit_is_refused():
    with pytest.raises(ModelError, match="finite scores"):
        qini_curve([1, 0], [1, 0], [1, np.nan])
    with pytest.raises(ModelError, match="share"):
        uplift_at([1, 0], [1, 0], [1, 2], 0)


@pytest.mark.data
def test_hillstrom(development_data):
    frame = pd.read_parquet(development_data / "hillstrom_dev.parquet")
    from models.uplift.experiment import difference_in_means

    control = frame["treatment"] == "No E-Mail"
    for arm in ("Mens E-Mail", "Womens E-Mail"):
        some = frame[control | (frame["treatment"] == arm)]
        treated = (some["treatment"] == arm).to_numpy()
        for outcome in ("visit", "conversion", "amount"):
            y = some[outcome].to_numpy(float)
            plain = y[treated].mean() - y[~treated].mean()
            assert abs(difference_in_means(y, treated).value - plain) < 1e-9


def test_draws_without_an_arm_have_no_curve():
    y, treated, score = [1, 0, 0, 1], [1, 0, 1, 0], [3, 2, 1, 0]
    found = qini(y, treated, score, replicates=100)
    assert np.isnan(found.replicates).any()
    assert found.area.low <= found.area.value <= found.area.high
    assert qini_band(y, treated, score, replicates=100).notna().all(axis=None)

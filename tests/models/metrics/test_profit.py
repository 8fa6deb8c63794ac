"""Maximum profit: a published vector, a peer library, one measure as the integral of the other."""

import numpy as np
import pytest
from scipy import stats

from models.decision import Offer
from training import metrics

Y = [0, 1, 0, 1, 0, 1, 0, 1]
P = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]


def test_maximum_profit_vectors():
    # The vector of the EMP and empulse packages.
    assert metrics.mpc(Y, P) == pytest.approx((23.875, 0.875))
    assert metrics.empc(Y, P) == pytest.approx((23.8755934183, 0.8743701), abs=1e-7)


def test_empc_is_the_integral_of_mpc(churn):
    y, p = churn
    grid = (np.arange(2000) + 0.5) / 2000
    density = stats.beta(6, 14).pdf(grid)
    by_sum = np.mean([metrics.mpc(y, p, save_rate=g).profit for g in grid] * density)
    assert metrics.empc(y, p).profit == pytest.approx(by_sum, rel=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_a_peer_finds_the_same(seed):
    peer = pytest.importorskip("empulse.metrics")
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 3, rng.integers(5, 300))
    if seed % 2:
        p = p.round(1)  # many customers with one score
    y = np.append((rng.random(p.size - 2) < p[2:]).astype(int), [0, 1])
    clv, offer_cost, contact_cost = rng.uniform([5, 1, 0.1], [500, 15, 5])
    alpha, beta, save_rate = rng.uniform([1, 1, 0], [8, 15, 1])
    costs = {"clv": clv, "contact_cost": contact_cost}
    theirs = {**costs, "incentive_cost": offer_cost}
    ours = {**costs, "offer_cost": offer_cost}
    assert metrics.mpc(y, p, save_rate=save_rate, **ours).profit == pytest.approx(
        peer.mpc_score(y, p, accept_rate=save_rate, **theirs), rel=1e-9, abs=1e-12
    )
    found = metrics.empc(y, p, alpha=alpha, beta=beta, **ours)
    assert found.profit == pytest.approx(
        peer.empc_score(y, p, alpha=alpha, beta=beta, **theirs), rel=1e-9, abs=1e-12
    )
    assert found.share == pytest.approx(
        peer.empc_score.optimal_rate(y, p, alpha=alpha, beta=beta, **theirs), rel=1e-9, abs=1e-12
    )


def test_only_churners_only_stayers_and_customers_who_are_not_worth_the_offer():
    # 0.3 (200 - 10) - 1 from each of those who all leave; nothing from those who all stay.
    assert metrics.mpc([1, 1], [0.2, 0.9]) == (pytest.approx(56.0), 1.0)
    assert metrics.mpc([0, 0], [0.2, 0.9]) == metrics.empc([0, 0], [0.2, 0.9]) == (0.0, 0.0)
    assert metrics.empc(Y, P, clv=5.0) == metrics.mpc(Y, P, clv=10.0) == (0.0, 0.0)


def test_profit_of_a_list_by_hand():
    offer = Offer(1.0, 10.0, 0.5)
    value = [100.0, 100.0, 5.0, 30.0]
    # Contacted: the first (44 expected if certain) and the last, who stays and costs 11.
    found = metrics.campaign_profit([1, 1, 1, 0], [0.8, 0.1, 0.9, 0.6], value, offer)
    first, last = 0.8 * 45 - 0.2 * 10 - 1, 0.6 * 10 - 0.4 * 10 - 1
    assert found == pytest.approx(((first + last) / 4, (44.0 - 11.0) / 4, 0.5))


def test_a_list_at_the_best_threshold_of_a_calibrated_score_earns_the_maximum_profit():
    rng = np.random.default_rng(0)
    p = rng.choice(np.arange(1, 10) / 10, 20000)
    y = (rng.random(p.size) < p).astype(float)
    found = metrics.campaign_profit(y, p, 200.0, Offer(1.0, 10.0, 0.30))
    assert found.realised == pytest.approx(metrics.mpc(y, p).profit)
    assert found.expected == pytest.approx(found.realised, rel=0.05)


@pytest.mark.parametrize("value", [[1.0, 2.0], [[1.0] * 8], np.nan, [np.inf] * 8])
def test_values_that_are_not_one_a_customer_are_refused(value):
    with pytest.raises(ValueError, match="value"):
        metrics.campaign_profit(Y, P, value, Offer())

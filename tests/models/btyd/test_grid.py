"""Few nodes that stand for many customers, and the proof that they do."""

import numpy as np
import pandas as pd
import pytest

from models.base import ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD, grid, mode
from models.btyd.grid import on_grid, sample
from models.btyd.histories import compress
from models.btyd.mode import find_mode
from models.btyd.rfm import check_histories


def customers(n, seed=0, days=True):
    """Customers of a BG/NBD process who joined over three years."""
    rng = np.random.default_rng(seed)
    T = rng.uniform(0.0, 156.0, n)
    rate, p = rng.gamma(0.5, 1 / 5.0, n), rng.beta(0.8, 2.5, n)
    x, recency, now, here = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    while here.any():
        now = now + rng.exponential(1.0, n) / rate
        here &= now < T
        x[here] += 1
        recency[here] = now[here]
        here &= rng.random(n) > p
    if days:
        T = np.ceil(T * 7) / 7
        recency = np.minimum(np.ceil(recency * 7) / 7, T)
    return pd.DataFrame({"frequency": x, "recency": recency, "T": T})


@pytest.fixture(scope="module")
def many():
    return compress(check_histories(customers(60_000)))


@pytest.mark.parametrize("kind", [BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD])
def test_the_mode_on_the_grid_is_that_of_all_customers(kind, many):
    if kind is ParetoNBD:  # its likelihood costs more
        many = compress(check_histories(customers(12_000)))
    model = kind()
    target = model._on_grid(many, "weak")
    assert target.nodes < len(many) / 2
    exact, found = find_mode(model._target(many, "weak")), find_mode(target)
    sd = np.sqrt(np.diag(exact.scale @ exact.scale.T))
    moved = np.abs(found.point - exact.point) / sd
    assert moved.max() < 0.02
    np.testing.assert_allclose(found.scale, exact.scale, rtol=0.01, atol=1e-4)
    # What is reported is what happened.
    reported = model.fit(customers(60_000 if len(many) > 20_000 else 12_000), method="map")
    assert reported.diagnostics["grid_shift_sd"] == pytest.approx(moved.max(), rel=0.1, abs=1e-4)
    assert reported.diagnostics["nodes"] == target.nodes


def test_nodes_are_possible_histories_and_keep_the_sums(many):
    nodes = on_grid(many, alpha=5.0)
    assert len(nodes) < len(many) / 4
    assert (nodes.recency >= 0).all()
    assert (nodes.recency <= nodes.T * (1 + 1e-12)).all()
    for power in ("frequency", "T", "recency"):
        found, exact = (h.weight @ getattr(h, power) for h in (nodes, many))
        assert found == pytest.approx(exact, rel=1e-5)
    assert nodes.weight.sum() == pytest.approx(many.weight.sum(), rel=1e-12)


def test_the_order_of_the_rows_changes_nothing():
    frame = customers(20_000)
    other = frame.sample(frac=1.0, random_state=1)
    found = [BetaGeoNBD().fit(f, seed=3, method="laplace") for f in (frame, other)]
    for name in BetaGeoNBD.names:
        np.testing.assert_array_equal(*(m.posterior[name] for m in found))


def test_weights_count_as_so_many_customers():
    frame = customers(12_000)
    thrice = BetaGeoNBD().fit(frame.assign(weight=3.0), method="map")
    repeated = BetaGeoNBD().fit(pd.concat([frame] * 3), method="map")
    assert thrice.parameters == pytest.approx(repeated.parameters, rel=1e-12)
    assert thrice.diagnostics["customers"] == 36_000.0


def test_times_without_a_resolution_are_gridded_too():
    exact = compress(check_histories(customers(30_000, days=False)))
    target = BetaGeoNBD()._on_grid(exact, "weak")
    assert target.nodes < len(exact) / 3
    assert mode.checked_mode(target)[2] < 0.02


def test_few_histories_stay_as_they_are():
    exact = compress(check_histories(customers(300)))
    assert on_grid(exact) is exact or len(on_grid(exact)) <= len(exact)
    report = BetaGeoNBD().fit(customers(300), method="map").diagnostics
    assert (report["nodes"], report["grid_shift_sd"]) == (len(exact), 0.0)


def test_a_grid_too_coarse_is_refined_and_else_refused(monkeypatch):
    monkeypatch.setattr(grid, "_SHARPEST", 4.0)
    monkeypatch.setattr(grid, "_WIDEST", 4.0)
    frame = customers(60_000)
    monkeypatch.setattr(mode, "MAX_SHIFT", np.inf)
    coarse = BetaGeoNBD().fit(frame, method="map").diagnostics
    assert coarse["grid_shift_sd"] > 0.05
    monkeypatch.setattr(mode, "MAX_SHIFT", 0.05)
    fine = BetaGeoNBD().fit(frame, method="map").diagnostics
    assert fine["grid_shift_sd"] <= 0.05
    assert fine["nodes"] > coarse["nodes"]
    monkeypatch.setattr(mode, "MAX_SHIFT", 1e-12)
    with pytest.raises(ModelError, match="moves the mode") as caught:
        BetaGeoNBD().fit(frame, method="map")
    assert "sample" in caught.value.hint


def test_a_sample_stands_for_all(many):
    few = sample(many, 4000)
    assert few.weight.sum() == 4000.0
    for name in ("frequency", "T"):
        found, exact = (h.weight @ getattr(h, name) / h.weight.sum() for h in (few, many))
        assert found == pytest.approx(exact, rel=0.02)

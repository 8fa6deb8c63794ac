"""A CLV model with learned expectations: the base's face, the learned figures, honest intervals."""

import gzip
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from models import artifact
from models.base import CLV_COLUMNS, ModelError
from models.btyd import BetaGeoNBD, ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue, quantile_columns
from models.conformal import LEVELS
from models.ensemble import StackedLifetimeValue
from models.hybrid import CalibrationExample, LearnedLifetimeValue, calibrate
from models.spend import GammaGamma
from models.value import BASE_COLUMNS, VALUE_COLUMNS, VALUE_MODELS, base_expectation

H = 12
SPEND = GammaGamma.from_parameters(p=6.0, q=5.0, gamma=28.0, spend_of="all_purchases")
BASE = CustomerLifetimeValue(
    ModifiedBetaGeoNBD.from_parameters(r=0.8, alpha=8.0, a=0.6, b=3.4), SPEND
)


def teach(shop, family="recalibrated", base=BASE, cutoffs=(44, 60)):
    parts = [shop.at(cutoff, H) for cutoff in cutoffs]
    expected = pd.concat([base_expectation(base, rfm, 7 * H) for rfm, _, _ in parts])
    X, labels = (pd.concat([part[i] for part in parts]) for i in (1, 2))
    groups = np.repeat([7 * c for c in cutoffs], [len(part[0]) for part in parts])
    came = (labels["future_purchases"], labels["future_spend"])
    value = VALUE_MODELS[family]().fit(X, expected, *came, 7 * H, groups=groups)
    return LearnedLifetimeValue(base, value)


def example(model, shop, cutoff):
    rfm, X, labels = shop.at(cutoff, H)
    frame = pd.concat([rfm, X], axis=1)
    return CalibrationExample(model, frame, labels["future_purchases"], labels["future_spend"])


@pytest.fixture(scope="module")
def plain(shop):
    return teach(shop)


@pytest.fixture(scope="module")
def model(shop, plain):
    intervals = calibrate([example(plain, shop, 72)])
    return LearnedLifetimeValue(plain.base, plain.value, intervals)


@pytest.fixture(scope="module")
def customers(shop):
    rfm, X, labels = shop.at(90, H)
    return pd.concat([rfm, X], axis=1), labels


def test_the_face_is_that_of_the_base(model, customers):
    frame, _ = customers
    before = frame.copy()
    found = model.predict(frame, 365)
    pd.testing.assert_frame_equal(frame, before)
    assert tuple(found.columns) == CLV_COLUMNS
    pd.testing.assert_index_equal(found.index, frame.index)
    assert np.isfinite(found.drop(columns="next_purchase_days")).all(axis=None)
    for low, high in (("purchases_low", "purchases_high"), ("clv_low", "clv_high")):
        assert (found[low] <= found[high]).all()
        assert (found[low] >= 0).all()
    assert (found["purchases_high"] % 1 == 0).all()
    base = BASE.predict(frame, 365)
    same = ["p_alive", "probability_no_purchase", "next_purchase_days"]
    pd.testing.assert_frame_equal(found[same], base[same])


def test_only_the_columns_it_names_are_needed(model, customers):
    frame, _ = customers
    some = frame[list(model.input_columns)].iloc[:5]
    pd.testing.assert_frame_equal(model.predict(some), model.predict(frame.iloc[:5]))
    with pytest.raises(ModelError, match="gap_last"):
        model.predict(some.drop(columns="gap_last"))


@pytest.mark.parametrize("family", ["recalibrated", "two_part_btyd"])
def test_in_the_learned_horizon_the_learned_value_is_given(shop, customers, family):
    frame, _ = customers
    model = teach(shop, family)
    found = model.predict(frame, 7 * H, annual_discount_rate=0.0, margin=0.5)
    learned = model.value.predict(frame, base_expectation(BASE, frame, 7 * H))
    for name in VALUE_COLUMNS:
        np.testing.assert_allclose(found[name], learned[name], rtol=1e-9)
    np.testing.assert_allclose(found["clv"], 0.5 * learned["expected_spend"], rtol=1e-9)


def test_at_other_horizons_the_base_says_how_fast_customers_fade(model, customers):
    frame, _ = customers
    at_h = base_expectation(BASE, frame, 7 * H)
    learned = model.value.predict(frame, at_h)
    totals = []
    for days in (28, 7 * H, 1461):
        found = model.predict(frame, days, annual_discount_rate=0.0)
        base = base_expectation(BASE, frame, days)
        for name in VALUE_COLUMNS:
            np.testing.assert_allclose(
                found[name], learned[name] * base[name] / at_h[name], rtol=1e-9
            )
        # The total is the base's times a mean of the customers' factors: it is anchored, and
        # never as large as the learned horizon's total stretched in proportion.
        factor = learned["expected_spend"] / at_h["expected_spend"]
        ratio = found["expected_spend"].sum() / base["expected_spend"].sum()
        assert factor.min() <= ratio <= factor.max()
        totals.append(found["expected_spend"].sum())
        stretched = learned["expected_spend"].sum() * days / (7 * H)
        assert days <= 7 * H or totals[-1] < stretched
    assert totals == sorted(totals)


def test_discounting_is_that_of_the_base(model, customers):
    frame, _ = customers
    frame = frame.iloc[:50]
    found, base = model.predict(frame, 365), BASE.predict(frame, 365)
    np.testing.assert_allclose(
        found["clv"] / found["expected_spend"], base["clv"] / base["expected_spend"], rtol=1e-9
    )
    double = model.predict(frame, 365, margin=0.5)
    for name in ("clv", "clv_low", "clv_high"):
        np.testing.assert_allclose(double[name], 0.5 * found[name], rtol=1e-9)


def test_a_customers_figures_depend_on_nobody_else(model, customers):
    frame = customers[0].iloc[:50]
    whole = model.predict(frame, 200)
    pd.testing.assert_frame_equal(model.predict(frame.iloc[[7, 3]], 200), whole.iloc[[7, 3]])


@pytest.mark.parametrize("interval", [0.5, 0.8, 0.9])
def test_calibrated_intervals_hold_on_a_later_cutoff(model, customers, interval):
    frame, labels = customers
    found = model.predict(frame, 7 * H, annual_discount_rate=0.0, interval=interval)
    spent, bought = labels["future_spend"], labels["future_purchases"]
    assert spent.between(found["clv_low"], found["clv_high"] + 1e-6).mean() >= interval - 0.03
    held = bought.between(found["purchases_low"], found["purchases_high"]).mean()
    assert held >= interval - 0.03


@pytest.mark.parametrize("calibrated", [True, False])
def test_quantiles_rise_and_are_the_ends_of_the_intervals(model, plain, customers, calibrated):
    frame, taught = customers[0].iloc[:60], model if calibrated else plain
    levels = [0.02, 0.05, 0.1, 0.3, 0.45, 0.5, 0.6, 0.8, 0.9, 0.95, 0.99]
    found = taught.predict(frame, 200, margin=0.4, quantiles=levels)
    names = quantile_columns(levels)
    assert tuple(found.columns) == (*CLV_COLUMNS, *names[0], *names[1])
    without = taught.predict(frame, 200, margin=0.4)
    pd.testing.assert_frame_equal(found[list(CLV_COLUMNS)], without)
    for each in names:
        assert (np.diff(found[list(each)].to_numpy(), axis=1) >= 0.0).all()
    assert (found[list(names[0])] % 1 == 0).all(axis=None)
    for low, high in ((0.05, 0.95), (0.1, 0.9)):
        said = taught.predict(frame, 200, margin=0.4, interval=high - low)
        for name in ("purchases", "clv"):
            np.testing.assert_allclose(found[f"{name}_q{low}"], said[f"{name}_low"], rtol=1e-9)
            np.testing.assert_allclose(found[f"{name}_q{high}"], said[f"{name}_high"], rtol=1e-9)


def test_quantiles_hold_on_a_later_cutoff(model, customers):
    frame, labels = customers
    levels = (0.3, 0.5, 0.8, 0.9)
    found = model.predict(frame, 7 * H, annual_discount_rate=0.0, quantiles=levels)
    for level, name in zip(levels, quantile_columns(levels)[1], strict=True):
        assert (labels["future_spend"] <= found[name] + 1e-6).mean() >= level - 0.03


def test_expectations_alone_are_the_same(model, customers):
    frame = customers[0].iloc[:40]
    for days in (7 * H, 200):
        whole, light = (model.predict(frame, days, intervals=flag) for flag in (True, False))
        for name in (*VALUE_COLUMNS, "clv", "p_alive"):
            np.testing.assert_allclose(light[name], whole[name], rtol=1e-9)
        assert light[["clv_low", "purchases_high", "next_purchase_days"]].isna().all(axis=None)


def test_somebody_without_a_purchase_gets_the_estimate_of_the_base(model):
    nobody = pd.DataFrame(index=["x"])
    pd.testing.assert_frame_equal(
        model.predict_new_customers(nobody, 90, quantiles=[0.9]),
        BASE.predict_new_customers(nobody, 90, quantiles=[0.9]),
    )


def test_a_base_without_uncertainty_has_no_intervals(shop, customers):
    frame, _ = customers
    mode = CustomerLifetimeValue(
        ModifiedBetaGeoNBD.from_draws(BASE.purchases.posterior, {"inference": "map"}), SPEND
    )
    model = teach(shop, base=mode)
    assert model.predict(frame.iloc[:5])["clv_low"].isna().all()
    with pytest.raises(ModelError, match="no predictive intervals"):
        calibrate([example(model, shop, 72)])
    with pytest.raises(ModelError, match="no examples"):
        calibrate([])


@pytest.mark.parametrize("family", ["recalibrated", "quantile"])
def test_it_is_saved_small_and_without_customers(shop, model, customers, family, tmp_path):
    frame, _ = customers
    taught = LearnedLifetimeValue(BASE, teach(shop, family).value, model.intervals)
    folder = artifact.save(taught, tmp_path / "model", extra={"note": 1})
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000
    for path in folder.iterdir():
        written = path.read_bytes()
        assert b"c0000" not in (gzip.decompress(written) if path.suffix == ".gz" else written)
    again = artifact.load(folder)
    assert again.kind == "clv_learned"
    assert again.input_columns == taught.input_columns
    pd.testing.assert_frame_equal(
        again.predict(frame.iloc[:20], 200, interval=0.7),
        taught.predict(frame.iloc[:20], 200, interval=0.7),
        check_exact=True,
    )
    second = artifact.save(again, tmp_path / "again", extra={"note": 1})
    assert (second / "card.json").read_bytes() == (folder / "card.json").read_bytes()
    damaged = next(folder.glob("base_*"))
    damaged.unlink()
    with pytest.raises(ModelError, match="missing"):
        artifact.load(folder)


def test_it_can_stand_on_a_stack(shop, customers, tmp_path):
    frame, _ = customers
    other = CustomerLifetimeValue(BetaGeoNBD.from_parameters(r=0.6, alpha=7.0, a=0.6, b=3.0), SPEND)
    stack = StackedLifetimeValue({"mbg": BASE, "bg": other}, [0.6, 0.4])
    taught = teach(shop, base=stack)
    again = artifact.load(artifact.save(taught, tmp_path / "model"))
    some = frame.iloc[:20]
    pd.testing.assert_frame_equal(again.predict(some), taught.predict(some), check_exact=True)


def test_diagnostics_tell_of_base_and_value(model):
    said = model.diagnostics
    assert {"purchases", "spend", "value"} <= set(said)
    assert said["value"]["horizon_days"] == 7 * H
    assert json.dumps(said["value"])
    assert len(model.posterior_summary()) == 7


def test_scoring_loads_no_sampler(model, customers, tmp_path):
    frame, _ = customers
    artifact.save(model, tmp_path / "model")
    frame.iloc[:3].to_json(tmp_path / "rows.json", double_precision=15)
    code = (
        "import sys, pandas as pd; from models import artifact;"
        f"m = artifact.load({str(tmp_path / 'model')!r});"
        f"m.predict(pd.read_json({str(tmp_path / 'rows.json')!r}));"
        "assert not {'pymc', 'pytensor', 'numba', 'arviz'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_of_the_base_are_columns_of_every_clv_model():
    assert set(BASE_COLUMNS) <= set(CLV_COLUMNS)
    assert [round(1 - u, 10) for u in LEVELS] == [round(u, 10) for u in reversed(LEVELS)]

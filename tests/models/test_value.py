"""Values learned from earlier cutoffs: better than the base where there is something to learn."""

import gzip
import json

import lightgbm
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from models.base import ModelError
from models.btyd import ModifiedBetaGeoNBD
from models.clv import CustomerLifetimeValue
from models.spend import GammaGamma
from models.value import (
    BASE_COLUMNS,
    HORIZON_FEATURES,
    VALUE_COLUMNS,
    VALUE_MODELS,
    BoostedValue,
    QuantileValue,
    RecalibratedValue,
    base_expectation,
    read_value_model,
    write_value_model,
)
from models.value.trees import days_of, held_back, level_factor
from models.value.two_part import mean_of_quantiles

H = 12
# Close to how the customers of the test shop begin; that they slow down it does not know.
BASE = CustomerLifetimeValue(
    ModifiedBetaGeoNBD.from_parameters(r=0.8, alpha=8.0, a=0.6, b=3.4),
    GammaGamma.from_parameters(p=6.0, q=5.0, gamma=28.0, spend_of="all_purchases"),
)
FAMILIES = list(VALUE_MODELS)


def panel(shop, cutoffs):
    parts = []
    for cutoff in cutoffs:
        rfm, features, labels = shop.at(cutoff, H)
        base = base_expectation(BASE, rfm, 7 * H)
        parts.append((features, base, labels, np.full(len(rfm), 7 * cutoff)))
    X, base, labels = (pd.concat([part[i] for part in parts]) for i in range(3))
    return X, base, labels, np.concatenate([part[3] for part in parts])


@pytest.fixture(scope="module")
def examples(shop):
    return panel(shop, (36, 44, 52, 60, 68))


@pytest.fixture(scope="module")
def later(shop):
    return panel(shop, (88,))


def fit(family, examples, **options):
    X, base, labels, groups = examples
    came = (labels["future_purchases"], labels["future_spend"])
    return VALUE_MODELS[family](**options).fit(X, base, *came, 7 * H, groups=groups)


@pytest.fixture(scope="module")
def fitted(examples):
    return {family: fit(family, examples) for family in FAMILIES}


def rmse(a, b):
    return float(np.sqrt(((np.asarray(a) - np.asarray(b)) ** 2).mean()))


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_are_one_finite_row_a_customer(fitted, later, family):
    X, base, _, _ = later
    before = X.copy(), base.copy()
    found = fitted[family].predict(X, base)
    assert tuple(found.columns) == VALUE_COLUMNS
    pd.testing.assert_index_equal(found.index, X.index)
    assert np.isfinite(found).all(axis=None)
    assert (found >= 0).all(axis=None)
    pd.testing.assert_frame_equal(X, before[0])
    pd.testing.assert_frame_equal(base, before[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_level_is_right_on_a_later_cutoff(fitted, later, family):
    X, base, labels, _ = later
    found = fitted[family].predict(X, base)
    assert found["expected_purchases"].sum() == pytest.approx(
        labels["future_purchases"].sum(), rel=0.25
    )
    assert found["expected_spend"].sum() == pytest.approx(labels["future_spend"].sum(), rel=0.3)


@pytest.mark.parametrize("family", ["recalibrated", "boosted"])
def test_a_base_that_is_wrong_is_put_right(fitted, later, family):
    X, base, labels, _ = later
    found = fitted[family].predict(X, base)
    for name, outcome in zip(VALUE_COLUMNS, ("future_purchases", "future_spend"), strict=True):
        came = labels[outcome]
        assert rmse(came, found[name]) < rmse(came, base[name])
        assert abs(found[name].sum() - came.sum()) < abs(base[name].sum() - came.sum())


@pytest.mark.parametrize("family", ["recalibrated", "boosted"])
def test_a_base_that_is_right_is_left_alone(examples, family):
    X, base, _, groups = examples
    rng = np.random.default_rng(1)
    bought = rng.poisson(base["expected_purchases"])
    each = base["expected_spend"] / base["expected_purchases"]
    model = VALUE_MODELS[family]().fit(X, base, bought, bought * each, 7 * H, groups=groups)
    found = model.predict(X, base)
    factor = found["expected_purchases"] / base["expected_purchases"]
    assert np.abs(np.log(factor)).mean() < 0.1
    assert found["expected_purchases"].sum() == pytest.approx(bought.sum(), rel=0.04)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_bytes_for_any_order_of_rows_and_number_of_threads(examples, fitted, family, tmp_path):
    X, base, labels, groups = examples
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = (X.iloc[order], base.iloc[order], labels.iloc[order], groups[order])
    again = fit(family, shuffled, num_threads=2)
    texts = []
    for name, model in (("a", fitted[family]), ("b", again)):
        folder = tmp_path / name
        folder.mkdir()
        card = json.dumps(write_value_model(model, folder), sort_keys=True)
        texts.append([card, *(path.read_bytes() for path in sorted(folder.iterdir()))])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_predicts_the_same_bits_and_is_small(fitted, later, family, tmp_path):
    X, base, _, _ = later
    description = json.loads(json.dumps(write_value_model(fitted[family], tmp_path)))
    again = read_value_model(tmp_path, description)
    pd.testing.assert_frame_equal(
        again.predict(X.iloc[:50], base.iloc[:50]),
        fitted[family].predict(X, base).iloc[:50],
        check_exact=True,
    )
    assert again.feature_names == fitted[family].feature_names
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 900_000
    text = json.dumps(description) + "".join(
        gzip.decompress(p.read_bytes()).decode() for p in tmp_path.iterdir()
    )
    assert "c0000" not in text


@pytest.mark.parametrize("family", FAMILIES)
def test_one_cutoff_is_enough(shop, family):
    X, base, labels, _ = panel(shop, (60,))
    model = VALUE_MODELS[family]().fit(
        X, base, labels["future_purchases"], labels["future_spend"], 7 * H
    )
    assert model.facts["cutoffs"] == 1
    assert np.isfinite(model.predict(X, base)).all(axis=None)


def test_features_of_another_horizon_are_not_read(examples):
    X, base, labels, groups = examples
    X = X.assign(**{name: np.arange(len(X)) % 7.0 for name in HORIZON_FEATURES})
    model = fit("two_part_btyd", (X, base, labels, groups))
    assert not set(HORIZON_FEATURES) & set(model.feature_names)
    assert not set(BASE_COLUMNS) & set(model.feature_names)


def test_the_outcome_is_no_feature(examples, later):
    """Labels of the later cutoff may change at will: no prediction reads them."""
    X, base, _, _ = later
    model = fit("boosted", examples)
    with pytest.raises(ModelError, match="lacks"):
        model.predict(X.drop(columns="net_spend_90").assign(future_spend=1.0), base)


def test_missing_values_are_allowed(fitted, later):
    X, base, _, _ = later
    gaps = X.assign(gap_last=np.nan, overdue_ratio=np.nan, net_spend_90=np.nan)
    for model in fitted.values():
        assert np.isfinite(model.predict(gaps, base)).all(axis=None)


def test_somebody_of_whom_nothing_is_expected_gets_a_finite_value(fitted, later):
    X, base, _, _ = later
    nothing = base * 0.0
    for model in fitted.values():
        assert np.isfinite(model.predict(X, nothing)).all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purchases": [1.0]}, "expected purchases of each of"),
        ({"spend": -1.0}, "spend must be finite"),
        ({"spend": 0.0}, "nobody among the examples bought"),
        ({"horizon_days": 0}, "horizon_days is 0"),
        ({"groups": ["soon"]}, "expected one cutoff for each"),
        ({"base": "expected_spend"}, "lacks the columns expected_spend"),
        ({"features": "gap_mean"}, "'gap_mean' is missing"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(examples, change, message):
    X, base, labels, groups = examples
    given = {
        "features": X,
        "base": base,
        "purchases": labels["future_purchases"],
        "spend": labels["future_spend"],
        "horizon_days": 7 * H,
        "groups": groups,
    }
    for name, value in change.items():
        if isinstance(value, str):
            value = given[name].drop(columns=value)
        elif name == "spend":
            value = np.full(len(X), value)
        given[name] = value
    with pytest.raises(ModelError, match=message):
        RecalibratedValue().fit(**given)


def test_an_unfitted_model_says_so(later, tmp_path):
    with pytest.raises(ModelError, match="not fitted"):
        BoostedValue().predict(later[0], later[1])
    with pytest.raises(ModelError, match="not fitted"):
        write_value_model(BoostedValue(), tmp_path)


def test_a_damaged_file_is_named(fitted, tmp_path):
    description = write_value_model(fitted["two_part"], tmp_path)
    (tmp_path / "value_buys.txt.gz").write_bytes(gzip.compress(b"no trees"))
    with pytest.raises(ModelError, match=r"value_buys\.txt\.gz"):
        read_value_model(tmp_path, description)
    with pytest.raises(ModelError, match="family 'magic'"):
        read_value_model(tmp_path, {**description, "family": "magic"})


def test_themean_of_quantiles_is_that_of_the_distribution():
    """A log-normal is met exactly; SciPy's mean is the independent reference."""
    levels = QuantileValue.levels
    for sigma in (0.0, 0.3, 1.0):
        q = np.array([np.full(len(levels), 0.2) + sigma * stats.norm.ppf(levels)])
        expected = stats.lognorm(max(sigma, 1e-12), scale=np.exp(0.2)).mean()
        assert mean_of_quantiles(q, levels)[0] == pytest.approx(expected, rel=1e-6)
    wild = np.array([[0.0, 0.0, 0.0, 0.0, 9.0]])
    assert mean_of_quantiles(wild, levels)[0] < np.exp(9.0)


def test_levels_are_believed_as_far_as_they_are_known():
    rng = np.random.default_rng(2)
    p = np.ones(20_000)
    assert level_factor(rng.poisson(1.25 * p), p) == pytest.approx(1.25, abs=0.03)
    whale = np.zeros(200)
    whale[0] = 500.0
    assert level_factor(whale, np.ones(200)) < 1.1
    assert level_factor(np.zeros(3), np.ones(3)) == 1.0


def test_what_stops_the_trees_is_later_and_closed(examples):
    X, _, _, groups = examples
    split = held_back(days_of(groups, len(X)), X.index, 7 * H)
    assert split.later
    assert set(groups[split.held]) == {7 * 68}
    assert groups[split.train].max() + 7 * H <= 7 * 68
    overlapping = held_back(days_of(groups, len(X)), X.index, 7 * 60)
    assert not overlapping.later
    both = set(X.index[overlapping.held]) & set(X.index[overlapping.train])
    assert not both


def test_cutoffs_may_be_dates():
    days = days_of(np.array(["2024-01-02", "2024-01-01"], dtype="datetime64[s]"), 2)
    assert (days - days.min()).tolist() == [1, 0]
    assert days_of(["2024-01-02", "2024-01-01"], 2).tolist() == days.tolist()
    with pytest.raises(ModelError, match="neither dates nor days"):
        days_of(["then", "now"], 2)


def test_trees_are_stock_lightgbm(fitted):
    for family in ("two_part", "quantile"):
        _, trees = fitted[family]._describe()
        assert all(isinstance(t, lightgbm.Booster) and t.num_trees() for t in trees.values())

"""Scorers: from the matrix to log-odds, and what each column adds to them."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit
from sklearn.metrics import log_loss, roc_auc_score

from models.base import ModelError
from models.baseline import DaysSinceLastRule
from models.inputs import Feature, Inputs
from models.scorers import Recipe, fit_scorer, read_scorer
from models.scorers.scorer import by_block

CATALOGUE = [
    Feature("days_since_last", "lateness", 1),
    Feature("probability_no_purchase", "lateness", 1),
    Feature("n_purchases_365", "frequency", -1),
    Feature("gap_mean", "rhythm"),
    Feature("net_spend_365", "spend"),
    Feature("channel", "channel", kind="category"),
]
SMALL = {"n_estimators": 40}
TREES = Recipe("lightgbm", params=SMALL)
OFFSET = Recipe(
    "lightgbm",
    offset="probability_no_purchase",
    without=("probability_no_purchase", "channel"),
    params=SMALL,
)
RECIPES = {
    "days_since_last": Recipe("days_since_last"),
    "btyd": Recipe("btyd"),
    "logistic": Recipe("logistic"),
    "lightgbm": TREES,
    "offset": OFFSET,
    "blend": Recipe("blend", members=(TREES, Recipe("logistic")), weights=(3.0, 1.0)),
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def customers(n, seed, level=0.0):
    """Customers whose churn depends on lateness, on a purchase model's word and on a category."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"days_since_last": rng.gamma(1.2, 40, n).round() + 1})
    X["n_purchases_365"] = rng.poisson(5, n).astype(float)
    X["gap_mean"] = np.where(rng.random(n) < 0.25, np.nan, rng.gamma(2, 20, n))
    X["net_spend_365"] = rng.lognormal(4, 1.5, n)
    X["channel"] = rng.choice(["shop", "web", "app", None], n)
    hidden = X["days_since_last"] / 60 - 0.2 * X["n_purchases_365"] + rng.normal(0, 0.5, n)
    X["probability_no_purchase"] = np.where(rng.random(n) < 0.05, np.nan, expit(hidden))
    z = 1.2 * hidden + (X["channel"] == "shop") - X["gap_mean"].isna() + level
    return X, (rng.random(n) < expit(z)).astype(float)


@pytest.fixture(scope="module")
def shop():
    """Inputs, and matrix and outcomes of training and of other customers."""
    X, y = customers(1500, 1)
    later, later_y = customers(1500, 2)
    inputs, _ = Inputs.choose(X, CATALOGUE)
    return inputs, inputs.matrix(X), y, inputs.matrix(later), later_y


# -- What holds of all -----------------------------------------------------------------------


@every_recipe
def test_contributions_add_up_to_the_score(shop, recipe):
    inputs, X, y, later, _ = shop
    scorer = fit_scorer(recipe, inputs, X, y)
    parts = scorer.contributions(later)
    assert parts.shape == (len(later), len(inputs.names) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), scorer.raw(later), atol=1e-9)
    blank = np.full_like(later[:1], np.nan)
    np.testing.assert_allclose(
        scorer.contributions(blank).sum(axis=1), scorer.raw(blank), atol=1e-9
    )
    assert np.isfinite(scorer.raw(blank)).all()


@pytest.fixture(scope="module")
def fitted(shop):
    inputs, X, y, *_ = shop
    return [fit_scorer(recipe, inputs, X, y) for recipe in RECIPES.values()]


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 4), st.just(len(CATALOGUE))),
        elements=st.floats(width=32, allow_infinity=False, allow_nan=True),
    )
)
def test_whatever_the_customer_contributions_add_up_and_scores_are_finite(fitted, X):
    for scorer in fitted:
        raw = scorer.raw(X)
        assert np.isfinite(raw).all()
        np.testing.assert_allclose(scorer.contributions(X).sum(axis=1), raw, atol=1e-9)


@every_recipe
def test_the_base_is_the_score_of_the_average_training_customer(shop, recipe):
    inputs, X, y, *_ = shop
    scorer = fit_scorer(recipe, inputs, X, y)
    assert scorer.contributions(X)[:, -1].mean() == pytest.approx(scorer.raw(X).mean(), abs=0.02)


@every_recipe
def test_left_out_columns_get_nothing(shop, recipe):
    inputs, X, y, later, _ = shop
    scorer = fit_scorer(recipe, inputs, X, y)
    moved = {
        name
        for name, part in zip(inputs.names, scorer.contributions(later).T, strict=False)
        if part.any()
    }
    seen = {
        "days_since_last": {"days_since_last"},
        "btyd": {"probability_no_purchase"},
    }.get(recipe.kind, set(inputs.names))
    if recipe.offset:
        seen = seen - {"channel"}  # the offset itself counts for its feature
    assert moved <= seen
    assert recipe.offset is None or recipe.offset in moved


@every_recipe
def test_row_order_and_threads_change_no_byte(shop, recipe):
    inputs, X, y, *_ = shop
    order = np.random.default_rng(0).permutation(len(y))
    first = fit_scorer(recipe, inputs, X, y, num_threads=1)
    again = fit_scorer(recipe, inputs, X[order], y[order], num_threads=3)
    assert again.to_parts() == first.to_parts()
    assert again.description == first.description


@every_recipe
def test_files_bring_back_the_same_scorer(shop, recipe):
    inputs, X, y, later, _ = shop
    scorer = fit_scorer(recipe, inputs, X, y)
    parts = scorer.to_parts()
    again = read_scorer(json.loads(json.dumps(scorer.description)), parts.__getitem__)
    assert again.to_parts() == parts
    np.testing.assert_array_equal(again.raw(later), scorer.raw(later))
    np.testing.assert_array_equal(again.contributions(later), scorer.contributions(later))


@every_recipe
def test_a_customer_is_scored_alone_as_in_company(shop, recipe):
    inputs, X, y, later, _ = shop
    scorer = fit_scorer(recipe, inputs, X, y)
    for row in (0, 700):
        assert scorer.raw(later[[row]])[0] == scorer.raw(later)[row]
    assert scorer.raw(later[:0]).shape == (0,)
    assert scorer.contributions(later[:0]).shape == (0, len(inputs.names) + 1)


@every_recipe
def test_recipes_survive_json(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@every_recipe
@pytest.mark.parametrize(("level", "rows"), [(-7.5, 6000), (5.0, 1500), (0.0, 500)])
def test_rare_and_common_churn_and_few_customers(recipe, level, rows):
    X, y = customers(rows, 3, level)
    inputs, _ = Inputs.choose(X, CATALOGUE)
    later, later_y = customers(6000, 4, level)
    p = expit(fit_scorer(recipe, inputs, inputs.matrix(X), y).raw(inputs.matrix(later)))
    assert ((p > 0) & (p < 1)).all()
    assert roc_auc_score(later_y, p) > 0.6
    if recipe.kind != "btyd":  # that one knows no labels
        assert p.mean() == pytest.approx(later_y.mean(), abs=0.03 if rows == 500 else 0.01)


def test_large_matrices_are_scored_in_blocks(monkeypatch):
    X = np.arange(100.0, dtype=np.float32).reshape(50, 2)
    monkeypatch.setattr("models.scorers.scorer.BLOCK", 7)
    np.testing.assert_array_equal(by_block(lambda block: block.sum(axis=1), X), X.sum(axis=1))


# -- Each kind -------------------------------------------------------------------------------


def test_the_rule_is_that_of_days_since_last(shop):
    inputs, X, y, *_ = shop
    scorer = fit_scorer(Recipe("days_since_last"), inputs, X, y)
    column = inputs.names.index("days_since_last")
    frame = pd.DataFrame({"days_since_last": X[:, column].astype(float)})
    rule = DaysSinceLastRule.fit(frame, pd.Series(y))
    np.testing.assert_allclose(expit(scorer.raw(X)), rule.predict(frame), atol=1e-9)
    assert roc_auc_score(y, scorer.raw(X)) == pytest.approx(roc_auc_score(y, X[:, column]))


def test_the_purchase_model_is_taken_at_its_word(shop):
    inputs, X, y, *_ = shop
    p = X[:, inputs.names.index("probability_no_purchase")]
    said = expit(fit_scorer(Recipe("btyd"), inputs, X, y).raw(X))
    known = ~np.isnan(p)
    np.testing.assert_allclose(said[known], p[known], atol=1e-6)
    np.testing.assert_allclose(said[~known], y.mean())


def test_logistic_regression_finds_known_coefficients():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(10, 2, 20_000), "b": rng.normal(size=20_000)})
    y = (rng.random(20_000) < expit(0.5 * (X["a"] - 10) - 1.0 * X["b"] - 0.3)).astype(float)
    inputs, _ = Inputs.choose(X)
    scorer = fit_scorer(Recipe("logistic", params={"C": 100.0}), inputs, inputs.matrix(X), y)
    points = inputs.matrix(pd.DataFrame({"a": [10.0, 11.0, 10.0], "b": [0.0, 0.0, 1.0]}))
    raw = scorer.raw(points)
    assert raw[0] == pytest.approx(-0.3, abs=0.05)
    assert raw[1] - raw[0] == pytest.approx(0.5, abs=0.05)
    assert raw[2] - raw[0] == pytest.approx(-1.0, abs=0.05)


def test_logistic_regression_reads_gaps_and_categories(shop):
    inputs, X, y, *_ = shop
    scorer = fit_scorer(Recipe("logistic"), inputs, X, y)
    row = X[:1].copy()
    gap, channel = inputs.names.index("gap_mean"), inputs.names.index("channel")
    levels = inputs.features[channel].levels
    row[0, gap] = np.nanmedian(X[:, gap])
    without = row.copy()
    without[0, gap] = np.nan
    assert scorer.raw(without)[0] < scorer.raw(row)[0] - 0.3
    score = {}
    for code, level in enumerate((*levels, "unknown")):
        row[0, channel] = code
        score[level] = scorer.raw(row)[0]
    assert max(score, key=score.get) == "shop"
    row[0, channel] = np.nan
    assert np.isfinite(scorer.raw(row)[0])


def test_trees_beat_what_they_start_from(shop):
    inputs, X, y, later, later_y = shop
    found = {name: fit_scorer(recipe, inputs, X, y) for name, recipe in RECIPES.items()}
    loss = {name: log_loss(later_y, expit(scorer.raw(later))) for name, scorer in found.items()}
    assert loss["offset"] < loss["btyd"]
    assert loss["lightgbm"] < loss["days_since_last"]


def test_trees_from_an_offset_that_says_it_all_add_nothing():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 4000)
    X = pd.DataFrame({"probability_no_purchase": p, "noise": rng.normal(size=4000)})
    y = (rng.random(4000) < expit(logit(p) - 1.0)).astype(float)  # right but for the level
    inputs, _ = Inputs.choose(X)
    recipe = Recipe("lightgbm", offset="probability_no_purchase", params={"n_estimators": 1})
    scorer = fit_scorer(recipe, inputs, inputs.matrix(X), y)
    np.testing.assert_allclose(scorer.raw(inputs.matrix(X)), logit(p) - 1.0, atol=0.12)


def test_who_has_no_offset_starts_from_the_churn_rate(shop):
    inputs, X, y, *_ = shop
    scorer = fit_scorer(OFFSET, inputs, X, y)
    place = inputs.names.index("probability_no_purchase")
    known, missing = X[:1].copy(), X[:1].copy()
    known[0, place], missing[0, place] = y.mean(), np.nan
    shift = scorer.offset.shift
    assert scorer.raw(known)[0] - scorer.raw(missing)[0] == pytest.approx(shift, abs=1e-5)
    nobody = X.copy()
    nobody[:, place] = np.nan
    rate = expit(fit_scorer(OFFSET, inputs, nobody, y).raw(nobody)).mean()
    assert rate == pytest.approx(y.mean(), abs=0.01)


def test_later_rows_decide_when_to_stop(shop):
    inputs, X, y, later, later_y = shop
    stopped = fit_scorer(Recipe("lightgbm"), inputs, X, y, validation=(later, later_y))
    at_once = fit_scorer(Recipe("lightgbm"), inputs, X, y, validation=(later, 1 - later_y))
    assert at_once.rounds < 10 < stopped.rounds
    offset = fit_scorer(
        Recipe("lightgbm", offset="probability_no_purchase"),
        inputs, X, y, validation=(later, later_y),
    )  # fmt: skip
    assert 5 < offset.rounds < 800
    assert fit_scorer(Recipe("btyd"), inputs, X, y, validation=(later, later_y)).rounds is None


def test_signs_hold_or_not(shop):
    inputs, X, y, *_ = shop
    row = np.repeat(X[:1], 60, axis=0)
    row[:, inputs.names.index("days_since_last")] = np.linspace(0, 400, 60)
    held = fit_scorer(Recipe("lightgbm", monotone=True, params=SMALL), inputs, X, 1 - y)
    assert (np.diff(held.raw(row)) >= 0).all()
    assert held.monotone
    free = fit_scorer(TREES, inputs, X, 1 - y)
    assert (np.diff(free.raw(row)) < 0).any()


def test_a_blend_is_the_weighted_mean_of_log_odds(shop):
    inputs, X, y, later, _ = shop
    blend = fit_scorer(RECIPES["blend"], inputs, X, y)
    trees, logistic = (
        fit_scorer(member, inputs, X, y).raw(later) for member in RECIPES["blend"].members
    )
    np.testing.assert_allclose(blend.raw(later), 0.75 * trees + 0.25 * logistic)
    assert blend.rounds == 40


# -- What makes no sense ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "xgboost"}, "unknown kind of scorer 'xgboost'"),
        ({"kind": "lightgbm", "params": {"class_weight": 1}}, "has no parameter class_weight"),
        ({"kind": "logistic", "params": {"num_leaves": 3}}, "logistic has no parameter num_leaves"),
        ({"kind": "btyd", "without": ("season",)}, "sees no features"),
        ({"kind": "logistic", "offset": "a"}, "only lightgbm starts from an offset"),
        ({"kind": "blend"}, "a blend needs members"),
        ({"kind": "lightgbm", "members": (TREES,)}, "a blend needs members"),
        ({"kind": "blend", "members": (TREES,), "weights": (0.0,)}, "needs a weight"),
    ],
)
def test_recipes_that_cannot_be_meant(arguments, message):
    with pytest.raises(ModelError, match=message):
        Recipe(**arguments)


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        (TREES, lambda X, y: (X, y * 0), "all 1500 training rows are of one class"),
        (TREES, lambda X, y: (X, y * 2), "must be 0 .stayed. or 1"),
        (TREES, lambda X, y: (X, y[1:]), "as many outcomes as rows"),
        (TREES, lambda X, y: (X[:, 1:], y), "a matrix of 6 columns"),
        (Recipe("lightgbm", offset="nothing"), lambda X, y: (X, y), "'nothing' is not among"),
    ],
)
def test_rows_that_cannot_be_fitted(shop, recipe, change, message):
    inputs, X, y, *_ = shop
    with pytest.raises(ModelError, match=message):
        fit_scorer(recipe, inputs, *change(X, y))


def test_a_rule_without_its_feature_says_so():
    inputs, _ = Inputs.choose(pd.DataFrame({"a": [0.0, 1.0]}))
    with pytest.raises(ModelError, match="needs the feature 'days_since_last'"):
        fit_scorer(Recipe("days_since_last"), inputs, np.eye(2, 1, dtype=np.float32), [0, 1])

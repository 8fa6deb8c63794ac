"""The churn model: reproducible, calibrated, explained, and frank about bad input."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

import features.catalogue
from models import artifact
from models.base import CHURN_COLUMNS, ModelError
from models.churn import ChurnModel
from models.inputs import Feature
from models.scorers import Recipe
from models.tiers import Tiers

CATALOGUE = [
    Feature("days_since_last", "lateness", 1),
    Feature("gap_mean", "rhythm", 1),
    Feature("overdue_ratio", "lateness", 1),
    Feature("n_purchases_365", "frequency", -1),
    Feature("net_spend_365", "spend", -1),
    Feature("spend_percentile", "spend", -1),
    Feature("month_sin", "season", seasonal=True),
]
FAST = Recipe("lightgbm", params={"n_estimators": 40})


def panel(n, seed, level=0.0, cutoffs=3):
    """Simulated customers whose churn depends on lateness, frequency and spend."""
    rng = np.random.default_rng(seed)
    who = np.char.add(
        "c", rng.permutation(np.tile(np.arange(-(-n // cutoffs)), cutoffs))[:n].astype(str)
    )
    X = pd.DataFrame(index=pd.Index(who, name="customer_id"))
    X["gap_mean"] = rng.gamma(2, 20, n).round(1) + 1
    X["days_since_last"] = rng.gamma(1.2, 40, n).round() + 1
    X["n_purchases_365"] = np.maximum(rng.poisson(365 / X["gap_mean"]), 1).astype(float)
    X.loc[rng.random(n) < 0.25, "gap_mean"] = np.nan
    X["overdue_ratio"] = X["days_since_last"] / X["gap_mean"]
    X["net_spend_365"] = (X["n_purchases_365"] * rng.gamma(2, 30, n)).round(2)
    X["month_sin"] = rng.choice([0.0, 0.5, 0.87], n)
    X["own_column"] = rng.normal(size=n)
    z = (
        0.012 * X["days_since_last"]
        - 0.12 * X["n_purchases_365"]
        + 0.5 * np.log1p(X["overdue_ratio"].fillna(1))
    )
    y = pd.Series((rng.random(n) < expit(z + level)).astype(float), index=X.index)
    return X, y


def fitted(**changes):
    options = {"horizon_days": 90, "catalogue": CATALOGUE, "recipe": FAST, **changes}
    rows = options.pop("rows", 1500)
    level = options.pop("level", 0.0)
    return ChurnModel.fit(*panel(rows, 1, level), *panel(rows, 2, level), **options)


@pytest.fixture(scope="module")
def model():
    return fitted()


@pytest.fixture(scope="module")
def customers():
    X, _ = panel(400, 3, cutoffs=1)
    return X.sort_index()


# -- Reproducible -----------------------------------------------------------------


def test_whole_model_depends_on_the_rows_not_on_their_order_or_columns(model, customers):
    X, y = panel(1500, 1)
    cX, cy = panel(1500, 2)
    order = np.random.default_rng(6).permutation(1500)
    again = ChurnModel.fit(
        X.iloc[order][X.columns[::-1]], y.iloc[order], cX.iloc[order[::-1]], cy.iloc[order[::-1]],
        horizon_days=90, catalogue=CATALOGUE, recipe=FAST, num_threads=4,
    )  # fmt: skip
    pd.testing.assert_frame_equal(
        again.predict(customers), model.predict(customers), check_exact=True
    )


def test_seed_matters(model, customers):
    other = fitted(seed=1)
    assert not other.raw_scores(customers).equals(model.raw_scores(customers))


# -- What it predicts -------------------------------------------------------------------------


def test_predictions_have_the_agreed_shape(model, customers):
    out = model.predict(customers)
    assert tuple(out.columns) == CHURN_COLUMNS
    assert out.index.equals(customers.index)
    assert out["churn_probability"].between(0, 1).all()
    assert (out["churn_low"] <= out["churn_probability"]).all()
    assert (out["churn_probability"] <= out["churn_high"]).all()
    assert set(out["risk_tier"]) == {"low", "medium", "high"}
    by_tier = out.groupby("risk_tier")["churn_probability"]
    assert by_tier.max()["low"] <= by_tier.min()["medium"]
    assert by_tier.max()["medium"] <= by_tier.min()["high"]


def test_it_beats_the_rule_and_is_calibrated_on_new_customers():
    model = fitted(rows=3000, recipe=None)
    X, y = panel(6000, 9)
    p = model.predict(X, reasons=False)
    assert roc_auc_score(y, p["churn_probability"]) > roc_auc_score(y, X["days_since_last"]) + 0.02
    assert p["churn_probability"].mean() == pytest.approx(y.mean(), abs=0.03)
    assert p["churn_low"].mean() - 0.02 < y.mean() < p["churn_high"].mean() + 0.02


def test_calibration_takes_up_a_change_of_level():
    X, y = panel(2000, 1)
    model = ChurnModel.fit(X, y, *panel(2000, 2, 1.5), horizon_days=90, recipe=FAST)
    new, outcome = panel(4000, 4, 1.5)
    assert model.card["calibration"]["method"] != "identity"
    assert model.predict(new)["churn_probability"].mean() == pytest.approx(outcome.mean(), abs=0.03)


def test_a_later_customer_is_scored_alone_as_in_company(model, customers):
    together = model.predict(customers)
    for name in customers.index[[0, 200]]:
        pd.testing.assert_frame_equal(
            model.predict(customers.loc[[name]]), together.loc[[name]], check_exact=True
        )


def test_blocks_and_threads_change_nothing(model, customers, monkeypatch):
    together = model.predict(customers)
    monkeypatch.setattr("models.churn.BLOCK", 37)
    for threads in (1, 3):
        monkeypatch.setattr("models.churn.THREADS", threads)
        pd.testing.assert_frame_equal(model.predict(customers), together, check_exact=True)


def test_frame_may_be_reordered_widened_and_hold_whole_numbers(model, customers):
    expected = model.predict(customers)
    given = customers[customers.columns[::-1]].assign(comment="text", n_orders=1)
    given["n_purchases_365"] = given["n_purchases_365"].astype("int64")
    given["days_since_last"] = given["days_since_last"].astype("Int32")
    before = given.copy(deep=True)
    pd.testing.assert_frame_equal(model.predict(given), expected, check_exact=True)
    pd.testing.assert_frame_equal(given, before)


def test_nobody_to_score(model, customers):
    out = model.predict(customers.iloc[:0])
    assert out.empty
    assert tuple(out.columns) == CHURN_COLUMNS


def test_a_customer_of_whom_nothing_is_known(model, customers):
    blank = customers.iloc[[0]].astype(float) * np.nan
    out = model.predict(blank).iloc[0]
    assert 0 < out["churn_probability"] < 1


# -- Reasons ----------------------------------------------------------------------------------


def test_contributions_sum_to_the_raw_score(model, customers):
    parts = model.contributions(customers)
    assert parts.columns.tolist() == [*model.model_features, "base"]
    np.testing.assert_allclose(parts.sum(axis=1), model.raw_scores(customers), atol=1e-9)
    np.testing.assert_allclose(
        model.calibrator(model.raw_scores(customers)), model.predict(customers)["churn_probability"]
    )


def test_reasons_raise_the_risk_except_in_the_low_tier(model, customers):
    out = model.predict(customers)
    why = model.explain(customers)
    low = out["risk_tier"] == "low"
    assert (why.loc[low, "contribution_1"].dropna() < 0).all()
    # Where nothing that can be said raises the risk, what lowers it is said, and called so.
    good = out["reason_1"].str.startswith("Good sign: ")
    assert (why.loc[~low & ~good, "contribution_1"].dropna() > 0).all()
    assert (why.loc[good, "contribution_1"] < 0).all()
    assert (~low & ~good).sum() > (~low).sum() / 2
    assert out.loc[low & (out["reason_1"] != ""), "reason_1"].str.startswith("Good sign: ").all()
    assert "season" not in set(why[["code_1", "code_2", "code_3"]].to_numpy().ravel())
    assert ((out["reason_1"] != "") == (why["code_1"] != "")).all()


def test_who_has_nothing_that_raises_the_risk_is_told_what_lowers_it(model, customers):
    everyone_medium = replace(model, tiers=Tiers(-1.0, 2.0))
    said = everyone_medium.predict(customers)["reason_1"]
    weight = everyone_medium.explain(customers)["contribution_1"]
    good = said.str.startswith("Good sign: ")
    assert 0 < good.sum() < len(said)
    assert (weight[good] < 0).all()
    assert (weight[~good & (said != "")] > 0).all()


def test_a_late_regular_is_told_so(model, customers):
    late = customers.iloc[[0]].assign(
        gap_mean=21.0,
        days_since_last=364.0,
        overdue_ratio=17.3,
        n_purchases_365=1.0,
        net_spend_365=9.0,
    )
    reasons = set(model.predict(late).iloc[0][["reason_1", "reason_2", "reason_3"]])
    assert "Usually buys every 21 days; last purchase 364 days ago" in reasons


def test_reasons_can_be_left_out(model, customers):
    out = model.predict(customers, reasons=False)
    assert tuple(out.columns) == CHURN_COLUMNS
    assert (out[["reason_1", "reason_2", "reason_3"]] == "").all(axis=None)


def test_importance_is_by_feature_and_by_group(model):
    table = model.importance()
    assert set(table["feature"]) == set(model.model_features)
    assert table["importance"].is_monotonic_decreasing
    groups = model.group_importance()
    assert groups.sum() == pytest.approx(table["importance"].sum())
    assert groups.index[0] in ("lateness", "frequency", "spend")


# -- Which features are used ------------------------------------------------------------------


def test_empty_constant_and_season_columns_are_dropped_and_named():
    X, y = panel(600, 1)
    X = X.assign(nothing=np.nan, same=7.0, flag=np.where(np.arange(600) % 2, np.nan, 1.0))
    cutoffs = [date(2024, month, 1) for month in (1, 2, 3)]
    calibration_X, calibration_y = panel(600, 2)
    calibration_X = calibration_X.assign(flag=1.0)
    model = ChurnModel.fit(
        X, y, calibration_X, calibration_y, horizon_days=30, catalogue=CATALOGUE,
        train_cutoffs=cutoffs, recipe=FAST,
    )  # fmt: skip
    assert set(model.card["dropped"]) == {"nothing", "same", "month_sin"}
    assert "less than a year" in model.card["dropped"]["month_sin"]
    assert "flag" in model.feature_names


def test_season_is_used_when_the_cutoffs_span_a_year():
    cutoffs = [date(2023, 1, 1), date(2023, 7, 1), date(2024, 1, 1)]
    model = fitted(train_cutoffs=cutoffs, calibration_cutoffs=[date(2024, 6, 1)])
    assert "month_sin" in model.feature_names
    assert model.card["trained_until"] == "2024-08-30"


def test_spend_percentile_is_frozen_and_not_asked_for(model, customers):
    assert "spend_percentile" in model.model_features
    assert "spend_percentile" not in model.feature_names
    some = customers.iloc[:50]
    pd.testing.assert_frame_equal(
        model.predict(some), model.predict(customers).iloc[:50], check_exact=True
    )


def test_spend_percentile_falls_back_to_a_narrower_window(customers):
    X, y = panel(600, 1)
    cX, cy = panel(600, 2)
    narrow = {"net_spend_365": "net_spend_90"}
    model = ChurnModel.fit(
        X.rename(columns=narrow).assign(net_spend_365=np.nan), y, cX.rename(columns=narrow), cy,
        horizon_days=30, catalogue=CATALOGUE, recipe=FAST,
    )  # fmt: skip
    assert model.card["dropped"]["net_spend_365"] == "no value in training"
    model.predict(customers.rename(columns=narrow))


def test_columns_that_the_catalogue_does_not_know_are_groups_of_their_own():
    model = fitted(catalogue=features.catalogue.CATALOGUE, rows=400)
    groups = {row["name"]: row["reason_group"] for row in model.card["features"]}
    assert groups["days_since_last"] == "lateness"
    assert groups["own_column"] == "own_column"


# -- Extremes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "rows"), [(-6.5, 6000), (5.2, 3000)])
def test_rare_and_common_churn_train_without_weights(level, rows):
    model = fitted(rows=rows, level=level)
    X, y = panel(6000, 7, level)
    p = model.predict(X, reasons=False)["churn_probability"]
    assert y.mean() < 0.01 or y.mean() > 0.94
    assert p.mean() == pytest.approx(y.mean(), abs=0.01)
    assert p.between(0, 1, inclusive="neither").all()


def test_five_hundred_customers_are_enough():
    model = fitted(rows=500, recipe=None)
    X, y = panel(3000, 7)
    assert roc_auc_score(y, model.predict(X, reasons=False)["churn_probability"]) > 0.65


def test_hardly_any_calibration_customer_of_one_outcome_is_stated():
    X, y = panel(500, 1)
    cX, _ = panel(200, 2)
    cy = pd.Series(np.r_[1.0, np.zeros(199)], index=cX.index)
    model = ChurnModel.fit(X, y, cX, cy, horizon_days=30, recipe=FAST)
    assert model.card["calibration"]["method"] == "identity"
    assert "only 1 calibration customers" in model.card["calibration"]["reason"]


# -- Plain words about bad input --------------------------------------------------------------


def test_labels_of_one_class_are_refused():
    X, y = panel(300, 1)
    with pytest.raises(ModelError, match=r"all 300 training rows are of one class.*\n.*horizon"):
        ChurnModel.fit(X, y * 0, *panel(300, 2), horizon_days=30)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda X: X.drop(columns=["gap_mean", "own_column"]),
            "2 of 7 columns: gap_mean, own_column",
        ),
        (lambda X: X.assign(gap_mean="often"), "'gap_mean' must be numeric"),
        (lambda X: X.assign(gap_mean=np.inf), "'gap_mean' is infinite for customer c"),
        (lambda X: pd.concat([X, X[["gap_mean"]]], axis=1), "two columns called 'gap_mean'"),
    ],
)  # fmt: skip
def test_frames_that_cannot_be_scored(customers, spoil, message):
    model = fitted(train_cutoffs=[date(2024, 1, 1)], rows=400)
    with pytest.raises(ModelError, match=message):
        model.predict(spoil(customers))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_cutoffs": [date(2024, 3, 1)], "calibration_cutoffs": [date(2024, 5, 1)]},
            "ends on 2024-05-30, after the first calibration cutoff 2024-05-01",
        ),
    ],
)
def test_settings_that_cannot_be_meant(changes, message):
    with pytest.raises(ModelError, match=message):
        fitted(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, y.iloc[:-1]), "600 rows and 599 outcomes"),
        (lambda X, y: (X, y.sort_index()), "not of the same customers"),
        (lambda X, y: (X, y * 2), "must be 0 .stayed. or 1"),
        (lambda X, y: (X[[]], y), "no feature differs"),
        (lambda X, y: (X.iloc[:0], y.iloc[:0]), "0 rows and 0 outcomes"),
    ],
)
def test_panels_that_do_not_fit_together(change, message):
    with pytest.raises(ModelError, match=message):
        ChurnModel.fit(*change(*panel(600, 1)), *panel(600, 2), horizon_days=30, recipe=FAST)


# -- Every kind of scorer, and categories ------------------------------------------------------

RECIPES = {
    "days_since_last": Recipe("days_since_last"),
    "btyd": Recipe("btyd"),
    "logistic": Recipe("logistic"),
    "offset": Recipe("lightgbm", offset="probability_no_purchase", params={"n_estimators": 40}),
    "blend": Recipe("blend", members=(FAST, Recipe("logistic"))),
}


def shop(n, seed):
    """Customers with a channel and what a purchase model says of them."""
    X, y = panel(n, seed)
    rng = np.random.default_rng(seed)
    X["channel"] = pd.array(rng.choice(["shop", "web", None], n), dtype="str")
    X["probability_no_purchase"] = expit(X["days_since_last"] / 60 - 1 + rng.normal(0, 0.3, n))
    y = y.where(X["channel"] != "shop", np.maximum(y, rng.random(n) < 0.6)).astype(float)
    return X, y


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_scorer_is_explained_saved_and_served_alike(recipe, tmp_path):
    catalogue = [*CATALOGUE, Feature("channel", "channel", kind="category")]
    model = ChurnModel.fit(
        *shop(900, 1), *shop(900, 2), horizon_days=90, recipe=recipe, catalogue=catalogue
    )
    customers, _ = shop(300, 3)
    customers = customers.sort_index()
    customers.iloc[0, customers.columns.get_loc("channel")] = "never seen"
    assert model.text_columns == model.card["text_columns"] == ["channel"]
    out = model.predict(customers)
    assert (out.filter(like="reason") != "").any(axis=None)
    np.testing.assert_allclose(
        model.contributions(customers).sum(axis=1), model.raw_scores(customers), atol=1e-9
    )
    again = artifact.load(artifact.save(model, tmp_path / "model"))
    pd.testing.assert_frame_equal(again.predict(customers), out, check_exact=True)
    pd.testing.assert_frame_equal(again.explain(customers), model.explain(customers))
    assert Recipe.from_dict(again.card["recipe"]) == recipe


def test_reasons_in_another_language(model, customers):
    english, chinese = model.predict(customers), model.predict(customers, language="zh")
    numbers = [CHURN_COLUMNS[0], *CHURN_COLUMNS[1:4]]
    pd.testing.assert_frame_equal(chinese[numbers], english[numbers])
    said = english["reason_1"] != ""
    assert (chinese.loc[said, "reason_1"] != english.loc[said, "reason_1"]).all()
    with pytest.raises(ModelError, match="no texts in the language 'xx'"):
        model.predict(customers, language="xx")


def test_parts_learned_elsewhere_make_the_same_model(model, customers):
    assembled = ChurnModel.assemble(
        inputs=model.inputs,
        scorer=model.scorer,
        calibrator=model.calibrator,
        interval=model.interval,
        tiers=model.tiers,
        horizon_days=90,
        gap_days=0,
        sample=model.inputs.matrix(panel(1500, 2)[0]),
        card={"recipe": model.card["recipe"]},
    )
    pd.testing.assert_frame_equal(assembled.predict(customers), model.predict(customers))
    pd.testing.assert_frame_equal(assembled.importance(), model.importance())
    assert set(assembled.card) < set(model.card)

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models import artifact
from models.base import ModelError
from models.booster import raw_scores
from models.inputs import Inputs
from models.uplift.examples import Examples, fit_base
from models.uplift.learners import LEARNERS, cross_fitted_effects, fit_effects
from models.uplift.model import UpliftModel
from models.uplift.qini import qini, true_qini


def customers(n=3000, seed=0):
    """Customers with a base, an effect that depends on one feature, and a random arm."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "activity": rng.normal(size=n),
            "taste": rng.normal(size=n),
            "plan": rng.choice(["a", "b"], n),
            "aov_gg": rng.gamma(4, 10, n),
            "noise": rng.normal(size=n),
        },
        index=pd.Index([f"c{i:05d}" for i in range(n)], name="customer_id"),
    )
    frame.loc[frame.index[::11], "noise"] = np.nan
    untreated = -0.5 + 1.2 * frame["activity"] + 0.5 * (frame["plan"] == "a")
    p0, p1 = expit(untreated), expit(untreated + 1.5 * (frame["taste"] > 0))
    treated = (rng.random(n) < 0.5).astype(float)
    y = (rng.random(n) < np.where(treated == 1, p1, p0)).astype(float)
    return frame, treated, y, (p1 - p0).to_numpy()


@pytest.fixture(scope="module")
def learned():
    frame, treated, y, effect = customers()
    return Examples.of(frame, y, treated), frame, effect


@pytest.mark.parametrize("learner", LEARNERS)
def test_effects_are_found_on_customers_never_seen(learned, learner):
    known, _, effect = learned
    found = cross_fitted_effects(learner, known, seed=0)
    assert found.mean() == pytest.approx(effect.mean(), abs=0.04)
    assert np.corrcoef(found, effect)[0, 1] > 0.6
    assert true_qini(effect, found) > 0.6 * true_qini(effect, effect)


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_same_rows_in_another_order_and_on_more_threads_give_the_same(learner):
    frame, treated, y, _ = customers(700)
    order = np.random.default_rng(1).permutation(len(y))
    found = []
    for rows, threads in ((np.arange(len(y)), 1), (order, 2)):
        known = Examples.of(frame.iloc[rows], y[rows], treated[rows])
        fitted = fit_effects(learner, known, seed=3, num_threads=threads)
        found.append(pd.Series(fitted(known.X, known.base), frame.index[rows]))
    pd.testing.assert_series_equal(found[0], found[1].reindex(frame.index), rtol=0, atol=1e-12)


def test_a_base_and_no_more_where_the_change_is_the_same_for_all():
    rng = np.random.default_rng(5)
    base, treated = rng.normal(size=20_000), np.tile([0.0, 1.0], 10_000)
    y = (rng.random(20_000) < expit(base + 0.7 * (treated - 0.5))).astype(float)
    inputs = Inputs.choose(pd.DataFrame({"x": rng.normal(size=20_000)}))[0]
    X = rng.normal(size=(20_000, 1)).astype(np.float32)
    zeros = np.zeros(20_000, dtype=np.int64)
    known = Examples(inputs, X, y, treated, zeros + 0.5, base, zeros, np.arange(20_000) % 5)
    fitted = fit_effects("odds", known, seed=0)
    assert fitted.constant == pytest.approx(0.7, abs=0.1)
    assert abs(fitted.slope) < 0.1
    stay = fitted.untreated(X, base)
    change = logit(stay + fitted(X, base)) - logit(stay)
    assert change.mean() == pytest.approx(0.7, abs=0.1)


def test_the_dr_score_is_unbiased_by_hand():
    # With outcomes expected right or not, its mean is the effect when the chance is right.
    _frame, treated, y, effect = customers(20_000)
    wrong = np.full(len(y), 0.3)
    score = treated * (y - wrong) / 0.5 - (1 - treated) * (y - wrong) / 0.5
    assert score.mean() == pytest.approx(effect.mean(), abs=0.02)


def test_all_chances_are_chances(learned):
    known, _, _ = learned
    for learner in LEARNERS:
        fitted = fit_effects(learner, known, seed=0)
        stay, effect = fitted.untreated(known.X, known.base), fitted(known.X, known.base)
        assert ((stay >= 0) & (stay <= 1)).all()
        assert ((stay + effect >= -1e-9) & (stay + effect <= 1 + 1e-9)).all()


@pytest.fixture(scope="module")
def model(learned):
    known, _, _ = learned
    base = fit_base(known.inputs, known.X, known.y, seed=0)
    effects = {name: fit_effects(name, known, seed=0) for name in LEARNERS}
    return UpliftModel(90, known.inputs, base, effects, {"seed": 0})


def test_a_saved_model_predicts_the_same_bits(model, learned, tmp_path):
    _, frame, _ = learned
    before = frame.copy()
    said = model.predict(frame.assign(more=1.0)[[*frame.columns[::-1]]])
    pd.testing.assert_frame_equal(frame, before)
    read = artifact.load(artifact.save(model, tmp_path / "m"), kind="uplift")
    pd.testing.assert_frame_equal(read.predict(frame), said, check_exact=True)
    assert (read.treatments, read.horizon_days) == (("dr", "odds", "t", "x"), 90)
    assert read.feature_names == model.feature_names
    assert read.text_columns == ["plan"]
    again = artifact.save(read, tmp_path / "again")
    names = sorted(path.name for path in again.iterdir())
    assert [(again / n).read_bytes() for n in names] == [
        (tmp_path / "m" / n).read_bytes() for n in names
    ]


def test_predictions_by_treatment(model, learned):
    known, frame, _ = learned
    said = model.predict(frame.iloc[:50])
    assert said.index.equals(frame.index[:50])
    assert [c for c in said if c.endswith("_odds")] == ["uplift_odds", "stay_odds", "spend_odds"]
    base = raw_scores(model.base, known.X[:50])
    np.testing.assert_array_equal(said["uplift_odds"], model.effects["odds"](known.X[:50], base))
    both = said["stay_odds"], said["stay_odds"] + said["uplift_odds"]
    more = (np.log1p(-both[0]) - np.log1p(-both[1])) * frame["aov_gg"].iloc[:50]
    np.testing.assert_allclose(said["spend_odds"], more, rtol=1e-6)


def test_nothing_to_learn_from_is_refused(learned):
    known, _, _ = learned
    with pytest.raises(ModelError, match="unknown learner"):
        fit_effects("s", known, seed=0)
    with pytest.raises(ModelError, match="same arm"):
        fit_effects("t", known.where(known.treated == 1), seed=0)
    with pytest.raises(ModelError, match="have the outcome"):
        fit_base(known.inputs, known.X, known.y * 0, seed=0)


@pytest.mark.data
@pytest.mark.slow
def test_hillstroms_customers_can_be_ranked(development_data):
    frame = pd.read_parquet(development_data / "hillstrom_dev.parquet")
    frame = frame[frame["treatment"] != "Mens E-Mail"].set_index("customer_id")
    treated = (frame["treatment"] == "Womens E-Mail").to_numpy(float)
    columns = ["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]
    known = Examples.of(frame[columns], frame["visit"], treated)
    effect = cross_fitted_effects("odds", known, seed=0)
    found = qini(frame["visit"], treated, effect, replicates=200)
    assert found.beats_random, found.area

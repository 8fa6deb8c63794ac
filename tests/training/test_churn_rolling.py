"""Nothing that had not closed by a cutoff is known at it."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from models.base import ModelError
from models.scorers import Recipe
from training.churn_panel import Panel
from training.churn_recipes import CANDIDATES
from training.churn_rolling import Rolling

FEW = {
    "days_since_last": CANDIDATES["days_since_last"],
    "btyd": CANDIDATES["btyd"],
    "logistic": CANDIDATES["logistic"],
    "lightgbm_offset": Recipe(
        "lightgbm", offset="probability_no_purchase", params={"n_estimators": 20}
    ),
}
FEW["blend"] = Recipe("blend", members=(FEW["logistic"], FEW["lightgbm_offset"]))


@pytest.fixture(scope="module")
def rolling(panel):
    return Rolling(panel, FEW, seed=3)


def _with_other_labels(panel, from_day):
    """The same panel, but whoever is labelled by a window open at a day did the opposite."""
    slices = {}
    for cutoff, s in panel.slices.items():
        if cutoff + panel.settings.reach > from_day:
            slices[cutoff] = replace(s, labels=1.0 - s.labels)
        else:
            slices[cutoff] = s
    return Panel(panel.settings, panel.catalogue, slices)


def test_it_is_fitted_on_what_had_closed(panel, rolling):
    day = list(panel.slices)[6]
    used = rolling.fit("logistic", day).cutoffs
    assert used
    assert all(c + panel.settings.reach <= day for c in used)
    assert all(c + panel.settings.reach <= day for c in rolling.origins(day))


@pytest.mark.parametrize("name", FEW)
def test_no_open_label_changes_a_forecast(panel, rolling, name):
    day = list(panel.slices)[6]
    other = Rolling(_with_other_labels(panel, day), FEW, seed=3)
    assert rolling.probability(name, day).tobytes() == other.probability(name, day).tobytes()


def test_closed_labels_do_change_it(panel, rolling):
    day = list(panel.slices)[6]
    earlier = day - dt.timedelta(days=40)
    other = Rolling(_with_other_labels(panel, earlier), FEW, seed=3)
    assert not np.array_equal(
        rolling.probability("logistic", day), other.probability("logistic", day)
    )


def test_threads_and_the_order_of_rows_change_nothing(panel, rolling):
    day = list(panel.slices)[5]
    order = np.random.default_rng(0).permutation(300)
    shuffled = {
        c: replace(
            s,
            features=s.features.iloc[order],
            labels=s.labels.iloc[order],
            one_time=s.one_time[order],
            eligible=s.eligible[order],
            value=s.value[order],
        )
        for c, s in panel.slices.items()
    }
    other = Rolling(Panel(panel.settings, panel.catalogue, shuffled), FEW, seed=3, threads=3)
    for name in FEW:
        assert np.array_equal(rolling.probability(name, day)[order], other.probability(name, day))


def test_a_blend_is_the_mean_of_its_members(panel, rolling):
    day = list(panel.slices)[5]
    mean = (rolling.scores("logistic", day) + rolling.scores("lightgbm_offset", day)) / 2
    np.testing.assert_allclose(rolling.scores("blend", day), mean, rtol=1e-12)


def test_rules_are_taken_as_they_are(panel, rolling):
    day = list(panel.slices)[6]
    own = panel.slices[day].features["probability_no_purchase"].to_numpy()
    np.testing.assert_allclose(rolling.probability("btyd", day), own, atol=1e-6)
    assert rolling.calibration("btyd", day).method == "identity"


def test_only_the_eligible_train(panel):
    some = {c: replace(s, eligible=s.one_time) for c, s in panel.slices.items()}
    rolling = Rolling(Panel(panel.settings, panel.catalogue, some), FEW)
    fitted = rolling.fit("logistic", list(panel.slices)[4])
    assert fitted.customers == 100
    assert fitted.rows == 100 * len(fitted.cutoffs)
    assert len(rolling.scores("logistic", list(panel.slices)[4])) == 300


def test_nothing_closed_is_said(panel, rolling):
    first = next(iter(panel.slices))
    assert not rolling.can_score(first)
    with pytest.raises((ModelError, ValueError)):
        rolling.fit("logistic", first)

"""The choice is made before the test."""

from dataclasses import replace

import numpy as np

from training.churn_choice import choose_candidate, validation_cutoffs
from training.churn_panel import Panel
from training.churn_recipes import CANDIDATES
from training.churn_rolling import Rolling

NAMES = ("days_since_last", "btyd", "logistic")
FEW = {name: CANDIDATES[name] for name in NAMES}


def test_the_latest_closed_cutoffs_decide(panel):
    rolling, test = Rolling(panel, FEW), list(panel.slices)[-1]
    days = validation_cutoffs(rolling, test)
    assert len(days) == 3
    assert all(c + panel.settings.reach <= test for c in days)


def test_the_candidate_that_knows_more_is_chosen(build_panel):
    panel = build_panel(months=10, customers=1500)
    found = choose_candidate(
        Rolling(panel, FEW), NAMES, list(panel.slices)[-1], panel.settings, seed=0
    )
    assert found.winner == "logistic"
    assert list(found.table["candidate"]) == list(NAMES)


def test_outcomes_of_the_test_decide_nothing(panel):
    test = list(panel.slices)[-1]
    other = {
        c: s if c + panel.settings.reach <= test else replace(s, labels=1 - s.labels)
        for c, s in panel.slices.items()
    }
    both = [
        choose_candidate(Rolling(each, FEW), NAMES, test, panel.settings, seed=0)
        for each in (panel, Panel(panel.settings, panel.catalogue, other))
    ]
    assert both[0].winner == both[1].winner
    assert np.array_equal(both[0].table["brier"], both[1].table["brier"])

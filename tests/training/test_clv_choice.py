"""The choice between candidates, from tables made by hand."""

import pandas as pd
import pytest

from training.clv_choice import choose, grades, losses

COLUMNS = ["cutoff", "group", "candidate", "metric", "value", "history_days", "horizon_days"]


def table(values, cutoffs=("2024-01-01", "2024-02-01"), **about):
    """RMSE and bias of each candidate are its value, the order is perfect; the past rate has 1."""
    rows = [
        (cutoff, "all", name, f"{what}/{part}", 1.0 if part == "gini" else value, 200, 100)
        for cutoff in cutoffs
        for name, value in {**values, "past_rate": 1.0}.items()
        for what in ("purchases", "clv")
        for part in ("rmse", "bias", "gini")
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(**about)


ORDER = ["simple", "medium", "rich"]


@pytest.mark.parametrize(
    ("values", "winner"),
    [
        ((0.80, 0.80, 0.80), "simple"),
        ((0.80, 0.795, 0.793), "simple"),  # within 1 % of the first
        ((0.80, 0.79, 0.785), "rich"),
        ((0.90, 0.70, 0.80), "medium"),
        ((1.20, 1.10, 1.30), "medium"),  # worse than the past rate, but a model is asked for
    ],
)
def test_the_first_is_taken_unless_another_is_clearly_better(values, winner):
    choice = choose(table(dict(zip(ORDER, values, strict=True))), ORDER)
    assert choice.winner == winner
    assert winner in choice.reason


@pytest.mark.parametrize("part", ["rmse", "bias", "gini"])
def test_error_total_and_order_all_count(part):
    found = table({"simple": 0.5, "medium": 0.5})
    worse = (found["candidate"] == "simple") & found["metric"].str.endswith(part)
    found.loc[worse, "value"] = 0.2 if part == "gini" else -0.9 if part == "bias" else 0.9
    assert choose(found, ORDER).winner == "medium"


def test_a_bias_is_as_bad_in_either_direction():
    found = table({"simple": 0.3})
    below = found.assign(value=found["value"].where(~found["metric"].str.endswith("bias"), -0.3))
    assert losses(below).loc["simple"].tolist() == losses(found).loc["simple"].tolist()
    assert losses(found).loc["simple"].tolist() == pytest.approx([0.2, 0.2])


def test_a_candidate_that_failed_at_a_cutoff_is_not_taken():
    found = table({"simple": 0.8, "medium": 0.4})
    late = (found["candidate"] == "medium") & (found["cutoff"] == "2024-02-01")
    for gone in (late, late & (found["metric"] == "clv/rmse")):
        assert choose(found[~gone], ORDER).winner == "simple"


def test_cutoffs_with_little_history_do_not_count():
    late = table({"simple": 0.8, "rich": 0.7}, cutoffs=("2024-02-01",))
    early = table({"simple": 0.7, "rich": 0.9}, cutoffs=("2024-01-01",), history_days=199)
    found = choose(pd.concat([early, late]), ORDER)
    assert found.winner == "rich"
    assert list(found.losses) == ["2024-02-01"]


def test_rules_and_other_groups_do_not_enter():
    found = table({"simple": 0.8, "zero": 0.1})
    part = table({"simple": 9.0, "medium": 0.1}, group="repeat 0")
    assert choose(pd.concat([found, part]), ORDER).winner == "simple"
    assert (
        losses(pd.concat([found, part])).loc["simple"].tolist()
        == losses(found).loc["simple"].tolist()
    )


def test_without_a_backtest_the_first_is_taken_and_said():
    choice = choose(pd.DataFrame(columns=COLUMNS), ORDER)
    assert choice.winner == "simple"
    assert "too short" in choice.reason


def test_a_baseline_without_error_leaves_no_loss():
    found = table({"simple": 0.1})
    found.loc[found["candidate"] == "past_rate", "value"] = 0.0
    assert choose(found, ORDER).winner == "simple"


def test_grades_count_wins_and_keep_what_is_undefined():
    found = table({"simple": 0.8, "medium": 1.2})
    graded = grades(found)
    assert graded.index.tolist() == ["simple", "past_rate", "medium"]
    assert graded["wins"].tolist() == [2, 0, 0]
    assert graded["skill"].tolist() == pytest.approx([0.2, 0.0, -0.2])
    assert graded.loc["simple", "value_bias"] == pytest.approx(0.8)
    assert graded["coverage_90"].isna().all()

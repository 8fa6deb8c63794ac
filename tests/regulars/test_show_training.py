"""What is said of a training: who is champion at that moment."""

import pandas as pd
import pytest

from regulars.show.training import show_training
from training.result import TrainingResult


def result(outcome: str) -> TrainingResult:
    measured = pd.DataFrame({"churn/brier": [0.1]}, index=["trees"])
    promoted = outcome == "promoted"
    return TrainingResult(
        "regulars-churn", "2", "t", {}, measured, "trees", promoted, "it is newer", {}, outcome
    )


@pytest.mark.parametrize(
    ("outcome", "champion", "said"),
    [
        ("promoted", "2", "regulars-churn version 2 is champion: it is newer"),
        ("kept", "1", "regulars-churn version 2 is challenger: it is newer"),
        ("promoted", "1", "was promoted (it is newer), but the champion was changed meanwhile"),
        ("promoted", "1", "and is version 1 now"),
        ("promoted", "", "and is none now"),
        ("kept", "2", "was kept (it is newer), but the champion was changed meanwhile"),
    ],
)  # fmt: skip
def test_the_last_line_says_who_is_champion_now(
    outcome: str, champion: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_training(result(outcome), champion)
    assert said in " ".join(capsys.readouterr().out.split())

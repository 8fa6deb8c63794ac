"""What is said of a training: who is champion at that moment, and where to look."""

import pandas as pd
import pytest

from regulars.config import Config
from regulars.show.training import show_training, show_where_to_look
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


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql+psycopg://me:s3cret@db/mlflow?sslpassword=s3cret", "postgresql+psycopg://db/"),
        ("https://me:s3cret@mlflow.example/", "https://mlflow.example/"),
        ("sqlite:///mlflow.db", "mlflow ui --backend-store-uri sqlite:///"),
    ],
)
def test_where_to_look_holds_no_password(
    address: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_where_to_look(Config.model_validate({"mlflow": {"tracking_uri": address}}))
    out = capsys.readouterr().out
    assert said in out
    assert "s3cret" not in out

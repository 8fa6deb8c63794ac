"""`regulars measures` on a small shop, as a user would run it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.measures import COLUMNS
from regulars.cli import run


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    who = rng.integers(40, size=600) ** 2 // 40
    day = np.datetime64("2023-01-01") + rng.integers(0, 366, size=600)
    ids = [f"c{i}" for i in who]
    pd.DataFrame(
        {"customer_id": ids, "timestamp": day, "amount": rng.gamma(3, 9, 600).round(2)}
    ).to_csv(folder / "transactions.csv", index=False)
    pd.DataFrame(
        {"customer_id": [f"c{i}" for i in range(40)], "country": ["NL", "BE"] * 20}
    ).to_csv(folder / "customers.csv", index=False)
    (folder / "regulars.toml").write_text('[source]\nurl = "."\n')
    return folder


def measures(shop: Path, *options: str) -> tuple[int, Path]:
    output = shop / "measures.csv"
    return run(["measures", "-c", str(shop), "-o", str(output), *options]), output


def test_the_file_and_what_is_said(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, output = measures(shop, "--segment", "country", "--segment", "cohort")
    assert code == 0
    table = pd.read_csv(output)
    assert tuple(table.columns) == COLUMNS
    assert {"country=NL", "cohort=2023-01", "all"} <= set(table["segment"])
    said = " ".join(capsys.readouterr().out.split())
    assert "2023-12 against 2023-11" in said
    assert "Revenue money " in said
    assert "Repeat-purchase rate share " in said
    assert "There is no table acquisition with what each customer cost." in said
    assert "Nobody could be scored: There is no MLflow database" in said
    assert not (shop / "mlflow.db").exists()


def test_json_by_quarter(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, output = measures(shop, "--by", "quarter", "--no-models", "--json")
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (said["latest"], said["before"]) == ("2023-Q4", "2023-Q3")
    assert said["rows"] == len(pd.read_csv(output))
    told = {row["measure"]: row for row in said["measures"]}
    assert told["revenue"]["unit"] == "money"
    assert told["active_customers"]["n"] == told["active_customers"]["value"]
    needs = {name: each["needs"] for each in said["missing"] for name in each["measures"]}
    assert needs["clv_predictive"] == "Models were left out by --no-models."


def test_an_unknown_segment_is_refused_before_any_work(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = measures(shop, "--segment", "contry")
    assert code == 2
    assert "Did you mean country" in capsys.readouterr().err


def test_segments_of_today_are_no_segments_of_the_past(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = measures(shop, "--segment", "rfm_segment")
    assert code == 2
    assert "`regulars segments` counts" in capsys.readouterr().err


def test_scores_are_used_where_there_are_models(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(30)],
            "as_of": pd.Timestamp("2024-01-01"),
            "status": "scored",
            "churn_probability": 0.5,
            "churn_low": 0.4,
            "churn_high": 0.6,
            "risk_tier": "medium",
            "clv": 20.0,
            "clv_low": 10.0,
            "clv_high": 40.0,
        }
    )
    asked = []

    def score_customers(config: object, *_: object) -> SimpleNamespace:
        asked.append(config)
        return SimpleNamespace(frame=scored)

    monkeypatch.setattr("regulars.jobs.score_customers", score_customers)
    code, output = measures(shop)
    assert (code, len(asked)) == (0, 1)
    table = pd.read_csv(output).set_index(["measure", "segment"])["value"]
    assert table["clv_predictive", "all"] == 20
    assert table["revenue_at_risk", "risk_tier=medium"] > 0
    assert "Predictive CLV" in capsys.readouterr().out

"""`regulars monitor`: what needs a person, and the exit code that says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regulars.cli import run
from serving.findings import FINDING_DTYPES

LAST = pd.Timestamp("2024-06-30")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop without models, whose data ends in the past."""
    rng = np.random.default_rng(3)
    days = LAST - pd.to_timedelta(rng.integers(0, 300, 6000), unit="D")
    orders = pd.DataFrame(
        {"customer_id": rng.integers(0, 800, 6000), "timestamp": days, "amount": 5.0}
    )
    (tmp_path / "data").mkdir()
    orders.to_csv(tmp_path / "data" / "orders.csv", index=False)
    (tmp_path / "regulars.toml").write_text('[tables.transactions]\nfrom = "orders.csv"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_data_that_stopped_long_ago_needs_a_person(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["monitor", "-o", "findings.csv"]) == 3
    told = capsys.readouterr().out
    assert told.index("The last transaction is of 2024-06-30") < told.index("What was looked at")
    assert "regulars train churn" in told
    table = pd.read_csv(shop / "findings.csv")
    assert list(table.columns) == ["as_of", *FINDING_DTYPES]
    assert table["severity"][0] == "act"
    assert set(table["as_of"]) == {"2024-07-01"}


def test_a_day_in_the_past_is_judged_by_that_day(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["monitor", "--cutoff", "2024-07-01", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["severity"] == "fine"
    assert [one["action"] for one in told["advice"]] == ["train", "train"]
    assert {one["code"] for one in told["missing"]} == {"no_model", "no_lists"}


@pytest.mark.parametrize(
    "given", [["--cutoff", "2030-01-01"], ["-o", "findings.txt"], ["-c", "absent.toml"]]
)
def test_wrong_input_is_one_message(
    shop: Path, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    assert run(["monitor", *given]) == 2
    assert "Traceback" not in "".join(capsys.readouterr())
    assert not (shop / "findings.txt").exists()

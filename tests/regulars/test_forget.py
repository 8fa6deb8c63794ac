"""`regulars forget`: who is gone, who remains where, and nothing else about them."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from regulars.cli import run
from serving.batch import write_list
from serving.scorer import SCORED_DTYPES

IDS = ["CUST-1", "-5", "\x1b[2J=1", "CUST-9", "CUST-10"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    orders = pd.DataFrame({"customer_id": ["CUST-1", "CUST-9"], "timestamp": "2024-01-01"})
    orders.assign(amount=77.25).to_csv(tmp_path / "data" / "orders.csv", index=False)
    (tmp_path / "regulars.toml").write_text('[tables.transactions]\nfrom = "orders.csv"\n')
    scored = pd.DataFrame({"customer_id": IDS}).reindex(columns=list(SCORED_DTYPES))
    scored = scored.assign(churn_probability=0.8125, status="scored").astype(dict(SCORED_DTYPES))
    write_list(scored, tmp_path / "scores.csv")
    (tmp_path / "out").mkdir()
    write_list(scored, tmp_path / "out" / "old.parquet")
    monkeypatch.chdir(tmp_path)
    aside = tmp_path / "tmp"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    return tmp_path


def left(path: Path) -> list[str]:
    read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
    return list(read(path)["customer_id"])


def test_who_is_still_in_the_source_needs_a_person(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["forget", "CUST-1"]) == 3
    told = "".join(capsys.readouterr())
    assert re.search(r"the source: transactions +still there +1\b", told)
    assert "never writes to its source" in told
    assert "CUST-1" not in left(shop / "scores.csv")
    assert "CUST-1" in left(shop / "out" / "old.parquet")
    # Nothing about the person but the id.
    assert "77.25" not in told
    assert "0.8125" not in told


def test_who_is_in_no_source_is_gone_and_folders_that_are_named_are_searched(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "whom.txt").write_text("CUST-10\nnobody\n")
    given = ["--list", "whom.txt", "--in", "out", "--json", "--", "-5", IDS[2]]
    assert run(["forget", *given]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["customers"] == 4
    assert told["nowhere"] == ["nobody"]
    for path in (shop / "scores.csv", shop / "out" / "old.parquet"):
        assert left(path) == ["CUST-1", "CUST-9"]


def test_a_dry_run_says_where_they_are(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (shop / "scores.csv").read_bytes()
    assert run(["forget", "--dry-run", "CUST-1", "\x1b[31mx"]) == 3  # it is in the source
    told = capsys.readouterr().out
    assert "would be removed" in told
    assert "\\x1b[31mx" in told
    assert "\x1b[31mx" not in told
    assert (shop / "scores.csv").read_bytes() == before
    assert run(["forget", "--dry-run", "CUST-10"]) == 0


def test_a_place_that_nobody_could_look_into_shows_no_count(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "data" / "orders.csv").unlink()
    assert run(["forget", "--dry-run", "CUST-10"]) == 3
    assert re.search(r"the source +not looked into +-\s", capsys.readouterr().out)


@pytest.mark.parametrize(
    "given",
    [[], [" "], ["x", "--in", "absent"], ["x", "--list", "absent.csv"],
     ["x", "--to", "mysql://h/d?table=t"], ["x", "-c", "absent.toml"]],
)  # fmt: skip
def test_wrong_input_changes_nothing(
    shop: Path, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    before = (shop / "scores.csv").read_bytes()
    assert run(["forget", *given]) == 2
    assert "Traceback" not in "".join(capsys.readouterr())
    assert (shop / "scores.csv").read_bytes() == before

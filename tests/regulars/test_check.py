"""`regulars check` tells all that happened to the files."""

import json

import pytest

from regulars.cli import run


@pytest.fixture
def shop(tmp_path, monkeypatch):
    rows = [f"c{i % 7},2024-0{1 + i % 6}-1{i % 9},{i + 1}" for i in range(60)]
    (tmp_path / "orders.csv").write_text(
        "\n".join(["customer_id,timestamp,amount", *rows, ",2024-01-05,3"]), encoding="utf-8"
    )
    (tmp_path / "events.csv").write_text("foo,bar\n1,2\n", encoding="utf-8")
    (tmp_path / "regulars.toml").write_text(
        '[source]\nurl = "."\n[tables.transactions]\nfrom = "orders.csv"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_that_was_found_but_cannot_be_used_is_named(shop, capsys):
    assert run(["check"]) == 0
    assert "events is not used" in capsys.readouterr().out
    assert run(["check", "--json"]) == 0
    assert "customer_id" in json.loads(capsys.readouterr().out)["skipped"]["events"]


def test_what_was_set_aside_is_counted_by_reason(shop, capsys):
    assert run(["check", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["quality"]["transactions"]
    assert table["quarantined"] == {"no_customer": 1}
    assert table["accepted"] + 1 == table["read"] == 61

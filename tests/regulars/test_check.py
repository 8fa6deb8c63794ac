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


def test_the_label_is_looked_at_with_the_configured_horizon(shop, capsys):
    with (shop / "regulars.toml").open("a", encoding="utf-8") as file:
        file.write('[churn]\nhorizon_days = 30\ngap_days = 7\neligibility = "cadence"\n')
    assert run(["check", "--json"]) == 0
    label = json.loads(capsys.readouterr().out)["label"]
    assert label["spec"] == {
        "horizon_days": 30,
        "gap_days": 7,
        "eligibility": "cadence",
        "slack": 0.5,
    }
    assert label["words"]
    assert {"cutoffs", "d_curve", "sensitivity", "reactivation_rate"} <= set(label)
    assert run(["check"]) == 0
    said = capsys.readouterr().out
    assert "The label: no purchase in 30 days, 7 days after the cutoff" in said
    assert all(line in said for line in label["words"])


def test_the_picture_of_the_label_is_written_where_asked(shop, capsys):
    assert run(["check", "--figures", "pictures/new", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["figures"]
    assert written == ["pictures/new/label.png"]
    assert (shop / "pictures/new/label.png").read_bytes().startswith(b"\x89PNG")
    (shop / "file").write_text("in the way")
    assert run(["check", "--figures", "file/new"]) == 2
    assert "cannot be made" in capsys.readouterr().err

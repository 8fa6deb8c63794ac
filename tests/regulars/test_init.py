"""`regulars init` on files that are not all recognised."""

import pytest

from regulars.cli import run

ROWS = "".join(f"c{i % 9},2024-{1 + i % 12:02d}-11,{i}.50\n" for i in range(60))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_column_that_is_not_recognised_is_left_to_fill_in(tmp_path, capsys):
    (tmp_path / "orders.csv").write_text("customer_id,date,worth it\n" + ROWS, encoding="utf-8")
    assert run(["init", "--transactions", "orders.csv"]) == 0
    assert "amount: no column recognised" in capsys.readouterr().out
    path = tmp_path / "regulars.toml"
    text = path.read_text(encoding="utf-8")
    assert "# columns found: customer_id, date, worth it" in text
    assert run(["check"]) == 2
    said = capsys.readouterr().err
    assert "known to be amount" in said
    assert "worth it" in said
    path.write_text(text.replace('# amount = "..."', 'amount = "worth it"'), encoding="utf-8")
    assert run(["check"]) == 0


def test_a_glob_is_kept_and_read_off_its_first_file(tmp_path):
    (tmp_path / "orders").mkdir()
    for month in ("01", "02"):
        file = tmp_path / "orders" / f"o_{month}.csv"
        file.write_text("customer_id,date,amount\n" + ROWS, encoding="utf-8")
    assert run(["init", "--transactions", "orders/o_*.csv"]) == 0
    assert 'from = "orders/o_*.csv"' in (tmp_path / "regulars.toml").read_text(encoding="utf-8")
    assert run(["check"]) == 0


def test_tables_beside_the_orders_are_found(tmp_path, capsys):
    data = tmp_path / "shop" / "data"
    data.mkdir(parents=True)
    (data / "orders.csv").write_text("customer_id,date,amount\n" + ROWS, encoding="utf-8")
    (data / "surveys.csv").write_text(
        "customer_id,timestamp,kind,score\nc1,2024-02-01,nps,9\n", encoding="utf-8"
    )
    assert run(["init", "shop", "--transactions", "shop/data/orders.csv"]) == 0
    assert run(["check", "--config", "shop/regulars.toml"]) == 0
    assert "surveys" in capsys.readouterr().out


def test_no_command_writes_over_what_it_reads(tmp_path, capsys):
    orders = tmp_path / "orders.csv"
    orders.write_text("customer_id,date,amount\n" + ROWS, encoding="utf-8")
    assert run(["init", "--transactions", "orders.csv"]) == 0
    before = orders.read_bytes()
    for command in ("score", "measures", "segments", "actions", "backtest", "monitor"):
        capsys.readouterr()
        assert run([command, "-o", "orders.csv"]) == 2
        assert "orders.csv is read by the configuration" in capsys.readouterr().err
    assert orders.read_bytes() == before

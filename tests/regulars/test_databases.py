"""What the command line says about databases: one message, exit 2, no secrets."""

import pytest

from regulars.cli import run

TARGET = "postgresql://shop:hunter2@localhost:1/shop?table=scores"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regulars.toml").write_text(
        '[source]\nurl = "postgresql://shop:${SHOP_PASSWORD}@localhost:1/shop"\n'
    )
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    return tmp_path


@pytest.mark.parametrize("command", [["check"], ["score", "--to", TARGET]])
def test_a_server_that_is_not_there_is_one_message(folder, capsys, command):
    assert run(command) == 2
    told = "".join(capsys.readouterr())
    assert "The database postgresql://localhost:1/shop: " in told
    assert "Traceback" not in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Say where the list goes"),
        (["--to", "postgresql://shop:hunter2@db/shop"], "does not say which table"),
        (["--to", "mysql://shop:hunter2@db/shop?table=x"], "no database to write to"),
        (["--to", "duckdb:///nowhere/x.duckdb?table=x"], "no folder"),
        (["--table", "x.csv", "--to", TARGET.replace("table", "nothing")], "which table"),
        (["--to", TARGET.replace("hunter2", "${NO_SUCH_NAME}")], "NO_SUCH_NAME"),
    ],
)
def test_a_wrong_target_is_said_before_any_work(folder, capsys, options, message):
    (folder / "x.csv").write_text("customer_id,a\n1,2\n")
    assert run(["score", *options]) == 2
    told = " ".join("".join(capsys.readouterr()).split())
    assert message in told
    assert "hunter2" not in told

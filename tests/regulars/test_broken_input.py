"""Whatever is wrong with the input, the answer is exit code 2 and one message that helps.

Each case is a shop in a folder, a command, and the words that the message must hold: what was
found where, and what to do.
"""

import datetime as dt
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from regulars.cli import run

HEADER = "customer_id,timestamp,amount"
Files = dict[str, str | bytes]


def ledger(customers: int = 40, days: int = 400, seed: int = 0) -> str:
    """A small, healthy file of orders."""
    rng = random.Random(seed)
    start = dt.date(2024, 1, 1)
    rows = [
        f"c{c},{start + dt.timedelta(days=rng.randrange(days))},{rng.randint(5, 90)}.5"
        for c in range(customers)
        for _ in range(rng.randint(1, 6))
    ]
    return "\n".join([HEADER, *rows]) + "\n"


@dataclass(frozen=True)
class Case:
    """What is in the folder, what is asked, and what the answer must say."""

    name: str
    says: tuple[str, ...]
    command: tuple[str, ...] = ("check",)
    config: str = '[source]\nurl = "."\n[tables.transactions]\nfrom = "orders.csv"\n'
    files: Files = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None


def _orders(text: str | bytes) -> Files:
    return {"orders.csv": text}


def _table(extra: str) -> str:
    return f'[source]\nurl = "."\n[tables.transactions]\nfrom = "orders.csv"\n{extra}\n'


GOOD = _orders(ledger())
ONE_DAY = "\n".join([HEADER, *(f"c{i},2024-05-01,10" for i in range(600))])
ONE_CUSTOMER = "\n".join(
    [HEADER, *(f"c1,2023-{m:02d}-{d:02d},10" for m in range(1, 13) for d in (1, 15))]
)
RETURNS = "\n".join(
    [
        HEADER,
        *(f"c{i},{y}-0{m}-01,-10" for i in range(300) for y in (2022, 2023) for m in range(1, 9)),
    ]
)
EVERYONE_STAYS = "\n".join(
    [HEADER]
    + [
        f"c{c},{dt.date(2023, 1, 1) + dt.timedelta(days=c % 7 + 7 * w)},10"
        for c in range(200)
        for w in range(80)
    ]
)

CASES = [
    # The configuration
    Case("no configuration", ("no configuration file", "regulars init"), config=""),
    Case("not TOML", ("not valid TOML",), config="[source\n"),
    Case("unknown key", ("unknown key urll", "url"), config='[source]\nurll = "."\n'),
    Case("unknown table", ("unknown table [tables.transaction]", "transactions"), config="[tables.transaction]\n"),
    Case("wrong type", ("churn.horizon_days",), config='[churn]\nhorizon_days = "long"\n'),
    Case("unknown time zone", ("Atlantis", "Europe/London"), config='[source]\ntimezone = "Atlantis"\n'),
    Case("unknown source", ("ftp://shop",), config='[source]\nurl = "ftp://shop/orders"\n'),
    # The files
    Case("no such folder", ("nowhere",), config='[source]\nurl = "nowhere"\n'),
    Case("no such file", ("orders.csv",)),
    Case("empty file", ("orders.csv", "empty"), files=_orders("")),
    Case("header only", ("orders.csv", "no rows"), files=_orders(HEADER + "\n")),
    Case("binary garbage", ("orders.csv",), files=_orders(bytes(range(256)) * 40)),
    Case("corrupted parquet", ("orders.parquet",), config=_table("").replace(".csv", ".parquet"), files={"orders.parquet": b"PAR1 this is none"}),
    Case("corrupted gzip", ("orders.csv.gz",), config=_table("").replace(".csv", ".csv.gz"), files={"orders.csv.gz": b"\x1f\x8b not gzip"}),
    Case("no such database", ("shop.duckdb",), config='[source]\nurl = "duckdb:///shop.duckdb"\n'),
    Case("not a database", ("shop.duckdb",), config='[source]\nurl = "duckdb:///shop.duckdb"\n', files={"shop.duckdb": b"no database" * 500}),
    Case("wrong separator", ("orders.csv", "separator"), config=_table('separator = ";"'), files=GOOD),
    Case("stated encoding that is not the file's", ("orders.csv", "utf-16"), config=_table('encoding = "utf-16"'), files=_orders(ledger() + "x")),
    # The columns
    Case("missing column", ("customer_id", "orders.csv"), files=_orders("when,amount\n2024-01-01,5\n")),
    Case("unknown column", ("Amuont", "amount"), config=_table('amount = "Amuont"'), files=GOOD),
    Case("broken expression", ("amount",), config=_table('amount = "amount * ("'), files=GOOD),
    Case("subquery", ("amount",), config=_table('amount = "(SELECT 1)"'), files=GOOD),
    Case("statement", ("amount",), config=_table('amount = "amount; DROP TABLE x"'), files=GOOD),
    Case("file function", ("amount",), config=_table("amount = \"read_text('regulars.toml')\""), files=GOOD),
    Case("duplicate header", ("amount",), files=_orders("customer_id,timestamp,amount,amount\nc,2024-01-01,1,2\n")),
    # The values
    Case("ambiguous dates", ("timestamp_format", "03/04/2024"), files=_orders(f"{HEADER}\nc1,03/04/2024,5\nc2,05/06/2024,6\n")),
    Case("no readable time", ("timestamp",), files=_orders(f"{HEADER}\nc1,soon,5\nc2,later,6\n")),
    Case("no readable amount", ("amount",), files=_orders(f"{HEADER}\nc1,2024-01-01,much\n")),
    Case("no customers", ("customer_id",), files=_orders(f"{HEADER}\n,2024-01-01,5\n,2024-01-02,5\n")),
    Case("all in the future", ("history_end",), config=_table('[policies]\nhistory_end = 2001-01-01'), files=GOOD),
    # Too little to learn from
    Case("one day of history", ("day",), ("train",), files=_orders(ONE_DAY)),
    Case("one customer", ("customer",), ("train",), files=_orders(ONE_CUSTOMER)),
    Case("only returns", ("purchase",), ("train",), files=_orders(RETURNS)),
    Case("history shorter than the horizon", ("horizon_days",), ("train", "churn"), files=_orders(ledger(days=80))),
    Case("nobody churns", ("churn",), ("train", "churn"), files=_orders(EVERYONE_STAYS)),
    # The command line
    Case("no date", ("2024-13-99",), ("snapshot", "--cutoff", "2024-13-99", "-o", "s.csv"), files=GOOD),
    Case("cutoff before the data", ("2001-01-01", "2024-"), ("snapshot", "--cutoff", "2001-01-01", "-o", "s.csv"), files=GOOD),
    Case("unknown output format", (".xlsx", ".parquet"), ("snapshot", "--cutoff", "2024-06-01", "-o", "s.xlsx"), files=GOOD),
    Case("no output folder", ("nowhere",), ("snapshot", "--cutoff", "2024-06-01", "-o", "nowhere/s.csv"), files=GOOD),
    Case("output folder that cannot be written", ("/proc",), ("snapshot", "--cutoff", "2024-06-01", "-o", "/proc/s.csv"), files=GOOD),
    Case("unknown model", ("churm",), ("train", "churm"), files=GOOD),
    Case("configuration exists", ("--force",), ("init",), files=GOOD),
    Case("cutoff after the data", ("2031-01-01", "end of the data"), ("snapshot", "--cutoff", "2031-01-01", "-o", "s.csv"), files=GOOD),
    Case("database as transactions", ("shop.duckdb is a database", "url ="), ("init", "--transactions", "shop.duckdb", "new"), config="", files={"shop.duckdb": b""}),
    Case("glob of nothing", ("No file matches",), ("init", "--transactions", "orders/*.csv", "new"), config=""),
    # The tracking store
    Case("store that is a folder", ("mlruns", "tracking_uri"), ("train", "churn"), config=_table('[mlflow]\ntracking_uri = "mlruns"'), files=GOOD),
    Case("store of an unknown kind", ("foo://bar",), ("train", "churn"), config=_table('[mlflow]\ntracking_uri = "foo://bar"'), files=GOOD),
    Case("store that is no database", ("mlflow.db",), ("train", "churn"), files={**GOOD, "mlflow.db": "no database" * 500}),
    Case("store in no folder", ("nowhere",), ("train", "churn"), config=_table('[mlflow]\ntracking_uri = "sqlite:///nowhere/m.db"'), files=GOOD),
    Case("server that does not answer", ("127.0.0.1:9", "does not answer"), ("train", "churn"), config=_table('[mlflow]\ntracking_uri = "http://127.0.0.1:9"'), files=GOOD),
    Case("experiment without a name", ("experiment",), ("train", "churn"), config=_table('[mlflow]\nexperiment = " "'), files=GOOD),
    # The list to score
    Case("no list", ("list.csv",), ("score", "list.csv", "-o", "s.csv"), files=GOOD),
    Case("empty list", ("list.csv",), ("score", "list.csv", "-o", "s.csv"), files={**GOOD, "list.csv": "customer_id\n"}),
    Case("list without ids", ("customer_id",), ("score", "list.csv", "-o", "s.csv"), files={**GOOD, "list.csv": "name,town\nA,B\n"}),
    Case("duplicate ids in the list", ("c1", "row"), ("score", "list.csv", "-o", "s.csv"), files={**GOOD, "list.csv": "customer_id\nc1\nc2\nc1\n"}),
    # The registry
    Case("missing registry", ("regulars train",), ("score", "-o", "s.csv"), files=GOOD),
    Case("registry that is no database", ("mlflow.db",), ("score", "-o", "s.csv"), files={**GOOD, "mlflow.db": "no database" * 500}),
    Case("unreachable server", ("127.0.0.1:9",), ("score", "-o", "s.csv"), config=_table('[mlflow]\ntracking_uri = "http://127.0.0.1:9"'), files=GOOD),
]  # fmt: skip


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    return tmp_path


def assert_refused(capsys, code: int, says: tuple[str, ...]) -> None:
    """Exit code 2, one message on standard error, no traceback, nothing half-written."""
    captured = capsys.readouterr()
    assert code == 2, captured.err
    assert "Traceback" not in captured.err
    assert [line[:7] for line in captured.err.splitlines()].count("Error: ") == 1, captured.err
    for words in says:
        assert words in captured.err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_broken_input_is_refused_with_one_clear_message(case, shop, capsys):
    if case.config:
        (shop / "regulars.toml").write_text(case.config, encoding="utf-8")
    for name, content in case.files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (shop / name).write_bytes(data)
    before = {path.name for path in shop.iterdir()}
    assert_refused(capsys, run(list(case.command)), case.says)
    # Rows set aside and a fresh tracking store may be new, a half-written output may not.
    assert {p.name for p in shop.iterdir()} - before <= {
        "quarantine",
        "mlflow.db",
        "mlartifacts",
        "mlruns",
    }


def test_a_defect_of_ours_is_told_apart_from_bad_input(shop, capsys, monkeypatch):
    def broken(path: Path) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("regulars.config.load_config", broken)
    assert run(["check"]) == 1
    assert "defect of Regulars" in capsys.readouterr().err


def test_an_interrupt_that_a_library_turns_into_an_error_is_no_defect(shop, capsys, monkeypatch):
    def engine(path: Path) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None

    monkeypatch.setattr("regulars.config.load_config", engine)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        assert run(["check"]) == 130
        assert capsys.readouterr().err == "Interrupted; earlier output is untouched.\n"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_installed_command_exits_with_the_same_code(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "regulars", "check", "-c", str(tmp_path / "none.toml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: There is no configuration file")
    assert shutil.which("python") is not None

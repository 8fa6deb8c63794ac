"""Extreme values: right numbers or words that say what is wrong, never something between."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.window import ObservationWindow
from regulars.cli import run
from regulars.config import load_config
from regulars.jobs import open_configured_ledger
from serving.batch import write_list
from serving.id_list import read_list

pytestmark = pytest.mark.torture

IDS = (
    "i" * 200, "😀👩‍👩‍👧", "مرحبا", "\u202eevil", "Ann", "ann", "é", "e\u0301", "=cmd|x",
    "<b>x</b>", "[red]x", "a,b;c", "o'hara", "x\x1b[31m", "İstanbul", "0007", "7", "7.5",
    "-1", 'q"q',
)  # fmt: skip
START = dt.date(2023, 1, 1)
WINDOW = ObservationWindow(START, dt.date(2023, 7, 1), horizon_days=30)


def ledger(rows: list[tuple[str, dt.date, str]], folder: Path) -> Ledger:
    frame = pd.DataFrame(rows, columns=["customer_id", "timestamp", "amount"])
    frame["order_id"] = [f"o{i}" for i in range(len(frame))]
    frame.to_csv(folder / "orders.csv", index=False)
    (folder / "regulars.toml").write_text('[source]\nurl = "."\n')
    return open_configured_ledger(load_config(folder))


def bought(customer: str, amount: str = "20", times: int = 8) -> list[tuple[str, dt.date, str]]:
    return [(customer, START + dt.timedelta(days=28 * i), amount) for i in range(times)]


def features(found: Ledger) -> pd.DataFrame:
    frame = build_snapshot(found, WINDOW, labels=False).features
    assert not np.isinf(frame.select_dtypes("number").to_numpy()).any()
    return frame


def test_every_id_stays_itself_from_the_file_to_the_list(tmp_path: Path) -> None:
    frame = features(ledger([row for i in IDS for row in bought(i)], tmp_path))
    assert set(frame.index) == set(IDS)
    for name in ("list.csv", "list.parquet"):
        write_list(frame.reset_index()[["customer_id"]], tmp_path / name)
        assert sorted(read_list(tmp_path / name)) == sorted(IDS)


def test_blanks_around_an_id_are_no_part_of_it(tmp_path: Path) -> None:
    frame = features(ledger([*bought("Ann"), *bought(" Ann "), *bought("Ann\u00a0")], tmp_path))
    assert list(frame.index) == ["Ann"]


@pytest.mark.parametrize("amount", ["0.001", "0.0001", "100000", "9999999999999", "99999999999999"])
def test_the_smallest_and_the_greatest_amounts_are_added_up(amount: str, tmp_path: Path) -> None:
    rows = [*bought("a", amount), *bought("b")]
    frame = features(ledger(rows, tmp_path))
    assert frame.loc["a", "net_spend_90"] == pytest.approx(3 * float(amount), rel=1e-12)
    assert frame.loc["b", "net_spend_90"] == 60


def test_what_does_not_fit_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    rows = [
        *bought("a"),
        ("a", START, "1000000000000000"),
        ("a", START, "-1e300"),
        ("a", START, "inf"),
        ("a", dt.date(1900, 1, 1), "5"),
        ("a", dt.date(2200, 1, 1), "5"),
    ]
    found = ledger(rows, tmp_path).quality.tables["transactions"]
    assert dict(found.quarantined) == {
        "amount_not_finite": 1,
        "amount_too_large": 2,
        "in_future": 1,
        "too_early": 1,
    }
    assert found.accepted == 8


def test_a_customer_of_ten_thousand_purchases_is_one_row(tmp_path: Path) -> None:
    rows = [("busy", START + dt.timedelta(days=i % 181), "3") for i in range(10_000)]
    frame = features(ledger([*rows, *bought("b")], tmp_path))
    assert frame.loc["busy", "n_purchases_all"] == 181
    assert frame.loc["busy", "net_spend_90"] == 3 * sum(i % 181 >= 91 for i in range(10_000))


def test_zeros_alone_are_no_purchase(tmp_path: Path) -> None:
    frame = features(ledger([*bought("none", "0"), *bought("b")], tmp_path))
    assert "none" not in frame.index or frame.loc["none", "n_purchases_all"] == 0


def test_the_sum_of_very_large_amounts_is_exact(tmp_path: Path) -> None:
    rows = [(f"c{i}", START, "99999999999999.9999") for i in range(300)]
    found = ledger([*rows, *bought("b")], tmp_path)
    total = found.con.con.execute("SELECT CAST(sum(amount) AS VARCHAR) FROM transactions")
    assert total.fetchall() == [("30000000000000159.9700",)]


CONFIG = """
[source]
url = "."
[tables.transactions]
from = "orders.csv"
[churn]
horizon_days = 60
candidates = ["days_since_last", "lightgbm"]
[clv]
horizon_days = 90
candidates = ["mbg_nbd"]
"""
WORK = (
    "check",
    "train churn --quick",
    "train clv",
    "train segments",
    "score -o scores.csv",
    "report -o page.html",
    "actions -o actions.csv",
    "segments -o segments.csv",
    "measures -o measures.csv",
)


def test_the_whole_job_on_a_shop_of_extremes(
    rounds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds(reduced=0, full=1)
    lot = np.random.default_rng(3)
    rows = [row for i in IDS for row in bought(i, times=24)]
    for i in range(1_000):
        first = int(lot.integers(0, 500))
        gaps = lot.exponential(30.0, int(lot.integers(1, 20))).cumsum().astype(int)
        days = [first, *(first + gaps[first + gaps < 700])]
        rows += [
            (f"c{i}", START + dt.timedelta(days=int(d)), f"{lot.uniform(5, 90):.2f}") for d in days
        ]
    rows += [("rich", START + dt.timedelta(days=300), "10000000000000.00")]
    rows += [("owing", START + dt.timedelta(days=300), "-900000000000")]
    rows += [("tiny", START + dt.timedelta(days=200 + i), "0.001") for i in range(5)]
    rows += [("zero", START + dt.timedelta(days=200 + i), "0") for i in range(5)]
    rows += [("busy", START + dt.timedelta(days=i % 700), "3") for i in range(10_000)]
    ledger([*rows, ("old", dt.date(1900, 1, 1), "5"), ("new", dt.date(2200, 1, 1), "5")], tmp_path)
    (tmp_path / "regulars.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    for command in WORK:
        assert run(command.split()) == 0, command
    assert run(["monitor", "-o", "findings.csv"]) in (0, 3)

    names = sorted({name for name, _, _ in rows})
    assert sorted(read_list("scores.csv")) == names
    for path in tmp_path.glob("*.csv"):
        frame = pd.read_csv(
            path, dtype={"customer_id": "str"}, keep_default_na=False, na_values=[""]
        )
        assert not np.isinf(frame.select_dtypes("number").to_numpy(float)).any(), path
    scored = pd.read_csv("scores.csv", index_col=0)
    for name in ("churn_probability", "churn_low", "churn_high", "p_alive"):
        assert scored[name].dropna().between(0, 1).all()
    known = scored[scored["status"] == "scored"]
    assert len(known) >= len(names) - 3  # who never bought has no score
    assert (known["clv"] >= 0).all()
    assert (known["clv_low"] <= known["clv_high"]).all()
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Infinity" not in page
    assert ">NaN" not in page

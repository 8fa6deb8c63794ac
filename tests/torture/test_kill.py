"""Killed at any moment, everything that was there is whole, and the next run completes."""

from __future__ import annotations

import random
import re
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from regulars.cli import run
from tests.torture.harness import (
    command,
    crash_at,
    files_are_whole,
    ledger_is_whole,
    leftovers,
    moments,
    registry_is_whole,
    running,
    start,
    temporary,
)

pytestmark = [pytest.mark.torture, pytest.mark.slow]

SCORE = ("score", "-o", "scores.csv")
LATE = 1.15  # of the usual duration: some are killed when they have just ended


def next_score(shop: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The scored list, after a run in this process that nothing happens to."""
    monkeypatch.chdir(shop)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary(shop)))
    assert run([*SCORE]) == 0
    assert leftovers(shop) == []
    return (shop / "scores.csv").read_bytes()


def check(shop: Path, old: bytes, new: bytes) -> bool:
    """Whether the new list is there; anything but the old or the new one is a failure."""
    found = (shop / "scores.csv").read_bytes()
    assert found in (old, new), f"a list of {len(found)} bytes, neither old nor new"
    registry_is_whole(shop)
    ledger_is_whole(shop)
    files_are_whole(shop)
    return found == new


def test_scoring_killed_at_a_random_moment(rounds, shop, monkeypatch):
    seeds = rounds(reduced=0, full=40)
    old = (shop / "scores.csv").read_bytes()
    usual = command(*SCORE, folder=shop).well()
    new = (shop / "scores.csv").read_bytes()
    assert new != old
    for seed in seeds:
        with rounds.told(seed):
            (shop / "scores.csv").write_bytes(old)
            process = start(SCORE, shop).ready()
            time.sleep(random.Random(seed).uniform(0, LATE * usual.work))
            process.kill()
            check(shop, old, new)
            if seed % 5 == 0:
                assert next_score(shop, monkeypatch) == new


def test_scoring_killed_before_the_new_list_takes_its_place(shop, monkeypatch):
    old = (shop / "scores.csv").read_bytes()
    moment = r"os\.rename .*\.scores\.csv\.\w+\.tmp"
    died = crash_at(moment, shop.parent / "trace", *SCORE, folder=shop)
    assert died.code == -9, died
    assert check(shop, old, old)
    assert [path for path in shop.glob(".scores.csv.*.tmp") if path.stat().st_size]
    assert next_score(shop, monkeypatch) != old
    assert ledger_is_whole(shop) == 2


def test_scoring_killed_before_it_changes_the_disk(rounds, shop, monkeypatch):
    seeds = rounds(reduced=0, full=80)
    old = (shop / "scores.csv").read_bytes()
    trace = shop.parent / "trace"
    crash_at(0, trace, *SCORE, folder=shop).well()
    new = (shop / "scores.csv").read_bytes()
    said = moments(trace)
    places = [i for i, what in enumerate(said, 1) if "ledger" in what or "scores.csv" in what]
    commit = max(i for i in places if "os.rename" in said[i - 1])
    chosen = [
        commit,
        places[-1],
        *places[:-1],
        *(i for i in range(1, len(said) + 1) if i not in places),
    ]
    for seed in seeds:
        with rounds.told(seed):
            (shop / "scores.csv").write_bytes(old)
            died = crash_at(chosen[seed % len(chosen)], trace, *SCORE, folder=shop)
            assert died.code == -9, died
            check(shop, old, new)
    assert next_score(shop, monkeypatch) == new
    assert ledger_is_whole(shop) == 2


def test_scoring_killed_while_the_ledger_is_written(rounds, shop, monkeypatch):
    """The engine's own file, which no Python code writes: killed as soon as it changes."""
    seeds = rounds(reduced=0, full=15)
    old = (shop / "scores.csv").read_bytes()
    ledger = shop / "score_ledger.duckdb"
    kept = ledger.read_bytes()
    command(*SCORE, folder=shop).well()
    new = (shop / "scores.csv").read_bytes()
    for seed in seeds:
        with rounds.told(seed):
            (shop / "scores.csv").write_bytes(old)
            ledger.with_name(f"{ledger.name}.wal").unlink(missing_ok=True)
            ledger.write_bytes(kept)
            process = start(SCORE, shop).ready()
            process.until(partial(changed, ledger, len(kept)))
            time.sleep(random.Random(seed).uniform(0, 0.03))
            process.kill()
            assert check(shop, old, new)  # the list is written before it is recorded
            assert ledger_is_whole(shop) in (1, 2)
    assert next_score(shop, monkeypatch) == new
    assert ledger_is_whole(shop) == 2


def changed(ledger: Path, size: int) -> bool:
    """Whether somebody writes to a DuckDB file."""
    return ledger.with_name(f"{ledger.name}.wal").exists() or ledger.stat().st_size != size


def test_training_killed_at_a_random_moment(rounds, shop, monkeypatch):
    seeds = rounds(reduced=0, full=60)
    old = (shop / "scores.csv").read_bytes()
    usual = {}
    for seed in seeds:
        with rounds.told(seed):
            what = ("churn", "clv")[seed % 2]
            train = ("train", what, "--quick", "--seed", str(seed))
            if what not in usual:
                usual[what] = command(*train, folder=shop).well().work
            before = registry_is_whole(shop)
            process = start(train, shop).ready()
            time.sleep(random.Random(seed).uniform(0, LATE * usual[what]))
            process.kill()
            assert check(shop, old, old)
            after = registry_is_whole(shop)
            for name in before:
                assert int(after[name]) >= int(before[name])
            if seed % 10 == 9:
                next_training(shop, what)
    next_score(shop, monkeypatch)


def next_training(shop: Path, what: str) -> None:
    """The next training completes, and nothing of those that were killed looks alive."""
    said = command("train", what, "--quick", folder=shop).well().out
    assert re.search(rf"regulars-{what} version \d+", said), said
    assert running(shop) == []
    assert leftovers(shop) == []


def test_training_killed_before_it_changes_store_or_files(rounds, shop):
    seeds = rounds(reduced=0, full=60)
    old = (shop / "scores.csv").read_bytes()
    trace, train = shop.parent / "trace", ("train", "churn", "--quick")
    crash_at(0, trace, *train, folder=shop).well()
    # Everything between logging the model and the end, and every commit before.
    said = moments(trace)
    model = next(i for i, what in enumerate(said, 1) if "INSERT INTO model_versions" in what)
    late = list(range(model - 30, len(said) + 1))
    commits = [i for i, what in enumerate(said, 1) if what.startswith("sql COMMIT")]
    chosen = [model, model + 1, *random.Random(1).sample(sorted({*late, *commits}), 58)]
    for seed in seeds:
        with rounds.told(seed):
            died = crash_at(chosen[seed % len(chosen)], trace, *train, folder=shop)
            assert died.code in (-9, 0), died  # 0: this time there was less to do
            assert check(shop, old, old)
    next_training(shop, "churn")


def test_a_new_store_killed_while_it_is_made(made, rounds, tmp_path):
    """MLflow fills it in hundreds of steps, and cannot go on where it was stopped."""
    for seed in rounds(reduced=0, full=25):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "data").symlink_to(made / "data")
        (folder / "regulars.toml").write_bytes((made / "regulars.toml").read_bytes())
        train = ("train", "churn", "--quick")
        with rounds.told(seed):
            moment = 20 + (23 * seed) % 560
            trace = tmp_path / "trace"
            assert crash_at(moment, trace, *train, folder=folder).code == -9
            assert "sql" in moments(trace)[-1]
            opens(train, folder)


def opens(train: tuple[str, ...], folder: Path) -> None:
    """The next training opens the store and begins; the rest of its work is tested elsewhere."""
    process = start(train, folder)
    process.until(lambda: (folder / "mlflow.db").exists())
    assert process.until(lambda: bool(registered(folder)), 300), process.read(".err")
    process.kill()


def registered(folder: Path) -> list[str]:
    """The runs that a new store has."""
    try:
        return running(folder)
    except Exception:  # it is not there yet
        return []

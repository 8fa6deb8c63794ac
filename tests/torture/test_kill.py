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
from serving.score_ledger import parse_score_ledger, read_lists, read_scores
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


WRITERS = {
    "report": ("report", "-o", "written.html"),
    "actions": ("actions", "-o", "written.csv"),
    "measures": ("measures", "-o", "written.csv"),
    "segments": ("segments", "-o", "written.csv"),
    "monitor": ("monitor", "-o", "written.csv"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_command_that_writes_a_file_killed(rounds, shop, name):
    """Before it changes the disk, the moment at which the file takes its place first."""
    seeds = rounds(reduced=0, full=6)
    arguments, ends = WRITERS[name], {0, 3} if name == "monitor" else {0}
    if name == "segments":
        command("train", "segments", folder=shop).well()
    trace, target = shop.parent / "trace", shop / arguments[-1]
    assert crash_at(0, trace, *arguments, folder=shop).code in ends
    new, old = target.read_bytes(), b"old"
    said = moments(trace)
    placed = next(i for i, what in enumerate(said, 1) if f"os.rename {target.parent}/." in what)
    others = sorted(set(range(1, len(said) + 1)) - {placed})
    random.Random(0).shuffle(others)
    before, lists = registry_is_whole(shop), ledger_is_whole(shop)
    for seed in seeds:
        with rounds.told(seed):
            target.write_bytes(old)
            died = crash_at([placed, *others][seed % len(said)], trace, *arguments, folder=shop)
            assert died.code == -9, died
            assert target.read_bytes() == old if seed == 0 else target.read_bytes() in (old, new)
            assert registry_is_whole(shop) == before
            assert ledger_is_whole(shop) == lists
            files_are_whole(shop)
    assert command(*arguments, folder=shop).code in ends
    assert target.read_bytes() == new
    assert leftovers(shop) == []


def test_forgetting_killed_before_it_changes_the_disk(rounds, shop):
    """Whatever is left undone, the next run does; nobody else's rows are lost."""
    seeds = rounds(reduced=0, full=12)
    kept = {name: (shop / name).read_bytes() for name in ("scores.csv", "score_ledger.duckdb")}
    lines = kept["scores.csv"].splitlines(keepends=True)
    person = lines[1].split(b",")[0].strip(b'"').decode()
    without = b"".join([lines[0], *lines[2:]])
    everyone = recorded(shop)
    assert person in everyone
    trace, forget = shop.parent / "trace", ("forget", person)
    assert crash_at(0, trace, *forget, folder=shop).code == 3  # they are in the source
    assert (shop / "scores.csv").read_bytes() == without
    said = moments(trace)
    chosen = sorted(
        range(1, len(said) + 1), key=lambda i: not re.search("ledger|rename", said[i - 1])
    )
    for seed in seeds:
        with rounds.told(seed):
            for name, content in kept.items():
                (shop / name).write_bytes(content)
            died = crash_at(chosen[seed % len(chosen)], trace, *forget, folder=shop)
            assert died.code == -9, died
            assert (shop / "scores.csv").read_bytes() in (kept["scores.csv"], without)
            registry_is_whole(shop)
            assert ledger_is_whole(shop) == 1
            assert command(*forget, folder=shop).code == 3
            assert (shop / "scores.csv").read_bytes() == without
            assert recorded(shop) == everyone - {person}
            assert leftovers(shop) == []


def recorded(shop: Path) -> set[str]:
    """The customers of the only list in the score ledger."""
    place = parse_score_ledger("score_ledger.duckdb", shop)
    assert place is not None
    (row,) = read_lists(place).itertuples()
    return set(read_scores(place, row.list_id, ["churn_probability"]).index)


def test_a_promotion_killed_before_it_changes_the_store(rounds, shop):
    """The champion is the one before or the one asked for, and the next promotion completes."""
    seeds = rounds(reduced=0, full=8)
    command("train", "churn", "--quick", "--seed", "1", folder=shop).well()
    trace, why = shop.parent / "trace", ("--why", "torture")
    promote = ("promote", "churn", "--to", "champion")
    if registry_is_whole(shop)["regulars-churn"] == "2":  # the gate has promoted it
        command(*promote, "1", *why, folder=shop).well()
    crash_at(0, trace, *promote, "2", *why, folder=shop).well()
    changes = [i for i, what in enumerate(moments(trace), 1) if what.startswith("sql")]
    for seed in seeds:
        with rounds.told(seed):
            command(*promote, "1", *why, folder=shop).well()
            moment = changes[seed % len(changes)]
            died = crash_at(moment, trace, *promote, "2", *why, folder=shop)
            assert died.code == -9, died
            assert registry_is_whole(shop)["regulars-churn"] in ("1", "2")
            again = command(*promote, "2", *why, folder=shop)
            assert again.code == 0 or "is the champion already" in again.refused()
            assert registry_is_whole(shop)["regulars-churn"] == "2"
            command("promote", "churn", "--history", folder=shop).well()

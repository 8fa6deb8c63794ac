"""A customer is forgotten everywhere at once, and what remains is said."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from pathlib import Path

import duckdb
import pandas as pd
import psycopg
import pytest

from features.errors import InputError
from features.ledger import Ledger
from features.locking import take
from serving.batch import write_list
from serving.database import parse_target, writing_scores
from serving.forget import Where, forget, in_source
from serving.recording import recording
from serving.score_ledger import ListFacts, parse_score_ledger
from serving.scorer import SCORED_DTYPES

WHO, OTHER, ODD = "CUST-4711", "CUST-0815", 'o"dd, =1;\n<b>'
IDS = [WHO, OTHER, ODD, *(f"CUST-{i}" for i in range(9000, 9200))]


def scored() -> pd.DataFrame:
    frame = pd.DataFrame({"customer_id": IDS}).reindex(columns=list(SCORED_DTYPES))
    frame = frame.assign(as_of=pd.Timestamp("2024-03-01"), status="scored",
                         churn_model="regulars-churn/1", clv_model="regulars-clv/1",
                         churn_probability=0.5)  # fmt: skip
    return frame.astype(dict(SCORED_DTYPES))


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Where:
    """A folder in which every kind of output names every customer."""
    aside = tmp_path / "tmp"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    base = tmp_path / "shop"
    (base / "quarantine").mkdir(parents=True)
    for name in ("scores.csv", "scores.csv.gz", "scores.parquet"):
        write_list(scored(), base / name)
    target = parse_target(f"duckdb:///{base / 'scored.duckdb'}?table=crm.scores")
    with duckdb.connect(str(base / "scored.duckdb")) as con:
        con.execute("CREATE SCHEMA crm")
        con.register("frame", scored())
        con.execute("CREATE TABLE crm.scores AS FROM frame")
    place = parse_score_ledger("lists.duckdb", base)
    for day in (dt.date(2024, 3, 1), dt.date(2024, 4, 1)):
        facts = ListFacts(day, "regulars-churn/1", "regulars-clv/1", True)
        with recording(place, facts) as record:
            record(scored())
    pd.DataFrame(
        {"source_file": "o.csv", "row_number": range(3), "reason": "bad", "who": IDS[:3]}
    ).to_parquet(base / "quarantine" / "transactions.parquet")
    row = '<tr>\n<th scope="row"><bdi class="id">{}</bdi></th><td>1</td></tr>'
    (base / "report.html").write_text("".join(row.format(who) for who in (WHO, OTHER)))
    store = f"sqlite:///{base / 'mlflow.db'}"
    return Where(
        base, base / "quarantine", score_ledger=place, tracking_uri=store, targets=(target,)
    )


def bytes_of(folder: Path) -> dict[str, bytes]:
    import gzip

    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found[path.name] = gzip.decompress(content) if path.suffix == ".gz" else content
    return found


def test_a_customer_leaves_every_output_and_no_byte_stays(where: Where) -> None:
    before = bytes_of(where.base)
    assert sum(WHO.encode() in content for content in before.values()) >= 5
    places = forget({WHO}, where)
    removed = {place.kind for place in places if place.state == "removed"}
    assert removed == {"ledger", "list", "table", "quarantine", "page"}
    after = bytes_of(where.base)
    assert [name for name, content in after.items() if WHO.encode() in content] == []
    [page] = [place for place in places if place.kind == "page"]
    assert "totals" in page.remedy
    assert set(after) == set(before)
    # Everybody else is still there.
    assert len(pd.read_parquet(where.base / "scores.parquet")) == len(IDS) - 1
    assert OTHER.encode() in after["report.html"]
    with duckdb.connect(str(where.base / "lists.duckdb")) as con:
        assert con.execute("SELECT count(*) FROM scores").fetchall() == [(2 * len(IDS) - 2,)]
        assert set(con.execute("SELECT customers FROM lists").fetchall()) == {(len(IDS) - 1,)}
    again = forget({WHO}, where)
    assert {place.state for place in again} == {"clean"}


def test_an_odd_id_and_a_list_of_many_are_forgotten(where: Where) -> None:
    many = {ODD, *IDS[3:]}
    forget(many, where)
    left = pd.read_csv(where.base / "scores.csv", dtype={"customer_id": "str"})
    assert left["customer_id"].tolist() == [WHO, OTHER]
    with duckdb.connect(str(where.base / "scored.duckdb")) as con:
        assert con.execute("SELECT count(*) FROM crm.scores").fetchall() == [(2,)]


def test_a_dry_run_changes_nothing(where: Where) -> None:
    before = bytes_of(where.base)
    places = forget({WHO}, where, apply=False)
    assert {place.state for place in places} == {"found", "clean"}
    assert bytes_of(where.base) == before


def test_what_regulars_did_not_write_is_only_looked_at_until_it_is_named(where: Where) -> None:
    theirs = where.base / "vip.csv"
    theirs.write_text(f"customer_id,since\n{WHO},2020\n")
    (where.base / "notes.csv").write_text("text\nhello\n")
    [place] = [place for place in forget({WHO}, where) if place.name == str(theirs)]
    assert (place.state, "--in" in place.remedy) == ("remains", True)
    assert WHO in theirs.read_text()
    named = Where(where.base, where.quarantine, named=(theirs,))
    [place] = [place for place in forget({WHO}, named) if place.name == str(theirs)]
    assert place.state == "removed"
    assert WHO not in theirs.read_text()


def test_files_of_the_source_are_left_alone(where: Where) -> None:
    source = write_list(scored(), where.base / "orders.csv")
    own = Where(where.base, where.quarantine, source=frozenset({source}))
    places = forget({WHO}, own)
    assert str(source) not in {place.name for place in places}
    assert WHO in source.read_text()


def test_one_place_that_cannot_be_read_does_not_keep_the_others(where: Where) -> None:
    (where.base / "broken.parquet").write_bytes(b"PAR1 no")
    (where.base / "scored.duckdb").write_bytes(b"no database at all")
    places = {Path(place.name).name: place for place in forget({WHO}, where)}
    assert places["broken.parquet"].state == "unread"
    assert WHO not in (where.base / "scores.csv").read_text()


def test_a_place_that_was_named_and_is_not_there_stops_everything(where: Where) -> None:
    before = bytes_of(where.base)
    with pytest.raises(InputError, match="no file or folder"):
        forget({WHO}, Where(where.base, where.quarantine, named=(where.base / "absent",)))
    assert bytes_of(where.base) == before


def test_what_a_stopped_command_left_behind_goes_unless_one_that_runs_holds_it(
    where: Where,
) -> None:
    half = where.base / ".old.csv.0123456789ab.tmp"
    half.write_text("half")
    parts = where.base / ".new.csv.parts"
    parts.mkdir()
    (parts / "part-00000.parquet").write_text(WHO)
    (where.base / ".new.csv.lock").touch()

    def states(*, apply: bool) -> list[str]:
        places = forget({WHO}, where, apply=apply)
        return [place.state for place in places if place.kind == "leftover"]

    assert states(apply=False) == ["found", "found"]
    handle = take(where.base / ".new.csv.lock")
    assert handle is not None
    assert states(apply=False) == ["remains", "found"]
    assert states(apply=True) == ["remains", "removed"]
    os.close(handle)
    assert states(apply=True) == ["removed"]
    assert not (where.base / ".new.csv.lock").exists()
    assert not half.exists()
    assert not parts.exists()


def test_quarantined_rows_of_a_computed_id_go_altogether(where: Where) -> None:
    own = Where(where.base, where.quarantine, whole=frozenset({"transactions"}))
    forget({"nobody"}, own, apply=False)
    assert len(list(where.quarantine.iterdir())) == 1
    forget({"nobody"}, own)
    assert list(where.quarantine.iterdir()) == []


def test_the_source_is_looked_into_and_never_written_to(tmp_path: Path) -> None:
    ledger = Ledger.from_frames(
        pd.DataFrame({"customer_id": [WHO, "b"], "timestamp": "2024-01-01", "amount": 1.0}),
        tickets=pd.DataFrame({"customer_id": [ODD], "opened_at": "2024-01-01"}),
    )
    assert in_source(ledger, tmp_path, {"c"}).state == "clean"
    found = in_source(ledger, tmp_path, {WHO, ODD, "c"})
    assert (found.state, found.found, found.rows) == ("remains", {WHO, ODD}, 2)
    assert "tickets, transactions" in found.name
    pd.DataFrame({"reason": ["bad"], "kunde": ["c"]}).to_parquet(tmp_path / "loyalty.parquet")
    assert "loyalty" in in_source(ledger, tmp_path, {"c"}).name


def test_a_score_ledger_and_a_table_in_postgresql_are_emptied_of_a_customer(
    postgres: str, tmp_path: Path
) -> None:
    place = parse_score_ledger(f"{postgres}&schema=kept", tmp_path)
    with recording(place, ListFacts(dt.date(2024, 3, 1), "churn/1", "clv/1", True)) as record:
        record(scored())
    target = parse_target(f"{postgres}&table=crm.scores")
    with writing_scores(target) as write:
        write(scored())
    own = Where(tmp_path, tmp_path / "quarantine", score_ledger=place, targets=(target,))
    # None: of MLflow.
    assert {place.rows for place in forget({WHO}, own, apply=False)} == {1, None}
    places = forget({WHO}, own)
    assert [place.kind for place in places if place.state == "removed"] == ["ledger", "table"]
    with psycopg.connect(postgres) as con:
        for table in ("kept.scores", "crm.scores"):
            left = con.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert left == [(len(IDS) - 1,)]
    assert {place.state for place in forget({WHO}, own)} == {"clean", "unread"}

"""The scored list in a table of a database: whole, once, and exactly as it was."""

import threading

import duckdb
import numpy as np
import pandas as pd
import psycopg
import pytest

from features.errors import InputError
from serving import database
from serving.database import KEY, check_target, parse_target, write_scores
from serving.scorer import SCORED_DTYPES

IDS = ["007", "=1+1", "a\tb", "x\\.\n\\.\ny", 'it\'s "so"', "\\N", "Ωmega 🛒", "אבג", "'; DROP --"]


def scores(ids=IDS, as_of="2024-03-01", model="regulars-churn v1", seed=0):
    rng = np.random.default_rng(seed)
    n = len(ids)
    frame = pd.DataFrame(index=range(n))
    for name, kind in SCORED_DTYPES.items():
        if kind == "float64":
            values = rng.lognormal(0, 20, n)
            values[rng.random(n) < 0.2] = np.nan
            frame[name] = values
        elif kind == "str":
            frame[name] = pd.Series(rng.choice(["", "low", None], n), dtype="str")
        else:
            days = rng.integers(0, 900, n)
            frame[name] = pd.Timestamp("2024-03-01") + pd.to_timedelta(days, unit="D")
    frame["next_purchase_date"] = frame["next_purchase_date"].mask(rng.random(n) < 0.3)
    frame = frame.assign(
        customer_id=ids, as_of=pd.Timestamp(as_of), status="scored", churn_model=model,
        clv_model="regulars-clv v2",
    )  # fmt: skip
    return frame.astype(dict(SCORED_DTYPES))


def rows(target):
    statement = f"SELECT {', '.join(SCORED_DTYPES)} FROM {target.relation}"
    if target.url.startswith("duckdb"):
        with duckdb.connect(target.url.removeprefix("duckdb:///")) as con:
            found = con.execute(statement).fetchall()
    else:
        with psycopg.connect(target.url) as con:
            found = con.execute(statement).fetchall()
    frame = pd.DataFrame(found, columns=list(SCORED_DTYPES)).astype(dict(SCORED_DTYPES))
    return frame.sort_values(list(KEY), ignore_index=True)


def same(found, expected):
    expected = expected.sort_values(list(KEY), ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.fixture(params=["duckdb", "postgresql"])
def target(request, tmp_path):
    if request.param == "duckdb":
        return parse_target(f"duckdb:///{tmp_path / 'scores.duckdb'}?table=crm.scores")
    return parse_target(request.getfixturevalue("postgres") + "&table=crm.scores")


def test_a_list_comes_back_as_it_was_written(target):
    check_target(target)
    assert write_scores(scores(), target) == len(IDS)
    same(rows(target), scores())


def test_a_key_is_written_once_and_other_keys_stay(target):
    write_scores(scores(), target)
    write_scores(scores(), target)
    same(rows(target), scores())
    check_target(target)
    newer = scores(IDS[:3], seed=1)
    write_scores(newer, target)
    later = scores(as_of="2024-04-01")
    other = scores(model="regulars-churn v2")
    write_scores(later, target)
    write_scores(other, target)
    same(rows(target), pd.concat([newer, scores().iloc[3:], later, other]))


def test_nothing_is_changed_when_a_row_cannot_be_written(target):
    write_scores(scores(), target)
    bad = pd.concat([scores(seed=2), scores(["new", "new"], seed=3)])
    bad.iloc[-1, bad.columns.get_loc("status")] = None
    with pytest.raises(InputError, match="status"):
        write_scores(bad, target)
    same(rows(target), scores())


def test_nothing_is_changed_when_the_connection_is_lost(postgres, postgres_server, monkeypatch):
    target = parse_target(f"{postgres}&table=crm.scores")
    write_scores(scores(), target)
    blocks = database._blocks

    def cut(*given):
        yield from blocks(*given)
        with psycopg.connect(postgres_server.admin, autocommit=True) as con:
            con.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'regulars'"
            )

    monkeypatch.setattr(database, "_blocks", cut)
    with pytest.raises(InputError, match="The database postgresql:///shop") as problem:
        write_scores(scores(["new"]), target)
    assert problem.value.hint
    same(rows(target), scores())


def test_an_empty_list_makes_the_table(target):
    write_scores(scores().iloc[:0], target)
    assert rows(target).empty


def test_a_table_that_holds_something_else_is_refused(target):
    statements = ["CREATE SCHEMA crm", "CREATE TABLE crm.scores (customer_id integer, x text)"]
    if target.url.startswith("duckdb"):
        with duckdb.connect(target.url.removeprefix("duckdb:///")) as con:
            for statement in statements:
                con.execute(statement)
    else:
        with psycopg.connect(target.url) as con:
            for statement in statements:
                con.execute(statement)
    for call in (lambda: check_target(target), lambda: write_scores(scores(), target)):
        with pytest.raises(InputError, match=r"customer_id \(integer instead of text\)"):
            call()


def test_two_that_write_at_once_leave_one_row_a_key(postgres):
    target = parse_target(f"{postgres}&table=new.scores")
    problems = []

    def write():
        try:
            write_scores(scores(), target)
        except InputError as problem:
            problems.append(problem)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    same(rows(target), scores())


def test_names_are_names_and_no_statements(postgres):
    target = parse_target(f'{postgres}&table=odd%22.x"; DROP TABLE y; --')
    write_scores(scores(), target)
    same(rows(target), scores())


def test_a_role_needs_no_right_that_is_not_used(postgres, postgres_server):
    """Where an administrator has made schema and table, the right to write rows is enough."""
    target = parse_target(f"{postgres}&table=crm.scores")
    write_scores(scores(), target)
    database = psycopg.conninfo.conninfo_to_dict(postgres)["dbname"]
    with psycopg.connect(postgres_server.url(database, role="admin")) as con:
        con.execute("ALTER TABLE crm.scores OWNER TO admin")
        con.execute("ALTER SCHEMA crm OWNER TO admin")
        con.execute(f"ALTER DATABASE {database} OWNER TO admin")
        con.execute("GRANT USAGE ON SCHEMA crm TO shop")
        con.execute("GRANT SELECT ON crm.scores TO shop")
    with pytest.raises(InputError, match="permission denied"):
        write_scores(scores(), target)
    with psycopg.connect(postgres_server.url(database, role="admin")) as con:
        con.execute("GRANT INSERT, UPDATE ON crm.scores TO shop")
    write_scores(scores(seed=5), target)
    same(rows(target), scores(seed=5))


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:hunter2@db/shop",
        "postgresql://ann:hunter2@db/shop?table=",
        "mysql://ann:hunter2@db/shop?table=scores",
        "duckdb:///x.duckdb?table=a.b&password=hunter2",
        "scores.csv",
    ],
)
def test_what_is_no_target_is_refused_without_showing_secrets(text):
    with pytest.raises(InputError) as problem:
        parse_target(text)
    assert "hunter2" not in str(problem.value)
    assert "hunter2" not in repr(parse_target("postgresql://ann:hunter2@db/shop?table=x"))


def test_a_file_that_is_no_database_is_refused_and_stays(tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("customer_id\na\n", encoding="utf-8")
    target = parse_target(f"duckdb:///{listed}?table=scores")
    with pytest.raises(InputError, match=r"list\.csv (is no DuckDB database|cannot be opened)"):
        check_target(target)
    assert listed.read_text(encoding="utf-8") == "customer_id\na\n"

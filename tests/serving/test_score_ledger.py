"""The score ledger: whole, once, as it was said, and never at the cost of the list itself."""

import datetime as dt
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.progress import reporting
from serving import ledger_store
from serving.actions import PLAN_DTYPES
from serving.offers import Decision, PlannedOffer
from serving.recording import recording
from serving.registry import RegisteredModel
from serving.score_ledger import (
    SCORE_TYPES,
    ListFacts,
    forget_customers,
    list_facts,
    parse_score_ledger,
    read_lists,
    read_scores,
)
from serving.scorer import SCORED_DTYPES

IDS = ["007", "=1+1", "a\tb", "x\\.\ny", 'it\'s "so"', "\\N", "Ωmega 🛒", "אבג", "'; DROP --"]
FACTS = ListFacts(
    dt.date(2024, 3, 1),
    "regulars-churn/1",
    "regulars-clv/2",
    True,
    {
        "churn_model_id": "m-1",
        "clv_model_id": "m-2",
        "label": "purchases",
        "horizon_days": 90,
        "gap_days": 0,
        "data_until": dt.date(2024, 2, 29),
        "offers": "{}",
    },
)


def block(ids=IDS, seed=0, status="scored"):
    rng = np.random.default_rng(seed)
    frames = []
    for dtypes in (SCORED_DTYPES, PLAN_DTYPES):
        frame = pd.DataFrame(index=range(len(ids)))
        for name, kind in dtypes.items():
            if kind == "float64":
                values = rng.lognormal(0, 20, len(ids))
                frame[name] = np.where(rng.random(len(ids)) < 0.2, np.nan, values)
            elif kind == "str":
                frame[name] = pd.Series(rng.choice(["", "low", None], len(ids)), dtype="str")
            else:
                frame[name] = pd.array([None] * len(ids), dtype=kind if kind == "Int64" else None)
        frames.append(frame.assign(customer_id=ids))
    scored, plan = frames
    scored = scored.assign(status=status, as_of=pd.Timestamp("2024-03-01"))
    return scored.astype(dict(SCORED_DTYPES)), plan.astype(dict(PLAN_DTYPES))


def keep(place, facts=FACTS, *blocks):
    with recording(place, facts) as record:
        for scored, plan in blocks:
            record(scored, plan)


def said(scored, plan):
    columns = [name for name in SCORE_TYPES if name != "customer_id"]
    planned = {"offer", "arm", "expected_value", "expected_cost", "effect", "value_if_kept"}
    frame = pd.DataFrame({n: (plan if n in planned else scored)[n] for n in columns})
    return frame.set_axis(pd.Index(scored["customer_id"], name="customer_id")).sort_index()


@pytest.fixture(params=["duckdb", "postgresql"])
def place(request, tmp_path):
    if request.param == "duckdb":
        return parse_score_ledger("scores.duckdb", tmp_path)
    return parse_score_ledger(request.getfixturevalue("postgres"))


def test_nothing_is_there_before_the_first_list(place):
    assert read_lists(place).empty
    assert forget_customers(place, ["007"]) == 0


def test_a_list_comes_back_as_it_was_said(place):
    first, second = block(IDS[:5]), block(IDS[5:], seed=1)
    keep(place, FACTS, first, second)
    (row,) = read_lists(place).to_dict("records")
    assert row["customers"] == len(IDS)
    assert row["whole"]
    assert (row["as_of"].date(), row["data_until"].date()) == (FACTS.as_of, dt.date(2024, 2, 29))
    assert row["horizon_days"] == 90
    assert abs(row["scored_at"] - pd.Timestamp.now("UTC").tz_localize(None)).total_seconds() < 600
    expected = pd.concat([said(*first), said(*second)]).sort_index()
    found = read_scores(place, row["list_id"])
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    part = read_scores(place, row["list_id"], ["clv"])
    pd.testing.assert_frame_equal(part, expected[["clv"]], check_exact=True)


def test_the_same_list_twice_is_one_and_another_moment_or_model_is_another(place):
    for _ in range(2):
        keep(place, FACTS, block())
    keep(place, replace(FACTS, as_of=dt.date(2024, 4, 1)), block(seed=3))
    keep(place, replace(FACTS, clv_model="regulars-clv/3"), block(seed=4))
    lists = read_lists(place)
    assert lists["customers"].tolist() == [len(IDS)] * 3
    assert lists["list_id"].nunique() == 3
    pd.testing.assert_frame_equal(read_scores(place, 1), said(*block()), check_exact=True)


def test_everyone_takes_the_place_of_everyone_and_some_replace_only_themselves(place):
    keep(place, FACTS, block())
    some = block(IDS[:3], seed=2)
    keep(place, replace(FACTS, whole=False), some)
    found = read_scores(place, 1)
    pd.testing.assert_frame_equal(found.loc[sorted(IDS[:3])], said(*some), check_exact=True)
    pd.testing.assert_frame_equal(found.drop(IDS[:3]), said(*block()).drop(IDS[:3]))
    assert read_lists(place)["whole"].tolist() == [True]
    keep(place, FACTS, some)
    pd.testing.assert_frame_equal(read_scores(place, 1), said(*some), check_exact=True)
    assert read_lists(place)["customers"].tolist() == [3]


def test_a_list_of_some_leaves_what_was_noted_of_the_others(place):
    def terms(**offers):
        return json.dumps({name: {"contact_cost": cost} for name, cost in offers.items()})

    whole = {**FACTS.noted, "offers": terms(gift=1.0, call=4.0)}
    later = {**FACTS.noted, "offers": terms(gift=2.0, letter=3.0), "data_until": FACTS.as_of}
    keep(place, replace(FACTS, noted=whole), block())
    first = read_lists(place).drop(columns="offers")
    keep(place, replace(FACTS, whole=False, noted=later), block(IDS[:3], seed=2))
    lists = read_lists(place)
    pd.testing.assert_frame_equal(lists.drop(columns="offers"), first)
    offers = json.loads(lists["offers"][0])
    assert {name: each["contact_cost"] for name, each in offers.items()} == {
        "gift": 1.0, "call": 4.0, "letter": 3.0,
    }  # fmt: skip
    keep(place, replace(FACTS, whole=False, noted=later), block(seed=4))
    (row,) = read_lists(place).to_dict("records")
    assert (row["offers"], row["data_until"].date()) == (later["offers"], FACTS.as_of)


def test_a_registry_that_began_anew_does_not_mix_with_the_old_one(place):
    keep(place, FACTS, block())
    other = {**FACTS.noted, "churn_model_id": "m-9"}
    keep(place, replace(FACTS, whole=False, noted=other), block(IDS[:2], seed=2))
    assert read_lists(place)[["customers", "whole"]].to_numpy().tolist() == [[2, False]]


def test_who_was_not_scored_is_not_recorded(place):
    keep(place, FACTS, block(IDS[:4]), block(IDS[4:], status="too_new"))
    assert list(read_scores(place, 1).index) == sorted(IDS[:4])


def test_a_list_that_fails_is_not_recorded(place):
    def fail():
        with recording(place, FACTS) as record:
            record(*block())
            raise RuntimeError("no room for the list")

    with pytest.raises(RuntimeError, match="no room"):
        fail()
    assert read_lists(place).empty


def test_a_customer_is_forgotten_in_every_list(place):
    keep(place, FACTS, block())
    keep(place, replace(FACTS, as_of=dt.date(2024, 4, 1)), block(IDS[:2]))
    assert forget_customers(place, [IDS[0], "'; DROP --", "nobody"]) == 3
    assert sorted(read_lists(place)["customers"]) == [1, len(IDS) - 2]
    assert IDS[0] not in read_scores(place, 1).index


def test_without_a_place_nothing_happens():
    assert parse_score_ledger("") is None
    keep(None, FACTS, block())


@pytest.mark.parametrize("text", ["mysql://host/x", "duckdb:///x.duckdb?table=a"])
def test_what_is_no_place_is_refused(text):
    with pytest.raises(InputError, match="no place"):
        parse_score_ledger(text)


def test_a_password_is_not_shown():
    place = parse_score_ledger("postgresql://ann:secret@db/shop?schema=crm")
    assert "secret" not in repr(place) + place.shown
    assert place.schema == "crm"


def test_a_damaged_file_costs_no_list_and_says_what_to_do(tmp_path):
    place = parse_score_ledger("scores.duckdb", tmp_path)
    place.path.write_bytes(b"no database" * 1000)
    written = []

    def score():
        with recording(place, FACTS) as record:
            record(*block())
            written.append("the list")

    with pytest.raises(InputError, match="not recorded") as caught:
        score()
    assert written == ["the list"]
    assert "move it away" in caught.value.hint
    assert place.path.read_bytes().startswith(b"no database")


def test_a_file_of_something_else_is_refused(tmp_path):
    place = parse_score_ledger("scores.duckdb", tmp_path)
    with duckdb.connect(str(place.path)) as con:
        con.execute("CREATE TABLE lists (id integer)")
    with pytest.raises(InputError, match="no table of this version's score ledger"):
        keep(place, FACTS, block())
    with pytest.raises(InputError, match="no table of this version's score ledger"):
        read_lists(place)


def test_a_missing_folder_costs_no_list(tmp_path):
    place = parse_score_ledger("nowhere/scores.duckdb", tmp_path)
    with pytest.raises(InputError, match="There is no folder"):
        keep(place, FACTS, block())


class Heard:
    """Keeps what is said."""

    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def held_by_another_program(path):
    """Open a file as another program would, until its input ends."""
    import subprocess
    import sys

    code = (
        "import duckdb, sys\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process.stdout:
        assert process.stdout.readline() == b"open\n"
    return process


def test_a_file_that_is_in_use_is_waited_for(tmp_path):
    place = parse_score_ledger("scores.duckdb", tmp_path)
    process = held_by_another_program(place.path)

    class Closing(Heard):
        def note(self, message):
            super().note(message)
            process.stdin.close()  # which it waits for

    heard = Closing()
    with reporting(heard):
        keep(place, FACTS, block())
    process.wait()
    assert read_lists(place)["customers"].tolist() == [len(IDS)]
    assert len(heard.notes) == 1
    assert "Waiting" in heard.notes[0]


def test_a_file_that_stays_in_use_costs_no_list(tmp_path, monkeypatch):
    place = parse_score_ledger("scores.duckdb", tmp_path)
    monkeypatch.setattr(ledger_store, "WAIT_SECONDS", 0.1)
    process = held_by_another_program(place.path)
    try:
        with pytest.raises(InputError, match="in use by another program"):
            keep(place, FACTS, block())
    finally:
        process.communicate()


def test_two_that_record_at_once_are_both_recorded(place):
    days = [dt.date(2024, 3, 1) + dt.timedelta(days=i) for i in range(4)]
    problems = []

    def one(day):
        try:
            keep(place, replace(FACTS, as_of=day), block())
        except BaseException as error:  # a thread keeps its errors to itself
            problems.append(error)

    threads = [threading.Thread(target=one, args=[day]) for day in days]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert problems == []
    assert [each.date() for each in read_lists(place)["as_of"]] == days


def test_a_spool_that_cannot_be_written_costs_no_list(tmp_path, monkeypatch):
    place = parse_score_ledger("scores.duckdb", tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("serving.recording.pq.ParquetWriter", full)
    with pytest.raises(InputError, match="No space left") as caught:
        keep(place, FACTS, block())
    assert "TMPDIR" in caught.value.hint
    assert not Path(place.path).exists()


def model(name, card, metrics):
    """A registered model of which nothing but its papers is read."""
    return RegisteredModel(name, "3", "m-7", f"models:/{name}/3", None, card, metrics=metrics)


def test_what_a_list_rests_on_is_noted():
    label = {"of": "subscriptions", "eligibility": "cadence"}
    churn = model(
        "regulars-churn",
        {"gap_days": 7, "horizon_days": 90, "label": label, "trained_until": "2024-05-01"},
        {"churn/roc_auc": 0.75},
    )
    settings = {"horizon_days": 365, "annual_discount_rate": 0.1, "margin": 0.4}
    clv = model("regulars-clv", {"extra": {**settings, "trained_until": "2024-06-01"}}, {})
    decision = Decision((PlannedOffer("call", keeps_days=90),))
    facts = list_facts(
        dt.date(2024, 7, 1),
        churn,
        clv,
        whole=True,
        data_until=dt.date(2024, 6, 30),
        decision=decision,
    )
    assert (facts.churn_model, facts.clv_model) == ("regulars-churn/3", "regulars-clv/3")
    noted = facts.noted
    assert (noted["gap_days"], noted["horizon_days"], noted["clv_horizon_days"]) == (7, 90, 365.0)
    assert (noted["label"], noted["eligibility"]) == ("subscriptions", "cadence")
    assert (noted["margin"], noted["test_auc"], noted["test_brier"]) == (0.4, 0.75, None)
    learned = (noted["churn_trained_until"], noted["clv_trained_until"])
    assert learned == (dt.date(2024, 5, 1), dt.date(2024, 6, 1))
    assert '"keeps_days": 90' in noted["offers"]

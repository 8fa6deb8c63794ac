"""Scoring in blocks: the same list whatever the blocks, and a run that was ended goes on."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.ledger import Ledger
from features.locking import hold
from features.settings import FeatureSettings
from models.decision import Offer
from serving.batch import write_list, writing_list
from serving.blocks import Job
from serving.inputs import Taken
from serving.offers import Decision, PlannedOffer
from serving.parts import folder_of
from serving.registry import RegisteredModel
from serving.scorer import _made_from, score_and_plan, scoring, together

Models = tuple[RegisteredModel, RegisteredModel]

DECISION = Decision(
    (PlannedOffer("gift", Offer(1.0, 5.0, 0.3)), PlannedOffer("call", Offer(4.0, 0.0, 0.4))),
    control_share=0.25,
    margin=0.4,
    budget=150.0,
    list_size=60,
)


@pytest.fixture(scope="module")
def asked(ledger: Ledger) -> list[str]:
    """Everyone, and strangers, in no order."""
    ids = [*map(str, range(10_000, 10_300)), "only-returns", "visitor", "nobody", "late"]
    return list(np.random.default_rng(3).permutation(ids))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Equal but for the value model's integrals, whose nodes suit the customers of a block."""
    pd.testing.assert_frame_equal(found, expected, rtol=1e-7, atol=1e-12)


def test_blocks_change_nothing(ledger: Ledger, registered: Models, asked: list[str]) -> None:
    whole, plan = score_and_plan(ledger, None, *registered, ids=asked, decision=DECISION)
    with scoring(ledger, None, *registered, ids=asked, decision=DECISION, at_once=110) as blocks:
        assert (blocks.customers, blocks.whole) == (304, False)
        assert [len(scored) for scored, _ in blocks] == [110, 110, 84]
        parts, plans = together(blocks)
    same(parts, whole)
    same(plans, plan)
    assert plan.attrs["price"] > 0.0
    assert plans.attrs["price"] == pytest.approx(plan.attrs["price"])
    assert (plans["why"] == "list is full").any() or (plans["why"] == "over budget").any()


def test_a_run_that_was_ended_goes_on_where_it_was(
    ledger: Ledger, registered: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = folder_of(tmp_path / "scores.csv")
    scored: list[int] = []
    limit, one = [2], Job.score

    def ended(job: Job, taken: Taken, ids: list[str]) -> object:
        if len(scored) == limit[0]:
            raise KeyboardInterrupt
        scored.append(len(ids))
        return one(job, taken, ids)

    monkeypatch.setattr(Job, "score", ended)
    with (
        pytest.raises(KeyboardInterrupt),
        scoring(ledger, None, *registered, decision=DECISION, work=work, at_once=110),
    ):
        pass
    assert len(list(work.glob("part-*.parquet"))) == 2
    limit[0] = 99
    with scoring(ledger, None, *registered, decision=DECISION, work=work, at_once=110) as blocks:
        found, _ = together(blocks)
    assert len(scored) == 3  # of the three blocks none was scored twice
    same(found, score_and_plan(ledger, None, *registered, decision=DECISION)[0])
    assert not work.exists()


def test_parts_of_another_list_are_not_used(
    ledger: Ledger, registered: Models, tmp_path: Path
) -> None:
    work = folder_of(tmp_path / "scores.csv")
    with (
        pytest.raises(KeyboardInterrupt),
        scoring(ledger, None, *registered, work=work, at_once=200),
    ):
        raise KeyboardInterrupt
    before = {path: path.stat().st_mtime_ns for path in work.glob("part-*")}
    assert len(before) == 2
    with scoring(ledger, dt.date(2024, 6, 1), *registered, work=work, at_once=200) as blocks:
        assert (together(blocks)[0]["as_of"] == pd.Timestamp(2024, 6, 1)).all()
        after = {path: path.stat().st_mtime_ns for path in work.glob("part-*")}
    for path, changed in before.items():
        assert after[path] > changed


def test_offers_that_change_their_models_make_another_list(
    ledger: Ledger, registered: Models
) -> None:
    churn, clv = registered
    one, other = replace(churn, version="8"), replace(churn, version="9")

    def key(**uplift: RegisteredModel) -> str:
        job = Job(dt.date(2024, 6, 1), churn, clv, {}, "en", None, uplift, None)
        return _made_from(ledger, job, FeatureSettings(), None, 100)

    assert key(call=one, mail=other) == key(call=one, mail=other)
    assert key(call=one, mail=other) != key(mail=one, call=other)
    assert key(call=one, mail=other) != key(call=other, mail=one)


def test_two_runs_at_one_list(ledger: Ledger, registered: Models, tmp_path: Path) -> None:
    work = folder_of(tmp_path / "scores.csv")
    with (
        hold(work.with_suffix(".lock"), "it"),
        pytest.raises(InputError, match=r"Another process uses the list scores\.csv"),
        scoring(ledger, None, *registered, work=work),
    ):
        pass


def test_a_list_in_blocks_is_the_list(ledger: Ledger, registered: Models, tmp_path: Path) -> None:
    with scoring(ledger, None, *registered, at_once=160) as blocks:
        whole = together(blocks)[0]
        for name in ("list.csv", "list.csv.gz"):
            with writing_list(tmp_path / name) as write:
                for scored, _ in blocks:
                    write(scored)
            assert (tmp_path / name).read_bytes() == write_list(
                whole, tmp_path / f"whole-{name}"
            ).read_bytes()

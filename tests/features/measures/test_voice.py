"""Tickets, remarks, sentiment and topics by hand."""

import numpy as np
import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures import Found, ask, remarks
from features.measures.voice import voice

DAYS = pd.date_range("2024-01-01", "2024-06-30").strftime("%Y-%m-%d")


def shop(sold: list[tuple[str, str]] = (), **tables: pd.DataFrame) -> Ledger:  # type: ignore[assignment]
    orders = [("x", day) for day in DAYS] + list(sold)
    frame = pd.DataFrame(orders, columns=["customer_id", "timestamp"]).assign(amount=10)
    return Ledger.from_frames(frame, **tables)


def measured(ledger: Ledger, **question: object) -> Found:
    with ask(ledger, churn_days=30, **question) as asked:  # type: ignore[arg-type]
        return voice(asked)


def row(found: Found, name: str, period: str = "all", segment: str = "all") -> pd.Series:
    table = found.frame
    own = table[
        (table["measure"] == name) & (table["period"] == period) & (table["segment"] == segment)
    ]
    assert len(own) == 1, (name, period, segment)
    return own.iloc[0]


def tickets(hours: list[float | None], **columns: object) -> pd.DataFrame:
    opened = pd.Timestamp("2024-06-10")
    resolved = [opened + pd.Timedelta(hours=h) if h is not None else None for h in hours]
    frame = pd.DataFrame({"customer_id": [f"t{i}" for i in range(len(hours))]})
    return frame.assign(opened_at=opened, resolved_at=pd.to_datetime(resolved), **columns)


def test_volumes_by_hand() -> None:
    found = measured(shop(tickets=tickets([1, 2, 3])))
    assert row(found, "tickets", "2024-06")["value"] == 3
    # Thirty purchases in June, and none of January's months without a ticket is left out.
    assert row(found, "ticket_rate", "2024-06")["value"] == 10
    assert row(found, "tickets", "2024-01")["value"] == 0


def test_open_tickets_are_not_dropped_from_the_time_to_resolve() -> None:
    # Eight tickets, the last four never resolved: half are still open after the fourth.
    found = measured(shop(tickets=tickets([10, 20, 30, 40, None, None, None, None])))
    assert row(found, "resolution_hours_p25")["value"] == 30
    assert row(found, "resolved_share")[["value", "n"]].tolist() == [0.5, 8]
    assert "resolution_hours" not in set(found.frame["measure"])
    known = measured(shop(tickets=tickets([10, 20, 30, 40, None])))
    assert row(known, "resolution_hours")["value"] == 30
    dropped = measured(shop(tickets=tickets([10, 20, 30, 40, 50])))
    assert row(dropped, "resolution_hours_p75")["value"] == 40


def test_interval_of_the_median_narrows_with_tickets() -> None:
    rng = np.random.default_rng(2)
    hours = np.round(rng.exponential(24, 400), 1).tolist()
    few, many = (measured(shop(tickets=tickets(h))) for h in (hours[:40], hours))
    widths = []
    for found in (few, many):
        median = row(found, "resolution_hours")
        assert median["low"] <= 24 * np.log(2) <= median["high"]
        widths.append(median["high"] - median["low"])
    assert widths[1] < widths[0] / 2


def test_sentiment_of_the_column_goes_before_the_text() -> None:
    table = tickets([1] * 4, sentiment=[-1.0, -0.5, None, 0.9], text="I love it!")
    found = measured(shop(tickets=table.assign(topic=["late", "late", "late", "new"])))
    mood = row(found, "sentiment")
    assert mood[["value", "n"]].tolist() == [pytest.approx(-0.2), 3]
    assert row(found, "sentiment", segment="topic=late")["value"] == pytest.approx(-0.75)
    assert row(found, "sentiment_negative")["value"] == pytest.approx(2 / 3)
    assert row(found, "topic_share", segment="topic=late")["value"] == 0.75
    assert row(found, "topic_share", "2024-06", "topic=new")["value"] == 0.25


def surveys(comments: list[str | None], score: float = 9, kind: str = "nps") -> pd.DataFrame:
    frame = pd.DataFrame({"customer_id": [f"s{i}" for i in range(len(comments))]})
    return frame.assign(timestamp="2024-05-05", kind=kind, score=score, comment=comments)


def test_score_stands_in_where_no_model_serves_the_language() -> None:
    pt, en = "Ainda não recebi o produto que comprei.", "Excellent, I love it!"
    found = measured(shop(surveys=surveys([pt, pt, en, None, "  "], 2)))
    assert row(found, "comments")["value"] == 3
    mood = row(found, "sentiment", segment="source=comments")
    # Two of 10 is -0.6 from -1 to 1; VADER's figure for the English one.
    assert mood["n"] == 3
    assert mood["value"] == pytest.approx((2 * -0.6 + 0.852) / 3, abs=0.01)
    assert any("score of the answer stands in" in note for note in found.notes)


def test_tickets_in_a_language_without_a_model_are_left_out_and_said() -> None:
    texts = ["Wo bleibt meine Bestellung?", "Terrible, I am angry."]
    found = measured(shop(tickets=tickets([1, 2], text=texts)))
    assert row(found, "sentiment")["n"] == 1
    assert row(found, "sentiment")["value"] < -0.5
    assert any("left out of it" in note for note in found.notes)


def test_texts_beyond_the_cap_are_sampled_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remarks, "MOST_TEXTS", 10)
    texts = [f"I love number {i}" for i in range(40)]
    one = measured(shop(surveys=surveys(texts)))
    two = measured(shop(surveys=surveys(texts).sample(frac=1, random_state=1)))
    assert row(one, "sentiment")["n"] == 10
    assert any("10 of 40 different texts were read" in note for note in one.notes)
    pd.testing.assert_frame_equal(one.frame, two.frame)


def test_topics_found_in_comments() -> None:
    parts = (
        "The courier brought my parcel late, this is number",
        "I am waiting for the refund of my money, this is number",
        "The fabric has a soft colour, this is number",
    )
    texts = [f"{words} {i}" for words in parts for i in range(20)]
    found = measured(shop(surveys=surveys(texts)))
    shares = found.frame.query("measure == 'topic_share' and period == 'all'")
    assert shares["value"].sum() == pytest.approx(1)
    assert shares["segment"].str.startswith("topic=").all()
    assert all(any(word in name for name in shares["segment"]) for word in ("courier", "refund"))
    beside = tickets([1, 2], topic="late")
    both = measured(shop(surveys=surveys(texts), tickets=beside))
    shares = both.frame.query("measure == 'topic_share' and period == 'all'")
    assert shares["segment"].str.startswith("source=comments|topic=").sum() == len(shares) - 1
    assert row(both, "topic_share", segment="topic=late")["value"] == 1


def test_churn_after_a_topic() -> None:
    """Those who write about refunds leave, those who ask about sizes stay."""
    people = [f"c{i}" for i in range(60)]
    sold = [(who, day) for who in people for day in ("2024-04-20", "2024-05-25")]
    sold += [(who, "2024-06-10") for i, who in enumerate(people) if i >= 15]
    table = tickets([5] * 30, topic=["refund"] * 15 + ["size"] * 15)
    table = table.assign(customer_id=people[:30], opened_at="2024-05-27", resolved_at=None)
    found = measured(shop(sold, tickets=table))
    for name in ("topic_churn_difference", "topic_churn_difference_adjusted"):
        assert row(found, name, segment="topic=refund")["value"] > 0.9
        assert row(found, name, segment="topic=refund")["low"] > 0.5
        assert row(found, name, segment="topic=size")["value"] < 0
        assert row(found, name, segment="topic=size")["n"] == 15


def test_many_labels_are_put_together() -> None:
    labels = [f"subject {i}" for i in range(30)] + ["refund"] * 5
    found = measured(shop(tickets=tickets([1] * 35, topic=labels)))
    shares = found.frame.query("measure == 'topic_share' and period == 'all'")
    assert len(shares) == remarks.MOST_LABELS + 1
    assert row(found, "topic_share", segment="topic=other")["value"] == pytest.approx(11 / 35)


def test_what_is_missing_is_said() -> None:
    found = measured(shop())
    assert found.frame.empty
    named = {name for missing in found.missing for name in missing.measures}
    assert {"tickets", "comments", "sentiment", "topic_share", "topic_churn_difference"} <= named
    bare = tickets([1, 2]).drop(columns="resolved_at")
    found = measured(shop(tickets=bare))
    assert row(found, "tickets")["value"] == 2
    named = {name for missing in found.missing for name in missing.measures}
    assert {"resolution_hours", "sentiment", "topic_share"} <= named


def test_of_labels_as_frequent_the_first_by_name_are_kept() -> None:
    labels = [f"subject {i:02d}" for i in range(30)]
    rows = tickets([1] * 40, topic=labels + [" "] * 10)
    kept = {f"topic={label}" for label in [*labels[: remarks.MOST_LABELS], "other"]}
    for given in (rows, rows.iloc[::-1]):
        found = measured(shop(tickets=given))
        assert set(found.frame.query("measure == 'topic_share'")["segment"]) == kept


def test_tickets_of_those_who_did_not_buy_count() -> None:
    people = pd.DataFrame({"customer_id": ["x", "t0"], "country": ["GB", "FR"]})
    found = measured(shop(tickets=tickets([1]), customers=people), segments=["country"])
    assert row(found, "tickets", "2024-06", "country=FR")["value"] == 1
    assert "country=FR" not in set(found.frame.query("measure == 'ticket_rate'")["segment"])

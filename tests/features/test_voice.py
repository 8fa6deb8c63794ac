import datetime as dt
import math

import pandas as pd
import pytest

from features.ledger import Ledger
from features.snapshot import build_snapshot
from features.voice import FEATURES
from features.window import ObservationWindow

FIRST = dt.date(2023, 1, 1)
WINDOW = ObservationWindow(FIRST, dt.date(2024, 7, 1))
CUSTOMERS = ["a", "b", "quiet"]

SALES = pd.DataFrame(
    [("other", "2023-01-01", 1.0)]
    + [(name, "2024-06-10", 20.0) for name in CUSTOMERS]
    + [("other", "2024-09-30", 1.0)],
    columns=["customer_id", "timestamp", "amount"],
)

SURVEYS = pd.DataFrame(
    [
        ("other", "2023-02-01", "nps", 5, 10, None),
        ("other", "2023-02-01", "csat", 3, 5, None),
        ("a", "2024-01-01", "nps", 6, 10, None),
        ("a", "2024-05-01", "nps", 9, 10, None),
        ("a", "2024-06-20", "nps", 1, 10, "2024-07-02"),
        ("a", "2024-07-01", "nps", 2, 10, None),
        ("b", "2024-06-01", "nps", 3, 5, None),
        ("a", "2023-06-01", "csat", 1, 5, None),
        ("a", "2023-08-01", "csat", 4, 5, None),
        ("a", "2024-06-01", "csat", 7, 10, None),
    ],
    columns=["customer_id", "timestamp", "kind", "score", "scale_max", "known_at"],
)

TICKETS = pd.DataFrame(
    [
        ("other", "2023-02-01", "2023-02-02", 0.1),
        ("a", "2023-05-01 00:00", "2023-05-01 09:00", -0.9),
        ("a", "2024-02-01 00:00", "2024-02-01 10:00", -0.5),
        ("a", "2024-05-01 00:00", "2024-05-01 20:00", 0.2),
        ("a", "2024-06-15 00:00", "2024-06-15 01:00", None),
        ("a", "2024-06-25 00:00", "2024-07-01 00:00", 0.0),
        ("a", "2024-06-28 00:00", None, -0.1),
        ("a", "2024-07-01 00:00", "2024-07-01 01:00", -1.0),
    ],
    columns=["customer_id", "opened_at", "resolved_at", "sentiment"],
)


def features(window: ObservationWindow = WINDOW, **tables: pd.DataFrame) -> pd.DataFrame:
    return build_snapshot(Ledger.from_frames(SALES, **tables), window).features


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return features(surveys=SURVEYS, tickets=TICKETS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("last_nps", 9),
        ("days_since_nps", 61),
        ("nps_delta", 3),
        ("has_nps", 1),
        ("csat_mean_365", (4 / 5 + 7 / 10) / 2),
        ("csat_answers_365", 2),
        ("has_surveys", 1),
        ("tickets_30", 3),
        ("tickets_90", 4),
        # One is resolved at the cutoff itself, which nobody knows before it.
        ("open_tickets", 2),
        ("median_resolve_h_365", 10),
        ("neg_sentiment_share_180", (2 + 1) / (4 + 2)),
        ("has_tickets", 1),
    ],
)
def test_a_customer_who_speaks(found: pd.DataFrame, name: str, expected: float) -> None:
    assert found.loc["a", name] == pytest.approx(expected, rel=1e-12)


def test_groups_are_text(found: pd.DataFrame) -> None:
    assert found["nps_group"].dtype == "str"
    assert found.loc["a", "nps_group"] == "promoter"
    # 3 of 5 is 6 of 10.
    assert found.loc["b", ["last_nps", "nps_group"]].tolist() == [6, "detractor"]
    assert found["nps_group"].isna()["quiet"]


def test_who_says_nothing(found: pd.DataFrame) -> None:
    row = found.loc["quiet"]
    zeros = ["has_nps", "csat_answers_365", "tickets_30", "tickets_90", "open_tickets"]
    assert (row[zeros] == 0).all()
    missing = ["last_nps", "days_since_nps", "nps_delta", "csat_mean_365"]
    missing += ["median_resolve_h_365", "neg_sentiment_share_180"]
    assert row[missing].isna().all()


def test_the_borders_of_the_groups() -> None:
    scores = {"a": 9, "b": 7, "quiet": 6}
    rows = pd.DataFrame({"customer_id": list(scores), "score": scores.values()})
    found = features(surveys=rows.assign(kind="nps", timestamp="2024-06-01"))["nps_group"]
    assert found[list(scores)].tolist() == ["promoter", "passive", "detractor"]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1, 0], 0.5), ([5, 4], 0.9), ([6, 3], 9 / 14), ([10, 4], 0.7), ([90, 50], 0.7)],
)
def test_a_scale_that_is_not_given_is_the_smallest_that_fits(
    scores: list[int], expected: float
) -> None:
    days = ["2024-06-01", "2024-06-02"]
    rows = pd.DataFrame({"customer_id": "a", "timestamp": days, "score": scores, "kind": "csat"})
    later = pd.DataFrame(
        {"customer_id": ["b"], "timestamp": ["2024-08-01"], "score": [100], "kind": ["csat"]}
    )
    found = features(surveys=pd.concat([rows, later]))
    assert found.loc["a", "csat_mean_365"] == pytest.approx(expected, abs=1e-6)
    assert math.isnan(found.loc["a", "csat_answers_365"])  # the source is a month old


def test_tickets_without_moods_and_ends_have_no_features_of_them() -> None:
    found = features(tickets=TICKETS[["customer_id", "opened_at"]])
    assert found.loc["a", "tickets_90"] == 4
    assert not {"open_tickets", "median_resolve_h_365", "neg_sentiment_share_180"} & set(found)


def test_sources_that_have_not_begun() -> None:
    early = ObservationWindow(FIRST, dt.date(2023, 1, 20))
    found = features(early, surveys=SURVEYS, tickets=TICKETS)
    flags = ["has_surveys", "has_tickets"]
    assert (found[flags] == 0).all().all()
    names = [row.name for row in FEATURES if row.name not in flags]
    assert found[names].isna().all().all()

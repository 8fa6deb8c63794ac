import pandas as pd
import pytest

from features.ledger import Ledger
from features.measures.programme import EFFECT_ADJUSTED, EFFECT_RAW, MEASURES, programme
from features.measures.segments import ask

SALES = pd.DataFrame(
    [
        ("a", "2024-01-01", 10.0),
        ("b", "2024-01-20", 10.0),
        ("c", "2024-01-25", 10.0),
        ("a", "2024-02-10", 10.0),
        ("c", "2024-02-11", 10.0),
        ("d", "2024-02-12", 10.0),
        ("a", "2024-03-10", 10.0),
        ("d", "2024-03-11", 10.0),
        ("d", "2024-03-31", 10.0),
    ],
    columns=["customer_id", "timestamp", "amount"],
)
LOYALTY = pd.DataFrame(
    [
        ("a", "2024-01-01", 0, "enrol", "bronze"),
        ("a", "2024-01-01", 100, "earn", "bronze"),
        ("a", "2024-02-10", 50, "earn", "silver"),
        ("a", "2024-02-15", -30, "redeem", "silver"),
        ("a", "2024-03-05", 90, "Expired", "silver"),  # without its sign
        ("d", "2024-02-12", 10, "welcome", "bronze"),
        ("d", "2024-02-13", -4, "correction", None),
        ("x", "2024-02-20", 5, "earn", "bronze"),  # never bought
    ],
    columns=["customer_id", "timestamp", "points", "kind", "tier"],
)
COUNTRY = pd.DataFrame({"customer_id": list("abcd"), "country": ["GB", "GB", "DE", "DE"]})


def found(loyalty=LOYALTY, segments=()):
    ledger = Ledger.from_frames(SALES, loyalty=loyalty, customers=COUNTRY)
    with ask(ledger, segments=segments) as asked:
        return programme(asked)


def figures(frame, name, segment="all", column="value") -> dict[str, float]:
    rows = frame[(frame["measure"] == name) & (frame["segment"] == segment)]
    assert not rows["period"].duplicated().any()
    return dict(zip(rows["period"], rows[column], strict=True))


def test_known_answers():
    table = found().frame
    assert figures(table, "loyalty_members") == {
        "2024-01": 1,
        "2024-02": 3,
        "2024-03": 3,
        "all": 3,
    }
    assert figures(table, "loyalty_new_members") == {"2024-01": 1, "2024-02": 2}
    assert figures(table, "loyalty_enrolment_rate") == pytest.approx(
        {"2024-01": 1 / 3, "2024-02": 2 / 4, "2024-03": 2 / 4, "all": 2 / 4}
    )
    assert figures(table, "loyalty_active_enrolment_rate") == pytest.approx(
        {"2024-01": 1 / 3, "2024-02": 2 / 3, "2024-03": 1}
    )
    assert figures(table, "points_earned") == {
        "2024-01": 100,
        "2024-02": 50 + 10 - 4 + 5,
        "2024-03": 0,
        "all": 161,
    }
    assert figures(table, "points_burnt") == {"2024-01": 0, "2024-02": 30, "2024-03": 0, "all": 30}
    assert figures(table, "points_expired")["2024-03"] == 90
    assert figures(table, "redemption_rate") == pytest.approx(
        {"2024-01": 0, "2024-02": 30 / 61, "all": 30 / 161}
    )
    assert figures(table, "points_burnt", "tier=silver")["2024-02"] == 30
    assert figures(table, "loyalty_members", "tier=bronze") == {"all": 2}
    assert figures(table, "loyalty_members", "tier=silver") == {"all": 1}
    assert set(table["measure"]) == {row.name for row in MEASURES} - {
        EFFECT_RAW.name,
        EFFECT_ADJUSTED.name,
    }


def test_breakage_takes_the_oldest_points_first_and_says_what_is_open():
    # Of a's 100 points of January 30 are burnt and 70 expire; of the 50 of February 20 expire
    # and 30 are open. d has 10, of which 4 were taken back; x has 5.
    table = found().frame
    low, high = (figures(table, "breakage_rate", column=end) for end in ("low", "high"))
    assert figures(table, "breakage_rate") == low
    assert low == pytest.approx({"2024-01": 70 / 100, "2024-02": 20 / 65, "all": 90 / 165})
    assert high == pytest.approx(
        {"2024-01": 70 / 100, "2024-02": (20 + 30 + 6 + 5) / 65, "all": (90 + 41) / 165}
    )


def test_by_segment():
    table = found(segments=("country",)).frame
    assert figures(table, "loyalty_members", "country=DE") == {
        "2024-02": 1,
        "2024-03": 1,
        "all": 1,
    }
    assert figures(table, "loyalty_enrolment_rate", "country=GB") == pytest.approx(
        {"2024-01": 1 / 2, "2024-02": 1 / 2, "2024-03": 1 / 2, "all": 1 / 2}
    )
    assert figures(table, "breakage_rate", "country=GB")["2024-01"] == pytest.approx(0.7)


def test_the_order_of_rows_is_nothing():
    pd.testing.assert_frame_equal(found().frame, found(LOYALTY[::-1]).frame)


def test_without_a_kind_expiry_is_not_known():
    answer = found(LOYALTY.drop(columns=["kind", "tier"]))
    assert [missing.measures for missing in answer.missing] == [("points_expired", "breakage_rate")]
    assert figures(answer.frame, "points_burnt")["2024-02"] == 34
    assert "points_expired" not in set(answer.frame["measure"])


def test_without_the_table_all_is_missing():
    with ask(Ledger.from_frames(SALES)) as asked:
        answer = programme(asked)
    assert not len(answer.frame)
    assert "loyalty_members" in answer.missing[0].measures


def test_a_bar_in_a_tier_is_no_part_of_a_segment():
    table = found(LOYALTY.assign(tier="gold|plus")).frame
    tiers = table[table["segment"].str.startswith("tier=")]
    assert set(tiers["segment"]) == {"tier=gold/plus"}

"""NPS, CSAT and CSI by hand, and their intervals and changes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from features.ledger import Ledger
from features.measures import Found, ask
from features.measures.satisfaction import nps_variance, satisfaction


def shop(answers: pd.DataFrame | None = None, **tables: pd.DataFrame) -> Ledger:
    orders = pd.DataFrame(
        {"customer_id": ["x"] * 91, "timestamp": pd.date_range("2024-01-01", "2024-03-31")}
    ).assign(amount=5)
    if answers is not None:
        tables["surveys"] = answers
    return Ledger.from_frames(orders, **tables)


def answers(
    scores: list[float], kind: str = "nps", when: str = "2024-01-10", **columns: object
) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer_id": [f"{kind}{i}" for i in range(len(scores))], "score": scores}
    ).assign(timestamp=when, kind=kind, **columns)


def measured(ledger: Ledger, **question: object) -> Found:
    with ask(ledger, **question) as asked:  # type: ignore[arg-type]
        return satisfaction(asked)


def row(found: Found, name: str, period: str = "all", segment: str = "all") -> pd.Series:
    table = found.frame
    own = table[
        (table["measure"] == name) & (table["period"] == period) & (table["segment"] == segment)
    ]
    assert len(own) == 1, (name, period, own)
    return own.iloc[0]


TEN = [10, 9, 9, 10, 9, 8, 7, 6, 5, 0]
"""Five promoters, two passives, three detractors."""


def test_nps_by_hand() -> None:
    found = measured(shop(answers(TEN)))
    nps = row(found, "nps")
    # (0.5 + 0.3 - 0.2^2) / 10 = 0.076
    error = 100 * np.sqrt(0.076) * stats.norm.ppf(0.975)
    assert (nps["value"], nps["n"], nps["unit"]) == (20, 10, "points")
    assert nps["low"] == pytest.approx(20 - error)
    assert nps["high"] == pytest.approx(20 + error)
    shares = {"nps_promoters": 0.5, "nps_passives": 0.2, "nps_detractors": 0.3}
    for name, share in shares.items():
        assert row(found, name, "2024-01")["value"] == pytest.approx(share)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=50))
def test_variance_is_that_of_a_mean_of_one_zero_and_minus_one(scores: list[int]) -> None:
    votes = np.array([(score >= 9) - (score <= 6) for score in scores], dtype=float)
    found = nps_variance((votes > 0).sum(), (votes < 0).sum(), len(votes))
    assert float(found) == pytest.approx(votes.var() / len(votes), abs=1e-12)


def test_last_answer_of_a_customer_counts() -> None:
    table = pd.concat(
        [
            answers([10], when="2024-01-05"),
            answers([0], when="2024-01-20"),
            answers([9], when="2024-02-02"),
        ]
    )
    found = measured(shop(table))
    assert row(found, "nps", "2024-01")["value"] == -100
    assert row(found, "nps", "2024-02")["value"] == 100
    assert row(found, "nps")[["value", "n"]].tolist() == [100, 1]


def test_all_of_one_mind_is_no_certainty() -> None:
    nps = row(measured(shop(answers([10] * 20))), "nps")
    assert nps["value"] == nps["high"] == 100
    assert 60 < nps["low"] < 80


def test_other_scales_are_refused_for_nps() -> None:
    mixed = pd.concat(
        [
            answers(TEN, scale_max=10.0),
            answers([5, 5], when="2024-01-12", scale_max=5.0).assign(customer_id=["u", "v"]),
        ]
    )
    found = measured(shop(mixed))
    assert row(found, "nps")["n"] == 10
    assert found.notes[0].startswith("2 of 12 NPS answers are not on the scale from 0 to 10")
    none = measured(shop(answers([5, 4], scale_max=5)))
    assert "nps" not in set(none.frame["measure"])
    assert "0 to 10" in next(m.needs for m in none.missing if "nps" in m.measures)


@pytest.mark.parametrize(
    ("scores", "top", "satisfied", "index"),
    [
        ([5, 4, 4, 3, 1], 5, 0.6, 60),
        ([7, 6, 5, 1], 7, 0.5, 100 * (1 + 5 / 6 + 4 / 6) / 4),
        ([1, 0, 1, 1], 1, 0.75, 75),
        ([100, 80, 79, 0], 100, 0.5, 100 * 2.59 / 4),
        ([0, 1, 5], 5, 1 / 3, 40),
    ],
)
@pytest.mark.parametrize("stated", [True, False])
def test_csat_by_hand(
    scores: list[float], top: int, satisfied: float, index: float, stated: bool
) -> None:
    table = answers(scores, "csat", **({"scale_max": float(top)} if stated else {}))
    found = measured(shop(table))
    assert row(found, "csat")["value"] == pytest.approx(satisfied)
    assert row(found, "csi")["value"] == pytest.approx(index, abs=1e-3)


def test_csat_beyond_the_scale_is_said() -> None:
    found = measured(shop(answers([5, 99, -3, 1], "csat", scale_max=5.0)))
    assert row(found, "csat")["value"] == 0.5
    assert "2 of 4 CSAT answers are below 0 or above their scale_max" in " ".join(found.notes)
    assert not measured(shop(answers([5, 0], "csat", scale_max=5.0))).notes


def test_csat_intervals_by_hand() -> None:
    found = measured(shop(answers([5] * 8 + [2] * 2, "csat", scale_max=5)))
    csat, csi = row(found, "csat"), row(found, "csi")
    # Wilson (1927): (p + z^2/2n -+ z sqrt(p q / n + z^2 / 4n^2)) / (1 + z^2/n)
    assert (csat["low"], csat["high"]) == (pytest.approx(0.490162), pytest.approx(0.943318))
    spread = np.std([100] * 8 + [25] * 2, ddof=1) / np.sqrt(10) * stats.t.ppf(0.975, 9)
    assert csi["value"] == 85
    assert csi["low"] == pytest.approx(85 - spread)
    assert csi["high"] == 100


def test_changes_are_tested_with_care_for_many_tests() -> None:
    months = [
        answers([10] * good + [0] * (40 - good), when=f"2024-0{month}-10")
        for month, good in ((1, 20), (2, 32), (3, 30))
    ]
    found = measured(shop(pd.concat(months)))
    change, p = row(found, "nps_change", "2024-02"), row(found, "nps_change_p", "2024-02")
    assert change[["value", "n"]].tolist() == [60, 80]
    z = 0.6 / np.sqrt(nps_variance(20, 20, 40) + nps_variance(32, 8, 40))
    # The smaller of two p counts twice, the larger is not smaller than that.
    assert p["value"] == pytest.approx(2 * 2 * stats.norm.sf(z))
    last = row(found, "nps_change_p", "2024-03")["value"]
    later = 0.1 / np.sqrt(nps_variance(32, 8, 40) + nps_variance(30, 10, 40))
    assert last == pytest.approx(2 * stats.norm.sf(later))
    assert not ((found.frame["measure"] == "nps_change") & (found.frame["period"] == "all")).any()


def test_change_of_csat_by_newcombe() -> None:
    months = [
        answers([5] * good + [1] * (n - good), "csat", when=f"2024-0{month}-10", scale_max=5)
        for month, good, n in ((1, 48, 80), (2, 56, 70))
    ]
    change = row(measured(shop(pd.concat(months))), "csat_change", "2024-02")
    # Newcombe (1998), table II: 56/70 - 48/80 by method 10.
    assert change["value"] == pytest.approx(0.2)
    assert (change["low"], change["high"]) == (
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )


def test_too_few_answers_are_not_tested() -> None:
    months = [answers(TEN[:9], when=f"2024-0{month}-10") for month in (1, 2)]
    assert "nps_change" not in set(measured(shop(pd.concat(months))).frame["measure"])


def test_response_rate_counts_customers_asked() -> None:
    contacts = pd.DataFrame(
        {
            "customer_id": ["nps0", "nps0", "nps1", "z", "z", "late", "nps2"],
            "timestamp": [
                *("2024-01-01 09:00", "2024-01-08 09:00", "2024-01-02", "2024-01-03"),
                *("2024-02-03", "2024-03-25", "2024-01-02"),
            ],
            "campaign": ["NPS-2024", "survey", "survey", "survey", "survey", "survey", "spring"],
        }
    )
    found = measured(shop(answers([9, 3, 10]), contacts=contacts))
    asked = row(found, "survey_asked", "2024-01")
    rate = row(found, "survey_response_rate", "2024-01")
    assert asked["value"] == 3
    assert rate["value"] == pytest.approx(2 / 3)
    # An invitation in the last 14 days has not had its time.
    assert row(found, "survey_asked")["value"] == 3
    assert set(found.frame.query("measure == 'survey_asked'")["period"]) == {
        "2024-01",
        "2024-02",
        "all",
    }


def test_segments_and_order_of_rows() -> None:
    table = answers(TEN)
    people = pd.DataFrame({"customer_id": table["customer_id"], "country": ["NL"] * 4 + ["FR"] * 6})
    found = measured(shop(table, customers=people), segments=("country",))
    assert row(found, "nps", segment="country=NL")["value"] == 100
    assert row(found, "nps", segment="country=FR")["value"] == pytest.approx(100 * (1 - 3) / 6)
    mixed = measured(
        shop(table.sample(frac=1, random_state=3), customers=people), segments=("country",)
    )
    pd.testing.assert_frame_equal(mixed.frame, found.frame)


def test_what_is_missing_is_said() -> None:
    found = measured(shop())
    assert found.frame.empty
    named = {name for missing in found.missing for name in missing.measures}
    assert {"nps", "nps_change", "csat", "csi", "survey_response_rate"} <= named

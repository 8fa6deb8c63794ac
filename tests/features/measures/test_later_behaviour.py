"""What was bought after an answer: only over horizons, and who is compared with whom."""

from pathlib import Path

import pandas as pd
import pytest

from features.ledger import Ledger, open_ledger
from features.measures import Found, ask
from features.measures.later_behaviour import GROUPS, MEASURES, later_behaviour
from features.settings import PolicySettings, PurchaseSettings, SourceSettings, TableSettings
from features.simulate import simulate
from features.simulate.simulation import MAPPING

DAYS = pd.date_range("2024-01-01", "2024-06-30")


def shop(
    answers: list[tuple[str, str, str, float]],
    sold: list[tuple[str, str]],
    contacts: pd.DataFrame | None = None,
) -> Ledger:
    orders = [("x", str(day.date())) for day in DAYS] + sold
    tables = {
        "surveys": pd.DataFrame(answers, columns=["customer_id", "timestamp", "kind", "score"])
    }
    if contacts is not None:
        tables["contacts"] = contacts
    frame = pd.DataFrame(orders, columns=["customer_id", "timestamp"]).assign(amount=10)
    return Ledger.from_frames(frame, **tables)


def measured(ledger: Ledger) -> Found:
    with ask(ledger, churn_days=30) as asked:
        return later_behaviour(asked)


def told(found: Found, name: str) -> dict[str, tuple[float, int]]:
    own = found.frame[found.frame["measure"] == name]
    return {row.segment: (row.value, row.n) for row in own.itertuples()}


def test_purchases_after_answers_by_hand() -> None:
    answers = [
        ("p1", "2024-02-10 12:00", "nps", 10),  # buys within the 30 days
        ("p2", "2024-02-10 12:00", "nps", 9),  # buys on the day of the answer only
        ("p3", "2024-02-10 12:00", "nps", 9),  # buys on the last day, the 30th
        ("d1", "2024-02-10 12:00", "nps", 2),  # buys one day too late
        ("d2", "2024-02-10 12:00", "nps", 6),
        ("late", "2024-06-10 12:00", "nps", 0),  # the horizon is not over
    ]
    sold = [
        *(("p1", "2024-02-11"), ("p1", "2024-02-20"), ("p2", "2024-02-10"), ("p3", "2024-03-11")),
        *(("d1", "2024-03-12"), ("late", "2024-06-11")),
    ]
    found = measured(shop(answers, sold))
    assert told(found, "nps_later_purchase_rate") == {
        "group=promoter": (pytest.approx(2 / 3), 3),
        "group=detractor": (0, 2),
    }
    spend = told(found, "nps_later_spend")
    assert spend["group=promoter"] == (pytest.approx(10), 3)
    assert spend["group=detractor"] == (0, 2)
    difference = told(found, "nps_later_purchase_difference")
    assert difference == {"group=detractor": (pytest.approx(-2 / 3), 2)}
    assert {m.measures[0] for m in found.missing} == {
        "csat_later_purchase_rate",
        "survey_later_purchase_rate",
    }


def test_adjusted_compares_those_with_the_same_past() -> None:
    """Promoters were good customers before; within the same past nothing differs."""
    answers, sold = [], []
    for i in range(40):
        name = f"c{i}"
        good = i % 2 == 0
        happy = good if i % 8 else not good
        answers.append((name, "2024-04-01 12:00", "nps", 10.0 if happy else 3.0))
        before = ["2024-03-27", "2024-03-20", "2024-03-10"] if good else ["2024-01-05"]
        sold += [(name, day) for day in before]
        if good:
            sold.append((name, "2024-04-10"))
    found = measured(shop(answers, sold))
    raw = told(found, "nps_later_purchase_difference")["group=detractor"][0]
    adjusted = told(found, "nps_later_purchase_difference_adjusted")["group=detractor"][0]
    assert raw < -0.5
    assert adjusted == pytest.approx(0, abs=1e-9)


def test_the_silent_beside_those_who_answer() -> None:
    contacts = pd.DataFrame(
        {"customer_id": ["a", "b", "c"], "timestamp": "2024-02-01", "campaign": "Survey 2024"}
    )
    answers = [("a", "2024-02-03", "csat", 5.0)]
    # Followed from 16 February on, whoever answered when.
    sold = [("a", "2024-02-16"), ("b", "2024-02-10"), ("c", "2024-03-16")]
    found = measured(shop(answers, sold, contacts))
    assert told(found, "survey_later_purchase_rate") == {
        "group=answered": (1, 1),
        "group=silent": (pytest.approx(1 / 2), 2),
    }


def test_a_customer_who_answers_twice_is_one_customer() -> None:
    answers = [
        (f"c{i}", f"2024-02-{day} 12:00", "csat", score)
        for i in range(12)
        for day, score in ((10, 5.0), (11, 5.0))
    ]
    sold = [(f"c{i}", "2024-02-20") for i in range(6)]
    once = measured(shop(answers[::2], sold)).frame
    twice = measured(shop(answers, sold)).frame
    name = "csat_later_purchase_rate"
    narrow, wide = (f[f["measure"] == name].iloc[0] for f in (twice, once))
    assert narrow["n"] == 2 * wide["n"]
    assert narrow["high"] - narrow["low"] == pytest.approx(wide["high"] - wide["low"], rel=1e-3)


def test_every_group_has_its_measures() -> None:
    names = {measure.name for measure in MEASURES}
    assert len(names) == 6 * len(GROUPS)


@pytest.mark.slow
def test_simulated_customers_who_fade_are_unhappy_and_silent(tmp_path: Path) -> None:
    """In the simulated shop mood falls, and answers stop, in the weeks before a customer leaves."""
    simulate(tmp_path, customers=6_000, seed=11)
    ledger = open_ledger(
        SourceSettings(url=str(tmp_path)),
        {name: TableSettings.model_validate(dict(how)) for name, how in MAPPING.items()},
        PolicySettings(),
        PurchaseSettings(),
        tmp_path,
        None,
    )
    with ask(ledger) as asked:
        found = later_behaviour(asked).frame.set_index(["measure", "segment"])
    for name, group in (("nps", "detractor"), ("csat", "unsatisfied"), ("survey", "silent")):
        raw = found.loc[(f"{name}_later_purchase_difference", f"group={group}")]
        adjusted = found.loc[(f"{name}_later_purchase_difference_adjusted", f"group={group}")]
        assert raw["high"] < 0, name
        # Part of it is that they bought less before.
        assert raw["value"] < adjusted["value"] < 0, name
